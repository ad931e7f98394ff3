//! What can be wrong with a data file.

use std::fmt;

use super::ColumnRole;

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("data file '{file}' does not exist")]
    NotFound { file: String },
    #[error("data file '{file}' cannot be read: {reason}")]
    Unreadable { file: String, reason: String },
    #[error("data file '{file}' has no format that is known: its name must end in .parquet, .csv, .ndjson or .jsonl")]
    UnknownFormat { file: String },
    #[error("data file '{file}' holds no rows")]
    Empty { file: String },
    #[error("data file '{file}' has more than one column named '{column}'")]
    Duplicate { file: String, column: String },
    #[error("data file '{file}' has {}; its columns are {}", join(missing, "; it has "), names(columns))]
    Missing { file: String, missing: Vec<MissingColumn>, columns: Vec<String> },
    #[error(
        "data file '{file}' has columns that are neither numbers nor categories: {}; name them in columns.ignore (or with \
         --ignore-column), or give them a type under model.features",
        join(columns, ", ")
    )]
    Unfit { file: String, columns: Vec<UnfitColumn> },
    #[error("data file '{file}', column '{column}'{}: {reason}", row_text(*row))]
    Column { file: String, column: String, row: Option<u64>, reason: String },
    #[error(
        "data file '{file}' is not in the order of its column '{column}' and too large to be sorted in memory (more than \
         {} MiB): sort it first", limit >> 20
    )]
    Unsorted { file: String, column: String, limit: usize },
}

/// Why a column cannot be read as what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ColumnError {
    /// Index in the column, when one value is at fault.
    pub row: Option<usize>,
    pub reason: String,
}

/// A column that is needed and not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingColumn {
    pub name: String,
    /// None for a feature.
    pub role: Option<ColumnRole>,
    pub nearest: Option<String>,
}

/// A column that can be no feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfitColumn {
    pub name: String,
    pub data_type: String,
}

impl ColumnError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { row: None, reason: reason.into() }
    }

    pub(super) fn at(row: usize, reason: impl Into<String>) -> Self {
        Self { row: Some(row), reason: reason.into() }
    }

    /// Says where: `first_row` is the number of the column's first row in the file, counted from 1.
    #[must_use]
    pub fn within(self, file: &str, column: &str, first_row: u64) -> FileError {
        FileError::Column {
            file: file.to_owned(),
            column: column.to_owned(),
            row: self.row.map(|row| first_row + row as u64),
            reason: self.reason,
        }
    }
}

impl fmt::Display for MissingColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = self.nearest.as_ref().map(|nearest| format!("did you mean '{nearest}'?"));
        let remedy = self.role.map(|role| format!("set {}", role.remedy()));
        match self.role {
            Some(role) => write!(f, "no column '{}' for the {role}", self.name)?,
            None => write!(f, "no column '{}', which model.features names", self.name)?,
        }
        match (hint, remedy) {
            (None, None) => Ok(()),
            (Some(advice), None) | (None, Some(advice)) => write!(f, " ({advice})"),
            (Some(hint), Some(remedy)) => write!(f, " ({hint} if not, {remedy})"),
        }
    }
}

impl fmt::Display for UnfitColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' ({})", self.name, self.data_type)
    }
}

fn join<T: fmt::Display>(items: &[T], separator: &str) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}

/// Wide files would bury the message, so only the first names are shown.
fn names(columns: &[String]) -> String {
    const SHOWN: usize = 40;
    let shown = columns.iter().take(SHOWN).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    match columns.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

fn row_text(row: Option<u64>) -> String {
    row.map(|row| format!(", row {row}")).unwrap_or_default()
}
