//! Reads a model's answer. Pure; any answer gives a [`Summary`], an empty one at worst.
//!
//! Models decorate: thoughts before the answer, a polite line, a code fence, headings of every kind. What is
//! certainly none of the summary is left out (thoughts, politeness, rules, fences, statements that there is
//! nothing, a repeated transcript). Everything else is kept: text under headings that are none of ours becomes
//! key points with the heading's name in front.
//!
//! Answers are held to the headings by this repair, not by a grammar while they are sampled. A grammar must allow all
//! that may be written between headings, in any language, so it forces nothing but the headings themselves, which models
//! rarely miss and which are told apart here in every dress; it cannot see that an item was invented; it pushes a model
//! off the form that it was trained on, thoughts before the answer included; and an answer that it holds at the token
//! limit is cut all the same. What a grammar would promise, this module keeps: every answer gives the same eight parts.

use super::headings::{Heading, Section, heading};
use super::items::{self, Field, Item, says_nothing, unmarked};
use super::{Summary, TBD};

/// The summary an answer holds.
pub fn parse(answer: &str) -> Summary {
    let answer = without_controls(&without_thoughts(answer));
    let lines: Vec<&str> = answer.lines().collect();
    let mut reader = Reader::default();
    let end = lines.iter().rposition(|line| !is_decoration(line) && !line.trim().is_empty());
    for (i, line) in lines.iter().enumerate() {
        let next = lines.get(i + 1).copied().unwrap_or_default();
        let last = end.is_none_or(|end| end <= i);
        // A table's head says what the columns are; the rows speak for themselves.
        if is_decoration(line) || (line.contains('|') && is_table_rule(next)) || (last && is_farewell(line)) {
            continue;
        }
        match heading(line) {
            Some(found) => reader.open(found),
            None => reader.line(line),
        }
    }
    reader.finish()
}

/// Where a line belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    BeforeAnyHeading,
    In(Section),
    UnderAnother,
}

#[derive(Default)]
struct Reader {
    out: Summary,
    place: Place,
    level: usize,
    /// The name of a sub-heading, put before what stands under it.
    label: Option<String>,
    preamble: Vec<String>,
    prose: Vec<String>,
    /// The label was a line of its own, not a heading, and nothing has stood under it so far.
    label_is_line: bool,
    /// A heading of the whole answer that is none of ours: the title, if no other is given.
    headline: Option<String>,
    /// The line before was an item, so an indented line continues it.
    continues: bool,
}

impl Reader {
    fn open(&mut self, found: Heading) {
        self.continues = false;
        self.keep_lonely_label();
        match found.section {
            Some(section) => {
                (self.place, self.level, self.label) = (Place::In(section), found.level, None);
                if !found.rest.is_empty() {
                    self.line(&found.rest);
                }
            }
            // Deeper than ours: a topic within the section.
            None if matches!(self.place, Place::In(_)) && found.level > self.level => self.label = Some(found.name),
            None => {
                if self.place == Place::BeforeAnyHeading && self.headline.is_none() {
                    self.headline = Some(found.name.clone());
                }
                (self.place, self.level, self.label) = (Place::UnderAnother, found.level, Some(found.name));
            }
        }
    }

    fn line(&mut self, line: &str) {
        let text = line.trim();
        if text.is_empty() {
            self.continues = false;
            match self.place {
                Place::In(Section::Summary) => self.prose.push(String::new()),
                Place::BeforeAnyHeading => self.preamble.push(String::new()),
                _ => {}
            }
            return;
        }
        match self.place {
            Place::BeforeAnyHeading => self.preamble.push(text.to_owned()),
            Place::In(Section::Transcript) => {}
            _ if says_nothing(&items::item(line).text) => {}
            Place::In(Section::Title) => self.title(line),
            Place::In(Section::Summary) => {
                let label = self.label.take();
                self.prose.push(labelled(label.as_deref(), text.to_owned()));
            }
            Place::In(Section::Tone) => {
                let tone = unmarked(&items::item(line).text);
                join(&mut self.out.tone, &labelled(self.label.as_deref(), tone), " ");
            }
            Place::In(Section::Actions) => self.action(&items::item(line)),
            Place::In(Section::Participants) => self.participants(&items::item(line)),
            Place::In(section) => self.listed(section, items::item(line)),
            Place::UnderAnother => self.listed(Section::KeyPoints, items::item(line)),
        }
    }

