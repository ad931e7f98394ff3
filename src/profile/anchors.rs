//! Anchors: the bins of every column, fixed by the reference.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::edges::Edges;
use super::projection::Projection;
use super::quantile::sorted_quantile;
use crate::model::{FeatureKind, FeatureSpec};

/// Fine bins per numeric column; a multiple of [`COARSE_BINS`], so that deciles are unions of fine bins.
const FINE_BINS: u32 = 500;
/// Bins of PSI and Jensen–Shannon.
const COARSE_BINS: u32 = 10;
/// Rarer categories than this many are counted as unseen, on both sides.
const MAX_CATEGORIES: usize = 1_000;

/// The bins of a model's columns: its features, then the predicted label and score.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Anchors {
    /// Counts of different epochs cannot be merged.
    pub epoch: u32,
    pub columns: Vec<ColumnAnchors>,
    /// The label of a binary model whose probability the score is.
    pub positive: Option<String>,
    /// How the features go together; none where the configuration does not want it or it says nothing.
    pub projection: Option<Projection>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnAnchors {
    pub name: String,
    pub values: ValueAnchors,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ValueAnchors {
    Numeric(NumericAnchors),
    Categorical(CategoryAnchors),
}

/// Interior edges at the distinct reference quantiles k/500 (type 7). The bin of `x` is the number of edges ≤ `x`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumericAnchors {
    edges: Edges,
    /// Indices into `edges` of the distinct deciles.
    deciles: Vec<u32>,
    /// Smallest and largest reference value; none for a column without values.
    range: Option<(f64, f64)>,
    /// Smallest and largest value that the configuration accepts.
    limits: (Option<f64>, Option<f64>),
    /// Centre and scale of the moments, so that sums keep their precision.
    centre: f64,
    scale: f64,
}

/// The reference's categories in alphabetical order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct CategoryAnchors {
    categories: Vec<String>,
    index: HashMap<String, usize>,
}

impl Anchors {
    /// The position of a column by name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Takes over the limits of numeric features from the configuration.
    pub fn set_limits(&mut self, features: &BTreeMap<String, FeatureSpec>) {
        for column in &mut self.columns {
            if let ValueAnchors::Numeric(anchors) = &mut column.values {
                anchors.limits = features.get(&column.name).map_or((None, None), |spec| (spec.min, spec.max));
            }
        }
    }
}

impl ValueAnchors {
    #[must_use]
    pub const fn kind(&self) -> FeatureKind {
        match self {
            Self::Numeric(_) => FeatureKind::Numeric,
            Self::Categorical(_) => FeatureKind::Categorical,
        }
    }

    #[must_use]
    pub fn bins(&self) -> usize {
        match self {
            Self::Numeric(anchors) => anchors.edges().len() + 1,
            Self::Categorical(anchors) => anchors.categories.len(),
        }
    }
}

impl NumericAnchors {
    /// Anchors of a reference column; values that are not finite are left out.
    #[must_use]
    pub fn fit(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let mut edges: Vec<f64> = Vec::new();
        let mut deciles: Vec<u32> = Vec::new();
        for k in 1..FINE_BINS {
            let Some(edge) = sorted_quantile(&sorted, f64::from(k) / f64::from(FINE_BINS)) else { break };
            if edges.last().is_none_or(|last| *last < edge) {
                edges.push(edge);
            }
            let index = u32::try_from(edges.len() - 1).unwrap_or(u32::MAX);
            if k % (FINE_BINS / COARSE_BINS) == 0 && deciles.last() != Some(&index) {
                deciles.push(index);
            }
        }
        let range = sorted.first().copied().zip(sorted.last().copied());
        let (centre, scale) = centre_and_scale(&sorted);
        Self { edges: edges.into(), deciles, range, limits: (None, None), centre, scale }
    }

    #[must_use]
    pub fn bin(&self, value: f64) -> usize {
        self.edges.bin(value)
    }

    /// Counts each value, all of which are finite, in its bin; the same as [`Self::bin`] of each, and faster.
    pub(super) fn count(&self, values: &[f64], bins: &mut [u64]) {
        self.edges.count(values, bins);
    }

    #[must_use]
    pub fn edges(&self) -> &[f64] {
        self.edges.as_slice()
    }

    #[must_use]
    pub const fn range(&self) -> Option<(f64, f64)> {
        self.range
    }

    /// Values outside are out of range: the limits that the configuration sets, else the reference's extremes. A column
    /// without reference values has no extremes to be outside of.
    #[must_use]
    pub fn accepted(&self) -> (f64, f64) {
        let (low, high) = self.range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        (self.limits.0.unwrap_or(low), self.limits.1.unwrap_or(high))
    }

    #[must_use]
    pub const fn centre(&self) -> f64 {
        self.centre
    }

    #[must_use]
    pub const fn scale(&self) -> f64 {
        self.scale
    }

