//! The frame of a time chart: scales, ticks and paths. Colours come from the page's style sheet.

use std::fmt::Write;

use maud::{Markup, PreEscaped, Render, html};

use super::text;
use crate::clock::Timestamp;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 26.0;
/// The smallest distance of two labels.
const TICK_HEIGHT: f64 = 24.0;
const TICK_WIDTH: f64 = 110.0;

/// How values are spread over the height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    /// Keeps a threshold visible below values that are many times larger.
    SquareRoot,
}

#[derive(Clone, Debug)]
pub(super) struct Frame {
    from: Timestamp,
    to: Timestamp,
    low: f64,
    high: f64,
    scale: Scale,
}

/// A coordinate, written with one decimal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixel(pub f64);

impl Render for Pixel {
    fn render_to(&self, buffer: &mut String) {
        // Writing to a string does not fail.
        let _ = write!(buffer, "{:.1}", self.0);
    }
}

impl Frame {
    pub(super) fn new(times: &[Timestamp], (low, high): (f64, f64), scale: Scale) -> Self {
        let from = times.iter().min().copied().unwrap_or_default();
        let to = times.iter().max().copied().unwrap_or_default();
        Self { from, to, low, high, scale }
    }

    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let length = self.to.since(self.from).millis() as f64;
        let room = WIDTH - LEFT - RIGHT;
        if length <= 0.0 {
            return LEFT + room / 2.0;
        }
        LEFT + room * at.since(self.from).millis() as f64 / length
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let spread = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::SquareRoot => value.max(0.0).sqrt(),
        };
        let range = spread(self.high) - spread(self.low);
        let share = if range > 0.0 { (spread(value) - spread(self.low)) / range } else { 0.5 };
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share.clamp(0.0, 1.0)
    }

    /// A line through the points, broken where a value is unknown.
    pub(super) fn path(&self, points: &[(Timestamp, Option<f64>)]) -> String {
        let mut path = String::new();
        let mut pen = 'M';
        for (at, value) in points {
            let Some(value) = value.filter(|value| value.is_finite()) else {
                pen = 'M';
                continue;
            };
            let _ = write!(path, "{pen}{:.1} {:.1}", self.x(*at), self.y(value));
            pen = 'L';
        }
        path
    }

    /// The outline between lower and upper bounds; one outline per unbroken run.
    pub(super) fn band(&self, points: &[(Timestamp, Option<(f64, f64)>)]) -> String {
        let runs = points.split(|(_, bounds)| bounds.is_none());
        let mut path = String::new();
        for run in runs.filter(|run| run.len() > 1) {
            let lower = run.iter().filter_map(|(at, bounds)| bounds.map(|(lower, _)| (*at, lower)));
            let upper = run.iter().rev().filter_map(|(at, bounds)| bounds.map(|(_, upper)| (*at, upper)));
            let outline: Vec<_> = lower.chain(upper).map(|(at, value)| (at, Some(value))).collect();
            path.push_str(&self.path(&outline));
            path.push('Z');
        }
        path
    }

    /// The axes, with `content` between the grid and the labels.
    pub(super) fn draw(&self, description: &str, times: &[Timestamp], content: &Markup) -> Markup {
        let (left, right, foot) = (Pixel(LEFT), Pixel(WIDTH - RIGHT), Pixel(HEIGHT - BOTTOM));
        let values = self.value_ticks();
        html! {
            svg viewBox=(PreEscaped(format!("0 0 {WIDTH} {HEIGHT}"))) role="img" aria-label=(description) {
                @for value in &values {
                    line.grid x1=(left) x2=(right) y1=(Pixel(self.y(*value))) y2=(Pixel(self.y(*value))) {}
                    text.tick x=(Pixel(LEFT - 6.0)) y=(Pixel(self.y(*value) + 3.5)) text-anchor="end" { (value) }
                }
                line.axis x1=(left) x2=(right) y1=(foot) y2=(foot) {}
                (content)
                @for at in self.time_ticks(times) {
                    line.axis x1=(Pixel(self.x(at))) x2=(Pixel(self.x(at))) y1=(foot) y2=(Pixel(HEIGHT - BOTTOM + 4.0)) {}
                    text.tick x=(Pixel(self.x(at))) y=(Pixel(HEIGHT - 8.0)) text-anchor=(self.anchor(at)) {
                        (text::tick(at, self.to.since(self.from)))
                    }
                }
            }
        }
    }

    /// A horizontal line over the whole width, with its name at the right end, where the latest windows are.
    pub(super) fn mark(&self, value: f64, class: &str, name: &str) -> Markup {
        let y = self.y(value);
        html! {
            line class=(class) x1=(Pixel(LEFT)) x2=(Pixel(WIDTH - RIGHT)) y1=(Pixel(y)) y2=(Pixel(y)) {}
            text.(class) x=(Pixel(WIDTH - RIGHT - 4.0)) y=(Pixel(y - 4.0)) text-anchor="end" { (name) }
        }
    }

    /// Labels at the ends would stick out if they were centred.
    fn anchor(&self, at: Timestamp) -> &'static str {
        match self.x(at) {
            x if x < LEFT + 36.0 => "start",
            x if x > WIDTH - RIGHT - 36.0 => "end",
            _ => "middle",
        }
    }

    /// Round values, far enough from each other to be read.
    fn value_ticks(&self) -> Vec<f64> {
        let mut ticks: Vec<f64> = Vec::new();
        let candidates = match self.scale {
            Scale::Linear => steps(self.low, self.high),
            Scale::SquareRoot => powers(self.high),
        };
        for value in candidates {
            let apart = ticks.last().is_none_or(|last| self.y(*last) - self.y(value) >= TICK_HEIGHT);
            if apart && value >= self.low && value <= self.high {
                ticks.push(value);
            }
        }
        ticks
    }

    /// Some of `times`, which are in order, far enough from each other to be read.
    fn time_ticks(&self, times: &[Timestamp]) -> Vec<Timestamp> {
        let mut ticks: Vec<Timestamp> = Vec::new();
        for at in times {
            if ticks.last().is_none_or(|last| self.x(*at) - self.x(*last) >= TICK_WIDTH) {
                ticks.push(*at);
            }
        }
        ticks
    }
}

