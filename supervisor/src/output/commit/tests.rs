//! Outputs on real folders; then on a disk where every operation fails, once and for good: whatever happens,
//! each file is old or new and never in between, and nothing is renamed that was not synced.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use tempfile::NamedTempFile;

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("readable")
}

fn names_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn files_are_written_and_replaced_and_nothing_else_is_left() {
    let dir = folder();
    let (a, b) = (dir.path().join("a.txt"), dir.path().join("b.txt"));
    fs::write(&a, "old").expect("written");
    commit(&[(a.clone(), "new"), (b.clone(), "other")]).expect("committed");
    assert_eq!((read(&a), read(&b)), ("new".into(), "other".into()));
    assert_eq!(names_in(dir.path()), ["a.txt", "b.txt"]);
    let none: [(PathBuf, &[u8]); 0] = [];
    commit(&none).expect("nothing to do");
}

#[test]
fn one_file_that_cannot_be_written_leaves_all_as_they_were() {
    let dir = folder();
    let a = dir.path().join("a.txt");
    fs::write(&a, "old").expect("written");
    let lost = dir.path().join("missing").join("b.txt");
    let error = commit(&[(a.clone(), "new"), (lost.clone(), "x")]).expect_err("no such folder");
    assert!(matches!(&error, OutputError::File { path, .. } if *path == lost), "{error:?}");
    assert_eq!(read(&a), "old");
    assert_eq!(names_in(dir.path()), ["a.txt"]);
}

#[test]
fn a_folder_in_the_place_of_a_file_is_found() {
    let dir = folder();
    let target = dir.path().join("a.txt");
    fs::create_dir(&target).expect("created");
    assert!(matches!(commit(&[(target.clone(), "x")]), Err(OutputError::InTheWay(_))));
    assert!(matches!(check_targets(&[target]), Err(OutputError::InTheWay(_))));
}

#[test]
fn a_name_too_long_is_found_before_anything_is_written() {
    let dir = folder();
    let error = check_targets(&[dir.path().join("x".repeat(300))]).expect_err("too long");
    assert!(error.to_string().contains("too long"), "{error}");
}

#[test]
fn a_missing_folder_is_created_and_left_empty() {
    let dir = folder();
    let deep = dir.path().join("a/b");
    check_folder(&deep).expect("writable");
    assert!(names_in(&deep).is_empty());
}

