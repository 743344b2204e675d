//! Which smaller model stands in for one that does not fit: a ladder, made once per run. Pure but for the look for
//! files, which is passed in.
//!
//! ```text
//!  requested ─► table says: smaller name ─► has it an engine here? ─ no ─► on to the next name
//!                      │                              │ yes
//!                      │                     is there a file for it? ─ no ─► on to the next name
//!                      ▼ none                         │ yes
//!                  end of the ladder                a rung
//! ```
//!
//! The specification's table (section 5.2) is the default, with more rungs below it; the configuration adds to it and
//! overrides it, by name or by path. For a model that is not in the table the catalogue says what stands in for it; one
//! that neither knows has no rung below it: nothing is guessed from sizes, because a smaller file may be of another
//! language or trained for another task.
//!
//! Every step down is an event and stands in ledger and transcript. Only memory is a reason to step down.

use std::path::{Path, PathBuf};

use crate::config::Fallback;
use crate::models::Model;

/// What a ladder needs to know about names.
pub trait Names {
    /// The name people know a model by: `ggml-large-v3-q5_0` is `whisper-large-v3`.
    fn known_as(&self, name: &str) -> String;
    /// What stands in for a model that the table does not know, as the catalogue says.
    fn smaller(&self, name: &str) -> Option<String>;
    /// The file for a name or path; `None` when there is none here or no engine for it.
    fn locate(&self, name: &Path) -> Option<Model>;
}

/// The requested model and those that may take its place, in the order in which they are tried.
pub fn ladder(requested: &Model, table: &Fallback, names: &impl Names) -> Vec<Model> {
    let mut rungs = vec![requested.clone()];
    let mut current = vec![
        requested.path.clone(),
        PathBuf::from(&requested.requested),
        PathBuf::from(&requested.name),
        PathBuf::from(names.known_as(&requested.name)),
    ];
    // The table leads in no circle by its own names; a model known by several might.
    let mut passed: Vec<PathBuf> = Vec::new();
    let known = |name: &PathBuf| names.smaller(name.to_str()?).map(PathBuf::from);
    let step = |current: &[PathBuf]| match current.iter().find_map(|name| table.step(name)) {
        Some(step) => step.map(Path::to_path_buf),
        None => current.iter().find_map(known),
    };
    while let Some(smaller) = step(&current) {
        if passed.contains(&smaller) {
            break;
        }
        passed.push(smaller.clone());
        let mut next = vec![smaller.clone()];
        if let Some(found) = names.locate(&smaller) {
            next.extend([PathBuf::from(&found.name), PathBuf::from(names.known_as(&found.name))]);
            if rungs.iter().all(|rung| rung.path != found.path) {
                rungs.push(Model { requested: requested.requested.clone(), ..found });
            }
        }
        current = next;
    }
    rungs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files by name.
    struct Shelf(&'static [&'static str]);

    impl Names for Shelf {
        fn known_as(&self, name: &str) -> String {
            name.replace("ggml-", "whisper-")
        }

        fn smaller(&self, name: &str) -> Option<String> {
            (name == "qwen3-8b" || name == "qwen3-4b").then(|| "qwen3-1.7b".to_owned())
        }

        fn locate(&self, name: &Path) -> Option<Model> {
            let name = name.to_str().filter(|name| self.0.contains(name))?;
            Some(Model::named(name, format!("/models/{name}")))
        }
    }

    fn names(requested: &str, table: &Fallback, shelf: &Shelf) -> Vec<String> {
        ladder(&Model::from_path(requested), table, shelf).into_iter().map(|rung| rung.name).collect()
    }

    /// A table of these steps alone.
    fn table(steps: &[(&str, Option<&str>)]) -> Fallback {
        Fallback::new(steps.iter().map(|(from, to)| (from.into(), to.map(Into::into)))).expect("no circle")
    }

    #[test]
    fn the_specifications_ladder_is_the_default() {
        let shelf = Shelf(&["whisper-small"]);
        let table = Fallback::default();
        assert_eq!(names("/m/ggml-large-v3.bin", &table, &shelf), ["ggml-large-v3", "whisper-small"]);
        assert_eq!(names("/m/qwen3-4b.gguf", &table, &shelf), ["qwen3-4b"]);
        assert_eq!(names("/m/unheard-of.bin", &table, &shelf), ["unheard-of"]);
    }

    #[test]
    fn the_catalogue_says_what_the_table_does_not() {
        let shelf = Shelf(&["qwen3-1.7b"]);
        assert_eq!(names("/m/qwen3-8b.gguf", &Fallback::default(), &shelf), ["qwen3-8b", "qwen3-1.7b"]);
        assert_eq!(
            names("/m/qwen3-4b.gguf", &Fallback::default(), &shelf),
            ["qwen3-4b"],
            "the table says that none does"
        );
        assert_eq!(names("/m/qwen3-8b.gguf", &table(&[("qwen3-8b", None)]), &shelf), ["qwen3-8b"]);
    }

    #[test]
    fn a_name_without_a_file_is_stepped_over() {
        let table = Fallback::default();
        let shelf = Shelf(&["whisper-tiny"]);
        assert_eq!(names("/m/ggml-large-v3.bin", &table, &shelf), ["ggml-large-v3", "whisper-tiny"]);
        assert_eq!(names("/m/vosk-standard", &table, &Shelf(&[])), ["vosk-standard"]);
    }

    #[test]
    fn a_step_may_be_told_by_name_or_path_and_a_model_may_end_the_ladder() {
        let shelf = Shelf(&["whisper-small", "whisper-base", "qwen3-1.7b"]);
        let steps =
            [("whisper-large-v3", Some("whisper-small")), ("/m/big.gguf", Some("qwen3-1.7b")), ("whisper-small", None)];
        assert_eq!(names("/m/ggml-large-v3.bin", &table(&steps), &shelf), ["ggml-large-v3", "whisper-small"]);
        assert_eq!(names("/m/big.gguf", &table(&steps), &shelf), ["big", "qwen3-1.7b"]);
        assert_eq!(names("/m/ggml-large-v3.bin", &table(&[]), &shelf), ["ggml-large-v3"]);
    }

    #[test]
    fn a_circle_by_other_names_ends() {
        let steps = [("whisper-a", Some("whisper-b")), ("ggml-b", Some("ggml-a")), ("whisper-b", Some("ggml-b"))];
        assert_eq!(
            names("/m/ggml-a.bin", &table(&steps), &Shelf(&["ggml-b", "ggml-a"])),
            ["ggml-a", "ggml-b", "ggml-a"]
        );
    }

    #[test]
    fn every_rung_tells_what_was_asked_for() {
        let rungs = ladder(&Model::from_path("/m/ggml-small.bin"), &Fallback::default(), &Shelf(&["whisper-base"]));
        assert!(rungs.iter().all(|rung| rung.requested == "/m/ggml-small.bin"));
        assert_eq!(rungs[1].name, "whisper-base");
    }
}
