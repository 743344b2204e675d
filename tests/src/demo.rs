//! Real workers with the bundled tiny models, on a meeting that is spoken once for all tests of a suite.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::meeting::{self, Sentence};
use crate::rng::Rng;
use crate::room::Room;
use crate::run::Invocation;
use crate::speech::speak;
use crate::wer::WordErrors;

/// One meeting, spoken once for all tests.
#[derive(Debug)]
pub struct Meeting {
    /// The recording, a WAV file.
    pub wav: Vec<u8>,
    pub sentences: Vec<Sentence>,
}

/// The meeting.
///
/// # Panics
/// When the speech cannot be made.
pub fn spoken() -> &'static Meeting {
    static MEETING: OnceLock<Meeting> = OnceLock::new();
    MEETING.get_or_init(|| {
        let room = Room::new();
        let mut rng = Rng::fresh("the meeting of this suite");
        let sentences = meeting::meeting(&mut rng, 7);
        speak(&sentences, &mut rng, &room.path("meeting.wav"));
        let wav = std::fs::read(room.path("meeting.wav")).expect("it was just written");
        Meeting { wav, sentences }
    })
}

/// A room with the meeting in it, under this name.
///
/// # Panics
/// When it cannot be copied.
pub fn room_with(name: &str) -> Room {
    let room = Room::new();
    room.file(name, &spoken().wav);
    room
}

/// `run` with both bundled models.
pub fn demo(room: &Room) -> Invocation {
    run(room).args(["--stt", "demo", "--llm", "demo"])
}

/// `run` on one thread: two would wait for each other on a busy machine.
pub fn run(room: &Room) -> Invocation {
    room.supervisor().within(Duration::from_secs(120)).args(["run", "--threads", "1"])
}

/// # Panics
/// When the file is no JSON.
pub fn json_of(room: &Room, name: &str) -> Value {
    serde_json::from_str(&room.text(name)).expect("JSON")
}

/// # Panics
/// When more than 2 % of the words of the meeting are wrong.
pub fn assert_heard(text: &str, file: &str) {
    let said = meeting::text(&spoken().sentences);
    let errors = WordErrors::between(&said, text);
    assert!(errors.percent() <= 2.0, "{file}: {errors:?}\nsaid:  {said}\nheard: {text}");
}

/// All headings of a summary, in their order.
pub const HEADINGS: [&str; 10] = [
    "# Meeting Summary",
    "## Meeting Title",
    "## Summary",
    "## Participants",
    "## Key Discussion Points",
    "## Decisions Made",
    "## Action Items",
    "## Notable Quotes",
    "## Meeting Tone",
    "## Full Transcript",
];

/// The lines under a heading.
pub fn section<'a>(markdown: &'a str, heading: &str) -> Vec<&'a str> {
    let start = format!("## {heading}");
    let lines = markdown.lines().skip_while(|line| *line != start).skip(1);
    lines.take_while(|line| !line.starts_with("## ") && *line != "---").filter(|line| !line.is_empty()).collect()
}

/// Where the bundled models are, learnt from the ledger of a run.
///
/// # Panics
/// When that run fails.
pub fn demo_models() -> &'static (PathBuf, PathBuf) {
    // The room stays: the models are in its cache.
    static MODELS: OnceLock<((PathBuf, PathBuf), Room)> = OnceLock::new();
    let (models, _) = MODELS.get_or_init(|| {
        let room = room_with("talk.wav");
        let _ = demo(&room).arg("talk.wav").run().expect_code(0);
        let ledger = json_of(&room, "talk.run.json");
        let path = |phase: usize| PathBuf::from(ledger["phases"][phase]["model_path"].as_str().expect("a path"));
        ((path(0), path(1)), room)
    });
    models
}
