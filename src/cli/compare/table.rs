//! The comparison as rows of text, which every format for people shows.

use crate::event::{FairnessRow, MultivariateRow, PerformanceRow, Verdict};

use super::detect::FoundAt;
use super::report::{ColumnReport, Comparison, PartReport, is_bad};

/// Rows of a table, the first of which is its head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TextTable {
    pub(super) title: String,
    pub(super) rows: Vec<Vec<String>>,
}

/// One line that says it all.
pub(super) fn headline(comparison: &Comparison) -> String {
    let verdict = match comparison.verdict {
        Verdict::Ok => "no drift".to_owned(),
        Verdict::Insufficient => "too little data to say anything".to_owned(),
        other => other.name().to_owned(),
    };
    format!(
        "{verdict}: {} ({} rows) against {} ({} rows)",
        comparison.current, comparison.n_current, comparison.reference, comparison.n_reference
    )
}

/// A table of columns for the whole file, or else one line per window and segment; performance and fairness.
pub(super) fn tables(comparison: &Comparison) -> Vec<TextTable> {
    let mut tables = Vec::new();
    let whole = comparison.parts.iter().find(|part| part.window_start.is_none() && part.segment.is_none());
    if let Some(whole) = whole {
        tables.push(TextTable { title: "Columns".to_owned(), rows: column_rows(whole) });
        if !whole.performance.is_empty() {
            tables.push(TextTable { title: "Performance".to_owned(), rows: performance_rows(&whole.performance) });
        }
        if !whole.multivariate.is_empty() {
            tables.push(TextTable { title: "Together".to_owned(), rows: together_rows(&whole.multivariate) });
        }
        if !whole.fairness.is_empty() {
            tables.push(TextTable { title: "Fairness".to_owned(), rows: fairness_rows(&whole.fairness) });
        }
    }
    if !comparison.detections.is_empty() {
        tables.push(TextTable { title: "Detections".to_owned(), rows: detection_rows(&comparison.detections) });
    }
    let parts: Vec<&PartReport> =
        comparison.parts.iter().filter(|part| part.window_start.is_some() || part.segment.is_some()).collect();
    if !parts.is_empty() {
        let title = if comparison.window.is_some() { "Windows" } else { "Segments" };
        tables.push(TextTable { title: title.to_owned(), rows: part_rows(&parts) });
    }
    tables
}

fn column_rows(part: &PartReport) -> Vec<Vec<String>> {
    let mut rows =
        vec![texts(&["column", "kind", "verdict", "decided by", "statistic", "threshold", "p-value", "remarks"])];
    for column in &part.columns {
        let decided = column.drift.iter().find(|row| row.decides && row.verdict == column.verdict);
        let decided = decided.or_else(|| column.drift.iter().find(|row| row.decides));
        rows.push(vec![
            column.name.clone(),
            format!("{:?}", column.kind).to_lowercase(),
            column.verdict.name().to_owned(),
            decided.map_or_else(String::new, |row| row.method.to_string()),
            decided.and_then(|row| row.statistic).map_or_else(String::new, number),
            decided.map_or_else(String::new, |row| number(row.threshold)),
            decided.and_then(|row| row.p_value).map_or_else(String::new, number),
            remarks(column),
        ]);
    }
    rows
}

fn remarks(column: &ColumnReport) -> String {
    let failed = column.quality.iter().filter(|row| row.verdict == Verdict::Failed);
    let mut remarks: Vec<String> = failed
        .map(|row| {
            let rates = row.value.zip(row.reference).filter(|_| row.rule.is_rate() && row.p_value.is_some());
            match (rates, &row.detail) {
                (Some((value, reference)), _) => format!("{} {} (was {})", row.rule, number(value), number(reference)),
                (None, Some(detail)) => format!("{}: {detail}", row.rule),
                (None, None) => row.rule.to_string(),
            }
        })
        .collect();
    if column.verdict == Verdict::Insufficient {
        let details = column.drift.iter().filter(|row| row.decides).filter_map(|row| row.detail.clone());
        remarks.extend(details.chain(column.quality.iter().filter_map(|row| row.detail.clone())).take(1));
    }
    remarks.join("; ")
}

