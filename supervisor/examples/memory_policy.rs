//! A memory policy of the host's own: keep well away from the limit, never take a smaller model without asking, and
//! tell why a load was refused. `cargo run --example memory_policy -- BIN_DIR ggml-small.bin meeting.wav`

use std::path::PathBuf;
use std::time::Duration;

use meetcap_supervisor::memory::{MemoryPolicy, Thresholds};
use meetcap_supervisor::{Job, JobError, Model, Resources, Supervisor, WorkerPrograms};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [programs, model, recording] = &paths[..] else {
        return Err("usage: memory_policy BIN_DIR MODEL RECORDING".into());
    };
    let memory = MemoryPolicy {
        thresholds: Thresholds { warning: 60, critical: 75 },
        auto_fallback: false,
        ..MemoryPolicy::default()
    };
    let supervisor = Supervisor::builder().programs(WorkerPrograms::beside(programs)).memory(memory).build();
    let resources = Resources { wait_for_memory: Duration::from_secs(30), ..Resources::default() };
    let job = Job { resources, ..Job::new(recording, Model::from_path(model)) };
    let report = supervisor.submit(job).await?.outcome().await;
    match report.result.as_ref().map_err(JobError::root) {
        Err(JobError::Refused(refused)) => {
            println!("{refused}");
            refused.remedies().iter().for_each(|remedy| println!("  - {remedy}"));
        }
        Err(error) => println!("{error}"),
        Ok(()) => {
            for phase in &report.ledger.phases {
                let memory = phase.memory;
                println!("{}: peak {}, kept {}", phase.phase, memory.peak_bytes, memory.residue_bytes);
            }
        }
    }
    Ok(())
}
