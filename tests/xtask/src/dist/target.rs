//! What a package is for. Only Linux on x86-64 was ever packed and run by us; the rest is written, and run by nobody yet.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Os {
    Linux,
    Apple,
    Windows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) os: Os,
    pub(crate) cpu: &'static str,
}

impl Target {
    /// This machine's: nothing is built for another.
    pub(crate) fn here() -> Result<Self, String> {
        let os = match std::env::consts::OS {
            "linux" => Os::Linux,
            "macos" => Os::Apple,
            "windows" => Os::Windows,
            other => return Err(format!("nobody has thought about packages for {other} yet")),
        };
        Ok(Self { os, cpu: std::env::consts::ARCH })
    }

    /// Whether there is one speech worker per level of x86-64. Elsewhere the engine's plain build is fast enough (Apple's
    /// processors), or nobody has measured what would be gained.
    pub(crate) fn has_levels(self) -> bool {
        self.os == Os::Linux && self.cpu == "x86_64"
    }

    pub(crate) fn program(self, name: &str) -> String {
        if self.os == Os::Windows { format!("{name}.exe") } else { name.to_owned() }
    }

    /// `x86_64-linux`, in the names of packages.
    pub(crate) fn name(self) -> String {
        let os = match self.os {
            Os::Linux => "linux",
            Os::Apple => "macos",
            Os::Windows => "windows",
        };
        format!("{}-{os}", self.cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_linux_on_x86_64_has_levels() {
        let target = |os, cpu| Target { os, cpu };
        assert!(target(Os::Linux, "x86_64").has_levels());
        assert!(!target(Os::Linux, "aarch64").has_levels());
        assert!(!target(Os::Apple, "x86_64").has_levels());
        assert_eq!(target(Os::Apple, "aarch64").name(), "aarch64-macos");
        assert_eq!(target(Os::Windows, "x86_64").program("a"), "a.exe");
    }
}
