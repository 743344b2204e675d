//! `summary.md`: the summary's eight sections and the transcript. Pure; the time is passed in.
//!
//! The eight headings always stand there in the same order, so that scripts can rely on them; no line of the
//! transcript or of the model can pose as another heading.

use jiff::civil::DateTime;

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
    items.iter().map(|item| format!("- {item}")).collect::<Vec<_>>().join("\n")
}

fn action(item: &ActionItem) -> String {
    let mark = if item.done { 'x' } else { ' ' };
    format!("- [{mark}] {} — {} (due: {})", item.owner, item.task, item.due)
}

fn prose(text: &str) -> String {
    text.trim().lines().map(guarded).collect::<Vec<_>>().join("\n")
}

/// A line that Markdown would read as a heading, a rule or the start of a code block gets a backslash in
/// front; every other line is itself.
fn guarded(line: &str) -> String {
    let text = line.trim();
    let rule = text.len() >= 2 && text.chars().all(|c| matches!(c, '-' | '=' | '*' | '_' | ' '));
    if rule || text.starts_with('#') || text.starts_with("```") || text.starts_with("~~~") {
        format!("\\{text}")
    } else {
        line.to_owned()
    }
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
}
