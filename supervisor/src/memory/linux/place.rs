//! Where a process stands among the control groups, and under which folders they can be seen.
//!
//! `/proc/<pid>/cgroup` names the place, `/proc/self/mountinfo` what is mounted where. Both are told as seen from the
//! root of *our* cgroup namespace, which makes three cases besides the plain one:
//!
//! ```text
//!  mounted       process is in    so its groups are
//!  /             /a/b             <point>/a/b  <point>/a  <point>          a plain machine, or a namespace of its own
//!  /docker/7     /docker/7/a      <point>/a    <point>                     a container without one
//!  /..  /../..   /a               <point> alone: it is above us, but the names between are hidden
//!  /other        /a               none: another branch is mounted here
//! ```
//!
//! The root of a namespace is a group like any other and can have a limit; the root of the machine never has one.

use std::ffi::OsString;
use std::iter;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Of the kernel's interface. A machine may have both; the memory controller is then with one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memory) enum Version {
    /// The hierarchy that has the memory controller.
    V1,
    V2,
}

/// A control group seen from the root of our namespace: so many levels up, then down by these names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    above: usize,
    names: Vec<String>,
}

impl Place {
    /// `None` for what the kernel does not write.
    fn parse(path: &str) -> Option<Self> {
        let mut names = path.strip_prefix('/')?.split('/').filter(|name| !name.is_empty()).peekable();
        let above = iter::from_fn(|| names.next_if_eq(&"..")).count();
        let names: Vec<String> = names.map(str::to_owned).collect();
        // A name that leads somewhere else is no name.
        names.iter().all(|name| name != ".." && name != ".").then_some(Self { above, names })
    }

    /// As the kernel writes it, of the first `depth` names.
    fn path(&self, depth: usize) -> String {
        let names = iter::repeat_n("..", self.above).chain(self.names[..depth].iter().map(String::as_str));
        let path: String = names.flat_map(|name| ["/", name]).collect();
        if path.is_empty() { "/".to_owned() } else { path }
    }
}

/// A mounted hierarchy of control groups that may have memory's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    version: Version,
    /// What of the hierarchy is mounted.
    root: Place,
    /// Where, the folder of a recorded tree in front.
    point: PathBuf,
}

/// One group in sight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) version: Version,
    pub(super) path: String,
    pub(super) folder: PathBuf,
    /// The process itself is in it, not only in one below.
    pub(super) is_own: bool,
}

impl Mount {
    /// The groups from `place` upwards, innermost first.
    fn sights(&self, place: &Place) -> Vec<Sight> {
        let sight = |path, folder, is_own| Sight { version: self.version, path, folder, is_own };
        let known = self.root.names.len();
        if self.root.above > place.above && known == 0 {
            return vec![sight(self.root.path(0), self.point.clone(), false)];
        }
        if self.root.above != place.above || !place.names.starts_with(&self.root.names) {
            return Vec::new();
        }
        let depths = (known..=place.names.len()).rev();
        let folder = |depth: usize| place.names[known..depth].iter().fold(self.point.clone(), |to, name| to.join(name));
        depths.map(|depth| sight(place.path(depth), folder(depth), depth == place.names.len())).collect()
    }
}

/// The mounts of interest in a `mountinfo` (proc(5)): id, parent, device, root, mount point, options, optional
/// fields, `-`, type, source, options of the file system.
pub(super) fn mounts(mountinfo: &str, below: &Path) -> Vec<Mount> {
    let mount = |line: &str| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut file_system = file_system.split(' ');
        let version = match file_system.next()? {
            "cgroup2" => Version::V2,
            "cgroup" if file_system.nth(1)?.split(',').any(|option| option == "memory") => Version::V1,
            _ => return None,
        };
        let mut fields = mount.split(' ').skip(3);
        let root = String::from_utf8(unescaped(fields.next()?)).ok()?;
        let point = PathBuf::from(OsString::from_vec(unescaped(fields.next()?)));
        Some(Mount { version, root: Place::parse(&root)?, point: below.join(point.strip_prefix("/").ok()?) })
    };
    mountinfo.lines().filter_map(mount).collect()
}

/// Blanks and backslashes are written as a backslash and three octal digits.
fn unescaped(field: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| str::from_utf8(digits).ok());
        let code = code.filter(|_| first == b'\\').and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    bytes
}

