//! What every picture of the page is drawn with.

use maud::{Markup, html};

use crate::event::Phase;
use crate::memory::{Bytes, Sample};

use super::lives::Life;
use super::scale::{Panel, area, line, px};

/// The class that gives a phase its colours.
pub(super) fn class(phase: Phase) -> &'static str {
    match phase {
        Phase::Stt => "stt",
        Phase::Llm => "llm",
    }
}

/// Hatches for pages of files and dots for GPU memory, in each phase's colour; `id` keeps pictures apart.
pub(super) fn patterns(id: &str) -> Markup {
    html! {
        defs {
            @for phase in [Phase::Stt, Phase::Llm] {
                pattern id=(format!("{id}-files-{phase}")) class=(class(phase)) width="6" height="6"
                    patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect width="6" height="6" class="hatch-ground" {}
                    path d="M0 0V6" class="hatch" {}
                }
                pattern id=(format!("{id}-gpu-{phase}")) class=(class(phase)) width="7" height="7"
                    patternUnits="userSpaceOnUse" {
                    rect width="7" height="7" class="hatch-ground" {}
                    circle cx="3.5" cy="3.5" r="1.7" class="dots" {}
                }
            }
        }
    }
}

/// One worker's areas: private memory, then GPU memory, then pages of files, stacked.
pub(super) fn life(panel: &Panel, id: &str, life: &Life, at: impl Fn(u64) -> f64) -> Markup {
    let points: Vec<(f64, f64, f64, f64)> = std::iter::once((life.from, 0.0, 0.0, 0.0))
        .chain(life.samples.iter().map(|sample| stacked(at(sample.t_ms), sample)))
        .chain(life.samples.last().map(|last| stacked(life.to, last)))
        .chain(std::iter::once((life.to, 0.0, 0.0, 0.0)))
        .collect();
    let between = |lower: fn(&(f64, f64, f64, f64)) -> f64, upper: fn(&(f64, f64, f64, f64)) -> f64| {
        area(panel, &points.iter().map(|point| (point.0, lower(point), upper(point))).collect::<Vec<_>>())
    };
    let has_gpu = life.samples.iter().any(|sample| sample.gpu_bytes > Bytes(0));
    let phase = life.phase;
    html! {
        g class=(class(phase)) {
            path class="files" fill=(format!("url(#{id}-files-{phase})")) d=(between(|p| p.2, |p| p.3)) {}
            @if has_gpu {
                path class="gpu" fill=(format!("url(#{id}-gpu-{phase})")) d=(between(|p| p.1, |p| p.2)) {}
            }
            path class="private" d=(between(|_| 0.0, |p| p.1)) {}
            path class="edge" d=(line(panel, points.iter().map(|point| (point.0, point.2)))) {}
        }
    }
}

/// Seconds, and the heights of the three layers in MiB.
fn stacked(at: f64, sample: &Sample) -> (f64, f64, f64, f64) {
    let private = (sample.anonymous_bytes + sample.swapped_bytes).as_mib();
    let with_gpu = private + sample.gpu_bytes.as_mib();
    (at, private, with_gpu, with_gpu + sample.file_backed_bytes.as_mib())
}

/// Lines across with their figures, of memory.
pub(super) fn memory_axis(panel: &Panel, wanted: usize) -> Markup {
    let (unit, name) = unit(panel.most);
    html! {
        g class="axis" {
            @for tick in super::scale::ticks(panel.most / unit, wanted) {
                @let y = px(panel.y(tick * unit));
                path class="grid" d=(format!("M{} {y}H{}", px(panel.left), px(panel.right))) {}
                text x=(px(panel.left - 8.0)) y=(px(panel.y(tick * unit) + 4.0)) text-anchor="end" { (number(tick)) }
            }
            text x=(px(panel.left - 8.0)) y=(px(panel.top - 9.0)) text-anchor="end" { (name) }
        }
    }
}

/// What the axis counts in, in MiB.
fn unit(most: f64) -> (f64, &'static str) {
    if most >= 4096.0 {
        (1024.0, "GiB")
    } else if most >= 4.0 {
        (1.0, "MiB")
    } else {
        (1.0 / 1024.0, "KiB")
    }
}

/// The clock below.
pub(super) fn time_axis(panel: &Panel, wanted: usize) -> Markup {
    let length = panel.to - panel.from;
    let (unit, name) = if length >= 7200.0 {
        (3600.0, "hours")
    } else if length >= 120.0 {
        (60.0, "minutes")
    } else if length >= 1.0 {
        (1.0, "seconds")
    } else {
        (0.001, "ms")
    };
    html! {
        g class="axis" {
            path class="base" d=(format!("M{} {}H{}", px(panel.left), px(panel.bottom), px(panel.right))) {}
            @for tick in super::scale::ticks(length / unit, wanted) {
                @let x = panel.x(panel.from + tick * unit);
                path class="base" d=(format!("M{} {}v5", px(x), px(panel.bottom))) {}
                @if x < panel.right - 62.0 {
                    text x=(px(x)) y=(px(panel.bottom + 19.0)) text-anchor="middle" { (number(tick)) }
                }
            }
            text x=(px(panel.right)) y=(px(panel.bottom + 19.0)) text-anchor="end" { (name) }
        }
    }
}

fn number(tick: f64) -> String {
    let text = format!("{tick:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What was foretold, and what was taken, as lines over a stretch of time.
pub(super) fn bounds(panel: &Panel, from: f64, to: f64, foretold: Option<Bytes>, peak: Bytes) -> Markup {
    let across = |bytes: Bytes| format!("M{} {}H{}", px(panel.x(from)), px(panel.y(bytes.as_mib())), px(panel.x(to)));
    html! {
        @if let Some(foretold) = foretold {
            path class="foretold" d=(across(foretold)) {}
        }
        path class="peak" d=(across(peak)) {}
    }
}
