//! Writes what a target begins with: `fuzz-seeds FOLDER TARGET…` makes `FOLDER/TARGET/…`, one file for each input, and
//! `FOLDER/TARGET.dict` with the pieces of its format, as libFuzzer reads them. Without a target, all; with `--list`,
//! their names and the longest input that each is worth.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use meetcap_fuzz_targets::{ALL, Target, named};
use meetcap_tests::rng::Rng;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => {
            ALL.iter().for_each(|target| println!("{} {}", target.name, target.longest));
            ExitCode::SUCCESS
        }
        [folder, ref names @ ..] if !folder.starts_with('-') => match write(Path::new(folder), names) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("fuzz-seeds: {why}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: fuzz-seeds FOLDER [TARGET…] | fuzz-seeds --list");
            ExitCode::from(2)
        }
    }
}

fn write(folder: &Path, names: &[&str]) -> Result<(), String> {
    let of = |name: &&str| named(name).ok_or_else(|| format!("there is no target `{name}`; `--list` names them"));
    let chosen = names.iter().map(of).collect::<Result<Vec<Target>, String>>()?;
    let targets = if chosen.is_empty() { ALL.to_vec() } else { chosen };
    for target in targets {
        let inputs = folder.join(target.name);
        let told = |error: std::io::Error| format!("{} cannot be written: {error}", inputs.display());
        fs::create_dir_all(&inputs).map_err(told)?;
        for (number, seed) in (target.seeds)(&mut Rng::new(1)).iter().enumerate() {
            fs::write(inputs.join(format!("seed-{number}")), seed).map_err(told)?;
        }
        fs::write(folder.join(format!("{}.dict", target.name)), dictionary(target.words)).map_err(told)?;
    }
    Ok(())
}

fn dictionary(words: &[&str]) -> String {
    let mut text = String::new();
    for word in words {
        let escaped: String = word.bytes().fold(String::new(), |mut all, byte| {
            let _ = write!(all, "\\x{byte:02X}");
            all
        });
        text.push_str(&format!("\"{escaped}\"\n"));
    }
    text
}
