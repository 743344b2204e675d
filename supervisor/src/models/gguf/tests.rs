use std::io::Cursor;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::models::tensor::TensorType;

/// A file in the making.
#[derive(Clone, Default)]
struct Builder {
    keys: Vec<(String, Vec<u8>)>,
    tensors: Vec<(String, Vec<u64>, u32)>,
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

impl Builder {
    /// Puts it in the place of what had its name.
    fn key(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.keys.retain(|(known, _)| known != key);
        self.keys.push((key.to_owned(), [&text(key)[..], &kind.to_le_bytes(), value].concat()));
        self
    }

    fn text(self, key: &str, value: &str) -> Self {
        self.key(key, kind::TEXT, &text(value))
    }

    fn number(self, key: &str, value: u32) -> Self {
        self.key(key, kind::U32, &value.to_le_bytes())
    }

    fn numbers(self, key: &str, values: &[u32]) -> Self {
        let mut bytes = kind::U32.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        self.key(key, kind::ARRAY, &bytes)
    }

    fn tokens(self, count: u64) -> Self {
        let mut bytes = kind::TEXT.to_le_bytes().to_vec();
        bytes.extend(count.to_le_bytes());
        (0..count).for_each(|token| bytes.extend(text(&format!("token{token}"))));
        self.key("tokenizer.ggml.tokens", kind::ARRAY, &bytes)
    }

    fn tensor(mut self, name: &str, sizes: &[u64], kind: u32) -> Self {
        self.tensors.push((name.to_owned(), sizes.to_vec(), kind));
        self
    }

    /// The head and the length of the whole file.
    fn head(&self) -> (Vec<u8>, u64) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.keys.len() as u64).to_le_bytes());
        self.keys.iter().for_each(|(_, key)| bytes.extend(key));
        let (mut offset, mut end) = (0_u64, 0);
        for (name, sizes, id) in &self.tensors {
            bytes.extend(text(name));
            bytes.extend((sizes.len() as u32).to_le_bytes());
            sizes.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
            bytes.extend(id.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
            let kind = TensorType::from_id(*id).expect("a known type");
            end = offset + kind.bytes(sizes.iter().product());
            offset = end.next_multiple_of(32);
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        let len = bytes.len() as u64 + end;
        (bytes, len)
    }

    fn file(&self) -> Vec<u8> {
        let (mut bytes, len) = self.head();
        bytes.resize(len as usize, 0);
        bytes
    }
}

/// Two layers of the llama architecture.
fn llama() -> Builder {
    Builder::default()
        .text("general.architecture", "llama")
        .text("general.name", "a model")
        .number("llama.block_count", 2)
        .number("llama.context_length", 4096)
        .number("llama.embedding_length", 64)
        .number("llama.feed_forward_length", 128)
        .number("llama.attention.head_count", 4)
        .number("llama.attention.head_count_kv", 2)
        .tokens(100)
        .tensor("token_embd.weight", &[64, 100], 1)
        .tensor("blk.0.attn_q.weight", &[64, 64], 2)
        .tensor("blk.1.ffn_up.weight", &[64, 128], 8)
        .tensor("blk.1.ffn_norm.weight", &[64], 0)
        .tensor("output.weight", &[64, 100], 1)
}

fn shape_of(bytes: &[u8]) -> Result<Option<LlmShape>, String> {
    read(Cursor::new(bytes), bytes.len() as u64).map_err(|damage| damage.to_string())
}

fn shape(builder: &Builder) -> LlmShape {
    shape_of(&builder.file()).expect("sound").expect("says enough")
}

fn refusal(builder: &Builder) -> String {
    shape_of(&builder.file()).expect_err("refused")
}

#[test]
fn the_shape_is_read_and_the_tensors_are_added_up() {
    let shape = shape(&llama());
    assert_eq!((shape.architecture.as_str(), shape.name.as_deref()), ("llama", Some("a model")));
    assert_eq!((shape.trained_context, shape.vocabulary, shape.embedding), (4096, 100, 64));
    assert_eq!((shape.key_length, shape.value_length, shape.window), (16, 16, 0));
    let layer = |weights| LayerShape { heads: 4, kv_heads: 2, feed_forward: 128, windowed: false, weights };
    assert_eq!(shape.layers, [layer(Bytes(128 * 18)), layer(Bytes(256 * 34 + 256))]);
    let weights = &shape.weights;
    assert_eq!(weights.total, Bytes(2 * 12_800 + 128 * 18 + 256 * 34 + 256));
    assert_eq!((weights.input, weights.output), (Bytes(12_800), Bytes(12_800)));
    assert_eq!(weights.by_type[0], (TensorType::F16, Bytes(25_600)));
    assert!(!weights.input_twice);
}

