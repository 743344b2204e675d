//! The bundled recording and models: compressed inside the program, written to the user's cache folder on
//! first use and checked there on every use. A user without a folder to write to, such as a service's or a container's,
//! has them among the temporary files for as long as the program runs.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use etcetera::BaseStrategy;
use meetcap_supervisor::models::digest::Digest;
use meetcap_supervisor::{ExitCode, Model};
use tempfile::TempDir;

use super::Refusal;

/// A file inside the program.
pub(crate) struct Bundled {
    name: &'static str,
    pub(crate) packed: &'static [u8],
    compressed: bool,
    sha256: &'static str,
}

// Statics: a constant would lie in the program once for each use.
static STT: Bundled = Bundled {
    name: "demo-stt-q5_0.bin",
    packed: include_bytes!("../../../demo/demo-stt-q5_0.bin.zst"),
    compressed: true,
    sha256: "54e4ea19533e530ade40886bde296f3184091728a0c83a0958ad2e32aa6cbf66",
};
static LLM: Bundled = Bundled {
    name: "demo-llm-q8_0.gguf",
    packed: include_bytes!("../../../demo/demo-llm-q8_0.gguf.zst"),
    compressed: true,
    sha256: "18524d9223c2ddefba9f5229428d569e3ae22cbfcbdd0784c9f13cf236b4104a",
};
pub(crate) static RECORDING: Bundled = Bundled {
    name: "meeting.flac",
    packed: include_bytes!("../../../demo/meeting.flac"),
    compressed: false,
    sha256: "893f83d1f88aa20d07f1336ea8eb9790853e8e3a9f7e19734f9d28a0884fba71",
};

/// Everything the demo needs, on disk.
pub(crate) struct Material {
    pub(crate) recording: PathBuf,
    pub(crate) stt: Model,
    pub(crate) llm: Model,
}

/// All that is bundled, as it lies in the program.
pub(crate) fn packed() -> [&'static [u8]; 3] {
    [&STT, &LLM, &RECORDING].map(|bundled| bundled.packed)
}

pub(crate) fn unpack() -> Result<Material, Refusal> {
    Ok(Material { recording: place(&RECORDING)?, stt: stt()?, llm: llm()? })
}

pub(crate) fn stt() -> Result<Model, Refusal> {
    Ok(Model::named("demo", place(&STT)?))
}

pub(crate) fn llm() -> Result<Model, Refusal> {
    Ok(Model::named("demo", place(&LLM)?))
}

/// Used when the cache folder cannot be. Its name is new each time: of a name that others could know, they could make a
/// folder of theirs.
static TEMPORARY: Mutex<Option<TempDir>> = Mutex::new(None);

/// Removes what was unpacked among the temporary files.
pub(crate) fn clean_up() {
    // A static is not dropped when the program ends.
    drop(TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// The file in the cache folder, written there if it is not, or not as it should be.
fn place(file: &Bundled) -> Result<PathBuf, Refusal> {
    let Some(folder) = cache_folder() else { return place_temporarily(file) };
    match place_in(&folder, file) {
        Err(error) if error.kind() == ErrorKind::StorageFull => Err(refused(&folder, &error)),
        Err(_) => place_temporarily(file),
        Ok(path) => Ok(path),
    }
}

fn place_temporarily(file: &Bundled) -> Result<PathBuf, Refusal> {
    let mut temporary = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = match &mut *temporary {
        Some(folder) => folder,
        none => {
            let made = tempfile::Builder::new().prefix("meetcap-demo-").tempdir();
            none.insert(made.map_err(|error| refused(&std::env::temp_dir(), &error))?)
        }
    };
    place_in(folder.path(), file).map_err(|error| refused(folder.path(), &error))
}

fn refused(folder: &Path, error: &io::Error) -> Refusal {
    let folder = folder.display();
    let message =
        format!("cannot unpack the demo into {folder}: {error}; set XDG_CACHE_HOME to a folder that can be written");
    Refusal::new(ExitCode::Output, message)
}

fn place_in(folder: &Path, file: &Bundled) -> io::Result<PathBuf> {
    let path = folder.join(file.name);
    if !hash_of(&path).is_ok_and(|hash| hash == file.sha256) {
        write(file, folder, &path)?;
    }
    Ok(path)
}

/// None for a user without a home.
fn cache_folder() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    Some(strategy.cache_dir().join("meetcap").join("demo"))
}

fn write(file: &Bundled, folder: &Path, path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut temporary = tempfile::Builder::new().prefix(".unpack-").tempfile_in(folder)?;
    if file.compressed {
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(file.packed).map_err(io::Error::other)?;
        io::copy(&mut decoder, &mut temporary)?;
    } else {
        temporary.write_all(file.packed)?;
    }
    temporary.as_file().sync_all()?;
    if hash_of(temporary.path())? != file.sha256 {
        return Err(io::Error::other("what was unpacked is not what was packed; the disk or the program is damaged"));
    }
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn hash_of(path: &Path) -> io::Result<String> {
    Digest::of(File::open(path)?, |_| Ok(())).map(|digest| digest.to_string())
}
