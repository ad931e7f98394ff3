//! Files of runs and models on an object store, each whole or not there at all.
//!
//! Beside each file stands its SHA-256, with the tag that the store gave the file when it was written: a digest of
//! another content under the same name is never shown.

mod digest;
mod path;
mod store;
#[cfg(test)]
mod tests;

pub use path::ArtifactPath;
pub use store::{Artifacts, Entry, Found, Stored};

/// Where files go and how large they may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactSettings {
    /// `file:///path`, `file://./relative/path` or `s3://bucket/prefix`.
    pub url: String,
    /// Largest file in bytes.
    pub max_file: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("artifact path '{path}' is refused: {reason}")]
    Path { path: String, reason: &'static str },
    #[error("there is no artifact '{path}'")]
    Missing { path: String },
    #[error("artifact '{path}' is larger than {limit} bytes, which registry.max_artifact allows")]
    TooLarge { path: String, limit: u64 },
    #[error("artifact '{path}' has {size} bytes, at most {limit} are read")]
    Large { path: String, size: u64, limit: u64 },
    #[error("artifact '{path}' is not what was uploaded: its sha256 is {found}, noted is {noted}")]
    Changed { path: String, found: String, noted: String },
    /// Nothing of it is kept.
    #[error("upload of artifact '{path}' broke off: {reason}")]
    BrokenOff { path: String, reason: String },
    #[error("artifact '{path}' could not be {action}: {reason}")]
    Storage { path: String, action: &'static str, reason: String },
}
