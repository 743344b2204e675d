//! Speech models in whisper.cpp's ggml format: what the numbers at a file's start make whisper.cpp expect of the rest.
//!
//! ```text
//!  magic, 11 numbers │ mel filters │ vocabulary │ (tensor: dimensions, name length, type; shape; name; data)*
//!       └──────────────► name, type and shape of every tensor, each exactly once
//! ```
//!
//! whisper.cpp makes room for its tensors by those numbers before it reads the first of them, divides by some, and takes
//! a type that a tensor claims for an index. Supervisor and worker both hold a file to this list, each with a reader of
//! its own. Pure; nothing here reads.

/// `ggml` as a little-endian number.
pub const MAGIC: u32 = 0x6767_6d6c;
/// Bins of the spectrum of 400 samples.
pub const BINS: u32 = 201;
/// Bytes of the longest word and of the longest name of a tensor.
pub const LONGEST_WORD: u32 = 1024;
pub const LONGEST_NAME: u32 = 128;
/// Of a tensor.
pub const MOST_DIMENSIONS: u32 = 4;

/// In quantised files this times the version of the quantisation is added to the type of the file.
const VERSION_FACTOR: u32 = 1000;

/// How numbers are kept: blocks of so many in so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// ggml's number for it.
    pub id: u32,
    pub block: u64,
    pub bytes: u64,
}

const fn kind(id: u32, block: u64, bytes: u64) -> Kind {
    Kind { id, block, bytes }
}

const F32: Kind = kind(0, 1, 4);
const F16: Kind = kind(1, 1, 2);

impl Kind {
    /// What the matrices of a file of this type are made of (ggml.c, `ggml_ftype_to_ggml_type`, which aborts on others).
    fn of_file(file_type: u32) -> Option<Self> {
        Some(match file_type {
            0 => F32,
            1 => F16,
            2 => kind(2, 32, 18),
            3 => kind(3, 32, 20),
            7 => kind(8, 32, 34),
            8 => kind(6, 32, 22),
            9 => kind(7, 32, 24),
            10 => kind(10, 256, 84),
            11 => kind(11, 256, 110),
            12 => kind(12, 256, 144),
            13 => kind(13, 256, 176),
            14 => kind(14, 256, 210),
            15 => kind(16, 256, 66),
            16 => kind(17, 256, 74),
            17 => kind(18, 256, 98),
            18 => kind(19, 256, 50),
            19 => kind(20, 32, 18),
            20 => kind(21, 256, 110),
            21 => kind(22, 256, 82),
            22 => kind(23, 256, 136),
            23 => kind(29, 256, 56),
            24 => kind(30, 1, 2),
            25 => kind(39, 32, 17),
            _ => return None,
        })
    }

    /// Bytes of so many numbers, which fill whole blocks.
    pub const fn bytes(self, numbers: u64) -> u64 {
        numbers / self.block * self.bytes
    }
}

/// The numbers at a file's start, each within what whisper.cpp survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    pub vocabulary: u32,
    /// Steps of the encoder for one frame of 30 s.
    pub audio_context: u32,
    /// Width of encoder and decoder.
    pub state: u32,
    pub audio_heads: u32,
    pub audio_layers: u32,
    pub text_context: u32,
    pub text_heads: u32,
    pub text_layers: u32,
    pub mel_bands: u32,
    /// Of the matrices.
    pub matrices: Kind,
}

