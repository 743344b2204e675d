//! From a transcript to a summary, apart from the model itself: what the model is told, how the transcript is
//! cut to fit its context, what its answers mean, and how several answers become one.
//!
//! ```text
//! counts of tokens ──► chunk::plan ──► one job per chunk ──► parse ──► merge ──► Summary
//!                          ▲                   │ cut by the token limit    ▲
//!                          └── chunk::split ◄──┘          title, summary ──┴── unite
//! ```
//!
//! All of it is pure: no file, no clock, no process. Failures: [`chunk::Refusal`] when the transcript cannot be
//! cut to fit; parsing and merging always succeed, because a model may answer anything.

#![forbid(unsafe_code)]

pub mod chunk;
mod headings;
pub mod instructions;
mod items;
pub mod merge;
mod meter;
pub mod parse;
mod unite;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use chunk::{Limits, Plan, Refusal};
pub use instructions::{instructions, uniting_instructions};
pub use merge::merge;
pub use meter::Meter;
pub use parse::parse;
pub use unite::{Gist, Group, Step, Uniting};

/// What an unknown owner or date is called.
pub const TBD: &str = "tbd";

/// What a model made of a meeting. Empty text and empty lists mean that it said nothing on the matter.
///
/// It holds words of the meeting: `Debug` tells lengths alone, so that no log line can hold them by accident.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// One line.
    pub title: String,
    /// Paragraphs.
    pub summary: String,
    pub participants: Vec<String>,
    pub key_points: Vec<String>,
    pub decisions: Vec<String>,
    pub actions: Vec<ActionItem>,
    pub quotes: Vec<String>,
    /// One line.
    pub tone: String,
}

/// Something somebody is to do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionItem {
    /// [`TBD`] when nobody was named.
    pub owner: String,
    pub task: String,
    /// [`TBD`] when no date was named.
    pub due: String,
    pub done: bool,
}

impl Summary {
    /// True when the model said nothing of use; such an answer is not a summary.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Summary")
            .field("title_bytes", &self.title.len())
            .field("summary_bytes", &self.summary.len())
            .field("participants", &self.participants.len())
            .field("key_points", &self.key_points.len())
            .field("decisions", &self.decisions.len())
            .field("actions", &self.actions.len())
            .field("quotes", &self.quotes.len())
            .field("tone_bytes", &self.tone.len())
            .finish()
    }
}

impl fmt::Debug for ActionItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActionItem({} bytes, done: {})", self.task.len(), self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_word_of_the_meeting() {
        let item = ActionItem { owner: "Zoltan".into(), task: "secret".into(), due: "Friday".into(), done: false };
        let summary = Summary { title: "secret".into(), actions: vec![item], ..Summary::default() };
        let shown = format!("{summary:?} {:?}", summary.actions);
        assert!(!shown.contains("secret") && !shown.contains("Zoltan") && !shown.contains("Friday"), "{shown}");
    }
}