/// The groups that bound a process, innermost first, from its `/proc/<pid>/cgroup`. Where a hierarchy is mounted
/// several times, the mount that shows most of it counts.
pub(super) fn sights(cgroup: &str, mounts: &[Mount]) -> Vec<Sight> {
    let places = cgroup.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let version = match (number, controllers) {
            ("0", "") => Version::V2,
            _ if controllers.split(',').any(|controller| controller == "memory") => Version::V1,
            _ => return None,
        };
        Some((version, Place::parse(path)?))
    });
    let best = |(version, place): (Version, Place)| {
        let mounts = mounts.iter().filter(|mount| mount.version == version && mount.point.is_dir());
        mounts.map(|mount| mount.sights(&place)).max_by_key(Vec::len).unwrap_or_default()
    };
    places.flat_map(best).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths of groups and folders below a mount of `root` at `/`, which is a folder everywhere.
    fn seen(root: &str, cgroup: &str) -> Vec<(String, String)> {
        let mountinfo = format!("30 23 0:26 {root} / rw shared:9 - cgroup2 cgroup2 rw,nsdelegate");
        let sights = sights(cgroup, &mounts(&mountinfo, Path::new("/")));
        sights.into_iter().map(|sight| (sight.path, sight.folder.display().to_string())).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(path, folder)| ((*path).to_owned(), (*folder).to_owned())).collect()
    }

    #[test]
    fn a_plain_machine_shows_every_group_up_to_the_root() {
        assert_eq!(seen("/", "0::/a/b"), pairs(&[("/a/b", "/a/b"), ("/a", "/a"), ("/", "/")]));
    }

    #[test]
    fn a_container_with_a_namespace_of_its_own_is_in_the_root_that_it_sees() {
        assert_eq!(seen("/", "0::/"), pairs(&[("/", "/")]));
    }

    #[test]
    fn a_container_without_a_namespace_sees_only_its_own_branch() {
        assert_eq!(seen("/docker/7", "0::/docker/7/a"), pairs(&[("/docker/7/a", "/a"), ("/docker/7", "/")]));
        assert_eq!(seen("/docker/7", "0::/docker/70"), []);
        assert_eq!(seen("/docker/7", "0::/"), []);
    }

    #[test]
    fn a_mount_from_above_the_namespace_still_bounds_what_is_in_it() {
        assert_eq!(seen("/..", "0::/a"), pairs(&[("/..", "/")]));
        assert_eq!(seen("/../other", "0::/a"), []);
        // A process outside of our namespace, in a branch that is mounted.
        assert_eq!(seen("/..", "0::/../other"), pairs(&[("/../other", "/other"), ("/..", "/")]));
    }

    #[test]
    fn only_the_group_that_holds_the_process_is_its_own() {
        let mounts = mounts("30 23 0:26 / / rw - cgroup cgroup rw,memory", Path::new("/"));
        let own: Vec<bool> = sights("4:memory:/a", &mounts).iter().map(|sight| sight.is_own).collect();
        assert_eq!(own, [true, false]);
    }

    #[test]
    fn the_memory_hierarchy_is_found_among_others() {
        let mountinfo = "31 23 0:28 / /sys rw - tmpfs tmpfs rw\n\
                         32 31 0:29 / /dev rw - cgroup cgroup rw,cpu,cpuacct\n\
                         33 31 0:30 / / rw master:2 - cgroup cgroup rw,hugetlb,memory\n";
        let cgroup = "12:cpu,cpuacct:/x\n4:hugetlb,memory:/a:b\n1:name=systemd:/memory\n";
        let sights = sights(cgroup, &mounts(mountinfo, Path::new("/")));
        assert_eq!(sights.iter().map(|sight| sight.path.as_str()).collect::<Vec<_>>(), ["/a:b", "/"]);
    }

    #[test]
    fn of_two_mounts_the_one_that_shows_more_counts_and_one_that_is_hidden_does_not() {
        let mountinfo = "1 0 0:26 /a/b /tmp rw - cgroup2 c rw\n\
                         2 0 0:26 / / rw - cgroup2 c rw\n\
                         3 0 0:26 / /nowhere/at/all rw - cgroup2 c rw\n";
        let sights = sights("0::/a/b", &mounts(mountinfo, Path::new("/")));
        let folders: Vec<_> = sights.iter().map(|sight| sight.folder.to_str().expect("text")).collect();
        assert_eq!(folders, ["/a/b", "/a", "/"]);
    }

    #[test]
    fn names_with_blanks_are_read_and_names_that_lead_elsewhere_are_not_followed() {
        assert_eq!(unescaped(r"/my\040group\134x\9\1"), br"/my group\x\9\1");
        assert_eq!(Place::parse("/a/../../etc"), None);
        assert_eq!(Place::parse("a"), None);
        assert_eq!(Place::parse("/../../a/b").map(|place| place.path(1)), Some("/../../a".to_owned()));
    }

    #[test]
    fn nonsense_is_no_group() {
        for text in
            ["", ":", "::", "0::", "0:", "\u{fffd}", "0::x", "4:memory", "0::/a\0b/..", " - - ", "1 2 3 - cgroup2"]
        {
            assert_eq!(seen("/", text), [], "{text}");
            assert_eq!(mounts(text, Path::new("/")), [], "{text}");
        }
    }
}
