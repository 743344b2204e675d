//! A speech worker for a recording of eight hours: as many windows and words as speech has, without the computation.

use std::process::ExitCode;

use meetcap_protocol::payload::stt::{AudioInfo, Segment, Stt, SttItem, SttJob, SttLoad, SttOutput};
use meetcap_protocol::runtime::{Engine, JobContext, LoadContext, worker_main};
use meetcap_protocol::{LoadReport, Spoken, WorkerFault};

/// The name under which this program is that worker.
pub(crate) const PROGRAM: &str = "eight-hours-stt";
/// 8 h in windows of 27 s.
pub(crate) const WINDOWS: u64 = 1067;
pub(crate) const SEGMENTS: u64 = 8;
const WINDOW: f64 = 27.0;
/// About nine words in 3.4 s: ordinary speed.
const SENTENCE: &str = "We decided to move the presentation of the budget.";

struct EightHours;

impl Engine for EightHours {
    type Role = Stt;

    fn plan(&mut self, (): &()) -> Result<(), WorkerFault> {
        Ok(())
    }

    fn load(&mut self, _load: &SttLoad, _context: &LoadContext<Stt>) -> Result<LoadReport, WorkerFault> {
        Ok(LoadReport { engine: "none".to_owned(), device: "cpu".to_owned() })
    }

    fn process(&mut self, job: &SttJob, context: &JobContext<Stt>) -> Result<SttOutput, WorkerFault> {
        let duration = WINDOWS as f64 * WINDOW;
        context.item(SttItem::Audio(AudioInfo { sample_rate: 16_000, channels: 1, duration: Some(duration) }));
        for window in job.first_unit..WINDOWS {
            let start = window as f64 * WINDOW;
            context.unit_started(window, start, start + WINDOW);
            for segment in 0..SEGMENTS {
                let start = start + segment as f64 * 3.375;
                let text = Spoken(format!("{SENTENCE} Item {segment} of part {window}."));
                context.item(SttItem::Segment(Segment {
                    confidence: Some(0.9),
                    ..Segment::new(start, start + 3.0, text)
                }));
            }
            context.progress(start + WINDOW, Some(duration));
            context.unit_done(window)?;
        }
        Ok(SttOutput { sample_rate: 16_000, duration, language: "en".to_owned(), units: WINDOWS })
    }

    fn unload(&mut self) {}
}

pub(crate) fn main() -> ExitCode {
    worker_main(|| EightHours)
}
