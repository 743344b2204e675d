//! The library inside somebody else's program: with a runtime, without one, and with one that goes away.

#![cfg(unix)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use meetcap_supervisor::event::{Event, Stamped};
use meetcap_supervisor::{Closing, ExitCode, Job, JobHandle, Model, Submission, Supervisor, WorkerPrograms, blocking};
use meetcap_tests::bins;
use meetcap_tests::deadline::within;
use meetcap_tests::processes;
use meetcap_tests::room::Room;

const LIMIT: Duration = Duration::from_secs(60);

/// A host's folder, with links to scripted workers in it.
struct Host {
    room: Room,
}

impl Host {
    fn new(script: &str) -> Self {
        let room = Room::new();
        for program in [bins::FAKE_STT, bins::FAKE_LLM] {
            std::os::unix::fs::symlink(bins::find(program), room.path(program)).expect("a link");
            room.file(&format!("{program}.script"), script);
        }
        room.speech_model();
        room.summary_model();
        Self { room }
    }

    fn supervisor(&self) -> Supervisor {
        let programs = WorkerPrograms {
            stt: Some(self.room.path(bins::FAKE_STT)),
            llm: Some(self.room.path(bins::FAKE_LLM)),
            ..WorkerPrograms::default()
        };
        Supervisor::builder().programs(programs).build()
    }

    /// A recording of that name, to be transcribed and summarised.
    fn job(&self, name: &str) -> Job {
        self.room.sound(name);
        let model = |name: &str| Model::from_path(self.room.path(name));
        Job { llm: Some(model("summary.gguf")), ..Job::new(self.room.path(name), model("speech.bin")) }
    }

    fn has(&self, name: &str) -> bool {
        self.room.path(name).is_file()
    }
}

/// Everything that a listener hears, up to the end.
async fn hear(job: &JobHandle) -> Vec<Stamped> {
    let mut events = job.events();
    let mut told = Vec::new();
    while let Some(next) = events.next().await {
        told.push(Stamped::clone(&next));
    }
    told
}

/// Signals with a handler, as the kernel tells.
fn caught_signals() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find(|line| line.starts_with("SigCgt:")).unwrap_or_default().to_owned()
}

#[test]
fn a_host_with_a_runtime_of_many_threads_runs_jobs_in_their_order_and_stays_as_it_was() {
    within(LIMIT, || {
        let host = Host::new("");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let before = caught_signals();
        runtime.block_on(async {
            let supervisor = host.supervisor();
            let first = supervisor.submit(host.job("first.wav")).await.expect("taken");
            let second = supervisor.submit(host.job("second.wav")).await.expect("taken");
            let urgent = Submission::from(host.job("urgent.wav")).with_priority(1);
            let urgent = supervisor.clone().submit(urgent).await.expect("taken by a clone");
            let (one, other) = tokio::join!(hear(&second), hear(&second));
            assert_eq!(one, other, "all listeners hear the same");
            assert!(matches!(one.first().map(|told| &told.event), Some(Event::RunStarted { .. })));
            assert!(matches!(one.last().map(|told| &told.event), Some(Event::RunFinished { exit_code: 0, .. })));
            for job in [&first, &second, &urgent] {
                assert_eq!(job.outcome().await.exit_code, ExitCode::Done);
            }
            let order: Vec<u64> = supervisor.jobs().iter().map(|status| status.job_id.0).collect();
            // Whether the first had begun when the urgent one came is chance; the second comes last.
            assert_eq!(order.last(), Some(&2), "{order:?}");
            supervisor.shut_down(Closing::Drained).await;
        });
        assert_eq!(caught_signals(), before, "no signal handler is installed");
        assert!(!tracing::dispatcher::has_been_set(), "no subscriber is installed");
        assert!(host.has("first.summary.md") && host.has("second.summary.md") && host.has("urgent.summary.md"));
        assert!(processes::workers_in(host.room.folder()).is_empty());
    });
}

#[test]
fn a_host_without_a_runtime_hears_and_waits_on_its_own_threads() {
    within(LIMIT, || {
        let host = Host::new("stt window 2: slow 100");
        let supervisor = blocking::Supervisor::start(host.supervisor()).expect("a thread");
        let job = supervisor.submit(host.job("talk.wav")).expect("taken");
        let listener = {
            let job = job.clone();
            std::thread::spawn(move || job.events().map(|told| name(&told)).collect::<BTreeSet<_>>())
        };
        assert_eq!(job.outcome().exit_code, ExitCode::Done);
        let heard = listener.join().expect("no panic");
        for kind in ["RunStarted", "State", "Segment", "Release", "RunFinished"] {
            assert!(heard.contains(kind), "{kind} is missing in {heard:?}");
        }
        supervisor.shut_down(Closing::Drained);
        assert!(host.has("talk.summary.md"));
    });
}

fn name(told: &Stamped) -> String {
    let text = format!("{:?}", told.event);
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

#[test]
fn dropping_the_blocking_supervisor_cancels_its_jobs_and_leaves_no_worker() {
    within(LIMIT, || {
        let host = Host::new("stt window 1: hang");
        let supervisor = blocking::Supervisor::start(host.supervisor()).expect("a thread");
        let job = supervisor.submit(host.job("talk.wav")).expect("taken");
        let mut events = job.events();
        events.find(|told| matches!(told.event, Event::Segment { .. })).expect("it is at work");
        drop(supervisor);
        assert!(processes::workers_in(host.room.folder()).is_empty());
        assert!(host.has(".talk.meetcap-journal"), "what was done is kept");
    });
}

#[test]
fn a_runtime_that_goes_away_takes_its_workers_along_and_the_job_has_an_outcome() {
    within(LIMIT, || {
        let host = Host::new("stt window 1: hang");
        let supervisor = host.supervisor();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let job = runtime.block_on(async {
            let job = supervisor.submit(host.job("talk.wav")).await.expect("taken");
            let mut events = job.events();
            while let Some(told) = events.next().await {
                if matches!(told.event, Event::Segment { .. }) {
                    break;
                }
            }
            job
        });
        runtime.shutdown_timeout(LIMIT);
        let next = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let report = next.block_on(job.outcome());
        assert_eq!(report.exit_code, ExitCode::Internal);
        assert!(report.result.as_ref().is_err_and(|error| error.to_string().contains("runtime")), "{report:#?}");
        processes::await_no_workers_in(host.room.folder(), LIMIT);
        // The supervisor is as good as new on the next runtime.
        std::fs::write(host.room.path(&format!("{}.script", bins::FAKE_STT)), "").expect("a script");
        next.block_on(async {
            let again = supervisor.submit(host.job("talk.wav")).await.expect("taken");
            assert_eq!(again.outcome().await.exit_code, ExitCode::Done);
        });
    });
}

#[test]
fn nothing_is_guessed_from_the_hosts_own_program() {
    let host = Host::new("");
    let supervisor = Supervisor::builder().build();
    let error = supervisor.check(&host.job("talk.wav")).expect_err("no worker is known");
    assert_eq!(ExitCode::of(&error), ExitCode::Usage);
    let here = std::env::current_exe().expect("a test has a file");
    let folder = here.parent().map(Path::to_string_lossy).expect("a folder").into_owned();
    assert!(!error.to_string().contains(&folder), "{error}");
}
