//! The ledger as tables, for reading and for programs: cells with an amount of memory carry it in `data-bytes`.

use maud::{Markup, html};

use crate::memory::{Bytes, ExitRecord, Ledger, PhaseRecord};
use crate::report::sentences::{self, seconds};
use crate::report::shown::one_line;

use super::lives::Story;
use super::overview::moment_label;

/// A row of the table of phases.
struct Row {
    /// For programs.
    figure: &'static str,
    name: &'static str,
    cell: fn(&PhaseRecord) -> Cell,
}

/// What a cell shows.
enum Cell {
    Bytes(Option<Bytes>),
    Seconds(f64),
    Milliseconds(Option<f64>),
    Words(String),
}

const MEMORY: &[Row] = &[
    Row { figure: "predicted", name: "Foretold", cell: |r| Cell::Bytes(r.predicted.map(|need| need.total())) },
    Row { figure: "baseline", name: "Supervisor before", cell: |r| Cell::Bytes(Some(r.memory.baseline_bytes)) },
    Row { figure: "peak", name: "Peak of the worker", cell: |r| Cell::Bytes(Some(r.memory.peak_bytes)) },
    Row { figure: "peak_rss", name: "Peak with files", cell: |r| Cell::Bytes(Some(r.memory.peak_rss_bytes)) },
    Row { figure: "after", name: "Supervisor after", cell: |r| Cell::Bytes(Some(r.memory.after_bytes)) },
    Row { figure: "residue", name: "Residue", cell: |r| Cell::Bytes(Some(r.memory.residue_bytes)) },
    Row {
        figure: "unattributed",
        name: "Not attributed",
        cell: |r| Cell::Bytes(r.memory.release.and_then(|release| release.unattributed_bytes)),
    },
];

const TIME: &[Row] = &[
    Row { figure: "load", name: "Load", cell: |r| Cell::Seconds(r.load_seconds) },
    Row { figure: "process", name: "At work", cell: |r| Cell::Seconds(r.process_seconds) },
    Row { figure: "unload", name: "Unload", cell: |r| Cell::Seconds(r.unload_seconds) },
    Row {
        figure: "release",
        name: "Memory back within",
        cell: |r| Cell::Milliseconds(r.memory.release.map(|release| release.release_ms)),
    },
];

const END: &[Row] = &[
    Row { figure: "exit", name: "Exit", cell: |r| Cell::Words(r.exit.as_ref().map_or_else(absent, exit)) },
    Row { figure: "deaths", name: "Deaths on the way", cell: |r| Cell::Words(r.deaths.len().to_string()) },
    Row { figure: "sandbox", name: "Sandbox", cell: |r| Cell::Words(one_line(&r.sandbox)) },
];

fn absent() -> String {
    "–".to_owned()
}

fn exit(exit: &ExitRecord) -> String {
    one_line(&exit.class).replace('_', " ")
}

