//! Every operation fails, once and for good, and the run is killed or the power goes: whatever was acknowledged
//! is there, nothing is fused, and the next run completes what the undisturbed one would have written.

use super::decide::Resume;
use super::log::{AppendError, Log, replay};
use super::progress::Progress;
use super::record::Record;
use super::tests_disk::{Disk, Fault, Op, Random, SESSION, header, script};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn fold(records: &[Record]) -> Progress {
    let mut progress = Progress::default();
    progress.apply(Record::Header(header())).expect("the header");
    for record in records {
        progress.apply(record.clone()).expect("in order");
    }
    progress
}

/// How many records of the script are in `progress`, which must hold nothing else.
fn position(mut progress: Progress) -> Option<usize> {
    progress.session = None;
    let script = script();
    (0..=script.len()).find(|count| fold(&script[..*count]) == progress)
}

#[derive(Debug, PartialEq)]
enum End {
    NotOpened,
    Stopped { broken: bool },
    Reached,
}

/// One run: opens, goes on where the journal stands, up to `until` records; after a failure it tries again as
/// often as `patience` says. Gives the number of records that it may count on.
fn run(disk: &Disk, acknowledged: usize, until: usize, patience: usize) -> (usize, End) {
    let Ok(opened) = Log::open(disk.clone(), &header(), Resume::Auto, SESSION) else {
        return (acknowledged, End::NotOpened);
    };
    let mut log = opened.log;
    let found = position(opened.progress).expect("a prefix of the script");
    assert!(found >= acknowledged, "{found} of {acknowledged} acknowledged records");
    for (count, record) in script().iter().enumerate().take(until).skip(found) {
        let mut left = patience;
        while let Err(error) = log.append(record) {
            let stopped = match error {
                AppendError::Io { broken, .. } => broken,
                AppendError::Broken => true,
                other => panic!("{other}"),
            };
            assert_eq!(stopped, log.is_broken());
            if left == 0 {
                return (count, End::Stopped { broken: stopped });
            }
            left -= 1;
        }
    }
    (until.max(found), End::Reached)
}

/// The disk is whole again; the rest must go well, and survive the power cut at the end.
fn recover(disk: &Disk, acknowledged: usize, random: &mut Random) {
    let all = script().len();
    disk.fail(None);
    let found = replay(disk).expect("readable");
    let found = if acknowledged == 0 { 0 } else { position(found.progress).expect("a prefix") };
    assert!(found >= acknowledged && found <= acknowledged + 1, "{found} found, {acknowledged} acknowledged");
    let middle = (acknowledged + 2).min(all);
    assert_eq!(run(disk, acknowledged, middle, 0).1, End::Reached);
    let disk = disk.after_power_cut(random);
    assert_eq!(run(&disk, middle, all, 0), (all, End::Reached));
    let progress = replay(&disk.after_power_cut(random)).expect("readable").progress;
    assert_eq!(position(progress), Some(all));
}

/// Three runs, of which the faults strike any.
fn disturbed(fault: Fault, patience: usize, seed: u64) -> bool {
    let disk = Disk::default();
    disk.fail(Some(fault));
    let mut acknowledged = 0;
    for until in [4, 9, script().len()] {
        let (count, end) = run(&disk, acknowledged, until, patience);
        assert!(count >= acknowledged);
        acknowledged = count;
        if let End::Stopped { broken: false } = end {
            // The tail was cut, durably.
            disk.fail(None);
            let left = replay(&disk).expect("readable").progress;
            assert_eq!(position(left), Some(acknowledged));
            break;
        }
    }
    let failed = disk.has_failed();
    let mut random = Random::new(seed);
    for _ in 0..3 {
        recover(&disk.after_power_cut(&mut random), acknowledged, &mut random);
    }
    recover(&disk, acknowledged, &mut random);
    failed
}

#[test]
fn whatever_fails_no_acknowledged_record_is_lost_and_none_fuses() {
    let ops = [Op::Len, Op::Read, Op::Write, Op::Sync, Op::Truncate, Op::SyncName];
    let mut cases = 0;
    for op in ops.map(Some).into_iter().chain([None]) {
        for (errno, eighths) in [(EIO, 0), (EIO, 8), (ENOSPC, 0), (ENOSPC, 1), (ENOSPC, 4), (ENOSPC, 7)] {
            for (for_good, patience) in [(false, 0), (false, 1), (true, 0), (true, 2)] {
                for nth in 0.. {
                    let fault = Fault { op, nth, for_good, errno, eighths };
                    let case = std::panic::AssertUnwindSafe(|| disturbed(fault, patience, nth as u64));
                    let failed = std::panic::catch_unwind(case);
                    assert!(failed.is_ok(), "{fault:?}, {patience} retries");
                    cases += 1;
                    if !failed.unwrap_or_default() {
                        break;
                    }
                }
            }
        }
    }
    assert!(cases > 5000, "{cases}");
}

