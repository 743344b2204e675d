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

#[test]
fn leftovers_are_removed_once_they_are_old() {
    let dir = folder();
    for name in [".meetcap-output-x1.tmp", ".meetcap-output-x2", "notes.tmp"] {
        fs::write(dir.path().join(name), "x").expect("written");
    }
    let written = fs::metadata(dir.path().join("notes.tmp")).and_then(|m| m.modified()).expect("a time");
    assert_eq!(remove_leftovers(dir.path(), written + Duration::from_secs(60)), 0);
    assert_eq!(remove_leftovers(dir.path(), written + 2 * ABANDONED_AFTER), 1);
    assert_eq!(names_in(dir.path()), [".meetcap-output-x2", "notes.tmp"]);
    assert_eq!(remove_leftovers(&dir.path().join("none"), written), 0);
}

#[test]
fn every_message_names_the_path_and_a_remedy() {
    for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
        let error = OutputError::File { path: "/m/a.txt".into(), source: kind.into() };
        assert!(error.to_string().contains("/m/a.txt") && error.to_string().contains("-o"), "{error}");
    }
}
