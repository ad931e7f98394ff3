//! Which column of a data file is what for a model.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use arrow::datatypes::{DataType, Schema};

use super::column::feature_kind;
use super::nearest::nearest;
use super::{FileError, MissingColumn, UnfitColumn};
use crate::model::{Columns, FeatureKind, FeatureSpec};
use crate::profile::{ATTRIBUTION_PREFIX, CLASS_SCORE_PREFIX};

/// Indices into the file's schema. What is no id, time, prediction, outcome or version and not ignored is a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataColumns {
    pub id: Option<usize>,
    pub time: Option<usize>,
    pub label: Option<usize>,
    pub score: Option<usize>,
    pub outcome: Option<usize>,
    pub version: Option<usize>,
    pub features: Vec<FeatureRef>,
    /// Probabilities of classes and attributions of features, by the names that references know them by.
    pub beside: Vec<FeatureRef>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureRef {
    pub index: usize,
    pub name: String,
    pub kind: FeatureKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnRole {
    Id,
    Time,
    Label,
    Score,
    Outcome,
    Version,
}

/// What a file must have; the other roles may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Required {
    pub roles: Vec<ColumnRole>,
    /// Every feature that the configuration names.
    pub features: bool,
}

impl DataColumns {
    pub fn resolve(
        file: &str,
        schema: &Schema,
        columns: &Columns,
        specs: &BTreeMap<String, FeatureSpec>,
        required: &Required,
    ) -> Result<Self, FileError> {
        let configured = specs.keys().filter(|_| required.features).map(String::as_str);
        refuse_missing(file, schema, columns, &required.roles, configured)?;
        let beside = beside(schema, columns);
        let features = features(file, schema, columns, specs, &beside)?;
        Ok(Self { features, beside, ..Self::roles(schema, columns) })
    }

    /// Only these roles and no features, for files that hold other things beside them.
    pub fn resolve_roles(
        file: &str,
        schema: &Schema,
        columns: &Columns,
        required: &[ColumnRole],
    ) -> Result<Self, FileError> {
        refuse_missing(file, schema, columns, required, std::iter::empty())?;
        Ok(Self::roles(schema, columns))
    }

    fn roles(schema: &Schema, columns: &Columns) -> Self {
        let index_of = |role: ColumnRole| role.name(columns).and_then(|name| schema.index_of(name).ok());
        Self {
            id: index_of(ColumnRole::Id),
            time: index_of(ColumnRole::Time),
            label: index_of(ColumnRole::Label),
            score: index_of(ColumnRole::Score),
            outcome: index_of(ColumnRole::Outcome),
            version: index_of(ColumnRole::Version),
            features: Vec::new(),
            beside: Vec::new(),
        }
    }

    #[must_use]
    pub fn index_of(&self, role: ColumnRole) -> Option<usize> {
        match role {
            ColumnRole::Id => self.id,
            ColumnRole::Time => self.time,
            ColumnRole::Label => self.label,
            ColumnRole::Score => self.score,
            ColumnRole::Outcome => self.outcome,
            ColumnRole::Version => self.version,
        }
    }
}

impl ColumnRole {
    pub const ALL: [Self; 6] = [Self::Id, Self::Time, Self::Label, Self::Score, Self::Outcome, Self::Version];

    /// The column that has this role, as configured.
    #[must_use]
    pub fn name(self, columns: &Columns) -> Option<&str> {
        match self {
            Self::Id => Some(&columns.id),
            Self::Time => Some(&columns.time),
            Self::Label => Some(&columns.label),
            Self::Score => Some(&columns.score),
            Self::Outcome => Some(&columns.outcome),
            Self::Version => columns.version.as_deref(),
        }
    }

    pub(super) fn remedy(self) -> String {
        match self {
            Self::Time => {
                "columns.time or --time-column, or --start and --interval for a file without times".to_owned()
            }
            _ => format!("columns.{self} or --{self}-column"),
        }
    }
}

