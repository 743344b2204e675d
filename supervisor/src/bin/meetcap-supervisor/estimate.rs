//! `models estimate`: what a model would take here, and whether it fits now.

use meetcap_supervisor::ExitCode;
use meetcap_supervisor::memory::{Bytes, MemoryPolicy, read_system};
use meetcap_supervisor::models::shelf::Sought;
use meetcap_supervisor::planning::{self, Basis, Estimate, Layout};

use super::Refusal;
use super::render::{json_for_terminal, printable};

pub(crate) fn print(model: &Sought, ctx: Option<u32>, policy: &MemoryPolicy, json: bool) -> Result<ExitCode, Refusal> {
    let system = read_system();
    let estimate = planning::of(model, ctx, policy, &system)
        .map_err(|error| Refusal::new(ExitCode::of(&error), error.to_string()))?;
    if json {
        println!("{}", json_for_terminal(&estimate));
    } else {
        for line in lines(&estimate) {
            println!("{}", printable(&line));
        }
    }
    Ok(ExitCode::Done)
}

fn lines(estimate: &Estimate) -> Vec<String> {
    let basis = match estimate.basis {
        Basis::Header => "from the header of its file",
        Basis::Name => "by its name, because there is no file here that tells; a rough figure",
    };
    let mut lines = vec![format!("{} ({} phase), {basis}", estimate.model, estimate.phase)];
    lines.push(format!(
        "  {:<22} {:>10} {:>10} {:>10} {:>10} {:>10}  fits now",
        "", "weights", "context", "compute", "overhead", "total"
    ));
    for layout in &estimate.layouts {
        let parts = layout.need.parts;
        let fits = if layout.fits_now { "yes" } else { "no" };
        lines.push(format!(
            "  {:<22} {:>10} {:>10} {:>10} {:>10} {:>10}  {fits}",
            name(layout),
            part(parts.weights),
            part(parts.context),
            part(parts.compute),
            part(parts.overhead),
            layout.need.total().to_string(),
        ));
    }
    if let Some(refusal) = estimate.layouts.first().and_then(|layout| layout.refusal.as_ref()) {
        lines.push(format!("  it {refusal}"));
    }
    lines
}

fn name(layout: &Layout) -> String {
    match layout.setup {
        None => "one window of 27 s".to_owned(),
        Some(setup) => format!("{} tokens, {}", setup.n_ctx, setup.kv.name()),
    }
}

fn part(bytes: Bytes) -> String {
    if bytes == Bytes(0) { "-".to_owned() } else { bytes.to_string() }
}
