//! One title and one summary out of those of the parts, written anew by the model. Pure.
//!
//! ```text
//! parts     0   1   2   3   4   5        titles and summaries, in order
//!            \ / \ /     \  |  /
//! level 0     ·   ·         ·            as many neighbours at a time as the context holds, two at least
//!              \  |         /
//! level 1          ·                     until one is left
//! ```
//!
//! Lists never pass through here: decisions and tasks are united by rule ([`super::merge`]), so that none is lost on
//! the way. What the model writes is only how the whole reads. A model that cannot be told what to do (its template
//! drops the instructions) is not asked; where an answer is empty, cut, or has no room, the parts' own summaries stand
//! one after another, and the user is told so: [`Step::GiveUp`].
//!
//! How many tokens a part takes is estimated from its length; the worker, which counts, has the last word, and says
//! when there is no room: then the neighbours are taken in smaller groups.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Summary, parse};

/// How the meeting, or some of it, reads. `Debug` tells lengths alone.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Gist {
    /// One line.
    pub title: String,
    /// Paragraphs.
    pub summary: String,
}

impl std::fmt::Debug for Gist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gist({} and {} bytes)", self.title.len(), self.summary.len())
    }
}

impl Gist {
    /// What an answer says; `None` when it holds no summary.
    pub fn of(answer: &str) -> Option<Self> {
        let Summary { title, summary, .. } = parse(answer);
        (!summary.is_empty()).then_some(Self { title, summary })
    }

    fn bytes(&self) -> usize {
        self.title.len() + self.summary.len()
    }
}

/// Some neighbours that are to become one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How often those below have been united.
    pub level: u32,
    /// Which of that level.
    pub parts: Range<usize>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask the model for these; then call [`Uniting::answered`] or [`Uniting::no_room`].
    Ask(Group),
    United(Gist),
    /// It cannot be done.
    GiveUp,
}

/// Where it stands.
#[derive(Debug, Clone)]
pub struct Uniting {
    level: u32,
    parts: Vec<Gist>,
    /// Groups of this level that are not done.
    queue: VecDeque<Range<usize>>,
    next: Vec<Gist>,
    /// Bytes of text that a job is likely to have room for.
    room: usize,
    hopeless: bool,
}

impl Uniting {
    /// Of the parts that say anything.
    pub fn new(summaries: &[Summary], room: usize) -> Self {
        let gist = |part: &Summary| Gist { title: part.title.clone(), summary: part.summary.clone() };
        let parts: Vec<Gist> = summaries.iter().map(gist).filter(|gist| gist.bytes() > 0).collect();
        let mut uniting = Self { level: 0, parts, queue: VecDeque::new(), next: Vec::new(), room, hopeless: false };
        uniting.queue = uniting.groups();
        uniting
    }

    /// What is next. Says the same until it is answered.
    pub fn step(&mut self) -> Step {
        loop {
            if self.hopeless {
                return Step::GiveUp;
            }
            match (self.queue.front(), &self.parts[..]) {
                (_, []) => return Step::GiveUp,
                (_, [only]) => return Step::United(only.clone()),
                (Some(group), _) if group.len() > 1 => {
                    return Step::Ask(Group { level: self.level, parts: group.clone() });
                }
                // One without a neighbour goes up as it is.
                (Some(group), parts) => {
                    self.next.extend(parts[group.clone()].iter().cloned());
                    self.queue.pop_front();
                }
                (None, _) => {
                    self.parts = std::mem::take(&mut self.next);
                    self.level += 1;
                    self.queue = self.groups();
                }
            }
        }
    }

    /// Jobs that are left, this one included, as far as can be told.
    pub fn jobs_left(&self) -> usize {
        let here = self.queue.iter().filter(|group| group.len() > 1).count();
        here + usize::from(self.queue.len() + self.next.len() > 1)
    }