/// Figures down, phases across.
pub(super) fn phases(ledger: &Ledger) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-labelledby="phases-caption" {
            table id="phases" {
                caption id="phases-caption" { "Every phase in figures" }
                thead {
                    tr {
                        th scope="col" { "Figure" }
                        @for record in &ledger.phases { th scope="col" { (sentences::phase_name(record.phase)) } }
                    }
                }
                tbody {
                    (group("Model", ledger))
                    tr {
                        th scope="row" { "Asked for" }
                        @for record in &ledger.phases { td { bdi { (one_line(&record.model_requested)) } } }
                    }
                    tr {
                        th scope="row" { "Used" }
                        @for (at, record) in ledger.phases.iter().enumerate() {
                            td data-figure="model" data-phase=(at) { bdi { (one_line(&record.model_name)) } }
                        }
                    }
                }
                @for (name, rows) in [("Memory", MEMORY), ("Time", TIME), ("End", END)] {
                    tbody {
                        (group(name, ledger))
                        @for row in rows {
                            tr {
                                th scope="row" { (row.name) }
                                @for (at, record) in ledger.phases.iter().enumerate() {
                                    (cell(row.figure, at, &(row.cell)(record)))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn group(name: &str, ledger: &Ledger) -> Markup {
    html! { tr class="group" { th scope="rowgroup" colspan=(ledger.phases.len() + 1) { (name) } } }
}

fn cell(figure: &str, at: usize, cell: &Cell) -> Markup {
    let attribute = |bytes: &Option<Bytes>| bytes.map(|bytes| bytes.0);
    match cell {
        Cell::Bytes(bytes) => html! {
            td class="number" data-figure=(figure) data-phase=(at) data-bytes=[attribute(bytes)] {
                (bytes.map_or_else(absent, |bytes| bytes.to_string()))
            }
        },
        Cell::Seconds(value) => html! {
            td class="number" data-figure=(figure) data-phase=(at) data-seconds=(value) { (seconds(*value)) }
        },
        Cell::Milliseconds(value) => html! {
            td class="number" data-figure=(figure) data-phase=(at) data-ms=[*value] {
                (value.map_or_else(absent, sentences::milliseconds))
            }
        },
        Cell::Words(words) => html! { td data-figure=(figure) data-phase=(at) { bdi { (words) } } },
    }
}

/// What bounded memory when the run began.
pub(super) fn limits(ledger: &Ledger) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-labelledby="limits-caption" {
            table id="limits" {
                caption id="limits-caption" { "What bounded memory when the run began" }
                thead { tr { th scope="col" { "Bound" } th scope="col" { "Limit" } th scope="col" { "In use" } th scope="col" { "Left" } } }
                tbody {
                    @for limit in &ledger.limits {
                        tr {
                            th scope="row" { bdi { (one_line(&limit.of.to_string())) } }
                            @for bytes in [limit.limit, limit.used, limit.available()] { (amount(bytes)) }
                        }
                    }
                }
            }
        }
        @if let Some(thresholds) = ledger.thresholds {
            p class="quiet" {
                "A bound counts as short of memory from " (thresholds.warning) " % on, and as critically short from "
                (thresholds.critical) " % on: above that nothing more is loaded, and a worker is asked to leave."
            }
        }
    }
}

fn amount(bytes: Bytes) -> Markup {
    html! { td class="number" data-bytes=(bytes.0) { (bytes) } }
}

/// The specification's checkpoints: the whole process tree.
pub(super) fn checkpoints(ledger: &Ledger) -> Markup {
    html! {
        div class="scroll" tabindex="0" role="region" aria-labelledby="checkpoints-caption" {
            table {
                caption id="checkpoints-caption" { "Supervisor and workers together, at named moments" }
                thead { tr { th scope="col" { "Checkpoint" } th scope="col" { "Resident" } th scope="col" { "Virtual" } th scope="col" { "Of the machine" } } }
                tbody {
                    @for checkpoint in ledger.checkpoints.checkpoints() {
                        @let usage = checkpoint.usage;
                        tr {
                            th scope="row" { bdi { (one_line(&checkpoint.name)) } }
                            td class="number" { (format!("{:.1} MB", usage.rss_mb)) }
                            td class="number" { (format!("{:.1} MB", usage.vms_mb)) }
                            td class="number" { (format!("{:.2} %", usage.percent)) }
                        }
                    }
                }
            }
        }
    }
}

/// What the picture shows, as text.
pub(super) fn moments(story: &Story<'_>) -> Markup {
    html! {
        div class="scroll tall" tabindex="0" role="region" aria-labelledby="moments-caption" {
            table {
                caption id="moments-caption" { "Moments" }
                thead { tr { th scope="col" { "Time" } th scope="col" { "What happened" } } }
                tbody {
                    @for mark in story.timeline.marks() {
                        tr { th scope="row" { (seconds(story.at(mark.t_ms))) } td { (moment_label(&mark.moment)) } }
                    }
                }
            }
        }
    }
}

/// Every sample of the picture.
pub(super) fn samples(story: &Story<'_>) -> Markup {
    html! {
        div class="scroll tall" tabindex="0" role="region" aria-labelledby="samples-caption" {
            table id="samples" {
                caption id="samples-caption" { "Samples" }
                thead {
                    tr {
                        th scope="col" { "Time" } th scope="col" { "Phase" } th scope="col" { "Private" }
                        th scope="col" { "Files" } th scope="col" { "GPU" } th scope="col" { "Left of the bound" }
                    }
                }
                tbody {
                    @for sample in story.timeline.samples() {
                        tr {
                            th scope="row" { (seconds(story.at(sample.t_ms))) }
                            td { (sentences::phase_name(sample.phase)) }
                            (amount(sample.anonymous_bytes + sample.swapped_bytes))
                            (amount(sample.file_backed_bytes))
                            (amount(sample.gpu_bytes))
                            (amount(sample.available_bytes))
                        }
                    }
                }
            }
        }
    }
}
