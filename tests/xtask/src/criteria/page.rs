//! The page's text from the rows and the results.

use super::promises::{Found, PROMISES, Promise};
use super::rows::{ROWS, Row};
use super::strategies::STRATEGIES;
use crate::results::{Figure, Measurement};

const HEAD: &str = "\
# What it must survive

Written by `cargo xtask criteria` from the files in `results/` and the list in the `criteria` module of `xtask`; a test \
fails when this page is stale. Figures are targets. *Measured* names a result below, *tested* a test that fails when the \
criterion is broken; *in part* says what is still open. What has neither is *pending* and nothing is claimed about it.

";

pub(crate) fn render(results: &[Measurement]) -> String {
    let mut page = HEAD.to_owned();
    let mut section = "";
    for row in &ROWS {
        if row.section != section {
            section = row.section;
            page.push_str(&format!("## {section}\n\n| No. | What | Target | Status |\n|---:|---|---|---|\n"));
        }
        page.push_str(&line(row, results));
        if row.is_last_of_section() {
            page.push('\n');
        }
    }
    page.push_str(SUCCESS);
    for promise in &PROMISES {
        page.push_str(&kept(promise, results));
    }
    page.push_str(OPTIMIZATION);
    for strategy in &STRATEGIES {
        let tests = named(strategy.tests);
        page.push_str(&format!("| {} | {} | {tests} |\n", strategy.asked, strategy.here));
    }
    page.push_str("\n## Measured\n");
    if results.is_empty() {
        page.push_str("\nNothing yet.\n");
    }
    for result in results {
        page.push_str(&measured(result));
    }
    page
}

const SUCCESS: &str = "\
## The specification's success criteria

Section 10 of the specification, in its order. *Pass* and *fail* are drawn from the results below; what is not \
measured yet is *pending*.

| No. | What | Figure | Measured | Target | |
|---:|---|---|---:|---|---|
";

const OPTIMIZATION: &str = "
## The specification's optimization strategies

Section 8.2 of the specification: what stands here of each, or why it does not.

| Strategy | Here | Tested |
|---|---|---|
";

/// The promise's lines: a figure each, then its tests and what is open.
fn kept(promise: &Promise, results: &[Measurement]) -> String {
    let mut cells = Vec::new();
    for drawn in promise.drawn {
        let about = format!("{}: {}", drawn.result, drawn.figure);
        cells.push(match drawn.found(results) {
            Some(Found { value, target, met }) => {
                let verdict = met.map_or("", |met| if met { "pass" } else { "**fail**" });
                format!("{about} | {value} | {target} | {verdict}")
            }
            None => format!("{about} | | | pending"),
        });
    }
    if !promise.tests.is_empty() {
        cells.push(format!("tested: {} | | |", named(promise.tests)));
    }
    if !promise.open.is_empty() {
        cells.push(format!("open: {} | | | pending", promise.open));
    }
    let head = |at: usize| if at == 0 { (promise.number.to_string(), promise.what) } else { (String::new(), "") };
    let line = |(at, cells): (usize, String)| {
        let (number, what) = head(at);
        format!("| {number} | {what} | {cells} |\n")
    };
    cells.into_iter().enumerate().map(line).collect()
}

fn named(tests: &[&str]) -> String {
    tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", ")
}

fn line(row: &Row, results: &[Measurement]) -> String {
    let Row { number, what, target, .. } = row;
    format!("| {number} | {what} | {target} | {} |\n", status(row, results))
}

fn status(row: &Row, results: &[Measurement]) -> String {
    let mut proofs: Vec<String> = results
        .iter()
        .filter(|result| result.criterion == row.number)
        .map(|result| format!("measured: {}{}", result.name, if result.met() { "" } else { " (a target is missed)" }))
        .collect();
    if !row.tests.is_empty() {
        proofs.push(format!("tested: {}", named(row.tests)));
    }
    match (proofs.is_empty(), row.open) {
        (true, _) => "pending".to_owned(),
        (false, "") => proofs.join("; "),
        (false, open) => format!("in part — {}; open: {open}", proofs.join("; ")),
    }
}

fn measured(result: &Measurement) -> String {
    let Measurement { criterion, name, command, machine, figures, notes } = result;
    let mut text = format!("\n### {criterion}: {name}\n\n`{command}` on {machine}\n\n");
    text.push_str("| Figure | Value | Target | |\n|---|---:|---|---|\n");
    for figure in figures {
        let Figure { name, value, unit, target, met } = figure;
        let value = format!("{value} {unit}");
        let verdict = met.map_or("", |met| if met { "met" } else { "missed" });
        text.push_str(&format!("| {name} | {} | {target} | {verdict} |\n", value.trim_end()));
    }
    for note in notes {
        text.push_str(&format!("\n{note}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::promises::{Drawn, Shown};
    use super::*;

    fn result(figure: Figure) -> Measurement {
        Measurement {
            criterion: 4,
            name: "poison".to_owned(),
            command: "cargo xtask bench".to_owned(),
            machine: "a machine".to_owned(),
            figures: vec![figure],
            notes: vec!["A note.".to_owned()],
        }
    }

    fn row(tests: &'static [&'static str], open: &'static str) -> Row {
        Row { number: 4, section: "Processes", what: "w", target: "t", tests, open }
    }

    #[test]
    fn without_a_result_or_a_test_a_row_is_pending() {
        assert_eq!(status(&row(&[], ""), &[]), "pending");
        assert_eq!(status(&row(&[], "all"), &[]), "pending");
        assert_eq!(status(&row(&["a::b"], ""), &[]), "tested: `a::b`");
    }

    #[test]
    fn a_promise_passes_fails_or_waits_by_its_figures() {
        let drawn = |figure| Drawn { result: "poison", figure, shown: Shown::Itself };
        let drawn = [drawn("x"), drawn("y"), drawn("z")];
        let promise = Promise { number: 35, what: "w", drawn: Box::leak(Box::new(drawn)), tests: &["a::b"], open: "c" };
        let mut measured = result(Figure::at_most("x", 2.0, "ms", 1.0));
        measured.figures.push(Figure::at_most("y", 0.5, "", 1.0));
        let lines = [
            "| 35 | w | poison: x | 2 ms | ≤ 1 | **fail** |",
            "|  |  | poison: y | 0.5 | ≤ 1 | pass |",
            "|  |  | poison: z | | | pending |",
            "|  |  | tested: `a::b` | | | |",
            "|  |  | open: c | | | pending |",
        ];
        assert_eq!(kept(&promise, &[measured]).lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_missed_target_and_what_is_open_are_said() {
        let results = [result(Figure::at_most("x", 2.0, "ms", 1.0))];
        assert_eq!(
            status(&row(&["a::b"], "c"), &results),
            "in part — measured: poison (a target is missed); tested: `a::b`; open: c"
        );
        let page = render(&results);
        assert!(page.contains("| x | 2 ms | ≤ 1 | missed |") && page.contains("\nA note.\n"), "{page}");
    }
}
