//! On real files.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::tests_disk::{header, script};
use super::*;

fn folder() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = path_in(dir.path(), "meeting".as_ref());
    (dir, path)
}

fn open(path: &std::path::Path) -> Opened {
    let opened = Journal::open(path, &header(), Resume::Auto).expect("opened");
    assert!(opened.warning.is_none());
    opened
}

/// A journal with all of the script in it, closed.
fn written(path: &std::path::Path) {
    let mut journal = open(path).journal;
    for record in script() {
        journal.append(&record).expect("appended");
    }
}

#[test]
fn a_run_continues_where_the_one_before_it_ended_and_the_last_removes_the_file() {
    let (dir, path) = folder();
    assert!(path.ends_with(".meeting.meetcap-journal"));
    for (count, record) in script().iter().enumerate() {
        let mut opened = open(&path);
        assert_eq!((opened.notice, opened.cut), (None, None), "{count}");
        assert_eq!(opened.progress.is_empty(), count == 0);
        opened.journal.append(record).expect("appended");
    }
    let opened = open(&path);
    let llm = opened.progress.llm.as_ref().expect("a summary");
    assert_eq!((opened.progress.windows.len(), opened.progress.gaps.len(), llm.chunks.len()), (5, 1, 3));
    assert_eq!(opened.progress.session.map(|session| session.pid), Some(std::process::id()));
    assert_eq!(opened.journal.path(), path);
    opened.journal.finish().expect("removed");
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
}

#[test]
fn cut_at_every_byte_of_its_last_two_records_it_continues_before_them() {
    let (_dir, path) = folder();
    written(&path);
    let whole = fs::read(&path).expect("read");
    let records = script();
    let lens: Vec<usize> = records.iter().map(|r| 16 + serde_json::to_vec(r).expect("json").len()).collect();
    let last = whole.len() - lens[lens.len() - 1];
    let before = last - lens[lens.len() - 2];
    for len in before..=whole.len() {
        fs::write(&path, &whole[..len]).expect("written");
        let done = if len == whole.len() { 4 } else { 2 + usize::from(len >= last) };
        let mut opened = open(&path);
        // Three chunks, and what unites them.
        let done_of = |llm: &LlmProgress| llm.chunks.len() + llm.united.len();
        assert_eq!(opened.progress.llm.as_ref().map(done_of), Some(done), "{len}");
        let torn = [before, last, whole.len()].iter().all(|end| *end != len);
        let cut = Cut { bytes: (len - if len < last { before } else { last }) as u64, fault: TailFault::Torn };
        assert_eq!(opened.cut, torn.then_some(cut), "{len}");
        for record in &records[records.len() - 4 + done..] {
            opened.journal.append(record).expect("appended");
        }
        drop(opened.journal);
        assert_eq!(open(&path).progress.llm.as_ref().map(done_of), Some(4), "{len}");
    }
}

#[test]
fn a_second_run_is_told_who_holds_the_journal_until_it_is_let_go() {
    let (_dir, path) = folder();
    let mut first = open(&path).journal;
    first.append(&script()[0]).expect("appended");
    let error = Journal::open(&path, &header(), Resume::Never).expect_err("held");
    let JournalError::HeldBy { holder: Some(holder), .. } = &error else { panic!("{error:?}") };
    assert_eq!(holder.pid, std::process::id());
    let shown = error.to_string();
    assert!(shown.contains(&format!("held by process {} since 2", holder.pid)), "{shown}");
    first.append(&script()[1]).expect("the other has changed nothing");
    drop(first);
    assert_eq!(open(&path).progress.next_unit(), 1);
}

#[test]
fn a_holder_that_has_not_said_who_it_is_is_another_run() {
    let (_dir, path) = folder();
    let file = fs::File::create(&path).expect("created");
    file.try_lock().expect("locked");
    let error = Journal::open(&path, &header(), Resume::Auto).expect_err("held");
    assert!(matches!(error, JournalError::HeldBy { holder: None, .. }), "{error:?}");
}