#[test]
fn a_file_in_the_place_of_the_folder_is_found() {
    let dir = folder();
    let file = dir.path().join("out");
    fs::write(&file, "x").expect("written");
    for place in [file.clone(), file.join("deeper")] {
        let error = check_folder(&place).expect_err("not a folder");
        assert!(error.to_string().contains("not a folder"), "{error}");
    }
    assert_eq!(read(&file), "x");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_where_nobody_can_write_is_found_even_by_the_superuser() {
    assert!(matches!(check_folder(Path::new("/proc/self")), Err(OutputError::Folder { .. })));
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_never_replaced() {
    let dir = folder();
    let link = dir.path().join("a.txt");
    std::os::unix::fs::symlink("/dev/null", &link).expect("linked");
    assert!(matches!(commit(&[(link, "x")]), Err(OutputError::InTheWay(_))));
}

#[cfg(unix)]
#[test]
fn a_link_stays_and_the_file_it_leads_to_is_replaced() {
    let dir = folder();
    fs::create_dir(dir.path().join("real")).expect("created");
    let (real, link) = (dir.path().join("real/a.txt"), dir.path().join("a.txt"));
    std::os::unix::fs::symlink("real/a.txt", &link).expect("linked");
    for content in ["created through the link", "and replaced"] {
        commit(&[(link.clone(), content)]).expect("committed");
        assert_eq!(read(&real), content);
        assert!(fs::symlink_metadata(&link).expect("still there").is_symlink());
    }
    assert_eq!(names_in(&dir.path().join("real")), ["a.txt"]);
    let twice = commit(&[(dir.path().join("real/a.txt"), "x"), (link.clone(), "y")]);
    assert!(matches!(twice, Err(OutputError::SameFile(..))), "{twice:?}");
    std::os::unix::fs::symlink("loop", dir.path().join("loop")).expect("linked");
    assert!(commit(&[(dir.path().join("loop"), "x")]).is_err());
}

#[cfg(unix)]
#[test]
fn a_new_file_has_ordinary_permissions_and_a_replaced_one_keeps_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder();
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let (ordinary, ours) = (dir.path().join("ordinary"), dir.path().join("ours"));
    fs::write(&ordinary, "").expect("written");
    commit(&[(ours.clone(), "x")]).expect("committed");
    assert_eq!(mode(&ours), mode(&ordinary));
    for kept in [0o600, 0o640, 0o444] {
        fs::set_permissions(&ours, fs::Permissions::from_mode(kept)).expect("set");
        commit(&[(ours.clone(), "y")]).expect("committed");
        assert_eq!(mode(&ours), kept);
    }
}

#[cfg(unix)]
#[test]
fn nobody_is_let_in_whom_the_recording_keeps_out() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder();
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    let (recording, ordinary, ours) = (dir.path().join("a.wav"), dir.path().join("ordinary"), dir.path().join("ours"));
    fs::write(&recording, "").expect("written");
    fs::write(&ordinary, "").expect("written");
    for (theirs, most) in [(0o600, 0o600), (0o400, 0o600), (0o640, 0o640), (0o644, 0o644), (0o777, 0o666)] {
        set(&recording, theirs);
        let audience = Audience::of(&recording);
        commit_for(audience, &[(ours.clone(), "x")]).expect("committed");
        assert_eq!(mode(&ours), mode(&ordinary) & most, "new, of {theirs:o}");
        for before in [0o600, 0o644, 0o666, 0o400] {
            set(&ours, before);
            commit_for(audience, &[(ours.clone(), "y")]).expect("committed");
            assert_eq!(mode(&ours), before & most, "{before:o} replaced, of {theirs:o}");
        }
        fs::remove_file(&ours).expect("removed");
    }
}

#[test]
fn leftovers_of_the_outputs_at_hand_are_removed_at_once() {
    let dir = folder();
    let target = |name: &str| dir.path().join(name);
    for output in ["a.summary.md", "b.summary.md"] {
        let mut left = RealDisk.create(dir.path(), &tag(&target(output)), Audience::ANYBODY).expect("a temporary");
        left.disable_cleanup(true);
    }
    assert_eq!(remove_leftovers(dir.path(), &[target("a.run.json"), target("a.summary.md")], SystemTime::now()), 1);
    assert_eq!(remove_leftovers(dir.path(), &[target("a.summary.md")], SystemTime::now()), 0);
    assert_eq!(remove_leftovers(dir.path(), &[target("b.summary.md")], SystemTime::now()), 1);
}

#[test]
fn leftovers_are_removed_once_they_are_old() {
    let dir = folder();
    for name in [".meetcap-output-x1.tmp", ".meetcap-output-x2", "notes.tmp"] {
        fs::write(dir.path().join(name), "x").expect("written");
    }
    let written = fs::metadata(dir.path().join("notes.tmp")).and_then(|m| m.modified()).expect("a time");
    assert_eq!(remove_leftovers(dir.path(), &[], written + Duration::from_secs(60)), 0);
    assert_eq!(remove_leftovers(dir.path(), &[], written + 2 * ABANDONED_AFTER), 1);
    assert_eq!(names_in(dir.path()), [".meetcap-output-x2", "notes.tmp"]);
    assert_eq!(remove_leftovers(&dir.path().join("none"), &[], written), 0);
}

#[test]
fn every_message_names_the_path_and_a_remedy() {
    for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
        let error = OutputError::File { path: "/m/a.txt".into(), source: kind.into() };
        assert!(error.to_string().contains("/m/a.txt") && error.to_string().contains("-o"), "{error}");
    }
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Create,
    Write,
    KeepPermissions,
    SyncFile,
    Rename,
    SyncFolder,
    Remove,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    /// The number of the temporary, which is that of the output.
    File(usize),
    Folder(PathBuf),
}