impl fmt::Display for ColumnRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "id",
            Self::Time => "time",
            Self::Label => "label",
            Self::Score => "score",
            Self::Outcome => "outcome",
            Self::Version => "version",
        })
    }
}

impl Required {
    /// What the model's configuration names on purpose must be there in its reference: a misspelt score would otherwise
    /// pass for a feature. Its id and time are not read.
    #[must_use]
    pub fn of_reference(columns: &Columns) -> Self {
        let usual = Columns::default();
        let named = |role: &ColumnRole| role.name(columns) != role.name(&usual);
        let read = [ColumnRole::Label, ColumnRole::Score, ColumnRole::Outcome];
        Self { roles: read.into_iter().filter(named).collect(), features: true }
    }
}

fn refuse_missing<'a>(
    file: &str,
    schema: &Schema,
    columns: &'a Columns,
    roles: &[ColumnRole],
    features: impl Iterator<Item = &'a str>,
) -> Result<(), FileError> {
    let roles = roles.iter().filter_map(|role| Some((role.name(columns)?, Some(*role))));
    let absent = roles.chain(features.map(|name| (name, None))).filter(|(name, _)| schema.index_of(name).is_err());
    let existing = || schema.fields().iter().map(|field| field.name().as_str());
    let missing: Vec<MissingColumn> = absent
        .map(|(name, role)| MissingColumn {
            name: name.to_owned(),
            role,
            nearest: nearest(name, existing()).map(str::to_owned),
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(FileError::Missing { file: file.to_owned(), missing, columns: existing().map(str::to_owned).collect() })
}

/// Columns with one of the prefixes that the configuration gives.
fn beside(schema: &Schema, columns: &Columns) -> Vec<FeatureRef> {
    let prefixes =
        [(columns.scores.as_deref(), CLASS_SCORE_PREFIX), (columns.attributions.as_deref(), ATTRIBUTION_PREFIX)];
    let role_names: BTreeSet<&str> = ColumnRole::ALL.iter().filter_map(|role| role.name(columns)).collect();
    let mut found = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let name = field.name().as_str();
        if role_names.contains(name) || columns.ignore.iter().any(|ignored| ignored == name) {
            continue;
        }
        let own = prefixes.iter().find_map(|(prefix, own)| Some((name.strip_prefix((*prefix)?)?, own)));
        if let Some((rest, own)) = own.filter(|(rest, _)| !rest.is_empty()) {
            found.push(FeatureRef { index, name: format!("{own}{rest}"), kind: FeatureKind::Numeric });
        }
    }
    found
}

fn features(
    file: &str,
    schema: &Schema,
    columns: &Columns,
    specs: &BTreeMap<String, FeatureSpec>,
    beside: &[FeatureRef],
) -> Result<Vec<FeatureRef>, FileError> {
    let mut taken: BTreeSet<&str> = ColumnRole::ALL.iter().filter_map(|role| role.name(columns)).collect();
    taken.extend(columns.ignore.iter().map(String::as_str));

    let mut features = Vec::new();
    let mut unfit = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        if taken.contains(name.as_str()) || beside.iter().any(|other| other.index == index) {
            continue;
        }
        let configured = specs.get(name).and_then(|spec| spec.kind).filter(|_| is_scalar(field.data_type()));
        match configured.or_else(|| feature_kind(field.data_type())) {
            Some(kind) => features.push(FeatureRef { index, name: name.clone(), kind }),
            None => unfit.push(UnfitColumn { name: name.clone(), data_type: field.data_type().to_string() }),
        }
    }
    if unfit.is_empty() { Ok(features) } else { Err(FileError::Unfit { file: file.to_owned(), columns: unfit }) }
}

/// Times can be features when the configuration says as what; nested and binary values never can.
fn is_scalar(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
        || feature_kind(data_type).is_some()
}

#[cfg(test)]
mod tests;
