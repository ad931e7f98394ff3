//! Files of one query each: checks and gates. What the query means is for whoever runs it; here is what they share.
//!
//! A file starts with its header, one `-- key: value` per line; the header ends at the first line that is no comment, or
//! at an empty comment line, after which comments are free.

use std::io;
use std::path::{Path, PathBuf};

use super::QueryError;

/// A header line: its key, value and line number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub key: &'a str,
    pub value: &'a str,
    pub line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderProblem {
    NotAHeader(String),
    Repeated(String),
}

/// The header's entries, and what is wrong with it by line number.
#[must_use]
pub fn header(text: &str) -> (Vec<Entry<'_>>, Vec<(usize, HeaderProblem)>) {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut problems = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        let Some(comment) = text.trim().strip_prefix("--").map(str::trim) else { break };
        if comment.is_empty() {
            break;
        }
        let Some((key, value)) = comment.split_once(':').map(|(key, value)| (key.trim(), value.trim())) else {
            problems.push((line, HeaderProblem::NotAHeader(comment.to_owned())));
            continue;
        };
        if entries.iter().any(|entry| entry.key == key) {
            problems.push((line, HeaderProblem::Repeated(key.to_owned())));
            continue;
        }
        entries.push(Entry { key, value, line });
    }
    (entries, problems)
}

/// Where a header stands, for errors that are found after the file was read.
#[must_use]
pub fn line_of(text: &str, key: &str) -> usize {
    let is_key = |line: &str| {
        let header = line.trim().strip_prefix("--").and_then(|comment| comment.split_once(':'));
        header.is_some_and(|(found, _)| found.trim() == key)
    };
    text.lines().position(is_key).map_or(1, |index| index + 1)
}

#[must_use]
pub fn has_query(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with("--") && line != ";")
}

/// Letters, digits and `_`.
#[must_use]
pub fn is_plain_name(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// The elements between commas.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// The `.sql` files of a folder, by file name.
pub fn sql_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The line of the file that an error is about: the parser ends its messages with `at Line: 3, Column: 7`; for others it
/// is where the statement begins.
#[must_use]
pub fn line_of_error(error: &QueryError, text: &str) -> usize {
    line_in(error).unwrap_or_else(|| {
        let is_code = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with("--");
        text.lines().position(is_code).map_or(1, |index| index + 1)
    })
}

fn line_in(error: &QueryError) -> Option<usize> {
    let QueryError::Syntax(message) = error else { return None };
    let (_, place) = message.split_once("Line: ")?;
    place.split(',').next()?.trim().parse().ok()
}
