//! Plain text in aligned columns.

use std::fmt;

/// Rows under a header; every column is as wide as its widest cell.
#[derive(Clone, Debug, Default)]
pub struct TextTable {
    columns: Vec<(String, Alignment)>,
    rows: Vec<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    Left,
    Right,
}

impl TextTable {
    pub fn new(columns: impl IntoIterator<Item = (String, Alignment)>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row with one cell per column; line breaks inside a cell become spaces.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row.into_iter().map(|cell| cell.replace(['\n', '\r'], " ")).collect());
    }

    /// The header, a rule and the rows, without the count that ends the whole.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let widths = self.widths();
        let mut lines = Vec::new();
        if !self.columns.is_empty() {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            lines.push(self.line(&widths, self.columns.iter().map(|(name, _)| name.as_str())));
            lines.push(rule.join("-+-"));
        }
        lines.extend(self.rows.iter().map(|row| self.line(&widths, row.iter().map(String::as_str))));
        lines.into_iter()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(name, _)| name.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }

    fn line<'a>(&self, widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
        let padded: Vec<String> = cells
            .zip(widths)
            .zip(&self.columns)
            .map(|((cell, width), (_, alignment))| match alignment {
                Alignment::Left => format!("{cell:<width$}"),
                Alignment::Right => format!("{cell:>width$}"),
            })
            .collect();
        padded.join(" | ").trim_end().to_owned()
    }
}

impl fmt::Display for TextTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            writeln!(f, "{line}")?;
        }
        let plural = if self.rows.len() == 1 { "" } else { "s" };
        writeln!(f, "({} row{plural})", self.rows.len())
    }
}
