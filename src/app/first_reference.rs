//! A registered model that nobody configured is monitored from its first reference on.
//!
//! The reference is published before the tag that says what the model is monitored by, so that whoever knows of the model
//! finds its reference.

use std::collections::BTreeSet;

use arrow::array::{Array, StringArray};
use bytes::Bytes;

use super::monitored::MONITORED_TAG;
use super::version_references::{Fate, Follower, Problem, Wanted};
use super::{ReferenceError, read_reference};
use crate::bus::Outgoing;
use crate::codec::files::Dataset;
use crate::model::{Model, ReferenceSource, Task};
use crate::profile::{Reference, encode};
use crate::registry::{Registry, Subject};
use crate::settings::{SettingsErrors, registered_model};

/// The tag of a registered model in which people say how it is to be monitored; without it, its reference tells.
const WISH_TAG: &str = "plimsoll.monitor";
/// More distinct numbers than these are no classes.
const MOST_CLASSES: usize = 20;
/// How the positive one of two classes is called.
const POSITIVE: [&str; 5] = ["1", "true", "True", "yes", "positive"];

#[derive(Debug, thiserror::Error)]
pub(super) enum FirstReferenceError {
    #[error(transparent)]
    Definition(#[from] SettingsErrors),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

/// Registered models with a reference that are to be monitored, or otherwise than they are.
pub(super) fn beginnings(registry: &Registry, wanted: &[Wanted], is_configured: impl Fn(&str) -> bool) -> Vec<Wanted> {
    let mut begun = BTreeSet::new();
    let mut beginnings = Vec::new();
    for version in wanted.iter().filter(|version| !is_configured(&version.model)) {
        let Some(model) = registry.model(&version.model).filter(|_| begun.insert(&version.model)) else { continue };
        let (is, wish) = (model.tags.get(MONITORED_TAG), model.tags.get(WISH_TAG));
        if is.is_none() || wish.is_some_and(|wish| is != Some(wish)) {
            beginnings.push(Wanted { wish: wish.cloned(), ..version.clone() });
        }
    }
    beginnings
}

impl Follower {
    /// Counts and publishes the reference, then lets the registry say that the model is monitored.
    pub(super) async fn begin(&self, wanted: &Wanted) -> Fate {
        let begun = match self.first(wanted).await {
            Ok(definition) => self.tag(Subject::Model(wanted.model.clone()), MONITORED_TAG, definition).await,
            Err(problem) => return self.tell(wanted, Err(problem)).await,
        };
        match begun {
            Ok(()) => {
                tracing::info!(model = wanted.model, version = wanted.version, "model is monitored from now on");
                Fate::Settled
            }
            Err(error) => {
                tracing::warn!(model = wanted.model, version = wanted.version, error, "monitoring does not begin yet");
                Fate::TryAgain
            }
        }
    }

    /// What the model is monitored by.
    async fn first(&self, wanted: &Wanted) -> Result<String, Problem> {
        let content = Bytes::from(self.read(wanted).await?);
        let (wanted, max_segments) = (wanted.clone(), self.max_segments);
        let counted = tokio::task::spawn_blocking(move || first_reference(&wanted, &content, max_segments)).await;
        let (definition, reference) = counted.map_err(|error| Problem::BrokenOff(error.to_string()))??;
        let record = Outgoing {
            topic: self.references_topic.clone(),
            key: Some(reference.model.clone().into_bytes()),
            payload: Some(encode(&reference).map_err(|error| Problem::BrokenOff(error.to_string()))?),
            ..Outgoing::default()
        };
        self.producer.publish(vec![record]).await?;
        Ok(definition)
    }
}

fn first_reference(
    wanted: &Wanted,
    content: &Bytes,
    max_segments: usize,
) -> Result<(String, Reference), FirstReferenceError> {
    let Wanted { model: name, file, .. } = wanted;
    let definition = match &wanted.wish {
        Some(wish) => wish.clone(),
        None => guess(name, file, content)?,
    };
    let model = registered_model(name, &definition, &format!("tag {WISH_TAG} of model '{name}'"))?;
    let dataset = Dataset::from_bytes(file, content.clone(), &model).map_err(ReferenceError::from)?;
    Ok((definition, read_reference(&dataset, &model, max_segments)?))
}

/// The task of a model whose answers and outcomes look like these, as TOML.
fn guess(name: &str, file: &str, content: &Bytes) -> Result<String, ReferenceError> {
    let unknown = Model::new(name, Task::Multiclass, ReferenceSource::Registered);
    let dataset = Dataset::from_bytes(file, content.clone(), &unknown)?;
    let mut labels = BTreeSet::new();
    for batch in dataset.batches()? {
        let batch = batch?;
        for column in [&batch.label, &batch.outcome].into_iter().flatten() {
            let room = MOST_CLASSES + 1 - labels.len();
            let new: BTreeSet<&str> = texts(column).filter(|label| !labels.contains(*label)).collect();
            let new: Vec<String> = new.into_iter().take(room).map(str::to_owned).collect();
            labels.extend(new);
        }
    }
    Ok(definition_of(&labels))
}

fn texts(column: &StringArray) -> impl Iterator<Item = &str> {
    (0..column.len()).filter(|row| column.is_valid(*row)).map(|row| column.value(row))
}

fn definition_of(labels: &BTreeSet<String>) -> String {
    let number = |label: &String| label.trim().parse::<f64>().ok();
    let positive = POSITIVE.into_iter().find(|positive| labels.contains(*positive));
    let is_numeric = !labels.is_empty() && labels.iter().all(|label| number(label).is_some());
    let has_fractions = labels.iter().filter_map(number).any(|value| value.fract() != 0.0);
    match positive {
        _ if is_numeric && (has_fractions || labels.len() > MOST_CLASSES) => "task = \"regression\"\n".to_owned(),
        Some(positive) if labels.len() <= 2 => format!("task = \"binary\"\npositive = \"{positive}\"\n"),
        _ => "task = \"multiclass\"\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(wish: Option<&str>) -> Wanted {
        let source = crate::serve::Source::Elsewhere(String::new());
        let wish = wish.map(str::to_owned);
        Wanted { model: "m".into(), version: 1, source, file: "reference.csv".into(), status: None, wish }
    }

    fn first(csv: &str, wish: Option<&str>) -> Result<(String, Reference), FirstReferenceError> {
        first_reference(&wanted(wish), &Bytes::from(csv.to_owned()), 10)
    }

    #[test]
    fn the_task_is_read_off_the_labels() {
        let of = |labels: &[&str]| definition_of(&labels.iter().map(|label| (*label).to_owned()).collect());
        assert_eq!(of(&["0", "1"]), "task = \"binary\"\npositive = \"1\"\n");
        assert_eq!(of(&["no", "yes"]), "task = \"binary\"\npositive = \"yes\"\n");
        assert_eq!(of(&["1"]), "task = \"binary\"\npositive = \"1\"\n");
        assert_eq!(of(&["0", "1", "2"]), "task = \"multiclass\"\n");
        assert_eq!(of(&["cat", "dog"]), "task = \"multiclass\"\n");
        assert_eq!(of(&[]), "task = \"multiclass\"\n");
        assert_eq!(of(&["0.5", "1"]), "task = \"regression\"\n");
        let many: Vec<String> = (0..30).map(|number| number.to_string()).collect();
        assert_eq!(of(&many.iter().map(String::as_str).collect::<Vec<_>>()), "task = \"regression\"\n");
    }

    #[test]
    fn the_first_reference_has_anchors_of_its_own_and_the_schema_of_its_columns() {
        let rows = (0..50).map(|row| format!("r{row},{},0.5,{},{row}.5\n", row % 2, row % 2));
        let header = "id,label,score,outcome,amount\n".to_owned();
        let csv = std::iter::once(header).chain(rows).collect::<Vec<_>>().concat();
        let (definition, reference) = first(&csv, None).unwrap();
        assert_eq!(definition, "task = \"binary\"\npositive = \"1\"\n");
        assert_eq!((reference.model.as_str(), reference.rows), ("m", 50));
        assert!(reference.features().any(|(feature, _)| feature == "amount"));
    }

    #[test]
    fn a_wish_decides_and_is_told_what_is_wrong_with_it() {
        let csv = "label,amount\n1,3\n0,4\n";
        let (definition, _) = first(csv, Some("task = \"multiclass\"\nwindows = [\"2h\"]\npanes = \"1h\"")).unwrap();
        assert!(definition.starts_with("task = \"multiclass\""));
        let wrong = first(csv, Some("task = \"multiclas\"")).unwrap_err().to_string();
        assert!(wrong.contains("tag plimsoll.monitor of model 'm'") && wrong.contains("'multiclas'"), "{wrong}");
        let elsewhere = first(csv, Some("task = \"binary\"\nreference = { first = 10 }")).unwrap_err().to_string();
        assert!(elsewhere.contains("reference"), "{elsewhere}");
        assert!(first("label,amount\n", None).is_err());
    }
}
