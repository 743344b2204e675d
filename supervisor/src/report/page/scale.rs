//! Coordinates, round numbers and outlines. Pure.

use std::fmt::Write;

/// A rectangle of a picture, and the span of time (seconds) and height (in any unit) that it shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) most: f64,
}

impl Panel {
    pub(super) fn x(&self, seconds: f64) -> f64 {
        let part = (seconds - self.from) / (self.to - self.from).max(f64::EPSILON);
        self.left + part.clamp(0.0, 1.0) * (self.right - self.left)
    }

    pub(super) fn y(&self, height: f64) -> f64 {
        let part = height / self.most.max(f64::EPSILON);
        self.bottom - part.clamp(0.0, 1.0) * (self.bottom - self.top)
    }

    pub(super) fn middle(&self) -> f64 {
        f64::midpoint(self.left, self.right)
    }
}

/// As an attribute.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Round numbers (1, 2 or 5 times a power of ten apart) from 0 to `to`, about `wanted` of them.
#[expect(clippy::cast_precision_loss, reason = "a handful of ticks")]
pub(super) fn ticks(to: f64, wanted: usize) -> Vec<f64> {
    if !(to > 0.0 && to.is_finite()) {
        return vec![0.0];
    }
    let rough = to / wanted as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    (0..=2 * wanted).map(|index| index as f64 * step).take_while(|tick| *tick <= to * (1.0 + 1e-9)).collect()
}

/// The outline of the area between two lines, as the `d` of a path. Points are seconds, lower and upper height.
pub(super) fn area(panel: &Panel, points: &[(f64, f64, f64)]) -> String {
    let mut path = String::new();
    let mut go = |x: f64, y: f64| {
        let letter = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{letter}{} {}", px(panel.x(x)), px(panel.y(y)));
    };
    points.iter().for_each(|(x, _, upper)| go(*x, *upper));
    points.iter().rev().for_each(|(x, lower, _)| go(*x, *lower));
    if !path.is_empty() {
        path.push('Z');
    }
    path
}

/// A line through points of seconds and height.
pub(super) fn line(panel: &Panel, points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in points {
        let letter = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{letter}{} {}", px(panel.x(x)), px(panel.y(y)));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANEL: Panel = Panel { left: 10.0, right: 110.0, top: 0.0, bottom: 50.0, from: 0.0, to: 10.0, most: 100.0 };

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(24.0, 6), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(ticks(110.0, 6), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(0.0, 6), [0.0]);
        assert_eq!(ticks(f64::INFINITY, 6), [0.0]);
    }

    #[test]
    fn an_area_runs_along_its_upper_line_and_back_along_its_lower() {
        let points = [(0.0, 0.0, 20.0), (5.0, 10.0, 80.0)];
        assert_eq!(area(&PANEL, &points), "M10 40L60 10L60 45L10 50Z");
        assert_eq!(area(&PANEL, &[]), "");
    }

    #[test]
    fn nothing_is_drawn_outside_of_its_panel() {
        assert_eq!((PANEL.x(-5.0), PANEL.x(99.0)), (10.0, 110.0));
        assert_eq!((PANEL.y(-5.0), PANEL.y(1e300)), (50.0, 0.0));
        let empty = Panel { to: 0.0, most: 0.0, ..PANEL };
        assert!(empty.x(1.0).is_finite() && empty.y(1.0).is_finite());
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!((px(12.0), px(12.34), px(-0.04)), ("12".to_owned(), "12.3".to_owned(), "-0".to_owned()));
    }
}
