//! Files from strangers: hundreds of damaged models and recordings, each given to the real program. Every one ends in a
//! refusal that names it, or in work done where the damage does no harm; the supervisor, the folders around it and the
//! process table are as they were.
//!
//! What is refused by name, and what formats are heard, is in `refusals` and `formats`; this is about no file getting
//! further than it may, whatever is in it. The seed is printed, and `MEETCAP_TEST_SEED` repeats a run.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use meetcap_supervisor::event::EventSink;
use meetcap_supervisor::models::shape::inspect;
use meetcap_supervisor::service::{ModelService, SttService};
use meetcap_supervisor::{ExitCode, Model, Stop, Supervisor, WorkerPrograms};
use meetcap_tests::bins;
use meetcap_tests::demo::{demo_models, run, spoken};
use meetcap_tests::hostile::{Damage, gguf, whisper};
use meetcap_tests::rng::Rng;
use meetcap_tests::room::{Room, names};
use meetcap_tests::run::{Finished, Invocation, of_kind};
use meetcap_tests::shapes::silero::{self, Hears};
use meetcap_tests::speech::convert;
use meetcap_tests::wav::Mono;

/// A refusal takes milliseconds; a run with a model of nonsense some seconds.
const LIMIT: Duration = Duration::from_secs(60);
const DONE: i32 = 0;
const BAD_AUDIO: i32 = 3;
const BAD_MODEL: i32 = 4;
const WORKER: i32 = 6;
/// What a decoder may have, in bytes.
const DECODER: u64 = 256 << 20;

/// A second of speech: as little as is heard at all.
fn second() -> Vec<u8> {
    let Mono { rate, mut samples } = Mono::from_bytes(&spoken().wav);
    samples.truncate(rate as usize);
    Mono { rate, samples }.to_bytes()
}

/// A folder to read from, and one to write to.
struct Bench {
    room: Room,
}

impl Bench {
    fn new() -> Self {
        let room = Room::new();
        for folder in ["in", "out"] {
            std::fs::create_dir(room.path(folder)).expect("a folder");
        }
        room.file("in/talk.wav", second());
        Self { room }
    }

    /// What must not change: every file that is not an output, with its length and time.
    fn surroundings(&self) -> BTreeMap<String, (u64, SystemTime)> {
        let here = names(self.room.folder()).into_iter().filter(|name| name != "in" && name != "out");
        let inside = names(&self.room.path("in")).into_iter().map(|name| format!("in/{name}"));
        let known = |name: String| {
            let metadata = std::fs::metadata(self.room.path(&name)).expect("it is there");
            (name, (metadata.len(), metadata.modified().expect("a time")))
        };
        here.chain(inside).map(known).collect()
    }

    /// Runs it and holds the end to what everyone may expect of it. No worker is left, or this fails.
    fn run(&self, what: &str, command: Invocation, codes: &[i32]) -> Finished {
        let before = self.surroundings();
        let finished = command.args(["-o", "out", "--events", "jsonl"]).within(LIMIT).run();
        let expected = finished.code.is_some_and(|code| codes.contains(&code)) || is_useless(&finished);
        assert!(expected, "{what}: {finished:#?}");
        assert_eq!(self.surroundings(), before, "{what} changed what it had only to read");
        finished
    }

    fn empty_outputs(&self) {
        let out = self.room.path("out");
        std::fs::remove_dir_all(&out).and_then(|()| std::fs::create_dir(&out)).expect("our own folder");
    }
}

/// The model is a sound file, computes, and has nothing of use to say; no worker died of it.
fn is_useless(finished: &Finished) -> bool {
    let says = finished.stderr.contains("error: the summary could not be completed: ");
    let events = finished.events();
    let exits = of_kind(&events, "worker_exit");
    // One whose answer is of no use is ended without more ado.
    let ended = exits.iter().all(|exit| exit["class"] == "clean" || exit["class"] == "killed_by_us");
    finished.code == Some(WORKER) && says && ended
}

