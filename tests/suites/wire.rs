//! The wire's promises: bytes that never change by accident, and refusals of everything that is not exactly right.
//!
//! `golden/*.txt` hold one message a line: direction, name, frame in hexadecimal. A new variant fails here until
//! its line is there; `MEETCAP_BLESS=1` writes the files anew, and the difference is for the reviewer.

use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::time::Duration;

use meetcap_protocol::codec::{self, CodecError, Envelope};
use meetcap_protocol::endpoint::Token;
use meetcap_protocol::file::FileTime;
use meetcap_protocol::payload::llm::{
    Finish, KvType, Llm, LlmCount, LlmItem, LlmJob, LlmLoad, LlmOutput, LlmParts, LlmPlanReport, LlmPlanRequest,
    LlmSetup, LlmSize, Subject,
};
use meetcap_protocol::payload::stt::{AudioInfo, DropReason, Segment, Stt, SttItem, SttJob, SttLoad, SttOutput, Word};
use meetcap_protocol::preamble::{Preamble, PreambleReply, Refusal};
use meetcap_protocol::version::{BuildVersion, Older, ProtocolVersion};
use meetcap_protocol::{
    FaultKind, FileIdentity, FromWorker, LoadReport, ModelFile, Role, SandboxStatus, SupervisorHello, ToWorker, Wire,
    WirePath, WorkerFault, WorkerHello, WorkerKind,
};
use meetcap_tests::frames::{Frames, frame};
use meetcap_tests::rng::Rng;
use proptest::prelude::*;

fn wire_path(path: &str) -> WirePath {
    WirePath::from(Path::new(path))
}

fn model(path: &str) -> ModelFile {
    let time = |seconds| FileTime { seconds, nanoseconds: 500_000_000 };
    let (modified, changed) = (time(-7), time(1_700_000_000));
    let checked = Some(FileIdentity { device: 64_769, inode: 131_074, size: 1 << 33, modified, changed });
    ModelFile { path: wire_path(path), checked }
}

fn to_worker<R: Role>(plans: Vec<R::PlanRequest>, load: R::Load, job: R::Job) -> Vec<(&'static str, ToWorker<R>)> {
    let hello = SupervisorHello {
        readable: vec![wire_path("/models/ü.bin"), wire_path("/audio/a b.wav")],
        scratch: Some(wire_path("/scratch")),
        heartbeat: Duration::from_millis(1500),
    };
    let mut messages = vec![ToWorker::Hello(hello)];
    messages.extend(plans.into_iter().map(ToWorker::Plan));
    messages.extend([
        ToWorker::Load(load),
        ToWorker::Process(job),
        ToWorker::Committed { unit: 0x0102_0304_0506_0708 },
        ToWorker::Acknowledge,
        ToWorker::Cancel,
        ToWorker::Unload,
        ToWorker::Probe,
    ]);
    // A new variant stops the build here; then it also belongs into the list above.
    let name = |message: &ToWorker<R>| match message {
        ToWorker::Hello(_) => "Hello",
        ToWorker::Plan(_) => "Plan",
        ToWorker::Load(_) => "Load",
        ToWorker::Process(_) => "Process",
        ToWorker::Committed { .. } => "Committed",
        ToWorker::Acknowledge => "Acknowledge",
        ToWorker::Cancel => "Cancel",
        ToWorker::Unload => "Unload",
        ToWorker::Probe => "Probe",
    };
    messages.into_iter().map(|message| (name(&message), message)).collect()
}

