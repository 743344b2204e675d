//! Answers as models give them, and what must come of each.

use super::super::ActionItem;
use super::*;

fn action(owner: &str, task: &str, due: &str) -> ActionItem {
    ActionItem { owner: owner.into(), task: task.into(), due: due.into(), done: false }
}

/// What the bundled tiny model was trained to answer.
const PLAIN: &str = "## Meeting Title\nPlanningMeeting\n\n## Summary\nThe team discussed the report and the budget.\n\n\
    ## Key Discussion Points\n- the budget is late\n- can Bob fix the demo by Monday?\n\n\
    ## Decisions Made\n- ship the website on Friday\n\n\
    ## Action Items\n- [ ] Alice — write the report (due: Friday)\n- [ ] Bob — test the demo\n\n\
    ## Meeting Tone\nconstructive";

fn plain() -> Summary {
    Summary {
        title: "PlanningMeeting".into(),
        summary: "The team discussed the report and the budget.".into(),
        participants: vec![],
        key_points: vec!["the budget is late".into(), "can Bob fix the demo by Monday?".into()],
        decisions: vec!["ship the website on Friday".into()],
        actions: vec![action("Alice", "write the report", "Friday"), action("Bob", "test the demo", "tbd")],
        quotes: vec![],
        tone: "constructive".into(),
    }
}

/// `Debug` of a summary hides its words; a failing test has to show them.
fn check(answer: &str, expected: &Summary) {
    let json = |s: &Summary| serde_json::to_string_pretty(s).expect("plain values");
    assert_eq!(json(&parse(answer)), json(expected), "{answer}");
}

#[test]
fn the_expected_form_is_read_exactly() {
    check(PLAIN, &plain());
    check(&PLAIN.replace('\n', "\r\n"), &plain());
}

#[test]
fn decoration_around_the_answer_does_not_matter() {
    for (before, after) in [
        ("<think>\n## Summary\nhm\n</think>\n\n", ""),
        ("<THINK>a</THINK><think>b</think>", "\n"),
        ("so the user wants\n## Summary\nhm</think>", ""),
        ("<thinking>hm</thinking>", "<think>never ending"),
        ("```markdown\n", "\n```\n"),
        ("Sure! Here is the summary of the meeting:\n\n", "\n\nLet me know if you need anything else!"),
        ("# Meeting Summary\n\n*Generated: 2026-01-01 10:00*\n\n---\n\n", "\n\n---\n"),
        ("", "\n\n## Full Transcript\n\nHello.\nBye.\n"),
    ] {
        check(&format!("{before}{PLAIN}{after}"), &plain());
    }
}

#[test]
fn headings_may_look_otherwise() {
    check(&PLAIN.replace("## ", "#### "), &plain());
    check(&PLAIN.to_string().replace("## Meeting Title\n", "**Meeting Title:** "), &plain());
    let mut number = 0;
    let numbered: Vec<String> = PLAIN
        .lines()
        .map(|line| match line.strip_prefix("## ") {
            Some(name) => {
                number += 1;
                format!("{number}. **{name}**")
            }
            None => line.to_owned(),
        })
        .collect();
    check(&numbered.join("\n"), &plain());
    check(&PLAIN.replace("\n- ", "\n* "), &plain());
    check(&PLAIN.replace("\n- [ ] ", "\n1. ").replace("\n- ", "\n• "), &plain());
}

#[test]
fn sections_that_say_nothing_are_empty() {
    let answer = "## Meeting Title\nnone\n## Summary\nNone.\n## Participants\n- none\n## Key Discussion Points\n\
        no key points identified\n## Decisions Made\nno formal decisions made\n## Action Items\n\
        - [ ] No action items identified.\n## Notable Quotes\nN/A\n## Meeting Tone\nnone";
    assert!(parse(answer).is_empty());
    assert!(parse("").is_empty());
    assert!(parse("<think>all thought and no answer").is_empty());
}

/// Each took time by its square once: this test would not end.
#[test]
fn an_answer_of_nothing_but_marks_or_empty_lines_is_read_at_once() {
    for mark in ["<think></think>", "<think>", "</think>", "</thinking><thinking>", "\n", "---\n", "```\n"] {
        assert!(parse(&mark.repeat(200_000)).is_empty(), "{mark}");
    }
    assert_eq!(parse(&format!("{}We met.", "<think>hm</think>\n".repeat(200_000))).summary, "We met.");
}

#[test]
fn forms_that_were_not_filled_in_are_empty() {
    let answer = "## Meeting Title\n[Meeting Title]\n## Summary\nNone provided.\n## Participants\n- [Name]\n- <Name 2>\n\
        ## Key Discussion Points\n- None mentioned\n- [Key point 1]\n## Decisions Made\n- N/A\n\
        ## Action Items\n- [ ] [Owner] — [Task] (due: [Date])\n## Notable Quotes\n- \"[Quote]\" — [Speaker]\n\
        ## Meeting Tone\n[Tone]";
    assert!(parse(answer).is_empty(), "{}", serde_json::to_string(&parse(answer)).expect("plain values"));
    let half =
        parse("## Action Items\n- [ ] [Name] — call Tom (due: [Date])\n## Participants\n- Tom [guest]\n- [Speaker 1]");
    assert_eq!(half.actions, [action("tbd", "call Tom", "tbd")]);
    assert_eq!(half.participants, ["Tom [guest]", "[Speaker 1]"]);
}

