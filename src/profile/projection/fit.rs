//! Fitting the components batch by batch, so that rows need not be in memory together.

use super::{Code, EncodedColumn, Projection};
use crate::profile::anchors::ColumnAnchors;
use crate::profile::column::ColumnProfile;
use crate::profile::jacobi::eigenpairs;
use crate::profile::rows::Rows;

/// Every event pays for the square of the columns, so that wide models must ask for it. With 20 columns it is about as
/// much as all other counting.
const MAX_COLUMNS: usize = 50;
const MAX_COLUMNS_WHEN_ASKED_FOR: usize = 200;
/// Digits behind the point of the sums that the components are fitted from: 2⁻⁴⁰.
const FIXED_POINT: f64 = (1_u64 << 40) as f64;

/// The sums from which a [`Projection`] is made: `Σ x_i x_j` over the standardised rows that have been added, in whole
/// units of 2⁻⁸⁰. They are exact, and so the same in any order and any split. Sums of n squares are at most n·2⁸⁰ by
/// Cauchy and Schwarz, so that they fit for all n in use.
#[derive(Clone, Debug)]
pub struct ProjectionFit {
    fitted: Projection,
    sums: Vec<i128>,
    rows: u64,
}

impl ProjectionFit {
    /// `profiles` has what was counted of each of `columns` over all the rows that are going to be added; only columns
    /// that are features are looked at.
    ///
    /// None for fewer than two columns that vary, and when there are more than 50, or than 200 where it is `wanted`.
    #[must_use]
    pub fn new(
        columns: &[ColumnAnchors],
        profiles: &[ColumnProfile],
        is_feature: impl Fn(&str) -> bool,
        wanted: Option<bool>,
    ) -> Option<Self> {
        let features = (0_u32..).zip(columns.iter().zip(profiles)).filter(|(_, (column, _))| is_feature(&column.name));
        let encoded: Vec<EncodedColumn> = features
            .filter_map(|(position, (column, profile))| {
                Some(EncodedColumn { position, code: Code::fit(&column.values, profile)? })
            })
            .collect();
        let most = match wanted {
            Some(false) => 0,
            Some(true) => MAX_COLUMNS_WHEN_ASKED_FOR,
            None => MAX_COLUMNS,
        };
        if encoded.len() < 2 || encoded.len() > most {
            return None;
        }
        let sums = vec![0; encoded.len() * encoded.len()];
        let fitted = Projection { columns: encoded, components: 0, explained: 0.0, weights: Vec::new() };
        Some(Self { fitted, sums, rows: 0 })
    }

    /// Adds the rows whose indices are in `selected`.
    #[allow(clippy::cast_possible_truncation, reason = "a value is at most √n standard deviations from the mean")]
    pub fn add(&mut self, columns: &[ColumnAnchors], rows: &Rows<'_>, selected: &[usize]) {
        let Self { fitted, sums, rows: added } = self;
        let width = fitted.columns.len();
        let mut whole = vec![0_i64; width];
        fitted.encode(columns, rows, selected, |row| {
            for (whole, value) in whole.iter_mut().zip(row) {
                *whole = (value * FIXED_POINT).round() as i64;
            }
            for (index, x) in whole.iter().enumerate() {
                let (x, of_row) = (i128::from(*x), &mut sums[index * width..=index * width + index]);
                for (sum, y) in of_row.iter_mut().zip(&whole) {
                    *sum = sum.saturating_add(x * i128::from(*y));
                }
            }
        });
        *added += selected.len() as u64;
    }

    /// None when the components that explain enough are all there are, because then every row is reconstructed without
    /// error.
    #[must_use]
    pub fn finish(mut self) -> Option<Projection> {
        let pairs = eigenpairs(self.covariance(), self.fitted.columns.len());
        self.fitted.keep_components(&pairs)?;
        Some(self.fitted)
    }

    /// `Σ x_i x_j / n`, which are the correlations: the columns are standardised.
    fn covariance(&self) -> Vec<f64> {
        let width = self.fitted.columns.len();
        let unit = FIXED_POINT * FIXED_POINT * self.rows.max(1) as f64;
        let at = |(i, j): (usize, usize)| self.sums[i.max(j) * width + i.min(j)] as f64 / unit;
        (0..width * width).map(|cell| at((cell / width, cell % width))).collect()
    }
}
