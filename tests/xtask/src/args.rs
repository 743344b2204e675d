//! The command line: a word, and an option or two.

use std::path::PathBuf;

use crate::bench;
use crate::dist::Options as DistOptions;
use crate::soak::Options as SoakOptions;

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
    Picture {
        install: Install,
        out: Option<PathBuf>,
    },
    /// Everything is measured when no part is named.
    Bench {
        install: Install,
        parts: Vec<String>,
    },
    Criteria,
    Soak {
        install: Install,
        options: SoakOptions,
    },
    SoakRecording {
        install: Install,
        hours: u64,
        seed: Option<u64>,
    },
    Dist {
        install: Install,
        options: DistOptions,
    },
    /// Every target when none is named.
    Fuzz {
        install: Install,
        seconds: u64,
        targets: Vec<String>,
    },
}

/// How long a target is fed when nobody says.
const FUZZ_SECONDS: u64 = 60;

pub(crate) const USAGE: &str = "\
Set-up, demo, checks, measurements and a picture for meetcap-supervisor.

usage: cargo xtask <command> [options]

commands:
  demo     build the three programs, run the bundled recording and models, judge the results
  test     every check: format, builds, lints, boundaries, tests, documentation
  setup    install what `demo` and `test` need (CMake, make, a C++ compiler, libclang, ffmpeg, espeak-ng, sox, Python)
  picture  run the built programs, measure their memory from outside, draw it as an SVG (Linux only)
  bench    measure processes, memory, quality and speed; write supervisor/docs/results and the page (Linux only)
  criteria write supervisor/docs/specification.md from the results
  soak     kill and resume real runs, compare each with an undisturbed one; or one long recording (Linux only)
  fuzz     feed every reader of strangers' bytes with made-up ones, guided by coverage where that can be built
  dist     build the programs for everybody's processor; write an archive, on Linux a .deb, and their sums to target/dist
  help     this text

options:
  --no-install    only check what is there; name what is missing and stop
  --out FILE      where `picture` goes; supervisor/docs/memory.svg when not given
  --part NAME     what `bench` measures: start, memory, orphans, stop or host; pair, overhead, cold, release, refusal, oom,
                  estimate, sampling or sandbox; meetings, oneshot or parallel; may be repeated; all when not given; and only
                  when it is named python, which fetches and builds packages
  --kills N       how often `soak` kills; 1000 when not given
  --seed S        what `soak` draws from; printed when not given
  --minutes M     after which `soak` ends, with fewer kills
  --only K        the one round that `soak` repeats; goes with --seed
  --recording     `soak` listens to one long recording instead, and kills nothing
  --hours H       how long that is; 8 when not given
  --check         `dist` also tries what it has packed: unpacked, installed, on every level that runs here
  --reuse         `dist` packs what an earlier call has built
  --plain         `dist` packs and tries what `cargo build --release` has left, and keeps nothing; part of `test`
  --seconds N     how long `fuzz` feeds each target; 60 when not given
  --target NAME   what `fuzz` feeds: frames, gguf, whisper, journal, configuration, rpc, silero, transcript, ledger,
                  answers or preamble; may be repeated; all when not given

examples:
  cargo xtask demo                  from a fresh clone to a transcript and a summary
  cargo xtask test                  what CI runs
  cargo xtask setup --no-install    is this machine ready?
  cargo xtask dist --check          what a release gives away
  cargo xtask fuzz --seconds 600 --target frames --target gguf
";

/// Everything behind the word, as it was given.
#[derive(Default)]
struct Given {
    no_install: bool,
    out: Option<PathBuf>,
    parts: Vec<String>,
    kills: Option<u64>,
    seed: Option<u64>,
    only: Option<u64>,
    minutes: Option<u64>,
    recording: bool,
    hours: Option<u64>,
    seconds: Option<u64>,
    targets: Vec<String>,
    check: bool,
    reuse: bool,
    plain: bool,
}

