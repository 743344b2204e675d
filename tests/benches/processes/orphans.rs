//! A parent that dies while its worker starts, and a thread that ends while the worker it asked for lives.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use meetcap_protocol::payload::stt::Stt;
use meetcap_supervisor::worker::{Connected, ExitClass, Launch, Worker};
use meetcap_tests::figures::Results;
use meetcap_tests::rng::Rng;
use meetcap_tests::{bins, proc, processes};
use nix::unistd::gettid;
use tempfile::TempDir;

/// The word that makes this program a parent.
pub(crate) const PARENT: &str = "parent";
const DEATHS: usize = 1000;
const FIRST: usize = 5_000;
const LATER: Duration = Duration::from_millis(250);
const THREADS: usize = 100;
/// How long the runtime keeps an idle thread.
const KEEP_ALIVE: Duration = Duration::from_millis(20);

pub(crate) fn measure() {
    let mut results = Results::new(6, "parents that die, threads that end", "orphans");
    let deaths = deaths(&mut Rng::fresh("deaths of parents"));
    results.plain("parents that died within the first 5 ms", DEATHS as f64, "");
    results.plain("of them with a child at that moment", deaths.with_child as f64, "");
    results.at_most("workers alive 250 ms later", deaths.orphans as f64, "", 0.0);
    let survived = survivors();
    results.plain("workers whose asking thread ended", THREADS as f64, "");
    results.at_most("of them dead or out of order afterwards", (THREADS - survived) as f64, "", 0.0);
    results.note(
        "Half of the parents are killed (SIGKILL), half end by themselves; the moment is random, counted from just \
         before the start of a scripted worker. Asking threads are tokio's blocking threads, pruned after 20 ms.",
    );
    results.write("orphans");
}

/// Starts a worker and waits for its own end.
pub(crate) fn parent(program: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let launch = Launch::new(program.into());
    println!("ready");
    std::io::stdout().flush().expect("somebody listens");
    let _worker = runtime.block_on(Worker::<Stt, Connected>::start(launch));
    std::thread::sleep(Duration::from_secs(60));
}

/// The same, and ends after so many microseconds.
pub(crate) fn leaving_parent(program: &str, micros: &str) {
    let micros = micros.parse().expect("a number");
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_micros(micros));
        std::process::exit(0);
    });
    parent(program);
}

#[derive(Debug, Default)]
struct Deaths {
    with_child: usize,
    orphans: usize,
}

fn deaths(rng: &mut Rng) -> Deaths {
    let worker = bins::find(bins::FAKE_STT);
    let mut deaths = Deaths::default();
    let mut waiting = VecDeque::new();
    for number in 1..=DEATHS {
        let room = tempfile::tempdir().expect("a temporary folder");
        let delay = Duration::from_micros(rng.below(FIRST) as u64);
        deaths.with_child += usize::from(one_death(&worker, room.path(), delay, rng.percent(50)));
        waiting.push_back((Instant::now() + LATER, room));
        let due = |(at, _): &mut (Instant, TempDir)| *at <= Instant::now();
        while let Some((_, room)) = waiting.pop_front_if(due) {
            deaths.orphans += left_in(&room);
        }
        if number % 250 == 0 {
            println!("  {number} parents: {deaths:?}");
        }
    }
    for (at, room) in waiting {
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        deaths.orphans += left_in(&room);
    }
    deaths
}

fn left_in(room: &TempDir) -> usize {
    let left = proc::working_in(room.path());
    processes::kill(&left);
    left.len()
}

/// Whether there was a child when the parent died, as far as could be seen.
fn one_death(worker: &Path, room: &Path, delay: Duration, by_itself: bool) -> bool {
    let mut command = Command::new(std::env::current_exe().expect("this program has a file"));
    command.arg(PARENT).arg(worker).current_dir(room).env("TMPDIR", room).stdout(Stdio::piped());
    if by_itself {
        command.arg(delay.as_micros().to_string());
    }
    let mut parent = command.spawn().expect("this program starts");
    wait_until_ready(&mut parent);
    std::thread::sleep(delay);
    let had_child = proc::has_child(parent.id());
    if !by_itself {
        parent.kill().expect("our own child");
    }
    parent.wait().expect("our own child");
    had_child
}

fn wait_until_ready(parent: &mut Child) {
    let mut line = String::new();
    let output = parent.stdout.take().expect("a pipe");
    BufReader::new(output).read_line(&mut line).expect("a readable pipe");
}

/// Workers that work on after the thread that asked for them has ended.
fn survivors() -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_keep_alive(KEEP_ALIVE)
        .enable_all()
        .build()
        .expect("a runtime");
    (0..THREADS).filter(|_| runtime.block_on(survives())).count()
}

async fn survives() -> bool {
    let handle = tokio::runtime::Handle::current();
    let asking = tokio::task::spawn_blocking(move || {
        let worker = handle.block_on(Worker::<Stt, Connected>::start(Launch::new(bins::find(bins::FAKE_STT))));
        (worker.expect("the worker starts"), gettid())
    });
    let (worker, thread) = asking.await.expect("the thread lived long enough");
    let task = format!("/proc/self/task/{thread}");
    while Path::new(&task).exists() {
        tokio::time::sleep(KEEP_ALIVE / 4).await;
    }
    tokio::time::sleep(KEEP_ALIVE).await;
    match worker.plan(()).await {
        Ok((worker, ())) => matches!(worker.leave().await.class, ExitClass::Clean),
        Err(_) => false,
    }
}