    fn title(&mut self, line: &str) {
        let text = unmarked(&items::item(line).text);
        if self.out.title.is_empty() {
            text.trim_matches(['"', '“', '”', '*', '_']).clone_into(&mut self.out.title);
        } else {
            // A title is one line; what follows it is a description.
            self.prose.push(text);
        }
    }

    fn listed(&mut self, section: Section, item: Item) {
        let list = match section {
            Section::Decisions => &mut self.out.decisions,
            Section::Quotes => &mut self.out.quotes,
            _ => &mut self.out.key_points,
        };
        // A wrapped line, or the name under a quotation.
        let belongs_above = !item.bulleted && (item.indented || item.text.starts_with('—'));
        match list.last_mut() {
            Some(above) if belongs_above && self.continues => join(above, &item.text, " "),
            _ => list.push(labelled(self.label.as_deref(), item.text)),
        }
        self.continues = true;
    }

    fn participants(&mut self, item: &Item) {
        if item.bulleted || item.text.contains(['(', ':', '—']) {
            self.out.participants.push(unmarked(&item.text));
            return;
        }
        let text = unmarked(&item.text).replace(" and ", ", ").replace(" & ", ", ");
        let names = text.trim_end_matches('.').split([',', ';']).map(str::trim).filter(|n| !n.is_empty());
        self.out.participants.extend(names.map(str::to_owned));
    }

    fn action(&mut self, item: &Item) {
        // "Due: Friday" under its item, or owner, task and date on lines of their own.
        if let Some((field, value)) = items::field(&item.text) {
            match (field, self.out.actions.last_mut()) {
                (Field::Due, Some(above)) if above.due == TBD => return above.due = value,
                (Field::Owner, Some(above)) if above.owner == TBD => return above.owner = value,
                (Field::Task, _) => return self.out.actions.push(items::action(&value, item.done)),
                _ => {}
            }
        }
        if !item.bulleted {
            if item.indented
                && self.continues
                && let Some(above) = self.out.actions.last_mut()
            {
                return join(&mut above.task, &item.text, " ");
            }
            // "**Alice**" above her items.
            let name = unmarked(&item.text);
            let emphasised = name.len() < item.text.len();
            let short = name.split_whitespace().count() <= 3;
            if short
                && (name.ends_with(':') || (emphasised && item.text.starts_with("**") && item.text.ends_with("**")))
            {
                self.keep_lonely_label();
                self.label = Some(name.trim_end_matches(':').trim().to_owned());
                self.label_is_line = true;
                return;
            }
        }
        let mut action = items::action(&item.text, item.done);
        if let Some(label) = &self.label {
            self.label_is_line = false;
            if action.owner == TBD {
                action.owner.clone_from(label);
            } else if action.owner != *label {
                action.task = labelled(Some(label), action.task);
            }
        }
        self.out.actions.push(action);
        self.continues = true;
    }

    /// What looked like a name above items but had none below it was an item itself.
    fn keep_lonely_label(&mut self) {
        if std::mem::take(&mut self.label_is_line)
            && let Some(label) = self.label.take()
        {
            self.out.actions.push(items::action(&label, false));
        }
    }

    fn finish(mut self) -> Summary {
        self.keep_lonely_label();
        let opening: Vec<String> = drop_politeness(std::mem::take(&mut self.preamble));
        let mut out = self.out;
        out.summary = paragraphs(&self.prose);
        let opening = paragraphs(&opening);
        if !says_nothing(&opening) {
            out.summary = if out.summary.is_empty() { opening } else { format!("{opening}\n\n{}", out.summary) };
        }
        if out.title.is_empty() {
            out.title = self.headline.unwrap_or_default();
        }
        out
    }
}

