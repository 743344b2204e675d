//! A worker that was taken over: tries what it must not be able to do and tells what came of each attempt. The folder it
//! is given holds `secret` (a file that it may not read), `open` (a link that leads there) and `s` (somebody's socket).

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use libc::c_long;

type Attempt = (&'static str, Result<(), Error>);

/// `name: denied`, `name: SUCCEEDED` or `name: what else went wrong` for every attempt, with `; ` between them; two words
/// where a thread that was started later fared differently.
pub(super) fn tell(folder: &Path) -> String {
    let here = attempts(folder);
    let there = std::thread::scope(|scope| scope.spawn(|| attempts(folder)).join().expect("an attempt does not panic"));
    let line = |((what, here), (_, there)): (Attempt, Attempt)| {
        let (here, there) = (verdict(&here), verdict(&there));
        if here == there { format!("{what}: {here}") } else { format!("{what}: {here}, then {there}") }
    };
    let lines = here.into_iter().zip(there).map(line).chain(["that was all".to_owned()]);
    lines.collect::<Vec<_>>().join("; ")
}

fn attempts(folder: &Path) -> Vec<Attempt> {
    files(folder).into_iter().chain(sockets(folder)).chain(processes()).chain(kernel()).collect()
}

fn verdict(result: &Result<(), Error>) -> String {
    match result {
        Ok(()) => "SUCCEEDED".to_owned(),
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            "denied".to_owned()
        }
        Err(error) => error.to_string(),
    }
}

fn files(folder: &Path) -> Vec<Attempt> {
    let secret = folder.join("secret");
    let read = |path: &Path| File::open(path).and_then(|mut file| file.read(&mut [0; 8])).map(drop);
    let through_a_descriptor = || {
        let place = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&secret)?;
        read(Path::new(&format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&place))))
    };
    let parent = std::os::unix::process::parent_id();
    vec![
        ("read a file of the user's", read(&secret)),
        ("read it by way of a link", read(&folder.join("open"))),
        (
            "read it by way of the root of a process",
            read(&Path::new("/proc/self/root").join(secret.strip_prefix("/").unwrap_or(&secret))),
        ),
        ("read it by way of a descriptor", through_a_descriptor()),
        ("read the passwords", read(Path::new("/etc/passwd"))),
        ("read the supervisor's environment", read(Path::new(&format!("/proc/{parent}/environ")))),
        ("read the supervisor's memory", read(Path::new(&format!("/proc/{parent}/mem")))),
        ("list a folder", fs::read_dir(folder).map(drop)),
        ("write over a file", OpenOptions::new().write(true).open(&secret).map(drop)),
        ("make a file", File::create(folder.join("made")).map(drop)),
        ("make a nameless file", OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(folder).map(drop)),
        ("make a folder", fs::create_dir(folder.join("made"))),
        ("make a link", fs::hard_link(&secret, folder.join("made"))),
        ("make a symbolic link", std::os::unix::fs::symlink(&secret, folder.join("made"))),
        ("rename a file", fs::rename(&secret, folder.join("made"))),
        ("remove a file", fs::remove_file(&secret)),
        ("open a file to all", fs::set_permissions(&secret, fs::Permissions::from_mode(0o666))),
        ("write to a device", OpenOptions::new().write(true).open("/dev/null").map(drop)),
    ]
}

fn sockets(folder: &Path) -> Vec<Attempt> {
    vec![
        ("connect over the network", TcpStream::connect("127.0.0.1:9").map(drop)),
        ("listen on the network", TcpListener::bind("127.0.0.1:0").map(drop)),
        ("send a datagram", UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("connect to a local socket", UnixStream::connect(folder.join("s")).map(drop)),
        ("listen on a local socket", UnixListener::bind(folder.join("made")).map(drop)),
    ]
}

fn processes() -> Vec<Attempt> {
    use nix::sys::ptrace;
    use nix::sys::signal::{Signal, kill};
    let parent = nix::unistd::getppid();
    let io = |result: nix::Result<()>| result.map_err(Error::from);
    vec![
        ("run a program", Command::new("/bin/true").spawn().map(drop)),
        ("run a program with a shell", Command::new("/bin/sh").args(["-c", "true"]).status().map(drop)),
        ("trace the supervisor", io(ptrace::seize(parent, ptrace::Options::empty()))),
        ("signal the supervisor", io(kill(parent, Signal::SIGCONT))),
        ("signal everybody", io(kill(nix::unistd::Pid::from_raw(0), Signal::SIGCONT))),
    ]
}

/// By number, without arguments that would do harm: where a call is let through it fails for want of them.
fn kernel() -> Vec<Attempt> {
    let plain = [
        ("start a process", libc::SYS_clone, [c_long::from(libc::SIGCHLD), 0, 0]),
        ("start a process in the new way", libc::SYS_clone3, [0, 0, 0]),
        ("read memory of others", libc::SYS_process_vm_readv, [1, 0, 0]),
        ("take a descriptor of others", libc::SYS_pidfd_getfd, [-1, 0, 0]),
        ("make a new user space", libc::SYS_unshare, [c_long::from(libc::CLONE_NEWUSER), 0, 0]),
        ("mount", libc::SYS_mount, [0, 0, 0]),
        ("use io_uring", libc::SYS_io_uring_setup, [0, 0, 0]),
        ("load a program into the kernel", libc::SYS_bpf, [-1, 0, 0]),
        ("count events", libc::SYS_perf_event_open, [0, 0, 0]),
        ("handle page faults", libc::SYS_userfaultfd, [-1, 0, 0]),
        ("use keys", libc::SYS_keyctl, [-1, 0, 0]),
        ("make memory with a name", libc::SYS_memfd_create, [0, -1, 0]),
        ("open by handle", libc::SYS_open_by_handle_at, [-1, 0, 0]),
        ("become another user", libc::SYS_setuid, [c_long::from(u32::MAX), 0, 0]),
        ("raise its limits", libc::SYS_setrlimit, [c_long::from(libc::RLIMIT_CORE), 0, 0]),
        ("outlive the supervisor", libc::SYS_prctl, [c_long::from(libc::PR_SET_PDEATHSIG), 0, 0]),
        ("allow itself to be traced", libc::SYS_prctl, [c_long::from(libc::PR_SET_PTRACER), -1, 0]),
        ("make memory executable", libc::SYS_mprotect, [0, 0, c_long::from(libc::PROT_READ | libc::PROT_EXEC)]),
    ];
    plain.map(|(what, call, [a, b, c])| (what, raw(call, a, b, c))).into()
}

#[expect(unsafe_code, reason = "calls that no library makes")]
fn raw(call: c_long, a: c_long, b: c_long, c: c_long) -> Result<(), Error> {
    // SAFETY: none of the calls above is given an address to write to, and none succeeds with these arguments but the
    // start of a process, which ends at once, and `prctl` and `mprotect` of nothing, which touch no memory.
    let returned = unsafe { libc::syscall(call, a, b, c, 0, 0, 0) };
    if returned == -1 {
        return Err(Error::last_os_error());
    }
    if call == libc::SYS_clone && returned == 0 {
        // SAFETY: the new process has nothing to clean up.
        unsafe { libc::_exit(0) };
    }
    Ok(())
}
