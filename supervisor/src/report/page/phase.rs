//! A phase's card: its own picture on its own clock, what was foretold and taken, and how the memory came back.

use maud::{Markup, html};

use crate::memory::{Bytes, PhaseRecord};
use crate::report::sentences::{self, seconds};
use crate::report::shown::{one_line, shown};

use super::lives::Story;
use super::scale::{Panel, px};
use super::strokes::{bounds, class, life, memory_axis, patterns, time_axis};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 216.0;

pub(super) fn card(at: usize, record: &PhaseRecord, story: Option<&Story<'_>>) -> Markup {
    let name = sentences::phase_name(record.phase);
    let model = one_line(&record.model_name);
    html! {
        article class=(format!("card {}", class(record.phase))) aria-labelledby=(format!("phase-{at}")) {
            h3 id=(format!("phase-{at}")) {
                span class="chip" { (name) } " " bdi { (model) }
            }
            p class="quiet" {
                @if record.model_requested != record.model_name { "Asked for: " bdi { (one_line(&record.model_requested)) } ". " }
                (engine(record))
                @if record.shared_with > 0 {
                    " The workers also served " (record.shared_with) " other recordings; memory is that of all together."
                }
            }
            @if let Some(story) = story { (picture(at, record, story)) }
            @if let Some(foretold) = sentences::foretold(record) { p { (foretold) } }
            (parts(record))
            p { (sentences::given_back(record)) }
            (times(record))
            @for exit in &record.deaths {
                div class="death" {
                    p { strong { "A worker died. " } (sentences::end(exit)) }
                    @if let Some(tail) = exit.output_tail.as_deref().filter(|tail| !tail.trim().is_empty()) {
                        p class="quiet" { "Its last words:" }
                        pre { (shown(tail)) }
                    }
                }
            }
        }
    }
}

fn engine(record: &PhaseRecord) -> String {
    match (&record.engine, &record.device) {
        (Some(engine), Some(device)) => format!("{} on {}.", one_line(engine), one_line(device)),
        _ => "No model was loaded.".to_owned(),
    }
}

fn picture(at: usize, record: &PhaseRecord, story: &Story<'_>) -> Markup {
    let lives = story.lives_of(record);
    let (Some(first), Some(last)) = (lives.first(), lives.last()) else { return html! {} };
    let foretold = record.predicted.map(|need| need.total());
    let peak = record.memory.peak_bytes;
    let samples = lives.iter().flat_map(|life| &life.samples);
    let seen = samples.map(|sample| sample.cost() + sample.file_backed_bytes);
    let highest = seen.chain(foretold).chain([peak, Bytes::kib(64)]).max().unwrap_or_default();
    let panel = Panel {
        left: 52.0,
        right: WIDTH - 8.0,
        top: 26.0,
        bottom: HEIGHT - 26.0,
        from: first.from,
        to: last.to.max(first.from + 0.001),
        most: highest.as_mib() * 1.16,
    };
    let id = format!("card-{at}");
    let name = sentences::phase_name(record.phase);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(format!("{id}-title {id}-desc")) {
            title id=(format!("{id}-title")) { (name) " phase, memory over time" }
            desc id=(format!("{id}-desc")) {
                "From " (seconds(first.from)) " to " (seconds(last.to)) " of the run; at most " (peak) "."
                @if let Some(foretold) = foretold { " Foretold were " (foretold) "." }
            }
            (patterns(&id))
            (memory_axis(&panel, 4))
            @for one in &lives { (life(&panel, &id, one, |t_ms| story.at(t_ms))) }
            (bounds(&panel, panel.from, panel.to, foretold, peak))
            (labels(&panel, foretold, peak))
            (time_axis(&panel, 5))
        }
    }
}

/// At opposite ends, so that lines close to each other keep their names apart.
fn labels(panel: &Panel, foretold: Option<Bytes>, peak: Bytes) -> Markup {
    let foretold_above = foretold.is_none_or(|foretold| foretold >= peak);
    let y = |bytes: Bytes, above: bool| px(panel.y(bytes.as_mib()) + if above { -5.0 } else { 14.0 });
    html! {
        @if let Some(foretold) = foretold {
            text class="name" x=(px(panel.right - 2.0)) y=(y(foretold, foretold_above)) text-anchor="end" { "foretold " (foretold) }
        }
        text class="name" x=(px(panel.left + 6.0)) y=(y(peak, !foretold_above)) { "peak " (peak) }
    }
}

/// What was foretold, by what it is for, over what was taken.
fn parts(record: &PhaseRecord) -> Markup {
    let Some(need) = record.predicted.filter(|need| need.total() > Bytes(0)) else { return html! {} };
    let parts = need.parts;
    let named = [
        ("weights", parts.weights),
        ("context", parts.context),
        ("compute", parts.compute),
        ("overhead", parts.overhead),
    ];
    let sum: Bytes = named.iter().map(|(_, bytes)| *bytes).sum();
    let most = sum.max(record.memory.peak_bytes).as_mib().max(f64::EPSILON);
    let width = |bytes: Bytes| bytes.as_mib() / most * WIDTH;
    let mut left = 0.0;
    let pieces: Vec<(usize, f64, f64)> = named
        .iter()
        .enumerate()
        .map(|(at, (_, bytes))| {
            let piece = (at, left, width(*bytes));
            left += width(*bytes);
            piece
        })
        .collect();
    html! {
        svg class="bars" viewBox=(format!("0 0 {WIDTH} 30")) role="img" aria-label=(format!("Foretold {sum} in four parts, above the peak of {}", record.memory.peak_bytes)) {
            @for (at, x, wide) in &pieces {
                rect class=(format!("part part-{at}")) x=(px(*x)) y="1" width=(px(*wide)) height="12" {}
            }
            rect class="part-peak" x="0" y="17" width=(px(width(record.memory.peak_bytes))) height="12" {}
        }
        ul class="parts" {
            @for (at, (name, bytes)) in named.iter().enumerate() {
                @if *bytes > Bytes(0) {
                    li { span class=(format!("swatch part-{at}")) aria-hidden="true" {} (name) " " (bytes) }
                }
            }
            li { span class="swatch part-peak" aria-hidden="true" {} "peak " (record.memory.peak_bytes) }
        }
    }
}

fn times(record: &PhaseRecord) -> Markup {
    html! {
        dl class="times" {
            div { dt { "Load" } dd { (seconds(record.load_seconds)) } }
            div { dt { "At work" } dd { (seconds(record.process_seconds)) } }
            div { dt { "Unload" } dd { (seconds(record.unload_seconds)) } }
            @if let Some(release) = record.memory.release {
                div { dt { "Back within" } dd { (sentences::milliseconds(release.release_ms)) } }
            }
        }
    }
}
