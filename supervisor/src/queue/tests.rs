use std::time::Duration;

use super::*;
use crate::event::{Event, Outcome, Phase, ProgressUnit, Stamped};
use crate::exit_code::ExitCode;
use crate::models::Model;
use crate::programs::WorkerPrograms;

/// Without worker programs every job fails at sight, which is an outcome like any other.
fn supervisor(limit: usize) -> Supervisor {
    Supervisor::builder().programs(WorkerPrograms::default()).queue_limit(limit).build()
}

fn job(name: &str) -> Job {
    Job::new(name, Model::from_path("none.bin"))
}

async fn in_time<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("an end in time")
}

fn code(status: &JobStatus) -> Option<u8> {
    match status.state {
        JobState::Ended { exit_code, .. } => Some(exit_code),
        _ => None,
    }
}

#[tokio::test]
async fn the_higher_priority_goes_first_and_the_earlier_among_equals() {
    let supervisor = supervisor(8);
    let mut handles = Vec::new();
    // Nothing runs before this task waits.
    for (name, priority) in [("a", 0), ("b", 0), ("c", 5), ("d", -1), ("e", 5)] {
        let submission = Submission::from(job(name)).with_priority(priority);
        handles.push(supervisor.try_submit(submission).expect("room"));
    }
    let ahead: Vec<_> = handles.iter().map(|handle| handle.status().state).collect();
    assert_eq!(ahead, [2, 3, 0, 4, 1].map(|ahead| JobState::Queued { ahead }));
    in_time(supervisor.shut_down(Closing::Drained)).await;
    let order: Vec<u64> = supervisor.jobs().iter().map(|status| status.job_id.0).collect();
    assert_eq!(order, [3, 5, 1, 2, 4]);
    for handle in handles {
        assert_eq!(in_time(handle.outcome()).await.exit_code, ExitCode::Input);
    }
}

#[tokio::test]
async fn a_job_that_is_cancelled_in_the_queue_ends_once_and_at_once() {
    let supervisor = supervisor(8);
    let first = supervisor.try_submit(job("a")).expect("room");
    let second = supervisor.try_submit(job("b")).expect("room");
    let mut events = second.events();
    second.cancel();
    second.cancel();
    assert_eq!(code(&second.status()), Some(130));
    let told = in_time(events.next()).await.expect("an event");
    assert!(matches!(told.event, Event::RunFinished { outcome: Outcome::Interrupted, exit_code: 130, .. }));
    assert!(in_time(events.next()).await.is_none(), "nothing after the end");
    assert_eq!(in_time(first.outcome()).await.exit_code, ExitCode::Input);
    in_time(supervisor.shut_down(Closing::Drained)).await;
    assert_eq!(supervisor.jobs().len(), 2, "each ended once");
}

#[tokio::test]
async fn a_full_queue_refuses_or_lets_wait_and_has_room_again() {
    let supervisor = supervisor(1);
    let first = supervisor.try_submit(job("a")).expect("room");
    assert_eq!(supervisor.try_submit(job("b")).err(), Some(SubmitError::Full { limit: 1 }));
    let second = in_time(supervisor.submit(job("b"))).await.expect("room in the end");
    in_time(first.outcome()).await;
    in_time(second.outcome()).await;
    in_time(supervisor.shut_down(Closing::Now)).await;
    assert_eq!(supervisor.try_submit(job("c")).err(), Some(SubmitError::Closed));
    assert_eq!(in_time(supervisor.submit(job("c"))).await.err(), Some(SubmitError::Closed));
}

#[test]
fn without_a_runtime_a_job_is_refused_and_takes_no_room() {
    let supervisor = supervisor(1);
    for _ in 0..2 {
        assert_eq!(supervisor.try_submit(job("a")).err(), Some(SubmitError::NoRuntime));
    }
}

