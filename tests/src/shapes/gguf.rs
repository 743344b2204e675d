//! GGUF files of the llama architecture, with a tokenizer that takes any text.
//!
//! ```text
//!  "GGUF", version, counts │ keys and values │ (tensor: name, dimensions, type, offset)* │ padding │ data
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::weights::{Filler, WeightType};
use crate::rng::Rng;

const VERSION: u32 = 3;
const ALIGNMENT: u64 = 32;
/// Tokens that begin and end what somebody says, and texts.
const CONTROLS: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
/// A conversation as a list of marked messages.
const TEMPLATE: &str = "{%- for turn in messages -%}\n{{ '<|im_start|>' ~ turn.role ~ '\\n' ~ turn.content }}\
                        {{ '<|im_end|>\\n' }}\n{%- endfor -%}\n\
                        {%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}";

/// A llama model by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub layers: u32,
    /// Width between the layers.
    pub embedding: u32,
    /// Width within the layers.
    pub feed_forward: u32,
    pub heads: u32,
    /// Divides `heads`.
    pub kv_heads: u32,
    /// Width of one head; 0 is that of all heads by their number.
    pub head_width: u32,
    /// Of the 256 bytes, three control tokens and merged tokens.
    pub vocabulary: u32,
    /// The longest context that the file says the model was trained on.
    pub context: u32,
    /// Of the matrices.
    pub weights: WeightType,
    /// Whether input and output share their matrix, as in many small models.
    pub tied: bool,
}

impl Shape {
    /// As small as models get that are of any use.
    pub const SMALL_150M: Self = Self {
        layers: 16,
        embedding: 768,
        feed_forward: 2048,
        heads: 12,
        kv_heads: 12,
        head_width: 0,
        vocabulary: 32_000,
        context: 32_768,
        weights: WeightType::F16,
        tied: false,
    };
    /// The layers of Llama 3.2 1B. Its vocabulary (128,256, shared by input and output) is cut to 32,000 twice: as
    /// many weights less 132 million, and the tokenizer's share of memory stays that of the common small models.
    pub const LLAMA_1B: Self = Self {
        layers: 16,
        embedding: 2048,
        feed_forward: 8192,
        heads: 32,
        kv_heads: 8,
        head_width: 0,
        vocabulary: 32_000,
        context: 131_072,
        weights: WeightType::F16,
        tied: false,
    };

    /// Any shape that fits into a few hundred MiB.
    pub fn random(rng: &mut Rng) -> Self {
        let mut number = |low, high| u32::try_from(rng.between(low, high)).expect("small");
        let head = [64, 64, 128][number(0, 2) as usize];
        let kv_heads = number(1, 4);
        // Rows are made of whole blocks of 256, the largest there are, and are no longer than 1024.
        let step = kv_heads * 256 / head;
        let heads = step * number(1, (1024 / head / step).max(1) as usize);
        let kinds = [WeightType::F16, WeightType::Q8_0, WeightType::Q4_0, WeightType::Q4K];
        Self {
            layers: number(2, 20),
            embedding: head * heads,
            feed_forward: 256 * number(2, 12),
            heads,
            kv_heads,
            head_width: 0,
            vocabulary: 1000 * number(1, 64),
            context: 32_768,
            weights: kinds[number(0, 3) as usize],
            tied: number(0, 1) == 1,
        }
    }

    /// Width of one head.
    pub const fn head(&self) -> u32 {
        if self.head_width == 0 { self.embedding / self.heads } else { self.head_width }
    }

