//! `cargo xtask criteria`: the page that says what must be survived, and how far that is proven.

mod page;
mod rows;

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
        for row in &rows::ROWS {
            for test in row.tests {
                let (suite, name) = test.split_once("::").expect("suite::test");
                let file = sources.iter().filter(|source| source.path.contains(suite));
                let found = file.into_iter().any(|source| source.text.contains(&format!("fn {name}(")));
                assert!(found, "criterion {}: there is no {test}", row.number);
            }
        }
    }

    #[test]
    fn every_result_belongs_to_a_criterion() {
        for result in results::read_all(root()).expect("result files") {
            assert!(rows::ROWS.iter().any(|row| row.number == result.criterion), "{}", result.name);
        }
    }

    #[test]
    fn the_criteria_are_numbered_without_a_hole() {
        assert!(rows::ROWS.iter().map(|row| row.number).eq(1..=34));
    }
}
