//! Recognises items in a model's answer: bullets, action items, and the many ways to say "none". Pure; cannot
//! fail.

use super::{ActionItem, TBD};

/// A line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) text: String,
    pub(super) bulleted: bool,
    /// Stands to the right of the margin: belongs to what is above it.
    pub(super) indented: bool,
    /// It had a ticked box.
    pub(super) done: bool,
}

/// Takes the bullet (or number, or quote mark) and the box off a line. A table's row becomes its cells.
pub(super) fn item(line: &str) -> Item {
    let indented = line.starts_with("  ") || line.starts_with('\t');
    let mut text = line.trim();
    let mut bulleted = false;
    if let Some(rest) = bullet(text) {
        (text, bulleted) = (rest, true);
    }
    let mut done = false;
    for (mark, ticked) in [("[ ]", false), ("[]", false), ("[x]", true), ("[X]", true), ("☐", false), ("☑", true)] {
        if let Some(rest) = text.strip_prefix(mark) {
            (text, bulleted, done) = (rest.trim_start(), true, ticked);
            break;
        }
    }
    let text = if text.len() > 1 && text.starts_with('|') && text.ends_with('|') {
        bulleted = true;
        text.split('|').map(str::trim).filter(|c| !c.is_empty()).collect::<Vec<_>>().join(" — ")
    } else {
        text.to_owned()
    };
    Item { text, bulleted, indented, done }
}

