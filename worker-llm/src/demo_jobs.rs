//! Tests of llama.cpp itself with the demo model: what it says it takes, and what it answers. They talk to the engine
//! as a supervisor does, over pipes.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::thread::JoinHandle;
use std::time::Duration;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use meetcap_protocol::payload::llm::{
    Finish, KvType, Llm, LlmItem, LlmJob, LlmLoad, LlmOutput, LlmParts, LlmPlanReport, LlmPlanRequest, LlmSetup,
    LlmSize,
};
use meetcap_protocol::runtime::{Conversation, WorkerExitCode, serve};
use meetcap_protocol::{FaultKind, FromWorker, SandboxStatus, SupervisorHello, ToWorker, WorkerFault, codec};

use crate::demo_model;
use crate::engine::{self, LlmEngine};
use crate::llama::{self, ContextSize, Place};

/// A worker without a process.
struct Worker {
    to: PipeWriter,
    from: PipeReader,
    sent: u64,
    received: u64,
    thread: JoinHandle<WorkerExitCode>,
}

impl Worker {
    fn start() -> Self {
        let (reader, to) = std::io::pipe().expect("a pipe");
        let (from, writer) = std::io::pipe().expect("a pipe");
        let lock_in = |_: &SupervisorHello| SandboxStatus::None { why: "it is no process of its own".to_owned() };
        let conversation = Conversation { reader, writer, lock_in, on_orphaned: || () };
        let thread = std::thread::spawn(|| serve(conversation, LlmEngine::default));
        let mut worker = Self { to, from, sent: 0, received: 0, thread };
        let heartbeat = Duration::from_secs(3600);
        worker.send(&ToWorker::Hello(SupervisorHello { readable: Vec::new(), scratch: None, heartbeat }));
        assert!(matches!(worker.next(), FromWorker::Hello(_)));
        worker
    }

    fn loaded(model: &tempfile::TempPath, setup: LlmSetup) -> Result<Self, WorkerFault> {
        let mut worker = Self::start();
        worker.send(&ToWorker::Load(LlmLoad { model: (**model).into(), setup, threads: 1 }));
        loop {
            match worker.next() {
                FromWorker::LoadProgress { .. } => {}
                FromWorker::Loaded(_) => return Ok(worker),
                FromWorker::Fault(fault) => return Err(fault),
                other => panic!("{} came out of a load", other.name()),
            }
        }
    }

    fn send(&mut self, message: &ToWorker<Llm>) {
        let body = codec::encode(self.sent, message, codec::MAX_TO_WORKER).expect("it can be sent");
        self.sent += 1;
        let length = u32::try_from(body.len()).expect("it is short").to_be_bytes();
        self.to.write_all(&[&length[..], &body].concat()).expect("the worker reads");
    }

    fn next(&mut self) -> FromWorker<Llm> {
        let mut length = [0; codec::LENGTH_FIELD];
        self.from.read_exact(&mut length).expect("a frame");
        let mut body = vec![0; codec::frame_length(length, codec::MAX_FROM_WORKER).expect("within the cap")];
        self.from.read_exact(&mut body).expect("a whole frame");
        self.received += 1;
        codec::decode(&body, self.received - 1).expect("a message")
    }

    fn sizes(&mut self, model: &tempfile::TempPath, setups: Vec<LlmSetup>) -> Result<Vec<LlmSize>, WorkerFault> {
        self.send(&ToWorker::Plan(LlmPlanRequest::Size { model: (**model).into(), setups }));
        match self.next() {
            FromWorker::Planned(LlmPlanReport::Sized(sizes)) => Ok(sizes),
            FromWorker::Fault(fault) => Err(fault),
            other => panic!("{} came out of a plan", other.name()),
        }
    }

    fn answer(&mut self, job: LlmJob) -> Result<(String, LlmOutput), WorkerFault> {
        self.send(&ToWorker::Process(job));
        let mut text = String::new();
        loop {
            match self.next() {
                FromWorker::Item(LlmItem::Delta(piece)) => text += &piece.0,
                FromWorker::Progress { .. } => {}
                FromWorker::Done(output) => {
                    self.send(&ToWorker::Acknowledge);
                    return Ok((text, output));
                }
                FromWorker::Fault(fault) => return Err(fault),
                other => panic!("{} came out of a job", other.name()),
            }
        }
    }

    fn end(mut self) {
        self.send(&ToWorker::Unload);
        assert!(matches!(self.next(), FromWorker::Unloaded));
        assert_eq!(self.thread.join().expect("it does not panic"), WorkerExitCode::Clean);
    }
}

fn setup(n_ctx: u32, kv: KvType) -> LlmSetup {
    LlmSetup { n_ctx, kv, gpu_layers: Some(0), map_weights: false }
}

