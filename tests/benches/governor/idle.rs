//! A speech worker that computes nothing for as long as it is let, with as many threads as its program's name says:
//! `idle-stt-8`. Watching it is all that its supervisor does.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use meetcap_protocol::payload::stt::{AudioInfo, Stt, SttItem, SttJob, SttLoad, SttOutput};
use meetcap_protocol::runtime::{Engine, JobContext, LoadContext, worker_main};
use meetcap_protocol::{LoadReport, WorkerFault};

const PREFIX: &str = "idle-stt-";
const GLANCE: Duration = Duration::from_millis(100);

/// The name of a program with so many threads.
pub(crate) fn program(threads: usize) -> String {
    format!("{PREFIX}{threads}")
}

/// How many this one is to have, if it is such a worker.
pub(crate) fn threads_of_this_program() -> Option<usize> {
    let program = std::env::args_os().next()?;
    Path::new(&program).file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()
}

struct Idle {
    threads: usize,
}

impl Engine for Idle {
    type Role = Stt;

    fn plan(&mut self, (): &()) -> Result<(), WorkerFault> {
        Ok(())
    }

    fn load(&mut self, _load: &SttLoad, _context: &LoadContext<Stt>) -> Result<LoadReport, WorkerFault> {
        for _ in 0..self.threads {
            std::thread::spawn(std::thread::park);
        }
        Ok(LoadReport { engine: "none".to_owned(), device: "cpu".to_owned() })
    }

    fn process(&mut self, _job: &SttJob, context: &JobContext<Stt>) -> Result<SttOutput, WorkerFault> {
        context.item(SttItem::Audio(AudioInfo { sample_rate: 16_000, channels: 1, duration: Some(1.0) }));
        context.unit_started(0, 0.0, 1.0);
        loop {
            context.cancel().check()?;
            std::thread::sleep(GLANCE);
        }
    }

    fn unload(&mut self) {}
}

pub(crate) fn main(threads: usize) -> ExitCode {
    worker_main(|| Idle { threads })
}
