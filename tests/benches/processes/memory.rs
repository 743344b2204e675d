//! The supervisor's own memory: over thousands of workers, and over a recording of eight hours.

use std::time::{Duration, Instant};

use meetcap_supervisor::event::EventSink;
use meetcap_supervisor::leak::statistics::slope;
use meetcap_supervisor::memory::MemoryPolicy;
use meetcap_supervisor::permit::LoadGate;
use meetcap_supervisor::service::{Host, ModelService, SttService};
use meetcap_supervisor::worker::Deadlines;
use meetcap_supervisor::{Model, WorkerPrograms};
use meetcap_tests::figures::{Results, highest};
use meetcap_tests::room::Room;
use meetcap_tests::{bins, proc};
use tokio_util::sync::CancellationToken;

use super::speech;

const CYCLES: u32 = 10_000;
const SAMPLE_EVERY: u32 = 100;
/// Fewer cycles are done when the machine is too slow for all of them.
const PATIENCE: Duration = Duration::from_secs(170);
/// Threads of workers that have just ended go now.
const SETTLE: Duration = Duration::from_millis(60);
const LIMIT: f64 = 8.0;

pub(crate) fn measure() {
    let mut results = Results::new(2, "the supervisor's own memory", "memory");
    let samples = cycles();
    report_cycles(&mut results, &samples);
    report_long_run(&mut results);
    results.write("memory");
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    cycle: u32,
    anonymous_kib: f64,
    threads: f64,
    descriptors: usize,
}

impl Sample {
    fn now(cycle: u32) -> Self {
        let read = |field| proc::status(std::process::id(), field).expect("our own status");
        let (anonymous_kib, threads) = (read("RssAnon:"), read("Threads:"));
        Self { cycle, anonymous_kib, threads, descriptors: proc::descriptors() }
    }
}

fn cycles() -> Vec<Sample> {
    let room = Room::new();
    let (model, audio) = (Model::from_path(room.speech_model()), room.sound("a.wav"));
    let host = Host {
        programs: WorkerPrograms { stt: Some(bins::find(bins::FAKE_STT)), ..WorkerPrograms::default() },
        deadlines: Deadlines::default(),
        gate: LoadGate::default(),
        events: EventSink::none(),
        cancel: CancellationToken::new(),
        memory: MemoryPolicy::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let begun = Instant::now();
    let mut samples = Vec::with_capacity(CYCLES as usize);
    for number in 1..=CYCLES {
        runtime.block_on(cycle(SttService::new(host.clone(), model.clone(), audio.clone(), 1)));
        if number % SAMPLE_EVERY == 0 {
            std::thread::sleep(SETTLE);
            let sample = Sample::now(number);
            samples.push(sample);
            if number % 1000 == 0 {
                println!("  {:.0} s: {sample:?}", begun.elapsed().as_secs_f64());
            }
            if begun.elapsed() > PATIENCE {
                break;
            }
        }
    }
    samples
}

async fn cycle(mut service: SttService) {
    service.load_model().await.expect("the worker loads");
    service.transcribe(None, 0, |_| Ok(())).await.expect("the worker works");
    service.acknowledge().await.expect("the worker takes the acknowledgement");
    let exit = service.unload_model().await.expect("there was a worker");
    assert_eq!(exit.class.name(), "clean");
}

fn report_cycles(results: &mut Results, samples: &[Sample]) {
    let done = samples.last().map_or(0, |sample| sample.cycle);
    results.judged("cycles", f64::from(done), "", "10000", done == CYCLES);
    let mebibytes: Vec<f64> = samples.iter().map(|sample| sample.anonymous_kib / 1024.0).collect();
    results.at_most("cycles: highest anonymous memory", highest(&mebibytes), "MiB", LIMIT);
    // The first tenth fills caches.
    let settled = &samples[samples.len() / 10..];
    let points: Vec<_> = settled.iter().map(|s| (f64::from(s.cycle) / 1000.0, s.anonymous_kib)).collect();
    let slope = slope(&points);
    let name = format!("cycles: slope (Theil-Sen; 95 % between {:.3} and {:.3})", slope.low, slope.high);
    results.judged(name, slope.middle, "KiB per 1,000 cycles", "0 within noise", slope.low <= 0.0);
    results.at_most("cycles: zombies at the end", proc::zombies() as f64, "", 0.0);
    let spread = |of: fn(&Sample) -> f64| {
        let values: Vec<f64> = settled.iter().map(of).collect();
        highest(&values) + highest(&values.iter().map(|value| -value).collect::<Vec<_>>())
    };
    results.at_most("cycles: change in open descriptors", spread(|s| s.descriptors as f64), "", 0.0);
    results.at_most("cycles: change in threads", spread(|s| s.threads), "", 0.0);
    results.note(format!(
        "Cycles: start, load, work (three windows), unload of a scripted worker in one process, sampled every \
         {SAMPLE_EVERY}; slope and changes without the first tenth."
    ));
}

/// The real program, and a worker that has eight hours' worth of words at once.
fn report_long_run(results: &mut Results) {
    let room = Room::new();
    let (model, _) = (room.speech_model(), room.sound("long.wav"));
    let worker = room.path(speech::PROGRAM);
    std::os::unix::fs::symlink(std::env::current_exe().expect("this program has a file"), &worker).expect("a link");
    let command = room.supervisor().within(Duration::from_secs(200)).env("MEETCAP_WORKER_STT", worker);
    let begun = Instant::now();
    let running = command.args(["run", "long.wav", "--no-summary", "--quiet", "--stt"]).arg(model).start();
    let (mut anonymous, mut peak) = (Vec::new(), 0.0);
    while let (Some(now), Some(high)) = (proc::status(running.pid, "RssAnon:"), proc::status(running.pid, "VmHWM:")) {
        anonymous.push(now / 1024.0);
        peak = high / 1024.0;
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = running.finish().expect_code(0);
    let took = begun.elapsed().as_secs_f64();
    let segments = room.text("long.transcript.json").matches("\"confidence\"").count();
    assert_eq!(segments as u64, speech::WINDOWS * speech::SEGMENTS);
    results.at_most("8 h of audio: highest anonymous memory", highest(&anonymous), "MiB", LIMIT);
    results.plain("8 h of audio: highest resident memory, files included", peak, "MiB");
    results.note(format!(
        "8 h of audio: `meetcap-supervisor run` with {} windows of 27 s and {segments} segments of a worker that computes \
         nothing, in {took:.1} s; sampled every 5 ms from outside.",
        speech::WINDOWS
    ));
}
