//! What the reference knows of how the features go together: a row is told from the reference's by how badly it is
//! reconstructed from the reference's principal components.

mod fit;

use serde::{Deserialize, Serialize};

pub use fit::ProjectionFit;

use super::anchors::{ColumnAnchors, ValueAnchors};
use super::column::ColumnProfile;
use super::jacobi::Eigenpair;
use super::reconstruction::Reconstruction;
use super::rows::{Rows, Values};
use super::{LABEL_COLUMN, SCORE_COLUMN};

/// Share of the variance that the kept components explain more than, as NannyML's default.
const EXPLAINED: f64 = 0.65;
/// Rows that are encoded together, column by column.
const BLOCK: usize = 64;
/// Standardised values beyond are brought back to it, so that their squares have a sum.
const LARGEST: f64 = 1e100;
/// Errors below this share of the row's length are rounding.
const ROUNDING: f64 = 1e-9;

/// The encoding of a model's features and the axes that the kept principal components leave out, fitted on the reference.
///
/// As NannyML's data reconstruction drift: a missing number is the mean; a missing category the most frequent one (the
/// first of several); a category is its share in the reference; all are standardised; the components are the fewest
/// that explain more than 65 % of the variance (`PCA(n_components=0.65)` of scikit-learn). A row's error is the
/// Euclidean distance `‖x − x̂‖` of its encoding `x` to its reconstruction `x̂`, which is the length of `x` along the
/// axes left out, and computed so.
///
/// Other than NannyML: an unseen category has the share 0 (there −1); what is not finite is missing; columns that do not
/// vary in the reference are left out (there they count unscaled); errors below 1e-9 of the row's length are 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Projection {
    columns: Vec<EncodedColumn>,
    components: u32,
    explained: f64,
    /// For each column its weights in the axes that are left out.
    weights: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct EncodedColumn {
    /// Among the anchors' columns.
    position: u32,
    code: Code,
}

/// How a column's values become standardised numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Code {
    Numeric {
        mean: f64,
        std: f64,
    },
    /// By bin, and what has none.
    Categorical {
        bins: Vec<f64>,
        unseen: f64,
        missing: f64,
    },
}

impl Projection {
    /// Fits the features among `columns` on the first `count` of `rows`, which the anchors were fitted on too. The same
    /// rows in another order give the same projection to the last bit.
    ///
    /// None for fewer than two columns that vary; when there are more than 50, or than 200 where the configuration asks
    /// for it (`wanted`); and when the components that explain enough are all there are, because then every row is
    /// reconstructed without error.
    #[must_use]
    pub(super) fn fit(columns: &[ColumnAnchors], rows: &Rows<'_>, count: usize, wanted: Option<bool>) -> Option<Self> {
        let everybody: Vec<usize> = (0..count).collect();
        let counted = |(index, column): (usize, &ColumnAnchors)| {
            let mut profile = ColumnProfile::empty(&column.values);
            profile.count(&column.values, rows.values(index), &everybody);
            profile
        };
        let profiles: Vec<ColumnProfile> = columns.iter().enumerate().map(counted).collect();
        let mut fit = ProjectionFit::new(columns, &profiles, |name| !is_prediction(name), wanted)?;
        fit.add(columns, rows, &everybody);
        fit.finish()
    }

    /// Columns that vary, and the principal components that are kept of them.
    #[must_use]
    pub fn size(&self) -> (usize, u32) {
        (self.columns.len(), self.components)
    }

    /// The share of the reference's variance that the kept components explain.
    #[must_use]
    pub const fn explained(&self) -> f64 {
        self.explained
    }

    /// Adds the errors of the rows whose indices are in `selected`.
    pub(super) fn measure(
        &self,
        columns: &[ColumnAnchors],
        rows: &Rows<'_>,
        selected: &[usize],
        into: &mut Reconstruction,
    ) {
        let mut along = vec![0.0; self.axes()];
        self.encode(columns, rows, selected, |row| into.add(self.error(row, &mut along)));
    }