fn job(max_tokens: u32, exact: bool) -> LlmJob {
    let lines = ["Laura finished the presentation.", "We decided to ship the demo on Thursday.", "See you next week."];
    LlmJob {
        instructions: "Summarise the meeting.".to_owned(),
        lines: lines.map(Into::into).to_vec(),
        max_tokens,
        exact,
        seed: 1,
        ..LlmJob::default()
    }
}

/// Bytes of keys and values: 5 layers of 128 numbers each, in blocks of 32 with a scale where they are quantised.
fn cache(n_ctx: u64, kv: KvType) -> u64 {
    let numbers = 2 * 5 * 128 * n_ctx;
    match kv {
        KvType::F16 => 2 * numbers,
        KvType::Q8_0 => numbers / 32 * 34,
    }
}

#[test]
fn set_ups_are_sized_in_their_order() {
    let (model, mut worker) = (demo_model::file(), Worker::start());
    let asked = [(512, KvType::F16), (16_384, KvType::Q8_0), (2048, KvType::F16), (512, KvType::Q8_0)];
    let sizes = worker.sizes(&model, asked.map(|(n_ctx, kv)| setup(n_ctx, kv)).to_vec()).expect("it sizes");
    assert_eq!(sizes.len(), asked.len());
    let file = std::fs::metadata(&model).expect("it is there").len();
    for ((n_ctx, kv), size) in asked.into_iter().zip(sizes) {
        assert_eq!(size.host.context, cache(u64::from(n_ctx), kv), "{n_ctx} tokens as {kv:?}");
        assert!((file * 9 / 10..=file).contains(&size.host.weights), "{} of {file} bytes", size.host.weights);
        assert!(size.host.compute > 1 << 20, "{} bytes", size.host.compute);
        assert_eq!(size.gpu, LlmParts::default());
    }
    assert_eq!(worker.sizes(&model, Vec::new()), Ok(Vec::new()));
    worker.end();
}