    fn tensors(&self) -> Vec<Tensor> {
        let (n, kv, inner) = (self.embedding, self.head() * self.kv_heads, self.feed_forward);
        let queries = self.head() * self.heads;
        let matrix = |name: String, from, to| Tensor { name, rows: vec![from, to], kind: self.weights };
        let norm = |name: String| Tensor { name, rows: vec![n], kind: WeightType::F32 };
        let mut all = vec![matrix("token_embd.weight".to_owned(), n, self.vocabulary)];
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            all.extend([
                norm(name("attn_norm")),
                matrix(name("attn_q"), n, queries),
                matrix(name("attn_k"), n, kv),
                matrix(name("attn_v"), n, kv),
                matrix(name("attn_output"), queries, n),
                norm(name("ffn_norm")),
                matrix(name("ffn_gate"), n, inner),
                matrix(name("ffn_up"), n, inner),
                matrix(name("ffn_down"), inner, n),
            ]);
        }
        all.push(norm("output_norm.weight".to_owned()));
        if !self.tied {
            all.push(matrix("output.weight".to_owned(), n, self.vocabulary));
        }
        all
    }

    /// Bytes of all weights.
    pub fn weight_bytes(&self) -> u64 {
        self.tensors().iter().map(Tensor::bytes).sum()
    }

    /// Writes a model of this shape, the same for the same state of `rng`.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write(&self, out: &mut impl Write, rng: &mut Rng) -> io::Result<()> {
        let tensors = self.tensors();
        let head = self.head_of_file(&tensors);
        out.write_all(&head)?;
        let mut filler = Filler::new(rng);
        for tensor in &tensors {
            match tensor.kind {
                // Norms multiply: with one they change nothing.
                WeightType::F32 if tensor.rows.len() == 1 => filler.constant(out, tensor.numbers(), 1.0)?,
                kind => filler.weights(out, kind, tensor.numbers(), tensor.rows[0])?,
            }
            pad(out, tensor.bytes())?;
        }
        Ok(())
    }

    /// Writes a file that looks like a model of this shape to whoever reads only its head, and of which the disk holds no
    /// more than that.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write_sparse(&self, path: &Path) -> io::Result<()> {
        let tensors = self.tensors();
        let head = self.head_of_file(&tensors);
        let mut file = File::create(path)?;
        file.write_all(&head)?;
        let data: u64 = tensors.iter().map(|tensor| tensor.bytes().next_multiple_of(ALIGNMENT)).sum();
        file.set_len(head.len() as u64 + data)
    }

    /// Everything before the data, padded.
    fn head_of_file(&self, tensors: &[Tensor]) -> Vec<u8> {
        let mut keys = Keys::default();
        keys.text("general.architecture", "llama");
        keys.text("general.name", &format!("random weights, {} layers of {}", self.layers, self.embedding));
        keys.number("general.alignment", u32::try_from(ALIGNMENT).expect("small"));
        keys.number("llama.block_count", self.layers);
        keys.number("llama.context_length", self.context);
        keys.number("llama.embedding_length", self.embedding);
        keys.number("llama.feed_forward_length", self.feed_forward);
        keys.number("llama.attention.head_count", self.heads);
        keys.number("llama.attention.head_count_kv", self.kv_heads);
        keys.number("llama.attention.key_length", self.head());
        keys.number("llama.attention.value_length", self.head());
        keys.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
        keys.number("llama.rope.dimension_count", self.head());
        keys.float("llama.rope.freq_base", 10_000.0);
        keys.number("llama.vocab_size", self.vocabulary);
        keys.tokenizer(self.vocabulary);

        let mut head = b"GGUF".to_vec();
        head.extend(VERSION.to_le_bytes());
        head.extend((tensors.len() as u64).to_le_bytes());
        head.extend(keys.count.to_le_bytes());
        head.extend(keys.bytes);
        let mut offset = 0;
        for tensor in tensors {
            put_text(&mut head, &tensor.name);
            head.extend(u32::try_from(tensor.rows.len()).expect("small").to_le_bytes());
            tensor.rows.iter().for_each(|&rows| head.extend(u64::from(rows).to_le_bytes()));
            head.extend(tensor.kind.id().to_le_bytes());
            head.extend(u64::to_le_bytes(offset));
            offset += tensor.bytes().next_multiple_of(ALIGNMENT);
        }
        head.resize(head.len().next_multiple_of(usize::try_from(ALIGNMENT).expect("small")), 0);
        head
    }
}