impl Numbers {
    /// Takes the eleven numbers behind the magic.
    ///
    /// # Errors
    /// Which of them no model has, as a sentence about the file.
    pub fn read(numbers: [u32; 11]) -> Result<Self, String> {
        let [vocabulary, audio_context, state, audio_heads, audio_layers, text_context, ..] = numbers;
        let [.., text_state, text_heads, text_layers, mel_bands, file_type] = numbers;
        let ranges = [
            // English-only, multilingual, and multilingual with Cantonese: the numbers of control tokens follow from it.
            ("vocabulary size", vocabulary, 51_864, 51_866),
            ("audio context", audio_context, 1, 1500),
            ("audio state size", state, 1, 8192),
            ("number of audio heads", audio_heads, 1, 256),
            ("number of audio layers", audio_layers, 1, 256),
            ("text context", text_context, 1, 4096),
            ("text state size", text_state, 1, 8192),
            ("number of text heads", text_heads, 1, 256),
            ("number of text layers", text_layers, 1, 256),
        ];
        let is = |name: &str, value: u32| Err(format!("its {name} is {}", value.cast_signed()));
        if let Some((name, value, ..)) = ranges.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value))
        {
            return is(name, value);
        }
        if !matches!(mel_bands, 80 | 128) {
            return is("number of mel bands", mel_bands);
        }
        let known = if file_type < 5 * VERSION_FACTOR { Kind::of_file(file_type % VERSION_FACTOR) } else { None };
        let Some(matrices) = known else { return is("weight format", file_type) };
        let divides = |divisor: u32| state.is_multiple_of(divisor);
        if state != text_state || !divides(audio_heads) || !divides(text_heads) {
            return Err("its sizes contradict each other".to_owned());
        }
        if !u64::from(state).is_multiple_of(matrices.block) {
            return Err(format!("rows of {state} numbers cannot be kept in blocks of {}", matrices.block));
        }
        Ok(Self {
            vocabulary,
            audio_context,
            state,
            audio_heads,
            audio_layers,
            text_context,
            text_heads,
            text_layers,
            mel_bands,
            matrices,
        })
    }

    /// Tensors in a whole file.
    pub fn tensors(&self) -> usize {
        AROUND.len() + self.audio_layers as usize * ENCODER + self.text_layers as usize * LAYER.len()
    }

    /// The tensor of this name, if there is one in such a file.
    pub fn expect(&self, name: &[u8]) -> Option<Expected> {
        let name = std::str::from_utf8(name).ok()?;
        if let Some(place) = AROUND.iter().position(|(known, ..)| *known == name) {
            return Some(self.expected(place, &AROUND[place]));
        }
        let (side, rest) = name.split_once(".blocks.")?;
        let (layer, part) = rest.split_once('.')?;
        let layer = number(layer)?;
        let part = LAYER.iter().position(|(known, ..)| *known == part)?;
        let before = match side {
            "encoder" if layer < self.audio_layers && part < ENCODER => layer as usize * ENCODER,
            "decoder" if layer < self.text_layers => {
                self.audio_layers as usize * ENCODER + layer as usize * LAYER.len()
            }
            _ => return None,
        };
        Some(self.expected(AROUND.len() + before + part, &LAYER[part]))
    }

    /// The names of all tensors, in the order of their places.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let layers = |side: &'static str, layers: u32, parts: &'static [Entry]| {
            (0..layers)
                .flat_map(move |layer| parts.iter().map(move |(part, ..)| format!("{side}.blocks.{layer}.{part}")))
        };
        let around = AROUND.iter().map(|(name, ..)| (*name).to_owned());
        around.chain(layers("encoder", self.audio_layers, &LAYER[..ENCODER])).chain(layers(
            "decoder",
            self.text_layers,
            &LAYER,
        ))
    }

    fn expected(&self, place: usize, (_, sizes, made_of): &Entry) -> Expected {
        let sizes = sizes.map(|size| match size {
            Size::Of(number) => number,
            Size::State => self.state,
            Size::Inner => 4 * self.state,
            Size::Mel => self.mel_bands,
            Size::AudioContext => self.audio_context,
            Size::TextContext => self.text_context,
            Size::Vocabulary => self.vocabulary,
        });
        let kind = match made_of {
            MadeOf::Floats => F32,
            MadeOf::Matrix => self.matrices,
            // Halves, unless everything is kept in full.
            MadeOf::Convolution => {
                if self.matrices == F32 {
                    F32
                } else {
                    F16
                }
            }
        };
        Expected { place, sizes, kind }
    }
}

/// A layer's number as whisper.cpp writes it.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

/// What a tensor has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Below [`Numbers::tensors`], another for each name.
    pub place: usize,
    /// Innermost first; a file may leave ones at the end out.
    pub sizes: [u32; 3],
    pub kind: Kind,
}

impl Expected {
    /// Of the data. No product of bounded numbers is too large.
    pub fn bytes(&self) -> u64 {
        self.kind.bytes(self.sizes.iter().copied().map(u64::from).product())
    }

