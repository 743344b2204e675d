//! Measures what a real worker takes for a model:
//!
//! ```text
//! measure-model MODEL.bin AUDIO [--threads N] [--exact N]
//! measure-model MODEL.gguf N_CTX [--threads N] [--kv f16|q8_0] [--map] [--prompt N]
//! ```
//!
//! What the engine says about its buffers is shown where `MEETCAP_TEST_LOG` is set.
//!
//! The worker is the one that `MEETCAP_WORKER_STT` or `MEETCAP_WORKER_LLM` names, else the one beside this program.

use std::process::ExitCode;

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("measure-model: memory is read from /proc, which only Linux has");
    ExitCode::from(2)
}

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match linux::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("measure-model: {why}");
            ExitCode::from(2)
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::{Path, PathBuf};

    use meetcap_protocol::payload::llm::KvType;
    use meetcap_tests::shapes::measure::{self, Peaks};

    pub(super) fn run(arguments: &[String]) -> Result<(), String> {
        let (mut threads, mut exact, mut kv, mut map, mut prompt) = (1, None, KvType::F16, false, None);
        let mut plain = Vec::new();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut number = || -> Result<u32, String> {
                rest.next().and_then(|n| n.parse().ok()).ok_or_else(|| format!("{argument} takes a number"))
            };
            match argument.as_str() {
                "--threads" => threads = u16::try_from(number()?).map_err(|_| "too many threads".to_owned())?,
                "--exact" => exact = Some(number()?),
                "--prompt" => prompt = Some(number()?),
                "--map" => map = true,
                "--kv" => {
                    kv = match rest.next().map(String::as_str) {
                        Some("f16") => KvType::F16,
                        Some("q8_0") => KvType::Q8_0,
                        _ => return Err("--kv takes f16 or q8_0".to_owned()),
                    }
                }
                other => plain.push(other),
            }
        }
        let &[model, subject] = plain.as_slice() else {
            return Err("a model, and a recording or a context are needed".to_owned());
        };
        let model = Path::new(model);
        let peaks = match subject.parse::<u32>() {
            Ok(n_ctx) => {
                let program = worker("MEETCAP_WORKER_LLM", "meetcap-worker-llm")?;
                measure::summary(&program, model, measure::on_cpu(n_ctx, kv, map), threads, prompt)
            }
            Err(_) => {
                let program = worker("MEETCAP_WORKER_STT", "meetcap-worker-stt")?;
                measure::speech(&program, model, Path::new(subject), threads, exact)
            }
        };
        print(arguments, peaks);
        Ok(())
    }

    fn worker(variable: &str, name: &str) -> Result<PathBuf, String> {
        let beside = || Some(std::env::current_exe().ok()?.with_file_name(name));
        let program = std::env::var_os(variable).map(PathBuf::from).or_else(beside);
        program.filter(|file| file.is_file()).ok_or_else(|| format!("{name} is not there; build it, or set {variable}"))
    }

    fn print(arguments: &[String], peaks: Peaks) {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        let Peaks { loaded, peak, resident } = peaks;
        println!(
            "{}: loaded {:.1} MiB, peak {:.1} MiB, resident {:.1} MiB",
            arguments.join(" "),
            mib(loaded),
            mib(peak),
            mib(resident)
        );
    }
}
