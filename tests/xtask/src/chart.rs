//! Memory over time as an SVG. Pure: measurements in, text out.
//!
//! ```text
//!   whole run                        the hand-over, enlarged
//!   ┌─ worker-stt ────────────┬─┐    ┌ worker-stt ┐ ┌ worker-llm ┐
//!   │- - - both at once - - - - │    │- - - - - - - - - - - - - - │
//!   │▁▟████████████████████████ │    │████████████   ▂▂▂▂▂▂▂▂▂▂▂▂ │
//!   └───────────────────────────┘    └────────────────────────────┘
//! ```
//!
//! A worker's area stands on the supervisor's: the upper edge is the total. Both panels share the scale of memory.

use std::fmt::Write;

use crate::plot::{Panel, area, escape, line_text, ticks};

/// What was in use at one moment, in MiB; `None` while that worker is not running.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) supervisor: f64,
    pub(crate) stt: Option<f64>,
    pub(crate) llm: Option<f64>,
}

impl Sample {
    fn total(&self) -> f64 {
        self.supervisor + self.stt.unwrap_or(0.0) + self.llm.unwrap_or(0.0)
    }
}

/// One of the three processes.
struct Process {
    name: &'static str,
    fill: &'static str,
    edge: &'static str,
    of: fn(&Sample) -> Option<f64>,
}

const SUPERVISOR: Process =
    Process { name: "supervisor", fill: "#57606a", edge: "#24292f", of: |sample| Some(sample.supervisor) };
const WORKERS: [Process; 2] = [
    Process { name: "worker-stt", fill: "#b3d1f2", edge: "#1f5fa8", of: |sample| sample.stt },
    Process { name: "worker-llm", fill: "#f8cfa0", edge: "#b85c00", of: |sample| sample.llm },
];

impl Process {
    fn peak(&self, samples: &[Sample]) -> f64 {
        samples.iter().filter_map(self.of).fold(0.0, f64::max)
    }

