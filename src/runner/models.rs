//! The models that roles work on, of which there may be more while they run.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use super::RoleError;
use crate::model::Model;

/// The models that are monitored; another revision is another set.
#[derive(Clone, Debug)]
pub struct Monitored {
    pub revision: u64,
    pub models: Arc<Vec<Model>>,
}

/// Where roles learn of them.
#[async_trait]
pub trait Models: Send + Sync + Debug {
    fn current(&self) -> Monitored;

    /// Returns when [`Models::current`] has every model of which any process of this deployment can have known when this
    /// was called.
    async fn catch_up(&self) -> Result<(), RoleError>;
}

/// Models that stay the same.
#[derive(Clone, Debug)]
pub struct FixedModels(Arc<Vec<Model>>);

impl FixedModels {
    #[must_use]
    pub fn shared(models: Vec<Model>) -> Arc<dyn Models> {
        Arc::new(Self(Arc::new(models)))
    }
}

#[async_trait]
impl Models for FixedModels {
    fn current(&self) -> Monitored {
        Monitored { revision: 0, models: Arc::clone(&self.0) }
    }

    async fn catch_up(&self) -> Result<(), RoleError> {
        Ok(())
    }
}

/// For a record about a model that a machine of this revision does not know: returns if the model is not monitored at
/// all, and fails if another process knew of it first, so that the machine is opened anew and reads the record again.
pub async fn refuse_if_outdated(models: &dyn Models, revision: u64) -> Result<(), RoleError> {
    models.catch_up().await?;
    if models.current().revision == revision { Ok(()) } else { Err(RoleError::ModelsChanged) }
}
