//! The picture of the whole run: memory of the workers above, how full the tightest bound was below.
//!
//! ```text
//!        ┌ Speech ──────────────────────┐┌ Summary ┐    which phase
//!        │- - - - - - foretold - - - - -││- - - - -│
//!        │▁▟██████████████████████████▙ ││ ▄▄▄▄▄▄  │    areas: private, GPU, pages of files
//!        ▲ ■                            ▼▲ ■       ▼    moments: start, loaded, end; checkpoints below
//!   100 %├──────────────────────────────────────────    the share of the bound that was in use,
//!        │--------------------------------- critical    with the thresholds
//!        └──────────────────────────────────────────
//! ```
//!
//! The picture is one image with a title and a description. What can be looked at closely lies over it: each phase,
//! peak and moment takes the keyboard's focus and has a label of its own; samples answer to a pointer, and stand in
//! a table below.

use maud::{Markup, html};

use crate::memory::{Bytes, Ledger, Limit, Mark, Moment};
use crate::report::sentences::{self, seconds};
use crate::report::shown::one_line;

use super::lives::{Life, Story};
use super::scale::{Panel, line, px};
use super::strokes::{bounds, class, life, memory_axis, patterns, time_axis};

const HEIGHT: f64 = 480.0;
const BAND: (f64, f64) = (8.0, 24.0);
const TOP: f64 = 60.0;
const BOTTOM: f64 = 300.0;
/// Where ends, starts and checkpoints stand: one worker's end is another's start.
const LANES: [f64; 3] = [311.0, 325.0, 339.0];
const ROOM: (f64, f64) = (372.0, 450.0);

/// One of the two widths in which it is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) id: &'static str,
    width: f64,
    ticks: usize,
    /// Whether single samples answer to a pointer.
    has_strips: bool,
}

pub(super) const WIDE: Size = Size { id: "wide", width: 960.0, ticks: 8, has_strips: true };
pub(super) const NARROW: Size = Size { id: "narrow", width: 420.0, ticks: 4, has_strips: false };

/// Both panels of one drawing.
struct Frame<'a> {
    story: &'a Story<'a>,
    ledger: &'a Ledger,
    size: Size,
    plot: Panel,
    room: Panel,
}

/// The picture and what lies over it.
pub(super) fn draw(ledger: &Ledger, story: &Story<'_>, size: Size) -> Markup {
    let peaks = ledger.phases.iter().map(|record| record.memory.peak_bytes);
    let foretold = ledger.phases.iter().filter_map(|record| record.predicted).map(|need| need.total());
    let highest = peaks.chain(foretold).chain([story.highest(), Bytes::kib(64)]).max().unwrap_or_default();
    let plot = Panel {
        left: 52.0,
        right: size.width - 10.0,
        top: TOP,
        bottom: BOTTOM,
        from: 0.0,
        to: story.length,
        most: highest.as_mib() * 1.06,
    };
    let room = Panel { top: ROOM.0, bottom: ROOM.1, most: 100.0, ..plot };
    let frame = Frame { story, ledger, size, plot, room };
    let (view, id) = (format!("0 0 {} {HEIGHT}", size.width), size.id);
    html! {
        div class=(format!("picture {id}")) {
            svg viewBox=(view) role="img" aria-labelledby=(format!("{id}-title {id}-desc")) {
                title id=(format!("{id}-title")) { "Memory over time" }
                desc id=(format!("{id}-desc")) { (frame.description()) }
                (patterns(id))
                (frame.picture())
            }
            svg class="over" viewBox=(view) role="group" aria-label="Phases, peaks and moments of the picture" {
                @if size.has_strips { (frame.strips()) }
                (frame.points())
            }
        }
    }
}

