//! GGUF: summary models. The input's first byte says how long a hole lies behind the head.

use meetcap_tests::rng::Rng;
use meetcap_tests::shapes::gguf::Shape;
use meetcap_tests::shapes::weights::WeightType;

use super::{weigh, with_hole};
use crate::{Target, Verdict};

pub const TARGET: Target = Target {
    name: "gguf",
    read,
    seeds,
    words: &[
        "GGUF",
        "general.architecture",
        "general.alignment",
        "general.type",
        "split.count",
        "adapter",
        "tokenizer.ggml.tokens",
        "block_count",
        "context_length",
        "embedding_length",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.sliding_window_pattern",
        "attention.shared_kv_layers",
        "full_attention_interval",
        "ssm.group_count",
        "expert_used_count",
        "llama",
        "gemma3",
        "gemma4",
        "qwen35",
        "blk.0.attn_q.weight",
        "token_embd.weight",
        "output.weight",
    ],
    longest: 16 << 10,
};

const HOLES: [u64; 4] = [0, 1 << 20, 1 << 30, 20 << 30];

fn read(input: &[u8]) -> Verdict {
    let Some((choice, bytes)) = input.split_first() else { return Verdict::Refused };
    weigh(&with_hole("model.gguf", bytes, HOLES[usize::from(*choice) % HOLES.len()]))
}

/// Files that the suites make, and one of each family with keys of its own.
fn seeds(rng: &mut Rng) -> Vec<Vec<u8>> {
    let small = Shape {
        layers: 1,
        embedding: 256,
        feed_forward: 256,
        heads: 4,
        kv_heads: 2,
        head_width: 0,
        vocabulary: 259,
        context: 4096,
        weights: WeightType::Q4K,
        tied: rng.percent(50),
    };
    let path = crate::scratch::path("seed.gguf");
    small.write_sparse(&path).expect("a folder in memory");
    let mut made = std::fs::read(&path).expect("it was just written");
    let head = made.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    made.truncate(head);
    let mut seeds = vec![[&[2][..], &made].concat()];
    seeds.extend(
        ["llama", "gemma3", "gemma4", "qwen35", "gpt-oss"].map(|family| [&[3][..], &of_family(family)].concat()),
    );
    seeds
}

const U32: u32 = 4;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;
/// ggml's number for halves.
const F16: u32 = 1;

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn pair(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key)[..], &kind.to_le_bytes(), value].concat()
}

fn list(of: u32, values: &[Vec<u8>]) -> Vec<u8> {
    [&of.to_le_bytes()[..], &(values.len() as u64).to_le_bytes(), &values.concat()].concat()
}

/// A head of two layers with every key that memory depends on, some of them as lists.
fn of_family(family: &str) -> Vec<u8> {
    let number = |key: &str, value: u32| pair(&format!("{family}.{key}"), U32, &value.to_le_bytes());
    let each = |key: &str, of, values: &[Vec<u8>]| pair(&format!("{family}.{key}"), ARRAY, &list(of, values));
    let word = |value: u32| value.to_le_bytes().to_vec();
    let keys = [
        pair("general.architecture", TEXT, &text(family)),
        pair("general.name", TEXT, &text("a seed")),
        pair("general.type", TEXT, &text("model")),
        pair("general.alignment", U32, &word(32)),
        pair("split.count", U32, &word(1)),
        pair("tokenizer.ggml.tokens", ARRAY, &list(TEXT, &[text("a"), text("b")])),
        number("block_count", 2),
        number("context_length", 8192),
        number("embedding_length", 64),
        number("vocab_size", 2),
        each("feed_forward_length", U32, &[word(128), word(64)]),
        each("attention.head_count", U32, &[word(4), word(4)]),
        each("attention.head_count_kv", U32, &[word(2), word(0)]),
        number("attention.key_length", 16),
        number("attention.value_length", 16),
        number("attention.sliding_window", 512),
        each("attention.sliding_window_pattern", BOOL, &[vec![1], vec![0]]),
        number("attention.shared_kv_layers", 1),
        number("full_attention_interval", 2),
        number("ssm.conv_kernel", 4),
        number("ssm.state_size", 16),
        number("ssm.inner_size", 64),
        number("ssm.group_count", 2),
        number("expert_used_count", 2),
        number("expert_feed_forward_length", 32),
    ];
    let names =
        ["token_embd.weight", "blk.0.attn_q.weight", "blk.1.ffn_up_exps.weight", "output_norm.weight", "output.weight"];
    let mut head = b"GGUF\x03\0\0\0".to_vec();
    head.extend((names.len() as u64).to_le_bytes());
    head.extend((keys.len() as u64).to_le_bytes());
    head.extend(keys.concat());
    for (place, name) in (0_u64..).zip(names) {
        head.extend(text(name));
        head.extend(2_u32.to_le_bytes());
        head.extend([64_u64, 8].iter().flat_map(|size| size.to_le_bytes()));
        head.extend(F16.to_le_bytes());
        head.extend((place * 64 * 8 * 2).to_le_bytes());
    }
    head
}
