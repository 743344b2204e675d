//! Recognises headings in a model's answer, however the model writes them. Pure; cannot fail.

/// A part of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Title,
    Summary,
    Participants,
    KeyPoints,
    Decisions,
    Actions,
    Quotes,
    Tone,
    /// Some models repeat what they were given.
    Transcript,
}

/// A heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    /// `None` when the name is none of ours.
    pub(super) section: Option<Section>,
    /// As the model wrote it, without marks.
    pub(super) name: String,
    /// 1 to 6 for `#` to `######`; 7 for headings made of bold or plain text, which stand inside all others.
    pub(super) level: usize,
    /// What follows on the same line.
    pub(super) rest: String,
}

/// Names models give to the sections, ours first.
const NAMES: [(Section, &[&str]); 9] = [
    (Section::Title, &["meeting title", "title", "meeting name"]),
    (Section::Summary, &["summary", "meeting summary", "executive summary", "brief summary", "overview"]),
    (Section::Participants, &["participants", "attendees", "meeting participants", "speakers"]),
    (
        Section::KeyPoints,
        &["key discussion points", "key points", "discussion points", "main points", "key topics", "topics discussed"],
    ),
    (Section::Decisions, &["decisions made", "decisions", "key decisions"]),
    (Section::Actions, &["action items", "actions", "action points", "next steps", "to-do", "todo", "tasks"]),
    (Section::Quotes, &["notable quotes", "quotes", "key quotes"]),
    (Section::Tone, &["meeting tone", "tone", "overall tone"]),
    (Section::Transcript, &["full transcript", "transcript", "meeting transcript"]),
];

/// The heading that this line is, if it is one.
///
/// `#` makes any line a heading. Bold or plain text does so only under one of our names, because items of a
/// list look the same: `**Summary:** …`, `3. Decisions Made`, `TITLE: …`. A line with a bullet is an item.
pub(super) fn heading(line: &str) -> Option<Heading> {
    let line = line.trim();
    let hashes = line.bytes().take_while(|b| *b == b'#').count();
    if hashes > 0 {
        // `#1 priority` is text.
        let marked = hashes > 1 || line[hashes..].starts_with(char::is_whitespace);
        let text = line[hashes..].trim().trim_end_matches('#').trim();
        if hashes > 6 || !marked || text.is_empty() {
            return None;
        }
        let (section, rest) = named(text).map_or((None, String::new()), |(s, rest)| (Some(s), rest));
        return Some(Heading { section, name: bare(text), level: hashes, rest });
    }
    let text = without_number(line);
    let numbered = text.len() < line.len();
    let bold = text.starts_with("**") || text.starts_with("__");
    if !bold && text.starts_with(['-', '*', '•', '+', '>']) {
        return None;
    }
    let (section, rest) = named(text)?;
    // `2. Decisions: we ship` is an item of a numbered list; `2. Decisions` and `2. **Decisions**: …` are not.
    if numbered && !bold && !rest.is_empty() {
        return None;
    }
    Some(Heading { section: Some(section), name: bare(text), level: 7, rest })
}

/// One of our names, alone or followed by a colon and content.
fn named(text: &str) -> Option<(Section, String)> {
    if let Some(section) = known(text) {
        return Some((section, String::new()));
    }
    let (name, rest) = text.split_once(':')?;
    let rest = rest.trim().trim_start_matches(['*', '_']).trim();
    known(name).map(|section| (section, rest.to_owned()))
}

fn known(name: &str) -> Option<Section> {
    let name = bare(name).to_lowercase();
    NAMES.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(section, _)| *section)
}

/// Without number, emphasis, emoji and colon around it, words one blank apart.
fn bare(text: &str) -> String {
    let inner = without_number(text.trim_matches(|c: char| !c.is_alphanumeric()));
    inner.trim_matches(|c: char| !c.is_alphanumeric()).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `1. x`, `1) x`, `IV. x` → `x`.
fn without_number(text: &str) -> &str {
    let Some((number, rest)) = text.split_once(['.', ')']) else { return text };
    let digits = (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let roman = (1..=4).contains(&number.len()) && number.bytes().all(|b| matches!(b, b'I' | b'V' | b'X'));
    if (digits || roman) && rest.starts_with(char::is_whitespace) { rest.trim_start() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_headings_are_known_in_every_dress() {
        for line in [
            "## Action Items",
            "# action items:",
            "###### ACTION   ITEMS ##",
            "##Action Items",
            "## 6. Action Items",
            "## **Action Items**",
            "## 📌 Action Items",
            "**Action Items**",
            "**Action Items:**",
            "**6. Action Items**",
            "6. **Action Items**",
            "6) Action Items",
            "VI. Action Items",
            "__Action Items__:",
            "Action Items",
            "ACTION ITEMS:",
        ] {
            let found = heading(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((found.section, found.rest.as_str()), (Some(Section::Actions), ""), "{line}");
        }
    }

    #[test]
    fn content_may_follow_on_the_same_line() {
        for line in ["Title: The budget", "**Title:** The budget", "**Title**: The budget", "## Title: The budget"] {
            let found = heading(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((found.section, found.rest.as_str()), (Some(Section::Title), "The budget"), "{line}");
        }
    }

    #[test]
    fn items_and_prose_are_no_headings() {
        for line in [
            "- Summary: short",
            "* **Decisions**",
            "2. Decisions: we ship",
            "The summary is short.",
            "**Alice** writes.",
            "**Risks**",
            "#1 priority",
            "##",
            "####### seven",
            "",
        ] {
            assert_eq!(heading(line), None, "{line}");
        }
    }

    #[test]
    fn a_marked_heading_of_another_name_is_a_heading_still() {
        let found = heading("### 2. Risks:").expect("a heading");
        assert_eq!((found.section, found.name.as_str(), found.level), (None, "Risks", 3));
    }
}
