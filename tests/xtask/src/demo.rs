//! `cargo xtask demo`: from nothing to a transcript and a summary of the bundled recording, and a judgement of both.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::binaries::{SUPERVISOR, WORKERS};
use crate::checks;
use crate::ledger;
use crate::leftovers;
use crate::run::Step;
use crate::wer::word_errors;
use crate::workspace::Workspace;

/// What is said in the bundled recording.
const SPOKEN: &str = "supervisor/demo/meeting.txt";

/// More wrong words than this, in percent, and something is broken: the bundled model makes none.
const WORD_ERRORS_ALLOWED: f64 = 2.0;

/// The supervisor's exit code, or 1 when it says all is well and it is not.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode, String> {
    for program in [WORKERS[0], WORKERS[1], SUPERVISOR] {
        checks::build(workspace, program)?;
    }
    let folder = fresh_folder("demo")?;
    let before = leftovers::processes();
    println!();
    let status = Step::new(workspace.program(SUPERVISOR)).args(["demo", "-o"]).args([&folder]).status()?;
    let left = leftovers::left_behind(&before, &leftovers::processes());
    if !left.is_empty() {
        eprintln!("xtask: workers outlived the supervisor: {left:?}");
    }
    if !status.success() {
        eprintln!("xtask: the demo failed ({status}); what it wrote is in {}", folder.display());
        return Ok(ExitCode::from(code_of(status)));
    }
    let good = show(workspace, &folder)?;
    Ok(if good && left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A signal has no code; 1 is what is left to say.
fn code_of(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// A new folder among the temporary ones.
pub(crate) fn fresh_folder(purpose: &str) -> Result<PathBuf, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("meetcap-{purpose}-{}-{}", std::process::id(), now.as_millis());
    let folder = std::env::temp_dir().join(name);
    // Not `create_dir_all`: a folder that is there already is somebody else's.
    std::fs::create_dir(&folder).map_err(|cause| format!("{} could not be made: {cause}", folder.display()))?;
    Ok(folder)
}

/// Shows what the supervisor has not shown (it writes out the transcript and the summary as they come); false when too
/// many words are wrong.
fn show(workspace: &Workspace, folder: &Path) -> Result<bool, String> {
    let transcript = output(folder, ".transcript.txt")?;
    output(folder, ".summary.md")?;
    println!(
        "\n== time and memory of each worker process (the ledger has more: {})",
        path(folder, ".run.json")?.display()
    );
    let phases = ledger::phases(&output(folder, ".run.json")?);
    for line in ledger::table(&phases) {
        println!("  {line}");
    }
    if phases.is_empty() {
        println!("  the ledger names none");
    }
    println!("  peak: memory the worker allocated; resident: with mapped files, such as its own code;");
    println!("  after: what was left in use when the worker was gone, which is the supervisor alone");
    println!("\n== transcript compared with what was said ({SPOKEN})");
    let good = is_what_was_said(workspace, &transcript)?;
    if good {
        println!("\nThe demo works; its files are in {}", folder.display());
    }
    Ok(good)
}

/// Whether a transcript of the bundled recording is good enough.
pub(crate) fn is_what_was_said(workspace: &Workspace, transcript: &str) -> Result<bool, String> {
    judge(&read(&workspace.root.join(SPOKEN))?, transcript)
}

fn judge(spoken: &str, transcript: &str) -> Result<bool, String> {
    let errors = word_errors(spoken, &without_speakers(transcript));
    let percent = errors.percent().ok_or_else(|| format!("{SPOKEN} has no words"))?;
    println!(
        "  word error rate {percent:.2} % ({} of {} words wrong; at most {WORD_ERRORS_ALLOWED} % allowed)",
        errors.wrong, errors.of
    );
    let good = percent <= WORD_ERRORS_ALLOWED;
    if !good {
        eprintln!("xtask: the transcript differs too much from {SPOKEN}");
    }
    Ok(good)
}

fn file_names(folder: &Path) -> Result<Vec<String>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|cause| format!("{} could not be read: {cause}", folder.display()))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// The text of the one file whose name ends so.
fn output(folder: &Path, ending: &str) -> Result<String, String> {
    read(&path(folder, ending)?)
}

fn path(folder: &Path, ending: &str) -> Result<PathBuf, String> {
    let names = file_names(folder)?;
    let name = names.iter().find(|name| name.ends_with(ending));
    let name = name.ok_or_else(|| format!("the demo left no `*{ending}` in {}", folder.display()))?;
    Ok(folder.join(name))
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|cause| format!("{} could not be read: {cause}", file.display()))
}

/// `[Speaker 1]: good morning` was said without its label.
fn without_speakers(transcript: &str) -> String {
    let said = |line: &str| match line.split_once("]: ") {
        Some((label, said)) if label.starts_with("[Speaker ") => said.to_owned(),
        _ => line.to_owned(),
    };
    transcript.lines().map(said).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaker_labels_are_not_words() {
        assert_eq!(without_speakers("[Speaker 2]: we meet\n[aside]: on Monday"), "we meet\n[aside]: on Monday");
    }

    #[test]
    fn one_wrong_word_in_a_hundred_passes_and_three_do_not() {
        let spoken = "word ".repeat(100);
        assert_eq!(judge(&spoken, &spoken.replacen("word", "ward", 1)), Ok(true));
        assert_eq!(judge(&spoken, &spoken.replacen("word", "ward", 3)), Ok(false));
        assert!(judge("", "word").is_err());
    }

    #[test]
    fn an_output_that_is_not_there_is_named() {
        let folder = fresh_folder("test").expect("a folder in the temporary one");
        assert!(output(&folder, ".summary.md").is_err_and(|why| why.contains("*.summary.md")));
        std::fs::write(folder.join("meeting.summary.md"), "text").expect("writable");
        assert_eq!(output(&folder, ".summary.md").as_deref(), Ok("text"));
        std::fs::remove_dir_all(&folder).expect("removable");
    }
}
