//! What will be packed: paths and what lies there, before it is known into what kind of package it goes.

use std::collections::BTreeMap;
use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Permissions.
    pub(crate) mode: u32,
    pub(crate) content: Vec<u8>,
}

/// Files by their paths, which are relative and have `/` between their parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, Node>);

impl Tree {
    pub(crate) fn add(&mut self, path: impl Into<String>, mode: u32, content: Vec<u8>) {
        self.0.insert(path.into(), Node { mode, content });
    }

    /// A file of this machine.
    pub(crate) fn copy(&mut self, path: impl Into<String>, mode: u32, from: &Path) -> Result<(), String> {
        let content = std::fs::read(from).map_err(|cause| format!("{} could not be read: {cause}", from.display()))?;
        self.add(path, mode, content);
        Ok(())
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// The same files elsewhere; those for which `place` knows no place are left out.
    pub(crate) fn moved(&self, place: impl Fn(&str) -> Option<String>) -> Self {
        Self(self.0.iter().filter_map(|(path, node)| Some((place(path)?, node.clone()))).collect())
    }

    /// Every folder, without content, before what is in it.
    pub(crate) fn with_folders(&self) -> Vec<(String, Option<&Node>)> {
        let mut all: BTreeMap<String, Option<&Node>> = BTreeMap::new();
        for (path, node) in &self.0 {
            for (at, _) in path.match_indices('/') {
                all.insert(path[..at].to_owned(), None);
            }
            all.insert(path.clone(), Some(node));
        }
        // Sorted by parts: a folder is followed by what it holds, not by names that merely begin like it.
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by(|(one, _), (other, _)| one.split('/').cmp(other.split('/')));
        all
    }

    /// Bytes of all contents.
    pub(crate) fn size(&self) -> u64 {
        self.0.values().map(|node| node.content.len() as u64).sum()
    }

    /// Writes it below `folder`, which is made.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), String> {
        for (path, node) in &self.0 {
            let file = folder.join(path);
            let failed = |cause| format!("{} could not be written: {cause}", file.display());
            std::fs::create_dir_all(file.parent().unwrap_or(folder)).map_err(failed)?;
            std::fs::write(&file, &node.content).map_err(failed)?;
            permit(&file, node.mode).map_err(failed)?;
        }
        Ok(())
    }
}

#[cfg(unix)]
pub(crate) fn permit(file: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
pub(crate) fn permit(_file: &Path, _mode: u32) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_once_each_and_before_what_they_hold() {
        let mut tree = Tree::default();
        for path in ["a/b/c", "a/b/d", "a/b-c", "e"] {
            tree.add(path, 0o644, Vec::new());
        }
        let listed: Vec<(String, bool)> =
            tree.with_folders().into_iter().map(|(path, node)| (path, node.is_some())).collect();
        let expected = [("a", false), ("a/b", false), ("a/b/c", true), ("a/b/d", true), ("a/b-c", true), ("e", true)];
        assert_eq!(listed, expected.map(|(path, is_file)| (path.to_owned(), is_file)));
    }

    #[test]
    fn what_has_no_place_is_left_out() {
        let mut tree = Tree::default();
        tree.add("bin/a", 0o755, vec![1]);
        tree.add("LICENSE", 0o644, vec![2, 3]);
        let moved = tree.moved(|path| path.strip_prefix("bin/").map(|name| format!("usr/bin/{name}")));
        assert_eq!(moved.files().map(|(path, _)| path).collect::<Vec<_>>(), ["usr/bin/a"]);
        assert_eq!((tree.size(), moved.size()), (3, 1));
    }
}
