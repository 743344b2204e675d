//! From programs to packages.

use std::path::{Path, PathBuf};

use super::build::Programs;
use super::compress::{Compressor, Gzip, Xz};
use super::target::{Os, Target};
use super::tree::{self, Tree};
use super::{deb, elf, licences, sha256, tar};
use crate::binaries::SUPERVISOR;
use crate::demo::fresh_folder;
use crate::run::Step;
use crate::workspace::Workspace;

/// What was written.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) archive: PathBuf,
    pub(crate) deb: Option<PathBuf>,
    /// All of it, with the sums.
    pub(crate) files: Vec<PathBuf>,
}

/// Where a package for a Unix has things; an archive and `/usr` are laid out alike.
const DOCUMENTS: &str = "share/doc/meetcap-supervisor";
const PAGES: &str = "share/man/man1";

/// Completions: the shell, and where its script goes.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/meetcap-supervisor"),
    ("zsh", "share/zsh/site-functions/_meetcap-supervisor"),
    ("fish", "share/fish/vendor_completions.d/meetcap-supervisor.fish"),
];

/// Packs into `out`, with the sums beside.
pub(crate) fn all(
    workspace: &Workspace,
    target: Target,
    programs: &Programs,
    out: &Path,
    xz: &Xz,
) -> Result<Packed, String> {
    std::fs::create_dir_all(out).map_err(|cause| format!("{} could not be made: {cause}", out.display()))?;
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("{SUPERVISOR}-{version}-{}", target.name());
    let epoch = epoch(workspace)?;
    let tree = laid_out(workspace, target, programs)?;
    let mut files = Vec::new();
    let archive = if target.os == Os::Windows {
        zip(&tree, &name, out)?
    } else {
        // Every Linux has xz: its packages need it. macOS' tar reads it, but has nothing that writes it.
        let compressor: &dyn Compressor = if target.os == Os::Linux { xz } else { &Gzip };
        let bytes = compressor.compress(&tar::archive(&tree, &format!("{name}/"), epoch)?)?;
        write(&out.join(format!("{name}.tar.{}", compressor.ending())), &bytes)?
    };
    files.push(archive.clone());
    let mut package = None;
    if let (Os::Linux, Some(architecture)) = (target.os, deb::architecture(target.cpu)) {
        let tree = below_usr(&tree)?;
        let control = deb::Control {
            version: version.to_owned(),
            architecture,
            depends: deb::depends(&elf::needs(&binaries(programs))?)?,
            installed_size: tree.size().div_ceil(1024),
        };
        let bytes = deb::package(&control, &tree, epoch, xz)?;
        let file = write(&out.join(deb_name(version, architecture)), &bytes)?;
        files.push(file.clone());
        package = Some(file);
    }
    let sums = files.iter().map(|file| sum(file)).collect::<Result<String, String>>()?;
    files.push(write(&out.join(format!("{name}.sha256")), sums.as_bytes())?);
    Ok(Packed { archive, deb: package, files })
}

/// As Debian names packages.
pub(crate) fn deb_name(version: &str, architecture: &str) -> String {
    format!("{SUPERVISOR}_{version}_{architecture}.deb")
}

/// A line of `sha256sum`, so that `sha256sum --check` reads it.
fn sum(file: &Path) -> Result<String, String> {
    let bytes = std::fs::read(file).map_err(|cause| format!("{} could not be read: {cause}", file.display()))?;
    Ok(format!("{}  {}\n", sha256::sum(&bytes), file.file_name().unwrap_or_default().to_string_lossy()))
}

fn write(file: &Path, bytes: &[u8]) -> Result<PathBuf, String> {
    std::fs::write(file, bytes).map_err(|cause| format!("{} could not be written: {cause}", file.display()))?;
    Ok(file.to_owned())
}

fn binaries(programs: &Programs) -> Vec<&Path> {
    let workers = programs.workers.iter().map(|(_, file)| file.as_path());
    workers.chain([programs.supervisor.as_path()]).chain(programs.libraries.iter().map(PathBuf::as_path)).collect()
}

