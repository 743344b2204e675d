//! The command line: a word, and an option or two.

use std::path::PathBuf;

/// May a missing tool be installed, or only be named?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Install {
    Allowed,
    OnlyCheck,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Setup(Install),
    Demo(Install),
    Test(Install),
    Picture { install: Install, out: Option<PathBuf> },
}

pub(crate) const USAGE: &str = "\
Set-up, demo, checks and a picture for meetcap-supervisor.

usage: cargo xtask <command> [options]

commands:
  demo     build the three programs, run the bundled recording and models, judge the results
  test     every check: format, builds, lints, boundaries, tests, documentation
  setup    install what `demo` and `test` need (CMake, make, a C++ compiler, libclang, ffmpeg, espeak-ng, sox, Python)
  picture  run the built programs, measure their memory from outside, draw it as an SVG (Linux only)
  help     this text

options:
  --no-install    only check what is there; name what is missing and stop
  --out FILE      where `picture` goes; supervisor/docs/memory.svg when not given

examples:
  cargo xtask demo                  from a fresh clone to a transcript and a summary
  cargo xtask test                  what CI runs
  cargo xtask setup --no-install    is this machine ready?
";

pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    let mut word = None;
    let mut install = Install::Allowed;
    let mut out = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--no-install" => install = Install::OnlyCheck,
            "--out" => out = Some(PathBuf::from(arguments.next().ok_or("`--out` needs a file behind it")?)),
            "-h" | "--help" => return Ok(Command::Help),
            flag if flag.starts_with('-') => return Err(format!("unknown option `{flag}`")),
            _ if word.is_some() => return Err(format!("one command at a time: `{argument}` is one too many")),
            _ => word = Some(argument),
        }
    }
    if out.is_some() && word.as_deref() != Some("picture") {
        return Err("`--out` goes with `picture` only".to_owned());
    }
    match word.as_deref() {
        None => Err("which command?".to_owned()),
        Some("help") => Ok(Command::Help),
        Some("setup") => Ok(Command::Setup(install)),
        Some("demo") => Ok(Command::Demo(install)),
        Some("test") => Ok(Command::Test(install)),
        Some("picture") => Ok(Command::Picture { install, out }),
        Some(other) => Err(format!("unknown command `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_command_is_understood_with_the_flag_on_either_side() {
        assert_eq!(parsed("demo"), Ok(Command::Demo(Install::Allowed)));
        assert_eq!(parsed("test --no-install"), Ok(Command::Test(Install::OnlyCheck)));
        assert_eq!(parsed("--no-install setup"), Ok(Command::Setup(Install::OnlyCheck)));
        assert_eq!(parsed("help"), Ok(Command::Help));
        assert_eq!(parsed("test --help"), Ok(Command::Help));
    }

    #[test]
    fn a_picture_goes_where_it_is_told() {
        let picture = |out: Option<&str>| Command::Picture { install: Install::Allowed, out: out.map(PathBuf::from) };
        assert_eq!(parsed("picture"), Ok(picture(None)));
        assert_eq!(parsed("picture --out a.svg"), Ok(picture(Some("a.svg"))));
        assert!(parsed("picture --out").is_err_and(|why| why.contains("`--out` needs")));
        assert!(parsed("demo --out a.svg").is_err_and(|why| why.contains("`picture` only")));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(parsed("").is_err_and(|why| why.contains("which command")));
        assert!(parsed("tset").is_err_and(|why| why.contains("`tset`")));
        assert!(parsed("test --fast").is_err_and(|why| why.contains("`--fast`")));
        assert!(parsed("test demo").is_err_and(|why| why.contains("`demo`")));
    }
}
