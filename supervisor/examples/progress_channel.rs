//! A host without an asynchronous runtime, as many graphical programs are: progress goes to a channel that its own loop
//! reads. `cargo run --example progress_channel -- BIN_DIR ggml-small.bin meeting.wav`

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use meetcap_supervisor::event::{Event, Phase};
use meetcap_supervisor::{Job, Model, Supervisor, WorkerPrograms, blocking};

/// What this host's window would show.
enum Show {
    Progress(Phase, f64),
    Text(String),
    Over,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [programs, model, recording] = &paths[..] else {
        return Err("usage: progress_channel BIN_DIR MODEL RECORDING".into());
    };
    let supervisor = Supervisor::builder().programs(WorkerPrograms::beside(programs)).build();
    let supervisor = blocking::Supervisor::start(supervisor)?;
    let job = supervisor.submit(Job::new(recording, Model::from_path(model)))?;

    let (sender, channel) = mpsc::channel();
    let events = job.events();
    thread::spawn(move || {
        for told in events {
            let show = match &told.event {
                Event::Progress { phase, done, total: Some(total), .. } if *total > 0.0 => {
                    Show::Progress(*phase, done / total)
                }
                Event::Segment { text, .. } => Show::Text(text.0.clone()),
                Event::RunFinished { .. } => Show::Over,
                // There will be more kinds of events.
                _ => continue,
            };
            if sender.send(show).is_err() {
                return;
            }
        }
    });

    // The host's own loop.
    while let Ok(show) = channel.recv() {
        match show {
            Show::Progress(phase, part) => println!("{phase}: {:.0} %", 100.0 * part),
            Show::Text(text) => println!("  {text}"),
            Show::Over => break,
        }
    }
    println!("exit code {}", job.outcome().exit_code.code());
    Ok(())
}