impl Given {
    /// What a soak of one long recording does not take, and what only it takes.
    fn soak_stray(&self) -> Option<&'static str> {
        let kills = self.kills.is_some() || self.only.is_some() || self.minutes.is_some();
        match self.recording {
            true if kills => Some("`--recording` goes with `--hours` and `--seed` only"),
            false if self.hours.is_some() => Some("`--hours` goes with `--recording`"),
            _ => None,
        }
    }

    /// The first option that does not go with `word`.
    fn stray(&self, word: &str) -> Option<&'static str> {
        let given = [
            ("--out", self.out.is_some(), "picture"),
            ("--part", !self.parts.is_empty(), "bench"),
            ("--kills", self.kills.is_some(), "soak"),
            ("--seed", self.seed.is_some(), "soak"),
            ("--only", self.only.is_some(), "soak"),
            ("--minutes", self.minutes.is_some(), "soak"),
            ("--recording", self.recording, "soak"),
            ("--hours", self.hours.is_some(), "soak"),
            ("--check", self.check, "dist"),
            ("--reuse", self.reuse, "dist"),
            ("--plain", self.plain, "dist"),
            ("--seconds", self.seconds.is_some(), "fuzz"),
            ("--target", !self.targets.is_empty(), "fuzz"),
        ];
        given.into_iter().find(|(_, is_given, of)| *is_given && *of != word).map(|(name, _, _)| name)
    }
}

pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    let mut word = None;
    let mut given = Given::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("`{argument}` needs something behind it"));
        match argument.as_str() {
            "--no-install" => given.no_install = true,
            "--out" => given.out = Some(PathBuf::from(value()?)),
            "--part" => given.parts.push(part(value()?)?),
            "--kills" => given.kills = Some(number(&value()?)?),
            "--seed" => given.seed = Some(number(&value()?)?),
            "--only" => given.only = Some(number(&value()?)?),
            "--minutes" => given.minutes = Some(number(&value()?)?),
            "--recording" => given.recording = true,
            "--check" => given.check = true,
            "--reuse" => given.reuse = true,
            "--plain" => given.plain = true,
            "--hours" => given.hours = Some(number(&value()?)?),
            "--seconds" => given.seconds = Some(number(&value()?)?),
            "--target" => given.targets.push(value()?),
            "-h" | "--help" => return Ok(Command::Help),
            flag if flag.starts_with('-') => return Err(format!("unknown option `{flag}`")),
            _ if word.is_some() => return Err(format!("one command at a time: `{argument}` is one too many")),
            _ => word = Some(argument),
        }
    }
    command(word.as_deref().ok_or("which command?")?, given)
}

fn command(word: &str, given: Given) -> Result<Command, String> {
    if let Some(stray) = given.stray(word) {
        return Err(format!("`{stray}` does not go with `{word}`"));
    }
    if given.only.is_some() && given.seed.is_none() {
        return Err("`--only` goes with `--seed`".to_owned());
    }
    let install = if given.no_install { Install::OnlyCheck } else { Install::Allowed };
    match word {
        "help" => Ok(Command::Help),
        "setup" => Ok(Command::Setup(install)),
        "demo" => Ok(Command::Demo(install)),
        "test" => Ok(Command::Test(install)),
        "picture" => Ok(Command::Picture { install, out: given.out }),
        "bench" => Ok(Command::Bench { install, parts: given.parts }),
        "criteria" => Ok(Command::Criteria),
        "dist" => Ok(Command::Dist {
            install,
            options: DistOptions { check: given.check, reuse: given.reuse, plain: given.plain },
        }),
        "soak" if given.soak_stray().is_some() => Err(given.soak_stray().unwrap_or_default().to_owned()),
        "soak" if given.recording => {
            Ok(Command::SoakRecording { install, hours: given.hours.unwrap_or(8), seed: given.seed })
        }
        "soak" => {
            let kills = given.kills.unwrap_or(SoakOptions::default().kills);
            let Given { seed, only, minutes, .. } = given;
            Ok(Command::Soak { install, options: SoakOptions { kills, seed, only, minutes } })
        }
        "fuzz" => Ok(Command::Fuzz { install, seconds: given.seconds.unwrap_or(FUZZ_SECONDS), targets: given.targets }),
        other => Err(format!("unknown command `{other}`")),
    }
}

