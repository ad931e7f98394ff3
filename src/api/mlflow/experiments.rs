//! Experiments.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::call::Call;
use super::error::MlflowError;
use super::page::{self, Page};
use super::{answer, submit, wire};
use crate::api::ApiState;
use crate::registry::search::{Filter, Order};
use crate::registry::{Change, Event, Experiment, Subject, Texts};

type Answer = Result<Json<Value>, MlflowError>;

const VIEWS: [(&str, View); 3] = [("ACTIVE_ONLY", View::Active), ("DELETED_ONLY", View::Deleted), ("ALL", View::All)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Active,
    Deleted,
    All,
}

impl View {
    pub(super) fn of(call: &Call, name: &str) -> Result<Self, MlflowError> {
        Ok(call.one_of(name, &VIEWS)?.unwrap_or(Self::Active))
    }

    pub(super) const fn shows(self, deleted: bool) -> bool {
        match self {
            Self::Active => !deleted,
            Self::Deleted => deleted,
            Self::All => true,
        }
    }
}

pub(super) async fn create(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::CreateExperiment {
        name: call.text("name")?,
        artifact_location: call.text_or_none("artifact_location")?.filter(|location| !location.is_empty()),
        tags: call.tags("tags")?,
    };
    let decision = submit(&state, &call, change).await?;
    let created = decision.events().iter().find_map(|event| match event {
        Event::ExperimentCreated { experiment } => Some(experiment.experiment_id.clone()),
        _ => None,
    });
    Ok(Json(json!({ "experiment_id": created })))
}

pub(super) async fn get(State(state): State<ApiState>, call: Call) -> Answer {
    let id = call.text("experiment_id")?;
    show(&state, |experiment| experiment.experiment_id == id, || format!("No Experiment with id={id} exists"))
}

pub(super) async fn get_by_name(State(state): State<ApiState>, call: Call) -> Answer {
    let name = call.text("experiment_name")?;
    show(&state, |experiment| experiment.name == name, || format!("Could not find experiment with name '{name}'"))
}

pub(super) async fn search(State(state): State<ApiState>, call: Call) -> Answer {
    let filter = Filter::parse::<Experiment>(&call.text_or_empty("filter")?)?;
    let order = Order::parse::<Experiment>(&call.texts("order_by")?)?;
    let view = View::of(&call, "view_type")?;
    let page = Page::of(&call, page::EXPERIMENTS)?;
    state.parts.registry.read(|registry| {
        let mut found: Vec<&Experiment> =
            registry.experiments().filter(|row| view.shows(row.deleted) && filter.fits(*row)).collect();
        // Newest first, unless the client wants it otherwise.
        found.sort_by(|a, b| order.compare(*a, *b).then_with(|| b.created_at.cmp(&a.created_at)));
        let (rows, next) = page.cut(&found);
        let rows: Vec<_> = rows.iter().map(|row| wire::experiment(row)).collect();
        Ok(page::listed("experiments", &rows, next))
    })?
}

pub(super) async fn update(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::RenameExperiment { experiment_id: call.text("experiment_id")?, name: call.text("new_name")? };
    answer(&state, &call, change).await
}

pub(super) async fn delete(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::DeleteExperiment { experiment_id: call.text("experiment_id")? };
    answer(&state, &call, change).await
}

pub(super) async fn restore(State(state): State<ApiState>, call: Call) -> Answer {
    let change = Change::RestoreExperiment { experiment_id: call.text("experiment_id")? };
    answer(&state, &call, change).await
}

pub(super) async fn set_tag(State(state): State<ApiState>, call: Call) -> Answer {
    let subject = Subject::Experiment(call.text("experiment_id")?);
    let tags = Texts::from([(call.text("key")?, call.text_or_empty("value")?)]);
    answer(&state, &call, Change::SetTags { subject, tags }).await
}

pub(super) async fn delete_tag(State(state): State<ApiState>, call: Call) -> Answer {
    let subject = Subject::Experiment(call.text("experiment_id")?);
    let change = Change::DeleteTag { subject, key: call.text("key")? };
    answer(&state, &call, change).await
}

fn show(state: &ApiState, is_wanted: impl Fn(&Experiment) -> bool, missing: impl Fn() -> String) -> Answer {
    state.parts.registry.read(|registry| {
        let found = registry.experiments().find(|experiment| is_wanted(experiment));
        let experiment = found.ok_or_else(|| MlflowError::missing(missing()))?;
        Ok(Json(json!({ "experiment": wire::experiment(experiment) })))
    })?
}