#[test]
fn runs_that_open_and_finish_at_the_same_time_never_share_a_file() {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    let (_dir, path) = folder();
    let (inside, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while done.load(SeqCst) < 40 {
                    match Journal::open(&path, &header(), Resume::Auto) {
                        Ok(opened) => {
                            assert_eq!(inside.fetch_add(1, SeqCst), 0, "two at once");
                            assert!(opened.progress.is_empty(), "a finished journal was continued");
                            let mut journal = opened.journal;
                            journal.append(&script()[0]).expect("appended");
                            done.fetch_add(1, SeqCst);
                            inside.fetch_sub(1, SeqCst);
                            journal.finish().expect("removed");
                        }
                        Err(JournalError::HeldBy { .. }) => std::thread::yield_now(),
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
    });
    assert!(!path.exists());
}

#[test]
fn a_journal_of_something_else_is_started_over_with_a_reason() {
    let (_dir, path) = folder();
    written(&path);
    let whole = fs::read(&path).expect("read");
    let mut other_version = whole.clone();
    other_version[8] = 9;
    let oversized = || {
        let file = fs::File::options().write(true).open(&path).expect("opened");
        file.set_len(65 << 20).expect("set");
    };
    let with = |content: &[u8], header: &Header, resume| {
        fs::write(&path, content).expect("written");
        if content.is_empty() {
            oversized();
        }
        let opened = Journal::open(&path, header, resume).expect("opened");
        assert!(opened.progress.is_empty() && opened.progress.header.as_ref() == Some(header));
        drop(opened.journal);
        assert!(fs::metadata(&path).expect("there").len() < 2000, "nothing old is left");
        opened.notice.expect("a reason")
    };
    let changed = Header { audio: tests_disk::llm_header().model.file, ..header() };
    assert_eq!(with(&whole, &changed, Resume::Auto), Notice::AudioChanged);
    assert_eq!(with(&whole, &header(), Resume::Never), Notice::AskedFor);
    let version = Notice::OtherVersion { found: 9, ours: FORMAT_VERSION };
    assert_eq!(with(&other_version, &header(), Resume::Auto), version);
    assert_eq!(with(b"hello", &header(), Resume::Auto), Notice::Unreadable);
    assert_eq!(with(&whole[..40], &header(), Resume::Auto), Notice::Unreadable);
    assert_eq!(with(b"", &header(), Resume::Auto), Notice::Unreadable);
}

#[test]
fn a_name_too_long_for_the_ending_gets_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let (long, other) = ("ä".repeat(119) + "x", "ä".repeat(119) + "y");
    let path = path_in(dir.path(), long.as_ref());
    assert_ne!(path, path_in(dir.path(), other.as_ref()));
    open(&path).journal.finish().expect("removed");
    let fits = "x".repeat(238);
    assert!(path_in(dir.path(), fits.as_ref()).to_string_lossy().contains(&fits));
}

#[test]
fn a_folder_in_the_way_and_a_missing_folder_are_named() {
    let (dir, path) = folder();
    fs::create_dir(&path).expect("created");
    let error = Journal::open(&path, &header(), Resume::Auto).expect_err("a folder");
    assert!(matches!(error, JournalError::InTheWay(_)), "{error:?}");
    let lost = path_in(&dir.path().join("none"), "a".as_ref());
    let error = Journal::open(&lost, &header(), Resume::Auto).expect_err("no folder");
    assert!(matches!(&error, JournalError::Io { path, .. } if *path == lost), "{error:?}");
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn nobody_else_may_read_it() {
        let (_dir, path) = folder();
        let _journal = open(&path).journal;
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
    }

    #[test]
    fn a_link_is_not_followed() {
        let (dir, path) = folder();
        let target = dir.path().join("precious");
        fs::write(&target, "precious").expect("written");
        for target in [target.clone(), dir.path().join("nothing")] {
            symlink(&target, &path).expect("linked");
            let error = Journal::open(&path, &header(), Resume::Auto).expect_err("a link");
            assert!(matches!(error, JournalError::InTheWay(_)), "{error:?}");
            fs::remove_file(&path).expect("removed");
        }
        assert_eq!(fs::read(&target).expect("read"), b"precious");
        assert!(!dir.path().join("nothing").exists());
    }

    #[test]
    fn a_file_that_took_its_place_is_left_alone() {
        let (_dir, path) = folder();
        let first = open(&path).journal;
        fs::remove_file(&path).expect("removed");
        written(&path);
        first.finish().expect("nothing to remove");
        assert_eq!(open(&path).progress.next_unit(), 6);
    }
}
