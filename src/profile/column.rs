//! Counts of one column.

use serde::{Deserialize, Serialize};

use super::anchors::{NumericAnchors, ValueAnchors};
use super::rows::Values;

/// A histogram over a column's anchors with the values that have no bin, and moments of numeric columns.
///
/// Every counted row is in exactly one of `bins`, `missing`, `invalid` and `unseen`; `below` and `above` count
/// values outside the reference's range, which are also in the first and last bin, and `out_of_range` those outside
/// [`NumericAnchors::accepted`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnProfile {
    pub bins: Vec<u64>,
    pub missing: u64,
    /// Values that are not finite.
    pub invalid: u64,
    /// Categories that the reference does not have.
    pub unseen: u64,
    pub below: u64,
    pub above: u64,
    pub out_of_range: u64,
    pub moments: Moments,
}

/// Sums about the anchors' centre in units of their scale: `Σz` and `Σz²` with `z = (x − centre) / scale`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    pub count: u64,
    pub sum: f64,
    pub sum_of_squares: f64,
    pub min: Option<f64>,
    pub max: Option<f64>,
}

impl ColumnProfile {
    #[must_use]
    pub fn empty(anchors: &ValueAnchors) -> Self {
        Self { bins: vec![0; anchors.bins()], ..Self::default() }
    }

    /// Counts the rows whose indices are in `selected`; a column of the wrong kind counts as missing.
    pub fn count(&mut self, anchors: &ValueAnchors, values: &Values<'_>, selected: &[usize]) {
        match (anchors, values) {
            (ValueAnchors::Numeric(anchors), Values::Numeric(array)) => {
                self.count_numbers(anchors, selected.iter().map(|row| array.get(*row)));
            }
            (ValueAnchors::Categorical(anchors), Values::Categorical(array)) => {
                for &row in selected {
                    match array.get(row) {
                        None => self.missing += 1,
                        Some(category) => match anchors.bin(category) {
                            Some(bin) => self.bins[bin] += 1,
                            None => self.unseen += 1,
                        },
                    }
                }
            }
            _ => self.missing += selected.len() as u64,
        }
    }

    fn count_numbers(&mut self, anchors: &NumericAnchors, values: impl Iterator<Item = Option<f64>>) {
        // Without a range there are no values in the reference to be below or above of.
        let (low, high) = anchors.range().unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        let (lowest, highest) = anchors.accepted();
        // On the stack while the loop runs; sums go on in the order of the rows.
        let mut moments = self.moments;
        for value in values {
            let Some(value) = value.filter(|value| !value.is_nan()) else {
                self.missing += 1;
                continue;
            };
            if value.is_infinite() {
                self.invalid += 1;
                continue;
            }
            self.bins[anchors.bin(value)] += 1;
            self.below += u64::from(value < low);
            self.above += u64::from(value > high);
            self.out_of_range += u64::from(value < lowest || value > highest);
            moments.add(anchors, value);
        }
        self.moments = moments;
    }

    /// Values with a bin or an unseen category.
    #[must_use]
    pub fn valid(&self) -> u64 {
        self.bins.iter().sum::<u64>() + self.unseen
    }

    /// All counted rows.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.valid() + self.missing + self.invalid
    }

    pub fn merge(&mut self, other: &Self) {
        if self.bins.len() < other.bins.len() {
            self.bins.resize(other.bins.len(), 0);
        }
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            *mine += theirs;
        }
        self.missing += other.missing;
        self.invalid += other.invalid;
        self.unseen += other.unseen;
        self.below += other.below;
        self.above += other.above;
        self.out_of_range += other.out_of_range;
        self.moments.merge(&other.moments);
    }

    /// The `q`-quantile, interpolated within its bin between the edges (or the extremes seen); error at most the width
    /// of that bin. `None` without values.
    #[must_use]
    pub fn quantile(&self, anchors: &NumericAnchors, q: f64) -> Option<f64> {
        let n = self.bins.iter().sum::<u64>();
        let (min, max) = (self.moments.min?, self.moments.max?);
        let target = q.clamp(0.0, 1.0) * n as f64;
        let mut before = 0.0;
        for (bin, &count) in self.bins.iter().enumerate() {
            let count = count as f64;
            if count > 0.0 && before + count >= target {
                let low = if bin == 0 { min } else { anchors.edges()[bin - 1].max(min) };
                let high = anchors.edges().get(bin).copied().unwrap_or(max).min(max);
                return Some(low + (high - low) * ((target - before) / count));
            }
            before += count;
        }
        Some(max)
    }
}

impl Moments {
    fn add(&mut self, anchors: &NumericAnchors, value: f64) {
        let z = (value - anchors.centre()) / anchors.scale();
        self.count += 1;
        self.sum += z;
        self.sum_of_squares += z * z;
        self.min = Some(self.min.map_or(value, |min| min.min(value)));
        self.max = Some(self.max.map_or(value, |max| max.max(value)));
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.sum_of_squares += other.sum_of_squares;
        self.min = [self.min, other.min].into_iter().flatten().min_by(f64::total_cmp);
        self.max = [self.max, other.max].into_iter().flatten().max_by(f64::total_cmp);
    }

    /// `Σx / n`; `None` without values or when the sum is not finite.
    #[must_use]
    pub fn mean(&self, anchors: &NumericAnchors) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let mean = anchors.centre() + anchors.scale() * (self.sum / self.count as f64);
        mean.is_finite().then_some(mean)
    }

    /// Sample standard deviation, `√(Σ(x − mean)² / (n − 1))`; `None` for fewer than two values or when not finite.
    #[must_use]
    pub fn std(&self, anchors: &NumericAnchors) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        let n = self.count as f64;
        let squares = (self.sum_of_squares - self.sum * self.sum / n).max(0.0);
        let std = anchors.scale() * (squares / (n - 1.0)).sqrt();
        std.is_finite().then_some(std)
    }
}
