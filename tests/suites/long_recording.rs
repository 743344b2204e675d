//! Twenty minutes of a recording of eight hours: memory stays flat, times are in order, silences stay empty, and each
//! meeting has the words that it has alone. `cargo xtask soak --recording` takes all eight hours.
#![cfg(target_os = "linux")]

use meetcap_tests::long::soak::Soak;
use meetcap_tests::rng::Rng;

/// In MiB.
const FLAT: f64 = 32.0;
const OWN: f64 = 8.0;

#[test]
fn twenty_minutes_of_meetings_are_heard_as_each_meeting_is_alone_in_flat_memory() {
    let mut rng = Rng::fresh("twenty minutes");
    let soaked = Soak { minutes: 20, meetings: 5, threads: 1 }.run(&mut rng);
    let words = &soaked.words;
    println!("{:.0} s, {:.0} s of them silent, took {:?}", soaked.duration, soaked.silence, soaked.took);
    println!("{:?} {:?}", soaked.recall.actions, soaked.recall.decisions);
    println!(
        "{} of {} segments reach into a silence, by at most {:.1} s",
        words.reaching, words.segments, words.furthest
    );
    println!("as alone: {} of {} places, {:?}; as said: {:?}", words.same, words.places, words.alone, words.said);
    println!("differing: {:#?}", words.differing);
    let (anonymous, proportional) = (soaked.spread(|s| s.anonymous), soaked.spread(|s| s.proportional));
    let own = soaked.samples.iter().map(|sample| sample.supervisor).fold(0.0, f64::max);
    println!("worker: {anonymous:.1} MiB anonymous, {proportional:.1} MiB proportional; supervisor: {own:.2} MiB");
    assert!(anonymous <= FLAT && proportional <= FLAT, "{:?}", soaked.minutes(|s| s.anonymous));
    assert!(own <= OWN, "{own} MiB");
    assert_eq!(words.out_of_order, 0);
    // The model's times are its own: now and then a word that was said is placed at the edge of the silence before it. What
    // is invented there comes by the dozen.
    assert!(words.words_in_silence * 500 <= words.said.words, "{words:#?}");
    assert!(words.alone.percent() <= 1.0 && words.said.percent() <= 2.0, "{words:#?}");
}
