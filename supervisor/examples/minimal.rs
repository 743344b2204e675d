//! One recording, no summary: `cargo run --example minimal -- BIN_DIR ggml-small.bin meeting.wav`

use std::path::PathBuf;

use meetcap_supervisor::{Job, Model, Supervisor, WorkerPrograms};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [programs, model, recording] = &paths[..] else {
        return Err("usage: minimal BIN_DIR MODEL RECORDING".into());
    };
    let supervisor = Supervisor::builder().programs(WorkerPrograms::beside(programs)).build();
    let job = supervisor.submit(Job::new(recording, Model::from_path(model))).await?;
    let report = job.outcome().await;
    match &report.result {
        Ok(()) => println!("wrote {:?}", report.ledger.outputs),
        Err(error) => println!("exit code {}: {error} (advice: {:?})", report.exit_code.code(), error.advice()),
    }
    Ok(())
}
