//! A package for Debian and what comes from it: an `ar` archive of a version, of what the package says of itself, and of
//! its files. Written here and not by `dpkg-deb`, so that it is the same on every system and needs no root.
//!
//! ```text
//!  !<arch> ─ debian-binary "2.0" ─ control.tar.xz (control, md5sums left out) ─ data.tar.xz (./usr/…)
//! ```

use super::compress::Compressor;
use super::elf::Need;
use super::tar;
use super::tree::Tree;

/// What the package says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) version: String,
    pub(crate) architecture: &'static str,
    pub(crate) depends: String,
    /// In KiB, as the format wants it.
    pub(crate) installed_size: u64,
}

const DESCRIPTION: &str = "\
Description: meeting recordings to transcripts and summaries, on this machine
 Runs a speech model and then a summary model, each in a process of its own that
 is gone before the other is started, and accounts for the memory that they take.
 Nothing that is said leaves the machine.";

impl Control {
    fn text(&self) -> String {
        let Self { version, architecture, depends, installed_size } = self;
        format!(
            "Package: meetcap-supervisor\nVersion: {version}\nArchitecture: {architecture}\n\
             Maintainer: meetcap-supervisor maintainers <maintainers@meetcap-supervisor.invalid>\n\
             Installed-Size: {installed_size}\nDepends: {depends}\nRecommends: ca-certificates\nSection: sound\nPriority: optional\n{DESCRIPTION}\n"
        )
    }
}

/// Debian's name for a kind of processor, where the project builds for it.
pub(crate) fn architecture(cpu: &str) -> Option<&'static str> {
    match cpu {
        "x86_64" => Some("amd64"),
        "aarch64" => Some("arm64"),
        _ => None,
    }
}

/// The package of `tree`, whose paths begin at the root of the file system.
pub(crate) fn package(control: &Control, tree: &Tree, epoch: u64, xz: &dyn Compressor) -> Result<Vec<u8>, String> {
    let mut own = Tree::default();
    own.add("control", 0o644, control.text().into_bytes());
    let own = xz.compress(&tar::archive(&own, "./", epoch)?)?;
    let files = xz.compress(&tar::archive(tree, "./", epoch)?)?;
    let mut bytes = b"!<arch>\n".to_vec();
    let ending = xz.ending();
    member(&mut bytes, "debian-binary", b"2.0\n", epoch);
    member(&mut bytes, &format!("control.tar.{ending}"), &own, epoch);
    member(&mut bytes, &format!("data.tar.{ending}"), &files, epoch);
    Ok(bytes)
}

