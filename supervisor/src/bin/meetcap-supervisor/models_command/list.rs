//! `models list`: what is here, and what can be had.

use meetcap_supervisor::ExitCode;
use meetcap_supervisor::clock::seconds_since_1970;
use meetcap_supervisor::memory::{Bytes, MemoryPolicy, SystemReading, gate, read_system};
use meetcap_supervisor::models::catalog::{Catalog, Kind};
use meetcap_supervisor::models::choice::USUAL_CONTEXT;
use meetcap_supervisor::models::shelf::Shelf;
use meetcap_supervisor::models::store::Installed;
use meetcap_supervisor::{Model, planning};
use serde::Serialize;

use super::super::render::{json_for_terminal, printable, say};
use super::super::report_command;
use super::super::table::{absent, aligned};
use super::super::{Refusal, sizes};
use super::fetch;

/// A model that is here, as it is listed.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    #[serde(flatten)]
    model: Installed,
    /// Null for a detector, and where its file says too little.
    need_bytes: Option<Bytes>,
    fits_now: Option<bool>,
}

/// The name that people know it by.
pub(super) fn name(model: &Installed, catalog: &Catalog) -> String {
    let known = catalog.by_file(&model.file).map(|entry| entry.name.clone());
    let stem = || std::path::Path::new(&model.file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    known.or_else(stem).unwrap_or_else(|| model.file.clone())
}

pub(super) fn installed(shelf: &Shelf, policy: &MemoryPolicy, json: bool) -> Result<ExitCode, Refusal> {
    let (store, catalog, system) = (fetch::store(shelf)?, shelf.catalog(), read_system());
    let rows: Vec<Row> = store.installed().into_iter().map(|model| row(model, &catalog, policy, &system)).collect();
    if json {
        return report_command::print(&(json_for_terminal(&rows) + "\n"));
    }
    if rows.is_empty() {
        say!(
            "no model is in {} yet; `meetcap-supervisor models list --available` shows what can be fetched",
            store.folder().display()
        );
        return Ok(ExitCode::Done);
    }
    let head = ["NAME", "FOR", "FILE", "NEEDS", "FITS NOW", "LAST USED"].map(str::to_owned);
    let now = seconds_since_1970();
    let lines = rows.iter().map(|row| {
        let pin = row.model.pin.as_ref();
        [
            row.name.clone(),
            row.model.kind.word().to_owned(),
            sizes::of_file(row.model.bytes),
            row.need_bytes.map_or_else(absent, |need| need.to_string()),
            fits(row.fits_now),
            pin.and_then(|pin| pin.last_used).map_or_else(absent, |then| ago(now.saturating_sub(then))),
        ]
    });
    let table: Vec<[String; 6]> = std::iter::once(head).chain(lines).collect();
    print(&aligned(&table, [false, false, true, true, false, false]))
}

fn row(model: Installed, catalog: &Catalog, policy: &MemoryPolicy, system: &SystemReading) -> Row {
    let context = (model.kind == Kind::Summary).then_some(USUAL_CONTEXT);
    let estimate = match model.kind {
        Kind::Detector => None,
        _ => planning::estimate(&Model::from_path(&model.path), context, policy, system).ok(),
    };
    let layout = estimate.as_ref().and_then(|estimate| estimate.layouts.first());
    Row {
        name: name(&model, catalog),
        need_bytes: layout.map(|layout| layout.need.total()),
        fits_now: layout.map(|layout| layout.fits_now),
        model,
    }
}

pub(super) fn available(shelf: &Shelf, policy: &MemoryPolicy, json: bool) -> Result<ExitCode, Refusal> {
    let catalog = shelf.catalog();
    if json {
        return report_command::print(&(json_for_terminal(&catalog.entries().collect::<Vec<_>>()) + "\n"));
    }
    let room = gate::room(&read_system(), policy.thresholds);
    let here = |file: &str| shelf.folder.as_deref().is_some_and(|folder| folder.join(file).exists());
    let mut lines = Vec::new();
    for kind in [Kind::Speech, Kind::Summary, Kind::Detector] {
        let head = ["NAME", "FILE", "NEEDS", "FITS NOW", "LANGUAGES", "LICENCE", ""].map(str::to_owned);
        let rows = catalog.entries().filter(|entry| entry.kind == kind).map(|entry| {
            [
                entry.name.clone(),
                entry.bytes.map_or_else(absent, sizes::of_file),
                entry.need.map_or_else(absent, |need| need.to_string()),
                fits(entry.need.zip(room).map(|(need, room)| need <= room)),
                entry.languages.to_string(),
                entry.licence.clone(),
                if here(&entry.file) { "here".to_owned() } else { String::new() },
            ]
        });
        let table: Vec<[String; 7]> = std::iter::once(head).chain(rows).collect();
        lines.push(match kind {
            Kind::Speech => "Speech models (whisper.cpp)".to_owned(),
            Kind::Summary => "\nSummary models (llama.cpp), for 8192 tokens".to_owned(),
            Kind::Detector => "\nVoice detectors".to_owned(),
        });
        lines.extend(aligned(&table, [false, true, true, false, false, false, false]));
    }
    lines.push("\nmeetcap-supervisor models pull NAME fetches one.".to_owned());
    print(&lines)
}

fn print(lines: &[String]) -> Result<ExitCode, Refusal> {
    let text: String =
        lines.iter().map(|line| line.split('\n').map(printable).collect::<Vec<_>>().join("\n") + "\n").collect();
    report_command::print(&text)
}

fn fits(fits: Option<bool>) -> String {
    fits.map_or_else(absent, |fits| if fits { "yes" } else { "no" }.to_owned())
}

/// How long ago, as people say it.
fn ago(seconds: u64) -> String {
    let told = |count: u64, unit: &str| format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" });
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => told(seconds / 60, "minute"),
        3600..86_400 => told(seconds / 3600, "hour"),
        _ => told(seconds / 86_400, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_largest_unit() {
        assert_eq!(
            [0, 61, 7300, 90_000, 400_000].map(ago),
            ["just now", "1 minute ago", "2 hours ago", "1 day ago", "4 days ago"]
        );
    }
}
