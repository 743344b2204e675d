//! One run's file: its name, its content, and whether it still stands for a run.

use serde::{Deserialize, Deserializer, Serialize};

use super::identity::Identity;
use crate::event::Phase;
use crate::memory::{Bytes, LimitOf};

/// Version of the file's shape.
const VERSION: u32 = 1;

/// What a run says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    v: u32,
    pid: u32,
    process_start: u64,
    pid_namespace: Option<String>,
    pub(super) audio_path: String,
    /// Seconds since 1970.
    pub(super) started: u64,
    /// `None` between phases.
    pub(super) work: Option<Work>,
    /// `None` while it has not been admitted with anything.
    #[serde(default)]
    pub(super) promise: Option<Promise>,
}

/// Memory that a run has been admitted with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Promise {
    pub(super) bytes: Bytes,
    /// The bounds that it counts against.
    pub(super) against: Vec<LimitOf>,
}

/// The phase a run is in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Work {
    #[serde(deserialize_with = "phase")]
    pub(super) phase: Phase,
    pub(super) model_name: String,
    pub(super) worker_pid: Option<u32>,
    /// Between 0 and 1.
    pub(super) progress: Option<f64>,
}

/// The inverse of how [`Phase`] is written; everywhere else it is only ever written.
fn phase<'de, D: Deserializer<'de>>(from: D) -> Result<Phase, D::Error> {
    match String::deserialize(from)?.as_str() {
        "stt" => Ok(Phase::Stt),
        "llm" => Ok(Phase::Llm),
        _ => Err(serde::de::Error::custom("not a phase")),
    }
}

/// Whether an entry's process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Living,
    Gone,
    /// Its number means nothing here.
    Elsewhere,
}

impl Entry {
    pub(super) fn new(process: Identity, audio_path: String, started: u64) -> Self {
        Self {
            v: VERSION,
            pid: process.pid,
            process_start: process.start_time,
            pid_namespace: process.namespace,
            audio_path,
            started,
            work: None,
            promise: None,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers always fit into JSON")
    }

    /// `None` for anything that this version did not write.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut entry: Self = serde_json::from_slice(bytes).ok()?;
        if let Some(work) = &mut entry.work {
            work.progress = work.progress.filter(|fraction| (0.0..=1.0).contains(fraction));
        }
        (entry.v == VERSION).then_some(entry)
    }

    /// Judged by a reader in `reader`'s namespace, to whom a process of this number started at `start_time`, or
    /// who sees none.
    pub(super) fn standing(&self, reader: &Identity, start_time: Option<u64>) -> Standing {
        if self.pid_namespace != reader.namespace {
            Standing::Elsewhere
        } else if start_time == Some(self.process_start) {
            Standing::Living
        } else {
            Standing::Gone
        }
    }
}

/// A file's name. One process may do several runs, so there is a number as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileName {
    pub(super) pid: u32,
    pub(super) number: u32,
}

impl FileName {
    pub(super) fn entry(self) -> String {
        format!("run-{}-{}.json", self.pid, self.number)
    }

    /// Of what is about to be renamed.
    pub(super) fn temporary(self) -> String {
        format!("run-{}-{}.tmp", self.pid, self.number)
    }

    /// With whether it is a temporary's. `None` for files that are not ours.
    pub(super) fn parse(name: &str) -> Option<(Self, bool)> {
        let stem = name.strip_prefix("run-")?.rsplit_once('.')?.0;
        let (pid, number) = stem.split_once('-')?;
        let found = Self { pid: pid.parse().ok()?, number: number.parse().ok()? };
        // Written back, so that `+7` and `007`, which parse as well, are not taken for ours.
        match name {
            _ if name == found.entry() => Some((found, false)),
            _ if name == found.temporary() => Some((found, true)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity() -> Identity {
        Identity { pid: 7, start_time: 100, namespace: Some("pid:[1]".to_owned()) }
    }

    fn entry() -> Entry {
        Entry::new(identity(), "/m/a.wav".to_owned(), 1_700_000_000)
    }

    fn work() -> Work {
        let model_name = "tiny \u{1b}[31m".to_owned();
        Work { phase: Phase::Stt, model_name, worker_pid: Some(8), progress: Some(0.25) }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        assert_eq!(Entry::parse(&entry().to_json()), Some(entry()));
        for phase in [Phase::Stt, Phase::Llm] {
            let written = Entry { work: Some(Work { phase, ..work() }), ..entry() };
            assert_eq!(Entry::parse(&written.to_json()), Some(written));
        }
    }

    #[test]
    fn a_promise_is_read_as_it_was_written_and_may_be_missing() {
        let against = vec![LimitOf::Machine, LimitOf::Cgroup("/a/b".to_owned())];
        let written = Entry { promise: Some(Promise { bytes: Bytes::mib(3), against }), ..entry() };
        assert_eq!(Entry::parse(&written.to_json()), Some(written));
        let text = String::from_utf8(entry().to_json()).expect("JSON").replace(",\"promise\":null", "");
        assert!(!text.contains("promise"));
        assert_eq!(Entry::parse(text.as_bytes()), Some(entry()));
    }

    #[test]
    fn the_longest_path_stays_below_the_bound_of_a_file() {
        let work = Some(Work { model_name: "\u{1}".repeat(255), ..work() });
        let worst = Entry { audio_path: "\u{1}".repeat(4096), work, ..entry() };
        assert!((worst.to_json().len() as u64) < super::super::MAX_FILE / 2);
    }

    #[test]
    fn another_version_or_a_senseless_figure_is_not_taken_over() {
        let sound = Entry { work: Some(work()), ..entry() };
        let text = String::from_utf8(sound.to_json()).expect("JSON");
        let changed = |from: &str, to: &str| {
            assert!(text.contains(from), "{text}");
            Entry::parse(text.replace(from, to).as_bytes())
        };
        assert_eq!(changed("\"v\":1", "\"v\":2"), None);
        assert_eq!(changed("\"stt\"", "\"x\""), None);
        let without = Entry { work: Some(Work { progress: None, ..work() }), ..entry() };
        assert_eq!(changed("0.25", "-3.5"), Some(without));
    }

    #[test]
    fn only_the_same_process_keeps_an_entry_alive() {
        let reader = Identity { pid: 1, start_time: 5, ..identity() };
        assert_eq!(entry().standing(&reader, Some(100)), Standing::Living);
        assert_eq!(entry().standing(&reader, Some(101)), Standing::Gone);
        assert_eq!(entry().standing(&reader, None), Standing::Gone);
        for namespace in [None, Some("pid:[2]".to_owned())] {
            let stranger = Identity { namespace, ..reader.clone() };
            assert_eq!(entry().standing(&stranger, None), Standing::Elsewhere);
        }
    }

    #[test]
    fn names_are_read_strictly() {
        let name = FileName { pid: 7, number: 0 };
        assert_eq!(FileName::parse(&name.entry()), Some((name, false)));
        assert_eq!(FileName::parse(&name.temporary()), Some((name, true)));
        for other in
            ["run-+7-0.json", "run-07-0.json", "run-7.json", "run-7-0.json~", "run-7-0-1.json", "run--.json", "x", ""]
        {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), name in ".{0,40}") {
            let _ = (Entry::parse(&bytes), FileName::parse(&name));
        }

        #[test]
        fn no_damage_makes_the_reader_panic(at in 0..300_usize, byte in any::<u8>(), keep in 0..300_usize) {
            let mut bytes = entry().to_json();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(keep.max(1));
            let _ = Entry::parse(&bytes);
        }
    }
}