struct Tensor {
    name: String,
    /// Innermost first.
    rows: Vec<u32>,
    kind: WeightType,
}

impl Tensor {
    fn numbers(&self) -> u64 {
        self.rows.iter().copied().map(u64::from).product()
    }

    fn bytes(&self) -> u64 {
        self.kind.bytes(self.numbers())
    }
}

fn pad(out: &mut impl Write, written: u64) -> io::Result<()> {
    let missing = usize::try_from(written.next_multiple_of(ALIGNMENT) - written).expect("small");
    out.write_all(&[0; 32][..missing])
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// Keys and values as GGUF has them.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    count: u64,
}

impl Keys {
    const U32: u32 = 4;
    const I32: u32 = 5;
    const F32: u32 = 6;
    const BOOL: u32 = 7;
    const TEXT: u32 = 8;
    const ARRAY: u32 = 9;

    fn key(&mut self, key: &str, kind: u32) -> &mut Vec<u8> {
        self.count += 1;
        put_text(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
        &mut self.bytes
    }

    fn number(&mut self, key: &str, value: u32) {
        self.key(key, Self::U32).extend(value.to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f32) {
        self.key(key, Self::F32).extend(value.to_le_bytes());
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.key(key, Self::BOOL).push(u8::from(value));
    }

    fn text(&mut self, key: &str, value: &str) {
        put_text(self.key(key, Self::TEXT), value);
    }

    fn array(&mut self, key: &str, kind: u32, length: usize) -> &mut Vec<u8> {
        let bytes = self.key(key, Self::ARRAY);
        bytes.extend(kind.to_le_bytes());
        bytes.extend((length as u64).to_le_bytes());
        bytes
    }

    fn tokenizer(&mut self, size: u32) {
        const NORMAL: i32 = 1;
        const CONTROL: i32 = 3;
        let vocabulary = Vocabulary::new(size);
        self.text("tokenizer.ggml.model", "gpt2");
        self.text("tokenizer.ggml.pre", "gpt-2");
        let tokens = self.array("tokenizer.ggml.tokens", Self::TEXT, vocabulary.tokens.len());
        vocabulary.tokens.iter().for_each(|token| put_text(tokens, token));
        let types = self.array("tokenizer.ggml.token_type", Self::I32, vocabulary.tokens.len());
        let is_control = |token: &String| CONTROLS.contains(&token.as_str());
        let kind = |token| if is_control(token) { CONTROL } else { NORMAL };
        vocabulary.tokens.iter().for_each(|token| types.extend(kind(token).to_le_bytes()));
        let merges = self.array("tokenizer.ggml.merges", Self::TEXT, vocabulary.merges.len());
        vocabulary.merges.iter().for_each(|merge| put_text(merges, merge));
        let number = |name: &str| vocabulary.tokens.iter().position(|token| token == name).expect("in it");
        for (key, name) in [("bos", CONTROLS[0]), ("eos", CONTROLS[2]), ("padding", CONTROLS[0])] {
            let number = u32::try_from(number(name)).expect("small");
            self.number(&format!("tokenizer.ggml.{key}_token_id"), number);
        }
        self.flag("tokenizer.ggml.add_bos_token", false);
        self.text("tokenizer.chat_template", TEMPLATE);
    }
}

/// Byte-level tokens, and longer ones that grow letter by letter: every token but the bytes is a shorter one and a
/// letter, so that each is reached by merges, as byte-pair encoding demands.
struct Vocabulary {
    tokens: Vec<String>,
    merges: Vec<String>,
}

impl Vocabulary {
    /// # Panics
    /// When `size` leaves no room for the bytes and the control tokens.
    fn new(size: u32) -> Self {
        let merged = (size as usize).checked_sub(256 + CONTROLS.len()).expect("room for bytes and control tokens");
        let mut tokens: Vec<String> = (0..=255).map(|byte| symbol(byte).to_string()).collect();
        let mut merges = Vec::with_capacity(merged);
        let letters: Vec<char> = (b'a'..=b'z').map(symbol).collect();
        // Words begin with the blank before them.
        let mut stems: Vec<usize> = std::iter::once(b' ').chain(b'a'..=b'z').map(usize::from).collect();
        let mut next = 0;
        while merges.len() < merged {
            let stem = stems[next];
            next += 1;
            for letter in letters.iter().take(merged - merges.len()) {
                merges.push(format!("{} {letter}", tokens[stem]));
                stems.push(tokens.len());
                tokens.push(format!("{}{letter}", tokens[stem]));
            }
        }
        tokens.extend(CONTROLS.map(str::to_owned));
        Self { tokens, merges }
    }
}

/// The visible character that stands for a byte in byte-level tokenizers: itself where it is one, else the next
/// unused one from U+0100 on.
fn symbol(byte: u8) -> char {
    let visible = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if visible(byte) {
        return char::from(byte);
    }
    let place = (0..byte).filter(|&other| !visible(other)).count();
    char::from_u32(0x100 + u32::try_from(place).expect("small")).expect("a character")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn bytes_have_the_characters_that_tokenizers_know_them_by() {
        assert_eq!([b' ', b'\n', b'a', 0, 0xAD].map(symbol), ['Ġ', 'Ċ', 'a', 'Ā', 'Ń']);
        assert_eq!((0..=255).map(symbol).collect::<HashSet<_>>().len(), 256);
    }

    #[test]
    fn every_merge_makes_a_token_of_two_others_and_none_is_made_twice() {
        for size in [259, 260, 1000, 32_000] {
            let vocabulary = Vocabulary::new(size);
            assert_eq!(vocabulary.tokens.len(), size as usize);
            let all: HashSet<&str> = vocabulary.tokens.iter().map(String::as_str).collect();
            assert_eq!(all.len(), size as usize, "{size}: a token appears twice");
            for merge in &vocabulary.merges {
                let (left, right) = merge.split_once(' ').expect("two parts");
                assert!(all.contains(left) && all.contains(right), "{size}: {merge}");
                assert!(all.contains(format!("{left}{right}").as_str()), "{size}: {merge}");
            }
        }
    }

    #[test]
    fn the_named_shapes_have_the_weights_their_names_say() {
        let million = |shape: Shape| shape.weight_bytes() / 2_000_000;
        assert_eq!((million(Shape::SMALL_150M), million(Shape::LLAMA_1B)), (162, 1104));
    }

    #[test]
    fn a_model_is_as_long_as_its_parts() {
        let mut rng = Rng::fresh("shapes::gguf");
        let shape =
            Shape { layers: 1, embedding: 256, heads: 4, kv_heads: 2, feed_forward: 512, ..Shape::random(&mut rng) };
        let mut file = Vec::new();
        shape.write(&mut file, &mut rng).expect("memory takes it");
        let tensors = shape.tensors();
        let data: u64 = tensors.iter().map(|t| t.bytes().next_multiple_of(ALIGNMENT)).sum();
        assert_eq!(file.len() as u64, shape.head_of_file(&tensors).len() as u64 + data);
    }

    #[test]
    fn random_shapes_can_be_written_in_every_type() {
        let mut rng = Rng::fresh("shapes::gguf::random");
        for _ in 0..2000 {
            let shape = Shape::random(&mut rng);
            let whole = |width: u32| width.is_multiple_of(shape.weights.block() as u32);
            assert!(whole(shape.embedding) && whole(shape.feed_forward), "{shape:?}");
            assert!(shape.heads.is_multiple_of(shape.kv_heads), "{shape:?}");
            assert!(shape.weight_bytes() < 1 << 30, "{shape:?}");
        }
    }
}
