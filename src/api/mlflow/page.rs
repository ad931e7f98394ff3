//! Lists in pages. A token is the number of rows that were shown before.

use axum::Json;
use serde::Serialize;
use serde_json::{Value, json};

use super::call::Call;
use super::error::MlflowError;

/// Rows of a page, by default and at most.
pub(super) type Sizes = (usize, usize);

pub(super) const EXPERIMENTS: Sizes = (1_000, 50_000);
pub(super) const RUNS: Sizes = (1_000, 50_000);
pub(super) const MODELS: Sizes = (100, 1_000);
pub(super) const VERSIONS: Sizes = (10_000, 200_000);
pub(super) const LOGGED_MODELS: Sizes = (100, 1_000);
pub(super) const WEBHOOKS: Sizes = (100, 1_000);
pub(super) const POINTS: Sizes = (25_000, 25_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    start: usize,
    size: usize,
}

impl Page {
    pub(super) fn of(call: &Call, (usual, most): Sizes) -> Result<Self, MlflowError> {
        let size = match call.integer("max_results")? {
            None | Some(0) => usual,
            Some(size) => usize::try_from(size).ok().filter(|size| *size <= most).ok_or_else(|| {
                MlflowError::invalid(format!(
                    "Invalid value {size} for parameter 'max_results' supplied: it lies from 1 to {most}"
                ))
            })?,
        };
        let start = match call.text_or_empty("page_token")?.as_str() {
            "" => 0,
            token => token.parse().map_err(|_| {
                MlflowError::invalid(format!("Invalid page token '{}'", token.chars().take(50).collect::<String>()))
            })?,
        };
        Ok(Self { start, size })
    }

    /// The rows of this page, and the token of the next one if there is one.
    pub(super) fn cut<'a, T>(&self, rows: &'a [T]) -> (&'a [T], Option<String>) {
        let start = self.start.min(rows.len());
        let end = start.saturating_add(self.size).min(rows.len());
        (&rows[start..end], (end < rows.len()).then(|| end.to_string()))
    }
}

pub(super) fn listed<T: Serialize>(name: &str, rows: &[T], next: Option<String>) -> Json<Value> {
    let mut answer = json!({ name: rows });
    if let Some(next) = next {
        answer["next_page_token"] = next.into();
    }
    Json(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_where_the_rows_end() {
        let rows = [1, 2, 3];
        let cut = |start, size| Page { start, size }.cut(&rows);
        assert_eq!(cut(0, 2), (&rows[..2], Some("2".to_owned())));
        assert_eq!(cut(2, 2), (&rows[2..], None));
        assert_eq!(cut(usize::MAX, usize::MAX), (&rows[3..], None));
    }
}
