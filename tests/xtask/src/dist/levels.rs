//! The levels of x86-64 that the speech worker is built for, and what whisper.cpp is told to use of each.
//!
//! Every switch is given, on or off: ggml's own defaults depend on the machine that builds (`GGML_NATIVE` takes what
//! its processor has) and on the environment (`SOURCE_DATE_EPOCH` turns AVX2 off).

/// From the lowest. The first is built under the plain name: it runs everywhere.
pub(crate) const LEVELS: [Level; 4] = [
    Level { name: "x86-64-v1", uses: &[] },
    Level { name: "x86-64-v2", uses: &["SSE42"] },
    Level { name: "x86-64-v3", uses: &["SSE42", "AVX", "AVX2", "BMI2", "FMA", "F16C"] },
    Level { name: "x86-64-v4", uses: &["SSE42", "AVX", "AVX2", "BMI2", "FMA", "F16C", "AVX512"] },
];

/// All that ggml knows of x86-64, and what would let the building machine decide.
const SWITCHES: [&str; 15] = [
    "NATIVE",
    "SSE42",
    "AVX",
    "AVX2",
    "BMI2",
    "FMA",
    "F16C",
    "AVX_VNNI",
    "AVX512",
    "AVX512_VBMI",
    "AVX512_VNNI",
    "AVX512_BF16",
    "AMX_TILE",
    "AMX_INT8",
    "AMX_BF16",
];

/// For a system without levels: not what the building machine has. On x86-64 AVX2 is then asked for, on others no more
/// than the target has.
pub(crate) fn for_everybody() -> (String, &'static str) {
    ("GGML_NATIVE".to_owned(), "OFF")
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    /// As the supervisor looks for it.
    pub(crate) name: &'static str,
    uses: &'static [&'static str],
}

impl Level {
    /// Whether programs of this level have the plain name.
    pub(crate) fn is_plain(self) -> bool {
        self.uses.is_empty()
    }

    /// Variables for the build script of whisper.cpp's binding, which hands them on.
    pub(crate) fn variables(self) -> Vec<(String, &'static str)> {
        let on = |switch: &str| if self.uses.contains(&switch) { "ON" } else { "OFF" };
        SWITCHES.iter().map(|switch| (format!("GGML_{switch}"), on(switch))).collect()
    }

    /// What its code may not use.
    pub(crate) fn forbidden(self) -> &'static [&'static str] {
        let uses = |switch| self.uses.contains(&switch);
        match (uses("SSE42"), uses("AVX"), uses("AVX512")) {
            (false, ..) => BEYOND_V1,
            (true, false, _) => BEYOND_V2,
            (true, true, false) => BEYOND_V3,
            (true, true, true) => BEYOND_V4,
        }
    }
}

/// Registers, and instructions behind the tab that stands before them, as a disassembler writes what goes beyond a level.
pub(crate) const BEYOND_V1: &[&str] =
    &["%ymm", "%zmm", "%k1", "\tpshufb", "\tpopcnt", "\tptest", "\tpmulld", "\troundps"];
pub(crate) const BEYOND_V2: &[&str] = &["%ymm", "%zmm", "%k1"];
pub(crate) const BEYOND_V3: &[&str] = &["%zmm", "%k1"];
pub(crate) const BEYOND_V4: &[&str] = &["%tmm"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_turns_every_switch_one_way_or_the_other_and_none_is_native() {
        for level in LEVELS {
            let variables = level.variables();
            assert_eq!(variables.len(), SWITCHES.len());
            assert!(variables.contains(&("GGML_NATIVE".to_owned(), "OFF")));
            assert_eq!(
                variables.iter().filter(|(_, value)| *value == "ON").count(),
                level.uses.len(),
                "{}",
                level.name
            );
        }
    }

    #[test]
    fn a_level_has_what_those_below_it_have_and_more() {
        for pair in LEVELS.windows(2) {
            let [lower, higher] = pair else { continue };
            assert!(lower.uses.len() < higher.uses.len() && higher.uses.starts_with(lower.uses), "{}", higher.name);
        }
        assert!(LEVELS[0].is_plain() && LEVELS[1..].iter().all(|level| !level.is_plain()));
    }

    #[test]
    fn only_the_highest_level_may_use_the_widest_registers() {
        let free: Vec<bool> = LEVELS.iter().map(|level| !level.forbidden().contains(&"%zmm")).collect();
        assert_eq!(free, [false, false, false, true]);
    }
}
