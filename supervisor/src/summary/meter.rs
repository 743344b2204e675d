//! How far a summary is, in tokens of the transcript: one number over all jobs, whatever becomes of them. Pure.
//!
//! A part counts as much as its lines have tokens, and while it is worked on, as much of that as its job says is done:
//! prompt read and answer made, of what they may come to. A part that has to be done again, smaller, starts anew
//! behind the curtain; what is shown never goes back. Uniting the parts comes on top, as a small share.

/// The share of the whole that uniting the parts is taken for.
const UNITING_SHARE: f64 = 16.0;

/// The state of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Meter {
    total: f64,
    done: f64,
    /// What the job at work counts for.
    open: f64,
    shown: f64,
}

impl Meter {
    /// For lines of so many tokens, of which some are done. `unites` tells whether the parts are to be united.
    pub fn new(tokens: u64, done: u64, unites: bool) -> Self {
        let whole = as_number(tokens.max(1));
        let total = if unites { whole + (whole / UNITING_SHARE).ceil() } else { whole };
        let done = as_number(done).min(whole);
        Self { total, done, open: 0.0, shown: done }
    }

    /// A part of so many tokens is begun.
    pub fn begin(&mut self, tokens: u64) {
        self.open = as_number(tokens).min(self.total - self.done);
    }

    /// One of so many jobs that are left is begun.
    pub fn begin_one_of(&mut self, jobs: usize) {
        self.open = (self.total - self.done) / as_number(jobs.max(1) as u64);
    }

    /// The job is so far; what to show.
    pub fn at(&mut self, fraction: f64) -> f64 {
        let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
        self.shown = self.shown.max((self.done + self.open * fraction).floor());
        self.shown
    }

    /// The job is done; what to show.
    pub fn end(&mut self) -> f64 {
        self.done += std::mem::take(&mut self.open);
        self.at(0.0)
    }

    pub fn total(&self) -> f64 {
        self.total
    }
}

#[expect(clippy::cast_precision_loss, reason = "tokens of a transcript are far below 2^52")]
fn as_number(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_up_through_all_parts_to_the_whole() {
        let mut meter = Meter::new(1000, 0, true);
        let mut shown = vec![meter.at(0.0)];
        for part in [300, 700] {
            meter.begin(part);
            shown.extend([0.1, 0.5, 0.9].map(|fraction| meter.at(fraction)));
            shown.push(meter.end());
        }
        meter.begin_one_of(1);
        shown.push(meter.at(0.5));
        shown.push(meter.end());
        assert!(shown.is_sorted(), "{shown:?}");
        assert_eq!((shown[4], shown[8]), (300.0, 1000.0));
        assert_eq!((shown[10], meter.total()), (1063.0, 1063.0));
    }

    #[test]
    fn a_part_done_again_in_halves_does_not_take_it_back() {
        let mut meter = Meter::new(100, 20, false);
        meter.begin(80);
        assert_eq!(meter.at(0.75), 80.0);
        meter.begin(40);
        assert_eq!(meter.at(0.0), 80.0);
        assert_eq!((meter.end(), meter.at(f64::NAN)), (80.0, 80.0));
        meter.begin(40);
        assert_eq!((meter.end(), meter.total()), (100.0, 100.0));
    }

    #[test]
    fn no_number_takes_it_beyond_the_whole() {
        let mut meter = Meter::new(0, 7, false);
        meter.begin(900);
        assert_eq!((meter.at(9.0), meter.end(), meter.total()), (1.0, 1.0, 1.0));
    }
}
