//! The socket between supervisor and worker: others find it closed, odd places for temporary files do no harm, and the
//! secret that opens it is nowhere to be read.
#![cfg(unix)]

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use meetcap_tests::bins;
use meetcap_tests::case::{ALL, Case, TRANSCRIPT};
use meetcap_tests::room::names;
use meetcap_tests::run::{Invocation, Running};
use nix::unistd::Uid;

const LIMIT: Duration = Duration::from_secs(30);
/// `nobody` on most systems; whoever it is, it is not us.
const OTHER: u32 = 65_534;

/// A run without a summary.
fn alone(supervisor: Invocation) -> Invocation {
    supervisor.args(["run", "talk.wav", "--stt", "speech.bin", "--no-summary", "--events", "jsonl"])
}

/// A run that looks for temporary room in this folder, whose worker takes its time to connect.
fn slow_to_connect(case: &Case, temp: &Path) -> Invocation {
    let command = alone(case.room.scripted("stt start: slow 1500")).env("TMPDIR", temp);
    command.within(LIMIT)
}

/// The socket of a worker that is not connected yet.
fn socket_in(temp: &Path) -> PathBuf {
    let started = Instant::now();
    loop {
        let found = names(temp).into_iter().map(|name| temp.join(name).join("s")).find(|socket| socket.exists());
        if let Some(socket) = found {
            return socket;
        }
        assert!(started.elapsed() < LIMIT, "no socket in {}", temp.display());
        std::thread::yield_now();
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).expect("there").mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
}

/// It went well all the same, and the place is clean.
fn done(case: &Case, running: Running, temp: &Path) {
    let _ = running.finish().expect_code(0);
    assert_eq!(case.outputs(), TRANSCRIPT);
    // What runs tell each other may lie there, too.
    let runs = format!("meetcap-{}", Uid::effective());
    let of_ours = |name: &String| name.starts_with("meetcap-") && *name != runs;
    let left: Vec<String> = names(temp).into_iter().filter(of_ours).collect();
    assert!(left.is_empty(), "left: {left:?}");
}

#[test]
fn a_process_that_was_not_started_here_is_hung_up_on() {
    let (case, temp) = (Case::new(), tempfile::tempdir().expect("a folder"));
    let running = slow_to_connect(&case, temp.path()).start();
    let socket = socket_in(temp.path());
    assert_eq!(mode(socket.parent().expect("a folder")), 0o700);
    let mut stream = UnixStream::connect(&socket).expect("our own user comes as far as this");
    stream.set_read_timeout(Some(LIMIT)).expect("a time");
    assert_eq!(stream.read(&mut [0; 64]).expect("the end"), 0, "somebody answered");
    done(&case, running, temp.path());
}

#[test]
fn another_user_is_kept_out_by_the_folder_and_by_the_socket() {
    if !Uid::effective().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let (case, temp) = (Case::new(), tempfile::tempdir().expect("a folder"));
    let program = temp.path().join("stranger-program");
    std::fs::copy(bins::find(bins::STRANGER), &program).expect("a copy that others may start");
    set_mode(temp.path(), 0o755);
    set_mode(&program, 0o755);
    let ask = |socket: &Path| {
        let asked = Command::new(&program).arg(socket).uid(OTHER).gid(OTHER).current_dir("/").output();
        String::from_utf8_lossy(&asked.expect("it starts").stdout).trim().to_owned()
    };
    let running = slow_to_connect(&case, temp.path()).start();
    let socket = socket_in(temp.path());
    assert_eq!(ask(&socket), "denied");
    // Even if the folder were open.
    set_mode(socket.parent().expect("a folder"), 0o777);
    set_mode(&socket, 0o777);
    assert_eq!(ask(&socket), "hung up");
    done(&case, running, temp.path());
}

#[test]
fn odd_places_for_temporary_files_work_and_planted_links_are_not_followed() {
    let outside = tempfile::tempdir().expect("a folder");
    let target = outside.path().join("precious");
    std::fs::write(&target, "precious").expect("written");
    let base = tempfile::tempdir().expect("a folder");
    let long = base.path().join("x".repeat(200));
    std::fs::create_dir(&long).expect("a folder");
    let real = base.path().join("real");
    std::fs::create_dir(&real).expect("a folder");
    let linked = base.path().join("linked");
    symlink(&real, &linked).expect("a link");
    // What somebody who knows the names could have put there.
    for name in ["meetcap-", "meetcap-s", "s"] {
        symlink(&target, real.join(name)).expect("a link");
    }
    let runs = format!("meetcap-{}", Uid::effective());
    symlink(outside.path(), real.join(&runs)).expect("a link");
    for temp in [&long, &linked, &real] {
        let case = Case::new();
        let command = case.events("").env("TMPDIR", temp).env("XDG_RUNTIME_DIR", "");
        let _ = command.within(LIMIT).run().expect_code(0);
        assert_eq!(case.outputs(), ALL);
        assert_eq!(std::fs::read_to_string(&target).expect("still there"), "precious", "{}", temp.display());
    }
    assert_eq!(names(&real), ["meetcap-", &runs, "meetcap-s", "s"], "nothing came, nothing went");
    assert_eq!(names(outside.path()), ["precious"]);
    let case = Case::new();
    let gone = case.events("").env("TMPDIR", base.path().join("gone")).run().says("set TMPDIR to a folder");
    assert_ne!(gone.code, Some(0), "{gone:#?}");
}

/// What everybody may read of a process.
#[cfg(target_os = "linux")]
fn public(pid: u32) -> Vec<u8> {
    let read = |what| std::fs::read(format!("/proc/{pid}/{what}")).expect("a live process");
    [read("cmdline"), read("environ")].concat()
}

#[cfg(target_os = "linux")]
#[test]
fn the_token_is_in_no_argument_and_no_variable() {
    use std::io::Write;
    let case = Case::new();
    // A worker that writes down what it is told on its standard input, where the token is, before it becomes itself.
    let told = case.room.path("told");
    let fake = bins::find(bins::FAKE_STT);
    let script = format!(
        "#!/bin/sh\nIFS= read -r line\nprintf '%s\\n' \"$line\" > '{told}'\nexec '{fake}' < '{told}'\n",
        told = told.display(),
        fake = fake.display()
    );
    let between = case.room.path("meetcap-worker-between");
    std::fs::File::create(&between).and_then(|mut file| file.write_all(script.as_bytes())).expect("written");
    set_mode(&between, 0o755);
    let command = alone(case.room.scripted("stt window 1: slow 1500")).env("MEETCAP_WORKER_STT", &between);
    let running = command.within(LIMIT).start();
    let started = Instant::now();
    let token = loop {
        let line = std::fs::read_to_string(&told).unwrap_or_default();
        if let Some(token) = line.split(' ').nth(1).filter(|token| token.len() == 64 && line.ends_with('\n')) {
            break token.to_owned();
        }
        assert!(started.elapsed() < LIMIT, "nothing was told");
        std::thread::yield_now();
    };
    let workers = running.workers();
    let seen: Vec<u8> = workers.iter().chain([&running.pid]).flat_map(|pid| public(*pid)).collect();
    assert!(!workers.is_empty() && !seen.is_empty());
    assert!(!seen.windows(token.len()).any(|window| window == token.as_bytes()), "the token can be read");
    let _ = running.finish().expect_code(0);
}
