//! Landlock: what may be opened by path. Everything that the kernel can forbid is forbidden, then the list is allowed
//! for reading; a GPU's devices for writing as well.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::Computes;

/// The newest that the library knows; a kernel that knows less enforces what it knows.
const NEWEST: ABI = ABI::V10;

/// What the C library and the engines read for themselves: how many processors there are, how much memory, and what
/// time it is where the user lives (chat templates ask for the date).
const SYSTEM: [&str; 5] =
    ["/sys/devices/system/cpu", "/proc/meminfo", "/proc/cpuinfo", "/etc/localtime", "/usr/share/zoneinfo"];

/// Libraries and descriptions that GPU drivers load when they are first used.
const LIBRARIES: [&str; 8] =
    ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local", "/opt", "/etc/ld.so.cache", "/sys"];

/// What one driver needs beyond that, for reading and for writing. A folder's whole contents.
struct Driver {
    read: &'static [&'static str],
    write: &'static [&'static str],
}

fn driver(computes: Computes) -> Option<Driver> {
    match computes {
        Computes::OnCpu | Computes::WithMetal => None,
        // The driver names its threads through `/proc/self/task/*/comm`, and looks itself up in `/proc`.
        Computes::WithCuda => Some(Driver {
            read: &["/proc", "/usr/share", "/etc/nvidia", "/etc/OpenCL"],
            write: &["/dev", "/proc/self/task"],
        }),
        Computes::WithVulkan => {
            Some(Driver { read: &["/proc", "/usr/share", "/etc/vulkan", "/etc/drirc"], write: &["/dev"] })
        }
    }
}

/// Restricts the calling thread.
///
/// # Errors
/// Why nothing is restricted.
pub(super) fn restrict(readable: &[PathBuf], computes: Computes) -> Result<(), String> {
    match apply(readable, computes) {
        Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => Ok(()),
        Ok(RulesetStatus::NotEnforced) => {
            Err("this kernel has no Landlock (Linux 5.13 and later have, unless it is left out at boot)".to_owned())
        }
        Err(error) => Err(format!("Landlock does not take the rules: {error}")),
    }
}

fn apply(readable: &[PathBuf], computes: Computes) -> Result<RulesetStatus, RulesetError> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let mut rules = allow(allow(rules, readable, reading)?, SYSTEM, reading)?;
    if let Some(Driver { read, write }) = driver(computes) {
        let writing = reading | AccessFs::WriteFile | AccessFs::IoctlDev;
        rules = allow(allow(allow(rules, LIBRARIES, reading)?, read, reading)?, write, writing)?;
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// What is not there cannot be allowed, and need not be.
fn allow<P: AsRef<Path>>(
    rules: RulesetCreated,
    paths: impl IntoIterator<Item = P>,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    rules.add_rules(path_beneath_rules(paths, access))
}