fn bullet(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix(['•', '◦', '▪', '‣', '>']) {
        return Some(rest.trim_start());
    }
    let blank_after = |rest: &str| rest.is_empty() || rest.starts_with(char::is_whitespace);
    if let Some(rest) = text.strip_prefix(['-', '*', '+', '–']) {
        return blank_after(rest).then(|| rest.trim_start());
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text[digits..].strip_prefix(['.', ')'])?;
    ((1..=3).contains(&digits) && blank_after(rest)).then(|| rest.trim_start())
}

/// Words of which a statement that there is nothing consists; one more word, and it is a statement about the
/// meeting ("no budget").
const OF_NOTHING: &str = "no none not n/a na nothing any were was are is have been be formal formally explicit \
    explicitly specific specifically notable clear clearly key major significant direct important particular decision \
    decisions decided action actions item items point points discussion discussions discussed topics topic quote quotes \
    participant participants name names named attendee attendees speaker speakers task tasks title tone made identified \
    mentioned recorded noted found provided specified given listed available assigned applicable stated taken in the \
    this during by meeting transcript from of or for";

/// True for "none", "no formal decisions made", "No action items were identified." and their kin.
pub(super) fn says_nothing(whole: &str) -> bool {
    let text = whole.trim().trim_matches(|c: char| c.is_ascii_punctuation() || c == '—' || c == '–').to_lowercase();
    if is_blank_form(whole) {
        return true;
    }
    let mut words = text.split_whitespace();
    match words.next() {
        None => true,
        Some("no" | "none" | "not" | "n/a" | "na" | "nothing") => {
            words.all(|w| OF_NOTHING.split_whitespace().any(|known| known == w.trim_matches([',', '.', '(', ')', ';'])))
        }
        // Our own example, repeated.
        Some(_) => text == "owner — task (due: date",
    }
}

/// Names of what a form asks for.
const OF_FORMS: &str = "meeting title name names participant participants person speaker owner assignee responsible task \
    action item point key discussion topic decision quote date due deadline tone insert your the here of summary text role";

/// `[Name]`, `<Owner>`, `"[Quote]" — [Speaker]`, `[Owner] — [Task] (due: [Date])`: a form that nobody has filled in. Every
/// word of it stands in brackets and names what should stand there.
fn is_blank_form(text: &str) -> bool {
    let mut inside = false;
    let mut bracketed = String::new();
    for c in text.to_lowercase().replace("due:", "").chars() {
        match c {
            '[' | '<' => inside = true,
            ']' | '>' => {
                inside = false;
                bracketed.push(' ');
            }
            _ if inside => bracketed.push(c),
            _ if c.is_alphanumeric() => return false,
            _ => {}
        }
    }
    let words = || bracketed.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let is_of_form = |word: &str| OF_FORMS.split_whitespace().any(|known| known == word) || word.parse::<u8>().is_ok();
    // `[Speaker 1]` is somebody: that is how a transcript calls people whom it cannot name.
    let is_label = words().zip(words().skip(1)).any(|(word, next)| word == "speaker" && next.parse::<u32>().is_ok());
    !is_label && words().any(|word| word.parse::<u8>().is_err()) && words().all(is_of_form)
}

/// Without emphasis around it.
pub(super) fn unmarked(text: &str) -> String {
    text.replace("**", "").replace("__", "").trim().to_owned()
}

/// Reads `owner — task (due: date)` and what models write instead of it.
pub(super) fn action(text: &str, done: bool) -> ActionItem {
    let mut text = unmarked(text);
    let (mut owner, mut due) = (None, None);
    while let Some((rest, field, value)) = field_at_end(&text) {
        match field {
            Field::Owner if owner.is_none() => owner = Some(value),
            Field::Due if due.is_none() => due = Some(value),
            _ => break,
        }
        text = rest;
    }
    if owner.is_none()
        && let Some((name, task)) = owner_in_front(&text)
    {
        owner = Some(name);
        text = task;
    }
    let or_tbd = |value: Option<String>| value.filter(|v| !is_unknown(v)).unwrap_or_else(|| TBD.to_owned());
    ActionItem { owner: or_tbd(owner), task: text, due: or_tbd(due), done }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Owner,
    Due,
    Task,
}

/// `Due: Friday`, `Owner: Alice` as a line of its own.
pub(super) fn field(text: &str) -> Option<(Field, String)> {
    let text = unmarked(text);
    let (name, value) = text.split_once(':')?;
    let field = match name.trim().to_lowercase().as_str() {
        "owner" | "assignee" | "assigned to" | "responsible" | "who" => Field::Owner,
        "due" | "due date" | "deadline" | "date" | "when" => Field::Due,
        "task" | "action" | "what" => Field::Task,
        _ => return None,
    };
    Some((field, value.trim().to_owned()))
}

/// Takes `(due: Friday)`, `[by Friday]`, `(owner: Bob)` or `, due: Friday` off the end.
fn field_at_end(text: &str) -> Option<(String, Field, String)> {
    let text = text.trim().trim_end_matches('.');
    let open = match text.chars().last()? {
        ')' => text.rfind('('),
        ']' => text.rfind('['),
        _ => None,
    };
    if let Some(open) = open {
        let inner = &text[open + 1..text.len() - 1];
        let (field, value) = field(inner).or_else(|| due_in_words(inner))?;
        let rest = text[..open].trim_end_matches([' ', ',', ';', '—', '–', '-']);
        return (!rest.is_empty() && field != Field::Task).then(|| (rest.to_owned(), field, value));
    }
    // Offsets stay the same: only ASCII letters change.
    let lower = text.to_ascii_lowercase();
    let at = ["due date:", "due:", "deadline:"].iter().filter_map(|name| lower.rfind(name)).min()?;
    let rest = text[..at].trim_end();
    let separated = rest.ends_with([',', ';', '—', '–', '-', '|']);
    let rest = rest.trim_end_matches([' ', ',', ';', '—', '–', '-', '|']);
    let (_, value) = text[at..].split_once(':')?;
    (separated && !rest.is_empty()).then(|| (rest.to_owned(), Field::Due, value.trim().to_owned()))
}

/// `due Friday`, `due by Friday`, `by Friday`.
fn due_in_words(text: &str) -> Option<(Field, String)> {
    let (first, rest) = text.split_once(' ')?;
    let rest = rest.trim();
    match first.to_lowercase().as_str() {
        "due" => Some((Field::Due, rest.strip_prefix("by ").unwrap_or(rest).to_owned())),
        "by" => Some((Field::Due, rest.to_owned())),
        _ => None,
    }
}

/// `Alice — task`, `Alice: task`, `Alice - task`, `[Alice] task`.
fn owner_in_front(text: &str) -> Option<(String, String)> {
    if let Some((name, task)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        let task = task.trim_start_matches([' ', ':', '—', '–', '-']);
        let owner = if is_blank_form(&format!("[{name}]")) { TBD } else { name.trim() };
        return (is_name(name, 4) && !task.is_empty()).then(|| (owner.to_owned(), task.to_owned()));
    }
    // The dash that was asked for may have more in front of it ("the whole marketing team"); a colon or hyphen
    // may just as well stand inside a task.
    let separators = [(" — ", 6), ("— ", 6), (" – ", 4), (": ", 3), (" - ", 3)];
    let (at, separator, words) = separators
        .iter()
        .filter_map(|(s, words)| text.find(s).map(|at| (at, *s, *words)))
        .min_by_key(|found| found.0)?;
    let (name, task) = (text[..at].trim(), text[at + separator.len()..].trim());
    let asked_for = separator.contains('—');
    let fits = name.split_whitespace().count() <= words && (asked_for || is_name(name, words) || is_unknown(name));
    (fits && !name.is_empty() && !task.is_empty()).then(|| (name.to_owned(), task.to_owned()))
}

fn is_name(text: &str, words: usize) -> bool {
    let text = text.trim().trim_start_matches('@');
    text.chars().next().is_some_and(|c| c.is_alphanumeric() && !c.is_lowercase())
        && text.split_whitespace().count() <= words
}

fn is_unknown(whole: &str) -> bool {
    let text = whole.trim().trim_matches(|c: char| c.is_ascii_punctuation()).to_lowercase();
    matches!(
        text.as_str(),
        "" | "tbd" | "tba" | "unknown" | "unassigned" | "to be determined" | "to be decided" | "unspecified"
    ) || says_nothing(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bullets_of_every_kind_come_off() {
        for line in ["- a b", "* a b", "+ a b", "• a b", "1. a b", "12) a b", "- [ ] a b", "[ ] a b", "–  a b", "> a b"]
        {
            let found = item(line);
            assert_eq!((found.text.as_str(), found.bulleted, found.done), ("a b", true, false), "{line}");
        }
        assert!(item("- [x] a").done && item("  - a").indented && !item("a b").bulleted);
        for line in ["-5 degrees", "*a* b", "2026. was", "1.5 million", "a - b"] {
            assert_eq!(item(line).text, line);
        }
        assert_eq!(item("| Alice | write | Friday |").text, "Alice — write — Friday");
    }

    #[test]
    fn action_items_are_read_in_many_forms() {
        for (text, owner, task, due) in [
            ("Alice — write the report (due: Friday)", "Alice", "write the report", "Friday"),
            ("Alice — write the report", "Alice", "write the report", "tbd"),
            ("**Alice**: write the report (by Friday)", "Alice", "write the report", "Friday"),
            ("**Alice:** write the report, due: Friday", "Alice", "write the report", "Friday"),
            ("Alice - write the report [Due Friday].", "Alice", "write the report", "Friday"),
            ("Alice – write the report — Deadline: Friday", "Alice", "write the report", "Friday"),
            ("[Alice] write the report (due by Friday)", "Alice", "write the report", "Friday"),
            ("write the report (owner: Alice) (due: Friday)", "Alice", "write the report", "Friday"),
            ("tbd — write the report (due: tbd)", "tbd", "write the report", "tbd"),
            ("Unknown: write the report (due: not specified)", "tbd", "write the report", "tbd"),
            ("Write the report", "tbd", "Write the report", "tbd"),
            ("write the report: first draft", "tbd", "write the report: first draft", "tbd"),
            ("Alice — fix a — b (see notes)", "Alice", "fix a — b (see notes)", "tbd"),
            ("the whole marketing team — meet", "the whole marketing team", "meet", "tbd"),
            ("李雷 — 写报告 (due: 星期五)", "李雷", "写报告", "星期五"),
        ] {
            let found = action(text, false);
            let found = (found.owner.as_str(), found.task.as_str(), found.due.as_str());
            assert_eq!(found, (owner, task, due), "{text}");
        }
    }

    #[test]
    fn nothing_is_said_in_many_ways() {
        for text in [
            "none",
            "None.",
            "N/A",
            "(none)",
            "*none*",
            "no formal decisions made",
            "No action items identified.",
            "no key points identified",
            "No notable quotes were mentioned in the transcript.",
            "Not specified",
            "Nothing was decided.",
            "-",
            "",
        ] {
            assert!(says_nothing(text), "{text}");
        }
        for text in ["no budget", "None of them will ship.", "the report is not late", "No decision on the budget"] {
            assert!(!says_nothing(text), "{text}");
        }
    }
}
