//! `summary.md`: the summary's eight sections and the transcript. Pure; the time is passed in.
//!
//! The eight headings always stand there in the same order, so that scripts can rely on them; no line of the
//! transcript, of the model, or of a journal that came from elsewhere can pose as another heading.

use jiff::civil::DateTime;

use super::text::one_line;
use crate::summary::{ActionItem, Summary};

/// The whole file. `lines` are the transcript's as [`super::text::lines`] gives them; `generated` is the local
/// time to show.
pub fn render(summary: &Summary, lines: &[String], generated: DateTime) -> String {
    let mut out = format!("# Meeting Summary\n\n*Generated: {}*\n\n---\n\n", generated.strftime("%Y-%m-%d %H:%M"));
    section(&mut out, "Meeting Title", &prose(&summary.title), "none");
    section(&mut out, "Summary", &prose(&summary.summary), "none");
    section(&mut out, "Participants", &bullets(&summary.participants), "none");
    section(&mut out, "Key Discussion Points", &bullets(&summary.key_points), "none");
    section(&mut out, "Decisions Made", &bullets(&summary.decisions), "no formal decisions made");
    let actions: Vec<String> = summary.actions.iter().map(action).collect();
    section(&mut out, "Action Items", &actions.join("\n"), "no action items identified");
    section(&mut out, "Notable Quotes", &bullets(&summary.quotes), "none");
    section(&mut out, "Meeting Tone", &prose(&summary.tone), "none");
    out.push_str("---\n\n## Full Transcript\n\n");
    for line in lines {
        out.push_str(&guarded(line));
        out.push('\n');
    }
    out
}

fn section(out: &mut String, heading: &str, content: &str, otherwise: &str) {
    let content = if content.trim().is_empty() { otherwise } else { content };
    out.push_str(&format!("## {heading}\n\n{content}\n\n"));
}

fn bullets(items: &[String]) -> String {
    items.iter().map(|item| format!("- {}", guarded(&one_line(item)))).collect::<Vec<_>>().join("\n")
}

fn action(item: &ActionItem) -> String {
    let mark = if item.done { 'x' } else { ' ' };
    let [owner, task, due] = [&item.owner, &item.task, &item.due].map(|text| without_tags(one_line(text)));
    format!("- [{mark}] {owner} — {task} (due: {due})")
}

/// Lines as Markdown counts them, where a carriage return alone ends one.
fn prose(text: &str) -> String {
    let text: String = text.trim().replace("\r\n", "\n").replace('\r', "\n");
    let plain = |line: &str| line.chars().filter(|c| *c == '\t' || !c.is_control()).collect::<String>();
    text.lines().map(|line| guarded(&plain(line))).collect::<Vec<_>>().join("\n")
}

/// A line that Markdown would read as a heading, a rule or the start of a code block gets a backslash in front of
/// what makes it so, inside lists and quotations, too; so does whatever could be a tag of HTML. Every other line is
/// itself.
fn guarded(line: &str) -> String {
    let text = line.trim();
    let (around, inner) = text.split_at(text.len() - within_lists(text).len());
    // One `=` or `-` alone makes a heading of the line above it.
    let rule = !inner.is_empty() && inner.chars().all(|c| matches!(c, '-' | '=' | '*' | '_' | ' '));
    let guarded = if rule || inner.starts_with('#') || inner.starts_with("```") || inner.starts_with("~~~") {
        format!("{around}\\{inner}")
    } else {
        line.to_owned()
    };
    without_tags(guarded)
}

/// What stands behind bullets, numbers and marks of quotation.
fn within_lists(text: &str) -> &str {
    let mut rest = text;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let inner = rest.strip_prefix('>').or_else(|| {
            let item = rest.strip_prefix(['-', '*', '+']).or_else(|| rest.get(digits..)?.strip_prefix(['.', ')']))?;
            item.starts_with([' ', '\t']).then_some(item)
        });
        match inner.map(str::trim_start) {
            Some(inner) if !inner.is_empty() => rest = inner,
            _ => return rest,
        }
    }
}

