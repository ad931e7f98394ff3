//! Which columns of the two files are compared, and as what.

use std::collections::BTreeSet;

use anyhow::bail;
use arrow::datatypes::Schema;

use super::args::CompareArgs;
use crate::codec::files::DataFile;
use crate::codec::files::column::feature_kind;
use crate::model::{FeatureKind, Task};

/// The columns of both files.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// In the order of the reference.
    pub(super) compared: Vec<ComparedColumn>,
    /// Columns of the reference that the current file has not.
    pub(super) gone: Vec<(String, FeatureKind)>,
    /// Columns that only the current file has.
    pub(super) extra: Vec<(String, FeatureKind)>,
    pub(super) segments: Vec<InBoth>,
    /// Index in the current file.
    pub(super) time: Option<usize>,
    pub(super) performance: Option<PerformanceColumns>,
    pub(super) protected: Option<ProtectedColumns>,
    /// Names of the columns with predictions, scores and outcomes.
    pub(super) roles: Vec<String>,
    /// Features with the columns of what they contributed.
    pub(super) attributions: Vec<(String, InBoth)>,
}

#[derive(Clone, Debug)]
pub(super) struct ComparedColumn {
    pub(super) kind: FeatureKind,
    pub(super) place: InBoth,
}

/// A column by name and by its indices in the two schemas.
#[derive(Clone, Debug)]
pub(super) struct InBoth {
    pub(super) name: String,
    pub(super) reference: usize,
    pub(super) current: usize,
}

#[derive(Clone, Debug)]
pub(super) struct PerformanceColumns {
    pub(super) prediction: Option<InBoth>,
    pub(super) score: Option<InBoth>,
    pub(super) target: InBoth,
    /// Classes with the columns of their probabilities.
    pub(super) scores: Vec<(String, InBoth)>,
}

/// Columns whose values are groups, and what is predicted of them.
#[derive(Clone, Debug)]
pub(super) struct ProtectedColumns {
    pub(super) attributes: Vec<InBoth>,
    pub(super) prediction: InBoth,
    pub(super) target: Option<InBoth>,
}

impl Layout {
    pub(super) fn resolve(args: &CompareArgs, reference: &DataFile, current: &DataFile) -> anyhow::Result<Self> {
        let both = |name: &str| -> anyhow::Result<InBoth> {
            Ok(InBoth {
                name: name.to_owned(),
                reference: index_of(reference, name)?,
                current: index_of(current, name)?,
            })
        };
        for name in &args.ignore {
            if index_of(reference, name).is_err() {
                index_of(current, name)?;
            }
        }
        let role = |name: &Option<String>| name.as_deref().map(both).transpose();
        let (prediction, score, target) = (role(&args.prediction)?, role(&args.score)?, role(&args.target)?);
        let scores = class_columns(args, reference, &both)?;
        let attributions = match &args.attributions {
            Some(prefix) => columns_after(prefix, "a feature", reference, &both)?,
            None => Vec::new(),
        };
        let attributes: Vec<InBoth> = args.protected.iter().map(|name| both(name)).collect::<Result<_, _>>()?;
        if !attributes.is_empty() && Task::from(args.task) != Task::Binary {
            bail!("--protected is for binary models only: leave it out, or write --task binary");
        }
        let protected = prediction.clone().filter(|_| !attributes.is_empty()).map(|prediction| ProtectedColumns {
            attributes,
            prediction,
            target: target.clone(),
        });
        let labels: Vec<&str> = match Task::from(args.task) {
            Task::Regression => Vec::new(),
            Task::Binary | Task::Multiclass => {
                [&args.prediction, &args.target].into_iter().flatten().map(String::as_str).collect()
            }
        };
        let mut taken: BTreeSet<&str> = args.ignore.iter().map(String::as_str).collect();
        taken.extend(args.time.as_deref());
        taken.extend(attributions.iter().map(|(_, place)| place.name.as_str()));

        let named = [&prediction, &score, &target].into_iter().flatten().chain(scores.iter().map(|(_, place)| place));
        let roles = named.map(|place| place.name.clone()).collect();
        let mut layout = Self {
            compared: Vec::new(),
            gone: Vec::new(),
            extra: Vec::new(),
            segments: args.segment.iter().map(|name| both(name)).collect::<Result<_, _>>()?,
            time: args.time.as_deref().map(|name| index_of(current, name)).transpose()?,
            performance: target.map(|target| PerformanceColumns { prediction, score, target, scores }),
            protected,
            roles,
            attributions: attributions.clone(),
        };
        for (name, kind) in columns(reference.schema(), &taken) {
            let kind = if labels.contains(&name) { FeatureKind::Categorical } else { kind };
            match both(name) {
                Ok(place) => layout.compared.push(ComparedColumn { kind, place }),
                Err(_) => layout.gone.push((name.to_owned(), kind)),
            }
        }
        let is_new = |name: &str| reference.schema().index_of(name).is_err();
        let extra = columns(current.schema(), &taken).into_iter().filter(|(name, _)| is_new(name));
        layout.extra = extra.map(|(name, kind)| (name.to_owned(), kind)).collect();
        if layout.compared.is_empty() {
            bail!("'{}' and '{}' have no column in common that can be compared", reference.name(), current.name());
        }
        Ok(layout)
    }

    /// Whether the column says what was predicted or what came true, and is no feature.
    pub(super) fn is_role(&self, name: &str) -> bool {
        self.roles.iter().any(|role| role == name)
    }
}

fn class_columns(
    args: &CompareArgs,
    reference: &DataFile,
    both: &impl Fn(&str) -> anyhow::Result<InBoth>,
) -> anyhow::Result<Vec<(String, InBoth)>> {
    let Some(prefix) = &args.scores else { return Ok(Vec::new()) };
    if Task::from(args.task) != Task::Multiclass {
        bail!("--scores is for multiclass models: write --task multiclass, or --score COLUMN for a binary model");
    }
    columns_after(prefix, "a class", reference, both)
}

/// The columns of the reference whose names begin with `prefix`, by the rest of their names.
fn columns_after(
    prefix: &str,
    what: &str,
    reference: &DataFile,
    both: &impl Fn(&str) -> anyhow::Result<InBoth>,
) -> anyhow::Result<Vec<(String, InBoth)>> {
    let names = reference.schema().fields().iter().map(|field| field.name().as_str());
    let columns: Vec<(String, InBoth)> = names
        .filter_map(|name| Some((name.strip_prefix(prefix).filter(|rest| !rest.is_empty())?, name)))
        .map(|(rest, name)| Ok((rest.to_owned(), both(name)?)))
        .collect::<anyhow::Result<_>>()?;
    if columns.is_empty() {
        bail!("'{}' has no column whose name begins with '{prefix}' and goes on with {what}", reference.name());
    }
    Ok(columns)
}

/// Columns that are numbers or categories; times and nested values are neither.
fn columns<'a>(schema: &'a Schema, taken: &BTreeSet<&str>) -> Vec<(&'a str, FeatureKind)> {
    let fields = schema.fields().iter().filter(|field| !taken.contains(field.name().as_str()));
    fields.filter_map(|field| Some((field.name().as_str(), feature_kind(field.data_type())?))).collect()
}

fn index_of(file: &DataFile, name: &str) -> anyhow::Result<usize> {
    let Ok(index) = file.schema().index_of(name) else {
        let known: Vec<&str> = file.schema().fields().iter().map(|field| field.name().as_str()).collect();
        bail!("'{}' has no column '{name}'; its columns are {}", file.name(), known.join(", "));
    };
    Ok(index)
}
