//! The types that ggml keeps weights in, and which of them llama.cpp arranges anew when it loads them.

use std::fmt;

/// A type: blocks of so many elements in so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorType {
    /// ggml's number for it.
    id: u32,
    name: &'static str,
    block: u64,
    bytes: u64,
}

const fn of(id: u32, name: &'static str, block: u64, bytes: u64) -> TensorType {
    TensorType { id, name, block, bytes }
}

/// All that this build's engines know (ggml.c, `type_traits`; ggml-common.h).
const ALL: [TensorType; 35] = [
    TensorType::F32,
    TensorType::F16,
    TensorType::Q4_0,
    of(3, "Q4_1", 32, 20),
    of(6, "Q5_0", 32, 22),
    of(7, "Q5_1", 32, 24),
    TensorType::Q8_0,
    of(9, "Q8_1", 32, 36),
    TensorType::Q2_K,
    of(11, "Q3_K", 256, 110),
    TensorType::Q4_K,
    TensorType::Q5_K,
    TensorType::Q6_K,
    of(15, "Q8_K", 256, 292),
    of(16, "IQ2_XXS", 256, 66),
    of(17, "IQ2_XS", 256, 74),
    of(18, "IQ3_XXS", 256, 98),
    of(19, "IQ1_S", 256, 50),
    TensorType::IQ4_NL,
    of(21, "IQ3_S", 256, 110),
    of(22, "IQ2_S", 256, 82),
    of(23, "IQ4_XS", 256, 136),
    of(24, "I8", 1, 1),
    of(25, "I16", 1, 2),
    of(26, "I32", 1, 4),
    of(27, "I64", 1, 8),
    of(28, "F64", 1, 8),
    of(29, "IQ1_M", 256, 56),
    TensorType::BF16,
    of(34, "TQ1_0", 256, 54),
    of(35, "TQ2_0", 256, 66),
    TensorType::MXFP4,
    of(40, "NVFP4", 64, 36),
    TensorType::Q1_0,
    of(42, "Q2_0", 64, 18),
];

/// The processor's family, as far as it decides what is arranged anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    X86,
    Arm,
    Other,
}

impl Family {
    /// Of the machine this was built for.
    pub const fn here() -> Self {
        if cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
            Self::X86
        } else if cfg!(target_arch = "aarch64") {
            Self::Arm
        } else {
            Self::Other
        }
    }
}

impl TensorType {
    pub const F32: Self = of(0, "F32", 1, 4);
    pub const F16: Self = of(1, "F16", 1, 2);
    pub const Q4_0: Self = of(2, "Q4_0", 32, 18);
    pub const Q8_0: Self = of(8, "Q8_0", 32, 34);
    pub const Q2_K: Self = of(10, "Q2_K", 256, 84);
    pub const Q4_K: Self = of(12, "Q4_K", 256, 144);
    pub const Q5_K: Self = of(13, "Q5_K", 256, 176);
    pub const Q6_K: Self = of(14, "Q6_K", 256, 210);
    pub const IQ4_NL: Self = of(20, "IQ4_NL", 32, 18);
    pub const BF16: Self = of(30, "BF16", 1, 2);
    pub const MXFP4: Self = of(39, "MXFP4", 32, 17);
    pub const Q1_0: Self = of(41, "Q1_0", 128, 18);

    /// `None` for a number that this build's engines do not know either.
    pub fn from_id(id: u32) -> Option<Self> {
        ALL.into_iter().find(|known| known.id == id)
    }

    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Elements in a block.
    pub const fn block(self) -> u64 {
        self.block
    }

    /// Bytes that so many elements take, which fill whole blocks. Saturates.
    pub const fn bytes(self, elements: u64) -> u64 {
        (elements / self.block).saturating_mul(self.bytes)
    }

    /// Bytes that so many elements take when they are multiplied with weights of this type, for which they are
    /// converted first (ggml-cpu.c, `vec_dot_type`): to halves for halves, to `Q8_K` for types in blocks of 256, to
    /// `Q8_0` or `Q8_1` for those in smaller blocks.
    pub fn factor_bytes(self, elements: u64) -> u64 {
        match self {
            Self::F32 => 0,
            Self::F16 | Self::BF16 => Self::F16.bytes(elements),
            _ if self.block == 256 => elements.div_ceil(256).saturating_mul(292),
            _ => elements.div_ceil(32).saturating_mul(36),
        }
    }

    /// Whether llama.cpp's CPU backend keeps matrices of this type and so many rows in an order of its own
    /// (ggml-cpu/repack.cpp, `ggml_repack_get_optimal_repack_type`). The weights are then a copy, and where the file
    /// was mapped its pages stay besides.
    ///
    /// The engine decides by what the processor and its own build can do; this says yes when one of the usual ones
    /// would: `x86` with AVX2 or AVX-512, ARM with dot products or `i8mm`. Too many a yes costs a copy that could
    /// have been a mapping, too many a no costs the weights twice.
    pub fn is_rearranged(self, rows: u64, family: Family) -> bool {
        let by = |divisor| rows.is_multiple_of(divisor);
        match family {
            Family::X86 => by(8) && matches!(self, Self::Q4_0 | Self::Q4_K | Self::Q2_K | Self::IQ4_NL | Self::MXFP4),
            Family::Arm => match self {
                Self::Q4_0 | Self::IQ4_NL | Self::MXFP4 | Self::Q8_0 | Self::Q1_0 => by(4),
                Self::Q4_K | Self::Q5_K | Self::Q6_K => by(8),
                _ => false,
            },
            // RISC-V and s390x rearrange some; which, depends on the width of their vectors.
            Family::Other => self.block > 1,
        }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_whole_blocks() {
        assert_eq!(TensorType::F16.bytes(1000), 2000);
        assert_eq!(TensorType::Q4_0.bytes(64), 36);
        assert_eq!(TensorType::Q4_K.bytes(512), 288);
        assert_eq!(TensorType::Q4_0.bytes(u64::MAX), u64::MAX / 32 * 18);
        assert_eq!(TensorType::F32.bytes(u64::MAX), u64::MAX);
        assert_eq!(TensorType::F16.factor_bytes(512), 1024);
        assert_eq!(TensorType::Q4_K.factor_bytes(512), 584);
        assert_eq!(TensorType::Q8_0.factor_bytes(512), 576);
    }

    #[test]
    fn unknown_numbers_are_no_types() {
        for id in [4, 5, 31, 36, 38, 43, u32::MAX] {
            assert_eq!(TensorType::from_id(id), None, "{id}");
        }
        assert_eq!(TensorType::from_id(12), Some(TensorType::Q4_K));
    }

    #[test]
    fn what_is_rearranged_depends_on_type_rows_and_processor() {
        let x86 = |kind: TensorType, rows| kind.is_rearranged(rows, Family::X86);
        assert!(x86(TensorType::Q4_0, 2048) && x86(TensorType::Q4_K, 8) && x86(TensorType::IQ4_NL, 8));
        assert!(!x86(TensorType::Q4_0, 2044), "rows that do not divide by eight stay");
        assert!(!x86(TensorType::Q8_0, 2048) && !x86(TensorType::Q6_K, 2048) && !x86(TensorType::F16, 2048));
        let arm = |kind: TensorType, rows| kind.is_rearranged(rows, Family::Arm);
        assert!(arm(TensorType::Q8_0, 4) && arm(TensorType::Q6_K, 8) && !arm(TensorType::F16, 8));
        assert!(TensorType::Q5_K.is_rearranged(8, Family::Other) && !TensorType::F32.is_rearranged(8, Family::Other));
    }
}