    /// What the model is given of a group: a line with number and title for each, and its paragraphs.
    pub fn lines(&self, group: &Group) -> Vec<String> {
        let parts = self.parts.get(group.parts.clone()).unwrap_or_default();
        let mut lines = Vec::new();
        for (number, part) in (group.parts.start + 1..).zip(parts) {
            lines.push(format!("Part {number}: {}", part.title.trim()));
            lines.extend(part.summary.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        }
        lines
    }

    /// The group at hand reads so.
    pub fn answered(&mut self, mut gist: Gist) {
        let Some(group) = self.queue.pop_front() else { return };
        if gist.title.is_empty() {
            let titles = self.parts[group].iter().map(|part| &part.title);
            gist.title = titles.into_iter().find(|title| !title.is_empty()).cloned().unwrap_or_default();
        }
        self.next.push(gist);
    }

    /// The group at hand does not fit: its halves, if they are groups still.
    pub fn no_room(&mut self) {
        match self.queue.pop_front() {
            Some(group) if group.len() > 2 => {
                let middle = group.start + group.len().div_ceil(2);
                self.queue.push_front(middle..group.end);
                self.queue.push_front(group.start..middle);
            }
            _ => self.hopeless = true,
        }
    }

    /// Neighbours as far as they fit, two at least: there is no other way to become fewer.
    fn groups(&self) -> VecDeque<Range<usize>> {
        let mut groups = VecDeque::new();
        let mut start = 0;
        while start < self.parts.len() {
            let mut bytes = 0;
            let fits = |part: &&Gist| {
                bytes += part.bytes();
                bytes <= self.room
            };
            let taken = self.parts[start..].iter().take_while(fits).count().max(2);
            let end = (start + taken).min(self.parts.len());
            groups.push_back(start..end);
            start = end;
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: usize, bytes: usize) -> Summary {
        Summary { title: format!("T{number}"), summary: "x".repeat(bytes), ..Summary::default() }
    }

    fn gist(title: &str, summary: &str) -> Gist {
        Gist { title: title.to_owned(), summary: summary.to_owned() }
    }

    /// Answers with the titles of what was asked, so that it shows what has gone into the end; `fits` is the worker's
    /// last word.
    fn run(parts: &[Summary], room: usize, fits: impl Fn(usize) -> bool) -> (Option<String>, Vec<Group>) {
        let mut uniting = Uniting::new(parts, room);
        let mut asked = Vec::new();
        for _ in 0..10 * parts.len() + 10 {
            match uniting.step() {
                Step::Ask(group) => {
                    let lines = uniting.lines(&group);
                    if !fits(lines.iter().map(String::len).sum()) {
                        uniting.no_room();
                        continue;
                    }
                    let titles = lines.iter().filter_map(|line| line.strip_prefix("Part ")?.split_once(": "));
                    let title = titles.map(|(_, title)| title).collect::<Vec<_>>().join(" ");
                    asked.push(group);
                    uniting.answered(gist(&title, "y"));
                }
                Step::United(gist) => return (Some(gist.title), asked),
                Step::GiveUp => return (None, asked),
            }
        }
        panic!("it does not end: {asked:?}");
    }

    #[test]
    fn what_fits_at_once_is_asked_for_once() {
        let parts: Vec<Summary> = (0..3).map(|number| part(number, 100)).collect();
        let (title, asked) = run(&parts, 1000, |_| true);
        assert_eq!((title.as_deref(), asked), (Some("T0 T1 T2"), vec![Group { level: 0, parts: 0..3 }]));
    }

    #[test]
    fn every_part_goes_into_the_whole_once_and_in_order() {
        for count in 2..60 {
            for (room, limit) in [(10, usize::MAX), (350, usize::MAX), (900, 700), (100_000, 1000)] {
                let parts: Vec<Summary> = (0..count).map(|number| part(number, 100 + number % 7)).collect();
                let (title, asked) = run(&parts, room, |bytes| bytes <= limit);
                let expected: Vec<String> = (0..count).map(|number| format!("T{number}")).collect();
                assert_eq!(title, Some(expected.join(" ")), "{count} parts, room for {room}: {asked:?}");
                assert!(asked.iter().all(|group| group.parts.len() > 1) && asked.len() < count);
            }
        }
    }

    #[test]
    fn what_cannot_be_united_is_given_up() {
        let parts = [part(0, 900), part(1, 900)];
        assert_eq!(run(&parts, 100, |bytes| bytes < 1000).0, None);
        assert_eq!(run(&[Summary::default(), Summary::default()], 100, |_| true).0, None);
        assert_eq!(run(&[Summary::default(), part(1, 9)], 100, |_| true).0.as_deref(), Some("T1"), "one says all");
    }

    #[test]
    fn an_answer_without_a_summary_is_none() {
        assert_eq!(Gist::of("## Meeting Title\nBudget\n## Summary\nThey met."), Some(gist("Budget", "They met.")));
        assert_eq!(Gist::of("They met."), Some(gist("", "They met.")));
        for empty in ["", "## Meeting Title\nBudget\n## Summary\nnone", "<think>hm"] {
            assert_eq!(Gist::of(empty), None, "{empty}");
        }
        let mut uniting = Uniting::new(&[part(0, 9), part(1, 9)], 100);
        let _ = uniting.step();
        uniting.answered(gist("", "They met."));
        assert_eq!(uniting.step(), Step::United(gist("T0", "They met.")), "a title is kept where there is no new one");
    }
}