/// Multiples of a step of 1, 2 or 5 times a power of ten, about five of them between `low` and `high`.
fn steps(low: f64, high: f64) -> Vec<f64> {
    let range = high - low;
    if !range.is_finite() || range <= 0.0 {
        return vec![low];
    }
    let rough = range / 7.0;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * magnitude >= rough).unwrap_or(10.0);
    let step = factor * magnitude;
    let first = (low / step).ceil();
    (0..=10).map(|index| round((first + f64::from(index)) * step)).collect()
}

/// 0, then 1, 2 and 5 times powers of ten from a hundredth on.
fn powers(high: f64) -> Vec<f64> {
    let mut values = vec![0.0];
    for exponent in -2..=9 {
        let magnitude = 10_f64.powi(exponent);
        values.extend([1.0, 2.0, 5.0].map(|factor| round(factor * magnitude)).into_iter().filter(|v| *v <= high));
    }
    values
}

/// Away with what binary arithmetic adds to a decimal.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Span;

    fn at(day: i64) -> Timestamp {
        Timestamp::default().plus(Span::from_days(day))
    }

    #[test]
    fn a_line_breaks_where_a_value_is_unknown() {
        let frame = Frame::new(&[at(0), at(3)], (0.0, 1.0), Scale::Linear);
        let path = frame.path(&[(at(0), Some(0.0)), (at(1), None), (at(2), Some(0.5)), (at(3), Some(1.0))]);
        assert_eq!(path.matches('M').count(), 2);
        assert_eq!(path.matches('L').count(), 1);
    }

    #[test]
    fn ticks_are_round_numbers_within_the_range() {
        let frame = Frame::new(&[at(0)], (0.893, 0.951), Scale::Linear);
        assert_eq!(frame.value_ticks(), [0.9, 0.91, 0.92, 0.93, 0.94, 0.95]);
        let frame = Frame::new(&[at(0)], (0.0, 0.6), Scale::SquareRoot);
        assert_eq!(frame.value_ticks(), [0.0, 0.01, 0.05, 0.2, 0.5]);
    }

    #[test]
    fn a_single_window_and_a_flat_value_are_drawn_in_the_middle() {
        let frame = Frame::new(&[at(0)], (0.5, 0.5), Scale::Linear);
        assert!(frame.x(at(0)) > LEFT && frame.x(at(0)) < WIDTH - RIGHT);
        assert!(frame.y(0.5).is_finite());
    }
}