/// When and how an operation fails.
#[derive(Debug, Clone, Copy)]
struct Fault {
    /// `None` counts operations of every kind.
    op: Option<Op>,
    nth: usize,
    for_good: bool,
    errno: i32,
    /// Of a failing write so many parts of eight reach the file; a rename or removal that gets any is done.
    eighths: usize,
    /// The first failing write gives no error, but the count of what was written: a disk just getting full.
    short: bool,
}

#[derive(Debug, Default)]
struct State {
    /// With the operations that each has counted.
    faults: Vec<(Fault, usize)>,
    temporaries: usize,
    /// All operations in order, and whether they went well.
    events: Vec<(Op, At, bool)>,
}

/// Real files in real folders, less the time that syncing takes. Clones are the same disk.
#[derive(Debug, Clone, Default)]
struct FaultyDisk(Rc<RefCell<State>>);

/// Never removes itself: commit has to.
#[derive(Debug)]
struct Temporary {
    real: NamedTempFile,
    number: usize,
    disk: FaultyDisk,
}

impl FaultyDisk {
    fn new(faults: &[Fault]) -> Self {
        let faults = faults.iter().map(|fault| (*fault, 0)).collect();
        Self(Rc::new(RefCell::new(State { faults, ..State::default() })))
    }

    /// Notes an operation. If it is to fail, how, with the parts of eight that are to be done even so.
    fn strikes(&self, op: Op, at: At) -> Result<(), (io::Result<()>, usize)> {
        let mut state = self.0.borrow_mut();
        let mut struck = None;
        for (fault, count) in &mut state.faults {
            if fault.op.is_none_or(|wanted| wanted == op) {
                if *count == fault.nth || (fault.for_good && *count > fault.nth) {
                    let short = fault.short && op == Op::Write && *count == fault.nth;
                    struck = struck.or(Some((*fault, short)));
                }
                *count += 1;
            }
        }
        let well = struck.is_none_or(|(fault, short)| short && fault.eighths > 0);
        state.events.push((op, at, well));
        let Some((fault, short)) = struck else { return Ok(()) };
        let outcome = if short { Ok(()) } else { Err(io::Error::from_raw_os_error(fault.errno)) };
        Err((outcome, fault.eighths))
    }

    /// For operations that are not done at all when they fail.
    fn passes(&self, op: Op, at: At) -> io::Result<()> {
        self.strikes(op, at).or_else(|(outcome, _)| outcome)
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (outcome, eighths) = self.disk.strikes(Op::Write, At::File(self.number)).err().unwrap_or((Ok(()), 8));
        let count = bytes.len() * eighths / 8;
        self.real.write_all(&bytes[..count])?;
        outcome.map(|()| count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.real.flush()
    }
}

impl Disk for FaultyDisk {
    type Temporary = Temporary;

    fn create(&self, dir: &Path, tag: &str, audience: Audience) -> io::Result<Temporary> {
        let number = self.0.borrow().temporaries;
        self.passes(Op::Create, At::File(number))?;
        self.0.borrow_mut().temporaries += 1;
        let mut real = RealDisk.create(dir, tag, audience)?;
        real.disable_cleanup(true);
        Ok(Temporary { real, number, disk: self.clone() })
    }

    fn keep_permissions(&self, temporary: &Temporary, existing: &Metadata, audience: Audience) -> io::Result<()> {
        self.passes(Op::KeepPermissions, At::File(temporary.number))?;
        RealDisk.keep_permissions(&temporary.real, existing, audience)
    }

    fn sync_file(&self, temporary: &Temporary) -> io::Result<()> {
        self.passes(Op::SyncFile, At::File(temporary.number))
    }

    fn rename(&self, temporary: Temporary, target: &Path) -> Result<(), (io::Error, Temporary)> {
        match self.strikes(Op::Rename, At::File(temporary.number)) {
            Err((Err(error), eighths)) => {
                if eighths > 0 {
                    fs::rename(temporary.real.path(), target).expect("renamed");
                }
                Err((error, temporary))
            }
            _ => {
                RealDisk.rename(temporary.real, target).map_err(|(error, _)| error).expect("renamed");
                Ok(())
            }
        }
    }

