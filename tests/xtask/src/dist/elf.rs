//! What programs and libraries need of the system, as `readelf` tells it (binutils: where there is a linker, it is too).

use std::collections::BTreeSet;
use std::path::Path;

use crate::run::Step;

/// A library that is not in the package, and one version of its symbols that is asked for, if any is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Need {
    pub(crate) library: String,
    pub(crate) version: Option<String>,
}

/// All that `files` need, without what they are themselves.
pub(crate) fn needs(files: &[&Path]) -> Result<Vec<Need>, String> {
    let mut needs = BTreeSet::new();
    for file in files {
        let told = Step::new("readelf").env("LC_ALL", "C").words("-d -V -W").args([file]).output()?;
        needs.extend(read(&told));
    }
    let packed: BTreeSet<String> =
        files.iter().filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned())).collect();
    Ok(needs.into_iter().filter(|need| !packed.contains(&need.library)).collect())
}

fn read(told: &str) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut file = String::new();
    for line in told.lines() {
        if let Some((_, name)) = line.split_once("Shared library: [") {
            needs.push(Need { library: name.trim_end_matches(']').to_owned(), version: None });
        } else if let Some((_, name)) = line.split_once("  File: ") {
            name.split_whitespace().next().unwrap_or_default().clone_into(&mut file);
        } else if let Some((_, name)) = line.split_once("  Name: ") {
            // The part on what a file offers has names too, and comes before any `File:`.
            let version = name.split_whitespace().next().unwrap_or_default();
            if !file.is_empty() {
                needs.push(Need { library: file.clone(), version: Some(version.to_owned()) });
            }
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "
Dynamic section at offset 0x1000 contains 30 entries:
 0x0000000000000001 (NEEDED)             Shared library: [libstdc++.so.6]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]

Version definition section '.gnu.version_d' contains 1 entry:
  000000: Rev: 1  Flags: BASE  Index: 1  Cnt: 1  Name: libggml.so.0

Version needs section '.gnu.version_r' contains 2 entries:
 Addr: 0x0000000000001abc  Offset: 0x001abc  Link: 4 (.dynstr)
  000000: Version: 1  File: libc.so.6  Cnt: 2
  0x0010:   Name: GLIBC_2.34  Flags: none  Version: 12
  0x0020:   Name: GLIBC_2.2.5  Flags: none  Version: 3
  0x0030: Version: 1  File: libstdc++.so.6  Cnt: 1
  0x0040:   Name: GLIBCXX_3.4.30  Flags: none  Version: 9
";

    #[test]
    fn libraries_and_the_versions_asked_of_them_are_read() {
        let need = |library: &str, version: Option<&str>| Need {
            library: library.to_owned(),
            version: version.map(str::to_owned),
        };
        let expected = [
            need("libstdc++.so.6", None),
            need("libc.so.6", None),
            need("libc.so.6", Some("GLIBC_2.34")),
            need("libc.so.6", Some("GLIBC_2.2.5")),
            need("libstdc++.so.6", Some("GLIBCXX_3.4.30")),
        ];
        assert_eq!(read(TOLD), expected);
    }
}
