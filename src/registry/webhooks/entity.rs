//! Who wants to be told, and of what.

use serde::{Deserialize, Serialize};

use super::vault::SealedSecret;
use crate::clock::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub webhook_id: String,
    pub name: String,
    pub description: String,
    pub url: String,
    pub events: Vec<WebhookEvent>,
    /// Signs what is sent.
    pub secret: Option<SealedSecret>,
    pub active: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What can be told. Transitions and deletions are not among MLflow's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEvent {
    ModelCreated,
    ModelDeleted,
    VersionCreated,
    VersionDeleted,
    StageTransitioned,
    VersionTagSet,
    VersionTagDeleted,
    AliasCreated,
    AliasDeleted,
}

impl WebhookEvent {
    pub const ALL: [Self; 9] = [
        Self::ModelCreated,
        Self::ModelDeleted,
        Self::VersionCreated,
        Self::VersionDeleted,
        Self::StageTransitioned,
        Self::VersionTagSet,
        Self::VersionTagDeleted,
        Self::AliasCreated,
        Self::AliasDeleted,
    ];

    /// As payloads have it.
    #[must_use]
    pub const fn entity(self) -> &'static str {
        match self {
            Self::ModelCreated | Self::ModelDeleted => "registered_model",
            Self::VersionCreated | Self::VersionDeleted | Self::StageTransitioned => "model_version",
            Self::VersionTagSet | Self::VersionTagDeleted => "model_version_tag",
            Self::AliasCreated | Self::AliasDeleted => "model_version_alias",
        }
    }

    /// As payloads have it.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::ModelCreated | Self::VersionCreated | Self::AliasCreated => "created",
            Self::ModelDeleted | Self::VersionDeleted | Self::VersionTagDeleted | Self::AliasDeleted => "deleted",
            Self::StageTransitioned => "stage_transitioned",
            Self::VersionTagSet => "set",
        }
    }

    /// Such as `model_version.created`.
    #[must_use]
    pub fn name(self) -> String {
        format!("{}.{}", self.entity(), self.action())
    }

    /// Whether MLflow's clients know it; they fail at a webhook with an event that they do not know.
    #[must_use]
    pub const fn is_mlflows(self) -> bool {
        !matches!(self, Self::ModelDeleted | Self::VersionDeleted | Self::StageTransitioned)
    }

    /// In any case.
    #[must_use]
    pub fn parse(entity: &str, action: &str) -> Option<Self> {
        let fits =
            |event: &Self| event.entity().eq_ignore_ascii_case(entity) && event.action().eq_ignore_ascii_case(action);
        Self::ALL.into_iter().find(fits)
    }
}