#[test]
fn order_and_position_of_the_keys_do_not_matter() {
    let mut turned = llama();
    turned.keys.reverse();
    assert_eq!(shape(&turned).layers, shape(&llama()).layers);
}

#[test]
fn layers_may_differ_from_each_other() {
    let builder = llama()
        .numbers("llama.attention.head_count_kv", &[0, 3])
        .numbers("llama.feed_forward_length", &[10, 20])
        .number("llama.attention.key_length", 24);
    let shape = shape(&builder);
    let each = |f: fn(&LayerShape) -> u32| shape.layers.iter().map(f).collect::<Vec<_>>();
    assert_eq!(each(|layer| layer.kv_heads), [0, 3]);
    assert_eq!(each(|layer| layer.feed_forward), [10, 20]);
    assert_eq!((shape.key_length, shape.value_length), (24, 16));
}

/// Twelve layers of another architecture.
fn windowed(architecture: &str, change: impl FnOnce(Builder) -> Builder) -> Vec<bool> {
    let key = |key: &str| format!("{architecture}.{key}");
    let builder = Builder::default()
        .text("general.architecture", architecture)
        .number(&key("block_count"), 12)
        .number(&key("embedding_length"), 64)
        .number(&key("attention.sliding_window"), 512)
        .tensor("x", &[1], 0);
    shape(&change(builder)).layers.iter().map(|layer| layer.windowed).collect()
}

#[test]
fn windows_are_where_the_engine_has_them_and_nowhere_else() {
    let each_sixth: Vec<bool> = (0..12).map(|layer| layer % 6 != 5).collect();
    assert_eq!(windowed("gemma3", |b| b), each_sixth);
    assert_eq!(windowed("gpt-oss", |b| b), (0..12).map(|layer| layer % 2 == 0).collect::<Vec<_>>());
    assert_eq!(windowed("llama", |b| b), [false; 12], "the engine keeps all of it");
    let pattern = |b: Builder| b.numbers("gemma4.attention.sliding_window_pattern", &[1, 0, 0, 1]);
    assert_eq!(windowed("gemma4", pattern)[..5], [true, false, false, true, false]);
}