impl Frame<'_> {
    /// For those who do not see it.
    fn description(&self) -> String {
        let mut told = vec![format!("The picture covers {}.", seconds(self.story.length))];
        for life in &self.story.lives {
            told.push(format!("{}.", life_label(life)));
        }
        told.push("The same figures are in the tables below.".to_owned());
        told.join(" ")
    }

    fn picture(&self) -> Markup {
        let Self { story, ledger, size, plot, room } = self;
        html! {
            (memory_axis(plot, 5))
            @for life in &story.lives { (self.band(life)) }
            @for one in &story.lives { (life(plot, size.id, one, |t_ms| story.at(t_ms))) }
            @for record in &ledger.phases {
                @let lives = story.lives_of(record);
                @if let (Some(first), Some(last)) = (lives.first(), lives.last()) {
                    (bounds(plot, first.from, last.to, record.predicted.map(|need| need.total()), record.memory.peak_bytes))
                }
            }
            path class="baseline" d=(format!("M{} {}H{}", px(plot.left), px(plot.bottom), px(plot.right))) {}
            @for mark in story.timeline.marks() {
                @if !matches!(mark.moment, Moment::Checkpoint { .. }) {
                    path class="moment-line" d=(format!("M{} {}V{}", px(plot.x(story.at(mark.t_ms))), px(plot.top), px(plot.bottom))) {}
                }
            }
            (self.room_panel())
            (time_axis(room, size.ticks))
        }
    }

    fn band(&self, life: &Life) -> Markup {
        let (left, right) = (self.plot.x(life.from), self.plot.x(life.to));
        let name = sentences::phase_name(life.phase);
        html! {
            g class=(class(life.phase)) {
                rect class="band" x=(px(left)) y=(px(BAND.0)) width=(px((right - left).max(2.0))) height=(px(BAND.1)) rx="4" {}
                @if right - left > 68.0 {
                    text class="band-name" x=(px(f64::midpoint(left, right))) y=(px(BAND.0 + 17.0)) text-anchor="middle" { (name) }
                }
            }
        }
    }

    fn room_panel(&self) -> Markup {
        let Self { story, ledger, room, .. } = self;
        let shares: Vec<(f64, f64)> = story
            .timeline
            .samples()
            .iter()
            .filter_map(|sample| Some((story.at(sample.t_ms), sample.percent_used()?)))
            .collect();
        let across = |percent: f64| format!("M{} {}H{}", px(room.left), px(room.y(percent)), px(room.right));
        html! {
            text class="panel-name" x=(px(room.left)) y=(px(room.top - 10.0)) { (room_name(story, ledger, self.size)) }
            g class="axis" {
                @for percent in [0.0, 50.0, 100.0] {
                    path class=(if percent == 100.0 { "limit" } else { "grid" }) d=(across(percent)) {}
                    text x=(px(room.left - 8.0)) y=(px(room.y(percent) + 4.0)) text-anchor="end" { (format!("{percent:.0} %")) }
                }
            }
            @if shares.is_empty() {
                text class="panel-name" x=(px(room.middle())) y=(px(room.y(45.0))) text-anchor="middle" { "not known" }
            } @else {
                path class="room" d=(super::scale::area(room, &shares.iter().map(|(at, share)| (*at, 0.0, *share)).collect::<Vec<_>>())) {}
                path class="room-edge" d=(line(room, shares.iter().copied())) {}
            }
            @if let Some(thresholds) = ledger.thresholds {
                @let (warning, critical) = (f64::from(thresholds.warning), f64::from(thresholds.critical));
                path class="critical" d=(across(critical)) {}
                path class="warning" d=(across(warning)) {}
            }
        }
    }

    /// One for every sample: what it says, while a pointer is over it.
    fn strips(&self) -> Markup {
        let Self { story, plot, .. } = self;
        let times: Vec<f64> = story.timeline.samples().iter().map(|sample| plot.x(story.at(sample.t_ms))).collect();
        let edge = |at: usize| -> f64 {
            match (at.checked_sub(1).map(|before| times[before]), times.get(at)) {
                (None, _) => plot.left,
                (_, None) => plot.right,
                (Some(before), Some(after)) => f64::midpoint(before, *after),
            }
        };
        html! {
            g aria-hidden="true" {
                @for (at, sample) in story.timeline.samples().iter().enumerate() {
                    @let (left, right) = (edge(at), edge(at + 1));
                    g class="strip" {
                        rect x=(px(left)) y=(px(plot.top)) width=(px((right - left).max(0.0))) height=(px(plot.bottom - plot.top)) {}
                        path d=(format!("M{} {}V{}", px(times[at]), px(plot.top), px(plot.bottom))) {}
                        circle cx=(px(times[at])) cy=(px(plot.y(sample.cost().as_mib()))) r="3.5" {}
                        text x=(px(plot.right)) y=(px(plot.top - 9.0)) text-anchor="end" {
                            (format!("{}: {} private, {} of files", seconds(story.at(sample.t_ms)), sample.cost(), sample.file_backed_bytes))
                        }
                    }
                }
            }
        }
    }

    /// What takes the focus.
    fn points(&self) -> Markup {
        let Self { story, plot, .. } = self;
        html! {
            @for life in &story.lives {
                @let (left, right) = (plot.x(life.from), plot.x(life.to));
                g class="point" tabindex="0" role="img" aria-label=(life_label(life)) {
                    rect class="ring" x=(px(left)) y=(px(BAND.0)) width=(px((right - left).max(2.0))) height=(px(BAND.1)) rx="4" {}
                    (self.tip(f64::midpoint(left, right), TOP - 9.0, &life_label(life)))
                }
            }
            @for life in &story.lives {
                @if let Some(peak) = life.peak() {
                    @let (x, y) = (plot.x(story.at(peak.t_ms)), plot.y(peak.cost().as_mib()));
                    @let label = format!("{}: highest sample, {} at {}", sentences::phase_name(life.phase), peak.cost(), seconds(story.at(peak.t_ms)));
                    g class=(format!("point {}", class(life.phase))) tabindex="0" role="img" aria-label=(label) data-bytes=(peak.cost().0) {
                        circle class="top" cx=(px(x)) cy=(px(y)) r="4.5" {}
                        (self.tip(x, y - 12.0, &label))
                    }
                }
            }
            @for mark in story.timeline.marks() { (self.moment(mark)) }
        }
    }

    fn moment(&self, mark: &Mark) -> Markup {
        let at = self.story.at(mark.t_ms);
        let x = self.plot.x(at);
        let (y, shape) = match mark.moment {
            Moment::Spawn { .. } => (LANES[1], "M-5.5 5L0 -5L5.5 5Z"),
            Moment::Loaded { .. } => (LANES[1], "M-4.5 -4.5H4.5V4.5H-4.5Z"),
            Moment::Exit { ref class, .. } if class != "clean" => (LANES[0], "M-5 -5L5 5M5 -5L-5 5"),
            Moment::Exit { .. } => (LANES[0], "M-5.5 -5L0 5L5.5 -5Z"),
            Moment::Checkpoint { .. } => (LANES[2], "M0 -5L5 0L0 5L-5 0Z"),
        };
        let class = match mark.moment {
            Moment::Spawn { phase, .. } | Moment::Loaded { phase, .. } | Moment::Exit { phase, .. } => class(phase),
            Moment::Checkpoint { .. } => "whole",
        };
        let died = matches!(&mark.moment, Moment::Exit { class, .. } if class != "clean");
        let label = format!("{}: {}", seconds(at), moment_label(&mark.moment));
        html! {
            g class=(format!("point {class}")) tabindex="0" role="img" aria-label=(label) {
                path class=(if died { "glyph died" } else { "glyph" }) transform=(format!("translate({} {})", px(x), px(y))) d=(shape) {}
                (self.tip(x, y + 20.0, &label))
            }
        }
    }

    /// Words that are there while the pointer or the focus is.
    fn tip(&self, x: f64, y: f64, label: &str) -> Markup {
        let anchor = if x < self.plot.left + (self.plot.right - self.plot.left) / 3.0 {
            "start"
        } else if x > self.plot.right - (self.plot.right - self.plot.left) / 3.0 {
            "end"
        } else {
            "middle"
        };
        html! {
            text class="tip" x=(px(x)) y=(px(y.max(14.0))) text-anchor=(anchor) aria-hidden="true" { (label) }
        }
    }
}

