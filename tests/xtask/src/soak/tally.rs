//! What a soak has found so far.

use std::collections::BTreeMap;
use std::time::Duration;

use super::plan::Victim;
use super::watch::Hit;
use crate::results::{Figure, Measurement, machine};

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) rounds: u64,
    pub(super) failures: Vec<String>,
    /// Folders of sockets that nobody uses any more.
    pub(super) sockets: usize,
    workers: u64,
    supervisors: u64,
    during: BTreeMap<String, u64>,
    /// Windows computed again, in all and at worst for one kill.
    again: u64,
    too_much: u64,
    orphans: u64,
    differing: u64,
    left: u64,
    slowest: Duration,
    failed_rounds: u64,
    failures_seen: usize,
}

impl Tally {
    pub(super) fn kills(&self) -> u64 {
        self.workers + self.supervisors
    }

    pub(super) fn count(&mut self, hits: &[Hit]) {
        for hit in hits {
            match hit.victim {
                Victim::Worker => self.workers += 1,
                Victim::Supervisor => self.supervisors += 1,
            }
            *self.during.entry(hit.during.clone()).or_default() += 1;
        }
    }

    /// So many windows were computed for nothing in a run with so many kills.
    pub(super) fn rework(&mut self, windows: u64, kills: u64) {
        self.again += windows;
        if windows > kills {
            self.too_much += 1;
            self.failures.push(format!("{windows} windows were computed for nothing, and {kills} kills allow {kills}"));
        }
    }

    pub(super) fn gone_after(&mut self, took: Duration) {
        self.slowest = self.slowest.max(took);
    }

    pub(super) fn orphan(&mut self, who: String) {
        self.orphans += 1;
        self.failures.push(who);
    }

    pub(super) fn differs(&mut self, name: &str, kept: &str) {
        self.differing += 1;
        self.failures.push(format!("{name} differs from the undisturbed run's; both are in {kept}"));
    }

    pub(super) fn left_behind(&mut self, name: &str) {
        self.left += 1;
        self.failures.push(format!("{name} was left behind"));
    }

    pub(super) fn end_round(&mut self) {
        self.rounds += 1;
        self.failed_rounds += u64::from(self.failures.len() > self.failures_seen);
        self.failures_seen = self.failures.len();
    }

    pub(super) fn summary(&self, seed: u64) -> String {
        format!(
            "soak: {} kills ({} of workers, {} of supervisors) in {} rounds, {} failed; seed {seed}",
            self.kills(),
            self.workers,
            self.supervisors,
            self.rounds,
            self.failed_rounds
        )
    }

    pub(super) fn measurement(&self, command: &str) -> Measurement {
        let count = |name: &str, number: u64| Figure::at_most(name, number as f64, "", 0.0);
        let slowest = (self.slowest.as_secs_f64() * 1000.0).round();
        let during: Vec<String> = self.during.iter().map(|(doing, kills)| format!("{doing} {kills}")).collect();
        Measurement {
            criterion: 28,
            name: "kill and resume".to_owned(),
            command: command.to_owned(),
            machine: machine(),
            figures: vec![
                Figure {
                    target: "1,000".to_owned(),
                    met: Some(self.kills() >= 1000),
                    ..Figure::plain("kills", self.kills() as f64, "")
                },
                Figure::plain("of them workers", self.workers as f64, ""),
                Figure::plain("of them supervisors", self.supervisors as f64, ""),
                Figure::plain("rounds (a folder, killed and resumed to the end)", self.rounds as f64, ""),
                count("rounds with any failure", self.failed_rounds),
                count("outputs that differ from the undisturbed run's", self.differing),
                count("runs with more than one window of rework per kill", self.too_much),
                Figure::plain("windows computed again, in all", self.again as f64, ""),
                count("workers alive 250 ms + 0.25 ms/MiB after their supervisor", self.orphans),
                Figure::plain("longest time from a supervisor's death to its worker's", slowest, "ms"),
                count("journals and temporary files left beside the outputs", self.left),
                count("socket folders left in the temporary folder", self.sockets as u64),
            ],
            notes: vec![
                "The bundled recording three times (134 s, six windows), real workers, bundled models, 1 thread."
                    .to_owned(),
                "Three rounds in five begin with a run that was killed when its summary began, so that short steps are \
                 hit as well."
                    .to_owned(),
                format!("Last seen state at the kill, and kills: {}.", during.join(", ")),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_rework_for_each_kill_is_allowed_and_no_more() {
        let mut tally = Tally::default();
        tally.rework(1, 1);
        tally.rework(0, 0);
        tally.end_round();
        assert!(tally.failures.is_empty());
        tally.rework(2, 1);
        tally.end_round();
        assert_eq!((tally.failures.len(), tally.failed_rounds, tally.rounds), (1, 1, 2));
        assert!(!tally.measurement("x").met());
    }
}