fn from_worker<R: Role>(
    reports: Vec<R::PlanReport>,
    items: Vec<R::Item>,
    outputs: Vec<R::Output>,
) -> Vec<(&'static str, FromWorker<R>)> {
    let build = BuildVersion { major: 1, minor: 2, patch: 3 };
    let hello = |sandbox| FromWorker::Hello(WorkerHello { build, pid: 77, sandbox });
    let mut messages = vec![
        hello(SandboxStatus::Full),
        hello(SandboxStatus::Partial { why: "no network rules".to_owned() }),
        hello(SandboxStatus::None { why: "not built".to_owned() }),
        FromWorker::Heartbeat,
        FromWorker::LoadProgress { fraction: 0.25 },
        FromWorker::Loaded(LoadReport { engine: "whisper.cpp".to_owned(), device: "cpu".to_owned() }),
        FromWorker::UnitStarted { unit: 9, start: 243.0, end: 270.0 },
        FromWorker::Progress { done: 12.5, total: Some(60.0) },
        FromWorker::Progress { done: 12.5, total: None },
        FromWorker::UnitDone { unit: 9 },
        FromWorker::Unloaded,
    ];
    messages.extend(reports.into_iter().map(FromWorker::Planned));
    messages.extend(items.into_iter().map(FromWorker::Item));
    messages.extend(outputs.into_iter().map(FromWorker::Done));
    let kinds = [
        FaultKind::ModelMissing,
        FaultKind::ModelInvalid,
        FaultKind::AllocationFailed,
        FaultKind::BadInput,
        FaultKind::Cancelled,
        FaultKind::Engine { code: -7 },
        FaultKind::Panic,
    ];
    messages.extend(kinds.map(|kind| FromWorker::Fault(WorkerFault::new(kind, "the remedy"))));
    messages.push(FromWorker::Probed(SandboxStatus::Full));
    let messages: Vec<_> = messages.into_iter().map(|message| (message.name(), message)).collect();
    // As many names as there are variants. A new one stops the build here.
    let number = |message: &FromWorker<R>| match message {
        FromWorker::Hello(_) => 0,
        FromWorker::Heartbeat => 1,
        FromWorker::Planned(_) => 2,
        FromWorker::LoadProgress { .. } => 3,
        FromWorker::Loaded(_) => 4,
        FromWorker::UnitStarted { .. } => 5,
        FromWorker::Progress { .. } => 6,
        FromWorker::Item(_) => 7,
        FromWorker::UnitDone { .. } => 8,
        FromWorker::Done(_) => 9,
        FromWorker::Fault(_) => 10,
        FromWorker::Unloaded => 11,
        FromWorker::Probed(_) => 12,
    };
    assert!((0..=12).all(|wanted| messages.iter().any(|(_, message)| number(message) == wanted)));
    messages
}