/// The one time that is told: the commit's, unless the environment says otherwise. Nothing before zip's first year.
fn epoch(workspace: &Workspace) -> Result<u64, String> {
    const FIRST: u64 = 315_532_800;
    let told = std::env::var("SOURCE_DATE_EPOCH").ok();
    let text = match told {
        Some(told) => told,
        None => {
            let step = Step::new("git").args(["-C"]).args([&workspace.root]).words("log -1 --format=%ct");
            step.output().unwrap_or_else(|_| FIRST.to_string())
        }
    };
    let epoch: u64 =
        text.trim().parse().map_err(|_| format!("SOURCE_DATE_EPOCH is {text:?}, which is no time in seconds"))?;
    Ok(epoch.max(FIRST))
}

/// The archive's files, without its top folder.
fn laid_out(workspace: &Workspace, target: Target, programs: &Programs) -> Result<Tree, String> {
    let scratch = fresh_folder("dist")?;
    let made = fill(workspace, target, programs, &scratch);
    let removed = std::fs::remove_dir_all(&scratch);
    let tree = made?;
    removed.map_err(|cause| format!("{} could not be removed: {cause}", scratch.display()))?;
    Ok(tree)
}

fn fill(workspace: &Workspace, target: Target, programs: &Programs, scratch: &Path) -> Result<Tree, String> {
    let mut tree = Tree::default();
    // Workers lie beside the program where there is no folder for what only programs run.
    let (bin, libexec) = if target.os == Os::Windows { ("", "") } else { ("bin/", "libexec/meetcap/") };
    tree.add(format!("{bin}{}", target.program(SUPERVISOR)), 0o755, stripped(target, &programs.supervisor, scratch)?);
    for (name, file) in &programs.workers {
        tree.add(format!("{libexec}{name}"), 0o755, stripped(target, file, scratch)?);
    }
    for file in &programs.libraries {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let content = without_build_folder(stripped(target, file, scratch)?, &super::folder(workspace));
        tree.add(format!("{libexec}ggml/{name}"), 0o644, content);
    }
    if target.os != Os::Windows {
        for (shell, place) in COMPLETIONS {
            let script = Step::new(&programs.supervisor).args(["completions", shell]).output()?;
            tree.add(place, 0o644, script.into_bytes());
        }
        for (page, content) in pages(&programs.supervisor, scratch)? {
            tree.add(format!("{PAGES}/{page}"), 0o644, content);
        }
    }
    let documents = if target.os == Os::Windows { String::new() } else { format!("{DOCUMENTS}/") };
    for name in ["LICENSE", "README.md", "CHANGELOG.md"] {
        tree.copy(format!("{documents}{name}"), 0o644, &workspace.root.join(name))?;
    }
    let page = licences::text(workspace, &programs.shipped)?;
    tree.add(format!("{documents}THIRD-PARTY-LICENSES.txt"), 0o644, page.into_bytes());
    Ok(tree)
}

/// A program without the symbols that only a debugger reads. Apple's systems run nothing that was changed after it was
/// signed, so it is signed again, by nobody in particular.
fn stripped(target: Target, program: &Path, scratch: &Path) -> Result<Vec<u8>, String> {
    let copy = scratch.join("stripped");
    let failed = |cause| format!("{} could not be copied: {cause}", program.display());
    std::fs::copy(program, &copy).map_err(failed)?;
    match target.os {
        Os::Linux => Step::new("strip").args(["--strip-unneeded"]).args([&copy]).output().map(drop)?,
        Os::Apple => {
            Step::new("strip").args(["-x"]).args([&copy]).output()?;
            Step::new("codesign").words("--sign - --force").args([&copy]).output()?;
        }
        Os::Windows => {}
    }
    std::fs::read(&copy).map_err(failed)
}

/// ggml's library has the folder that it was built in, where it would look when it is not told where to. The worker tells
/// it; but a name that somebody else could make on his machine has no business there. What is left of it keeps its length,
/// and its end: linkers let strings share their ends.
fn without_build_folder(mut content: Vec<u8>, folder: &Path) -> Vec<u8> {
    const NOWHERE: &[u8] = b"/nonexistent";
    let name = folder.as_os_str().as_encoded_bytes();
    if name.len() < NOWHERE.len() {
        return content;
    }
    let mut from = 0;
    while let Some(at) = content[from..].windows(name.len()).position(|window| window == name) {
        let place = &mut content[from + at..from + at + name.len()];
        place.fill(b'/');
        place[..NOWHERE.len()].copy_from_slice(NOWHERE);
        from += at + name.len();
    }
    content
}