#[test]
fn mixed_models_attend_in_some_layers_and_remember_in_the_others() {
    let builder = Builder::default()
        .text("general.architecture", "qwen35")
        .number("qwen35.block_count", 8)
        .number("qwen35.embedding_length", 64)
        .number("qwen35.attention.head_count", 4)
        .number("qwen35.attention.head_count_kv", 2)
        .number("qwen35.ssm.conv_kernel", 4)
        .number("qwen35.ssm.state_size", 128)
        .number("qwen35.ssm.inner_size", 256)
        .number("qwen35.ssm.group_count", 2)
        .tensor("x", &[4096], 0);
    let shape = shape(&builder);
    assert_eq!(shape.layers.iter().map(|layer| layer.kv_heads).collect::<Vec<_>>(), [0, 0, 0, 2, 0, 0, 0, 2]);
    assert_eq!(shape.memory, Bytes(4 * (128 * 256 + 3 * (256 + 2 * 2 * 128))));
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_shared_embedding_counts_twice_when_it_is_arranged_anew() {
    let tied = |kind| {
        let builder = Builder::default()
            .text("general.architecture", "llama")
            .number("llama.block_count", 1)
            .number("llama.embedding_length", 64)
            .tensor("token_embd.weight", &[64, 96], kind)
            .tensor("blk.0.attn_q.weight", &[64, 64], 2);
        shape(&builder).weights
    };
    assert!(tied(2).input_twice && !tied(1).input_twice);
    assert_eq!(tied(1).rearranged, Bytes(128 * 18));
}

#[test]
fn a_file_that_says_too_little_has_no_shape() {
    for builder in [
        Builder::default(),
        Builder::default().number("odd", 1).tensor("x", &[1], 0),
        Builder::default().text("general.architecture", "llama").tensor("x", &[1], 0),
        Builder { tensors: Vec::new(), ..llama() },
    ] {
        assert_eq!(shape_of(&builder.file()), Ok(None));
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_and_told_how_long_it_should_be() {
    let whole = llama().file();
    for len in 24..whole.len() {
        let why = shape_of(&whole[..len]).expect_err("cut");
        assert!(why.contains("cut short") && why.contains(&format!("it has {len} of")), "{len} bytes: {why}");
    }
    let why = shape_of(&whole[..whole.len() - 1]).expect_err("cut");
    assert!(why.contains(&format!("at least {} bytes", whole.len())), "{why}");
}

#[test]
fn lies_are_refused_by_name() {
    let claims = |place: usize, value: u64| {
        let mut bytes = llama().file();
        bytes[place..place + 8].copy_from_slice(&value.to_le_bytes());
        shape_of(&bytes).expect_err("a lie")
    };
    assert!(claims(8, u64::MAX).contains("tensors") && claims(16, 1 << 40).contains("keys"));
    assert!(refusal(&llama().number("llama.block_count", 5000)).contains("5000 layers"));
    assert!(refusal(&llama().number("general.alignment", 12)).contains("aligned"));
    assert!(refusal(&llama().number("split.count", 3)).contains("split"));
    assert!(refusal(&llama().text("general.type", "mmproj")).contains("companion"));
    assert!(refusal(&llama().number("", 1)).contains("without a name"));
    assert!(refusal(&llama().key("odd", 77, &[0; 20])).contains("unknown kind 77"));
    assert!(refusal(&llama().tensor("x", &[65, 2], 2)).contains("65 by 2"));
    let list = [&kind::TEXT.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat();
    assert!(refusal(&llama().key("list", kind::ARRAY, &list)).contains("list of"));
}

#[test]
fn what_is_there_twice_is_refused_by_name() {
    let mut twice = llama();
    twice.keys.push(twice.keys[2].clone());
    assert!(refusal(&twice).contains("llama.block_count is there twice"));
    assert!(refusal(&llama().tensor("blk.0.attn_q.weight", &[1], 0)).contains("blk.0.attn_q.weight is there twice"));
    let long = "x".repeat(64);
    assert!(refusal(&llama().tensor(&long, &[1], 0)).contains("named by 64 bytes"));
    assert!(refusal(&llama().tensor("", &[1], 0)).contains("named by 0 bytes"));
}

#[test]
fn what_llama_cpp_would_abort_on_is_refused() {
    let number = |key: &str, value| refusal(&llama().number(key, value));
    assert!(number("llama.block_count", 0).contains("0 layers"));
    assert!(number("llama.nextn_predict_layers", 3).contains("look ahead"));
    for (experts, used, groups, groups_used) in [
        (0, 1, 0, 0),
        (4, 0, 0, 0),
        (4, 5, 0, 0),
        (1025, 2, 0, 0),
        (4, 2, 4, 1),
        (4, 2, 3, 1),
        (4, 2, 2, 0),
        (0, 0, 1, 0),
    ] {
        let builder = llama()
            .number("llama.expert_count", experts)
            .number("llama.expert_used_count", used)
            .number("llama.expert_group_count", groups)
            .number("llama.expert_group_used_count", groups_used);
        assert!(refusal(&builder).contains("experts"), "{experts} {used} {groups} {groups_used}");
    }
    let sound = llama().number("llama.expert_count", 8).number("llama.expert_used_count", 2);
    assert_eq!(shape(&sound).experts_used, 2);
    let float = |key: &str, value: f32| llama().key(key, kind::F32, &value.to_le_bytes());
    for (key, value) in [
        ("llama.attention.layer_norm_rms_epsilon", f32::NAN),
        ("llama.attention.layer_norm_rms_epsilon", 1e22),
        ("llama.attention.layer_norm_epsilon", -1e-5),
        ("llama.rope.freq_base", 0.0),
        ("llama.rope.freq_base", f32::NEG_INFINITY),
        ("llama.logit_scale", f32::INFINITY),
    ] {
        let why = refusal(&float(key, value));
        assert!(why.contains(key.trim_start_matches("llama.")), "{key} {value}: {why}");
    }
    assert_eq!(shape(&float("llama.rope.freq_base", 1e6)).layers.len(), 2);
    assert!(refusal(&llama().text("llama.rope.scaling.type", "linnar")).contains("linnar"));
    assert_eq!(shape(&llama().text("llama.rope.scaling.type", "yarn")).layers.len(), 2);
    assert!(refusal(&llama().key("general.alignment", 5, &[32, 0, 0, 0])).contains("alignment"));
    assert!(refusal(&llama().number("general.architecture", 1)).contains("architecture"));
}

#[test]
fn numbers_that_the_file_has_no_room_for_are_refused() {
    let number = |key: &str, value| refusal(&llama().number(key, value));
    for key in ["embedding_length", "feed_forward_length", "attention.key_length", "ssm.inner_size"] {
        assert!(number(&format!("llama.{key}"), u32::MAX).contains(key), "{key}");
    }
    assert!(number("llama.attention.head_count_kv", 5).contains("4 heads have keys and values of 5"));
    assert!(number("llama.context_length", 63).contains("63 tokens"));
    assert_eq!(shape(&llama().number("llama.context_length", 0)).trained_context, 0, "it does not say");
}

#[test]
fn a_table_is_looked_over_also_where_the_keys_say_too_little() {
    let builder = |offset: u64| {
        let (mut bytes, len) = Builder::default().tensor("x", &[32], 0).tensor("y", &[1], 0).head();
        let at = bytes.windows(8).rposition(|part| part == 128_u64.to_le_bytes()).expect("the second tensor's place");
        bytes[at..at + 8].copy_from_slice(&offset.to_le_bytes());
        bytes.resize(len as usize, 0);
        bytes
    };
    assert_eq!(shape_of(&builder(128)), Ok(None));
    let why = shape_of(&builder(96)).expect_err("they overlap");
    assert!(why.contains("y is at 96, not at 128"), "{why}");
}

#[test]
fn tensors_that_overlap_or_leave_holes_are_refused() {
    let (head, len) = llama().head();
    // The last number of the head before the padding is the offset of the last tensor.
    let offset = (12_800_u64 + 128 * 18 + 256 * 34 + 256).next_multiple_of(32);
    let at = head.windows(8).rposition(|bytes| bytes == offset.to_le_bytes()).expect("it is there");
    let mut bytes = head.clone();
    bytes.resize(len as usize, 0);
    assert!(shape_of(&bytes).is_ok());
    bytes[at] ^= 32;
    assert!(shape_of(&bytes).expect_err("a hole").contains("one after another"));
}

/// The targets are 10 ms for the supervisor's first gate and 8 MiB for all of it.
#[test]
fn twenty_gigabytes_with_a_large_vocabulary_take_no_time() {
    let builder = llama().tokens(150_000).tensor("blk.1.ffn_down.weight", &[1 << 20, 10_000], 1);
    let (head, len) = builder.head();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), head).expect("room");
    file.as_file().set_len(len).expect("sparse files");
    let once = || {
        let start = Instant::now();
        let shape = crate::models::shape::read_shape(file.path());
        assert!(matches!(shape, Ok(Some(crate::models::shape::ModelShape::Llama(_)))));
        start.elapsed()
    };
    let best = (0..5).map(|_| once()).min().expect("five times");
    println!("{} GB: {best:?}", len >> 30);
    assert!(len > 20_000_000_000 && best < Duration::from_millis(10), "{best:?}");
}

/// A head that never ends, in a file that has room for it.
#[test]
fn a_head_without_an_end_is_given_up_soon() {
    let texts = [&kind::TEXT.to_le_bytes()[..], &(1_u64 << 22).to_le_bytes()].concat();
    let long = (64_u64 << 20).to_le_bytes();
    let builder = Builder::default().key("texts", kind::ARRAY, &texts).key("more", 0, &[]).tensor("x", &[1], 0);
    let (mut head, _) = builder.head();
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    // Behind the list's length: four million lengths of nothing, then a key as long as all that is allowed.
    let end = head.windows(4).position(|bytes| bytes == b"more").expect("it is there") - 8;
    head.truncate(end);
    head.resize(end + (8 << 22), 0);
    head.extend(long);
    std::fs::write(file.path(), head).expect("room");
    file.as_file().set_len(20 << 30).expect("sparse files");
    let start = Instant::now();
    let why = crate::models::shape::read_shape(file.path()).expect_err("no model").to_string();
    assert!(why.contains("head is longer"), "{why}");
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        changes in prop::collection::vec((0_usize..1000, any::<u8>()), 1..8),
        cut in 24_usize..60_000,
    ) {
        let mut bytes = llama().file();
        for (place, value) in changes {
            bytes[place] = value;
        }
        bytes.truncate(cut);
        let _ = shape_of(&bytes);
    }

    #[test]
    fn no_noise_makes_the_reader_panic(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = shape_of(&[b"GGUF\x03\0\0\0", noise.as_slice()].concat());
    }
}