fn member(bytes: &mut Vec<u8>, name: &str, content: &[u8], epoch: u64) {
    let size = content.len();
    bytes.extend(format!("{name:<16}{epoch:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 100_644).into_bytes());
    bytes.extend_from_slice(content);
    if size % 2 == 1 {
        bytes.push(b'\n');
    }
}

/// What has to be installed for these libraries to be there, in versions that have what is asked of them.
pub(crate) fn depends(needs: &[Need]) -> Result<String, String> {
    let mut packages: Vec<(&str, Option<String>)> = Vec::new();
    for need in needs {
        let (package, version) = package_of(need)?;
        match packages.iter_mut().find(|(known, _)| *known == package) {
            Some((_, known)) if newer(version.as_deref(), known.as_deref()) => *known = version,
            Some(_) => {}
            None => packages.push((package, version)),
        }
    }
    packages.sort();
    let shown = |(package, version): &(&str, Option<String>)| match version {
        Some(version) => format!("{package} (>= {version})"),
        None => (*package).to_owned(),
    };
    Ok(packages.iter().map(shown).collect::<Vec<_>>().join(", "))
}

fn newer(one: Option<&str>, other: Option<&str>) -> bool {
    let numbers = |version: &str| version.split('.').map(|part| part.parse().unwrap_or(0_u32)).collect::<Vec<_>>();
    one.map(numbers) > other.map(numbers)
}

/// GCC's releases by the version of C++'s library that came with them. An older one is in every GCC that still runs
/// anywhere.
const CXX: [(u32, &str); 8] =
    [(26, "9"), (28, "9"), (29, "11"), (30, "12"), (31, "13.1"), (32, "13.2"), (33, "14"), (34, "15")];

fn package_of(need: &Need) -> Result<(&'static str, Option<String>), String> {
    let unknown = || {
        format!(
            "which package brings {} in {} is not known here; say it in dist/deb.rs",
            need.library,
            need.version.as_deref().unwrap_or("any version")
        )
    };
    let version = need.version.as_deref();
    match need.library.as_str() {
        "libc.so.6"
        | "libm.so.6"
        | "libdl.so.2"
        | "libpthread.so.0"
        | "librt.so.1"
        | "ld-linux-x86-64.so.2"
        | "ld-linux-aarch64.so.1" => {
            Ok(("libc6", version.and_then(|version| version.strip_prefix("GLIBC_")).map(str::to_owned)))
        }
        "libgcc_s.so.1" => Ok(("libgcc-s1", None)),
        "libstdc++.so.6" => {
            let Some(minor) = version.and_then(|version| version.strip_prefix("GLIBCXX_3.4.")) else {
                return Ok(("libstdc++6", None));
            };
            let minor: u32 = minor.parse().map_err(|_| unknown())?;
            let release = CXX.iter().find(|(of, _)| minor <= *of).ok_or_else(unknown)?;
            Ok(("libstdc++6", Some(release.1.to_owned())))
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::compress::Plain;

    fn need(library: &str, version: &str) -> Need {
        Need { library: library.to_owned(), version: (!version.is_empty()).then(|| version.to_owned()) }
    }

    #[test]
    fn a_package_is_named_once_with_the_newest_version_that_anything_asks_for() {
        let needs = [
            need("libc.so.6", "GLIBC_2.34"),
            need("libm.so.6", "GLIBC_2.29"),
            need("libc.so.6", "GLIBC_2.4"),
            need("libstdc++.so.6", "GLIBCXX_3.4.21"),
            need("libstdc++.so.6", "GLIBCXX_3.4.30"),
            need("libstdc++.so.6", "CXXABI_1.3.9"),
            need("libgcc_s.so.1", "GCC_3.0"),
            need("ld-linux-x86-64.so.2", ""),
        ];
        assert_eq!(depends(&needs).as_deref(), Ok("libc6 (>= 2.34), libgcc-s1, libstdc++6 (>= 12)"));
    }

    #[test]
    fn a_library_that_nobody_thought_of_is_refused_and_so_is_a_version() {
        assert!(depends(&[need("libssl.so.3", "")]).is_err_and(|why| why.contains("libssl.so.3")));
        assert!(depends(&[need("libstdc++.so.6", "GLIBCXX_3.4.99")]).is_err_and(|why| why.contains("3.4.99")));
    }

    #[test]
    fn the_archive_has_its_three_members_at_even_places() {
        let mut tree = Tree::default();
        tree.add("usr/bin/a", 0o755, vec![1]);
        let control = Control {
            version: "1.2.3".to_owned(),
            architecture: "amd64",
            depends: "libc6".to_owned(),
            installed_size: 4,
        };
        let bytes = package(&control, &tree, 9, &Plain).expect("short names");
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("!<arch>\ndebian-binary   9           0     0     100644  4         `\n2.0\n"));
        let members = ["debian-binary", "control.tar.none", "data.tar.none"];
        let at: Vec<usize> = members.iter().map(|name| text.find(name).expect("a member")).collect();
        assert!(at.is_sorted() && at.iter().all(|at| at % 2 == 0), "{at:?}");
        // Without certificates no model can be fetched, and everything else works.
        assert!(text.contains("Depends: libc6\nRecommends: ca-certificates\n") && text.contains("./usr/bin/a"));
        assert_eq!(package(&control, &tree, 9, &Plain), Ok(bytes));
    }
}