fn labelled(label: Option<&str>, text: String) -> String {
    match label {
        Some(label) => format!("{label}: {text}"),
        None => text,
    }
}

fn join(to: &mut String, text: &str, between: &str) {
    if !to.is_empty() {
        to.push_str(between);
    }
    to.push_str(text);
}

/// Lines with single empty lines between paragraphs and none around them.
fn paragraphs(lines: &[String]) -> String {
    let mut out = String::new();
    for line in lines {
        if !line.is_empty() {
            out.push_str(line);
            out.push('\n');
        } else if !out.is_empty() && !out.ends_with("\n\n") {
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Nothing that moves a terminal's cursor or hides text.
fn without_controls(answer: &str) -> String {
    answer.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

/// Takes `<think>…</think>` out. Without its start (some chat templates put it into the prompt) all before the
/// end is thought; without its end all after the start is, and such an answer may well be empty.
fn without_thoughts(answer: &str) -> String {
    let mut text = answer.to_owned();
    for (start, end) in [("<think>", "</think>"), ("<thinking>", "</thinking>")] {
        text = without(&text, start, end);
    }
    text
}

/// Each mark is looked at once: an answer may be made of nothing else.
fn without(text: &str, start: &str, end: &str) -> String {
    // Offsets stay the same: only ASCII letters change.
    let lower = text.to_ascii_lowercase();
    let mut starts = lower.match_indices(start).map(|(from, _)| from).peekable();
    let mut ends = lower.match_indices(end).map(|(to, _)| to).peekable();
    let (mut out, mut at) = (String::new(), 0);
    loop {
        while starts.next_if(|from| *from < at).is_some() {}
        while ends.next_if(|to| *to < at).is_some() {}
        match (starts.peek().copied(), ends.peek().copied()) {
            (None, None) => {
                out.push_str(&text[at..]);
                return out;
            }
            (Some(from), None) => {
                out.push_str(&text[at..from]);
                return out;
            }
            (Some(from), Some(to)) if from < to => {
                out.push_str(&text[at..from]);
                at = to + end.len();
            }
            (_, Some(to)) => {
                out.clear();
                at = to + end.len();
            }
        }
    }
}

/// Code fences, rules, table rules, and the line with the time that stands in our own files.
fn is_decoration(line: &str) -> bool {
    let text = line.trim();
    let rule = text.len() >= 3 && text.chars().all(|c| matches!(c, '-' | '=' | '*' | '_'));
    let fence = text.strip_prefix("```").is_some_and(|info| info.chars().all(char::is_alphanumeric));
    rule || fence || is_table_rule(line) || text.to_lowercase().starts_with("*generated:")
}

fn is_table_rule(line: &str) -> bool {
    let text = line.trim();
    text.contains('|') && text.contains('-') && text.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
}

/// "Sure, here is the summary:" in the first lines.
fn drop_politeness(lines: Vec<String>) -> Vec<String> {
    let mut seen = 0;
    let polite = |line: &str| {
        let line = line.to_lowercase();
        let about = ["summary", "notes", "minutes", "transcript"].iter().any(|word| line.contains(word));
        let opening = ["sure", "certainly", "of course", "okay", "ok,", "here is", "here's", "here are", "below"];
        matches!(line.as_str(), "sure!" | "certainly!" | "of course!" | "sure." | "certainly.")
            || (about && opening.iter().any(|word| line.starts_with(word)))
    };
    lines
        .into_iter()
        .filter(|line| {
            seen += usize::from(!line.is_empty());
            seen > 2 || !polite(line)
        })
        .collect()
}

/// "Let me know if you need more!" in the last line.
fn is_farewell(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    ["let me know if", "please let me know", "i hope this", "feel free to", "would you like me"]
        .iter()
        .any(|start| line.starts_with(start))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