/// Which bound the lower panel is about.
fn room_name(story: &Story<'_>, ledger: &Ledger, size: Size) -> String {
    let Some(sample) = story
        .timeline
        .samples()
        .iter()
        .max_by(|one, other| one.percent_used().unwrap_or(0.0).total_cmp(&other.percent_used().unwrap_or(0.0)))
    else {
        return String::new();
    };
    if sample.limit_bytes == Bytes(0) {
        return "Memory in use of the tightest limit".to_owned();
    }
    let of = ledger.limits.iter().find(|limit: &&Limit| limit.limit == sample.limit_bytes);
    let of = of.map_or_else(|| "the tightest limit".to_owned(), |limit| one_line(&limit.of.to_string()));
    let most = if size.has_strips { 80 } else { 18 };
    let short: String = if of.chars().count() > most { of.chars().take(most - 1).chain(['…']).collect() } else { of };
    if size.has_strips {
        format!("Memory in use by everybody, of the {} of {short}", sample.limit_bytes)
    } else {
        format!("In use of {}, {short}", sample.limit_bytes)
    }
}

fn life_label(life: &Life) -> String {
    let peak = life.peak().map_or(Bytes(0), crate::memory::Sample::cost);
    format!(
        "{} worker, process {}, from {} to {}, highest sample {peak}",
        sentences::phase_name(life.phase),
        life.pid,
        seconds(life.from),
        seconds(life.to)
    )
}

/// What a mark says.
pub(super) fn moment_label(moment: &Moment) -> String {
    match moment {
        Moment::Spawn { phase, pid } => format!("{} worker started, process {pid}", sentences::phase_name(*phase)),
        Moment::Loaded { phase, .. } => format!("{} model loaded", sentences::phase_name(*phase)),
        Moment::Exit { phase, pid, class } => {
            format!("{} worker ended ({}), process {pid}", sentences::phase_name(*phase), one_line(class))
        }
        Moment::Checkpoint { name } => format!("checkpoint {}", one_line(name)),
    }
}
