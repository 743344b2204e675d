//! The levels of x86-64: what a processor must be able to do to run a program that was built for one.
//!
//! ```text
//!  v1  every x86-64 ─► v2  SSE4.2, 2009 ─► v3  AVX2 and FMA, 2013 ─► v4  AVX-512, 2017
//! ```
//!
//! A program for a higher level than the processor's ends with SIGILL in the middle of its work, and one for a lower
//! level is several times slower than it could be. So a level counts as reached only when every one of its extensions
//! and all levels below are there; a virtual machine may hide any of them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A level of x86-64, by the names that compilers and distributions use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CpuLevel {
    V1,
    V2,
    V3,
    V4,
}

impl CpuLevel {
    /// From the lowest.
    pub const ALL: [Self; 4] = [Self::V1, Self::V2, Self::V3, Self::V4];

    /// As compilers call it, and as it stands in the names of programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "x86-64-v1",
            Self::V2 => "x86-64-v2",
            Self::V3 => "x86-64-v3",
            Self::V4 => "x86-64-v4",
        }
    }

    /// What it adds to the level below, by the names of Rust's detection. `lahf` in 64-bit mode, which v2 has too,
    /// cannot be asked for there; only the very first processors with 64 bits lacked it, and they lack SSSE3 as well.
    const fn adds(self) -> &'static [&'static str] {
        match self {
            Self::V1 => &[],
            Self::V2 => &["cmpxchg16b", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3"],
            Self::V3 => &["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"],
            Self::V4 => &["avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"],
        }
    }

    /// The level of a processor that has these extensions.
    #[must_use]
    pub fn of(extensions: &BTreeSet<&str>) -> Self {
        let reached = |level: &&Self| level.adds().iter().all(|extension| extensions.contains(extension));
        Self::ALL.iter().take_while(reached).last().copied().unwrap_or(Self::V1)
    }

    /// The level of this processor; `None` on other kinds of processors.
    #[must_use]
    pub fn here() -> Option<Self> {
        let is_there = |(name, is_there): (&'static str, bool)| is_there.then_some(name);
        asked_here().map(|asked| Self::of(&asked.into_iter().filter_map(is_there).collect()))
    }
}

impl fmt::Display for CpuLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CpuLevel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|level| level.name() == text).ok_or(())
    }
}

/// What is asked of this processor, and what it answers.
#[cfg(target_arch = "x86_64")]
fn asked_here() -> Option<Vec<(&'static str, bool)>> {
    macro_rules! asked {
        ($($name:tt)+) => {
            vec![$(($name, std::arch::is_x86_feature_detected!($name))),+]
        };
    }
    Some(asked! {
        "cmpxchg16b" "popcnt" "sse3" "sse4.1" "sse4.2" "ssse3"
        "avx" "avx2" "bmi1" "bmi2" "f16c" "fma" "lzcnt" "movbe"
        "avx512bw" "avx512cd" "avx512dq" "avx512f" "avx512vl"
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn asked_here() -> Option<Vec<(&'static str, bool)>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_of(levels: &[CpuLevel]) -> BTreeSet<&'static str> {
        levels.iter().flat_map(|level| level.adds()).copied().collect()
    }

    #[test]
    fn each_level_needs_all_below_it() {
        use CpuLevel::{V1, V2, V3, V4};
        assert_eq!(CpuLevel::of(&BTreeSet::new()), V1);
        assert_eq!(CpuLevel::of(&all_of(&[V2])), V2);
        assert_eq!(CpuLevel::of(&all_of(&[V2, V3])), V3);
        assert_eq!(CpuLevel::of(&all_of(&[V2, V3, V4])), V4);
        assert_eq!(CpuLevel::of(&all_of(&[V3, V4])), V1, "AVX-512 without SSE4.2 is no level");
        assert_eq!(CpuLevel::of(&all_of(&[V2, V4])), V2);
    }

    #[test]
    fn one_extension_less_and_the_level_is_not_reached() {
        for level in CpuLevel::ALL {
            for missing in level.adds() {
                let mut extensions = all_of(&CpuLevel::ALL);
                assert!(extensions.remove(missing));
                assert!(CpuLevel::of(&extensions) < level, "{level} without {missing}");
            }
        }
    }

    /// One that is not asked for would never be there.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_extension_of_every_level_is_asked_for_and_no_other() {
        let asked: BTreeSet<&str> = asked_here().expect("x86-64").into_iter().map(|(name, _)| name).collect();
        assert_eq!(asked, all_of(&CpuLevel::ALL));
    }

    #[test]
    fn a_level_reads_back_by_its_name_and_nothing_else_does() {
        for level in CpuLevel::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        for text in ["", "v3", "x86-64", "x86-64-v5", "X86-64-V3", " x86-64-v3"] {
            assert_eq!(text.parse::<CpuLevel>(), Err(()), "{text}");
        }
    }
}
