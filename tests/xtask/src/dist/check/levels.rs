//! Every level of the speech worker and every kind of ggml that runs on this processor gives the same text.

use std::path::Path;

use super::text::{Text, demo};
use crate::binaries::WORKERS;
use crate::dist::levels::LEVELS;
use crate::run::Step;

/// Aims the supervisor at each level; what was run, and what this processor has not.
pub(crate) fn speech(top: &Path, expected: &Text) -> Result<Vec<String>, String> {
    let supervisor = super::supervisor(top);
    let mut ran = Vec::new();
    let mut not_run = Vec::new();
    for level in LEVELS {
        let variable = ("MEETCAP_CPU_LEVEL", level.name);
        let wanted = if level.is_plain() { WORKERS[0].to_owned() } else { format!("{}-{}", WORKERS[0], level.name) };
        let doctor = Step::new("env").args(["-i", &format!("{}={}", variable.0, variable.1)]).args([&supervisor]);
        // Its exit code tells whether this machine is ready, which is not asked here.
        let picked = picked(&doctor.args(["doctor", "--json"]).said()?)?;
        if picked != wanted {
            not_run.push(level.name);
            continue;
        }
        demo(&supervisor, &[variable])?.compare(expected, level.name)?;
        ran.push(level.name);
    }
    let mut lines = vec![format!("the same text from the programs of {}", ran.join(", "))];
    if !not_run.is_empty() {
        lines.push(format!("not run, for this processor has less: {}", not_run.join(", ")));
    }
    if ran.is_empty() { Err("no level was run".to_owned()) } else { Ok(lines) }
}

/// The file name of the speech worker that `doctor` reports.
fn picked(doctor: &str) -> Result<String, String> {
    let json = crate::json::Json::parse(doctor)?;
    let worker = json.list("workers").iter().find(|worker| worker.text("program") == Some(WORKERS[0]));
    let path = worker.and_then(|worker| worker.text("path")).ok_or("`doctor` names no speech worker")?;
    Ok(Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// Leaves the summary worker one kind of ggml after the other.
pub(crate) fn summary(top: &Path, scratch: &Path, expected: &Text) -> Result<Vec<String>, String> {
    let kinds = kinds(&top.join("libexec/meetcap/ggml"));
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let (mut ran, mut not_run) = (Vec::new(), Vec::new());
    for kind in &kinds {
        let folder = scratch.join(format!("only {kind}"));
        link(top, &folder, &|name| !name.starts_with("libggml-cpu-") || name == file_of(kind))?;
        let worker = folder.join("libexec/meetcap").join(WORKERS[1]);
        match Step::new(worker).args(["--processor"]).output() {
            Ok(loaded) if loaded.trim() == kind => {
                demo(&super::supervisor(&folder), &[])?.compare(expected, kind)?;
                ran.push(kind.as_str());
            }
            Ok(loaded) => return Err(format!("with {kind} alone {:?} was loaded", loaded.trim())),
            // It says that there is no code for this processor.
            Err(why) if why.contains("can run") => not_run.push(kind.as_str()),
            Err(why) => return Err(why),
        }
    }
    let mut lines = vec![format!("the same text with ggml for {}", ran.join(", "))];
    if !not_run.is_empty() {
        lines.push(format!("not run, for this processor has less: ggml for {}", not_run.join(", ")));
    }
    not_of_others(top, scratch)?;
    lines.push("another llama.cpp in LD_LIBRARY_PATH is not taken".to_owned());
    let none = scratch.join("without ggml");
    link(top, &none, &|name| !name.starts_with("libggml-cpu-"))?;
    let worker = none.join("libexec/meetcap").join(WORKERS[1]);
    // Not even in the current folder, where ggml itself would look.
    let step =
        Step::new("env").args(["-C"]).args([top.join("libexec/meetcap/ggml")]).args([&worker]).args(["--version"]);
    match step.output() {
        Err(why) if why.contains("can run") => {}
        Err(why) => return Err(why),
        Ok(_) => return Err("the worker found code of ggml's that is not beside it".to_owned()),
    }
    lines.push("without them the worker says so, wherever it is started".to_owned());
    if ran.is_empty() { Err("no kind of ggml was run".to_owned()) } else { Ok(lines) }
}

/// What lies where the linker looks first, and cannot be loaded.
fn not_of_others(top: &Path, scratch: &Path) -> Result<(), String> {
    let others = scratch.join("others");
    let failed = |cause| format!("{} could not be written: {cause}", others.display());
    std::fs::create_dir(&others).map_err(failed)?;
    for name in ["libllama.so.0", "libggml.so.0", "libggml-base.so.0"] {
        std::fs::write(others.join(name), b"no library").map_err(failed)?;
    }
    let worker = top.join("libexec/meetcap").join(WORKERS[1]);
    Step::new(worker).env("LD_LIBRARY_PATH", &others).args(["--processor"]).output().map(drop)
}

fn file_of(kind: &str) -> String {
    format!("libggml-cpu-{kind}.so")
}

fn kinds(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut kinds: Vec<String> =
        names.filter_map(|name| Some(name.strip_prefix("libggml-cpu-")?.strip_suffix(".so")?.to_owned())).collect();
    kinds.sort();
    kinds
}

/// The same files below `to`, by hard links, without those whose names are not wanted.
fn link(from: &Path, to: &Path, wanted: &impl Fn(&str) -> bool) -> Result<(), String> {
    let failed = |cause| format!("{} could not be linked to {}: {cause}", from.display(), to.display());
    std::fs::create_dir_all(to).map_err(failed)?;
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let (path, target) = (entry.path(), to.join(&name));
        if path.is_dir() {
            link(&path, &target, wanted)?;
        } else if wanted(&name.to_string_lossy()) {
            std::fs::hard_link(&path, &target).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speech_worker_is_found_in_what_the_doctor_says() {
        let doctor = r#"{"workers": [{"program": "meetcap-worker-llm", "path": "/l"},
            {"program": "meetcap-worker-stt", "path": "/a/../meetcap-worker-stt-x86-64-v3"}]}"#;
        assert_eq!(picked(doctor).as_deref(), Ok("meetcap-worker-stt-x86-64-v3"));
        assert!(picked(r#"{"workers": []}"#).is_err());
    }
}