    fn sync_folder(&self, dir: &Path) -> io::Result<()> {
        self.passes(Op::SyncFolder, At::Folder(dir.to_owned()))
    }

    fn remove(&self, temporary: &mut Temporary) -> io::Result<()> {
        let struck = self.strikes(Op::Remove, At::File(temporary.number));
        if struck.as_ref().err().is_none_or(|(_, eighths)| *eighths > 0) {
            RealDisk.remove(&mut temporary.real)?;
        }
        struck.or_else(|(outcome, _)| outcome)
    }
}

/// A set of outputs.
#[derive(Debug, Clone, Copy)]
struct Layout {
    files: usize,
    folders: usize,
    /// One bit for each target that is there before.
    existing: usize,
}

impl Layout {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for files in 1..=4 {
            for folders in 1..=files.min(2) {
                for existing in [0b0000, 0b0101, 0b1111].into_iter().filter(|bits| files > 1 || bits & 2 == 0) {
                    all.push(Self { files, folders, existing });
                }
            }
        }
        all
    }

    fn old(self, number: usize) -> Option<String> {
        (self.existing >> number & 1 == 1).then(|| format!("{number}, as it was before, longer than what is to come"))
    }

    /// What an undisturbed commit does, a file's writes counted as one.
    fn plan(self, dirs: &[PathBuf]) -> Vec<(Op, At)> {
        let mut plan = Vec::new();
        for number in 0..self.files {
            plan.push((Op::Create, At::File(number)));
            // Before there is anything to read in it.
            plan.extend(self.old(number).map(|_| (Op::KeepPermissions, At::File(number))));
            plan.extend([Op::Write, Op::SyncFile].map(|op| (op, At::File(number))));
        }
        plan.extend((0..self.files).map(|number| (Op::Rename, At::File(number))));
        plan.extend(dirs.iter().map(|dir| (Op::SyncFolder, At::Folder(dir.clone()))));
        plan
    }
}

/// Whether the first of the faults has struck.
fn disturbed(layout: Layout, faults: &[Fault]) -> bool {
    let root = folder();
    let dirs: Vec<PathBuf> = (0..layout.folders).map(|number| root.path().join(number.to_string())).collect();
    dirs.iter().for_each(|dir| fs::create_dir(dir).expect("created"));
    let file =
        |number: usize| (dirs[number % dirs.len()].join(format!("{number}.txt")), format!("{number}, all of it new"));
    let files: Vec<(PathBuf, String)> = (0..layout.files).map(file).collect();
    for (number, (path, _)) in files.iter().enumerate() {
        layout.old(number).into_iter().for_each(|old| fs::write(path, old).expect("written"));
    }
    let others = || {
        let paths = dirs.iter().flat_map(|dir| names_in(dir).into_iter().map(|name| dir.join(name)));
        paths.filter(|path| files.iter().all(|(target, _)| target != path)).collect::<Vec<_>>()
    };

    let disk = FaultyDisk::new(faults);
    let result = commit_on(&disk, Audience::ANYBODY, &files);

    // Operations up to the first failure are as planned, all synced before the first rename; then only removals.
    let events = disk.0.take().events;
    let failed = events.iter().position(|(.., well)| !well);
    let (done, after) = events.split_at(failed.map_or(events.len(), |at| at + 1));
    assert!(after.iter().all(|(op, ..)| *op == Op::Remove), "{events:?}");
    let mut done: Vec<(Op, At)> = done.iter().map(|(op, at, _)| (*op, at.clone())).collect();
    done.dedup();
    let plan = layout.plan(&dirs);
    assert!(plan.starts_with(&done), "{events:?}");

    let new = match (&result, failed.map(|at| &events[at])) {
        (Ok(()), None) => {
            assert_eq!(done.len(), plan.len());
            layout.files
        }
        (Err(OutputError::File { path, source }), Some((op, At::File(number), _))) => {
            assert_eq!(*path, files[*number].0);
            let told = source.raw_os_error() == Some(faults[0].errno) || source.kind() == ErrorKind::WriteZero;
            assert!(told, "{source:?}");
            if *op == Op::Rename { number + usize::from(faults[0].eighths > 0) } else { 0 }
        }
        (Err(OutputError::Folder { dir, source }), Some((Op::SyncFolder, At::Folder(synced), _))) => {
            assert_eq!((dir, source.raw_os_error()), (synced, Some(faults[0].errno)));
            layout.files
        }
        other => panic!("{other:?}"),
    };
    for (number, (path, content)) in files.iter().enumerate() {
        let expected = if number < new { Some(content.clone()) } else { layout.old(number) };
        assert_eq!(fs::read_to_string(path).ok(), expected, "{}", path.display());
    }

    let stubborn = faults.iter().any(|fault| fault.for_good && fault.op.is_none_or(|op| op == Op::Remove));
    let ours = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    };
    assert!(others().iter().all(|path| stubborn && ours(path)), "{:?}", others());

    commit_on(&FaultyDisk::default(), Audience::ANYBODY, &files).expect("committed on a disk that is whole again");
    assert!(files.iter().all(|(path, content)| read(path) == *content));
    let (left, much_later) = (others().len(), SystemTime::now() + 2 * ABANDONED_AFTER);
    assert_eq!(dirs.iter().map(|dir| remove_leftovers(dir, &[], much_later)).sum::<usize>(), left);
    assert!(others().is_empty(), "{:?}", others());
    failed.is_some() || result.is_ok() && events.len() > plan.len()
}

