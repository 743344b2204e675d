//! Connections that break, stall and lie about what they carry; servers that are busy.

use std::fs;
use std::time::{Duration, Instant};

use meetcap_supervisor::Stop;
use meetcap_supervisor::models::pull::{Doing, Progress, PullError, Pulled};
use meetcap_tests::deadline::within;
use meetcap_tests::hub::Act;
use meetcap_tests::rng::Rng;

use crate::stage::*;

#[test]
fn a_model_comes_whole_and_is_not_fetched_twice() {
    on_stage(|stage| {
        let mut seen: Vec<Progress> = Vec::new();
        let came = stage.pull_until(&Stop::default(), |progress| seen.push(progress)).expect("a model");
        assert!(matches!(came, Pulled::Came(_)));
        stage.assert_came(model());
        assert!(seen.iter().any(|progress| progress.doing == Doing::Checking));
        assert!(seen.iter().all(|progress| progress.bytes_done <= progress.bytes_total), "{seen:?}");
        let asked = stage.hub.asked().len();
        assert!(matches!(stage.pull(), Ok(Pulled::WasHere(_))));
        assert_eq!(stage.hub.asked().len(), asked, "nobody was asked");
    });
}

#[test]
fn connections_that_break_anywhere_cost_a_buffer_each() {
    within(LIMIT, || {
        let mut rng = Rng::fresh("cut connections");
        for _ in 0..10 {
            let stage = Stage::new();
            let length = model().len() as u64;
            let cuts: Vec<Act> = (0..rng.between(1, 12)).map(|_| Act::Cut(rng.between(1, model().len() / 8))).collect();
            let times = cuts.len() as u64;
            // The first request asks for one byte.
            stage.hub.next([Act::Serve].into_iter().chain(cuts));
            stage.pull().expect("a model");
            stage.assert_came(model());
            let most = 1 + length + times * BUFFER;
            assert!(stage.hub.served() <= most, "{} of {length} bytes were sent, {times} cuts", stage.hub.served());
        }
    });
}

#[test]
fn a_server_that_gives_no_parts_is_asked_for_the_whole_until_it_comes() {
    on_stage(|stage| {
        stage.hub.always(Act::Whole);
        stage.hub.next([Act::Whole, Act::Cut(100_000), Act::Cut(1)]);
        stage.pull().expect("a model");
        stage.assert_came(model());
        // To find out, and thrice for the content.
        assert_eq!(stage.hub.asked().len(), 4);
    });
}

#[test]
fn a_server_without_parts_that_always_breaks_is_given_up() {
    on_stage(|stage| {
        stage.hub.next([Act::Whole]);
        stage.hub.always(Act::Cut(200_000));
        // A request for the whole is answered with the whole, up to the cut.
        let error = stage.pull().expect_err("it never comes whole");
        assert!(error.to_string().contains("failed"), "{error}");
        stage.assert_nothing_came();
    });
}

#[test]
fn a_fetch_that_was_stopped_goes_on_with_what_is_there() {
    on_stage(|stage| {
        stage.hub.always(Act::Trickle(Duration::from_micros(300)));
        let stop = Stop::default();
        let half = model().len() as u64 / 2;
        let began = Instant::now();
        let stopped = stage.pull_until(&stop, |progress| {
            if progress.bytes_done > half {
                stop.interrupt();
            }
        });
        assert!(matches!(stopped, Err(PullError::Interrupted { .. })), "{stopped:?} after {:?}", began.elapsed());
        stage.assert_nothing_came();
        assert!(stage.names().contains(&format!(".{FILE}.part.json")), "{:?}", stage.names());
        let before = stage.hub.served();
        stage.hub.always(Act::Serve);
        stage.pull().expect("a model");
        stage.assert_came(model());
        let again = stage.hub.served() - before;
        assert!(again < half + 2 * BUFFER, "{again} of {} bytes were sent again", model().len());
    });
}

#[test]
fn promises_that_are_not_kept_are_seen() {
    within(LIMIT, || {
        for act in [Act::Longer(500), Act::Elsewhere, Act::Silence, Act::Endless] {
            let stage = Stage::new();
            stage.hub.next([Act::Serve, act.clone(), act.clone()]);
            stage.pull().unwrap_or_else(|error| panic!("{act:?}: {error}"));
            stage.assert_came(model());
        }
        let stage = Stage::new();
        stage.hub.next([Act::Serve]);
        stage.hub.always(Act::Elsewhere);
        let _ = stage.assert_fails("sends another part than was asked for");
        // Shorter parts bring it on all the same.
        let stage = Stage::new();
        stage.hub.next([Act::Serve, Act::Shorter(1000), Act::Shorter(10)]);
        stage.pull().expect("a model");
        stage.assert_came(model());
    });
}

