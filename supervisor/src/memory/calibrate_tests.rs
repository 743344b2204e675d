use meetcap_protocol::payload::llm::KvType;
use proptest::prelude::*;

use super::super::estimate::Parts;
use super::*;

fn need(weights: u64, rest: u64) -> Need {
    let parts = Parts { weights: Bytes::mib(weights), compute: Bytes::mib(rest), ..Parts::default() };
    Need { cost: Bytes::mib(weights + rest), parts, ..Need::default() }
}

fn peak(cost: u64) -> Peak {
    Peak { cost: Bytes::mib(cost), gpu: Bytes(0) }
}

fn history(whole: &[u64], broken_off: &[u64]) -> History {
    let mut history = History::default();
    broken_off.iter().for_each(|cost| history.record(peak(*cost), Run::BrokenOff));
    whole.iter().for_each(|cost| history.record(peak(*cost), Run::Whole));
    history
}

fn cost_mib(need: &Need) -> u64 {
    need.cost.as_mib().round() as u64
}

#[test]
fn without_a_run_the_formula_stands() {
    assert_eq!(calibrated(need(100, 50), &History::default()), need(100, 50));
}

#[test]
fn whole_runs_correct_the_formula_in_both_directions() {
    let raised = calibrated(need(100, 50), &history(&[180, 200, 190], &[]));
    assert_eq!((cost_mib(&raised), raised.parts.overhead), (206, raised.cost - Bytes::mib(150)));
    let lowered = calibrated(need(100, 50), &history(&[110, 120], &[]));
    assert_eq!((cost_mib(&lowered), lowered.parts.weights), (124, Bytes::mib(100)));
}

#[test]
fn no_run_lowers_a_prediction_below_the_weights_it_reads() {
    assert_eq!(calibrated(need(100, 50), &history(&[3], &[])).cost, Bytes::mib(100));
    let mapped = Need { cost: Bytes::mib(50), mapped: Bytes::mib(100), ..need(100, 50) };
    let lowered = calibrated(mapped, &history(&[30], &[]));
    assert_eq!((cost_mib(&lowered), lowered.mapped), (31, Bytes::mib(100)), "mapped weights are no cost");
}

#[test]
fn a_broken_off_run_never_lowers_a_prediction_but_its_peak_was_reached() {
    assert_eq!(calibrated(need(100, 50), &history(&[], &[20])), need(100, 50));
    assert_eq!(calibrated(need(100, 50), &history(&[], &[170])).cost, Bytes::mib(170));
    let before = calibrated(need(100, 50), &history(&[180], &[]));
    for broken_off in [1, 20, 100, 185] {
        let many = history(&[180], &[broken_off; 30]);
        assert_eq!(calibrated(need(100, 50), &many), before, "{broken_off}");
    }
    assert_eq!(calibrated(need(100, 50), &history(&[180], &[300])).cost, Bytes::mib(300));
}

#[test]
fn only_the_last_eight_runs_count() {
    let mut runs = vec![400];
    runs.extend([200; 7]);
    assert_eq!(cost_mib(&calibrated(need(100, 50), &history(&runs, &[]))), 412);
    runs.push(200);
    assert_eq!(cost_mib(&calibrated(need(100, 50), &history(&runs, &[]))), 206);
}

#[test]
fn a_broken_off_run_is_forgotten_after_eight_whole_ones() {
    let after = |runs: usize| cost_mib(&calibrated(need(100, 50), &history(&vec![100; runs], &[300])));
    assert_eq!((after(7), after(8)), (300, 103));
}

#[test]
fn memory_of_a_gpu_is_corrected_for_itself() {
    let parts = Parts { weights: Bytes::mib(1000), overhead: Bytes::mib(500), ..Parts::default() };
    let prediction = Need { cost: Bytes::mib(300), mapped: Bytes(0), gpu: Bytes::mib(1200), parts };
    let mut history = History::default();
    history.record(Peak { cost: Bytes::mib(100), gpu: Bytes::mib(1300) }, Run::Whole);
    let need = calibrated(prediction, &history);
    assert_eq!((cost_mib(&need), need.gpu.as_mib().round()), (103, 1339.0));
}

fn key(name: &str, n_ctx: u32) -> Key {
    let setup = LlmSetup { n_ctx, kv: KvType::F16, gpu_layers: Some(0), map_weights: false };
    Key::of_summary(Path::new(name), Bytes(1000), "cpu", &setup)
}

