//! One performance metric over the closed windows, with its confidence band and the reference.

use maud::{Markup, html};

use super::chart::{Frame, Pixel, Scale};
use super::text;
use crate::clock::Timestamp;
use crate::event::{PerformanceRow, Verdict, WindowReport};
use crate::model::Metric;

/// Windows from the oldest to the newest; none while no outcome is known.
pub(super) fn draw(windows: &[&WindowReport], metric: Metric) -> Option<Markup> {
    let rows: Vec<(&WindowReport, Option<&PerformanceRow>)> =
        windows.iter().map(|window| (*window, row_of(window, metric))).collect();
    let known = || rows.iter().filter_map(|(window, row)| row.map(|row| (*window, row)));
    let reference = known().filter_map(|(_, row)| row.reference).next_back();
    let values: Vec<f64> = known()
        .filter(|(_, row)| row.value.is_some())
        .flat_map(|(_, row)| [row.value, row.lower, row.upper])
        .flatten()
        .filter(|value| value.is_finite())
        .collect();
    if values.is_empty() {
        return None;
    }
    let low = values.iter().copied().chain(reference).fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().chain(reference).fold(f64::NEG_INFINITY, f64::max);
    let margin = ((high - low) * 0.12).max(0.005);

    let times: Vec<Timestamp> = windows.iter().map(|window| window.window_end).collect();
    let frame = Frame::new(&times, (low - margin, high + margin), Scale::Linear);
    let points: Vec<_> = rows.iter().map(|(window, row)| (window.window_end, row.and_then(|row| row.value))).collect();
    let bands: Vec<_> = rows.iter().map(|(window, row)| (window.window_end, row.and_then(bounds))).collect();
    let content = html! {
        path.band d=(frame.band(&bands)) {}
        @if let Some(reference) = reference {
            (frame.mark(reference, "reference", &format!("reference {reference:.3}")))
        }
        path.line.c2 d=(frame.path(&points)) {}
        @for (window, row) in known() {
            @if let Some(value) = row.value { (dot(&frame, window, row, value)) }
        }
    };
    Some(html! {
        figure {
            figcaption { (title(metric)) " by end of window" span.note { "with its confidence interval" } }
            (frame.draw(&format!("{} over the closed windows", title(metric)), &times, &content))
            ul.legend {
                li { span.swatch.c2 {} (title(metric).to_lowercase()) }
                li { span.swatch.decayed {} "decayed" }
            }
        }
    })
}

pub(super) fn row_of(window: &WindowReport, metric: Metric) -> Option<&PerformanceRow> {
    window.performance.iter().find(|row| row.metric == metric)
}

fn dot(frame: &Frame, window: &WindowReport, row: &PerformanceRow, value: f64) -> Markup {
    let decayed = row.verdict == Verdict::Decay;
    html! {
        circle class=(if decayed { "dot decayed" } else { "dot c2" }) cx=(Pixel(frame.x(window.window_end)))
            cy=(Pixel(frame.y(value))) r=(if decayed { "3.6" } else { "2.2" }) {
            title {
                (format!("{value:.3}"))
                @if let Some((lower, upper)) = bounds(row) { (format!(" [{lower:.3}, {upper:.3}]")) }
                " (" (row.verdict.name()) ", n=" (text::count(row.n)) ") in "
                (text::instant(window.window_start)) " – " (text::instant(window.window_end))
            }
        }
    }
}

fn bounds(row: &PerformanceRow) -> Option<(f64, f64)> {
    row.value.and(row.lower.zip(row.upper))
}

fn title(metric: Metric) -> &'static str {
    match metric {
        Metric::Accuracy => "Accuracy",
        Metric::Precision => "Precision",
        Metric::Recall => "Recall",
        Metric::F1 => "F1",
        Metric::RocAuc => "ROC AUC",
        other => other.name(),
    }
}
