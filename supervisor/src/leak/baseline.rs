//! Workers' peaks against a committed file: memory that grows from version to version.
//!
//! A peak depends on what a worker is given, so a baseline says which check it is of (phase, models, seed, reuse) and
//! holds only the same check to it. The tolerance stands in the file, beside the figures that it is for; whoever finds
//! it too tight or too wide changes it there.
//!
//! Pure but for [`Baseline::read`] and [`Baseline::write`].

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::account::{Account, PeakRecord};
use super::series::Unit;
use super::statistics::median;
use super::verdict::{Verdict, figure};
use super::{Scope, WARM_UP};
use crate::bounded::{self, Unread};
use crate::event::Phase;
use crate::output::{self, OutputError};

/// Version of the file's shape.
const VERSION: u32 = 1;
/// No baseline is larger.
const MAX_BYTES: u64 = 64 * 1024;
/// Peaks are measured ten times a second and closed with the kernel's mark of the resident set, which knows files from
/// heap only roughly: the same check differs by some percent.
const TOLERANCE_PERCENT: f64 = 15.0;
/// Of small workers that would be less than a heap's own granularity.
const TOLERANCE_KIB: f64 = 2048.0;
/// Peaks behind the warm-up that a judgement takes: each input once.
const LEAST_PEAKS: usize = 5;

/// What the peaks were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    v: u32,
    written_by: String,
    phase: Scope,
    reuse: bool,
    stt: Option<String>,
    llm: Option<String>,
    seed: u64,
    /// So much more is let pass, in percent.
    tolerance_percent: f64,
    /// Or so much, where that is more.
    tolerance_kib: f64,
    peaks: Vec<BaselinePeak>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct BaselinePeak {
    phase: Phase,
    median_kib: f64,
    max_kib: f64,
}

/// What a peak was judged against, in KiB, tolerance included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "LeakPeakLimit"))]
pub struct PeakLimit {
    pub median_kib: f64,
    pub max_kib: f64,
}

/// What is wrong with a baseline.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BaselineError {
    #[error("the baseline `{}` cannot be read ({why}); write it with --baseline and --update-baseline", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error(
        "the baseline `{}` is of another check: {what}; run the check it is of, or write another file with --update-baseline",
        path.display()
    )]
    Another { path: PathBuf, what: String },
    #[error("the baseline `{}` was not written: {why}", path.display())]
    NothingToKeep { path: PathBuf, why: &'static str },
    #[error("the baseline cannot be written: {0}; choose another path with --baseline")]
    Unwritable(OutputError),
}

