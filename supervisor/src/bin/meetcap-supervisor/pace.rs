//! How fast something goes, and how long it will still take. Pure: times are passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The pace of the last minute or so counts: a smaller model, or a machine that has become busy, changes it.
const MEMORY: Duration = Duration::from_secs(60);
/// Time between two looks that are remembered.
const STEP: Duration = Duration::from_secs(3);
/// Before that nothing is said.
const LEAST: Duration = Duration::from_secs(2);

/// How far something was, and when.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    looks: VecDeque<(Instant, f64)>,
    last: Option<(Instant, f64)>,
}

impl Pace {
    /// It begins now, with so much done already.
    pub(crate) fn begin(&mut self, done: f64, now: Instant) {
        self.looks = VecDeque::from([(now, done)]);
        self.last = Some((now, done));
    }

    /// It is so far now.
    pub(crate) fn reach(&mut self, done: f64, now: Instant) {
        // Something else has begun.
        if self.last.is_none_or(|(_, before)| done < before) {
            return self.begin(done, now);
        }
        self.last = Some((now, done));
        if self.looks.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= STEP) {
            self.looks.push_back((now, done));
        }
        while self.looks.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= MEMORY) {
            self.looks.pop_front();
        }
    }

    /// Units in a second, once that can be said.
    pub(crate) fn speed(&self) -> Option<f64> {
        let ((began, before), (now, done)) = (*self.looks.front()?, self.last?);
        let spent = now.saturating_duration_since(began);
        (spent > Duration::ZERO && done > before).then(|| (done - before) / spent.as_secs_f64())
    }

    /// How long the rest up to `total` will take from `now` on, once that can be said.
    pub(crate) fn left(&self, total: f64, now: Instant) -> Option<Duration> {
        let ((began, _), (at, done)) = (*self.looks.front()?, self.last?);
        if at.saturating_duration_since(began) < LEAST {
            return None;
        }
        let rest = Duration::try_from_secs_f64((total - done).max(0.0) / self.speed()?).ok()?;
        Some(rest.saturating_sub(now.saturating_duration_since(at)))
    }
}

/// As people say it; nothing is as exact as it looks.
pub(crate) fn about(left: Duration) -> String {
    let seconds = left.as_secs();
    match seconds {
        0..=4 => "a moment left".to_owned(),
        5..=89 => format!("about {seconds} s left"),
        90..=5369 => format!("about {} min left", (seconds + 30) / 60),
        _ => format!("about {} h {:02} min left", (seconds + 30) / 3600, (seconds + 30) / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn what_an_earlier_run_has_done_is_no_speed() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.begin(600.0, start);
        pace.reach(630.0, after(start, 10));
        assert_eq!(pace.speed(), Some(3.0));
        assert_eq!(pace.left(690.0, after(start, 10)), Some(Duration::from_secs(20)));
        assert_eq!(
            pace.left(690.0, after(start, 15)),
            Some(Duration::from_secs(15)),
            "it gets less while nothing is told"
        );
        assert_eq!(pace.left(690.0, after(start, 99)), Some(Duration::ZERO));
    }

    #[test]
    fn nothing_is_said_before_it_is_known() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!((pace.speed(), pace.left(1.0, start)), (None, None));
        pace.reach(0.0, start);
        pace.reach(0.5, after(start, 1));
        assert_eq!(pace.left(1.0, after(start, 1)), None);
        pace.reach(0.5, after(start, 4));
        assert_eq!(pace.left(1.0, after(start, 4)), Some(Duration::from_secs(4)));
    }

    #[test]
    fn a_pace_that_has_changed_is_believed_after_a_while() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.begin(0.0, start);
        (1..=300).for_each(|at| pace.reach(at as f64 * 10.0, after(start, at)));
        (301..=400).for_each(|at| pace.reach(3000.0 + (at - 300) as f64, after(start, at)));
        let speed = pace.speed().expect("it is known");
        assert!((0.9..1.2).contains(&speed), "{speed}");
        assert!(pace.looks.len() < 30);
    }

    #[test]
    fn the_next_thing_begins_anew() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.begin(0.0, start);
        pace.reach(100.0, after(start, 10));
        pace.reach(5.0, after(start, 11));
        assert_eq!(pace.speed(), None);
    }

    #[test]
    fn times_are_said_as_roughly_as_they_are_known() {
        let said = |seconds| about(Duration::from_secs(seconds));
        assert_eq!(
            [3, 42, 100, 3000].map(said),
            ["a moment left", "about 42 s left", "about 2 min left", "about 50 min left"]
        );
        assert_eq!(said(3600 * 2 + 60 * 5), "about 2 h 05 min left");
        assert!(said(u64::MAX - 60).contains('h'));
    }
}