fn performance_rows(performance: &[PerformanceRow]) -> Vec<Vec<String>> {
    let mut rows = vec![texts(&["metric", "verdict", "reference", "current", "95 % interval", "estimated", "n"])];
    for row in performance {
        let interval = row.lower.zip(row.upper).map(|(lower, upper)| format!("{} – {}", number(lower), number(upper)));
        rows.push(vec![
            row.metric.to_string(),
            row.verdict.name().to_owned(),
            row.reference.map_or_else(String::new, number),
            row.value.map_or_else(String::new, number),
            interval.unwrap_or_default(),
            row.estimated.map_or_else(String::new, number),
            row.n.to_string(),
        ]);
    }
    rows
}

fn together_rows(multivariate: &[MultivariateRow]) -> Vec<Vec<String>> {
    let mut rows = vec![texts(&["method", "verdict", "reference", "current", "p-value", "remarks"])];
    for row in multivariate {
        rows.push(vec![
            row.method.name().to_owned(),
            row.verdict.name().to_owned(),
            row.reference.map_or_else(String::new, number),
            row.statistic.map_or_else(String::new, number),
            row.p_value.map_or_else(String::new, number),
            row.detail.clone().unwrap_or_default(),
        ]);
    }
    rows
}

fn fairness_rows(fairness: &[FairnessRow]) -> Vec<Vec<String>> {
    let mut rows =
        vec![texts(&["attribute", "metric", "verdict", "value", "threshold", "worst group", "n", "remarks"])];
    for row in fairness {
        rows.push(vec![
            row.attribute.clone(),
            row.metric.to_string(),
            row.verdict.name().to_owned(),
            row.value.map_or_else(String::new, number),
            row.threshold.map_or_else(String::new, number),
            row.worst_group.clone().unwrap_or_default(),
            row.n.to_string(),
            row.detail.clone().unwrap_or_default(),
        ]);
    }
    rows
}

fn detection_rows(detections: &[FoundAt]) -> Vec<Vec<String>> {
    let mut rows = vec![texts(&["series", "detector", "signal", "row", "time"])];
    for found in detections {
        rows.push(vec![
            found.series.clone(),
            found.detector.to_string(),
            found.signal.to_owned(),
            found.row.to_string(),
            found.time.map_or_else(String::new, |time| time.to_string()),
        ]);
    }
    rows
}

fn part_rows(parts: &[&PartReport]) -> Vec<Vec<String>> {
    let mut rows =
        vec![texts(&["window", "segment", "rows", "verdict", "columns that differ", "performance", "fairness"])];
    for part in parts {
        let columns = part.columns.iter().filter(|column| is_bad(column.verdict)).map(|column| column.name.as_str());
        let together = part.multivariate.iter().filter(|row| is_bad(row.verdict)).map(|row| row.method.name());
        let differ: Vec<&str> = columns.chain(together).collect();
        let decayed = part.performance.iter().filter(|row| row.verdict == Verdict::Decay);
        let decayed: Vec<String> =
            decayed.map(|row| format!("{} {}", row.metric, row.value.map_or_else(String::new, number))).collect();
        let unfair = part.fairness.iter().filter(|row| row.verdict == Verdict::Failed);
        let unfair: Vec<String> = unfair.map(|row| format!("{} {}", row.attribute, row.metric)).collect();
        rows.push(vec![
            part.window_start.map_or_else(String::new, |start| start.to_string()),
            part.segment.clone().unwrap_or_default(),
            part.n_current.to_string(),
            part.verdict.name().to_owned(),
            differ.join(", "),
            decayed.join(", "),
            unfair.join(", "),
        ]);
    }
    rows
}

/// Four significant digits, and powers of ten where nothing else says it shortly.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.1e}");
    }
    let digits = if size >= 1_000.0 {
        0
    } else if size >= 10.0 {
        2
    } else {
        4
    };
    format!("{value:.digits$}")
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