/// How often it ended in which way.
#[derive(Default)]
struct Ends {
    by_supervisor: usize,
    by_worker: usize,
    useless: usize,
    done: usize,
    slowest: Duration,
}

impl Ends {
    fn count(&mut self, finished: &Finished) {
        let events = finished.events();
        let started = !of_kind(&events, "state").is_empty();
        match finished.code {
            Some(DONE) => self.done += 1,
            Some(WORKER) => self.useless += 1,
            _ if started => self.by_worker += 1,
            _ => self.by_supervisor += 1,
        }
        self.slowest = self.slowest.max(finished.took);
    }

    fn all(&self) -> usize {
        self.by_supervisor + self.by_worker + self.useless + self.done
    }

    fn tell(&self, what: &str) {
        println!(
            "{what}: {} files, {} refused before a worker was started, {} by the worker, {} did no harm, {} had nothing of \
             use to say; no worker died; the slowest took {:?}",
            self.all(),
            self.by_supervisor,
            self.by_worker,
            self.done,
            self.useless,
            self.slowest
        );
    }
}

/// Gives each damaged model to the program.
fn models(file: &[u8], name: &str, damage: &[Damage], command: impl Fn(&Bench) -> Invocation) -> Ends {
    let (bench, mut ends) = (Bench::new(), Ends::default());
    for damage in damage {
        bench.room.file(&format!("in/{name}"), damage.done_to(file));
        let finished = bench.run(&damage.to_string(), command(&bench), &[DONE, BAD_MODEL]);
        if finished.code == Some(BAD_MODEL) {
            let says = finished.stderr.lines().any(|line| line.contains(name) && line.len() > name.len() + 20);
            assert!(says, "{damage} is refused without a word about it: {finished:#?}");
            assert_eq!(names(&bench.room.path("out")), [""; 0], "{damage}: a refused model leaves outputs");
        }
        ends.count(&finished);
        bench.empty_outputs();
    }
    ends
}

fn speech(bench: &Bench) -> Invocation {
    run(&bench.room).args(["in/talk.wav", "--no-summary", "--stt", "in/speech.bin"])
}

#[test]
fn speech_models_from_strangers_are_refused_or_do_no_harm() {
    let mut rng = Rng::fresh("speech models from strangers");
    let file = std::fs::read(&demo_models().0).expect("the bundled model");
    let damage = [whisper::damage(&file, &mut rng), whisper::noise(&file, 10, &mut rng)].concat();
    let ends = models(&file, "speech.bin", &damage, speech);
    ends.tell("speech models");
    assert!(ends.all() >= 300, "too few files to tell anything");
    assert!(ends.by_worker < 20, "the supervisor can see more than it does");
}

#[test]
fn summary_models_from_strangers_are_refused_or_do_no_harm() {
    let mut rng = Rng::fresh("summary models from strangers");
    let file = std::fs::read(&demo_models().1).expect("the bundled model");
    let damage = [gguf::damage(&file, &mut rng), gguf::noise(&file, 5, &mut rng)].concat();
    let transcript = {
        let bench = Bench::new();
        let _ = run(&bench.room).args(["in/talk.wav", "--stt", "demo", "--no-summary"]).run().expect_code(DONE);
        bench.room.text("in/talk.transcript.json")
    };
    let ends = models(&file, "summary.gguf", &damage, |bench| {
        bench.room.file("in/talk.transcript.json", &transcript);
        let command = bench.room.supervisor().args(["summarize", "in/talk.transcript.json", "--threads", "1"]);
        command.args(["--llm", "in/summary.gguf"])
    });
    ends.tell("summary models");
    assert!(ends.all() >= 300, "too few files to tell anything");
}

