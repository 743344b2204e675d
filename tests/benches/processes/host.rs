//! What a start costs a host with a large heap, as graphical programs have: the same program starts workers with 2 GiB
//! of touched memory and without, in turns. A start that copied page tables (a plain `fork`) would take tens of
//! milliseconds longer.

use meetcap_tests::bins;
use meetcap_tests::figures::{Results, percentile};

use super::start::starts;

const ROUNDS: usize = 5;
/// Of each kind in a round.
const TIMES: usize = 100;
const HEAP: usize = 2 << 30;
const PAGE: usize = 4096;

pub(crate) fn measure() {
    let program = bins::find(bins::FAKE_STT);
    let (mut small, mut large) = (Vec::new(), Vec::new());
    // Not counted: the first ones find cold caches.
    starts(&program, TIMES);
    for _ in 0..ROUNDS {
        small.extend(starts(&program, TIMES));
        let heap = heap();
        large.extend(starts(&program, TIMES));
        // Read, so that it is there until here.
        assert_eq!(heap.iter().step_by(PAGE).map(|byte| u64::from(*byte)).sum::<u64>(), (HEAP / PAGE) as u64);
    }
    let mut results = Results::new(33, "starts from a host with a large heap", "host");
    for percent in [50, 99] {
        let (small, large) = (percentile(&small, percent), percentile(&large, percent));
        results.plain(format!("small host, p{percent}"), small, "ms");
        results.plain(format!("host with 2 GiB, p{percent}"), large, "ms");
        results.at_most(format!("host with 2 GiB / small host, p{percent}"), large / small, "", 2.0);
    }
    results.note(format!(
        "{ROUNDS} rounds of {TIMES} starts without and {TIMES} with 2 GiB of touched heap, in one process. A start ends \
         when both sides have said Hello."
    ));
    results.write("host");
}

/// Every page of it is there.
fn heap() -> Vec<u8> {
    let mut heap = vec![0; HEAP];
    heap.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    heap
}
