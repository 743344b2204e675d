//! JSON-RPC: lines of a client, from the bytes to the answers. No model is ever found, so no job begins.

use std::time::Duration;

use meetcap_supervisor::errors::{Advice, ErrorClass};
use meetcap_supervisor::models::shelf::Shelf;
use meetcap_supervisor::queue::Trouble;
use meetcap_supervisor::server::{Bundled, Server, Settings};
use meetcap_supervisor::{Stop, Supervisor, WorkerPrograms};
use meetcap_tests::rng::Rng;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::{Target, Verdict, meter};

pub const TARGET: Target = Target {
    name: "rpc",
    read,
    seeds,
    words: &[
        "\"jsonrpc\":\"2.0\"",
        "\"method\":",
        "\"id\":",
        "\"params\":{",
        "initialize",
        "job/submit",
        "job/summarize",
        "job/cancel",
        "job/status",
        "job/list",
        "models/list",
        "models/pull",
        "models/estimate",
        "shutdown",
        "audio_path",
        "transcript_path",
        "no_summary",
        "formats",
        "wait_for_memory",
        "on_disconnect",
        "priority",
        "\"1e999\"",
        "-1",
        "1e308",
        "\\u0000",
        "\n",
        "[[[[[[[[",
        "null",
    ],
    longest: 8 << 10,
};

/// A client is answered well before this.
const LONGEST: Duration = Duration::from_secs(60);
/// A server, and what it reads of this machine's memory when it is asked to.
const SERVER: usize = 8 << 20;
/// JSON as a tree takes some times its bytes, and answers quote some of them.
const TIMES: usize = 100;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
}

fn read(input: &[u8]) -> Verdict {
    let talk =
        || RUNTIME.with(|runtime| runtime.block_on(async { tokio::time::timeout(LONGEST, answers(input)).await }));
    let promised = SERVER + TIMES * input.len();
    let written = meter::within(promised, "serving a client", talk).expect("an end in time");
    let mut is_any = false;
    for line in written.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let answer: Value = serde_json::from_slice(line).expect("an answer is JSON");
        let each = answer.as_array().cloned().unwrap_or_else(|| vec![answer]);
        for answer in each {
            assert_eq!(answer["jsonrpc"], "2.0", "{answer}");
            assert!(answer.get("id").is_some(), "an answer to nobody: {answer}");
            let (result, error) = (answer.get("result"), &answer["error"]["code"]);
            assert_ne!(result.is_some(), error.is_i64(), "neither a result nor an error, or both: {answer}");
            assert_ne!(error, -32_001, "an internal error: {answer}");
            is_any |= result.is_some();
        }
    }
    Verdict::of(is_any)
}

async fn answers(input: &[u8]) -> Vec<u8> {
    let nothing = || Trouble {
        message: "there is no model here".to_owned(),
        class: ErrorClass::Input,
        exit_code: 4,
        advice: Advice::GiveUp,
    };
    // Without a folder nothing is found, and nothing fetched.
    let bundled: Option<Box<Bundled>> = Some(Box::new(move |_| Err(nothing())));
    let settings = Settings { bundled, ..Settings::new(Shelf::default()) };
    let mut written = Vec::new();
    Server::new(Supervisor::new(WorkerPrograms::default()), settings)
        .serve(input, &mut written, &Stop::default())
        .await;
    written
}

fn seeds(_: &mut Rng) -> Vec<Vec<u8>> {
    let call = |method: &str, params: &str| {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}\n")
    };
    let calls = [
        call("initialize", "{\"client\":\"a test\"}"),
        call(
            "job/submit",
            "{\"audio_path\":\"/a.wav\",\"stt\":\"a\",\"llm\":\"b\",\"vad\":\"energy\",\"output_dir\":\"/o\",\
             \"language\":\"en\",\"seed\":1,\"formats\":[\"txt\",\"srt\"],\"priority\":-1,\"on_disconnect\":\"continue\",\
             \"resume\":\"never\",\"force\":true,\"wait_for_memory\":\"90s\",\"threads\":2,\"translate\":true,\
             \"words\":true,\"beam\":5,\"windows\":2}",
        ),
        call("job/submit", "{\"audio_path\":\"/a.wav\",\"no_summary\":true,\"wait_for_memory\":1.5}"),
        call("job/summarize", "{\"transcript_path\":\"/a.transcript.json\",\"llm\":\"b\"}"),
        call("job/cancel", "{\"job_id\":1}"),
        call("job/status", "{\"job_id\":1,\"subscribe\":true}"),
        call("job/list", "{}"),
        call("models/list", "null"),
        call("models/estimate", "{\"model\":\"demo\",\"ctx\":4096,\"phase\":\"llm\"}"),
        call("shutdown", "{\"wait\":true}"),
        "{\"jsonrpc\":\"2.0\",\"method\":\"job/list\"}\n".to_owned(),
        format!("[{},3,{}]\n", call("job/list", "{}").trim_end(), call("no", "{}").trim_end()),
    ];
    let mut seeds: Vec<Vec<u8>> = calls.iter().map(|call| call.as_bytes().to_vec()).collect();
    seeds.push(calls.concat().into_bytes());
    seeds
}