#[test]
fn jobs_end_when_their_runtime_goes_away() {
    let supervisor = supervisor(4);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let handle = runtime.block_on(async { supervisor.try_submit(job("a")) }).expect("room");
    drop(runtime);
    // It had no turn, and has one on the next runtime.
    let next = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    next.block_on(async {
        supervisor.try_submit(job("b")).expect("room");
        assert_eq!(in_time(handle.outcome()).await.exit_code, ExitCode::Input);
        in_time(supervisor.shut_down(Closing::Drained)).await;
    });
}

#[test]
fn a_host_without_a_runtime_waits_for_events_and_outcome() {
    let supervisor = crate::blocking::Supervisor::start(supervisor(2)).expect("a thread");
    let handle = supervisor.submit(job("a")).expect("room");
    let told: Vec<_> = handle.events().collect();
    assert!(matches!(told.last().map(|told| &told.event), Some(Event::RunFinished { exit_code: 3, .. })), "{told:?}");
    assert_eq!(handle.outcome().exit_code, ExitCode::Input);
    assert_eq!(code(&supervisor.jobs()[0]), Some(3));
}

fn progress(done: u32) -> Arc<Stamped> {
    let event = Event::Progress { phase: Phase::Stt, done: f64::from(done), total: None, unit: ProgressUnit::Seconds };
    Arc::new(Stamped::at(u64::from(done), event))
}

fn delta(text: &str) -> Arc<Stamped> {
    Arc::new(Stamped::at(0, Event::SummaryDelta { text: meetcap_protocol::Spoken(text.to_owned()) }))
}

#[tokio::test]
async fn a_listener_that_does_not_read_loses_progress_before_words_and_is_told() {
    let (sender, mut events) = feed::open([]);
    for at in 0..CAPACITY {
        sender.send(&progress(u32::try_from(at).expect("small")));
        if at % 4 == 0 {
            sender.send(&delta(&at.to_string()));
        }
    }
    sender.close();
    let mut words = 0;
    let mut passing = 0;
    let mut missed = Vec::new();
    while let Some(told) = events.next().await {
        match &told.event {
            Event::SummaryDelta { .. } => words += 1,
            Event::Progress { .. } => passing += 1,
            Event::Warning { code: "events_missed", message } => missed.push(message.clone()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(words, CAPACITY / 4, "no word is lost");
    assert!(passing < CAPACITY / 2);
    assert_eq!(missed, [format!("this listener was late and missed {} events", CAPACITY - passing)]);
}

#[tokio::test]
async fn even_words_are_bounded_and_the_last_is_kept() {
    let (sender, mut events) = feed::open([]);
    for at in 0..3 * CAPACITY {
        sender.send(&delta(&at.to_string()));
    }
    sender.close();
    let mut told = Vec::new();
    while let Some(next) = events.next().await {
        told.push(next);
    }
    assert_eq!(told.len(), CAPACITY + 1);
    assert_eq!(told.last().map(|told| &told.event), Some(&delta(&(3 * CAPACITY - 1).to_string()).event));
}

#[test]
fn nobody_listening_is_noticed() {
    let (sender, events) = feed::open([]);
    assert!(sender.send(&progress(1)));
    drop(events);
    assert!(!sender.send(&progress(2)));
}

#[test]
fn who_comes_late_hears_the_last_of_each_kind_in_order() {
    let mut current = current::Current::default();
    let state = |t, state| Arc::new(Stamped::at(t, Event::State { phase: Phase::Stt, state, pid: 1 }));
    use meetcap_protocol::LifecycleState::{Loading, Processing};
    let told = [state(0, Loading), progress(1), state(2, Processing), progress(3), delta("words")];
    told.iter().for_each(|told| current.learn(told));
    assert_eq!(current.replay().collect::<Vec<_>>(), [told[2].clone(), told[3].clone()]);
    let JobState::Running { phase, lifecycle, progress, .. } = current.state() else { panic!("it runs") };
    assert_eq!((phase, lifecycle), (Some(Phase::Stt), Some(Processing)));
    assert!(progress.is_some_and(|progress| progress.done == 3.0));
}
