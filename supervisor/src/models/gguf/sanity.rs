//! Numbers that contradict each other, or that llama.cpp aborts on where it should return an error (llama-model.cpp,
//! `load_hparams`), or that ask for more weights than there are bytes. Pure.

use super::MAX_LAYERS;
use super::keys::Keys;
use crate::memory::Bytes;
use crate::models::walk::Damage;

/// llama.cpp's own limit (`LLAMA_MAX_EXPERTS`).
const MAX_EXPERTS: u64 = 1024;
/// Nothing can be said in less, question and answer together.
const LEAST_CONTEXT: u64 = 64;
/// Ways of stretching a context that llama.cpp knows.
pub(super) const SCALINGS: [&str; 4] = ["none", "linear", "yarn", "longrope"];

fn damaged(why: &str) -> Damage {
    Damage::lie(format!("it is damaged: {why}"))
}

/// How many layers there are; `None` when the file does not say.
pub(super) fn layers(keys: &Keys) -> Result<Option<usize>, Damage> {
    match keys.number("block_count") {
        None => Ok(None),
        Some(layers @ 1..) if layers <= u64::from(MAX_LAYERS) => Ok(Some(layers as usize)),
        Some(layers) => Err(Damage::lie(format!("it claims {layers} layers; there is no such model"))),
    }
}

/// The keys of a file of this length.
pub(super) fn check(keys: &Keys, architecture: Option<&str>, file: Bytes) -> Result<(), Damage> {
    let number = |key| keys.number(key).unwrap_or(0);
    let (layers, ahead) = (keys.number("block_count").unwrap_or(u64::MAX), number("nextn_predict_layers"));
    if ahead > layers {
        return Err(damaged(&format!("{ahead} of its {layers} layers look ahead")));
    }
    let context = number("context_length");
    if (1..LEAST_CONTEXT).contains(&context) {
        return Err(damaged(&format!("it claims to have been trained on {context} tokens at once")));
    }
    // For this family llama.cpp looks at the numbers only after it has changed them.
    if !architecture.is_some_and(|name| name.starts_with("hunyuan")) {
        experts(keys)?;
    }
    heads(keys)?;
    room(keys, file)
}

fn experts(keys: &Keys) -> Result<(), Damage> {
    let number = |key| keys.number(key).unwrap_or(0);
    let (experts, used) = (number("expert_count"), number("expert_used_count"));
    let (groups, groups_used) = (number("expert_group_count"), number("expert_group_used_count"));
    let of_experts = if experts > 0 { used > 0 && groups < experts } else { groups == 0 };
    let of_groups = groups <= 1 || experts.is_multiple_of(groups) && (1..groups).contains(&groups_used);
    if experts <= MAX_EXPERTS && used <= experts && of_experts && of_groups {
        return Ok(());
    }
    Err(damaged(&format!("{used} of {experts} experts, in {groups_used} of {groups} groups, cannot be")))
}

/// Several heads may share keys and values, but not the other way round.
fn heads(keys: &Keys) -> Result<(), Damage> {
    let (Some(heads), Some(shared)) = (keys.number("attention.head_count"), keys.number("attention.head_count_kv"))
    else {
        return Ok(());
    };
    if shared > heads {
        return Err(damaged(&format!("its {heads} heads have keys and values of {shared}")));
    }
    Ok(())
}

/// Each of these is a side of a matrix whose other side is the embedding's width; the smallest type that there is keeps
/// a number in more than a bit.
fn room(keys: &Keys, file: Bytes) -> Result<(), Damage> {
    let embedding = keys.number("embedding_length").unwrap_or(0);
    let sides = [
        ("feed_forward_length", keys.number("feed_forward_length")),
        ("expert_feed_forward_length", keys.number("expert_feed_forward_length")),
        ("attention.head_count", keys.number("attention.head_count")),
        ("attention.key_length", keys.number("attention.key_length")),
        ("attention.value_length", keys.number("attention.value_length")),
        ("ssm.inner_size", keys.number("ssm.inner_size")),
        ("the vocabulary", Some(keys.tokens())),
    ];
    let most = file.0.saturating_mul(8);
    for (name, side) in sides {
        let side = side.unwrap_or(0);
        if embedding.saturating_mul(side) > most {
            let why =
                format!("embedding_length {embedding} and {name} {side} ask for more weights than it has bytes for");
            return Err(damaged(&why));
        }
    }
    Ok(())
}

/// A number with a fraction, under a key of the architecture's own.
pub(super) fn float(key: &str, value: f64) -> Result<(), Damage> {
    let is_sound = match key {
        _ if !value.is_finite() => false,
        "rope.freq_base" | "rope.freq_base_swa" => value > 0.0,
        "attention.layer_norm_epsilon" | "attention.layer_norm_rms_epsilon" => (0.0..=1.0).contains(&value),
        _ => true,
    };
    if is_sound { Ok(()) } else { Err(damaged(&format!("its {key} is {value:e}"))) }
}