    /// Whether a file's tensor is what it has to be.
    pub fn is(&self, sizes: [u32; MOST_DIMENSIONS as usize], kind: u32) -> bool {
        sizes[..3] == self.sizes && sizes[3] == 1 && kind == self.kind.id
    }
}

/// Which tensors were there.
#[derive(Debug)]
pub struct Seen {
    bits: Vec<u64>,
    missing: usize,
}

impl Seen {
    /// None of a file's.
    pub fn none_of(numbers: &Numbers) -> Self {
        let missing = numbers.tensors();
        Self { bits: vec![0; missing.div_ceil(64)], missing }
    }

    /// Takes one; false when it was there before.
    pub fn add(&mut self, expected: &Expected) -> bool {
        let (word, bit) = (&mut self.bits[expected.place / 64], 1 << (expected.place % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        self.missing -= usize::from(is_new);
        is_new
    }

    /// How many are not there.
    pub fn missing(&self) -> usize {
        self.missing
    }
}

#[derive(Debug, Clone, Copy)]
enum Size {
    Of(u32),
    State,
    /// Within a layer.
    Inner,
    Mel,
    AudioContext,
    TextContext,
    Vocabulary,
}

#[derive(Debug, Clone, Copy)]
enum MadeOf {
    Floats,
    Convolution,
    Matrix,
}

type Entry = (&'static str, [Size; 3], MadeOf);

const ONE: Size = Size::Of(1);
const VECTOR: [Size; 3] = [Size::State, ONE, ONE];
const SQUARE: [Size; 3] = [Size::State, Size::State, ONE];
/// A bias of a convolution.
const COLUMN: [Size; 3] = [ONE, Size::State, ONE];

const AROUND: [Entry; 11] = [
    ("encoder.positional_embedding", [Size::State, Size::AudioContext, ONE], MadeOf::Floats),
    ("encoder.conv1.weight", [Size::Of(3), Size::Mel, Size::State], MadeOf::Convolution),
    ("encoder.conv1.bias", COLUMN, MadeOf::Floats),
    ("encoder.conv2.weight", [Size::Of(3), Size::State, Size::State], MadeOf::Convolution),
    ("encoder.conv2.bias", COLUMN, MadeOf::Floats),
    ("encoder.ln_post.weight", VECTOR, MadeOf::Floats),
    ("encoder.ln_post.bias", VECTOR, MadeOf::Floats),
    ("decoder.positional_embedding", [Size::State, Size::TextContext, ONE], MadeOf::Floats),
    ("decoder.token_embedding.weight", [Size::State, Size::Vocabulary, ONE], MadeOf::Matrix),
    ("decoder.ln.weight", VECTOR, MadeOf::Floats),
    ("decoder.ln.bias", VECTOR, MadeOf::Floats),
];

/// Of these an encoder's layer has the first so many.
const ENCODER: usize = 15;
/// Of a decoder's layer.
const LAYER: [Entry; 24] = [
    ("mlp_ln.weight", VECTOR, MadeOf::Floats),
    ("mlp_ln.bias", VECTOR, MadeOf::Floats),
    ("mlp.0.weight", [Size::State, Size::Inner, ONE], MadeOf::Matrix),
    ("mlp.0.bias", [Size::Inner, ONE, ONE], MadeOf::Floats),
    ("mlp.2.weight", [Size::Inner, Size::State, ONE], MadeOf::Matrix),
    ("mlp.2.bias", VECTOR, MadeOf::Floats),
    ("attn_ln.weight", VECTOR, MadeOf::Floats),
    ("attn_ln.bias", VECTOR, MadeOf::Floats),
    ("attn.query.weight", SQUARE, MadeOf::Matrix),
    ("attn.query.bias", VECTOR, MadeOf::Floats),
    ("attn.key.weight", SQUARE, MadeOf::Matrix),
    ("attn.value.weight", SQUARE, MadeOf::Matrix),
    ("attn.value.bias", VECTOR, MadeOf::Floats),
    ("attn.out.weight", SQUARE, MadeOf::Matrix),
    ("attn.out.bias", VECTOR, MadeOf::Floats),
    ("cross_attn_ln.weight", VECTOR, MadeOf::Floats),
    ("cross_attn_ln.bias", VECTOR, MadeOf::Floats),
    ("cross_attn.query.weight", SQUARE, MadeOf::Matrix),
    ("cross_attn.query.bias", VECTOR, MadeOf::Floats),
    ("cross_attn.key.weight", SQUARE, MadeOf::Matrix),
    ("cross_attn.value.weight", SQUARE, MadeOf::Matrix),
    ("cross_attn.value.bias", VECTOR, MadeOf::Floats),
    ("cross_attn.out.weight", SQUARE, MadeOf::Matrix),
    ("cross_attn.out.bias", VECTOR, MadeOf::Floats),
];

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: [u32; 11] = [51_865, 1500, 96, 3, 2, 448, 96, 3, 3, 80, 2008];

    #[test]
    fn every_tensor_has_a_place_of_its_own() {
        let numbers = Numbers::read(SMALL).expect("sound");
        let mut seen = Seen::none_of(&numbers);
        for (place, name) in numbers.names().enumerate() {
            let expected = numbers.expect(name.as_bytes()).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(expected.place, place, "{name}");
            assert!(seen.add(&expected) && !seen.add(&expected), "{name}");
        }
        assert_eq!((numbers.tensors(), seen.missing()), (11 + 2 * 15 + 3 * 24, 0));
    }

    #[test]
    fn shapes_and_types_follow_from_the_numbers() {
        let numbers = Numbers::read(SMALL).expect("sound");
        let of = |name: &str| numbers.expect(name.as_bytes()).expect("there is one");
        let embedding = of("decoder.token_embedding.weight");
        assert_eq!((embedding.sizes, embedding.kind.id), ([96, 51_865, 1], 6));
        assert_eq!(embedding.bytes(), 96 * 51_865 / 32 * 22);
        assert!(embedding.is([96, 51_865, 1, 1], 6) && !embedding.is([96, 51_865, 1, 2], 6));
        assert!(!embedding.is([51_865, 96, 1, 1], 6) && !embedding.is([96, 51_865, 1, 1], 7));
        assert_eq!((of("encoder.conv1.weight").sizes, of("encoder.conv1.weight").kind), ([3, 80, 96], F16));
        assert_eq!(of("decoder.blocks.2.mlp.2.weight").sizes, [384, 96, 1]);
        let mut full = SMALL;
        full[10] = 0;
        let full = Numbers::read(full).expect("sound").expect(b"encoder.conv1.weight").expect("there is one");
        assert_eq!(full.kind, F32);
    }

    #[test]
    fn other_names_are_none() {
        let numbers = Numbers::read(SMALL).expect("sound");
        for name in [
            "",
            "encoder.blocks.2.mlp.0.bias",
            "encoder.blocks.0.cross_attn.out.bias",
            "decoder.blocks.3.mlp.0.bias",
            "decoder.blocks.00.mlp.0.bias",
            "decoder.blocks.+1.mlp.0.bias",
            "decoder.blocks.-1.mlp.0.bias",
            "decoder.blocks.99999999999.mlp.0.bias",
            "decoder.blocks..mlp.0.bias",
            "decoder.blocks.1",
            "other.blocks.1.mlp.0.bias",
            "decoder.ln.weight\0",
        ] {
            assert_eq!(numbers.expect(name.as_bytes()), None, "{name}");
        }
        assert_eq!(numbers.expect(&[0xff, 0xfe]), None);
    }

    #[test]
    fn numbers_that_no_model_has_are_refused() {
        let places = [(0, 60_000), (1, 0), (1, 1501), (2, 97), (3, 0), (4, u32::MAX), (5, 4097), (6, 128), (7, 5)];
        for (place, value) in places.into_iter().chain([(8, 257), (9, 100), (10, 4), (10, 5), (10, 26), (10, 9999)]) {
            let mut numbers = SMALL;
            numbers[place] = value;
            assert!(Numbers::read(numbers).is_err(), "number {place} = {value}");
        }
        let mut odd = SMALL;
        (odd[2], odd[6]) = (99, 99);
        assert!(Numbers::read(odd).expect_err("no whole blocks").contains("blocks of 32"));
    }
}
