//! Runs announced and listed in real folders.

use super::*;

struct Room {
    _dir: tempfile::TempDir,
    folder: PathBuf,
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("meetcap");
        Self { _dir: dir, folder }
    }

    fn announce(&self, subject: &str) -> Registration {
        Registration::announce_in(std::slice::from_ref(&self.folder), Path::new(subject))
    }

    fn list(&self) -> Vec<Running> {
        list_in(std::slice::from_ref(&self.folder))
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(&self.folder).expect("a folder").flatten();
        let mut names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Puts a file there that this process did not announce.
    fn put(&self, name: &str, content: &[u8]) {
        folder::ensure(&self.folder).expect("a folder");
        fs::write(self.folder.join(name), content).expect("written");
    }

    fn put_entry(&self, process: Identity, number: u32) {
        let name = FileName { pid: process.pid, number };
        self.put(&name.entry(), &Entry::new(process, "/m/a.wav".to_owned(), 5).to_json());
    }
}

fn ourselves() -> Identity {
    Identity::of_self().expect("readable")
}

/// The number of a process that was and is no more.
fn dead_pid() -> u32 {
    let mut child = std::process::Command::new(std::env::current_exe().expect("known"))
        .arg("--list")
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("started");
    child.wait().expect("reaped");
    child.id()
}

#[test]
fn a_run_is_listed_from_its_first_to_its_last_moment() {
    let room = Room::new();
    assert!(room.list().is_empty());
    let mut run = room.announce("a.wav");
    let [listed] = &room.list()[..] else { panic!("one run") };
    assert_eq!((listed.pid, listed.phase, &listed.model_name), (std::process::id(), None, &None));
    assert!(Path::new(&listed.audio_path).is_absolute() && listed.audio_path.ends_with("a.wav"));
    assert!(listed.memory.rss.0 > 0 && listed.started <= SystemTime::now());

    run.working(Phase::Stt, "ggml-small", Some(77));
    run.progress(0.4199);
    let [listed] = &room.list()[..] else { panic!("one run") };
    assert_eq!((listed.phase, listed.worker_pid, listed.progress), (Some(Phase::Stt), Some(77), Some(0.41)));
    assert_eq!(listed.model_name.as_deref(), Some("ggml-small"));

    run.idle();
    run.progress(0.5);
    let [listed] = &room.list()[..] else { panic!("one run") };
    assert_eq!((listed.phase, listed.worker_pid, listed.progress), (None, None, None));

    assert_eq!(room.files().len(), 1, "nothing but the entry");
    drop(run);
    assert!(room.list().is_empty() && room.files().is_empty());
}

#[test]
fn progress_is_written_by_the_percent() {
    let room = Room::new();
    let mut run = room.announce("a.wav");
    run.working(Phase::Llm, "m", None);
    run.progress(0.101);
    let file = room.folder.join(&room.files()[0]);
    fs::remove_file(&file).expect("removed");
    run.progress(0.109);
    run.progress(f64::NAN);
    assert!(!file.exists(), "not worth a write");
    run.progress(0.11);
    assert!(file.exists());
    run.progress(f64::INFINITY);
    assert_eq!(room.list()[0].progress, Some(1.0));
}

#[test]
fn one_process_may_do_several_runs_and_the_oldest_comes_first() {
    let room = Room::new();
    let (first, second) = (room.announce("1.wav"), room.announce("2.wav"));
    room.put_entry(ourselves(), u32::MAX);
    let names: Vec<String> = room.list().iter().map(|run| run.audio_path.clone()).collect();
    assert_eq!(names.len(), 3);
    assert_eq!(names[0], "/m/a.wav");
    assert!(names[1].ends_with("1.wav") && names[2].ends_with("2.wav"), "{names:?}");
    drop((first, second));
    assert_eq!(room.list().len(), 1);
}

#[test]
fn the_file_of_a_process_that_is_gone_is_removed() {
    let room = Room::new();
    let gone = Identity { pid: dead_pid(), ..ourselves() };
    let recycled = Identity { start_time: ourselves().start_time + 1, ..ourselves() };
    room.put_entry(gone.clone(), 0);
    room.put_entry(recycled, 1_000_000);
    room.put(&FileName { pid: gone.pid, number: 1 }.temporary(), b"{");
    let unfinished = FileName { pid: std::process::id(), number: 1_000_000 }.temporary();
    room.put(&unfinished, b"{");
    assert!(room.list().is_empty());
    assert_eq!(room.files(), [unfinished]);
}

