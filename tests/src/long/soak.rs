//! The soak itself: a long recording of meetings through the program, and each of its meetings alone.

use std::time::Duration;

use serde_json::Value;

use super::judge::{self, Judgement, Words};
use super::plan::{Shape, Stretch, What, plan};
use super::pool::{Piece, RATE, pool};
use super::watch::{Sample, Watch, peaks};
use super::{judge::segments, sound};
use crate::recall::Recall;
use crate::rng::Rng;
use crate::room::Room;
use crate::speech::Gaps;

/// Sentences of a meeting: one to two minutes.
const SENTENCES: (usize, usize) = (18, 34);
/// Between sentences, in milliseconds.
const GAPS: Gaps = Gaps(200, 900);
/// Of the recording, in percent.
const SILENCE: u64 = 10;
/// The loudest steps of the noise in a silence: -76 to -57 dBFS, a quiet room.
const NOISES: [u16; 4] = [5, 10, 40, 80];
/// Minutes of the recording after which memory is judged.
const SETTLED: u64 = 5;
/// Many times what the bundled model takes on one busy core.
const LIMIT_PER_SECOND: f64 = 0.5;
const LEAST_LIMIT: f64 = 120.0;

/// What to soak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soak {
    pub minutes: u64,
    /// Different meetings.
    pub meetings: usize,
    pub threads: u16,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Soaked {
    /// Seconds of the recording, and of them silence; longest silence.
    pub duration: f64,
    pub silence: f64,
    pub longest_silence: f64,
    pub words: Judgement,
    /// Actions and decisions of the pool in the one summary.
    pub recall: Recall,
    /// In order of time.
    pub samples: Vec<Sample>,
    pub ledger: Value,
    /// Of the whole run.
    pub took: Duration,
}

impl Soak {
    /// # Panics
    /// When the recording cannot be made, or a run fails.
    pub fn run(self, rng: &mut Rng) -> Soaked {
        let room = Room::new();
        let pool = pool(self.meetings, SENTENCES, GAPS, rng);
        let words = self.alone(&room, &pool);
        let lengths: Vec<u64> = pool.iter().map(|piece| piece.samples.len() as u64).collect();
        let shape = Shape { length: self.minutes * 60 * u64::from(RATE), silence: SILENCE };
        let plan = plan(&lengths, &NOISES, shape, rng);
        sound::write(&plan, &pool, &room.path("long.flac"));
        self.long(&room, &pool, &plan, &words)
    }

    /// The words of each meeting alone.
    fn alone(self, room: &Room, pool: &[Piece]) -> Vec<Words> {
        let name = |meeting: usize, ending: &str| format!("{meeting}.{ending}");
        let all = 0..pool.len();
        all.clone().for_each(|meeting| sound::write_alone(meeting, pool, &room.path(&name(meeting, "flac"))));
        let seconds: f64 = pool.iter().map(|piece| piece.samples.len() as f64 / f64::from(RATE)).sum();
        let command = room.supervisor().within(limit(seconds)).args(["run", "--stt", "demo", "--no-summary"]);
        let command = command.arg("--threads").arg(self.threads.to_string());
        let _ = command.args(all.clone().map(|meeting| name(meeting, "flac"))).run().expect_code(0);
        let words =
            |meeting: usize| Words { said: pool[meeting].said(), alone: room.text(&name(meeting, "transcript.txt")) };
        all.map(words).collect()
    }

    fn long(self, room: &Room, pool: &[Piece], plan: &[Stretch], words: &[Words]) -> Soaked {
        let duration = plan.last().map_or(0.0, |stretch| stretch.end as f64 / f64::from(RATE));
        let command = room.supervisor().within(limit(duration)).args(["run", "--stt", "demo", "--llm", "demo"]);
        let command = command.args(["--events", "jsonl", "--threads"]).arg(self.threads.to_string());
        let running = command.arg("long.flac").start();
        let watch = Watch::over(running.pid);
        while let Some(event) = running.next_event() {
            watch.learn(&event);
        }
        let samples = watch.stop();
        let finished = running.finish().expect_code(0);
        let json = |name: &str| serde_json::from_str::<Value>(&room.text(name)).expect("JSON");
        let mut recall = Recall::default();
        recall.count(&unique(pool), &room.text("long.summary.md"));
        let silences: Vec<f64> = plan.iter().filter_map(silence).collect();
        Soaked {
            duration,
            silence: silences.iter().sum(),
            longest_silence: silences.iter().copied().fold(0.0, f64::max),
            words: judge::judge(&segments(&json("long.transcript.json")), plan, words, duration),
            recall,
            samples,
            ledger: json("long.run.json"),
            took: finished.took,
        }
    }
}

impl Soaked {
    /// Highest value less lowest of the minutes' peaks of `of`, from the fifth minute of the recording on, in MiB.
    ///
    /// # Panics
    /// When the run was over before.
    pub fn spread(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        let peaks: Vec<f64> = self.minutes(of).into_iter().map(|(_, peak)| peak).collect();
        assert!(peaks.len() > 1, "no memory was seen after minute {SETTLED}");
        let highest = peaks.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        highest - peaks.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The peak of each minute from the fifth on.
    pub fn minutes(&self, of: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
        peaks(&self.samples, SETTLED, of)
    }

    /// The ledger's highest cost of the speech worker, in MiB.
    ///
    /// # Panics
    /// When the ledger has none.
    pub fn ledger_peak(&self) -> f64 {
        let phases = self.ledger["phases"].as_array().expect("phases");
        let speech = phases.iter().find(|phase| phase["phase"] == "stt").expect("a speech phase");
        speech["memory"]["peak_bytes"].as_f64().expect("bytes") / 1_048_576.0
    }
}

fn limit(seconds: f64) -> Duration {
    Duration::from_secs_f64((seconds * LIMIT_PER_SECOND).max(LEAST_LIMIT))
}

fn silence(stretch: &Stretch) -> Option<f64> {
    let length = (stretch.end - stretch.start) as f64 / f64::from(RATE);
    matches!(stretch.what, What::Silence { .. }).then_some(length)
}

/// Every sentence once: a summary need not repeat itself.
fn unique(pool: &[Piece]) -> Vec<crate::meeting::Sentence> {
    let mut unique = Vec::new();
    for sentence in pool.iter().flat_map(|piece| &piece.sentences) {
        if !unique.contains(sentence) {
            unique.push(sentence.clone());
        }
    }
    unique
}