/// Every fault on one set of outputs; gives the number of cases.
fn disturbed_in_every_way(layout: Layout) -> usize {
    use Op::{Create, KeepPermissions, Remove, Rename, SyncFile, SyncFolder, Write};
    let ops = [Create, Write, KeepPermissions, SyncFile, Rename, SyncFolder].map(Some);
    let whole = [(EIO, 0, false), (ENOSPC, 0, false)];
    let partial = [(EIO, 8, false), (ENOSPC, 4, false)];
    let short = [(ENOSPC, 0, true), (ENOSPC, 1, true), (ENOSPC, 7, true)];
    let mut cases = 0;
    let mut at_any_time = |first: Fault, second: Option<Fault>| {
        for nth in 0.. {
            let faults: Vec<Fault> = [Fault { nth, ..first }].into_iter().chain(second).collect();
            let struck = catch_unwind(AssertUnwindSafe(|| disturbed(layout, &faults)));
            assert!(struck.is_ok(), "{layout:?}, {faults:?}");
            cases += 1;
            if !struck.unwrap_or_default() {
                break;
            }
        }
    };
    for op in ops.into_iter().chain([None]) {
        let partial = partial.iter().filter(|_| op.is_none_or(|op| matches!(op, Write | Rename)));
        let short = short.iter().filter(|_| op.is_none_or(|op| op == Write));
        for (errno, eighths, short) in whole.iter().chain(partial).chain(short).copied() {
            // One failure of any operation is one of a certain operation.
            for for_good in [true, false].into_iter().take(1 + usize::from(op.is_some())) {
                at_any_time(Fault { op, nth: 0, for_good, errno, eighths, short }, None);
            }
        }
    }
    // The clearing up fails as well.
    for op in ops {
        let first = Fault { op, nth: 0, for_good: false, errno: ENOSPC, eighths: 4, short: false };
        for (nth, for_good, eighths) in [(0, false, 0), (0, false, 8), (1, false, 0), (0, true, 0), (1, true, 0)] {
            let second = Fault { op: Some(Remove), nth, for_good, errno: EIO, eighths, short: false };
            at_any_time(first, Some(second));
        }
    }
    cases
}

#[test]
fn whatever_fails_each_file_is_whole_and_no_temporary_stays() {
    let cases: usize = std::thread::scope(|scope| {
        let sets: Vec<_> =
            Layout::all().into_iter().map(|layout| scope.spawn(move || disturbed_in_every_way(layout))).collect();
        sets.into_iter().map(|set| set.join().expect("as promised")).sum()
    });
    assert!(cases > 5000, "{cases}");
}