#[test]
fn what_was_recorded_is_found_by_whoever_looks_next() {
    let folder = tempfile::tempdir().expect("folder");
    let below = folder.path().join("not/there/yet");
    let store = Store::in_folder(&below);
    assert_eq!(store.history(&key("a", 512)), History::default());
    store.record(&key("a", 512), peak(5), Run::Whole).expect("written");
    store.record(&key("a", 512), peak(9), Run::BrokenOff).expect("written");
    store.record(&key("a", 1024), peak(7), Run::Whole).expect("written");
    let again = Store::in_folder(&below);
    assert_eq!(again.history(&key("a", 512)), History { since: 0, ..history(&[5], &[9]) });
    assert_eq!(again.history(&key("a", 1024)), history(&[7], &[]));
    assert_eq!(again.history(&key("b", 512)), History::default());
    let speech = Key::of_speech(Path::new("/models/a"), Bytes(1000), "cpu");
    assert_eq!(again.history(&speech), History::default());
    let text = std::fs::read_to_string(below.join(FILE_NAME)).expect("there");
    assert!(!text.contains("models"), "no path is told: {text}");
    assert_eq!(std::fs::read_dir(&below).expect("there").count(), 1, "nothing else is left in the folder");
}

#[test]
fn a_store_that_cannot_be_read_is_an_empty_one_and_is_replaced() {
    let damaged: [&[u8]; 6] = [
        b"",
        b"{",
        &[0xFF; 64],
        br#"{"v":2,"setups":[]}"#,
        br#"{"v":1,"setups":[{"key":5}]}"#,
        br#"{"v":1,"setups":[{"key":"k","whole":[{"cost":-1,"gpu":0}],"broken_off":{"cost":0,"gpu":0},"since":0}]}"#,
    ];
    for bytes in damaged {
        let folder = tempfile::tempdir().expect("folder");
        let store = Store::in_folder(folder.path());
        std::fs::write(folder.path().join(FILE_NAME), bytes).expect("room");
        assert_eq!(store.history(&key("a", 1)), History::default());
        store.record(&key("a", 1), peak(5), Run::Whole).expect("written");
        assert_eq!(store.history(&key("a", 1)), history(&[5], &[]));
    }
    let folder = tempfile::tempdir().expect("folder");
    let store = Store::in_folder(folder.path());
    std::fs::create_dir(folder.path().join(FILE_NAME)).expect("room");
    assert_eq!(store.history(&key("a", 1)), History::default());
    assert!(store.record(&key("a", 1), peak(5), Run::Whole).is_err(), "a folder stands where the file should");
}

#[test]
fn the_file_stays_small_and_forgets_the_oldest() {
    let folder = tempfile::tempdir().expect("folder");
    let store = Store::in_folder(folder.path());
    for n_ctx in 0..SETUPS as u32 + 20 {
        (0..3).for_each(|cost| store.record(&key("a", n_ctx), peak(cost), Run::Whole).expect("written"));
    }
    assert_eq!(store.history(&key("a", 19)), History::default());
    assert_eq!(store.history(&key("a", 20)).whole.len(), 3);
    let len = std::fs::metadata(folder.path().join(FILE_NAME)).expect("there").len();
    assert!(len < MAX_FILE / 4, "{len} bytes");
}

#[test]
fn a_file_larger_than_any_of_ours_is_not_read() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, vec![b' '; 10]).expect("room");
    File::options().write(true).open(&path).and_then(|file| file.set_len(20 << 30)).expect("sparse files");
    assert_eq!(Store::in_folder(folder.path()).history(&key("a", 1)), History::default());
}

#[test]
fn writers_at_the_same_time_never_tear_the_file() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join(FILE_NAME);
    Store::in_folder(folder.path()).record(&key("first", 0), peak(1), Run::Whole).expect("written");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = Store::in_folder(folder.path());
            scope.spawn(move || {
                for n_ctx in 0..50 {
                    store.record(&key(&format!("m{thread}"), n_ctx), peak(1), Run::Whole).expect("written");
                }
            });
        }
        for _ in 0..200 {
            let text = std::fs::read(&path).expect("always there");
            let content: Content = serde_json::from_slice(&text).expect("always whole");
            assert_eq!(content.v, VERSION);
        }
    });
}

proptest! {
    #[test]
    fn no_prediction_is_below_a_peak_that_was_reached(
        weights in 0_u64..500, rest in 0_u64..500,
        whole in prop::collection::vec(0_u64..2000, 0..12),
        broken_off in prop::collection::vec(0_u64..2000, 0..12),
    ) {
        let need = calibrated(need(weights, rest), &history(&whole, &broken_off));
        let recent = &whole[whole.len().saturating_sub(RUNS)..];
        let broken_off = if whole.len() < RUNS { broken_off.as_slice() } else { &[] };
        for cost in recent.iter().chain(broken_off) {
            prop_assert!(need.cost >= Bytes::mib(*cost));
        }
        let parts = need.parts;
        prop_assert_eq!(parts.weights + parts.context + parts.compute + parts.overhead, need.cost);
    }

    #[test]
    fn no_bytes_make_reading_the_store_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join(FILE_NAME), bytes).expect("room");
        prop_assert_eq!(Store::in_folder(folder.path()).history(&key("a", 1)), History::default());
    }
}
