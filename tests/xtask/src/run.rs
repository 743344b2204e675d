//! Running another program: what is run is printed first, and a failure says what failed.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A program about to be run.
#[derive(Debug)]
pub(crate) struct Step {
    command: Command,
    line: String,
}

impl Step {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let line = shown(program.as_ref());
        Self { command: Command::new(program), line }
    }

    /// Cargo as it was called, freed from what `cargo run` adds for the package it runs: a build script that asks for
    /// one of these would otherwise run again, and the engines take minutes.
    pub(crate) fn cargo(root: &Path) -> Self {
        let mut step = Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        "cargo".clone_into(&mut step.line);
        for (name, _) in std::env::vars_os() {
            if is_about_the_running_package(&name) {
                step.command.env_remove(name);
            }
        }
        step.command.current_dir(root);
        step
    }

    /// Arguments in one line, separated by blanks.
    pub(crate) fn words(self, words: &str) -> Self {
        self.args(words.split_whitespace())
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        for argument in arguments {
            self.line.push(' ');
            self.line.push_str(&shown(argument.as_ref()));
            self.command.arg(argument);
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.line = format!("{name}={} {}", shown(value.as_ref()), self.line);
        self.command.env(name, value);
        self
    }

    /// Without the variables of this process whose names are so.
    pub(crate) fn without(mut self, is_unwanted: impl Fn(&str) -> bool) -> Self {
        for (name, _) in std::env::vars_os() {
            if is_unwanted(&name.to_string_lossy()) {
                self.command.env_remove(name);
            }
        }
        self
    }

    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// Runs it with this terminal as its own.
    pub(crate) fn status(mut self) -> Result<ExitStatus, String> {
        println!("$ {}", self.line);
        self.command.status().map_err(|cause| format!("`{}` could not be started: {cause}", self.line))
    }

    /// Runs it with this terminal as its own; anything but success is a failure.
    pub(crate) fn succeed(self) -> Result<(), String> {
        let line = self.line.clone();
        judged(&line, self.status()?)
    }

    /// What it writes on stdout, without showing it.
    pub(crate) fn output(mut self) -> Result<String, String> {
        let output = self.command.stdin(Stdio::null()).stderr(Stdio::piped()).output();
        let output = output.map_err(|cause| format!("`{}` could not be started: {cause}", self.line))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{}` failed ({}): {}", self.line, output.status, said.trim()))
    }

    /// What it writes on stdout, whatever it ends with.
    pub(crate) fn said(mut self) -> Result<String, String> {
        let output = self.command.stdin(Stdio::null()).stderr(Stdio::null()).output();
        let output = output.map_err(|cause| format!("`{}` could not be started: {cause}", self.line))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What it complains about on stderr while it succeeds.
    pub(crate) fn complaints(mut self) -> Result<String, String> {
        let output = self.command.stdin(Stdio::null()).stdout(Stdio::null()).output();
        let output = output.map_err(|cause| format!("`{}` could not be started: {cause}", self.line))?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(format!("`{}` failed ({}): {said}", self.line, output.status))
        }
    }

    /// Shows stdout line by line and hands each line to `watch`; the status is the caller's to judge.
    pub(crate) fn tee(mut self, watch: impl FnMut(&str)) -> Result<Result<(), String>, String> {
        self.command.stdout(Stdio::piped());
        self.watched(watch, |child| child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read>))
    }

    /// The same with stderr.
    pub(crate) fn tee_stderr(mut self, watch: impl FnMut(&str)) -> Result<Result<(), String>, String> {
        self.command.stderr(Stdio::piped());
        self.watched(watch, |child| child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read>))
    }

    fn watched(
        mut self,
        mut watch: impl FnMut(&str),
        stream: fn(&mut Child) -> Option<Box<dyn Read>>,
    ) -> Result<Result<(), String>, String> {
        println!("$ {}", self.line);
        let child = self.command.spawn();
        let mut child = child.map_err(|cause| format!("`{}` could not be started: {cause}", self.line))?;
        if let Some(stream) = stream(&mut child) {
            for line in BufReader::new(stream).split(b'\n') {
                let line = line.map_err(|cause| format!("what `{}` says could not be read: {cause}", self.line))?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                watch(&line);
            }
        }
        let status = child.wait().map_err(|cause| format!("`{}` could not be waited for: {cause}", self.line))?;
        Ok(judged(&self.line, status))
    }
}

fn judged(line: &str, status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}

fn is_about_the_running_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "CARGO_BIN_NAME"
}

/// An argument as a shell would want it.
fn shown(argument: &OsStr) -> String {
    let text = argument.to_string_lossy();
    if text.contains([' ', '"', '$', '*']) { format!("'{text}'") } else { text.into_owned() }
}

/// Is there a program of this name on PATH?
pub(crate) fn on_path(program: &str) -> bool {
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&path).any(|folder| is_executable(&folder.join(&file)))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_shown_as_it_would_be_typed() {
        let step = Step::new("cargo").words("build  --release").args(["two words"]).env("FLAGS", "-D warnings");
        assert_eq!(step.line(), "FLAGS='-D warnings' cargo build --release 'two words'");
    }

    #[test]
    fn only_the_variables_of_the_running_package_are_removed() {
        assert!(is_about_the_running_package(OsStr::new("CARGO_PKG_NAME")));
        assert!(is_about_the_running_package(OsStr::new("CARGO_MANIFEST_DIR")));
        assert!(!is_about_the_running_package(OsStr::new("CARGO_TARGET_DIR")));
        assert!(!is_about_the_running_package(OsStr::new("CARGO_TERM_COLOR")));
    }

    #[cfg(unix)]
    #[test]
    fn a_failing_program_is_a_failure_that_names_it() {
        let ran = Step::new("sh").args(["-c", "echo seen; exit 3"]).tee(|line| assert_eq!(line, "seen"));
        assert!(ran.is_ok_and(|judged| judged.is_err_and(|why| why.contains("sh -c") && why.contains('3'))));
        let mut seen = String::new();
        let ran = Step::new("sh").args(["-c", "echo out; echo err >&2"]).tee_stderr(|line| seen.push_str(line));
        assert!(ran.is_ok_and(|judged| judged.is_ok()) && seen == "err", "{seen}");
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_is_not_there_is_not_on_the_path() {
        assert!(on_path("sh"));
        assert!(!on_path("a-program-nobody-has"));
    }
}
