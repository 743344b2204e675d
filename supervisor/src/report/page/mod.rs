//! The account as one page for a browser and for paper. Pure.
//!
//! The page is complete in itself: style and pictures are inside, and its own policy forbids it to load or to run
//! anything. It can be used without colours, with a keyboard alone, and read aloud.

mod lives;
mod overview;
mod phase;
mod scale;
mod strokes;
mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::memory::{Bytes, Ledger, Moment};

use super::sentences;
use super::shown::{file_name, one_line};
use lives::Story;

const STYLE: &str = include_str!("style.css");
/// Nothing may be loaded, run, framed or sent.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page.
pub fn html(ledger: &Ledger) -> String {
    let story = Story::of(ledger);
    let name = file_name(&ledger.audio_path);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Memory account of " (name) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#account" { "Skip to the account" }
                (head(ledger, &name))
                main id="account" tabindex="-1" {
                    (at_a_glance(ledger))
                    (over_time(ledger, story.as_ref()))
                    (by_phase(ledger, story.as_ref()))
                    (list("decisions", "Decisions on loads", sentences::admissions(ledger)))
                    (list("fallbacks", "Steps down", ledger.fallbacks.iter().map(sentences::fallback)))
                    (list("warnings", "Warnings", ledger.warnings.iter().map(|warning| one_line(warning))))
                    (rest(ledger))
                }
                (foot(ledger))
            }
        }
    };
    page.into_string()
}

fn head(ledger: &Ledger, name: &str) -> Markup {
    let (sign, word, error) = sentences::outcome(ledger);
    html! {
        header {
            p class="kicker" { "Memory account" }
            h1 { bdi { (name) } }
            p class="quiet" {
                span class=(format!("outcome {word}")) { (sign) " " (word) }
                @if let Some(code) = ledger.exit_code { " with exit code " (code) }
                ", started " bdi { (one_line(&ledger.started)) } ", meetcap-supervisor " bdi { (one_line(&ledger.version)) }
            }
            @if let Some(error) = error { p class="error" role="note" { strong { "Why it ended: " } (error) } }
        }
    }
}

fn at_a_glance(ledger: &Ledger) -> Markup {
    let residue = ledger.phases.iter().map(|record| record.memory.residue_bytes).max();
    let slowest = ledger.phases.iter().filter_map(|record| record.memory.release).map(|release| release.release_ms);
    let slowest = slowest.reduce(f64::max);
    html! {
        section aria-labelledby="glance" {
            h2 id="glance" { "At a glance" }
            p class="verdict" { @for line in sentences::verdict(ledger) { (line) " " } }
            @if let Some(highest) = sentences::highest(ledger) {
                dl class="figures" {
                    (figure("Highest at any time", highest.memory.peak_bytes, "total_peak", &format!("the {} worker", sentences::phase_name(highest.phase).to_lowercase())))
                    @if ledger.saved_bytes > Bytes(0) {
                        (figure("Saved", ledger.saved_bytes, "saved", &format!("of {} for both models at once", highest.memory.peak_bytes + ledger.saved_bytes)))
                    }
                    @if let Some(residue) = residue {
                        (figure("Left behind", residue, "highest_residue", "in the supervisor, after a phase"))
                    }
                    @if let Some(slowest) = slowest {
                        div { dt { "Back within" } dd { (sentences::milliseconds(slowest)) } dd class="quiet" { "of the worker's end, at the latest" } }
                    }
                }
            }
        }
    }
}

fn figure(name: &str, bytes: Bytes, figure: &str, more: &str) -> Markup {
    html! {
        div { dt { (name) } dd data-figure=(figure) data-bytes=(bytes.0) { (bytes) } dd class="quiet" { (more) } }
    }
}

fn over_time(ledger: &Ledger, story: Option<&Story<'_>>) -> Markup {
    html! {
        section aria-labelledby="time" {
            h2 id="time" { "Memory over time" }
            @match story {
                None => p { "This account holds no timeline: memory was not monitored, or the account is of an earlier version." },
                Some(story) => {
                    figure {
                        (overview::draw(ledger, story, overview::WIDE))
                        (overview::draw(ledger, story, overview::NARROW))
                        (legend(ledger, story))
                    }
                    details {
                        summary { "The picture as tables: " (story.timeline.marks().len()) " moments, " (story.timeline.samples().len()) " samples" }
                        (tables::moments(story))
                        (tables::samples(story))
                    }
                }
            }
        }
    }
}

