//! `cargo xtask criteria`: the page that says what must be survived, and how far that is proven.

mod page;
mod promises;
mod rows;
mod strategies;

use std::process::ExitCode;

use crate::results;
use crate::workspace::Workspace;

const PAGE: &str = "supervisor/docs/specification.md";

pub(crate) fn write(workspace: &Workspace) -> Result<ExitCode, String> {
    let page = page::render(&results::read_all(&workspace.root)?);
    let file = workspace.root.join(PAGE);
    std::fs::write(&file, page).map_err(|cause| format!("{} could not be written: {cause}", file.display()))?;
    println!("wrote {}", file.display());
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sources;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders below the root")
    }

    #[test]
    fn the_page_is_what_would_be_generated_now() {
        let results = results::read_all(root()).expect("result files");
        let page = std::fs::read_to_string(root().join(PAGE)).expect("the page");
        assert!(page == page::render(&results), "{PAGE} is stale: run `cargo xtask criteria`");
    }

    #[test]
    fn every_test_that_is_named_is_there() {
        let sources = sources::read_all(root()).expect("sources");
        let rows = rows::ROWS.iter().flat_map(|row| row.tests);
        let promises = promises::PROMISES.iter().flat_map(|promise| promise.tests);
        for test in rows.chain(promises).chain(strategies::STRATEGIES.iter().flat_map(|strategy| strategy.tests)) {
            let (suite, name) = test.split_once("::").expect("suite::test");
            let file = sources.iter().filter(|source| source.path.contains(suite));
            let found = file.into_iter().any(|source| source.text.contains(&format!("fn {name}(")));
            assert!(found, "there is no {test}");
        }
    }

    #[test]
    fn every_result_belongs_to_a_criterion() {
        for result in results::read_all(root()).expect("result files") {
            assert!(numbers().any(|number| number == result.criterion), "{}", result.name);
        }
    }

    #[test]
    fn what_a_promise_draws_on_was_measured_or_a_result_of_that_name_is_not_there_yet() {
        let results = results::read_all(root()).expect("result files");
        for drawn in promises::PROMISES.iter().flat_map(|promise| promise.drawn) {
            let is_there = results.iter().any(|result| result.name == drawn.result);
            assert!(!is_there || drawn.found(&results).is_some(), "{}: there is no {}", drawn.result, drawn.figure);
        }
    }

    #[test]
    fn the_criteria_are_numbered_without_a_hole() {
        assert!(numbers().eq(1..=39));
    }

    fn numbers() -> impl Iterator<Item = u8> {
        let promises = promises::PROMISES.iter().map(|promise| promise.number);
        rows::ROWS.iter().map(|row| row.number).chain(promises)
    }
}
