//! What has to be on the machine, and what each package manager calls it. Decisions only: nothing here looks or installs.

use std::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    Cmake,
    Make,
    CxxCompiler,
    Clang,
    Libclang,
    Ffmpeg,
    EspeakNg,
    Sox,
    Python,
    Node,
}

/// To build the engines.
pub(crate) const FOR_BUILD: &[Tool] = &[Tool::Cmake, Tool::Make, Tool::CxxCompiler, Tool::Clang, Tool::Libclang];

/// To build the engines and to run every check.
pub(crate) const FOR_CHECKS: &[Tool] = &[
    Tool::Cmake,
    Tool::Make,
    Tool::CxxCompiler,
    Tool::Clang,
    Tool::Libclang,
    Tool::Ffmpeg,
    Tool::EspeakNg,
    Tool::Sox,
    Tool::Python,
    Tool::Node,
];

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cmake => "cmake",
            Self::Make => "make",
            Self::CxxCompiler => "C++ compiler",
            Self::Clang => "clang",
            Self::Libclang => "libclang",
            Self::Ffmpeg => "ffmpeg",
            Self::EspeakNg => "espeak-ng",
            Self::Sox => "sox",
            Self::Python => "python3",
            Self::Node => "node",
        }
    }

    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Cmake | Self::Make | Self::CxxCompiler => "builds whisper.cpp and llama.cpp",
            Self::Clang => "brings the headers that libclang needs",
            Self::Libclang => "reads the engines' C headers for the Rust bindings",
            Self::Ffmpeg => "makes audio files in every format for the tests",
            Self::EspeakNg => "speaks the tests' meetings",
            Self::Sox => "mixes and cuts the tests' recordings",
            Self::Python => "runs the tests' generators and a client",
            Self::Node => "runs a client in the tests",
        }
    }
}

/// What is wanted and was not found, in the order in which it is wanted.
pub(crate) fn missing(wanted: &[Tool], found: &BTreeSet<Tool>) -> Vec<Tool> {
    wanted.iter().copied().filter(|tool| !found.contains(tool)).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manager {
    Apt,
    Dnf,
    Pacman,
    Zypper,
    Apk,
    Brew,
}

impl Manager {
    pub(crate) const ALL: [Self; 6] = [Self::Apt, Self::Dnf, Self::Pacman, Self::Zypper, Self::Apk, Self::Brew];

    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Pacman => "pacman",
            Self::Zypper => "zypper",
            Self::Apk => "apk",
            Self::Brew => "brew",
        }
    }

    /// The packages that bring one tool. Empty: this manager has none (Apple's own tools come from Apple).
    fn packages_for(self, tool: Tool) -> &'static [&'static str] {
        match (self, tool) {
            (Self::Brew, Tool::Make | Tool::CxxCompiler | Tool::Clang) => &[],
            (_, Tool::Cmake) => &["cmake"],
            (_, Tool::Make) => &["make"],
            (Self::Apt | Self::Apk, Tool::CxxCompiler) => &["g++"],
            (Self::Pacman, Tool::CxxCompiler) => &["gcc"],
            (Self::Dnf | Self::Zypper, Tool::CxxCompiler) => &["gcc-c++"],
            (_, Tool::Clang) => &["clang"],
            (Self::Apt, Tool::Libclang) => &["libclang-dev"],
            (Self::Dnf | Self::Zypper, Tool::Libclang) => &["clang-devel"],
            (Self::Apk, Tool::Libclang) => &["clang-dev"],
            (Self::Pacman, Tool::Libclang) => &["clang"],
            (Self::Brew, Tool::Libclang) => &["llvm"],
            (Self::Dnf, Tool::Ffmpeg) => &["ffmpeg-free"],
            (_, Tool::Ffmpeg) => &["ffmpeg"],
            (_, Tool::EspeakNg) => &["espeak-ng"],
            (_, Tool::Sox) => &["sox"],
            (Self::Pacman | Self::Brew, Tool::Python) => &["python"],
            (_, Tool::Python) => &["python3"],
            (Self::Brew, Tool::Node) => &["node"],
            (_, Tool::Node) => &["nodejs"],
        }
    }

    /// The packages that bring all of `tools`, or the first tool that this manager cannot bring.
    pub(crate) fn packages(self, tools: &[Tool]) -> Result<Vec<&'static str>, Tool> {
        let mut packages = Vec::new();
        for &tool in tools {
            let of_this = self.packages_for(tool);
            if of_this.is_empty() {
                return Err(tool);
            }
            for &package in of_this {
                if !packages.contains(&package) {
                    packages.push(package);
                }
            }
        }
        Ok(packages)
    }

    /// The commands that install `packages`, to be run one after the other. apt asks its questions through the
    /// environment, hence `env`: what is printed is what is run, with or without sudo.
    pub(crate) fn commands(self, packages: &[&str]) -> Vec<Vec<String>> {
        let (before, install) = match self {
            Self::Apt => (
                Some("env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 update"),
                "env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends",
            ),
            Self::Dnf => (None, "dnf install -y"),
            Self::Pacman => (None, "pacman -Sy --needed --noconfirm"),
            Self::Zypper => (None, "zypper --non-interactive install"),
            Self::Apk => (None, "apk add --no-cache"),
            Self::Brew => (None, "brew install"),
        };
        let split = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut install = split(install);
        install.extend(packages.iter().map(|&package| package.to_owned()));
        before.map(split).into_iter().chain([install]).collect()
    }
}