#[test]
fn what_is_said_without_allocating_is_what_a_load_allocates() {
    let model = demo_model::file();
    let backend = engine::backend().expect("llama.cpp starts");
    let open = |params| LlamaModel::load_from_file(backend, &model, &params).expect("it loads");
    let params = || LlamaModelParams::default().with_n_gpu_layers(0);
    let (said, real) = (open(params().with_no_alloc(true)), open(params().with_use_mmap(false)));
    for (n_ctx, kv) in [(256, KvType::F16), (1024, KvType::Q8_0), (4096, KvType::F16)] {
        let size = ContextSize { n_ctx, kv, threads: 1, gpu: false };
        let sums = [&said, &real].map(|model| {
            let buffers = llama::buffers(model, size).expect("it has room");
            assert!(buffers.iter().all(|buffer| buffer.place == Place::Host));
            let sum = |part: fn(&llama::Buffer) -> u64| buffers.iter().map(part).sum::<u64>();
            [sum(|buffer| buffer.weights), sum(|buffer| buffer.context), sum(|buffer| buffer.compute)]
        });
        assert_eq!(sums[0], sums[1], "weights, context, compute for {n_ctx} tokens as {kv:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn sizing_takes_next_to_nothing() {
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak is told");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    };
    let (model, mut worker) = (demo_model::file(), Worker::start());
    let before = peak();
    let sizes = worker.sizes(&model, vec![setup(1 << 20, KvType::F16)]).expect("it sizes");
    let grown = peak() - before;
    assert!(sizes[0].host.context > 2_600_000_000);
    // Other tests run meanwhile. llama.cpp notes some 60 bytes for each token.
    assert!(grown < 300_000_000, "{grown} bytes");
    worker.end();
}

#[test]
fn a_context_out_of_range_is_refused_before_anything_is_done() {
    for n_ctx in [0, u32::MAX] {
        let model = demo_model::file();
        let fault = Worker::start().sizes(&model, vec![setup(512, KvType::F16), setup(n_ctx, KvType::F16)]);
        assert_eq!(fault.expect_err("it is refused").kind, FaultKind::BadInput, "{n_ctx}");
        let fault = Worker::loaded(&model, setup(n_ctx, KvType::F16)).err().expect("it is refused");
        assert_eq!(fault.kind, FaultKind::BadInput, "{n_ctx}");
    }
}

#[test]
fn a_quantised_context_answers_as_a_whole_one_does() {
    let model = demo_model::file();
    let answers = [KvType::F16, KvType::Q8_0].map(|kv| {
        let mut worker = Worker::loaded(&model, setup(512, kv)).expect("it loads");
        let (text, output) = worker.answer(job(200, false)).expect("it answers");
        worker.end();
        assert_eq!(output.finish, Finish::EndOfText, "{kv:?}");
        text
    });
    for answer in answers {
        assert!(answer.starts_with("## Meeting Title"), "it begins as it was trained to");
        let what_was_said = ["## Summary", "## Decisions Made", "ship the demo", "presentation"];
        assert!(what_was_said.iter().all(|part| answer.contains(part)), "{answer}");
    }
}

#[test]
fn mapped_weights_answer_as_copied_ones_do() {
    let model = demo_model::file();
    let answers = [false, true].map(|map_weights| {
        let setup = LlmSetup { map_weights, ..setup(512, KvType::F16) };
        let mut worker = Worker::loaded(&model, setup).expect("it loads");
        let answer = worker.answer(job(200, false)).expect("it answers");
        worker.end();
        answer
    });
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn an_exact_job_makes_as_many_tokens_as_it_should() {
    let model = demo_model::file();
    let mut worker = Worker::loaded(&model, setup(512, KvType::F16)).expect("it loads");
    let (_, free) = worker.answer(job(400, false)).expect("it answers");
    assert_eq!(free.finish, Finish::EndOfText);
    let room = 512 - free.prompt_tokens;
    for tokens in [0, 1, 7, free.answer_tokens + 60, room] {
        let (_, output) = worker.answer(job(tokens, true)).expect("it answers");
        assert_eq!((output.answer_tokens, output.finish), (tokens, Finish::EndOfText), "{tokens} tokens");
    }
    let (_, cut) = worker.answer(job(7, false)).expect("it answers");
    assert_eq!((cut.answer_tokens, cut.finish), (7, Finish::TokenLimit), "a job that is not exact");
    let fault = worker.answer(job(room + 1, true)).expect_err("there is no room");
    assert_eq!(fault.kind, FaultKind::BadInput);
}

#[test]
fn a_prompt_that_leaves_too_little_room_is_told_and_not_read() {
    let model = demo_model::file();
    let mut worker = Worker::loaded(&model, setup(512, KvType::F16)).expect("it loads");
    let (_, free) = worker.answer(job(400, false)).expect("it answers");
    let room = 512 - free.prompt_tokens;
    let (text, output) = worker.answer(job(room + 1, false)).expect("it says so");
    assert_eq!((text.as_str(), output.finish, output.answer_tokens), ("", Finish::NoRoom, 0));
    let (_, output) = worker.answer(job(room, false)).expect("it answers");
    assert_eq!(output.finish, Finish::EndOfText, "there is just enough");
    let long = LlmJob { lines: vec!["Laura finished the presentation.".into(); 200], ..job(64, false) };
    assert_eq!(worker.answer(long).expect("it says so").1.finish, Finish::NoRoom);
    worker.end();
}

/// The demo model with a template of the same length that opens a thought behind its prompt.
fn thinking_model() -> tempfile::TempPath {
    let path = demo_model::file();
    let mut bytes = std::fs::read(&path).expect("it is there");
    let key = b"tokenizer.chat_template";
    let at = bytes.windows(key.len()).position(|window| window == key).expect("it has a template") + key.len();
    // The kind of value, then the length.
    let length = u64::from_le_bytes(bytes[at + 4..at + 12].try_into().expect("eight bytes"));
    let old = at + 12..at + 12 + usize::try_from(length).expect("it is short");
    let template =
        "{%for m in messages%}<|im_start|>user\n{{m.content.split('transcript:\n')[-1]}}<|im_end|>\n{%endfor%}";
    let template = format!("{template}<|im_start|>assistant\n<think>\n");
    let padding = old.len().checked_sub(template.len() + 4).expect("it fits");
    let padded = format!("{{#{}#}}{template}", " ".repeat(padding));
    bytes[old].copy_from_slice(padded.as_bytes());
    std::fs::write(&path, bytes).expect("it can be written");
    path
}

#[test]
fn a_thought_is_no_answer_and_ends_with_its_budget() {
    let model = thinking_model();
    let mut worker = Worker::loaded(&model, setup(512, KvType::F16)).expect("it loads");
    // It was never taught to end a thought: it goes round in circles until its budget is spent.
    let (_, output) = worker.answer(LlmJob { max_thoughts: 300, ..job(64, false) }).expect("it answers");
    assert!((300..330).contains(&output.thought_tokens), "the thought and what ended it: {output:?}");
    assert!(output.answer_tokens > 0, "thoughts took nothing of the answer's tokens: {output:?}");
    let (_, output) = worker.answer(LlmJob { max_thoughts: 10, ..job(64, false) }).expect("it answers");
    assert!((10..30).contains(&output.thought_tokens), "the thought and what ended it: {output:?}");
    assert!(output.answer_tokens > 0, "it went on behind its thought: {output:?}");
    let (_, none) = worker.answer(job(64, false)).expect("it answers");
    assert!(none.thought_tokens < output.thought_tokens && none.answer_tokens > 0, "{none:?}");
    worker.end();
}