#[test]
fn voice_detectors_from_strangers_are_refused_or_do_no_harm() {
    let mut rng = Rng::fresh("voice detectors from strangers");
    let room = Room::new();
    silero::write(&room.path("vad.bin"), Hears::Loudness, &mut rng).expect("room on the disk");
    let file = std::fs::read(room.path("vad.bin")).expect("just written");
    let mut damage: Vec<Damage> = (0..20).map(|part| Damage::cut(file.len() * part / 20)).collect();
    damage.push(Damage::cut(file.len() - 1));
    damage.extend((0..20).map(|_| Damage::flip(&file, 0, 200, &mut rng)));
    damage.extend((0..5).map(|_| Damage::flip(&file, 400, file.len(), &mut rng)));
    let ends = models(&file, "vad.bin", &damage, |bench| {
        run(&bench.room).args(["in/talk.wav", "--no-summary", "--stt", "demo", "--vad", "in/vad.bin"])
    });
    ends.tell("voice detectors");
}

/// Noise that nobody takes for speech: what is damaged here is what decoders read, and no model has to listen.
fn murmur(rng: &mut Rng) -> Vec<u8> {
    let samples = (0..16_000 * 2).map(|_| i16::try_from(rng.below(41)).expect("small") - 20).collect();
    Mono { rate: 16_000, samples }.to_bytes()
}

/// Name, ffmpeg's options.
const KINDS: [(&str, &str); 8] = [
    ("a.wav", "-c:a pcm_s16le"),
    ("b.flac", "-c:a flac"),
    ("c.mp3", "-c:a libmp3lame -b:a 64k"),
    ("d.ogg", "-c:a libvorbis"),
    ("e.opus", "-c:a libopus -b:a 32k"),
    ("f.m4a", "-c:a aac -b:a 64k"),
    ("g.mkv", "-c:a libvorbis"),
    ("h.aiff", "-c:a pcm_s16be"),
];

/// Cut at every tenth, within the header and at the last byte; bits turned, most of them where the structure is.
fn recordings(room: &Room, rng: &mut Rng) -> Vec<(String, Vec<u8>)> {
    let (mut all, sound) = (Vec::new(), murmur(rng));
    for (name, options) in KINDS {
        convert(&sound, &options.split(' ').collect::<Vec<_>>(), &room.path(name));
        let file = std::fs::read(room.path(name)).expect("converted");
        let cuts = (1..10).map(|part| file.len() * part / 10).chain([4, 12, 40, 100, file.len() - 1]);
        let mut damage: Vec<Damage> = cuts.map(Damage::cut).collect();
        damage.extend((0..8).map(|_| Damage::flip(&file, 0, 100, rng)));
        damage.extend((0..4).map(|_| Damage::flip(&file, 0, file.len(), rng)));
        let (stem, ending) = name.split_once('.').expect("an ending");
        let named = |(number, damage): (usize, Damage)| (format!("{stem}{number}.{ending}"), damage.done_to(&file));
        all.extend(damage.into_iter().enumerate().map(named));
    }
    all
}