impl Baseline {
    /// Reads one.
    ///
    /// # Errors
    /// [`BaselineError::Unreadable`]
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        let unreadable = |why: String| BaselineError::Unreadable { path: path.to_path_buf(), why };
        let bytes = bounded::read(path, MAX_BYTES).map_err(|unread| {
            unreadable(match unread {
                Unread::Io(error) => error.to_string(),
                Unread::NotAFile => "it is not a file".to_owned(),
                Unread::TooLarge => "it is larger than a baseline is".to_owned(),
            })
        })?;
        let baseline: Self =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(format!("it is no baseline: {error}")))?;
        match baseline.v {
            VERSION => Ok(baseline),
            other => Err(unreadable(format!("it has version {other}, and this program knows version {VERSION}"))),
        }
    }

    /// Whether it is of the same check.
    ///
    /// # Errors
    /// [`BaselineError::Another`], with the first thing that differs.
    pub fn fits(&self, account: &Account, path: &Path) -> Result<(), BaselineError> {
        let name = |model: &Option<String>| model.clone().unwrap_or_else(|| "none".to_owned());
        let differences = [
            ("phase", self.phase.to_string(), account.phase.to_string()),
            ("reuse", self.reuse.to_string(), account.reuse.to_string()),
            ("speech model", name(&self.stt), name(&account.stt)),
            ("summary model", name(&self.llm), name(&account.llm)),
            ("seed", self.seed.to_string(), account.seed.to_string()),
        ];
        match differences.into_iter().find(|(_, one, other)| one != other) {
            None => Ok(()),
            Some((what, its, ours)) => Err(BaselineError::Another {
                path: path.to_path_buf(),
                what: format!("its {what} is {its}, and this one's is {ours}"),
            }),
        }
    }

    /// Judges the peaks of an account of the same check.
    pub fn judge(&self, account: &mut Account) {
        for peak in &mut account.peaks {
            let Some(known) = self.peaks.iter().find(|known| known.phase == peak.phase) else { continue };
            self.judge_one(peak, known);
        }
        account.conclude();
    }

    fn judge_one(&self, peak: &mut PeakRecord, known: &BaselinePeak) {
        let above = |kib: f64| (kib * (1.0 + self.tolerance_percent / 100.0)).max(kib + self.tolerance_kib);
        let limit = PeakLimit { median_kib: above(known.median_kib), max_kib: above(known.max_kib) };
        peak.limit = Some(limit);
        let (Some(median), Some(max)) = (peak.median_kib, peak.max_kib) else {
            peak.verdict = Some(Verdict::Insufficient);
            peak.explanation = format!("a judgement takes {LEAST_PEAKS} peaks behind the warm-up");
            return;
        };
        let number = |kib| figure(kib, Unit::Kib);
        let of = |what: &str, is: f64, was: f64, limit: f64| {
            format!(
                "its {what} peak is {}, where the baseline has {} and allows {}",
                number(is),
                number(was),
                number(limit)
            )
        };
        let (verdict, explanation) = if median > limit.median_kib {
            (Verdict::Leak, of("median", median, known.median_kib, limit.median_kib))
        } else if max > limit.max_kib {
            (Verdict::Leak, of("highest", max, known.max_kib, limit.max_kib))
        } else if median + self.tolerance_kib < known.median_kib * (1.0 - self.tolerance_percent / 100.0) {
            (
                Verdict::NoLeak,
                "it takes less than the baseline by more than the tolerance: update the baseline".to_owned(),
            )
        } else {
            (Verdict::NoLeak, "within the tolerance of the baseline".to_owned())
        };
        peak.verdict = Some(verdict);
        peak.explanation = match verdict {
            Verdict::Leak => format!(
                "{explanation}; look at what changed in the worker, its engine or its settings since, and if it is meant, \
                 write the baseline anew with --update-baseline"
            ),
            _ => explanation,
        };
    }

    /// Writes the peaks of an account as what they have to be from now on. A tolerance that was changed by hand in an
    /// earlier baseline stays.
    ///
    /// # Errors
    /// It leaks, has too few peaks, or the file cannot be written.
    pub fn write(account: &Account, path: &Path) -> Result<(), BaselineError> {
        let not_kept = |why| BaselineError::NothingToKeep { path: path.to_path_buf(), why };
        if account.series.iter().any(|series| series.verdict == Verdict::Leak) {
            return Err(not_kept("what leaks is no baseline"));
        }
        let peak = |peak: &PeakRecord| {
            Some(BaselinePeak { phase: peak.phase, median_kib: peak.median_kib?, max_kib: peak.max_kib? })
        };
        let peaks: Option<Vec<BaselinePeak>> = account.peaks.iter().map(peak).collect();
        let peaks = peaks.filter(|peaks| !peaks.is_empty()).ok_or(not_kept("there were too few cycles for it"))?;
        let earlier = Self::read(path).ok();
        let tolerance = earlier
            .as_ref()
            .map_or((TOLERANCE_PERCENT, TOLERANCE_KIB), |earlier| (earlier.tolerance_percent, earlier.tolerance_kib));
        let baseline = Self {
            v: VERSION,
            written_by: account.version.clone(),
            phase: account.phase,
            reuse: account.reuse,
            stt: account.stt.clone(),
            llm: account.llm.clone(),
            seed: account.seed,
            tolerance_percent: tolerance.0,
            tolerance_kib: tolerance.1,
            peaks,
        };
        let text = serde_json::to_string_pretty(&baseline).map_err(|_| not_kept("it cannot be put into JSON"))?;
        output::commit(&[(path.to_path_buf(), text + "\n")]).map_err(BaselineError::Unwritable)
    }
}

