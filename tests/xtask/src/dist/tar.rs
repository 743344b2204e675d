//! Archives of the old, plain kind (ustar): the same entries always give the same bytes.
//!
//! Entries come sorted from [`Tree`], belong to root, and carry the one time they are told; nothing of the machine that
//! packs gets in. Names fit the format's two fields or are refused.

use super::tree::{Node, Tree};

const BLOCK: usize = 512;

/// The archive of `tree`, every name behind `prefix`, every time `epoch`.
pub(crate) fn archive(tree: &Tree, prefix: &str, epoch: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for (path, node) in tree.with_folders() {
        let name = format!("{prefix}{path}");
        match node {
            None => header(&mut bytes, &format!("{name}/"), 0o755, 0, b'5', epoch)?,
            Some(Node { mode, content }) => {
                header(&mut bytes, &name, *mode, content.len() as u64, b'0', epoch)?;
                bytes.extend_from_slice(content);
                pad(&mut bytes, BLOCK);
            }
        }
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    // What tar writes comes in blocks of twenty.
    pad(&mut bytes, 20 * BLOCK);
    Ok(bytes)
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn header(bytes: &mut Vec<u8>, name: &str, mode: u32, size: u64, kind: u8, epoch: u64) -> Result<(), String> {
    let (before, name) = split(name).ok_or_else(|| format!("the name {name} is too long for an archive"))?;
    let mut block = [0_u8; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, &format!("{epoch:011o}"));
    put(148, "        ");
    put(257, "ustar\x0000");
    put(265, "root");
    put(297, "root");
    put(329, "0000000");
    put(337, "0000000");
    put(345, before);
    block[156] = kind;
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    let sum = format!("{sum:06o}\0 ");
    block[148..156].copy_from_slice(sum.as_bytes());
    bytes.extend_from_slice(&block);
    Ok(())
}

/// The two fields of a name: at most 155 bytes, a slash that is left out, at most 100.
fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= 100 {
        return Some(("", name));
    }
    let fits = |at: &usize| *at <= 155 && name.len() - at - 1 <= 100 && at + 1 < name.len();
    let at = name.match_indices('/').map(|(at, _)| at).find(fits)?;
    Some((&name[..at], &name[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.add("bin/program", 0o755, b"#!".to_vec());
        tree.add("share/doc/note.txt", 0o644, vec![b'x'; 513]);
        tree
    }

    #[test]
    fn the_same_tree_gives_the_same_bytes_however_it_was_made() {
        let mut other = Tree::default();
        other.add("share/doc/note.txt", 0o644, vec![b'x'; 513]);
        other.add("bin/program", 0o755, b"#!".to_vec());
        assert_eq!(archive(&tree(), "p/", 7), archive(&other, "p/", 7));
        assert_ne!(archive(&tree(), "p/", 7), archive(&tree(), "p/", 8));
    }

    #[test]
    fn every_folder_comes_before_what_is_in_it_and_content_fills_whole_blocks() {
        let bytes = archive(&tree(), "./", 1).expect("short names");
        assert_eq!(bytes.len() % (20 * BLOCK), 0);
        let name =
            |at: usize| String::from_utf8_lossy(&bytes[at * BLOCK..at * BLOCK + 20]).trim_end_matches('\0').to_owned();
        // The program takes one block, the note two.
        let names = [0, 1, 3, 4, 5].map(name);
        assert_eq!(names, ["./bin/", "./bin/program", "./share/", "./share/doc/", "./share/doc/note.txt"]);
    }

    #[test]
    fn the_sum_of_a_header_is_what_the_format_says() {
        let bytes = archive(&tree(), "", 0).expect("short names");
        let mut header = bytes[..BLOCK].to_vec();
        let told = String::from_utf8_lossy(&header[148..154]).into_owned();
        header[148..156].fill(b' ');
        let sum: u32 = header.into_iter().map(u32::from).sum();
        assert_eq!(u32::from_str_radix(&told, 8), Ok(sum));
    }

    #[test]
    fn a_long_name_is_split_at_a_slash_or_refused() {
        let long = format!("{}/{}", "a".repeat(60), "b".repeat(90));
        assert_eq!(split(&long), Some((&long[..60], &long[61..])));
        assert_eq!(split(&"a".repeat(101)), None);
        assert_eq!(split(&format!("{}/", "a".repeat(100))), None);
    }

    /// tar itself reads it back, where there is one.
    #[cfg(unix)]
    #[test]
    fn tar_reads_it_back() {
        let folder = crate::demo::fresh_folder("tar").expect("a folder");
        let file = folder.join("a.tar");
        std::fs::write(&file, archive(&tree(), "top/", 1_700_000_000).expect("short names")).expect("written");
        let listed = crate::run::Step::new("tar").args(["-tvf"]).args([&file]).output().expect("tar reads it");
        assert!(
            listed.contains("top/bin/program") && listed.contains("root/root") && listed.contains("-rwxr-xr-x"),
            "{listed}"
        );
        std::fs::remove_dir_all(&folder).expect("removable");
    }
}
