//! A model card as Markdown.

use std::fmt::Write;

use super::card::{Card, WRITTEN};

/// Rows of a table; the JSON has them all.
const SHOWN: usize = 30;

pub(super) fn markdown(card: &Card) -> String {
    let lineage = &card.lineage;
    let mut text = format!("# {}, version {}\n\n", plain(&lineage.model), lineage.version);
    let mut line = |what: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = text.write_fmt(what);
        text.push('\n');
    };
    line(format_args!(
        "{}\n",
        if card.description.is_empty() { "No description.".to_owned() } else { plain(&card.description) }
    ));
    line(format_args!("- Stage: {}", lineage.stage.name()));
    if !lineage.aliases.is_empty() {
        line(format_args!("- Aliases: {}", plain(&lineage.aliases.join(", "))));
    }
    line(format_args!("- Registered: {} by {}", lineage.created_at, plain(&lineage.created_by)));
    for name in WRITTEN {
        let written = card.written.get(name).map_or("*To be written by a person.*".to_owned(), |text| plain(text));
        line(format_args!("\n## {}\n\n{written}", title(name)));
    }

    line(format_args!("\n## Origin\n"));
    line(format_args!("- Files: {}", plain(&lineage.source)));
    line(format_args!("- Run: {}", plain(lineage.run_id.as_deref().unwrap_or("not known"))));
    line(format_args!("- Code: {}", plain(lineage.code.version.as_deref().unwrap_or("not known"))));
    for data in &lineage.data {
        let name = data.name.as_ref().map(|name| format!("{}, ", plain(name))).unwrap_or_default();
        line(format_args!("- Data ({}): {name}{}", data.kind, plain(&data.digest)));
    }
    if let Some(offsets) = &lineage.offsets {
        line(format_args!("- Training range: {}", plain(&offsets.to_string())));
    }
    for (key, value) in &lineage.params {
        line(format_args!("- Parameter {}: {}", plain(key), plain(value)));
    }
    for metric in &lineage.metrics {
        line(format_args!("- Metric {}: {}", plain(&metric.key), number(metric.value)));
    }

    line(format_args!(
        "\n## Performance in production\n\n| Segment | Metric | Value | Interval | n |\n|---|---|---|---|---|"
    ));
    for row in card.performance.iter().take(SHOWN) {
        let segment = plain(row.segment.as_deref().unwrap_or("everybody"));
        let interval = format!("{} to {}", number(row.row.lower), number(row.row.upper));
        let metric = row.row.metric.name();
        line(format_args!("| {segment} | {metric} | {} | {interval} | {} |", number(row.row.value), row.row.n));
    }

    line(format_args!("\n## Fairness\n\n| Attribute | Metric | Value | Worst group |\n|---|---|---|---|"));
    for row in card.fairness.iter().take(SHOWN) {
        let worst = plain(row.worst_group.as_deref().unwrap_or_default());
        let attribute = plain(&row.attribute);
        line(format_args!("| {attribute} | {} | {} | {worst} |", row.metric.name(), number(row.value)));
    }

    line(format_args!("\n## Drift since deployment\n\n| Window | Predictions | Drifted |\n|---|---|---|"));
    for window in card.drift.iter().take(SHOWN) {
        let drifted = if window.drifted.is_empty() { "none".to_owned() } else { plain(&window.drifted.join(", ")) };
        let (start, end) = (window.window_start, window.window_end);
        line(format_args!("| {start} to {end} | {} | {drifted} |", window.predictions));
    }
    text
}

/// `intended_use` as a title.
fn title(name: &str) -> String {
    let mut words = name.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.4}"))
}

/// Text of others, which must neither end a cell nor become markup.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '<' | '>' | '[' | ']' | '`' | '\\' | '*' | '#' => {
                plain.push('\\');
                plain.push(character);
            }
            '\n' | '\r' => plain.push(' '),
            other => plain.push(other),
        }
    }
    plain
}
