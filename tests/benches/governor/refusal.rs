//! How fast something is refused that can never fit: from the start of the program to its end.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use meetcap_tests::bins;
use meetcap_tests::cgroup::Cgroup;
use meetcap_tests::fake::log_of;
use meetcap_tests::figures::{Results, highest, percentile};
use meetcap_tests::room::Room;
use meetcap_tests::run::{Invocation, of_kind};
use meetcap_tests::shapes::gguf;

use super::models::Models;

const TIMES: usize = 100;
const LIMIT: f64 = 50.0;
const GROUP_MIB: u64 = 512;
const STT: &str = "whisper-base-f16";

pub(crate) fn measure() {
    let models = Models::new();
    let stage = Stage { room: Room::new(), stt: models.named(STT), huge: huge(models.folder()) };
    stage.room.sound("x.wav");
    let group = Cgroup::limited(GROUP_MIB);
    let refused = stage.look_closely(group.as_ref());
    let (mut bare, mut times) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        bare.push(timed(stage.command(&["--version".as_ref()], group.as_ref()), 0));
        times.push(timed(stage.command(&stage.arguments(), group.as_ref()), 5));
    }

    let mut results = Results::new(14, "refusal of what does not fit", "refusal");
    results.plain("refusals", times.len() as f64, "");
    results.at_most("workers started", refused.started as f64, "", 0.0);
    results.at_most("states of workers told", refused.states as f64, "", 0.0);
    results.plain("the same program, printing its version, p50", percentile(&bare, 50), "ms");
    results.at_most("until it has ended with code 5, p50", percentile(&times, 50), "ms", LIMIT);
    results.at_most("until it has ended with code 5, p99", percentile(&times, 99), "ms", LIMIT);
    results.at_most("until it has ended with code 5, longest", highest(&times), "ms", LIMIT);
    let bound = match group {
        Some(_) => format!("a control group of {GROUP_MIB} MiB, which a shell enters first; its time counts"),
        None => "thresholds of 1 %, because no control group can be made here".to_owned(),
    };
    results.note(format!(
        "`meetcap-supervisor run` with {STT} and a summary model of {} GB of which the disk holds the head, in {bound}.",
        std::fs::metadata(&stage.huge).expect("the model").len() / 1_000_000_000
    ));
    results.write("refusal");
}

/// 20 GB, of which the disk holds the head.
fn huge(folder: &Path) -> PathBuf {
    let path = folder.join("huge.gguf");
    let shape = gguf::Shape { layers: 80, embedding: 4096, feed_forward: 16_384, ..gguf::Shape::LLAMA_1B };
    shape.write_sparse(&path).expect("a file");
    assert!(std::fs::metadata(&path).expect("a file").len() >= 20_000_000_000);
    path
}

struct Stage {
    room: Room,
    stt: PathBuf,
    huge: PathBuf,
}

struct Refused {
    started: usize,
    states: usize,
}

impl Stage {
    fn arguments(&self) -> [&OsStr; 6] {
        let (stt, llm) = (self.stt.as_os_str(), self.huge.as_os_str());
        ["run".as_ref(), "x.wav".as_ref(), "--stt".as_ref(), stt, "--llm".as_ref(), llm]
    }

    /// Once with everything told: nobody was started, whoever it could have been.
    fn look_closely(&self, group: Option<&Cgroup>) -> Refused {
        let command = self.room.scripted("").args(self.arguments()).args(["--events", "jsonl"]);
        let finished = bounded(command, group).run().expect_code(5).says("summary model huge does not fit");
        let states = of_kind(&finished.events(), "state").len();
        Refused { started: log_of(&self.room.path("script")).len(), states }
    }

    fn command(&self, arguments: &[&OsStr], group: Option<&Cgroup>) -> Command {
        let program = bins::find(bins::SUPERVISOR);
        let mut command = match group {
            Some(group) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "echo 0 > \"$0\" && exec \"$@\""]).arg(group.procs()).arg(program);
                shell
            }
            None => {
                let mut command = Command::new(program);
                command.envs(THRESHOLDS);
                command
            }
        };
        let scripted = [("STT", bins::FAKE_STT), ("LLM", bins::FAKE_LLM)];
        command.envs(scripted.map(|(kind, program)| (format!("MEETCAP_WORKER_{kind}"), bins::find(program))));
        command.current_dir(self.room.folder()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

const THRESHOLDS: [(&str, &str); 2] =
    [("MEETCAP_MEMORY_WARNING_THRESHOLD", "1"), ("MEETCAP_MEMORY_CRITICAL_THRESHOLD", "1")];

fn bounded(command: Invocation, group: Option<&Cgroup>) -> Invocation {
    match group {
        Some(group) => command.inside(group),
        None => THRESHOLDS.iter().fold(command, |command, (name, value)| command.env(name, *value)),
    }
}

/// Milliseconds from the start to the end.
fn timed(mut command: Command, code: i32) -> f64 {
    let begun = Instant::now();
    let status = command.status().expect("the program starts");
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    assert_eq!(status.code(), Some(code));
    took
}