#[test]
fn a_cut_that_fails_too_breaks_the_journal_until_it_is_opened_again() {
    for op in [Op::Write, Op::Sync] {
        let disk = Disk::default();
        let mut log = Log::open(disk.clone(), &header(), Resume::Auto, SESSION).expect("opened").log;
        let script = script();
        log.append(&script[0]).expect("appended");
        let nth = 0;
        disk.fail(Some(Fault { op: None, nth, for_good: true, errno: ENOSPC, eighths: 4 }));
        if op == Op::Sync {
            disk.fail(Some(Fault { op: Some(op), nth, for_good: false, errno: EIO, eighths: 0 }));
        }
        let error = log.append(&script[1]).expect_err("fails");
        assert!(matches!(error, AppendError::Io { broken: true, .. }), "{error:?}");
        disk.fail(None);
        let before = disk.bytes();
        assert!(matches!(log.append(&script[1]), Err(AppendError::Broken)));
        assert_eq!(disk.bytes(), before, "nothing is written any more");
        assert_eq!(run(&disk, 1, script.len(), 0), (script.len(), End::Reached));
    }
}

#[test]
fn an_undisturbed_journal_survives_the_power_cut_at_any_time() {
    for seed in 1..=200 {
        let mut random = Random::new(seed);
        let mut disk = Disk::default();
        let mut acknowledged = 0;
        for until in 0..=script().len() {
            let (count, end) = run(&disk, acknowledged, until, 0);
            assert_eq!((count, end), (until, End::Reached), "seed {seed}");
            acknowledged = count;
            if random.below(2) == 0 {
                disk = disk.after_power_cut(&mut random);
            }
        }
    }
}

#[test]
fn what_could_not_be_read_back_is_refused_before_it_is_written() {
    let disk = Disk::default();
    let mut log = Log::open(disk.clone(), &header(), Resume::Auto, SESSION).expect("opened").log;
    let script = script();
    let before = disk.bytes();
    assert!(matches!(log.append(&script[2]), Err(AppendError::Misplaced(_))));
    assert!(matches!(log.append(&Record::Header(header())), Err(AppendError::Misplaced(_))));
    let mut window = super::Window::new(0);
    window.damaged.push(super::Damaged { at: 0.0, detail: "\u{1}".repeat(1 << 20) });
    assert!(matches!(log.append(&Record::Window(window)), Err(AppendError::TooLong { bytes: 6_000_000.. })));
    let mut window = super::Window::new(0);
    window.damaged.push(super::Damaged { at: 0.0, detail: ",".repeat(100_000) });
    assert!(matches!(log.append(&Record::Window(window)), Err(AppendError::Malformed)));
    assert_eq!(disk.bytes(), before);
    assert!(!log.is_broken());
    assert_eq!(run(&disk, 0, script.len(), 0), (script.len(), End::Reached));
}

#[test]
#[expect(clippy::single_range_in_vec_init, reason = "a plan of one chunk is a list of one range")]
fn a_changed_summary_drops_the_summary_alone() {
    let disk = Disk::default();
    let all = script().len();
    // Without the last chunk and what stands behind it.
    assert_eq!(run(&disk, 0, all - 2, 0), (all - 2, End::Reached));
    let same = super::tests_disk::llm_header();
    let open = || Log::open(disk.clone(), &header(), Resume::Auto, SESSION).expect("opened");

    let mut opened = open();
    let resumed = opened.log.resume_summary(&same, opened.progress.llm.clone()).expect("resumed");
    assert_eq!((resumed.chunks.len(), resumed.remaining, resumed.notice), (2, vec![3..5], None));

    let other = super::LlmHeader { seed: 9, ..same };
    let mut opened = open();
    let resumed = opened.log.resume_summary(&other, opened.progress.llm.clone()).expect("started over");
    assert_eq!((resumed.chunks.len(), resumed.remaining), (0, vec![0..2, 2..5]));
    assert_eq!(resumed.notice, Some(super::Notice::SummaryChanged));

    let mut opened = open();
    assert_eq!((opened.progress.windows.len(), opened.progress.next_unit()), (5, 6));
    let resumed = opened.log.resume_summary(&other, opened.progress.llm.clone()).expect("resumed");
    assert_eq!(resumed.notice, None);
}
