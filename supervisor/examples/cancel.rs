//! Several jobs, one of them urgent and one cancelled: `cargo run --example cancel -- BIN_DIR ggml-small.bin a.wav b.wav`
//!
//! What a cancelled job has done is kept; submitting the same recording again goes on from there.

use std::path::PathBuf;

use meetcap_supervisor::event::Event;
use meetcap_supervisor::{Closing, Job, Model, Submission, Supervisor, WorkerPrograms};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [programs, model, first, urgent] = &paths[..] else {
        return Err("usage: cancel BIN_DIR MODEL RECORDING RECORDING".into());
    };
    let supervisor = Supervisor::builder().programs(WorkerPrograms::beside(programs)).queue_limit(8).build();
    let job = |recording: &PathBuf| Job::new(recording, Model::from_path(model));
    let first = supervisor.submit(job(first)).await?;
    let urgent = supervisor.submit(Submission::from(job(urgent)).with_priority(10)).await?;

    let mut events = first.events();
    while let Some(told) = events.next().await {
        if let Event::Segment { text, .. } = &told.event {
            println!("heard enough: {}", text.0);
            first.cancel();
        }
    }
    println!("first: {:?}", first.outcome().await.exit_code);
    println!("urgent: {:?}", urgent.outcome().await.exit_code);
    // Nothing is left running when this returns.
    supervisor.shut_down(Closing::Drained).await;
    Ok(())
}
