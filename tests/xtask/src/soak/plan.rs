//! When to kill whom: a time within what is left of the run, or a moment shortly after something was told, so that
//! short phases and the instants around a write are hit as well.

use std::time::Duration;

use crate::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    Worker,
    Supervisor,
}

/// Something a run tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    SpeechStarts,
    SpeechLoaded,
    /// The so manyth window of this run was computed; its record is written next.
    Window(u64),
    SpeechEnded,
    SummaryStarts,
    /// The so manyth piece of the answer.
    Piece(u64),
    SummaryEnded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Since the start of the process.
    At(Duration),
    After(Mark, Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kill {
    pub(super) moment: Moment,
    pub(super) victim: Victim,
}

/// Leaves a whole transcript and no summary.
pub(super) const SUPERVISOR_AT_SUMMARY: Kill =
    Kill { moment: Moment::After(Mark::SummaryStarts, Duration::ZERO), victim: Victim::Supervisor };

/// What is killed in one run: a worker at most once (two deaths at one window are a gap by design), and after it
/// perhaps the supervisor, with which the run is over.
pub(super) fn draw(rng: &mut Rng, windows_left: u64, time_left: Duration) -> Vec<Kill> {
    let first = Kill { moment: moment(rng, windows_left, time_left), victim: victim(rng) };
    let mut kills = vec![first];
    if first.victim == Victim::Worker && rng.percent(50) {
        kills.push(Kill { moment: moment(rng, windows_left, time_left), victim: Victim::Supervisor });
    }
    kills
}

fn victim(rng: &mut Rng) -> Victim {
    if rng.percent(50) { Victim::Worker } else { Victim::Supervisor }
}

fn moment(rng: &mut Rng, windows_left: u64, time_left: Duration) -> Moment {
    if rng.percent(40) {
        return Moment::At(rng.shorter_than(time_left));
    }
    let delay = if rng.percent(70) { Duration::from_millis(8) } else { Duration::from_millis(300) };
    Moment::After(mark(rng, windows_left), rng.shorter_than(delay))
}

fn mark(rng: &mut Rng, windows_left: u64) -> Mark {
    let speech = windows_left > 0 && rng.percent(65);
    match (speech, rng.below(4)) {
        (true, 0) => Mark::SpeechStarts,
        (true, 1) => Mark::SpeechLoaded,
        (true, _) => Mark::Window(rng.one_to(windows_left)),
        (false, 0) if windows_left > 0 => Mark::SpeechEnded,
        (false, 0 | 1) => Mark::SummaryStarts,
        (false, 2) => Mark::Piece(rng.one_to(60)),
        (false, _) => Mark::SummaryEnded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_moment_and_both_victims_are_drawn() {
        let mut rng = Rng::new(3);
        let kills: Vec<Kill> = (0..2000).flat_map(|_| draw(&mut rng, 4, Duration::from_secs(3))).collect();
        let after = |wanted: fn(Mark) -> bool| {
            kills.iter().any(|kill| matches!(kill.moment, Moment::After(mark, _) if wanted(mark)))
        };
        assert!(kills.iter().any(|kill| matches!(kill.moment, Moment::At(_))));
        assert!(after(|mark| mark == Mark::SpeechStarts) && after(|mark| mark == Mark::SummaryEnded));
        assert!((1..=4).all(|window| {
            kills.iter().any(|kill| matches!(kill.moment, Moment::After(Mark::Window(drawn), _) if drawn == window))
        }));
        assert!(kills.iter().any(|kill| kill.victim == Victim::Worker));
    }

    #[test]
    fn a_worker_is_killed_once_at_most_in_a_run_and_windows_that_are_done_are_not_waited_for() {
        let mut rng = Rng::new(4);
        for _ in 0..1000 {
            let kills = draw(&mut rng, 0, Duration::from_secs(1));
            assert!(kills.iter().filter(|kill| kill.victim == Victim::Worker).count() <= 1);
            assert!(!kills.iter().any(|kill| matches!(kill.moment, Moment::After(Mark::Window(_), _))));
        }
    }
}
