//! What of a meeting is in its summary: actions and decisions that were said, and lines under those headings that
//! nobody said.

use crate::meeting::{Said, Sentence};

/// Items that were said, and those of them that a summary has.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recall {
    pub actions: Share,
    pub decisions: Share,
    pub missing: Vec<String>,
    /// Lines under the two headings that are no item of the meeting.
    pub invented: Vec<String>,
}

/// Some of all.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub found: usize,
    pub said: usize,
}

impl Share {
    /// 100 when nothing was said.
    pub fn percent(self) -> f64 {
        if self.said == 0 { 100.0 } else { 100.0 * self.found as f64 / self.said as f64 }
    }
}

impl std::ops::Add for Share {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { found: self.found + other.found, said: self.said + other.said }
    }
}

impl Recall {
    /// An item counts wherever it stands before the transcript: the bundled model is small.
    pub fn count(&mut self, meeting: &[Sentence], summary: &str) {
        let notes = summary.split("## Full Transcript").next().unwrap_or("");
        let lines: Vec<String> = notes.lines().map(normal).collect();
        let mut said = Vec::new();
        for sentence in meeting {
            let (item, share) = match &sentence.said {
                Said::Action(item) => (item, &mut self.actions),
                Said::Decision(item) => (item, &mut self.decisions),
                Said::Other => continue,
            };
            share.said += 1;
            said.push(normal(item));
            if lines.contains(&normal(item)) {
                share.found += 1;
            } else {
                self.missing.push(item.clone());
            }
        }
        self.invented.extend(items(notes).filter(|line| !said.contains(&normal(line))).map(str::to_owned));
    }

    pub fn both(&self) -> Share {
        self.actions + self.decisions
    }
}

/// The list items under the two headings.
fn items(notes: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    notes.lines().filter(move |line| {
        if let Some(heading) = line.strip_prefix("## ") {
            inside = ["Decisions Made", "Action Items"].contains(&heading);
        }
        inside && line.starts_with("- ")
    })
}

/// Case, blanks and the end of a line do not count.
fn normal(line: &str) -> String {
    line.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_what_is_missing_and_what_nobody_said_are_told_apart() {
        let sentence = |said| Sentence { text: String::new(), said };
        let meeting = [
            sentence(Said::Decision("- ship the demo".to_owned())),
            sentence(Said::Action("- [ ] Tom — fix the plan (due: tbd)".to_owned())),
            sentence(Said::Action("- [ ] Anna — send the plan (due: tbd)".to_owned())),
            sentence(Said::Other),
        ];
        let summary = "## Summary\n- one\n## Decisions Made\n- Ship the demo.\n- close the plan\n## Action Items\n\
                       - [ ] Tom — fix the plan (due: tbd)\n## Full Transcript\n- [ ] Anna — send the plan (due: tbd)\n";
        let mut recall = Recall::default();
        recall.count(&meeting, summary);
        assert_eq!(recall.actions, Share { found: 1, said: 2 });
        assert_eq!(recall.both(), Share { found: 2, said: 3 });
        assert_eq!(recall.missing, ["- [ ] Anna — send the plan (due: tbd)"]);
        assert_eq!(recall.invented, ["- close the plan"]);
    }
}
