//! A gate as its file describes it.

use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::event::Severity;
use crate::query::sql_file::{self, Entry, HeaderProblem, has_query, is_plain_name, list};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    pub name: String,
    pub severity: Severity,
    /// Tables that must hold a row of the candidate.
    pub needs: Vec<Needs>,
    pub description: Option<String>,
    /// The whole file, so that a line number in an error is one of the file's.
    pub sql: String,
    pub file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Evaluation,
    Signature,
    GoldenRows,
}

/// Everything that is wrong in the gates' folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct GateErrors(pub Vec<GateError>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {problem}", file.display())]
pub struct GateError {
    pub file: PathBuf,
    pub line: usize,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("holds no gate: copy sql/gates here, or correct registry.gates.directory")]
    NoGates,
    #[error(
        "'{0}' is no header line: write '-- key: value', and separate free comments from the header with a '--' line"
    )]
    NotAHeader(String),
    #[error("unknown header '{0}': use name, severity, needs or description")]
    UnknownHeader(String),
    #[error("header '{0}' stands twice")]
    RepeatedHeader(String),
    #[error("has no name: add a line '-- name: what_it_asks_for'")]
    NoName,
    #[error("name '{0}' is not a plain name: use letters, digits and _")]
    BadName(String),
    #[error("name '{name}' is already taken by {other}", other = other.display())]
    DuplicateName { name: String, other: PathBuf },
    #[error("severity '{0}' is unknown: use info, warning or critical")]
    BadSeverity(String),
    #[error("'needs: {0}' is unknown: use evaluation, signature, golden_rows or nothing")]
    BadNeeds(String),
    #[error("has no query: write a SELECT that returns the rows that fail")]
    NoQuery,
    #[error("{0}")]
    Query(String),
}

impl Gate {
    /// The gate in `text`, or everything that is wrong with it.
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, Vec<GateError>> {
        let mut gate = Self {
            name: String::new(),
            severity: Severity::Critical,
            needs: vec![Needs::Evaluation],
            description: None,
            sql: text.to_owned(),
            file: file.to_owned(),
        };
        let (entries, problems) = sql_file::header(text);
        let mut errors = Vec::new();
        let mut report = |line, problem| errors.push(GateError { file: file.to_owned(), line, problem });
        for (line, problem) in problems {
            report(
                line,
                match problem {
                    HeaderProblem::NotAHeader(comment) => Problem::NotAHeader(comment),
                    HeaderProblem::Repeated(key) => Problem::RepeatedHeader(key),
                },
            );
        }
        for entry in &entries {
            if let Err(problem) = gate.apply(entry) {
                report(entry.line, problem);
            }
        }
        if !entries.iter().any(|entry| entry.key == "name") {
            report(1, Problem::NoName);
        }
        if !has_query(text) {
            report(text.lines().count().max(1), Problem::NoQuery);
        }
        if errors.is_empty() { Ok(gate) } else { Err(errors) }
    }

    #[must_use]
    pub fn sha256(&self) -> String {
        format!("{:x}", Sha256::digest(&self.sql))
    }

    fn apply(&mut self, entry: &Entry<'_>) -> Result<(), Problem> {
        let value = entry.value;
        match entry.key {
            "name" if is_plain_name(value) => value.clone_into(&mut self.name),
            "name" => return Err(Problem::BadName(value.to_owned())),
            "severity" => {
                self.severity = Severity::parse(value).ok_or_else(|| Problem::BadSeverity(value.to_owned()))?;
            }
            "needs" if value == "nothing" => self.needs.clear(),
            "needs" => self.needs = list(value).map(Needs::parse).collect::<Result<_, _>>()?,
            "description" => self.description = Some(value.to_owned()),
            unknown => return Err(Problem::UnknownHeader(unknown.to_owned())),
        }
        Ok(())
    }
}

impl Needs {
    const ALL: [Self; 3] = [Self::Evaluation, Self::Signature, Self::GoldenRows];

    #[must_use]
    pub const fn table(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Signature => "signature",
            Self::GoldenRows => "golden_rows",
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|needs| needs.table() == text);
        found.ok_or_else(|| Problem::BadNeeds(text.to_owned()))
    }
}

impl fmt::Display for GateErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}
