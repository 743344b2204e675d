//! The repository's Rust sources, read once.

use std::path::{Path, PathBuf};

use crate::boundaries::FOLDERS;

#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every `.rs` file in the five folders.
pub(crate) fn read_all(root: &Path) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        let failed = |cause| format!("{} could not be read: {cause}", folder.display());
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if path.is_file() && name.ends_with(".rs") {
                let text = std::fs::read_to_string(&path)
                    .map_err(|cause| format!("{} could not be read: {cause}", path.display()))?;
                sources.push(Source { path: relative(root, &path), text });
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

fn relative(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    inside.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Names of the folders at the top level, without those that start with a dot.
pub(crate) fn top_level_folders(root: &Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(root).map_err(|cause| format!("{} could not be read: {cause}", root.display()))?;
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| !name.starts_with('.')).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_file_is_among_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("xtask lies two folders deep");
        let sources = read_all(root).expect("the sources can be read");
        assert!(sources.iter().any(|source| source.path == "tests/xtask/src/sources.rs"));
        assert!(top_level_folders(root).is_ok_and(|names| names.contains(&"protocol".to_owned())));
    }
}
