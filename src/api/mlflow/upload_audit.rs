//! Uploads that were refused or broke off, as lines of the registry's audit.

use crate::api::ApiState;
use crate::api::author::Author;
use crate::api::registry::{SubmitError, submit};
use crate::artifacts::{ArtifactError, Stored};
use crate::registry::Change;

/// Tells the audit when it is dropped without a good end, since nobody may wait for the answer any more.
pub(super) struct UploadAudit {
    state: ApiState,
    author: Author,
    path: String,
    /// What will be told.
    problem: Option<String>,
}

/// Characters of a path and of a problem.
const LONGEST: usize = 1_000;

impl UploadAudit {
    pub(super) fn begin(state: &ApiState, author: Author, path: &str) -> Self {
        let path: String = path.chars().take(LONGEST).collect();
        let problem = Some(format!("upload of artifact '{path}' broke off: the client went away or took too long"));
        Self { state: state.clone(), author, path, problem }
    }

    /// A store in trouble is nobody's mistake.
    pub(super) fn end(mut self, outcome: &Result<Stored, ArtifactError>) {
        self.problem = match outcome {
            Ok(_) | Err(ArtifactError::Storage { .. }) => None,
            Err(error) => Some(error.to_string().chars().take(LONGEST).collect()),
        };
    }
}

impl Drop for UploadAudit {
    fn drop(&mut self) {
        let Some(problem) = self.problem.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (state, author, path) = (self.state.clone(), std::mem::take(&mut self.author), self.path.clone());
        runtime.spawn(async move {
            let change = Change::FailUpload { path: path.clone(), problem };
            match submit(&state, author, None, false, change).await {
                Ok(_) | Err(SubmitError::Rejected(_)) => {}
                Err(error) => tracing::warn!(?path, %error, "the audit does not hear of an upload that was refused"),
            }
        });
    }
}
