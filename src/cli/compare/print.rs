//! The comparison for people: on a terminal, in Markdown, or as a page.

use maud::{DOCTYPE, html};

use super::report::Comparison;
use super::table::{TextTable, headline, tables};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b2733}\
     table{border-collapse:collapse;margin:1rem 0;width:100%}th,td{border-bottom:1px solid #d5dce3;padding:.35rem .6rem;\
     text-align:left}th{background:#f2f5f8}.drift,.decay,.failed{color:#b3261e;font-weight:600}.ok{color:#1a7f4b}\
     .insufficient{color:#8a6d1a}";

pub(super) fn text(comparison: &Comparison) -> String {
    let mut lines = vec![headline(comparison)];
    for table in tables(comparison) {
        let widths = widths(&table);
        lines.extend([String::new(), table.title]);
        for row in &table.rows {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            lines.push(format!("  {}", cells.join("  ")).trim_end().to_owned());
        }
    }
    lines.join("\n") + "\n"
}

pub(super) fn markdown(comparison: &Comparison) -> String {
    let mut lines = vec![format!("# {}", escaped(&headline(comparison)))];
    for table in tables(comparison) {
        lines.extend([String::new(), format!("## {}", table.title), String::new()]);
        for (index, row) in table.rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
            lines.push(format!("| {} |", cells.join(" | ")));
            if index == 0 {
                lines.push(format!("|{}", " --- |".repeat(row.len())));
            }
        }
    }
    lines.join("\n") + "\n"
}

pub(super) fn page(comparison: &Comparison) -> String {
    let tables = tables(comparison);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (headline(comparison)) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { (headline(comparison)) }
                @for table in &tables {
                    h2 { (table.title) }
                    table {
                        @for (index, row) in table.rows.iter().enumerate() {
                            tr {
                                @for cell in row {
                                    @if index == 0 { th { (cell) } } @else { td class=[class_of(cell)] { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    markup.into_string()
}

/// Verdicts have a colour.
fn class_of(cell: &str) -> Option<&str> {
    ["ok", "drift", "decay", "failed", "insufficient"].contains(&cell).then_some(cell)
}

fn widths(table: &TextTable) -> Vec<usize> {
    let columns = table.rows.first().map_or(0, Vec::len);
    let width = |column: usize| table.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    (0..columns).map(width).collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('\n', " ")
}