#[test]
fn recordings_from_strangers_are_refused_or_heard_within_bounded_memory() {
    let mut rng = Rng::fresh("recordings from strangers");
    let (bench, store) = (Bench::new(), Room::new());
    let transcribe = |files: &[String]| run(&bench.room).args(["--stt", "demo", "--no-summary"]).args(files);
    bench.room.file("in/talk.wav", murmur(&mut rng));
    let plain = peak(&bench.run("a plain recording", transcribe(&["in/talk.wav".to_owned()]), &[DONE]));
    let (mut heard, mut refused, mut most) = (0, 0, 0);
    let all = recordings(&store, &mut rng);
    for batch in all.chunks(16) {
        let files: Vec<String> = batch.iter().map(|(name, _)| format!("in/{name}")).collect();
        batch.iter().for_each(|(name, bytes)| drop(bench.room.file(&format!("in/{name}"), bytes)));
        let finished = bench.run("damaged recordings", transcribe(&files), &[DONE, BAD_AUDIO]);
        let events = finished.events();
        let codes: Vec<Option<i64>> =
            of_kind(&events, "run_finished").iter().map(|event| event["exit_code"].as_i64()).collect();
        assert_eq!(codes.len(), batch.len(), "every recording has an end: {finished:#?}");
        for event in of_kind(&events, "run_finished") {
            let place = event["recording"].as_u64().and_then(|place| usize::try_from(place).ok());
            let (name, _) = &batch[place.expect("which recording")];
            match event["exit_code"].as_i64() {
                Some(0) => heard += 1,
                Some(3) => {
                    assert!(finished.stderr.contains(name.as_str()), "{name} is refused in silence: {finished:#?}");
                    refused += 1;
                }
                other => panic!("{name} ended with {other:?}: {finished:#?}"),
            }
        }
        most = most.max(peak(&finished).saturating_sub(plain));
    }
    println!(
        "recordings: {} files, {heard} heard as far as they go, {refused} refused; at most {} KiB above a plain one",
        all.len(),
        most >> 10
    );
    assert!(most < DECODER, "a decoder took {} MiB", most >> 20);
    assert!(all.len() >= 150 && heard > 0 && refused > 0);
}

/// Puts a copy of the file in its place, which is another file then.
fn exchange(path: &Path) {
    let other = path.with_extension("new");
    std::fs::copy(path, &other).and_then(|_| std::fs::rename(&other, path)).expect("the same folder");
}

#[test]
fn a_model_that_is_exchanged_after_the_check_is_not_loaded() {
    let bench = Bench::new();
    let path = bench.room.path("in/speech.bin");
    std::fs::copy(&demo_models().0, &path).expect("a copy");
    let model = Model { checked: inspect(&path).expect("sound").identity, ..Model::from_path(&path) };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let load = || {
        let programs =
            WorkerPrograms { stt: Some(bins::find("meetcap-worker-stt")), llm: None, ..WorkerPrograms::default() };
        let host = Supervisor::new(programs).host(EventSink::none(), &Stop::default());
        let mut service = SttService::new(host, model.clone(), bench.room.path("in/talk.wav"), 1);
        runtime.block_on(async {
            let loaded = service.load_model().await;
            service.unload_model().await;
            loaded
        })
    };
    load().expect("it is the one that was checked");
    exchange(&path);
    let error = load().expect_err("it is another");
    assert_eq!(ExitCode::of(&error), ExitCode::Model, "{error}");
    let why = error.to_string();
    for words in ["speech.bin", "changed after it was checked", "run again"] {
        assert!(why.contains(words), "no `{words}` in: {why}");
    }
}

#[test]
fn a_summary_model_that_is_exchanged_while_the_recording_is_heard_is_refused_and_the_transcript_stays() {
    let bench = Bench::new();
    let path = bench.room.path("in/summary.gguf");
    std::fs::copy(&demo_models().1, &path).expect("a copy");
    bench.room.file("in/talk.wav", &spoken().wav);
    let command = run(&bench.room).args(["in/talk.wav", "--stt", "demo", "--llm", "in/summary.gguf", "-o", "out"]);
    let running = command.args(["--events", "jsonl"]).within(LIMIT).start();
    running.event(|event| event["event"] == "state" && event["state"] == "loading");
    exchange(&path);
    let _ = running.finish().expect_code(BAD_MODEL).says("summary.gguf").says("changed after it was checked");
    let left = names(&bench.room.path("out"));
    assert!(left.iter().any(|name| name == "talk.transcript.json"), "{left:?}");
    assert!(!left.iter().any(|name| name.contains("summary")), "{left:?}");
}

fn peak(finished: &Finished) -> u64 {
    let events = finished.events();
    of_kind(&events, "worker_exit").iter().filter_map(|event| event["peak_bytes"].as_u64()).max().unwrap_or(0)
}
