//! Columns of the reference, whole in memory: the bins need all values at once.

use std::collections::HashMap;

use arrow::array::{ArrayRef, Float64Array};

use crate::codec::files::ColumnError;
use crate::codec::files::column::{as_numeric, as_text};
use crate::model::FeatureKind;
use crate::profile::{CategoryAnchors, ColumnProfile, NumericAnchors, ValueAnchors, Values};

/// A column with more categories is an identifier, and of no use here.
const MAX_CATEGORIES: usize = 100_000;
/// The code of a missing category.
const MISSING: u32 = u32::MAX;
/// Rows that are counted at a time.
const CHUNK: usize = 65_536;

#[derive(Debug)]
pub(super) enum Loaded {
    /// Missing values are NaN.
    Numeric(Vec<f64>),
    Categorical {
        codes: Vec<u32>,
        names: Vec<String>,
        index: HashMap<String, u32>,
    },
    /// Not kept any further, for this reason.
    Refused(String),
}

impl Loaded {
    pub(super) fn new(kind: FeatureKind) -> Self {
        match kind {
            FeatureKind::Numeric => Self::Numeric(Vec::new()),
            FeatureKind::Categorical => {
                Self::Categorical { codes: Vec::new(), names: Vec::new(), index: HashMap::new() }
            }
        }
    }

    pub(super) fn push(&mut self, column: &ArrayRef) -> Result<(), ColumnError> {
        match self {
            Self::Numeric(values) => {
                let numbers = as_numeric(column)?;
                values.extend(numbers.iter().map(|number| number.unwrap_or(f64::NAN)));
            }
            Self::Categorical { codes, names, index } => {
                for text in &as_text(column)? {
                    codes.push(text.map_or(MISSING, |text| code_of(text, names, index)));
                }
                if names.len() > MAX_CATEGORIES {
                    *self = Self::Refused(format!("more than {MAX_CATEGORIES} categories: leave it out with --ignore"));
                }
            }
            Self::Refused(_) => {}
        }
        Ok(())
    }

    /// The bins of the column.
    pub(super) fn fit(&self) -> Result<ValueAnchors, String> {
        match self {
            Self::Numeric(values) => Ok(ValueAnchors::Numeric(NumericAnchors::fit(values.iter().copied()))),
            Self::Categorical { codes, names, .. } => {
                let mut counts = vec![0_u64; names.len()];
                for code in codes.iter().filter(|code| **code != MISSING) {
                    counts[*code as usize] += 1;
                }
                let counted = names.iter().map(String::as_str).zip(counts);
                Ok(ValueAnchors::Categorical(CategoryAnchors::fit_counts(counted)))
            }
            Self::Refused(why) => Err(why.clone()),
        }
    }

    /// Counts the rows that `selected` names, or all.
    pub(super) fn count(&self, anchors: &ValueAnchors, selected: Option<&[u32]>) -> ColumnProfile {
        let mut profile = ColumnProfile::empty(anchors);
        match (self, anchors) {
            (Self::Numeric(values), _) => {
                let every: Vec<usize> = (0..CHUNK).collect();
                let mut add = |numbers: Float64Array| {
                    profile.count(anchors, &Values::numeric(&numbers), &every[..numbers.len()]);
                };
                match selected {
                    Some(rows) => {
                        rows.chunks(CHUNK).for_each(|rows| add(rows.iter().map(|row| values[*row as usize]).collect()));
                    }
                    None => values.chunks(CHUNK).for_each(|values| add(values.iter().copied().collect())),
                }
            }
            (Self::Categorical { codes, names, .. }, ValueAnchors::Categorical(categories)) => {
                let bins: Vec<Option<usize>> = names.iter().map(|name| categories.bin(name)).collect();
                let mut add = |code: u32| match bins.get(code as usize) {
                    None => profile.missing += 1,
                    Some(Some(bin)) => profile.bins[*bin] += 1,
                    Some(None) => profile.unseen += 1,
                };
                match selected {
                    Some(rows) => rows.iter().for_each(|row| add(codes[*row as usize])),
                    None => codes.iter().for_each(|code| add(*code)),
                }
            }
            _ => {}
        }
        profile
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Numeric(values) => values.len(),
            Self::Categorical { codes, .. } => codes.len(),
            Self::Refused(_) => 0,
        }
    }
}

fn code_of(text: &str, names: &mut Vec<String>, index: &mut HashMap<String, u32>) -> u32 {
    if let Some(code) = index.get(text) {
        return *code;
    }
    let code = u32::try_from(names.len()).unwrap_or(MISSING - 1);
    names.push(text.to_owned());
    index.insert(text.to_owned(), code);
    code
}