#[test]
fn a_process_in_another_namespace_is_left_alone() {
    let room = Room::new();
    room.put_entry(Identity { pid: dead_pid(), namespace: Some("pid:[0]".to_owned()), ..ourselves() }, 0);
    assert!(room.list().is_empty());
    assert_eq!(room.files().len(), 1);
}

#[test]
fn what_is_no_entry_is_passed_over() {
    let room = Room::new();
    let own = |number: u32| FileName { pid: std::process::id(), number: 1_000_000 + number }.entry();
    let sound = Entry::new(ourselves(), "/m/a.wav".to_owned(), 5).to_json();
    room.put(&own(0), b"");
    room.put(&own(1), b"\xff\xfe{}");
    room.put(&own(2), &sound[..sound.len() / 2]);
    room.put(&own(3), "[".repeat(60_000).as_bytes());
    // Valid, but larger than is read.
    let padding = vec![b' '; usize::try_from(MAX_FILE).expect("small")];
    room.put(&own(4), &[&sound[..], &padding].concat());
    // Valid, but under another's name.
    room.put(&FileName { pid: 1, number: 0 }.entry(), &sound);
    room.put("notes.txt", &sound);
    // A time that no clock can show.
    let late = Entry::new(ourselves(), String::new(), u64::MAX);
    room.put(&own(5), &late.to_json());
    fs::create_dir(room.folder.join(own(6))).expect("made");
    #[cfg(unix)]
    {
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(&room.folder.join(own(7)), mode).expect("a pipe");
        std::os::unix::fs::symlink("notes.txt", room.folder.join(own(8))).expect("linked");
    }
    let before = room.files();
    assert!(room.list().is_empty());
    assert_eq!(room.files(), before);
}

#[test]
fn a_spoilt_folder_keeps_nobody_busy() {
    let room = Room::new();
    let sound = Entry::new(ourselves(), "/m/a.wav".to_owned(), 5).to_json();
    for number in 0..2 {
        room.put(&FileName { pid: std::process::id(), number: 1_000_000 + number }.entry(), &sound);
    }
    for number in 0..MAX_FILES {
        room.put(&format!("other-{number}"), b"");
    }
    assert_eq!(room.list().len(), 2, "what is not ours does not count");
    for number in 2..MAX_FILES + 10 {
        let number = u32::try_from(number).expect("small");
        room.put(&FileName { pid: std::process::id(), number: 1_000_000 + number }.entry(), &sound);
    }
    assert_eq!(room.list().len(), MAX_FILES);
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_open_to_others_is_refused_and_the_run_goes_on() {
    use std::os::unix::fs::PermissionsExt;
    let room = Room::new();
    room.put_entry(ourselves(), 1_000_000);
    fs::set_permissions(&room.folder, fs::Permissions::from_mode(0o755)).expect("set");
    let mut run = room.announce("a.wav");
    run.working(Phase::Stt, "m", None);
    run.progress(0.5);
    run.idle();
    assert_eq!(room.files().len(), 1, "nothing was added");
    assert!(room.list().is_empty(), "nor is anything in it believed");
    let second = Room::new();
    let folders = [room.folder.clone(), second.folder.clone()];
    let _elsewhere = Registration::announce_in(&folders, Path::new("a.wav"));
    assert_eq!((list_in(&folders).len(), second.files().len()), (1, 1), "the next folder will do");
}

#[test]
fn a_folder_that_is_removed_in_flight_comes_back_with_the_next_step() {
    let room = Room::new();
    let mut run = room.announce("a.wav");
    fs::remove_dir_all(&room.folder).expect("removed");
    assert!(room.list().is_empty());
    run.working(Phase::Stt, "m", None);
    assert_eq!(room.list().len(), 1);
    fs::remove_dir_all(&room.folder).expect("removed");
    fs::write(&room.folder, "in the way").expect("written");
    run.idle();
    drop(run);
    assert_eq!(fs::read(&room.folder).expect("readable"), b"in the way");
}
