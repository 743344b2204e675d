//! Coordinates, ticks and outlines for `chart`.

use std::fmt::Write;

/// A rectangle of the picture, and the span of time and memory that it shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) most: f64,
}

impl Panel {
    pub(crate) fn x(&self, seconds: f64) -> f64 {
        let part = (seconds - self.from) / (self.to - self.from).max(f64::EPSILON);
        self.left + part.clamp(0.0, 1.0) * (self.right - self.left)
    }

    pub(crate) fn y(&self, mebibytes: f64) -> f64 {
        self.bottom - mebibytes / self.most * (self.bottom - self.top)
    }

    fn shows(&self, seconds: f64) -> bool {
        (self.from..=self.to).contains(&seconds)
    }
}

/// Round numbers (1, 2 or 5 times a power of ten apart) from `from` to `to`, about `wanted` of them.
pub(crate) fn ticks(from: f64, to: f64, wanted: usize) -> Vec<f64> {
    let span = to - from;
    if span <= 0.0 {
        return Vec::new();
    }
    let rough = span / wanted as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let first = (from / step - 1e-9).ceil();
    (0..=2 * wanted).map(|index| (first + index as f64) * step).take_while(|tick| *tick <= to + 1e-9).collect()
}

/// The outline of the area under `points` (seconds and MiB, in order) as the `d` of a path; `None` when the panel shows
/// nothing of it.
pub(crate) fn area(panel: &Panel, points: &[(f64, f64)]) -> Option<String> {
    let shown = points.iter().filter(|(seconds, _)| panel.shows(*seconds));
    let dots: Vec<(f64, f64)> = shown.map(|&(seconds, mebibytes)| (panel.x(seconds), panel.y(mebibytes))).collect();
    let dots = thinned(&dots, MOST_DOTS);
    let (first, last) = (dots.first()?, dots.last()?);
    let mut path = format!("M{:.1} {:.1}", first.0, panel.bottom);
    for (x, y) in &dots {
        let _ = write!(path, "L{x:.1} {y:.1}");
    }
    let _ = write!(path, "L{:.1} {:.1}Z", last.0, panel.bottom);
    Some(path)
}

const MOST_DOTS: usize = 400;

/// Leaves out what the eye would not miss: a dot stays when without it the line would pass more than a third of a pixel
/// above or below it, or more where that would leave too many.
fn thinned(dots: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    let mut tolerance = 0.3;
    loop {
        let kept = kept(dots, tolerance);
        if kept.len() <= most {
            return kept;
        }
        tolerance *= 1.5;
    }
}

/// Ramer's and Douglas and Peucker's method, measuring straight up and down.
fn kept(dots: &[(f64, f64)], tolerance: f64) -> Vec<(f64, f64)> {
    let Some(last) = dots.len().checked_sub(1) else { return Vec::new() };
    let mut keep = vec![false; dots.len()];
    (keep[0], keep[last]) = (true, true);
    let mut open = vec![(0, last)];
    while let Some((from, to)) = open.pop() {
        let away = |index: usize| (dots[index].1 - on_line(dots[from], dots[to], dots[index].0)).abs();
        let farthest = (from + 1..to).max_by(|&one, &other| away(one).total_cmp(&away(other)));
        if let Some(farthest) = farthest.filter(|&index| away(index) > tolerance) {
            keep[farthest] = true;
            open.extend([(from, farthest), (farthest, to)]);
        }
    }
    dots.iter().zip(keep).filter_map(|(dot, keep)| keep.then_some(*dot)).collect()
}

fn on_line(from: (f64, f64), to: (f64, f64), x: f64) -> f64 {
    let width = to.0 - from.0;
    if width <= 0.0 { from.1 } else { from.1 + (to.1 - from.1) * (x - from.0) / width }
}

pub(crate) fn line_text(svg: &mut String, (x, y): (f64, f64), anchor: &str, colour: &str, text: &str) {
    let text = escape(text);
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>");
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANEL: Panel = Panel { left: 10.0, right: 110.0, top: 0.0, bottom: 50.0, from: 0.0, to: 10.0, most: 100.0 };

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 24.0, 6), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(ticks(0.0, 110.0, 6), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let fine: Vec<String> = ticks(23.05, 23.75, 6).iter().map(|tick| format!("{tick:.1}")).collect();
        assert_eq!(fine, ["23.2", "23.4", "23.6"]);
        assert_eq!(ticks(1.0, 1.0, 6), []);
    }

    #[test]
    fn an_area_goes_from_the_left_to_the_right_and_stands_on_the_axis() {
        let points = [(0.0, 20.0), (5.0, 80.0), (10.0, 40.0)];
        assert_eq!(area(&PANEL, &points).as_deref(), Some("M10.0 50.0L10.0 40.0L60.0 10.0L110.0 30.0L110.0 50.0Z"));
        assert_eq!(area(&PANEL, &[(11.0, 20.0)]), None);
        assert_eq!(area(&PANEL, &[]), None);
    }

    #[test]
    fn thinning_keeps_the_ends_the_peak_and_the_order() {
        let mut dots: Vec<(f64, f64)> = (0..5000).map(|x| (f64::from(x) / 10.0, 100.0 - f64::from(x % 5))).collect();
        dots[2345].1 = 3.0;
        let thin = thinned(&dots, 300);
        assert!(thin.len() <= 300 && thin.contains(&dots[2345]));
        assert_eq!((thin.first(), thin.last()), (dots.first(), dots.last()));
        assert!(thin.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_straight_line_needs_its_ends_only() {
        let dots: Vec<(f64, f64)> = (0..100).map(|x| (f64::from(x), f64::from(x) * 2.0)).collect();
        assert_eq!(thinned(&dots, 300), [(0.0, 0.0), (99.0, 198.0)]);
        assert_eq!(thinned(&[], 300), []);
        assert_eq!(thinned(&dots[..1], 300), [(0.0, 0.0)]);
    }
}