/// `<h2>` would be a heading, and `<script>` worse.
fn without_tags(line: String) -> String {
    let is_tag = |after: &str| after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
    if !line.match_indices('<').any(|(at, _)| is_tag(&line[at + 1..])) {
        return line;
    }
    let mut out = String::with_capacity(line.len() + 2);
    for (at, c) in line.char_indices() {
        if c == '<' && is_tag(&line[at + 1..]) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> DateTime {
        jiff::civil::date(2026, 3, 4).at(5, 6, 59, 0)
    }

    #[test]
    fn a_full_summary_has_every_section_in_order() {
        let item = |owner: &str, task: &str, due: &str, done| ActionItem {
            owner: owner.into(),
            task: task.into(),
            due: due.into(),
            done,
        };
        let summary = Summary {
            title: "Budget".into(),
            summary: "First.\n\nSecond.".into(),
            participants: vec!["Alice".into(), "Bob".into()],
            key_points: vec!["the report is late".into()],
            decisions: vec!["ship the website".into()],
            actions: vec![item("Alice", "write the report", "Friday", false), item("tbd", "test", "tbd", true)],
            quotes: vec!["\"We ship.\" — Bob".into()],
            tone: "constructive".into(),
        };
        let expected = "# Meeting Summary\n\n*Generated: 2026-03-04 05:06*\n\n---\n\n\
            ## Meeting Title\n\nBudget\n\n## Summary\n\nFirst.\n\nSecond.\n\n## Participants\n\n- Alice\n- Bob\n\n\
            ## Key Discussion Points\n\n- the report is late\n\n## Decisions Made\n\n- ship the website\n\n\
            ## Action Items\n\n- [ ] Alice — write the report (due: Friday)\n- [x] tbd — test (due: tbd)\n\n\
            ## Notable Quotes\n\n- \"We ship.\" — Bob\n\n## Meeting Tone\n\nconstructive\n\n---\n\n\
            ## Full Transcript\n\n[Speaker 1]: Hi.\nBye.\n";
        assert_eq!(render(&summary, &["[Speaker 1]: Hi.".into(), "Bye.".into()], at()), expected);
    }

    #[test]
    fn what_a_journal_from_elsewhere_holds_makes_no_heading() {
        for hostile in ["a\n## Summary\nb", "a\r# b", "\r\n## Decisions Made", "\u{1b}[2J\n---\n## c"] {
            let list = vec![hostile.to_owned()];
            let item = ActionItem { owner: hostile.into(), task: hostile.into(), due: hostile.into(), done: false };
            let summary = Summary {
                title: hostile.into(),
                summary: hostile.into(),
                participants: list.clone(),
                key_points: list.clone(),
                decisions: list.clone(),
                actions: vec![item],
                quotes: list,
                tone: hostile.into(),
            };
            let page = render(&summary, &[], at());
            let headings = page.split(['\n', '\r']).filter(|line| line.starts_with('#')).count();
            assert_eq!((headings, page.contains('\u{1b}')), (10, false), "{page}");
        }
    }

    #[test]
    fn what_the_model_left_out_has_a_default() {
        let expected = "# Meeting Summary\n\n*Generated: 2026-03-04 05:06*\n\n---\n\n\
            ## Meeting Title\n\nnone\n\n## Summary\n\nnone\n\n## Participants\n\nnone\n\n\
            ## Key Discussion Points\n\nnone\n\n## Decisions Made\n\nno formal decisions made\n\n\
            ## Action Items\n\nno action items identified\n\n## Notable Quotes\n\nnone\n\n\
            ## Meeting Tone\n\nnone\n\n---\n\n## Full Transcript\n\n";
        assert_eq!(render(&Summary::default(), &[], at()), expected);
    }

    #[test]
    fn no_line_can_pose_as_a_heading() {
        let summary = Summary { summary: "One.\n## Action Items\n---".into(), ..Summary::default() };
        let md = render(&summary, &["# no".into(), "```".into(), "- fine".into()], at());
        assert!(md.contains("One.\n\\## Action Items\n\\---\n"), "{md}");
        assert!(md.ends_with("\\# no\n\\```\n- fine\n"), "{md}");
        assert_eq!(md.lines().filter(|l| l.starts_with("## ")).count(), 9);
        assert_eq!(md.lines().filter(|l| *l == "---").count(), 2);
    }

    #[test]
    fn no_line_makes_a_heading_in_any_other_way() {
        for (said, written) in [
            ("=", "\\="),
            ("-", "\\-"),
            ("> ## Decisions Made", "> \\## Decisions Made"),
            ("- ## Decisions Made", "- \\## Decisions Made"),
            ("1. > * # no", "1. > * \\# no"),
            ("> ```", "> \\```"),
            ("   ## far in", "\\## far in"),
            ("<h2>Decisions Made</h2>", "\\<h2>Decisions Made\\</h2>"),
            ("a <!-- b", "a \\<!-- b"),
        ] {
            let md = render(&Summary::default(), &[said.into()], at());
            assert_eq!(md.lines().last(), Some(written), "{said}");
        }
        for same in ["- fine", "5 < 6 and a <- b", "<|im_end|>", "[Speaker 1]: #1", "1. first", "2026-11-24", "a - b"] {
            let md = render(&Summary::default(), &[same.into()], at());
            assert_eq!(md.lines().last(), Some(same));
        }
        let forged = Summary { key_points: vec!["# no".into(), "<b>x".into()], ..Summary::default() };
        assert!(render(&forged, &[], at()).contains("- \\# no\n- \\<b>x\n"));
    }
}
