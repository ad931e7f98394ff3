//! MLflow's search language: `metrics.loss < 0.3 AND tags.team = 'risk'`, an order, and pages.

mod fields;
mod filter;
mod like;
mod order;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

pub use filter::Filter;
pub use order::Order;

/// The longest filter or order that is read.
const LONGEST: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SearchError(pub String);

/// What a clause or an order looks at: `tags.team` is the key `team` of the kind `tags`, `name` an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub kind: Kind,
    pub key: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Attribute,
    Metric,
    Param,
    Tag,
    Dataset,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Number(f64),
    Text(&'a str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    Number,
    Text,
}

/// What can be searched.
pub trait Searchable {
    /// The type of a field; an error if there is no such field.
    fn field_type(field: &Field) -> Result<FieldType, SearchError>;

    fn value(&self, field: &Field) -> Option<Value<'_>>;

    /// Whether any of several values of the field fits, where it has several.
    fn any(&self, field: &Field, fits: &dyn Fn(&Value<'_>) -> bool) -> bool {
        self.value(field).as_ref().is_some_and(fits)
    }
}

impl Value<'_> {
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}
