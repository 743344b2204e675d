//! The models that a run would take, and whether they can be used here now.

use std::path::Path;

use meetcap_supervisor::config::Config;
use meetcap_supervisor::event::Phase;
use meetcap_supervisor::memory::gate::room;
use meetcap_supervisor::memory::{Bytes, MemoryPolicy, SystemReading};
use meetcap_supervisor::models::choice::USUAL_CONTEXT;
use meetcap_supervisor::models::offer::{Machine, offer};
use meetcap_supervisor::models::shelf::Shelf;
use meetcap_supervisor::models::{header, list_in_folder};
use meetcap_supervisor::{Model, default_threads, planning};
use serde::Serialize;

use super::super::lookup::DEMO;

#[derive(Debug, Serialize)]
pub(super) struct Models {
    pub(super) folder: Option<String>,
    /// Models in the folder, and how long their files are together.
    pub(super) installed: usize,
    pub(super) bytes: Bytes,
    pub(super) speech: Use,
    pub(super) summary: Use,
    /// Names to fetch, where one is neither configured nor here.
    pub(super) lacking: Option<String>,
}

/// What a run would take for a phase when nothing is named.
#[derive(Debug, Default, Serialize)]
pub(super) struct Use {
    pub(super) model: Option<String>,
    pub(super) path: Option<String>,
    /// Named in the configuration; otherwise it is the largest that is here.
    pub(super) is_configured: bool,
    /// For a summary with 8192 tokens of context.
    pub(super) need_bytes: Option<Bytes>,
    pub(super) fits_now: Option<bool>,
    pub(super) problem: Option<String>,
}

pub(super) fn examine(config: &Config, policy: &MemoryPolicy, system: &SystemReading) -> Models {
    let shelf = Shelf::of(config);
    let listed = shelf.folder.as_deref().map(list_in_folder).unwrap_or_default();
    let find = |phase, configured: Option<&Path>| {
        let is_configured = configured.is_some();
        match shelf.model(configured, phase) {
            // It lies in this program.
            _ if configured == Some(Path::new(DEMO)) => {
                Use { model: Some(DEMO.to_owned()), is_configured, ..Use::default() }
            }
            Ok(model) => Use { is_configured, ..used(&model, phase, policy, system) },
            Err(error) if is_configured => {
                let model = configured.map(|given| given.display().to_string());
                Use { model, is_configured, problem: Some(error.to_string()), ..Use::default() }
            }
            Err(_) => Use::default(),
        }
    };
    let speech = find(Phase::Stt, config.supervisor.stt.as_deref());
    let summary = find(Phase::Llm, config.supervisor.llm.as_deref());
    Models {
        installed: listed.len(),
        bytes: listed.iter().map(|model| model.bytes).sum(),
        lacking: lacking(&shelf, [&speech, &summary], config, policy, system),
        speech,
        summary,
        folder: shelf.folder.map(|folder| folder.display().to_string()),
    }
}

/// What a first run would offer.
fn lacking(
    shelf: &Shelf,
    [speech, summary]: [&Use; 2],
    config: &Config,
    policy: &MemoryPolicy,
    system: &SystemReading,
) -> Option<String> {
    let threads = config.supervisor.threads.unwrap_or_else(default_threads);
    let machine = Machine { room: room(system, policy.thresholds), threads };
    let catalog = shelf.catalog();
    let offered = offer(&catalog, machine)?;
    let each = [(speech, offered.speech), (summary, offered.summary)];
    let names: Vec<&str> =
        each.into_iter().filter(|(found, _)| found.model.is_none()).map(|(_, entry)| entry.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(" "))
}

fn used(model: &Model, phase: Phase, policy: &MemoryPolicy, system: &SystemReading) -> Use {
    let checked = header::check(&model.path, phase.into()).map_err(|error| error.to_string());
    let context = (phase == Phase::Llm).then_some(USUAL_CONTEXT);
    let estimate =
        checked.and_then(|()| planning::estimate(model, context, policy, system).map_err(|error| error.to_string()));
    let layout = estimate.as_ref().ok().and_then(|estimate| estimate.layouts.first());
    Use {
        model: Some(model.name.clone()),
        path: Some(model.path.display().to_string()),
        is_configured: false,
        need_bytes: layout.map(|layout| layout.need.total()),
        fits_now: layout.map(|layout| layout.fits_now),
        problem: estimate.as_ref().err().cloned(),
    }
}
