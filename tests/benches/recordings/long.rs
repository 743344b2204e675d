//! A recording of hours, a tenth of it silence: flat memory, times in order, empty silences, the words that its meetings
//! have alone. See `meetcap_tests::long`.

use std::process::ExitCode;

use meetcap_supervisor::leak::statistics::slope;
use meetcap_tests::figures::{Results, highest};
use meetcap_tests::long::judge::REACH;
use meetcap_tests::long::soak::{Soak, Soaked};
use meetcap_tests::rng::Rng;

/// The word before the minutes.
pub(crate) const PART: &str = "long";
const MEETINGS: usize = 20;
/// Two would wait for each other on a busy machine.
const THREADS: u16 = 1;
/// In MiB.
const FLAT: f64 = 32.0;
const OWN: f64 = 8.0;
/// What the bundled models are held to elsewhere, in percent.
const WRONG: f64 = 2.0;
const FOUND: f64 = 90.0;

pub(crate) fn measure(minutes: &str) -> ExitCode {
    let Ok(minutes) = minutes.parse() else {
        eprintln!("`{minutes}` is no number of minutes");
        return ExitCode::from(2);
    };
    let mut rng = Rng::fresh("a long recording");
    let seed = rng.state();
    let soaked = Soak { minutes, meetings: MEETINGS, threads: THREADS }.run(&mut rng);
    let command = format!("cargo xtask soak --recording --hours {} --seed {seed}", hours(minutes));
    let mut results = Results::by_hand(30, "a long recording of meetings and silences", command);
    memory(&mut results, &soaked);
    words(&mut results, &soaked);
    for (alone, here) in &soaked.words.differing {
        println!("alone: {}\nhere:  {here}\n", alone.replace('\n', " "));
    }
    results.note(format!(
        "{MEETINGS} meetings of 18 to 34 unseen sentences of the bundled models' language, spoken by espeak-ng, each in {} \
         places in shuffled order, with silences of up to {:.0} s between them (noise of -76 to -57 dBFS); FLAC; the real \
         workers with the bundled models, one thread. The pieces: each meeting alone in a file of its own.",
        soaked.words.places / MEETINGS,
        soaked.longest_silence,
    ));
    results.note(
        "Memory is read from outside five times a second and judged by the peaks of the recording's minutes from the \
         fifth on; what begins or ends outside of the load and the windows is not counted.",
    );
    results.note(
        "The same words: edits between the words of a meeting alone and in its place. Windows are cut elsewhere in a long \
         recording, so sentences are heard in other company; no equality to the letter is promised.",
    );
    results.write("recording");
    ExitCode::SUCCESS
}

fn hours(minutes: u64) -> String {
    if minutes.is_multiple_of(60) { (minutes / 60).to_string() } else { format!("{:.2}", minutes as f64 / 60.0) }
}

fn memory(results: &mut Results, soaked: &Soaked) {
    results.plain("recording", soaked.duration / 3600.0, "h");
    results.plain("of it silence", 100.0 * soaked.silence / soaked.duration, "%");
    results.plain("the run, with its summary", soaked.took.as_secs_f64(), "s");
    let settled = soaked.minutes(|sample| sample.anonymous);
    let peaks: Vec<f64> = settled.iter().map(|(_, peak)| *peak).collect();
    results.at_most(
        "speech worker, spread of the minutes' peaks, anonymous",
        soaked.spread(|s| s.anonymous),
        "MiB",
        FLAT,
    );
    results.at_most("the same, proportional set", soaked.spread(|s| s.proportional), "MiB", FLAT);
    results.plain("its highest peak, anonymous", highest(&peaks), "MiB");
    results.plain("its highest cost, as the ledger has it", soaked.ledger_peak(), "MiB");
    if settled.len() > 2 {
        let per_hour = slope(&settled);
        results.plain("slope of the peaks (Theil and Sen)", per_hour.middle * 60.0, "MiB/h");
        results.plain("95 % bounds of it: low", per_hour.low * 60.0, "MiB/h");
        results.plain("95 % bounds of it: high", per_hour.high * 60.0, "MiB/h");
    }
    let own: Vec<f64> = soaked.samples.iter().map(|sample| sample.supervisor).collect();
    results.at_most("supervisor's own anonymous memory, highest", highest(&own), "MiB", OWN);
    results.plain("samples", own.len() as f64, "");
}

fn words(results: &mut Results, soaked: &Soaked) {
    let words = &soaked.words;
    results.plain("segments", words.segments as f64, "");
    results.at_most("segments out of order or outside of the file", words.out_of_order as f64, "", 0.0);
    results.at_most("words in silences", words.words_in_silence as f64, "", 0.0);
    results.at_most(
        format!("segments that reach into a silence by more than {REACH} s"),
        words.reaching as f64,
        "",
        0.0,
    );
    results.plain("the furthest reach", words.furthest, "s");
    results.plain("words, as the meetings alone have them", words.alone.words as f64, "");
    results.at_most("words that differ from the meetings alone", words.alone.percent(), "%", WRONG);
    results.plain("the same in numbers", words.alone.errors as f64, "");
    results.plain("places of meetings", words.places as f64, "");
    results.plain("of them the same word for word", words.same as f64, "");
    results.at_most("words that differ from what was said", words.said.percent(), "%", WRONG);
    let found = soaked.recall.both();
    results.plain("different actions and decisions said", found.said as f64, "");
    let target = format!("≥ {FOUND}");
    results.judged("of them in the one summary", found.percent(), "%", target, found.percent() >= FOUND);
}