fn legend(ledger: &Ledger, story: &Story<'_>) -> Markup {
    let ends = story.timeline.marks().iter().filter_map(|mark| match &mark.moment {
        Moment::Exit { class, .. } => Some(class),
        _ => None,
    });
    let died = ends.into_iter().any(|class| class != "clean");
    let sign = |class: &str, shape: &str| {
        html! { svg class=(format!("sign {class}")) viewBox="-8 -8 16 16" aria-hidden="true" { path d=(shape) {} } }
    };
    html! {
        figcaption {
            ul class="legend" {
                li { (sign("solid", "M-7 -5H7V5H-7Z")) "plain: private memory, which has to come back" }
                li { (sign("hatched", "M-7 -5H7V5H-7ZM-5 5L5 -5M-7 1L-1 -5M1 5L7 -1")) "hatched: pages of files, which the system takes back when it likes" }
                @if story.has_gpu() { li { (sign("dotted", "M-7 -5H7V5H-7ZM-3 0h1M2 0h1")) "dotted: memory of graphics processors" } }
                li { (sign("foretold-sign", "M-7 0H7")) "dashed: foretold before the load" }
                li { (sign("peak-sign", "M-7 0H7")) "line: peak, as the ledger tells it" }
                li { (sign("glyph-sign", "M-5.5 5L0 -5L5.5 5Z")) "worker started" }
                li { (sign("glyph-sign", "M-4.5 -4.5H4.5V4.5H-4.5Z")) "model loaded" }
                li { (sign("glyph-sign", "M-5.5 -5L0 5L5.5 -5Z")) "worker ended" }
                @if died { li { (sign("died-sign", "M-5 -5L5 5M5 -5L-5 5")) "worker died" } }
                li { (sign("glyph-sign", "M0 -5L5 0L0 5L-5 0Z")) "checkpoint" }
                @if let Some(thresholds) = ledger.thresholds {
                    li { (sign("warning-sign", "M-8 0H8")) "dashed, below: short of memory from " (thresholds.warning) " % on" }
                    li { (sign("critical-sign", "M-8 0H8")) "dotted, below: critically short from " (thresholds.critical) " % on" }
                }
            }
        }
    }
}

fn by_phase(ledger: &Ledger, story: Option<&Story<'_>>) -> Markup {
    html! {
        section aria-labelledby="by-phase" {
            h2 id="by-phase" { "Phase by phase" }
            @if ledger.phases.is_empty() {
                p { "No phase was begun." }
            } @else {
                div class="cards" {
                    @for (at, record) in ledger.phases.iter().enumerate() { (phase::card(at, record, story)) }
                }
                (tables::phases(ledger))
            }
        }
    }
}

/// Nothing where there is nothing to list.
fn list(id: &str, title: &str, lines: impl IntoIterator<Item = String>) -> Markup {
    let lines: Vec<String> = lines.into_iter().collect();
    html! {
        @if !lines.is_empty() {
            section aria-labelledby=(id) {
                h2 id=(id) { (title) }
                ul class="lines" { @for line in lines { li { (line) } } }
            }
        }
    }
}

fn rest(ledger: &Ledger) -> Markup {
    html! {
        @if !ledger.limits.is_empty() {
            section aria-labelledby="around" {
                h2 id="around" { "Limits" }
                (tables::limits(ledger))
            }
        }
        @if !ledger.checkpoints.checkpoints().is_empty() {
            section aria-labelledby="checkpoints" {
                h2 id="checkpoints" { "Checkpoints" }
                (tables::checkpoints(ledger))
            }
        }
        @if !ledger.outputs.is_empty() {
            section aria-labelledby="outputs" {
                h2 id="outputs" { "Written" }
                ul class="lines" { @for path in &ledger.outputs { li { code { bdi { (one_line(&path.to_string_lossy())) } } } } }
            }
        }
    }
}

fn foot(ledger: &Ledger) -> Markup {
    html! {
        footer {
            h2 { "How to read this" }
            p {
                "A worker's memory here is what has to come back when it ends: its private memory, what of that was swapped out, and memory of graphics processors. "
                "Pages of files that it maps are counted apart, because the system takes those back whenever it likes. "
                "The peak is the higher of all samples and of what the kernel's own mark says of the time between them. "
                "The residue is what the supervisor's own process has kept after a phase; what is not attributed is memory that the machine holds more than before and no process is seen to hold."
            }
            p class="quiet" { "Account of " code { bdi { (one_line(&ledger.audio_path)) } } ". This page loads nothing and runs nothing." }
        }
    }
}

#[cfg(test)]
mod tests;
