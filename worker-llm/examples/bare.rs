//! llama.cpp without anything of this project's around it: what one process costs that loads a model and uses it. The
//! benchmarks `pair` and `overhead` compare the supervisor with it.
//!
//! ```text
//! [BARE_BEHIND_WALLS=1] bare-llm --once|--default MODEL N_CTX f16|q8_0 PROMPT ANSWER THREADS
//! ```
//!
//! `--once` holds the weights once, in batches of the worker's size: as little as the engine can do with. `--default` is
//! what a program gets that sets nothing but the context. Prints `loaded`, reads a prompt of so many tokens and makes
//! exactly so many more, prints `done`, and then holds everything until standard input closes.

use std::error::Error;
use std::io::Read;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use meetcap_protocol::runtime::{self, Computes};
use meetcap_protocol::{SandboxStatus, SupervisorHello, WirePath, dump};

/// The worker's.
const BATCH: u32 = 512;
const USAGE: &str = "usage: bare-llm --once|--default MODEL N_CTX f16|q8_0 PROMPT ANSWER THREADS";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [loading, model, n_ctx, kv, prompt, answer, threads] = arguments.as_slice() else { return Err(USAGE.into()) };
    let once = match loading.as_str() {
        "--once" => true,
        "--default" => false,
        _ => return Err(USAGE.into()),
    };
    if std::env::var_os("BARE_BEHIND_WALLS").is_some() {
        dump::leave_none()?;
        let readable = vec![WirePath::from(Path::new(model.as_str()))];
        let hello = SupervisorHello { readable, scratch: None, heartbeat: Duration::ZERO };
        assert_eq!(runtime::lock_in(&hello, Computes::OnCpu), SandboxStatus::Full);
    }
    let backend = LlamaBackend::init()?;
    let mut parameters = LlamaModelParams::default().with_n_gpu_layers(0);
    if once {
        parameters = parameters.with_use_mmap(false);
    }
    let model = LlamaModel::load_from_file(&backend, model, &parameters)?;
    let kv = match kv.as_str() {
        "f16" => KvCacheType::F16,
        "q8_0" => KvCacheType::Q8_0,
        _ => return Err(USAGE.into()),
    };
    let n_ctx: u32 = n_ctx.parse()?;
    let mut parameters = LlamaContextParams::default().with_n_ctx(NonZeroU32::new(n_ctx)).with_type_k(kv);
    parameters = parameters.with_type_v(kv).with_n_threads(threads.parse()?).with_n_threads_batch(threads.parse()?);
    if once {
        parameters = parameters.with_n_batch(BATCH.min(n_ctx)).with_n_ubatch(BATCH.min(n_ctx)).with_swa_full(false);
    }
    let mut context = model.new_context(&backend, parameters)?;
    println!("loaded");

    // Any tokens will do: the weights mean nothing.
    let prompt: Vec<LlamaToken> = (0..prompt.parse()?).map(|n: i32| LlamaToken::new(n % model.n_vocab())).collect();
    for batch in prompt.chunks(context.n_batch() as usize) {
        context.decode(&mut LlamaBatch::get_one(batch)?)?;
    }
    let mut sampler = LlamaSampler::greedy();
    for _ in 1..answer.parse::<u32>()? {
        let token = sampler.sample(&context, -1);
        context.decode(&mut LlamaBatch::get_one(&[token])?)?;
    }
    println!("done");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(context);
    Ok(())
}