/// A phase's peaks, in KiB, not judged yet.
pub(super) fn record(phase: Phase, values: Vec<f64>, reuse: bool) -> PeakRecord {
    // A worker that served all inputs has one peak, and it covers them all.
    let kept = if reuse { &values[..] } else { values.get(WARM_UP as usize..).unwrap_or_default() };
    let is_enough = if reuse { !kept.is_empty() } else { kept.len() >= LEAST_PEAKS };
    let known = |figure: fn(&[f64]) -> f64| is_enough.then(|| figure(kept));
    PeakRecord {
        phase,
        verdict: None,
        median_kib: known(median),
        max_kib: known(|values| values.iter().copied().fold(0.0, f64::max)),
        limit: None,
        explanation: "there is no baseline to judge it by".to_owned(),
        values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leak::tests::account;

    fn with_peaks(kib: f64) -> Account {
        let mut account = account();
        account.peaks = vec![record(Phase::Stt, vec![kib; 12], false)];
        account
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("baseline.json");
        (folder, path)
    }

    fn verdict(written: f64, found: f64) -> (Option<Verdict>, String) {
        let (_folder, path) = file();
        Baseline::write(&with_peaks(written), &path).expect("written");
        let mut later = with_peaks(found);
        let baseline = Baseline::read(&path).expect("read");
        baseline.fits(&later, &path).expect("the same check");
        baseline.judge(&mut later);
        (later.peaks[0].verdict, later.peaks[0].explanation.clone())
    }

    #[test]
    fn a_peak_within_the_tolerance_passes_and_one_above_fails() {
        assert_eq!(verdict(100_000.0, 114_000.0).0, Some(Verdict::NoLeak));
        assert_eq!(verdict(100_000.0, 116_000.0).0, Some(Verdict::Leak));
        assert_eq!(verdict(4000.0, 6000.0).0, Some(Verdict::NoLeak), "2 MiB are let pass");
        assert_eq!(verdict(4000.0, 6100.0).0, Some(Verdict::Leak));
        let (less, why) = verdict(100_000.0, 50_000.0);
        assert!(less == Some(Verdict::NoLeak) && why.contains("update the baseline"), "{why}");
    }

    #[test]
    fn another_check_is_not_held_to_it() {
        let (_folder, path) = file();
        Baseline::write(&with_peaks(1.0), &path).expect("written");
        let baseline = Baseline::read(&path).expect("read");
        for change in [
            (|account: &mut Account| account.phase = Scope::Stt) as fn(&mut Account),
            |account| account.reuse = true,
            |account| account.seed = 2,
            |account| account.llm = Some("other".to_owned()),
        ] {
            let mut other = with_peaks(1.0);
            change(&mut other);
            let error = baseline.fits(&other, &path).expect_err("another").to_string();
            assert!(error.contains("of another check: its "), "{error}");
        }
    }

    #[test]
    fn a_tolerance_that_was_changed_by_hand_stays() {
        let (_folder, path) = file();
        Baseline::write(&with_peaks(1.0), &path).expect("written");
        let text = std::fs::read_to_string(&path).expect("there");
        assert!(text.contains("\"tolerance_percent\": 15.0"), "{text}");
        std::fs::write(&path, text.replace("15.0", "40.0")).expect("changed");
        Baseline::write(&with_peaks(2.0), &path).expect("written");
        assert!(std::fs::read_to_string(&path).expect("there").contains("\"tolerance_percent\": 40.0"));
    }

    #[test]
    fn too_few_peaks_and_leaks_are_no_baseline() {
        let (_folder, path) = file();
        let mut few = with_peaks(1.0);
        few.peaks = vec![record(Phase::Stt, vec![1.0; 9], false)];
        assert!(Baseline::write(&few, &path).is_err());
        let mut leaking = with_peaks(1.0);
        leaking.series[0].verdict = Verdict::Leak;
        assert!(Baseline::write(&leaking, &path).is_err() && !path.exists());
        std::fs::write(&path, "{}").expect("written");
        assert!(Baseline::read(&path).is_err());
    }
}