/// Who may install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    Root,
    /// With sudo, which may ask for a password when there is a terminal to ask on.
    Sudo {
        may_ask: bool,
    },
    None,
}

/// What goes in front of each command, or why none may be run.
pub(crate) fn prefix(manager: Manager, rights: Rights) -> Result<&'static [&'static str], &'static str> {
    match (manager, rights) {
        (Manager::Brew, Rights::Root) => Err("Homebrew refuses to run as root"),
        (Manager::Brew, _) | (_, Rights::Root) => Ok(&[]),
        (_, Rights::Sudo { may_ask: true }) => Ok(&["sudo"]),
        (_, Rights::Sudo { may_ask: false }) => Ok(&["sudo", "-n"]),
        (_, Rights::None) => Err("this user is not root and there is no sudo"),
    }
}

/// Is this the C interface to clang (and not the C++ one)?
pub(crate) fn is_libclang(file_name: &str) -> bool {
    let Some(rest) = file_name.strip_prefix("libclang") else { return false };
    let library = [".so", ".dylib", ".dll"].iter().any(|ending| match rest.find(ending) {
        Some(at) => rest[at + ending.len()..].chars().all(|letter| letter == '.' || letter.is_ascii_digit()),
        None => false,
    });
    let version = rest.trim_start_matches('-').chars().next();
    library && version.is_some_and(|first| first == '.' || first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_found_is_missing_in_the_order_wanted() {
        let found = BTreeSet::from([Tool::Make, Tool::CxxCompiler, Tool::Sox]);
        assert_eq!(missing(FOR_BUILD, &found), [Tool::Cmake, Tool::Clang, Tool::Libclang]);
        assert_eq!(missing(FOR_BUILD, &FOR_BUILD.iter().copied().collect()), []);
    }

    #[test]
    fn a_bare_debian_gets_everything_in_one_command_after_an_update() {
        let packages = Manager::Apt.packages(FOR_CHECKS).expect("apt has them all");
        let wanted =
            ["cmake", "make", "g++", "clang", "libclang-dev", "ffmpeg", "espeak-ng", "sox", "python3", "nodejs"];
        assert_eq!(packages, wanted);
        let commands = Manager::Apt.commands(&packages);
        assert_eq!(commands.len(), 2);
        assert!(commands[0].ends_with(&["update".to_owned()]));
        assert!(commands[1].join(" ").ends_with(
            "install -y --no-install-recommends cmake make g++ clang libclang-dev ffmpeg espeak-ng sox python3 nodejs"
        ));
        assert!(commands.iter().all(|command| command[1] == "DEBIAN_FRONTEND=noninteractive"));
    }

    #[test]
    fn every_manager_but_homebrew_brings_every_tool_and_none_twice() {
        for manager in Manager::ALL {
            match manager.packages(FOR_CHECKS) {
                Ok(packages) => assert_eq!(packages.iter().collect::<BTreeSet<_>>().len(), packages.len()),
                Err(tool) => assert_eq!((manager, tool), (Manager::Brew, Tool::Make)),
            }
            assert!(manager.commands(&["x"]).last().is_some_and(|command| command.ends_with(&["x".to_owned()])));
        }
    }

    #[test]
    fn rights_decide_what_goes_in_front() {
        assert_eq!(prefix(Manager::Apt, Rights::Root), Ok(&[][..]));
        assert_eq!(prefix(Manager::Apt, Rights::Sudo { may_ask: true }), Ok(&["sudo"][..]));
        assert_eq!(prefix(Manager::Dnf, Rights::Sudo { may_ask: false }), Ok(&["sudo", "-n"][..]));
        assert!(prefix(Manager::Apk, Rights::None).is_err_and(|why| why.contains("not root")));
        assert!(prefix(Manager::Brew, Rights::Root).is_err());
        assert_eq!(prefix(Manager::Brew, Rights::None), Ok(&[][..]));
    }

    #[test]
    fn libclang_is_told_from_its_neighbours() {
        let good = [
            "libclang.so",
            "libclang-14.so",
            "libclang-14.so.14.0.6",
            "libclang.so.18",
            "libclang.dylib",
            "libclang.dll",
        ];
        for name in good {
            assert!(is_libclang(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclangAST.a", "libclang.a", "libLLVM.so", "libclang_rt.asan.so"] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
