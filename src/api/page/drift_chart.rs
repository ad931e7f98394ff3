//! PSI of every feature over the closed windows: those that drifted in colour, the others grey.

use maud::{Markup, html};

use super::chart::{Frame, Pixel, Scale};
use super::text;
use crate::clock::Timestamp;
use crate::event::{DriftRow, Verdict, WindowReport};
use crate::model::Method;

/// Colours in the style sheet: `c0` to `c5`.
const COLOURS: usize = 6;

struct Series<'a> {
    feature: &'a str,
    rows: Vec<(&'a WindowReport, Option<&'a DriftRow>)>,
}

/// Windows from the oldest to the newest; none without a statistic to show.
pub(super) fn draw(windows: &[&WindowReport]) -> Option<Markup> {
    let mut series = series(windows);
    series.retain(|series| series.values().next().is_some());
    let highest = series.iter().flat_map(Series::values).fold(f64::NEG_INFINITY, f64::max);
    if !highest.is_finite() {
        return None;
    }
    // Windows carry the thresholds of their time; the newest is the one in force.
    let threshold = series.iter().filter_map(|series| series.last()).map(|row| row.threshold).next_back()?;
    let (mut drifted, calm): (Vec<_>, Vec<_>) = series.iter().partition(|series| series.has_drifted());
    drifted.sort_by(|a, b| b.latest().total_cmp(&a.latest()).then_with(|| a.feature.cmp(b.feature)));

    let times: Vec<Timestamp> = windows.iter().map(|window| window.window_end).collect();
    let frame = Frame::new(&times, (0.0, (highest * 1.08).max(threshold * 1.8)), Scale::SquareRoot);
    let content = html! {
        @for series in &calm { path.calm d=(frame.path(&series.points())) { title { (series.feature) } } }
        (frame.mark(threshold, "threshold", &format!("threshold {threshold}")))
        @for (index, series) in drifted.iter().enumerate().rev() { (coloured(&frame, series, index)) }
    };
    Some(html! {
        figure {
            figcaption { "Drift: PSI by end of window" span.note { "square-root scale" } }
            (frame.draw("PSI of each feature over the closed windows", &times, &content))
            (legend(&drifted, calm.len()))
        }
    })
}

fn coloured(frame: &Frame, series: &Series<'_>, index: usize) -> Markup {
    let class = colour(index);
    html! {
        path class={ "line " (class) } d=(frame.path(&series.points())) { title { (series.feature) } }
        @for (window, row) in &series.rows {
            @if let Some(row) = row && let Some(statistic) = row.statistic {
                circle class={ "dot " (class) } cx=(Pixel(frame.x(window.window_end))) cy=(Pixel(frame.y(statistic)))
                    r=(if row.verdict == Verdict::Drift { "3.2" } else { "1.6" }) {
                    title {
                        (series.feature) ": " (format!("{statistic:.3}")) " (" (row.verdict.name()) ") in "
                        (text::instant(window.window_start)) " – " (text::instant(window.window_end))
                    }
                }
            }
        }
    }
}

fn legend(drifted: &[&Series<'_>], calm: usize) -> Markup {
    html! {
        ul.legend {
            @for (index, series) in drifted.iter().enumerate() {
                li { span class={ "swatch " (colour(index)) } {} (series.feature) " " b { (format!("{:.3}", series.latest())) } }
            }
            @if calm > 0 {
                li.quiet { span.swatch.calm {} (calm) @if drifted.is_empty() { " features, none drifted" } @else { " others, none drifted" } }
            }
        }
    }
}

fn colour(index: usize) -> String {
    if index < COLOURS { format!("c{index}") } else { "more".to_owned() }
}

fn series<'a>(windows: &[&'a WindowReport]) -> Vec<Series<'a>> {
    let mut features: Vec<&str> = Vec::new();
    for row in windows.iter().flat_map(|window| &window.drift).filter(|row| row.method == Method::Psi) {
        if !features.contains(&row.feature.as_str()) {
            features.push(&row.feature);
        }
    }
    features.sort_unstable();
    let of = |feature| {
        let row = |window: &'a WindowReport| {
            (window, window.drift.iter().find(|row| row.method == Method::Psi && row.feature == feature))
        };
        Series { feature, rows: windows.iter().map(|window| row(window)).collect() }
    };
    features.into_iter().map(of).collect()
}

impl Series<'_> {
    fn points(&self) -> Vec<(Timestamp, Option<f64>)> {
        self.rows.iter().map(|(window, row)| (window.window_end, row.and_then(|row| row.statistic))).collect()
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.rows.iter().filter_map(|(_, row)| row.and_then(|row| row.statistic)).filter(|value| value.is_finite())
    }

    fn last(&self) -> Option<&DriftRow> {
        self.rows.iter().rev().find_map(|(_, row)| *row)
    }

    fn latest(&self) -> f64 {
        self.values().last().unwrap_or(0.0)
    }

    /// By the verdict: a large statistic of a small window is no drift.
    fn has_drifted(&self) -> bool {
        self.rows.iter().any(|(_, row)| row.is_some_and(|row| row.verdict == Verdict::Drift))
    }
}