    /// The smallest value of a coarse bin and the smallest of the next; none where there is no end.
    #[must_use]
    pub fn coarse_bounds(&self, bin: usize) -> (Option<f64>, Option<f64>) {
        let edge = |index: usize| self.edges().get(*self.deciles.get(index)? as usize).copied();
        (bin.checked_sub(1).and_then(edge), edge(bin))
    }

    /// Sums fine counts into the coarse bins between distinct deciles.
    #[must_use]
    pub fn coarse(&self, fine: &[u64]) -> Vec<u64> {
        let mut coarse = vec![0; self.deciles.len() + 1];
        let mut index = 0;
        for (bin, count) in fine.iter().enumerate() {
            while self.deciles.get(index).is_some_and(|decile| (*decile as usize) < bin) {
                index += 1;
            }
            coarse[index] += count;
        }
        coarse
    }
}

impl CategoryAnchors {
    /// Anchors of a reference column: its categories, or the most frequent ones if there are very many.
    #[must_use]
    pub fn fit<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for value in values {
            *counts.entry(value).or_default() += 1;
        }
        Self::fit_counts(counts)
    }

    /// As [`CategoryAnchors::fit`], for categories that have been counted; each occurs once.
    #[must_use]
    pub fn fit_counts<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let mut by_count: Vec<(&str, u64)> = counts.into_iter().collect();
        by_count.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        by_count.truncate(MAX_CATEGORIES);
        let mut categories: Vec<String> = by_count.into_iter().map(|(name, _)| name.to_owned()).collect();
        categories.sort_unstable();
        Self::from(categories)
    }

    #[must_use]
    pub fn bin(&self, category: &str) -> Option<usize> {
        self.index.get(category).copied()
    }

    #[must_use]
    pub fn categories(&self) -> &[String] {
        &self.categories
    }
}

impl From<Vec<String>> for CategoryAnchors {
    fn from(categories: Vec<String>) -> Self {
        let index = categories.iter().enumerate().map(|(position, name)| (name.clone(), position)).collect();
        Self { categories, index }
    }
}

impl From<CategoryAnchors> for Vec<String> {
    fn from(anchors: CategoryAnchors) -> Self {
        anchors.categories
    }
}

fn centre_and_scale(sorted: &[f64]) -> (f64, f64) {
    let n = sorted.len() as f64;
    if sorted.is_empty() {
        return (0.0, 1.0);
    }
    let mean = sorted.iter().map(|value| value / n).sum::<f64>();
    let variance = sorted.iter().map(|value| (value - mean).powi(2) / n).sum::<f64>();
    let scale = variance.sqrt();
    if mean.is_finite() && scale.is_finite() && scale > 0.0 { (mean, scale) } else { (sorted[0], 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_counted_from_the_right_side_of_each_edge() {
        let anchors = NumericAnchors::fit((0..=1_000).map(f64::from));
        assert_eq!(anchors.edges().len(), 499);
        assert_eq!(anchors.bin(anchors.edges()[0]), 1);
        assert_eq!(anchors.bin(anchors.edges()[0] - 1e-9), 0);
        assert_eq!(anchors.bin(f64::MAX), 499);
    }

    #[test]
    fn coarse_bins_are_the_deciles_of_the_reference() {
        let anchors = NumericAnchors::fit((0..1_000).map(f64::from));
        let mut fine = vec![0; 500];
        for value in 0..1_000 {
            fine[anchors.bin(f64::from(value))] += 1;
        }
        assert_eq!(anchors.coarse(&fine), vec![100; 10]);
    }

    #[test]
    fn ties_collapse_edges_and_deciles() {
        let values = std::iter::repeat_n(1.0, 900).chain((0..100).map(|i| 2.0 + f64::from(i)));
        let anchors = NumericAnchors::fit(values);
        let mut fine = vec![0; anchors.edges().len() + 1];
        fine[anchors.bin(1.0)] = 900;
        let coarse = anchors.coarse(&fine);
        assert!(coarse.len() <= 3, "{coarse:?}");
        assert_eq!(coarse.iter().sum::<u64>(), 900);
    }

    #[test]
    fn a_column_without_values_has_one_bin() {
        let anchors = NumericAnchors::fit([f64::NAN, f64::INFINITY]);
        assert_eq!(anchors.edges().len(), 0);
        assert_eq!(anchors.range(), None);
        assert_eq!(anchors.coarse(&[3]), vec![3]);
    }

    #[test]
    fn the_most_frequent_categories_are_kept_in_alphabetical_order() {
        let names: Vec<String> = (0..1_500).map(|i| format!("c{i:04}")).collect();
        let twice = names.iter().chain(&names[..700]).map(String::as_str);
        let anchors = CategoryAnchors::fit(twice);
        assert_eq!(anchors.categories().len(), 1_000);
        assert_eq!(anchors.bin("c0000"), Some(0));
        assert_eq!(anchors.bin("c1499"), None);
    }
}