    /// From when until when it was seen.
    fn life(&self, samples: &[Sample]) -> Option<(f64, f64)> {
        let mut seen = samples.iter().filter(|sample| (self.of)(sample).is_some()).map(|sample| sample.seconds);
        let first = seen.next()?;
        Some((first, seen.next_back().unwrap_or(first)))
    }
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 440.0;
const TOP: f64 = 112.0;
const BOTTOM: f64 = 350.0;
const BAND: f64 = 20.0;
const WHOLE: (f64, f64) = (56.0, 548.0);
const ENLARGED: (f64, f64) = (640.0, 936.0);
const TEXT: &str = "#1f2328";
const WARNING: &str = "#b3261e";

/// `title` is the headline, `caption` the lines under the picture.
pub(crate) fn draw(samples: &[Sample], title: &str, caption: &[String]) -> String {
    let together: f64 = WORKERS.iter().map(|worker| worker.peak(samples)).sum();
    let highest = samples.iter().map(Sample::total).fold(together, f64::max);
    let steps = ticks(0.0, highest * 1.12, 6);
    let most = steps.last().copied().unwrap_or(1.0) + steps.get(1).copied().unwrap_or(1.0);
    let mut scale: Vec<f64> = steps;
    scale.push(most);

    let end = samples.last().map_or(0.0, |sample| sample.seconds);
    let whole = panel(WHOLE, (0.0, end), most);
    let enlarged = hand_over(samples).map(|span| panel(ENLARGED, span, most));
    let mut svg = opening(title);
    legend(&mut svg, samples);
    if let Some(enlarged) = &enlarged {
        lens(&mut svg, &whole, enlarged);
    }
    draw_panel(&mut svg, &whole, "whole run", samples, &scale);
    both_at_once(&mut svg, &whole, samples);
    highest_total(&mut svg, &whole, samples);
    if let Some(enlarged) = &enlarged {
        draw_panel(&mut svg, enlarged, "the hand-over, enlarged", samples, &scale);
        dashed(&mut svg, enlarged, together);
    }
    for (row, text) in caption.iter().enumerate() {
        let y = HEIGHT - 12.0 - 17.0 * (caption.len() - 1 - row) as f64;
        line_text(&mut svg, (16.0, y), "start", "#57606a", text);
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn panel((left, right): (f64, f64), (from, to): (f64, f64), most: f64) -> Panel {
    Panel { left, right, top: TOP, bottom: BOTTOM, from, to, most }
}

fn opening(title: &str) -> String {
    let title = escape(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\">\n<title>{title}</title>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"#ffffff\" stroke=\"#d0d7de\"/>\n\
         <g font-family=\"sans-serif\" font-size=\"13\">\n\
         <text x=\"16\" y=\"28\" font-size=\"16\" font-weight=\"bold\" fill=\"{TEXT}\">{title}</text>\n",
        WIDTH - 1.0,
        HEIGHT - 1.0
    )
}

/// Each process with its own peak.
fn legend(svg: &mut String, samples: &[Sample]) {
    let mut x = 16.0;
    for process in [&WORKERS[0], &WORKERS[1], &SUPERVISOR] {
        rectangle(svg, (x, 43.0), (12.0, 12.0), process.fill, process.edge);
        let text = format!("{}: at most {:.1} MiB", process.name, process.peak(samples));
        line_text(svg, (x + 18.0, 54.0), "start", TEXT, &text);
        x += 220.0;
    }
}

fn rectangle(svg: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str, edge: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\" stroke=\"{edge}\"/>"
    );
}

/// From shortly before the first worker is gone to the end of the run.
fn hand_over(samples: &[Sample]) -> Option<(f64, f64)> {
    let (_, gone) = WORKERS[0].life(samples)?;
    WORKERS[1].life(samples)?;
    let end = samples.last()?.seconds;
    let wanted = gone - 0.6 * (end - gone);
    let from = samples.iter().map(|sample| sample.seconds).find(|seconds| *seconds >= wanted)?;
    (end > gone).then_some((from, end))
}

/// Shows which part of the whole run is enlarged.
fn lens(svg: &mut String, whole: &Panel, enlarged: &Panel) {
    let left = whole.x(enlarged.from);
    rectangle(svg, (left, TOP), (enlarged.left - left, BOTTOM - TOP), "#eef1f4", "none");
}

fn draw_panel(svg: &mut String, panel: &Panel, name: &str, samples: &[Sample], scale: &[f64]) {
    line_text(svg, (panel.left, TOP - BAND - 8.0), "start", TEXT, name);
    memory_axis(svg, panel, scale);
    for worker in &WORKERS {
        process_area(svg, panel, worker, samples, |sample| (worker.of)(sample).map(|own| own + sample.supervisor));
        phase_band(svg, panel, worker, samples);
    }
    process_area(svg, panel, &SUPERVISOR, samples, SUPERVISOR.of);
    time_axis(svg, panel);
}

fn memory_axis(svg: &mut String, panel: &Panel, scale: &[f64]) {
    for &mebibytes in scale {
        let y = panel.y(mebibytes);
        straight(svg, (panel.left, y), (panel.right, y), "#d0d7de", "");
        line_text(svg, (panel.left - 8.0, y + 4.0), "end", TEXT, &format!("{mebibytes:.0}"));
    }
    line_text(svg, (panel.left - 8.0, panel.top - 14.0), "end", TEXT, "MiB");
}

fn time_axis(svg: &mut String, panel: &Panel) {
    straight(svg, (panel.left, panel.bottom), (panel.right, panel.bottom), TEXT, "");
    let times = ticks(panel.from, panel.to, 6);
    let decimals = usize::from(times.iter().any(|time| (time - time.round()).abs() > 1e-6));
    for time in times {
        let x = panel.x(time);
        straight(svg, (x, panel.bottom), (x, panel.bottom + 5.0), TEXT, "");
        line_text(svg, (x, panel.bottom + 19.0), "middle", TEXT, &format!("{time:.decimals$}"));
    }
    line_text(svg, (panel.right, panel.bottom + 36.0), "end", TEXT, "seconds");
}

fn straight(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str, more: &str) {
    let _ =
        writeln!(svg, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"{more}/>");
}

fn process_area(
    svg: &mut String,
    panel: &Panel,
    process: &Process,
    samples: &[Sample],
    height: impl Fn(&Sample) -> Option<f64>,
) {
    let points: Vec<(f64, f64)> = samples.iter().filter_map(|sample| Some((sample.seconds, height(sample)?))).collect();
    if let Some(path) = area(panel, &points) {
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"{}\" stroke=\"{}\" stroke-linejoin=\"round\"/>",
            process.fill, process.edge
        );
    }
}

/// A bar over the time in which the worker lives, with its name where there is room for it.
fn phase_band(svg: &mut String, panel: &Panel, worker: &Process, samples: &[Sample]) {
    let Some((first, last)) = worker.life(samples) else { return };
    if last <= panel.from || first >= panel.to {
        return;
    }
    let (left, right) = (panel.x(first.max(panel.from)), panel.x(last.min(panel.to)));
    rectangle(svg, (left, panel.top - BAND), (right - left, BAND - 4.0), worker.fill, worker.edge);
    if right - left > 76.0 {
        line_text(svg, ((left + right) / 2.0, panel.top - 8.0), "middle", TEXT, worker.name);
    }
}

/// What the run would have needed had the two models been in memory together.
fn both_at_once(svg: &mut String, panel: &Panel, samples: &[Sample]) {
    let [stt, llm] = [WORKERS[0].peak(samples), WORKERS[1].peak(samples)];
    dashed(svg, panel, stt + llm);
    let text = format!("both models at once would take {:.1} MiB ({stt:.1} + {llm:.1})", stt + llm);
    line_text(svg, (panel.left + 8.0, panel.y(stt + llm) - 6.0), "start", WARNING, &text);
}

fn dashed(svg: &mut String, panel: &Panel, mebibytes: f64) {
    let y = panel.y(mebibytes);
    straight(svg, (panel.left, y), (panel.right, y), WARNING, " stroke-width=\"1.5\" stroke-dasharray=\"6 4\"");
}

/// A dot where the total is highest, and how high that is.
fn highest_total(svg: &mut String, panel: &Panel, samples: &[Sample]) {
    let Some(highest) = samples.iter().max_by(|one, other| one.total().total_cmp(&other.total())) else { return };
    let (x, y) = (panel.x(highest.seconds), panel.y(highest.total()));
    let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{TEXT}\"/>");
    let (anchor, aside) = if x > (panel.left + panel.right) / 2.0 { ("end", -8.0) } else { ("start", 8.0) };
    let text = format!("peak of all three processes: {:.1} MiB", highest.total());
    line_text(svg, (x + aside, y + 20.0), anchor, TEXT, &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred seconds of the first worker, one without any, five of the second.
    fn samples() -> Vec<Sample> {
        let at = |tick: u32| {
            let seconds = f64::from(tick) / 10.0;
            let stt = (tick < 1000).then(|| 40.0 + f64::from(tick % 7) + f64::from(tick) / 100.0);
            let llm = (tick >= 1010).then(|| 5.0 + f64::from(tick % 3));
            Sample { seconds, supervisor: 1.0, stt, llm }
        };
        (0..1060).map(at).collect()
    }

    fn drawn() -> String {
        draw(&samples(), "a < b & c", &["first".to_owned(), "second".to_owned()])
    }

    /// Every tag that is opened is closed, in order.
    fn assert_balanced(svg: &str) {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect("a tag ends");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().expect("a tag has a name"));
            }
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        }
        assert_eq!(open, [""; 0]);
    }

    #[test]
    fn the_picture_is_well_formed_escaped_and_small() {
        let svg = drawn();
        assert_balanced(&svg);
        assert!(svg.contains("a &lt; b &amp; c") && !svg.contains("NaN") && !svg.contains("inf"));
        assert!(svg.len() < 30_000, "{} bytes", svg.len());
    }

    #[test]
    fn peaks_are_those_of_the_samples() {
        let svg = drawn();
        assert!(svg.contains("both models at once would take 62.9 MiB (55.9 + 7.0)"), "{svg}");
        assert!(svg.contains("peak of all three processes: 56.9 MiB"));
        assert!(svg.contains("supervisor: at most 1.0 MiB"));
    }

    #[test]
    fn both_phases_are_named_in_the_panel_that_has_room_for_them() {
        let svg = drawn();
        assert_eq!(svg.matches(">worker-stt</text>").count(), 2);
        assert_eq!(svg.matches(">worker-llm</text>").count(), 1);
    }

    #[test]
    fn a_run_without_a_second_phase_and_one_without_samples_are_drawn_too() {
        let only_stt: Vec<Sample> = samples().into_iter().take(900).collect();
        assert_balanced(&draw(&only_stt, "t", &[]));
        let nothing = draw(&[], "t", &[]);
        assert_balanced(&nothing);
        assert!(!nothing.contains("NaN") && !nothing.contains("inf"));
    }
}
