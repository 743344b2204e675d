//! Kills at moments that nobody chose: whatever dies whenever, the result is that of a run in which nothing died,
//! and nothing stays behind.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use meetcap_tests::case::{ALL, Case, JOURNAL};
use meetcap_tests::demo::demo;
use meetcap_tests::fake::window_text;
use meetcap_tests::processes::{await_no_workers_in, memory_kib, signal};
use meetcap_tests::rng::Rng;
use meetcap_tests::room::{Room, names};
use meetcap_tests::run::Running;
use meetcap_tests::speech::convert;
use meetcap_tests::wav::Mono;
use nix::sys::signal::Signal;

const KILLS: usize = 25;
const KILLS_A_ROUND: usize = 9;

/// The bundled recording three times in a row.
fn three_meetings(room: &Room) {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisor/demo/meeting.flac");
    convert(&std::fs::read(bundled).expect("the bundled recording"), &[], &room.path("once.wav"));
    let sound = Mono::read(&room.path("once.wav"));
    std::fs::remove_file(room.path("once.wav")).expect("it was just written");
    Mono { rate: sound.rate, samples: sound.samples.repeat(3) }.write(&room.path("talk.wav"));
}

/// What must not tell that something died; the line with the date apart.
fn results(room: &Room) -> BTreeMap<&'static str, String> {
    let text = |name| {
        let text = room.text(name);
        text.lines().filter(|line| !line.starts_with("*Generated: ")).map(|line| line.to_owned() + "\n").collect()
    };
    ALL.map(|name| (name, text(name))).into()
}

fn clear(room: &Room) {
    for name in ALL.into_iter().chain(["talk.run.json"]) {
        let _ = std::fs::remove_file(room.path(name));
    }
}

/// Waits for a moment: so many events, and then so long. False when the run ended before.
fn at(running: &Running, events: usize, then: Duration) -> bool {
    (0..events).all(|_| running.next_event().is_some()) && !running.ends_within(then)
}

/// Kills the supervisor, unless it ends just then, and waits for its worker to follow, as long as its memory
/// allows; how long that took.
fn kill_supervisor(running: Running, room: &Room) -> Duration {
    let kib: u64 = running.workers().iter().filter_map(|pid| memory_kib(*pid, "RssAnon")).sum();
    running.signal(Signal::SIGKILL);
    let limit = Duration::from_millis(250) + Duration::from_micros(250 * kib.div_ceil(1024));
    let took = await_no_workers_in(room.folder(), limit);
    let finished = running.finish_leaving_workers();
    assert!(finished.signal == Some(9) || finished.code == Some(0), "{finished:#?}");
    took
}

#[test]
fn killing_supervisors_and_workers_at_random_costs_time_and_nothing_else() {
    let room = Room::new();
    three_meetings(&room);
    let command = || demo(&room).args(["--events", "jsonl", "talk.wav"]);
    let undisturbed = command().run().expect_code(0);
    let (expected, moments) = (results(&room), undisturbed.events().len());
    let mut rng = Rng::fresh("random kills of real processes");
    let (mut workers, mut supervisors, mut rounds, mut slowest) = (0, 0, 0, Duration::ZERO);
    while workers + supervisors < KILLS {
        clear(&room);
        rounds += 1;
        let mut told = Vec::new();
        let (mut running, mut worker_was_killed) = (command().start(), false);
        for _ in 0..KILLS_A_ROUND {
            // Most of them early: the summary has most of the events, the speech most of the time.
            let moment = if rng.percent(70) { rng.below(moments.min(25)) } else { rng.below(moments) };
            let then = Duration::from_micros(rng.below(60_000) as u64);
            if !at(&running, moment, then) {
                break;
            }
            // Two deaths of workers in one run might hit one window, which would then be a gap.
            let victim = if worker_was_killed { None } else { running.workers().first().copied() };
            if let Some(worker) = victim.filter(|_| rng.percent(50)) {
                worker_was_killed = signal(worker, Signal::SIGKILL);
                workers += 1;
                told.push(format!("worker, {then:?} after {moment} events"));
            } else {
                slowest = slowest.max(kill_supervisor(running, &room));
                (running, worker_was_killed) = (command().start(), false);
                supervisors += 1;
                told.push(format!("supervisor, {then:?} after {moment} events"));
            }
        }
        let _ = running.finish().expect_code(0);
        assert_eq!(results(&room), expected, "killed: {told:#?}");
        let left = names(room.folder());
        assert!(!left.iter().any(|name| name.ends_with("journal")), "{left:?}, killed: {told:#?}");
    }
    println!("{workers} workers and {supervisors} supervisors killed in {rounds} rounds; {:?} a run", undisturbed.took);
    println!("the last worker followed its supervisor within {slowest:?}");
}

/// A kill between the last output and the removal of the journal leaves both.
fn is_done(case: &Case) -> bool {
    case.outputs() == ALL && !case.room.path(JOURNAL).exists()
}

#[test]
fn a_kill_costs_the_window_in_flight_and_no_other() {
    const WINDOWS: u64 = 12;
    let expected: String = (0..WINDOWS).map(|window| window_text(window) + "\n").collect();
    let script: String = (0..WINDOWS).map(|window| format!("stt window {window}: slow 5\n")).collect();
    let script = format!("windows: {WINDOWS}\n{script}");
    let mut rng = Rng::fresh("random kills of scripted workers");
    for round in 0..30 {
        let case = Case::new();
        let mut kills = 0;
        for of_supervisor in [true, rng.percent(50), true] {
            let running = case.events(&script).start();
            if !at(&running, rng.below(60), Duration::from_micros(rng.below(8000) as u64)) {
                let _ = running.finish().expect_code(0);
                break;
            }
            kills += 1;
            if of_supervisor {
                kill_supervisor(running, &case.room);
                if is_done(&case) {
                    break;
                }
                continue;
            }
            for worker in running.workers() {
                signal(worker, Signal::SIGKILL);
            }
            let _ = running.finish().expect_code(0);
            break;
        }
        if !is_done(&case) {
            let _ = case.run(&script).expect_code(0);
        }
        let sent = case.log().windows("stt");
        let times = |window| sent.iter().filter(|sent| **sent == window).count();
        assert!((0..WINDOWS).all(|window| times(window) > 0), "round {round}: {sent:?}");
        assert_eq!(case.room.text("talk.transcript.txt"), expected, "round {round}: {sent:?}");
        assert!(case.transcript()["gaps"].is_null(), "round {round}");
        let again = sent.len() - usize::try_from(WINDOWS).expect("few");
        assert!(again <= kills, "round {round}: {kills} kills, windows {sent:?}");
        assert!(!case.room.path(JOURNAL).exists(), "round {round}");
    }
}