#[test]
fn no_control_character_comes_through() {
    let answer = PLAIN.replace("budget", "bud\u{1b}[31mget\u{7}");
    assert_eq!(parse(&answer).key_points[0], "the bud[31mget is late");
}

#[test]
fn an_answer_without_headings_is_the_summary() {
    let expected = Summary { summary: "They met.\n\n- and parted".into(), ..Summary::default() };
    check("They met.\n\n\n- and parted\n", &expected);
    check("Here's a summary of the transcript:\nThey met.\n\n- and parted", &expected);
}

#[test]
fn text_before_the_first_heading_is_kept_unless_it_is_politeness() {
    let answer = format!("They met on Monday.\n{PLAIN}");
    let expected = Summary { summary: format!("They met on Monday.\n\n{}", plain().summary), ..plain() };
    check(&answer, &expected);
}

#[test]
fn text_under_another_heading_becomes_key_points() {
    let answer = "## Risks\n- the budget is late\n  and small\nNo plan.\n## Summary\nShort.";
    let expected = Summary {
        summary: "Short.".into(),
        title: "Risks".into(),
        key_points: vec!["Risks: the budget is late and small".into(), "Risks: No plan.".into()],
        ..Summary::default()
    };
    check(answer, &expected);
}

#[test]
fn a_headline_of_its_own_is_the_title_if_there_is_no_other() {
    let expected = Summary { title: "Budget Review".into(), summary: "Short.".into(), ..Summary::default() };
    check("# Budget Review\n\n## Summary\nShort.", &expected);
    check("## Title\n**Budget Review**\n## Summary\nShort.", &expected);
    check("# Notes\n## Title\n\"Budget Review\"\n## Summary\nShort.", &expected);
}

#[test]
fn topics_within_a_section_stay_in_it() {
    let answer = "## Decisions Made\n### Budget\n- approved\n## Action Items\n### Alice\n- write the report\n\
        **Bob:**\n- test the demo (due: Monday)\n**Urgent**\n- Tom — call";
    let expected = Summary {
        decisions: vec!["Budget: approved".into()],
        actions: vec![
            action("Alice", "write the report", "tbd"),
            action("Bob", "test the demo", "Monday"),
            action("Tom", "Urgent: call", "tbd"),
        ],
        ..Summary::default()
    };
    check(answer, &expected);
}

#[test]
fn action_items_may_be_spread_over_lines_or_a_table() {
    let expected = Summary { actions: vec![action("Alice", "write the report", "Friday")], ..Summary::default() };
    check("## Action Items\n- [ ] Alice — write the report\n  - Due: Friday", &expected);
    check("## Action Items\n- **Task:** write the report\n  - **Owner:** Alice\n  - **Due:** Friday", &expected);
    check(
        "## Action Items\n- Alice — write\n  the report",
        &Summary { actions: vec![action("Alice", "write the report", "tbd")], ..Summary::default() },
    );
    check("## Action Items\n| Owner | Task |\n|---|:--|\n| Alice | write the report (due: Friday) |", &expected);
    assert!(parse("## Actions\n- [x] Alice — write").actions[0].done);
}

#[test]
fn participants_quotes_and_tone_keep_their_words() {
    let answer = "## Participants\nAlice, Bob and Carol.\n- Dan, the guest\n## Notable Quotes\n> \"We ship.\"\n— Bob\n\
        - \"No.\" — Carol\n## Meeting Tone\nfriendly,\nthen tense\n## Summary\nOne.\n\n## Meeting Tone\ncalm";
    let expected = Summary {
        summary: "One.".into(),
        participants: ["Alice", "Bob", "Carol", "Dan, the guest"].map(String::from).into(),
        quotes: vec!["\"We ship.\" — Bob".into(), "\"No.\" — Carol".into()],
        tone: "friendly, then tense calm".into(),
        ..Summary::default()
    };
    check(answer, &expected);
}

/// Whatever the answer, each word of it that is no decoration is somewhere in the summary, and nothing panics.
#[test]
fn no_word_is_lost_from_answers_put_together_at_random() {
    let pieces = [
        "## Summary\n",
        "### Topic0\n",
        "- ",
        "* [ ] ",
        "word1 — ",
        "\n",
        "\n\n",
        "**word2** ",
        "(due: word3)",
        "| word4 |\n",
        "1. ",
        "word5: ",
        "  word6\n",
        "## Action Items\n",
        "Decisions: ",
        "é—“ß”",
        "# ",
        "> word7",
        "Due: word8\n",
        "---\n",
        "## Participants\n",
        "## Notable Quotes\n",
        "## Meeting Title\n",
        "## Meeting Tone\n",
        "\"word9\"",
        "[word10] ",
    ];
    for seed in 0..4000_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut answer = String::new();
        for _ in 0..20 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            answer.push_str(pieces[(state % pieces.len() as u64) as usize]);
        }
        let summary = serde_json::to_string(&parse(&answer)).expect("plain values");
        for n in 1..=10 {
            // A number that only a heading holds names nothing.
            let word = format!("word{n}");
            let in_text = answer.lines().any(|l| !l.trim_start().starts_with('#') && l.contains(&word));
            assert!(!in_text || summary.contains(&word), "seed {seed}, {word}:\n{answer}\n{summary}");
        }
    }
}