#[test]
fn a_busy_server_is_waited_for_as_it_asks_and_not_for_ever() {
    within(LIMIT, || {
        let stage = Stage::new();
        stage.hub.next([
            Act::Status(429, Some("1")),
            Act::Status(503, None),
            Act::Serve,
            Act::Status(429, Some("1")),
            Act::Status(500, None),
        ]);
        let mut waits = Vec::new();
        let began = Instant::now();
        let came = stage.pull_until(&Stop::default(), |progress| {
            if let Doing::Waiting(why) = progress.doing {
                waits.push(why);
            }
        });
        came.expect("a model");
        stage.assert_came(model());
        assert!(began.elapsed() >= Duration::from_secs(2), "it was asked again before it wanted to");
        assert!(waits.iter().any(|why| why.contains("HTTP 429")), "{waits:?}");

        let stage = Stage::new();
        stage.hub.always(Act::Status(429, Some("86400")));
        let _ = stage.assert_fails("in 86400 s only");
        let stage = Stage::new();
        stage.hub.always(Act::Status(503, None));
        let _ = stage.assert_fails("times in a row");
        // What has come until then is kept.
        let stage = Stage::new();
        stage.hub.next([Act::Serve, Act::Cut(1_000_000)]);
        stage.hub.always(Act::Status(502, None));
        let _ = stage.assert_fails("the same command goes on from there");
        let before = stage.hub.served();
        stage.hub.always(Act::Serve);
        stage.pull().expect("a model");
        stage.assert_came(model());
        assert!(stage.hub.served() - before <= model().len() as u64 - 1_000_000 + BUFFER);
    });
}

#[test]
fn a_server_that_falls_silent_is_asked_again_and_a_slow_one_is_borne() {
    within(LIMIT, || {
        let stage = Stage::new();
        stage.hub.next([Act::Serve, Act::Stall(300_000), Act::Stall(0)]);
        stage.pull().expect("a model");
        stage.assert_came(model());
        let stage = Stage::new();
        stage.hub.next([Act::Serve, Act::Trickle(Duration::from_micros(100))]);
        stage.pull().expect("a model");
        stage.assert_came(model());
    });
}

/// Something that a server may do to a request.
fn any_act(rng: &mut Rng) -> Act {
    let some = |rng: &mut Rng| rng.between(0, model().len());
    match rng.between(0, 13) {
        0..=2 => Act::Cut(some(rng)),
        3 => Act::Whole,
        4 => Act::Longer(rng.between(1, 5000) as u64),
        5 => Act::Shorter(rng.between(1, 5000) as u64),
        6 => Act::Endless,
        7 => Act::Flipped(some(rng).min(model().len() - 1)),
        8 => Act::Elsewhere,
        9 => Act::Status([500, 502, 503, 429, 408][rng.between(0, 4)], None),
        10 => Act::Silence,
        11 => Act::Page("<html>what?</html>"),
        12 => Act::Redirect(PATH.to_owned()),
        _ => Act::Serve,
    }
}

#[test]
fn whatever_a_server_does_the_right_bytes_come_or_none() {
    within(LIMIT, || {
        let mut rng = Rng::fresh("servers");
        let (mut came, mut failed) = (0, 0);
        for _ in 0..80 {
            let seed = rng.state();
            let stage = if rng.percent(50) { Stage::new() } else { Stage::new().unknown() };
            let vouched = stage.wanted.sha256.is_some();
            stage.hub.next((0..rng.between(1, 10)).map(|_| any_act(&mut rng)).collect::<Vec<_>>());
            match stage.pull() {
                Ok(_) => {
                    came += 1;
                    // Where nobody knows what it should be, a byte that went wrong cannot be told.
                    let bytes = fs::read(stage.path()).expect("the model");
                    assert!(!vouched || bytes == model(), "seed {seed}: other bytes came");
                    assert_eq!(bytes.len(), model().len(), "seed {seed}");
                    stage.assert_came(&bytes);
                }
                Err(error) => {
                    failed += 1;
                    stage.assert_nothing_came();
                    assert!(
                        !matches!(error, PullError::Interrupted { .. } | PullError::Disk { .. }),
                        "seed {seed}: {error:?}"
                    );
                    // With a server that behaves from now on it comes.
                    stage.hub.next([]);
                    stage.pull().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                    let bytes = fs::read(stage.path()).expect("the model");
                    assert!(!vouched || bytes == model(), "seed {seed}: other bytes came in the end");
                }
            }
        }
        println!("{came} came at once, {failed} failed first");
        assert!(came > 10 && failed > 5, "{came} came, {failed} failed: too much of one kind");
    });
}
