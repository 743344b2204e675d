use std::fs;

use super::*;
use crate::models::digest::Digest;
use crate::models::vad::tests::silero;
use crate::stop::Stop;

struct Place {
    _folder: tempfile::TempDir,
    elsewhere: PathBuf,
    store: Store,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    Place { store: Store::new(folder.path().join("models")), elsewhere, _folder: folder }
}

fn add(store: &Store, given: &Path, how: How) -> Result<Installed, StoreError> {
    store.add(given, how, &Stop::default(), |_| {})
}

/// How a cache of the hub keeps its files.
#[cfg(unix)]
#[test]
fn what_a_link_leads_to_is_taken_in_and_stays_when_the_link_goes() {
    let Place { elsewhere, store, .. } = &place();
    fs::write(elsewhere.join("0123"), silero()).expect("written");
    let link = elsewhere.join("vad.bin");
    std::os::unix::fs::symlink("0123", &link).expect("linked");
    let came = add(store, &link, How::Keep).expect("it is a model");
    assert_eq!((came.file.as_str(), came.kind), ("vad.bin", Kind::Detector));
    fs::remove_file(elsewhere.join("0123")).expect("removed");
    assert_eq!(fs::read(&came.path).expect("it is here"), silero());
}

#[test]
fn a_file_that_somebody_put_here_meanwhile_is_not_replaced() {
    let Place { store, .. } = &place();
    let lock = store.lock("vad.bin").expect("free");
    let (part, path) = (store.folder().join(".vad.bin.part"), store.folder().join("vad.bin"));
    fs::write(&part, silero()).expect("written");
    fs::write(&path, "somebody's").expect("written");
    let digest = Digest::of(&silero()[..], |_| Ok(())).expect("read");
    let pin = Pin::new("vad", "https://hub.example/vad.bin", Bytes(silero().len() as u64), digest, true);
    let failed = store.arrive(&part, "vad.bin", None, pin, &lock);
    assert!(matches!(failed, Err(StoreError::Another { .. })), "{failed:?}");
    assert_eq!(fs::read(&path).expect("it is here"), b"somebody's");
    assert!(Pin::of(&path).is_none(), "the pin of another file");
}

#[test]
fn the_account_of_a_fetch_goes_with_what_was_fetched() {
    let Place { elsewhere, store, .. } = &place();
    let given = elsewhere.join("vad.bin");
    fs::write(&given, silero()).expect("written");
    fs::create_dir(store.folder()).expect("made");
    let left = [".vad.bin.part", ".vad.bin.part.json"].map(|name| store.folder().join(name));
    left.iter().for_each(|left| fs::write(left, "half").expect("written"));
    add(store, &given, How::Keep).expect("it is a model");
    assert_eq!(left.map(|left| left.exists()), [false; 2]);
}

#[test]
fn a_second_fetch_of_one_file_is_told_who_has_it_and_names_lead_nowhere_else() {
    let Place { store, .. } = &place();
    let lock = store.lock("vad.bin").expect("free");
    let second = store.lock("vad.bin").expect_err("it is held");
    assert!(matches!(second, StoreError::Busy { pid: Some(pid), .. } if pid == std::process::id()), "{second}");
    drop(lock);
    store.lock("vad.bin").expect("free again");
    for name in ["", ".", "..", "../a", "a/b", "a\\b", ".hidden", "c:a"] {
        assert!(matches!(store.path(name), Err(StoreError::Name { .. })), "{name}");
    }
}

#[test]
fn a_changed_byte_is_found_and_what_is_removed_leaves_nothing() {
    let Place { elsewhere, store, .. } = &place();
    let given = elsewhere.join("vad.bin");
    fs::write(&given, silero()).expect("written");
    let came = add(store, &given, How::Keep).expect("it is a model");
    let verify = || store.verify(&came, None, &Stop::default(), |_| {}).expect("read");
    assert!(matches!(verify(), Verdict::Good(_)));
    let mut changed = silero();
    *changed.last_mut().expect("not empty") = 1;
    fs::write(&came.path, changed).expect("written");
    assert!(matches!(verify(), Verdict::Changed { .. }));
    store.remove("vad.bin").expect("it is here");
    assert_eq!(fs::read_dir(store.folder()).expect("a folder").count(), 0);
    assert!(matches!(store.remove("vad.bin"), Err(StoreError::Absent { .. })));
}
