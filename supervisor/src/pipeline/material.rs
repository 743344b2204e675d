//! What there is to summarise, from a run or from a file.

use std::path::Path;

use crate::errors::JobError;
use crate::output::{self, json};

/// A text file larger than this is no transcript.
const MAX_TEXT: u64 = 64 << 20;

/// What is wrong, without the path, which stands before it.
fn json_trouble(error: &json::ReadError) -> String {
    match error {
        json::ReadError::Io { source, .. } => source.to_string(),
        json::ReadError::Malformed { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// What there is to summarise.
#[derive(Debug, Default)]
pub(super) struct Material {
    pub(super) lines: Vec<String>,
    /// Two-letter code, where it is known.
    pub(super) language: Option<String>,
}

/// The lines of a transcript: of our JSON, or of any text.
pub(super) fn read_material(path: &Path) -> Result<Material, JobError> {
    let unusable = |detail: String| JobError::Transcript { path: path.to_path_buf(), detail };
    if path.to_string_lossy().ends_with(".summary.md") {
        return Err(unusable("it is a summary already; give the transcript".to_owned()));
    }
    let mut language = None;
    let lines = if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        let transcript = json::read(path).map_err(|error| unusable(json_trouble(&error)))?;
        language = Some(transcript.language.clone()).filter(|language| !language.is_empty());
        output::text::lines(&transcript)
    } else {
        let metadata = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
        if !metadata.is_file() {
            return Err(unusable("it is not a file".to_owned()));
        }
        if metadata.len() > MAX_TEXT {
            return Err(unusable(format!("{} bytes are more than a transcript has", metadata.len())));
        }
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        text.lines().map(output::text::one_line).collect()
    };
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return Err(unusable("it holds no text".to_owned()));
    }
    Ok(Material { lines, language })
}
