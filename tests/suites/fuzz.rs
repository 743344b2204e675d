//! Readers of what strangers write, fed with damaged inputs: each for `MEETCAP_FUZZ_SECONDS`, four when nobody says.
//! `cargo xtask fuzz` feeds the same readers for longer, guided by coverage.
//!
//! Then the worst that is known for a reader's memory, made on purpose: chance does not make a full frame.

use meetcap_fuzz_targets::drive::survives;
use meetcap_fuzz_targets::{ALL, meter, named};
use meetcap_protocol::codec::{self, CodecError, Envelope, MAX_FROM_WORKER};
use meetcap_protocol::payload::llm::{Llm, LlmCount, LlmItem, LlmPlanReport, LlmSize};
use meetcap_protocol::payload::stt::{Segment, Stt, SttItem, Word};
use meetcap_protocol::{FromWorker, LoadReport, Wire};
use serde::de::DeserializeOwned;

fn fed(name: &str) {
    survives(&named(name).unwrap_or_else(|| panic!("there is no target {name}")));
}

#[test]
fn frames_of_any_bytes_are_taken_or_refused() {
    fed("frames");
}

#[test]
fn first_bytes_of_a_connection_are_taken_or_refused() {
    fed("preamble");
}

#[test]
fn summary_models_of_any_head_are_weighed_or_refused() {
    fed("gguf");
}

#[test]
fn speech_models_of_any_head_are_weighed_or_refused() {
    fed("whisper");
}

#[test]
fn voice_detectors_of_any_bytes_are_taken_or_refused() {
    fed("silero");
}

#[test]
fn journals_of_any_content_are_continued_or_started_over() {
    fed("journal");
}

#[test]
fn configurations_of_any_text_hold_or_are_refused() {
    fed("configuration");
}

#[test]
fn clients_that_say_anything_are_answered() {
    fed("rpc");
}

#[test]
fn transcripts_from_anywhere_are_written_in_every_format() {
    fed("transcript");
}

#[test]
fn accounts_from_anywhere_are_shown() {
    fed("ledger");
}

#[test]
fn answers_of_any_text_make_a_summary_under_its_headings() {
    fed("answers");
}

#[test]
fn every_target_is_fed_here_and_has_a_program_for_coverage() {
    let here = include_str!("fuzz.rs");
    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");
    let manifest = std::fs::read_to_string(format!("{project}/Cargo.toml")).expect("the project is there");
    for name in ALL.map(|target| target.name) {
        assert!(here.contains(&format!("fed(\"{name}\");")), "{name} is not fed here");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "tests/fuzz has no program {name}");
        let program =
            std::fs::read_to_string(format!("{project}/fuzz_targets/{name}.rs")).expect("its source is there");
        assert!(program.contains(&format!("named(\"{name}\")")), "{program}");
    }
}

/// Bytes that decoding a body takes, and whether it is a message.
fn taken<M: Wire>(body: &[u8]) -> (usize, bool)
where
    Envelope<M>: DeserializeOwned,
{
    let (peak, decoded) = meter::peak(|| codec::decode::<M>(body, 0));
    (peak, decoded.is_ok())
}

/// What a worker's frame may cost beside its own bytes.
const PROMISED: usize = MAX_FROM_WORKER + (64 << 10);

#[test]
fn the_fullest_frames_of_a_worker_cost_no_more_than_the_cap() {
    let item = |words| FromWorker::<Stt>::Item(SttItem::Segment(Segment { words, ..Segment::new(0.0, 1.0, "") }));
    let word = || Word { start: 0.0, end: 1.0, text: "".into(), confidence: None };
    let long = || Word { text: "x".repeat(900).into(), ..word() };
    let counted = |notes, lines| {
        let (notes, lines) = (vec![1; notes], vec![1; lines]);
        FromWorker::<Llm>::Planned(LlmPlanReport::Counted(LlmCount { notes, lines, ..LlmCount::default() }))
    };
    let sized = |count| FromWorker::<Llm>::Planned(LlmPlanReport::Sized(vec![LlmSize::default(); count]));
    let text = FromWorker::<Llm>::Item(LlmItem::Delta("x".repeat(MAX_FROM_WORKER - 24).into()));
    let mut taken_whole = 0;
    let mut check = |what: &str, (peak, is_message): (usize, bool)| {
        println!("{what}: {peak} bytes, {}", if is_message { "taken" } else { "refused" });
        assert!(peak <= PROMISED, "{what}: {peak} bytes, and {PROMISED} were promised");
        taken_whole += usize::from(is_message);
    };
    let of_stt = |message: &FromWorker<Stt>| taken::<FromWorker<Stt>>(&body(message));
    let of_llm = |message: &FromWorker<Llm>| taken::<FromWorker<Llm>>(&body(message));
    check("a text", of_llm(&text));
    check("1,000 long words", of_stt(&item(vec![long(); 1000])));
    check("40,000 empty words", of_stt(&item(vec![word(); 40_000])));
    check("lines of a day", of_llm(&counted(0, 190_000)));
    check("lines and notes", of_llm(&counted(60_000, 190_000)));
    check("more lines than there can be", of_llm(&counted(0, 260_000)));
    check("1,000 set-ups", of_llm(&sized(1000)));
    check("20,000 set-ups", of_llm(&sized(20_000)));
    assert_eq!(taken_whole, 5, "what is no more than there can be is taken");
}

fn body<M: Wire>(message: &M) -> Vec<u8> {
    codec::encode(0, message, MAX_FROM_WORKER).expect("it fits into a frame")
}

#[test]
fn a_short_frame_that_claims_much_costs_little() {
    // The length of the last text or list is made a lie; what it holds is not there.
    let load = FromWorker::<Llm>::Loaded(LoadReport { engine: "llama.cpp".to_owned(), device: String::new() });
    let counted = FromWorker::<Llm>::Planned(LlmPlanReport::Counted(LlmCount::default()));
    let segment = FromWorker::<Stt>::Item(SttItem::Segment(Segment::new(0.0, 1.0, "")));
    for lie in [1 << 10, 1 << 16, 1 << 20, 1 << 23, 1 << 24, 1 << 32, 1 << 63, u64::MAX] {
        for (what, (peak, is_message)) in [
            ("a text", taken::<FromWorker<Llm>>(&ending_in(body(&load), lie))),
            ("a list of numbers", taken::<FromWorker<Llm>>(&ending_in(body(&counted), lie))),
            ("a list of words", taken::<FromWorker<Stt>>(&ending_in(body(&segment), lie))),
        ] {
            assert!(!is_message, "{what} of {lie} was read");
            assert!(peak <= PROMISED, "{what} of {lie} took {peak} bytes");
        }
    }
    let refused = codec::decode::<FromWorker<Llm>>(&ending_in(body(&load), 1 << 24), 0);
    assert!(matches!(refused, Err(CodecError::Malformed { .. })), "{refused:?}");
}

/// With another number at the end.
fn ending_in(mut body: Vec<u8>, number: u64) -> Vec<u8> {
    let end = body.len() - 8;
    body[end..].copy_from_slice(&number.to_le_bytes());
    body
}