    /// The length of a row along the axes that are left out; `along` is working space.
    fn error(&self, row: &[f64], along: &mut [f64]) -> f64 {
        along.fill(0.0);
        let mut length = 0.0;
        // Columns outside and axes inside, so that the sums are independent of each other and vectorise.
        for (value, weights) in row.iter().zip(self.weights.chunks_exact(along.len().max(1))) {
            length += value * value;
            for (sum, weight) in along.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
        let squares: f64 = along.iter().map(|sum| sum * sum).sum();
        if squares <= ROUNDING * ROUNDING * length { 0.0 } else { squares.sqrt() }
    }

    /// Hands the encoded rows to `each`, one after the other.
    fn encode(&self, columns: &[ColumnAnchors], rows: &Rows<'_>, selected: &[usize], mut each: impl FnMut(&[f64])) {
        let width = self.columns.len();
        let mut block = vec![0.0; width * BLOCK.min(selected.len())];
        for selected in selected.chunks(BLOCK) {
            for (index, column) in self.columns.iter().enumerate() {
                let position = column.position as usize;
                let Some(anchors) = columns.get(position) else { continue };
                let cells = block.iter_mut().skip(index).step_by(width);
                column.code.encode(&anchors.values, rows.values(position), selected, cells);
            }
            block.chunks_exact(width).take(selected.len()).for_each(&mut each);
        }
    }

    /// None when nothing would be left out.
    fn keep_components(&mut self, pairs: &[Eigenpair]) -> Option<()> {
        let total: f64 = pairs.iter().map(|pair| pair.value).sum();
        let mut explained = 0.0;
        let enough = pairs.iter().position(|pair| {
            explained += pair.value;
            explained > EXPLAINED * total
        })?;
        let left_out = pairs.get(enough + 1..).filter(|left_out| !left_out.is_empty())?;
        self.components = u32::try_from(enough + 1).ok()?;
        self.explained = explained / total;
        let of_column = |index: usize| left_out.iter().map(move |pair| pair.vector[index]);
        self.weights = (0..self.columns.len()).flat_map(of_column).collect();
        Some(())
    }

    fn axes(&self) -> usize {
        self.columns.len().saturating_sub(self.components as usize)
    }
}

impl Code {
    /// None for a column without variance, or without one that floats can hold.
    fn fit(anchors: &ValueAnchors, profile: &ColumnProfile) -> Option<Self> {
        let rows = profile.total() as f64;
        match anchors {
            ValueAnchors::Numeric(numeric) => {
                let count = profile.moments.count as f64;
                // One number in the place of constants and of overflows, of which the anchors' scale is not the deviation.
                let (mean, square) = (profile.moments.sum / count, profile.moments.sum_of_squares / count);
                let is_standard = mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-6;
                // Missing values are the mean, of which they do not deviate.
                let std = numeric.scale() * (count / rows).sqrt();
                (is_standard && std > 0.0).then_some(Self::Numeric { mean: numeric.centre(), std })
            }
            ValueAnchors::Categorical(_) => Self::fit_shares(profile, rows),
        }
    }

    fn fit_shares(profile: &ColumnProfile, rows: f64) -> Option<Self> {
        let mut counts = profile.bins.clone();
        let largest = *counts.iter().max()?;
        let most_frequent = counts.iter().position(|count| *count == largest)?;
        counts[most_frequent] += profile.missing;
        let shares: Vec<f64> = counts.iter().map(|count| *count as f64 / rows).collect();
        let mean: f64 = shares.iter().map(|share| share * share).sum();
        let around: f64 = shares.iter().map(|share| share * (share - mean).powi(2)).sum();
        let std = (around + profile.unseen as f64 / rows * mean * mean).sqrt();
        // Categories of the same share are the same number; what is left is rounding.
        if std.is_nan() || std <= 1e-12 {
            return None;
        }
        let code = |share: f64| (share - mean) / std;
        let missing = code(shares[most_frequent]);
        Some(Self::Categorical { bins: shares.into_iter().map(code).collect(), unseen: code(0.0), missing })
    }

    /// A column of the wrong kind is missing, as it is counted.
    fn encode<'a>(
        &self,
        anchors: &ValueAnchors,
        values: &Values<'_>,
        selected: &[usize],
        cells: impl Iterator<Item = &'a mut f64>,
    ) {
        let cells = cells.zip(selected);
        match (self, anchors, values) {
            (Self::Numeric { mean, std }, _, Values::Numeric(numbers)) => {
                for (cell, row) in cells {
                    let value = numbers.get(*row).filter(|value| value.is_finite());
                    *cell = value.map_or(0.0, |value| ((value - mean) / std).clamp(-LARGEST, LARGEST));
                }
            }
            (
                Self::Categorical { bins, unseen, missing },
                ValueAnchors::Categorical(categories),
                Values::Categorical(texts),
            ) => {
                for (cell, row) in cells {
                    let known = |text: &str| categories.bin(text).and_then(|bin| bins.get(bin)).copied();
                    *cell = texts.get(*row).map_or(*missing, |text| known(text).unwrap_or(*unseen));
                }
            }
            (Self::Numeric { .. }, ..) => cells.for_each(|(cell, _)| *cell = 0.0),
            (Self::Categorical { missing, .. }, ..) => cells.for_each(|(cell, _)| *cell = *missing),
        }
    }
}

fn is_prediction(column: &str) -> bool {
    column == LABEL_COLUMN || column == SCORE_COLUMN
}

#[cfg(test)]
mod tests;
