//! What a path in the file means: `~` is the home folder, and a relative one starts at the file.

use std::path::{Path, PathBuf, is_separator};

const PATH: &str = "a path";
const NO_HOME: &str = "a path without ~ while HOME is not set";
const STRANGER: &str = "a path (~/ is your own home folder; other people's are not known)";
const MODEL: &str = "a model's name or path";

/// Where paths start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// The file's own folder.
    pub(super) folder: PathBuf,
    pub(super) home: Option<PathBuf>,
}

impl Places {
    /// # Errors
    /// What would be allowed.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, &'static str> {
        if text.is_empty() || text.contains('\0') {
            return Err(PATH);
        }
        let path = match text.strip_prefix('~') {
            None => self.folder.join(text),
            Some(rest) if rest.is_empty() || rest.starts_with(is_separator) => {
                self.home.as_ref().ok_or(NO_HOME)?.join(rest.trim_start_matches(is_separator))
            }
            Some(_) => return Err(STRANGER),
        };
        // Without the `.` of `./model.bin`.
        Ok(path.components().collect())
    }

    /// A model's name stays as it is; what looks like a path is one.
    ///
    /// # Errors
    /// What would be allowed.
    pub(super) fn model(&self, text: &str) -> Result<PathBuf, &'static str> {
        if text.is_empty() || text.contains('\0') {
            return Err(MODEL);
        }
        if is_path(text) { self.path(text) } else { Ok(text.into()) }
    }
}

/// Whether it stands for a file: by a separator, a `~`, or the ending of a model's file. Whether such a file is
/// there makes no difference, so that the same text always means the same.
fn is_path(text: &str) -> bool {
    let of_a_model = |ending: &str| ending.eq_ignore_ascii_case("bin") || ending.eq_ignore_ascii_case("gguf");
    let ending = Path::new(text).extension().and_then(|ending| ending.to_str());
    text.contains(is_separator) || text.starts_with('~') || ending.is_some_and(of_a_model)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn places() -> Places {
        Places { folder: "/conf".into(), home: Some("/home/me".into()) }
    }

    #[test]
    fn paths_start_at_the_file_or_at_home() {
        for (text, expected) in [
            ("/models", "/models"),
            ("models", "/conf/models"),
            ("./models/", "/conf/models"),
            ("../models", "/conf/../models"),
            ("~", "/home/me"),
            ("~/models", "/home/me/models"),
            ("~//models", "/home/me/models"),
            ("a~", "/conf/a~"),
        ] {
            assert_eq!(places().path(text).expect("a path").as_os_str(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_path_is_refused_with_what_can() {
        assert_eq!(places().path(""), Err(PATH));
        assert_eq!(places().path("a\0b"), Err(PATH));
        assert_eq!(places().path("~you/models"), Err(STRANGER));
        assert_eq!(Places { home: None, ..places() }.path("~/models"), Err(NO_HOME));
    }

    #[test]
    fn a_model_is_a_name_unless_it_looks_like_a_file() {
        for (text, expected) in [
            ("demo", "demo"),
            ("whisper-large-v3", "whisper-large-v3"),
            ("qwen2.5-3b", "qwen2.5-3b"),
            ("ggml-small.bin", "/conf/ggml-small.bin"),
            ("Q4.GGUF", "/conf/Q4.GGUF"),
            ("./demo", "/conf/demo"),
            ("~/m.gguf", "/home/me/m.gguf"),
        ] {
            assert_eq!(places().model(text).expect("a model").as_os_str(), expected, "{text}");
        }
        assert_eq!(places().model(""), Err(MODEL));
    }
}
