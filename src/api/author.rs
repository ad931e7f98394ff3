//! Who makes a change, and why, for the audit.

use axum::http::HeaderMap;

use super::credentials;

/// Why a change is made.
const REASON: &str = "plimsoll-reason";
const LONGEST_REASON: usize = 1_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Author {
    pub(super) user: String,
    pub(super) reason: String,
}

impl Author {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let reason = headers.get(REASON).and_then(|reason| reason.to_str().ok()).unwrap_or_default();
        Self {
            user: credentials::user(headers).unwrap_or_else(|| "anonymous".to_owned()),
            reason: reason.chars().take(LONGEST_REASON).collect(),
        }
    }
}