type ToStt = Vec<(&'static str, ToWorker<Stt>)>;
type FromStt = Vec<(&'static str, FromWorker<Stt>)>;
type ToLlm = Vec<(&'static str, ToWorker<Llm>)>;
type FromLlm = Vec<(&'static str, FromWorker<Llm>)>;

fn stt() -> (ToStt, FromStt) {
    let vad = Some(Path::new("/models/vad.bin").into());
    let load = SttLoad { model: model("/models/ü.bin"), threads: 4, gpu: true, vad };
    let job = SttJob {
        language: Some("en".to_owned()),
        translate: true,
        prompt: Some("Zoë Müller, backlog".into()),
        beam: Some(5),
        words: true,
        first_unit: 3,
        windows: NonZeroU8::new(2),
        ..SttJob::new(wire_path("/audio/a b.wav"))
    };
    let segment = Segment {
        confidence: Some(0.5),
        suspect: true,
        words: vec![Word { start: 1.5, end: 2.0, text: "Grüße,".into(), confidence: Some(0.25) }],
        ..Segment::new(1.5, 2.75, "Grüße, all.")
    };
    let items = vec![
        SttItem::Audio(AudioInfo { sample_rate: 44_100, channels: 2, duration: Some(61.5) }),
        SttItem::Segment(segment),
        SttItem::Dropped { start: 3.0, end: 4.0, reason: DropReason::NoText },
        SttItem::Damaged { at: 5.0, detail: "bad frame".to_owned() },
    ];
    let output = SttOutput { sample_rate: 44_100, duration: 61.5, language: "en".to_owned(), units: 3 };
    (to_worker(vec![()], load, job), from_worker(vec![()], items, vec![output]))
}

fn llm() -> (ToLlm, FromLlm) {
    let (instructions, lines) = ("Summarise.".to_owned(), vec!["One.".into(), "Two.".into()]);
    let model = model("/models/a.gguf");
    let notes = vec!["A note.".into()];
    let plan = LlmPlanRequest::Count {
        model: model.clone(),
        instructions: instructions.clone(),
        notes: notes.clone(),
        lines: lines.clone(),
    };
    let setup = LlmSetup { n_ctx: 4096, kv: KvType::Q8_0, gpu_layers: Some(33), map_weights: false };
    let size = LlmPlanRequest::Size { model: model.clone(), setups: vec![setup] };
    let load = LlmLoad { model, setup, threads: 4 };
    let job = LlmJob {
        instructions,
        notes,
        subject: Subject::Parts,
        lines,
        max_tokens: 512,
        max_thoughts: 256,
        exact: false,
        seed: 42,
        temperature: 0.25,
    };
    let report = LlmPlanReport::Counted(LlmCount {
        trained_context: 512,
        instructed: true,
        thinks: true,
        overhead: 20,
        notes: vec![5],
        lines: vec![3, 4],
    });
    let host = LlmParts { weights: 1 << 30, context: 2 << 20, compute: 3 << 20 };
    let sized = LlmPlanReport::Sized(vec![LlmSize { host, gpu: LlmParts::default() }]);
    let output = |finish| LlmOutput { finish, prompt_tokens: 27, thought_tokens: 9, answer_tokens: 100 };
    let outputs = vec![output(Finish::EndOfText), output(Finish::TokenLimit), output(Finish::NoRoom)];
    (
        to_worker(vec![plan, size], load, job),
        from_worker(vec![report, sized], vec![LlmItem::Delta("A pièce".into())], outputs),
    )
}

fn golden_file(role: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/golden").join(format!("{role}.txt"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hexadecimal")).collect()
}

/// Lines for one direction; the place in the list is the sequence number.
fn golden_lines<M: Wire>(direction: &str, messages: &[(&'static str, M)]) -> Vec<String> {
    let line = |(seq, (name, message)): (usize, &(&str, M))| {
        format!("{direction} {name} {}", hex(&frame(seq as u64, message)))
    };
    messages.iter().enumerate().map(line).collect()
}

/// What the file says is what the messages are, and the other way round.
fn assert_reads_back<M: Wire>(lines: &[&str], direction: &str, messages: &[(&'static str, M)])
where
    Envelope<M>: serde::de::DeserializeOwned,
{
    let bytes: Vec<u8> = lines
        .iter()
        .filter_map(|line| line.strip_prefix(direction)?.rsplit_once(' '))
        .flat_map(|(_, frame)| unhex(frame))
        .collect();
    let mut frames = Frames::new(bytes.as_slice(), Vec::new());
    for (name, message) in messages {
        assert_eq!(frames.receive::<M>().expect(name).expect(name), *message);
    }
    assert!(frames.receive::<M>().expect("a clean end").is_none());
}

fn golden<T: Role>(role: &str, to: &[(&'static str, ToWorker<T>)], from: &[(&'static str, FromWorker<T>)]) {
    let now = [golden_lines("to", to), golden_lines("from", from)].concat();
    let file = golden_file(role);
    if std::env::var_os("MEETCAP_BLESS").is_some() {
        std::fs::write(&file, now.join("\n") + "\n").expect("the golden file can be written");
    }
    let text = std::fs::read_to_string(&file).expect("the golden file is there");
    let kept: Vec<&str> = text.lines().collect();
    for (now, kept) in now.iter().zip(&kept) {
        assert_eq!(now, kept, "the wire changed: raise the protocol's version");
    }
    assert_eq!(now.len(), kept.len(), "a message came or went");
    assert_reads_back(&kept, "to", to);
    assert_reads_back(&kept, "from", from);
}

#[test]
fn every_message_of_the_speech_role_has_the_bytes_it_always_had() {
    let (to, from) = stt();
    golden("stt", &to, &from);
}

#[test]
fn every_message_of_the_summary_role_has_the_bytes_it_always_had() {
    let (to, from) = llm();
    golden("llm", &to, &from);
}

fn token() -> Token {
    Token::new(std::array::from_fn(|i| 0xA0 + u8::try_from(i).expect("32 bytes")))
}

fn preamble(version: ProtocolVersion) -> [u8; Preamble::LEN] {
    Preamble { version, kind: WorkerKind::Stt, token: token() }.to_bytes()
}

const PREAMBLE: &str = "6d65657463617057010000000101000\
    0a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf";
const ACCEPTED: &str = "6d656574636170530600000000000000";

#[test]
fn the_preamble_is_frozen() {
    assert_eq!(hex(&preamble(ProtocolVersion::FIRST)), PREAMBLE);
    assert_eq!(hex(&PreambleReply::answering(&Ok(())).to_bytes()), ACCEPTED);
    let llm = Preamble { version: ProtocolVersion::FIRST, kind: WorkerKind::Llm, token: token() };
    assert_eq!(llm.to_bytes()[12], 2);
}

fn refusal_of(change: impl Fn(&mut [u8; Preamble::LEN])) -> Refusal {
    let mut bytes = preamble(ProtocolVersion::CURRENT);
    assert_eq!(Preamble::check(&bytes, WorkerKind::Stt, &token()), Ok(()));
    change(&mut bytes);
    Preamble::check(&bytes, WorkerKind::Stt, &token()).expect_err("a refusal")
}

#[test]
fn a_preamble_that_is_wrong_anywhere_is_refused_by_name() {
    for at in 0..8 {
        assert_eq!(refusal_of(|bytes| bytes[at] ^= 1), Refusal::NotAWorker, "magic, byte {at}");
    }
    for at in 16..48 {
        assert_eq!(refusal_of(|bytes| bytes[at] ^= 0x80), Refusal::WrongToken, "token, byte {at}");
    }
    assert_eq!(refusal_of(|bytes| bytes[12] = 2), Refusal::WrongKind { wanted: WorkerKind::Stt });
    assert_eq!(refusal_of(|bytes| bytes[12] = 0), Refusal::WrongKind { wanted: WorkerKind::Stt });
    assert_eq!(refusal_of(|bytes| bytes[13] = 9), Refusal::UnknownCodec { codec: 9 });
}

#[test]
fn a_stranger_without_the_token_learns_no_version() {
    let refusal = refusal_of(|bytes| {
        bytes[8] ^= 0xFF;
        bytes[47] ^= 1;
    });
    assert_eq!(refusal, Refusal::WrongToken);
}

#[test]
fn a_version_that_differs_says_which_side_is_older_to_both() {
    let ours = ProtocolVersion::CURRENT.to_wire();
    for (theirs, older) in [(ours + 1, Older::Supervisor), (ours - 1, Older::Worker)] {
        let refusal = refusal_of(|bytes| bytes[8..12].copy_from_slice(&theirs.to_le_bytes()));
        let worker = ProtocolVersion::from_wire(theirs);
        assert_eq!(refusal, Refusal::VersionMismatch { supervisor: ProtocolVersion::CURRENT, worker, older });
        assert!(refusal.to_string().contains(match older {
            Older::Supervisor => "the supervisor is older",
            Older::Worker => "the worker is older",
        }));
    }
    // The worker's side: the answer of a supervisor of another age.
    let mut reply = PreambleReply::answering(&Ok(())).to_bytes();
    assert_eq!(PreambleReply::check(&reply, WorkerKind::Stt), Ok(()));
    for (theirs, older) in [(ours + 1, Older::Worker), (ours - 1, Older::Supervisor)] {
        for verdict in [0, 3, 200] {
            reply[8..12].copy_from_slice(&theirs.to_le_bytes());
            reply[12] = verdict;
            let supervisor = ProtocolVersion::from_wire(theirs);
            let refusal = Refusal::VersionMismatch { supervisor, worker: ProtocolVersion::CURRENT, older };
            assert_eq!(PreambleReply::check(&reply, WorkerKind::Stt), Err(refusal));
        }
    }
}

#[test]
fn every_refusal_reaches_the_worker_as_it_was_meant() {
    for refusal in [
        Refusal::NotAWorker,
        Refusal::WrongToken,
        Refusal::WrongKind { wanted: WorkerKind::Llm },
        Refusal::UnknownCodec { codec: 1 },
    ] {
        let reply = PreambleReply::answering(&Err(refusal)).to_bytes();
        assert_eq!(PreambleReply::check(&reply, WorkerKind::Llm), Err(refusal));
    }
    assert_eq!(PreambleReply::check(&[0; 16], WorkerKind::Stt), Err(Refusal::NotAWorker));
}

#[test]
fn a_length_over_the_cap_is_refused_before_anything_is_allocated() {
    for cap in [codec::MAX_TO_WORKER, codec::MAX_FROM_WORKER] {
        let len = u32::try_from(cap).expect("a cap");
        assert_eq!(codec::frame_length(len.to_be_bytes(), cap).expect("the cap itself"), cap);
        for len in [len + 1, u32::MAX] {
            let refused = codec::frame_length(len.to_be_bytes(), cap);
            assert!(matches!(refused, Err(CodecError::FrameTooLong { .. })));
        }
    }
}

#[test]
fn a_text_that_claims_to_be_longer_than_the_frame_is_refused_at_once() {
    // An item with a text of 2^63 bytes: only an allocation could make this slow or fatal.
    let mut body = codec::encode(0, &FromWorker::<Llm>::Item(LlmItem::Delta("x".into())), 1024).expect("encoded");
    let at = body.len() - 9;
    body[at..at + 8].copy_from_slice(&(1_u64 << 63).to_le_bytes());
    assert!(matches!(codec::decode::<FromWorker<Llm>>(&body, 0), Err(CodecError::Malformed { .. })));
}

#[test]
fn a_message_over_the_cap_is_not_sent() {
    let long = FromWorker::<Llm>::Item(LlmItem::Delta("x".repeat(codec::MAX_FROM_WORKER).into()));
    let refused = codec::encode(0, &long, codec::MAX_FROM_WORKER);
    assert!(matches!(refused, Err(CodecError::FrameTooLong { .. })));
}

#[test]
fn bytes_behind_a_message_are_refused() {
    for (name, message) in stt().1 {
        let mut body = codec::encode(5, &message, codec::MAX_FROM_WORKER).expect(name);
        body.push(0);
        let refused = codec::decode::<FromWorker<Stt>>(&body, 5);
        assert!(matches!(refused, Err(CodecError::TrailingBytes { extra: 1 })), "{name}: {refused:?}");
    }
}

#[test]
fn a_message_cut_anywhere_is_refused() {
    for (name, message) in llm().0 {
        let body = codec::encode(5, &message, codec::MAX_TO_WORKER).expect(name);
        for end in 0..body.len() {
            assert!(codec::decode::<ToWorker<Llm>>(&body[..end], 5).is_err(), "{name}, {end} bytes");
        }
    }
}

#[test]
fn a_number_out_of_order_is_refused_whether_skipped_or_repeated() {
    let body = codec::encode(7, &FromWorker::<Stt>::Heartbeat, 64).expect("encoded");
    for expected in [6, 8] {
        let refused = codec::decode::<FromWorker<Stt>>(&body, expected);
        assert!(matches!(refused, Err(CodecError::OutOfOrder { found: 7, .. })), "{refused:?}");
    }
}

#[test]
fn what_was_spoken_shows_in_no_debug_output_and_in_no_error() {
    let message = FromWorker::<Llm>::Item(LlmItem::Delta("Zanzibar".into()));
    assert!(!format!("{message:?}").contains("Zanzibar"));
    let mut body = codec::encode(0, &message, 1024).expect("encoded");
    let end = body.len();
    body[end - 1] = 0xFF;
    let error = codec::decode::<FromWorker<Llm>>(&body, 0).expect_err("no text");
    assert!(!format!("{error} {error:?}").contains("anzib"), "{error:?}");
}

fn decode_everything(body: &[u8], seq: u64) {
    let _ = codec::decode::<ToWorker<Stt>>(body, seq);
    let _ = codec::decode::<ToWorker<Llm>>(body, seq);
    let _ = codec::decode::<FromWorker<Stt>>(body, seq);
    let _ = codec::decode::<FromWorker<Llm>>(body, seq);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn random_bytes_never_panic_the_decoder(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        decode_everything(&body, 0);
    }

    #[test]
    fn random_text_survives_the_wire(text in ".*", start in any::<f64>().prop_filter("a time", |t| !t.is_nan())) {
        let segment = Segment::new(start, start, text);
        let message = FromWorker::<Stt>::Item(SttItem::Segment(segment));
        let body = codec::encode(3, &message, codec::MAX_FROM_WORKER).expect("encoded");
        prop_assert_eq!(codec::decode::<FromWorker<Stt>>(&body, 3).expect("decoded"), message);
    }
}

fn flip(rng: &mut Rng, body: &[u8]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    for _ in 0..rng.between(1, 4) {
        let at = rng.below(bytes.len());
        bytes[at] = rng.draw().to_le_bytes()[0];
    }
    bytes
}

#[test]
fn damaged_messages_never_panic_the_decoder() {
    let mut rng = Rng::fresh("damaged messages");
    for (_, message) in llm().1 {
        let body = codec::encode(0, &message, codec::MAX_FROM_WORKER).expect("encoded");
        (0..2000).for_each(|_| decode_everything(&flip(&mut rng, &body), 0));
    }
    for (_, message) in stt().0 {
        let body = codec::encode(0, &message, codec::MAX_TO_WORKER).expect("encoded");
        (0..2000).for_each(|_| decode_everything(&flip(&mut rng, &body), 0));
    }
}
