//! `cargo xtask picture`: the memory of one real run over time, measured from outside, drawn for the README.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::binaries::{SUPERVISOR, WORKERS};
use crate::chart::{self, Sample};
use crate::demo::fresh_folder;
use crate::outside;
use crate::run::Step;
use crate::workspace::Workspace;

const RECORDING: &str = "supervisor/demo/meeting.flac";
const DEFAULT_PICTURE: &str = "supervisor/docs/memory.svg";

/// The bundled recording is short: played this often, there is something to see.
const TIMES: u32 = 8;
const EVERY: Duration = Duration::from_millis(10);

pub(crate) fn run(workspace: &Workspace, out: Option<PathBuf>) -> Result<ExitCode, String> {
    if !cfg!(target_os = "linux") {
        return Err("`picture` reads the workers' memory from /proc, which only Linux has".to_owned());
    }
    for program in [SUPERVISOR, WORKERS[0], WORKERS[1]] {
        let file = workspace.program(program);
        if !file.is_file() {
            return Err(format!("{} is not there; `cargo xtask demo` builds it", file.display()));
        }
    }
    let out = out.unwrap_or_else(|| workspace.root.join(DEFAULT_PICTURE));
    let folder = fresh_folder("picture")?;
    let drawn = measure_and_draw(workspace, &folder);
    // What was only needed on the way; that it stays behind would harm nobody.
    let _ = std::fs::remove_dir_all(&folder);
    write(&out, &drawn?)?;
    println!("wrote {}", out.display());
    Ok(ExitCode::SUCCESS)
}

fn measure_and_draw(workspace: &Workspace, folder: &Path) -> Result<String, String> {
    let recording = folder.join("meeting.flac");
    let again = (TIMES - 1).to_string();
    let repeat = Step::new("ffmpeg").args(["-v", "error", "-nostdin", "-stream_loop", &again, "-i"]);
    repeat.args([&workspace.root.join(RECORDING), &recording]).succeed()?;
    let opening = std::fs::read(&recording).map_err(|cause| format!("the recording could not be read: {cause}"))?;
    let length = flac_seconds(&opening).ok_or("the recording does not say how long it is")?;
    println!("measuring a run over {length:.0} s of speech; this takes about half a minute");
    let samples = measured_run(&workspace.program(SUPERVISOR), &recording, folder)?;
    if !(samples.iter().any(|sample| sample.stt.is_some()) && samples.iter().any(|sample| sample.llm.is_some())) {
        return Err("the run ended, but not both workers were seen under /proc".to_owned());
    }
    Ok(chart::draw(&samples, "Memory of one run: one model at a time", &caption(length)))
}

fn caption(length: f64) -> [String; 2] {
    [
        format!(
            "One recording of {length:.1} s (the bundled one {TIMES} times), the bundled models (--stt demo --llm demo), \
             1 thread."
        ),
        format!(
            "Anonymous memory (RssAnon + VmSwap), read from /proc by another program every {} ms. Made by: cargo xtask \
             picture",
            EVERY.as_millis()
        ),
    ]
}

fn measured_run(supervisor: &Path, recording: &Path, folder: &Path) -> Result<Vec<Sample>, String> {
    let mut command = Command::new(supervisor);
    command.arg("run").arg(recording).args(["--stt", "demo", "--llm", "demo", "--threads", "1", "--quiet", "-o"]);
    command.arg(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().map_err(|cause| format!("{SUPERVISOR} could not be started: {cause}"))?;
    watched(&mut child, start)
}

fn watched(child: &mut Child, start: Instant) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    loop {
        let asked = Instant::now();
        match child.try_wait().map_err(|cause| format!("{SUPERVISOR} could not be waited for: {cause}"))? {
            Some(status) if status.success() => return Ok(samples),
            Some(status) => return Err(format!("the run failed ({status})")),
            None => samples.extend(outside::sample(start.elapsed().as_secs_f64(), child.id())),
        }
        std::thread::sleep(EVERY.saturating_sub(asked.elapsed()));
    }
}

fn write(out: &Path, picture: &str) -> Result<(), String> {
    let failed = |cause| format!("{} could not be written: {cause}", out.display());
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(out, picture).map_err(failed)
}

/// From the stream information that every FLAC file begins with: 20 bits of sampling rate, 8 of others, 36 of length.
fn flac_seconds(file: &[u8]) -> Option<f64> {
    if !file.starts_with(b"fLaC") {
        return None;
    }
    let bits = u64::from_be_bytes(file.get(18..26)?.try_into().ok()?);
    let (rate, frames) = (bits >> 44, bits & ((1 << 36) - 1));
    (rate > 0 && frames > 0).then(|| frames as f64 / rate as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flac_file_says_how_long_it_is() {
        let mut file = b"fLaC\x00\x00\x00\x22\x04\x80\x04\x80\x00\x01\x67\x00\x07\x8a".to_vec();
        file.extend([0x03, 0xe8, 0x00, 0xf0, 0x00, 0x00, 0xfa, 0x00]);
        assert_eq!(flac_seconds(&file), Some(4.0));
        assert_eq!(flac_seconds(&file[..20]), None);
        assert_eq!(flac_seconds(b"RIFF, which is something else altogether"), None);
    }

    #[test]
    fn the_caption_says_what_was_measured_and_how() {
        let caption = caption(358.616).join(" ");
        assert!(caption.contains("358.6 s") && caption.contains("1 thread") && caption.contains("RssAnon"));
    }
}