/// The manual's pages by their names.
fn pages(supervisor: &Path, scratch: &Path) -> Result<Vec<(String, Vec<u8>)>, String> {
    let folder = scratch.join("man");
    let failed = |cause| format!("manual pages could not be read from {}: {cause}", folder.display());
    std::fs::create_dir(&folder).map_err(failed)?;
    Step::new(supervisor).args(["man"]).args([&folder]).output()?;
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let content = std::fs::read(entry.path()).map_err(failed)?;
        pages.push((entry.file_name().to_string_lossy().into_owned(), content));
    }
    if pages.is_empty() { Err(format!("{} wrote no manual pages", supervisor.display())) } else { Ok(pages) }
}

/// The same for Debian: below `usr`, pages packed, and the licence under the name that is looked for there.
fn below_usr(tree: &Tree) -> Result<Tree, String> {
    let mut usr = tree.moved(|path| {
        let path = path.replace("share/zsh/site-functions/", "share/zsh/vendor-completions/");
        let path = path.replace(&format!("{DOCUMENTS}/LICENSE"), &format!("{DOCUMENTS}/copyright"));
        (!path.starts_with(PAGES)).then(|| format!("usr/{path}"))
    });
    for (path, node) in tree.files().filter(|(path, _)| path.starts_with(PAGES)) {
        usr.add(format!("usr/{path}.gz"), node.mode, Gzip.compress(&node.content)?);
    }
    Ok(usr)
}

/// Windows' own tar writes zip archives. Never run by us.
fn zip(tree: &Tree, name: &str, out: &Path) -> Result<PathBuf, String> {
    let folder = out.join(name);
    let _ = std::fs::remove_dir_all(&folder);
    tree.write(&folder)?;
    let file = out.join(format!("{name}.zip"));
    Step::new("tar").args(["-a", "-c", "-f"]).args([&file]).args(["-C"]).args([out]).args([name]).output()?;
    Ok(file)
}

/// Unpacks what [`all`] wrote below `folder`; its top folder.
pub(crate) fn unpack(archive: &Path, folder: &Path) -> Result<PathBuf, String> {
    Step::new("tar").args(["-xf"]).args([archive]).args(["-C"]).args([folder]).output()?;
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let top = [".zip", ".tar.gz", ".tar.xz"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    tree::permit(folder, 0o755).map_err(|cause| format!("{} cannot be opened to others: {cause}", folder.display()))?;
    Ok(folder.join(top))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_folder_is_replaced_wherever_it_stands_and_nothing_moves() {
        let content = b"\0/some/where/target/dist/build/x/out\0/some/where/target/dist\0end".to_vec();
        let cleaned = without_build_folder(content.clone(), Path::new("/some/where/target/dist"));
        let text = String::from_utf8_lossy(&cleaned);
        assert_eq!(cleaned.len(), content.len());
        assert!(!text.contains("where") && text.contains("/build/x/out\0") && text.ends_with("\0end"), "{text}");
        assert_eq!(text.matches("/nonexistent/").count(), 2);
    }

    #[test]
    fn debian_gets_everything_below_usr_with_packed_pages() {
        let mut tree = Tree::default();
        for path in
            ["bin/a", "share/man/man1/a.1", "share/zsh/site-functions/_a", "share/doc/meetcap-supervisor/LICENSE"]
        {
            tree.add(path, 0o644, b"text".to_vec());
        }
        let usr = below_usr(&tree).expect("gzip");
        let paths: Vec<&str> = usr.files().map(|(path, _)| path).collect();
        let expected = [
            "usr/bin/a",
            "usr/share/doc/meetcap-supervisor/copyright",
            "usr/share/man/man1/a.1.gz",
            "usr/share/zsh/vendor-completions/_a",
        ];
        assert_eq!(paths, expected);
    }
}
