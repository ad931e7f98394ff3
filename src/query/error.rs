//! Why a query has no answer, in words for the one who wrote it.

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::clock::Span;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("the query is empty: write one SELECT")]
    Empty,
    #[error("{0} statements in one query: send them one by one")]
    ManyStatements(usize),
    #[error("the query is too long: at most {tokens} words and signs, and {bytes} bytes, are accepted")]
    TooLong { tokens: usize, bytes: usize },
    #[error("{0} is not allowed: the tables are read-only, so use SELECT, WITH, EXPLAIN, SHOW TABLES or DESCRIBE")]
    ReadOnly(String),
    /// The text is no SQL.
    #[error("syntax error: {0}")]
    Syntax(String),
    /// The text is SQL, but names or types in it do not fit the tables.
    #[error("{0}")]
    Plan(String),
    #[error("the query took longer than {0}: ask for fewer windows, or raise the limit")]
    Timeout(Span),
    #[error("the query needs more memory than it may use: ask for fewer rows, or raise the limit ({0})")]
    Memory(String),
    #[error("the query failed while it ran: {0}")]
    Execution(String),
    /// A bug, here or in DataFusion.
    #[error("the query failed for no fault of its own: {0}")]
    Internal(String),
    #[error("the answer cannot be written as {format}: {detail}")]
    Format { format: &'static str, detail: String },
}

impl QueryError {
    /// Stable, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "query_empty",
            Self::ManyStatements(_) => "query_many_statements",
            Self::TooLong { .. } => "query_too_long",
            Self::ReadOnly(_) => "query_read_only",
            Self::Syntax(_) => "query_syntax",
            Self::Plan(_) => "query_plan",
            Self::Timeout(_) => "query_timeout",
            Self::Memory(_) => "query_memory",
            Self::Execution(_) => "query_execution",
            Self::Internal(_) => "query_internal",
            Self::Format { .. } => "query_format",
        }
    }

    /// Whether another query may help; otherwise the service is to blame.
    #[must_use]
    pub const fn is_callers_fault(&self) -> bool {
        !matches!(self, Self::Internal(_) | Self::Format { .. })
    }

    pub(super) fn from_planning(error: &DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::SQL(parser, _) => Self::Syntax(parser_message(parser)),
            DataFusionError::ResourcesExhausted(message) => Self::Memory(clean(message)),
            DataFusionError::Internal(message) => Self::Internal(clean(message)),
            root => Self::Plan(clean(&root.message())),
        }
    }

    pub(super) fn from_execution(error: &DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(message) => Self::Memory(clean(message)),
            DataFusionError::Internal(message) => Self::Internal(clean(message)),
            root => Self::Execution(clean(&root.message())),
        }
    }
}

fn parser_message(error: &ParserError) -> String {
    match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => clean(message),
        ParserError::RecursionLimitExceeded => "the query is nested too deeply".to_owned(),
    }
}

/// The first line of DataFusion's message in the house's style: no catalogue prefix, lower case, no full stop.
fn clean(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().replace("plimsoll.public.", "");
    let line = line.trim().trim_end_matches('.');
    let mut letters = line.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => line.to_owned(),
    }
}
