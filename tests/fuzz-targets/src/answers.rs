//! Answers of summary models, which say anything: parsed, united, and written as a summary.
//!
//! ```text
//!  input: an answer │ NUL │ the answer for the next part …
//! ```

use jiff::civil::DateTime;
use meetcap_supervisor::output::markdown;
use meetcap_supervisor::summary::{self, Gist, Step, Summary, Uniting};
use meetcap_tests::demo::HEADINGS;
use meetcap_tests::rng::Rng;

use crate::{Target, Verdict};

pub const TARGET: Target = Target {
    name: "answers",
    read,
    seeds,
    words: &[
        "## Meeting Title\n",
        "## Summary\n",
        "## Participants\n",
        "## Key Discussion Points\n",
        "## Decisions Made\n",
        "## Action Items\n",
        "## Notable Quotes\n",
        "## Meeting Tone\n",
        "## Full Transcript\n",
        "<think>",
        "</think>",
        "<thinking>",
        "- [ ] ",
        "- [x] ",
        "(due: ",
        " — ",
        "**",
        "```\n",
        "| a | b |\n|---|---|\n",
        "Owner: ",
        "Task: ",
        "Due: ",
        "---\n",
        "1. ",
        "> ",
        "### ",
        "\u{2028}",
        "\u{feff}",
        "\r",
        "ß",
        "İ",
        "<h2>",
    ],
    longest: 8 << 10,
};

fn read(input: &[u8]) -> Verdict {
    let parts: Vec<String> =
        input.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    let summaries: Vec<Summary> = parts.iter().map(|part| summary::parse(part)).collect();
    let whole = summary::merge(&summaries);
    for summary in summaries.iter().chain([&whole]) {
        assert!(!summary.title.contains('\n') && !summary.tone.contains('\n'), "a title or tone of several lines");
        let lists = [&summary.participants, &summary.key_points, &summary.decisions, &summary.quotes];
        assert!(lists.into_iter().flatten().all(|item| !item.contains('\n')), "an item of several lines");
        holds_to_its_headings(summary, &parts[..1]);
    }
    unite(&summaries, &parts);
    if whole.is_empty() { Verdict::Refused } else { Verdict::Taken }
}

/// The parts are answers, too: each group's answer is the next of them.
fn unite(summaries: &[Summary], parts: &[String]) {
    let mut uniting = Uniting::new(summaries, 200);
    let mut answers = parts.iter().cycle();
    // Each step takes at least one part away; a group without room is halved.
    for _ in 0..4 * summaries.len() + 4 {
        let Step::Ask(group) = uniting.step() else { return };
        assert!(uniting.jobs_left() > 0 && !uniting.lines(&group).is_empty());
        match answers.next().and_then(|answer| Gist::of(answer)) {
            Some(gist) => uniting.answered(gist),
            None => uniting.no_room(),
        }
    }
    panic!("uniting {} parts has no end", summaries.len());
}

/// A summary's headings stand where they belong, whatever was written under them.
pub(crate) fn holds_to_its_headings(summary: &Summary, transcript: &[String]) {
    let lines: Vec<String> = transcript.iter().map(|line| meetcap_supervisor::output::text::one_line(line)).collect();
    let page = markdown::render(summary, &lines, DateTime::default());
    // A carriage return alone ends a line in Markdown, too.
    let found: Vec<&str> = page.split(['\n', '\r']).map(str::trim_start).filter(|line| line.starts_with('#')).collect();
    assert_eq!(found, HEADINGS, "headings that nobody ordered");
}

fn seeds(_: &mut Rng) -> Vec<Vec<u8>> {
    const WHOLE: &str = "<think>Let me see.</think>\nSure, here is the summary:\n\n## Meeting Title\n\"Budget\"\n\n\
        ## Summary\nWe met.\n\nWe agreed.\n\n## Participants\n- Ann (chair)\n- Bob\n\n## Key Discussion Points\n### Money\n\
        - too little\n  of it\n\n## Decisions Made\n1. Ship it.\n\n## Action Items\n- [ ] Ann — write the report (due: Friday)\n\
        - [x] tbd — test (due: tbd)\n| Owner | Task | Due |\n|---|---|---|\n| Bob | call | Monday |\n**Carol**\n- pay\n  Due: today\n\n\
        ## Notable Quotes\n> \"We ship.\"\n> — Bob\n\n## Meeting Tone\nCalm.\n\n---\n\nLet me know if you need more!";
    const LOOSE: &str = "**Title:** Plan\n\nTL;DR: we plan.\n\nAction items:\nOwner: Dan\nTask: call\nDue: tomorrow\n\n\
        # Risks\n* none\n\n```markdown\n## Summary\nAgain.\n```\n";
    [WHOLE.to_owned(), LOOSE.to_owned(), format!("{WHOLE}\0{LOOSE}\0No decisions were made."), "Just prose.".to_owned()]
        .map(String::into_bytes)
        .into()
}
