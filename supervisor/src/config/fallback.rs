//! Which smaller model stands in for one that does not fit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Steps from model to smaller model; a model is a name or a path. They never lead back to where they began, so
/// whoever goes down comes to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    steps: BTreeMap<PathBuf, Option<PathBuf>>,
}

impl Default for Fallback {
    /// The specification's ladder, with the rungs of the whisper family between and below its own.
    fn default() -> Self {
        let step = |from: &str, to: Option<&str>| (from.into(), to.map(Into::into));
        let steps = [
            step("whisper-large-v3", Some("whisper-small")),
            step("whisper-large-v3-turbo", Some("whisper-small")),
            step("whisper-medium", Some("whisper-small")),
            step("whisper-small", Some("whisper-base")),
            step("whisper-base", Some("whisper-tiny")),
            step("vosk-standard", Some("vosk-small")),
            step("qwen3-4b", None),
        ];
        Self { steps: BTreeMap::from(steps) }
    }
}

impl Fallback {
    /// A ladder of these steps alone; from a model to `None` says that nothing stands in for it.
    ///
    /// # Errors
    /// The models of a circle, in its order.
    pub fn new(steps: impl IntoIterator<Item = (PathBuf, Option<PathBuf>)>) -> Result<Self, Vec<PathBuf>> {
        let ladder = Self { steps: steps.into_iter().collect() };
        match ladder.circle() {
            None => Ok(ladder),
            Some(circle) => Err(circle.into_iter().map(Path::to_path_buf).collect()),
        }
    }

    /// What stands in for `model`: `None` when nobody said, `Some(None)` when it was said that nothing does.
    pub fn step(&self, model: &Path) -> Option<Option<&Path>> {
        self.steps.get(model).map(Option::as_deref)
    }

    /// Every step that was said, in the models' order.
    pub fn steps(&self) -> impl Iterator<Item = (&Path, Option<&Path>)> {
        self.steps.iter().map(|(from, to)| (from.as_path(), to.as_deref()))
    }

    /// Whoever adds steps looks for a circle afterwards.
    pub(super) fn insert(&mut self, from: PathBuf, to: Option<PathBuf>) {
        self.steps.insert(from, to);
    }

    /// The models of a circle, in its order, if there is one. Takes each model once, for a file may hold many.
    pub(super) fn circle(&self) -> Option<Vec<&Path>> {
        // Models from which every way was followed to its end.
        let mut sound: BTreeSet<&Path> = BTreeSet::new();
        for (start, _) in self.steps() {
            let (mut way, mut on_way): (Vec<&Path>, BTreeSet<&Path>) = (Vec::new(), BTreeSet::new());
            let mut next = Some(start);
            while let Some(model) = next.filter(|model| !sound.contains(model)) {
                if !on_way.insert(model) {
                    return Some(way.into_iter().skip_while(|passed| *passed != model).collect());
                }
                way.push(model);
                next = self.step(model).flatten();
            }
            sound.extend(way);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(steps: &[(&str, Option<&str>)]) -> Result<Fallback, Vec<PathBuf>> {
        Fallback::new(steps.iter().map(|(from, to)| (from.into(), to.map(Into::into))))
    }

    #[test]
    fn the_default_has_the_specification_s_steps_and_no_circle() {
        let default = Fallback::default();
        assert_eq!(default.step(Path::new("whisper-large-v3")), Some(Some(Path::new("whisper-small"))));
        assert_eq!(default.step(Path::new("vosk-standard")), Some(Some(Path::new("vosk-small"))));
        assert_eq!(default.step(Path::new("qwen3-4b")), Some(None));
        assert_eq!(default.step(Path::new("another")), None);
        assert_eq!(default.circle(), None);
    }

    #[test]
    fn steps_that_lead_in_a_circle_are_no_ladder() {
        let circle = ladder(&[("a", Some("b")), ("b", Some("c")), ("c", Some("b")), ("d", None)]);
        assert_eq!(circle, Err(vec!["b".into(), "c".into()]));
        assert_eq!(ladder(&[("a", Some("a"))]), Err(vec!["a".into()]));
        assert!(ladder(&[("a", Some("c")), ("b", Some("c")), ("c", Some("d")), ("d", None)]).is_ok());
    }

    #[test]
    fn a_very_long_ladder_is_looked_through_at_once() {
        let name = |n: u32| PathBuf::from(format!("{n:06}"));
        let steps = |last: u32| (0..50_000).map(move |n| (name(n), Some(name(if n == 49_999 { last } else { n + 1 }))));
        assert!(Fallback::new(steps(50_000)).is_ok());
        assert_eq!(Fallback::new(steps(0)).map_err(|circle| circle.len()), Err(50_000));
        let backwards = (1..50_000).map(|n| (name(n), Some(name(n - 1))));
        assert!(Fallback::new(backwards).is_ok());
    }
}
