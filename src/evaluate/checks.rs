//! SQL checks: files whose query returns the rows that fail; no row means that the check passed.
//!
//! A file starts with its header, one `-- key: value` per line; the header ends at the first line that is no comment, or
//! at an empty comment line, after which comments are free:
//!
//! ```sql
//! -- name: slow
//! -- severity: critical
//! -- for: 2 windows
//! --
//! -- Slow answers make the caller fall back to its rules.
//! SELECT latency_p99_ms FROM windows WHERE model = $model AND …
//! ```

mod header;
mod load;
mod runner;
#[cfg(test)]
mod shipped_tests;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use crate::event::{Severity, WindowReport};
use crate::model::WindowSize;

pub use load::load_checks;
pub use runner::{CheckOutcome, CheckRunner};

/// A check as its file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    pub severity: Severity,
    /// Consecutive failing windows before the alert fires.
    pub windows_for: u32,
    /// Only windows of these sizes are checked; empty is every size.
    pub sizes: Vec<WindowSize>,
    /// Whether windows of segments are checked beside those of the whole population.
    pub segments: bool,
    pub when: When,
    /// Channels that the file names; empty is all.
    pub notify: Vec<String>,
    pub description: Option<String>,
    /// The whole file, so that a line number in an error is one of the file's.
    pub sql: String,
    pub file: PathBuf,
}

/// Which reports of a window are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Every revision.
    #[default]
    Revision,
    /// Only the first report after the window closed.
    Close,
}

/// Everything that is wrong in the checks' folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CheckErrors(pub Vec<CheckError>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {problem}", file.display())]
pub struct CheckError {
    pub file: PathBuf,
    pub line: usize,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error(
        "'{0}' is no header line: write '-- key: value', and separate free comments from the header with a '--' line"
    )]
    NotAHeader(String),
    #[error("unknown header '{0}': use name, severity, for, windows, segments, on, notify or description")]
    UnknownHeader(String),
    #[error("header '{0}' stands twice")]
    RepeatedHeader(String),
    #[error("has no name: add a line '-- name: what_it_checks'")]
    NoName,
    #[error("name '{0}' is not a plain name: use letters, digits and _")]
    BadName(String),
    #[error("name '{name}' is already taken by {other}", other = other.display())]
    DuplicateName { name: String, other: PathBuf },
    #[error("severity '{0}' is unknown: use info, warning or critical")]
    BadSeverity(String),
    #[error("'for: {0}' is not a number of windows: write '2 windows'")]
    BadFor(String),
    #[error("{0}")]
    BadWindow(String),
    #[error("'segments: {0}' is unknown: use yes or no")]
    BadSegments(String),
    #[error("'on: {0}' is unknown: use revision or close")]
    BadOn(String),
    #[error("channel '{0}' is unknown: use email")]
    BadChannel(String),
    #[error("has no query: write a SELECT that returns the rows that fail")]
    NoQuery,
    #[error("{0}")]
    Query(String),
}

impl Check {
    /// Whether this check looks at windows of that size and population.
    #[must_use]
    pub fn applies_to(&self, report: &WindowReport) -> bool {
        let size = self.sizes.is_empty() || self.sizes.contains(&report.window_size);
        size && (self.segments || report.population.segment.is_none())
    }
}

impl fmt::Display for CheckErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}