fn part(name: String) -> Result<String, String> {
    if bench::is_part(&name) { Ok(name) } else { Err(format!("there is no part `{name}`")) }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
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
        assert!(parsed("demo --out a.svg").is_err_and(|why| why.contains("`--out` does not go with `demo`")));
    }

    #[test]
    fn a_soak_takes_numbers_and_repeats_a_round_only_with_its_seed() {
        let soak = |kills, seed, only| {
            let options = SoakOptions { kills, seed, only, minutes: None };
            Ok(Command::Soak { install: Install::Allowed, options })
        };
        assert_eq!(parsed("soak"), soak(1000, None, None));
        assert_eq!(parsed("soak --kills 25 --seed 7"), soak(25, Some(7), None));
        assert_eq!(parsed("soak --seed 7 --only 3"), soak(1000, Some(7), Some(3)));
        assert!(parsed("soak --only 3").is_err_and(|why| why.contains("--seed")));
        assert!(parsed("soak --kills many").is_err_and(|why| why.contains("`many`")));
        assert!(parsed("bench --kills 3").is_err_and(|why| why.contains("`--kills`")));
    }

    #[test]
    fn a_soak_of_one_recording_takes_hours_and_kills_nothing() {
        let soak = |hours, seed| Ok(Command::SoakRecording { install: Install::Allowed, hours, seed });
        assert_eq!(parsed("soak --recording"), soak(8, None));
        assert_eq!(parsed("soak --recording --hours 1 --seed 7"), soak(1, Some(7)));
        assert!(parsed("soak --recording --kills 5").is_err_and(|why| why.contains("only")));
        assert!(parsed("soak --hours 5").is_err_and(|why| why.contains("--recording")));
        assert!(parsed("bench --recording").is_err_and(|why| why.contains("`--recording`")));
    }

    #[test]
    fn a_benchmark_measures_what_is_named() {
        let bench = |parts: &[&str]| {
            let parts = parts.iter().map(|&part| part.to_owned()).collect();
            Ok(Command::Bench { install: Install::Allowed, parts })
        };
        assert_eq!(parsed("bench"), bench(&[]));
        assert_eq!(parsed("bench --part start --part stop"), bench(&["start", "stop"]));
        assert_eq!(parsed("bench --part pair"), bench(&["pair"]));
        assert!(parsed("bench --part pare").is_err_and(|why| why.contains("`pare`")));
        assert_eq!(parsed("criteria"), Ok(Command::Criteria));
    }

    #[test]
    fn fuzzing_takes_seconds_and_targets() {
        let fuzz = |seconds, targets: &[&str]| {
            let targets = targets.iter().map(|&target| target.to_owned()).collect();
            Ok(Command::Fuzz { install: Install::Allowed, seconds, targets })
        };
        assert_eq!(parsed("fuzz"), fuzz(60, &[]));
        assert_eq!(parsed("fuzz --seconds 5 --target frames --target rpc"), fuzz(5, &["frames", "rpc"]));
        assert!(parsed("test --seconds 5").is_err_and(|why| why.contains("`--seconds`")));
    }

    #[test]
    fn packing_is_told_what_to_pack_and_whether_to_try() {
        let dist = |options| Ok(Command::Dist { install: Install::Allowed, options });
        let none = DistOptions::default();
        assert_eq!(parsed("dist"), dist(none));
        assert_eq!(parsed("dist --check --reuse"), dist(DistOptions { check: true, reuse: true, ..none }));
        assert_eq!(parsed("dist --plain"), dist(DistOptions { plain: true, ..none }));
        assert!(parsed("test --check").is_err_and(|why| why.contains("`--check`")));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(parsed("").is_err_and(|why| why.contains("which command")));
        assert!(parsed("tset").is_err_and(|why| why.contains("`tset`")));
        assert!(parsed("test --fast").is_err_and(|why| why.contains("`--fast`")));
        assert!(parsed("test demo").is_err_and(|why| why.contains("`demo`")));
    }
}
