//! References from files: data sets that are counted now, or profiles that were counted before.

use std::path::Path;

use arrow::array::{Array, Float64Array, Int64Array};
use bytes::Bytes;

use super::ReferenceError;
use crate::clock::Timestamp;
use crate::codec::files::{Dataset, DatasetBatch, FeatureColumn};
use crate::model::{FeatureKind, Model, Task};
use crate::profile::{Reference, ReferenceBuilder, Values, decode};

/// What `plimsoll reference build` writes ends in this.
const PROFILE_EXTENSION: &str = "profile";

/// The reference in a file, which is a profile or a data set.
pub fn load_reference(path: &Path, model: &Model, max_segments: usize) -> Result<Reference, ReferenceError> {
    if path.extension().is_some_and(|extension| extension == PROFILE_EXTENSION) {
        return read_profile(path, model);
    }
    read_reference(&Dataset::open(path, model)?, model, max_segments)
}

/// Counts a data set into a reference. Segment features with more than `max_segments` values are not split.
pub fn read_reference(dataset: &Dataset, model: &Model, max_segments: usize) -> Result<Reference, ReferenceError> {
    Ok(collect(dataset, model)?.max_segments(max_segments).build(0))
}

/// Counts what a version brought as its reference in the anchors of its model's, `base`; the end of `name` says its format.
/// Beside it the features that only the version has, which nothing is compared with.
pub fn read_version_reference(
    name: &str,
    content: Bytes,
    model: &Model,
    base: &Reference,
) -> Result<(Reference, Vec<String>), ReferenceError> {
    // What is monitored must be there, and of the same kind.
    let mut monitored = model.clone();
    for (feature, kind) in base.features() {
        monitored.features.entry(feature.to_owned()).or_default().kind = Some(kind);
    }
    let dataset = Dataset::from_bytes(name, content, &monitored)?;
    let is_new = |feature: &&str| base.features().all(|(known, _)| known != *feature);
    let new = dataset.feature_names_and_kinds().map(|(feature, _)| feature).filter(is_new).map(str::to_owned).collect();
    Ok((collect(&dataset, &monitored)?.build_over(base), new))
}

fn collect(dataset: &Dataset, model: &Model) -> Result<ReferenceBuilder, ReferenceError> {
    let features: Vec<(String, FeatureKind)> =
        dataset.feature_names_and_kinds().map(|(name, kind)| (name.to_owned(), kind)).collect();
    let mut builder = ReferenceBuilder::new(&model.name, &model.positive, &model.segments, &features)
        .task(model.task)
        .specs(&model.features)
        .reconstruction(model.drift.reconstruction.wanted);
    for batch in dataset.batches()? {
        let batch = batch?;
        let mut values: Vec<Values<'_>> = batch.features.iter().map(values_of).collect();
        let predicted = predicted_values(model, &batch);
        values.push(batch.label.as_ref().map_or(Values::Absent, Values::categorical));
        values.push(predicted.as_ref().map_or(Values::Absent, Values::numeric));
        let times = batch.time.as_ref().map(times_of).unwrap_or_default();
        builder.add(batch.rows(), &values, batch.outcome.as_ref(), &times);
    }
    if builder.rows() == 0 {
        return Err(ReferenceError::Empty { path: dataset.file().name().to_owned() });
    }
    Ok(builder)
}

/// Scores, or of a regression the predicted values, which may stand in the label's column.
fn predicted_values(model: &Model, batch: &DatasetBatch) -> Option<Float64Array> {
    let labels = batch.label.as_ref().filter(|_| model.task == Task::Regression);
    let parsed = || labels.map(|labels| labels.iter().map(|label| label?.trim().parse::<f64>().ok()).collect());
    batch.score.clone().or_else(parsed)
}

fn values_of(column: &FeatureColumn) -> Values<'_> {
    match column {
        FeatureColumn::Numeric(array) => Values::numeric(array),
        FeatureColumn::Categorical(array) => Values::categorical(array),
    }
}

fn times_of(array: &Int64Array) -> Vec<Timestamp> {
    (0..array.len()).filter(|row| array.is_valid(*row)).map(|row| Timestamp::from_millis(array.value(row))).collect()
}

fn read_profile(path: &Path, model: &Model) -> Result<Reference, ReferenceError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| ReferenceError::Profile { path: name.clone(), reason: error.to_string() })?;
    let mut reference: Reference =
        decode(&bytes).map_err(|source| ReferenceError::Decode { path: name.clone(), source })?;
    if reference.model != model.name {
        return Err(ReferenceError::OtherModel { path: name, found: reference.model, wanted: model.name.clone() });
    }
    reference.anchors.set_limits(&model.features);
    if model.drift.reconstruction.wanted == Some(false) {
        reference.anchors.projection = None;
    }
    Ok(reference)
}
