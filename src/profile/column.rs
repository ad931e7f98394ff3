//! Counts of one column.

use serde::{Deserialize, Serialize};

use super::anchors::{NumericAnchors, ValueAnchors};
use super::numbers;
use super::rows::{Numbers, Values};

/// Numbers that are counted at a time: a block of them stays in the first cache.
const BLOCK: usize = 512;

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
                self.count_numbers(anchors, *array, selected);
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

    /// Block by block, and within a block one thing after the other: so that each loop is simple enough for the
    /// processor to take several values at once.
    fn count_numbers(&mut self, anchors: &NumericAnchors, values: Numbers<'_>, selected: &[usize]) {
        let mut block = [0.0; BLOCK];
        for rows in selected.chunks(BLOCK) {
            let values = values.gather(rows, &mut block);
            let finite = if numbers::are_finite(values) { values } else { self.set_apart(values) };
            if finite.is_empty() {
                continue;
            }
            anchors.count(finite, &mut self.bins);
            let extremes = numbers::extremes(finite);
            self.count_outside(anchors, finite, extremes);
            self.moments.add(anchors, finite, extremes);
        }
    }

    /// Counts what is no finite number, and returns the others in their order.
    fn set_apart<'a>(&mut self, values: &'a mut [f64]) -> &'a mut [f64] {
        let mut kept = 0;
        for index in 0..values.len() {
            let value = values[index];
            if value.is_finite() {
                values[kept] = value;
                kept += 1;
            }
            self.missing += u64::from(value.is_nan());
            self.invalid += u64::from(value.is_infinite());
        }
        &mut values[..kept]
    }

    fn count_outside(&mut self, anchors: &NumericAnchors, values: &[f64], (min, max): (f64, f64)) {
        // Without a range there are no values in the reference to be below or above of.
        let (low, high) = anchors.range().unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        if min < low || max > high {
            self.below += numbers::count_below(values, low);
            self.above += numbers::count_above(values, high);
        }
        let (lowest, highest) = anchors.accepted();
        if min < lowest || max > highest {
            self.out_of_range += numbers::count_outside(values, lowest, highest);
        }
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
    /// Sums go on in the order of the values, so that they do not depend on how the rows were cut into batches.
    fn add(&mut self, anchors: &NumericAnchors, values: &[f64], (min, max): (f64, f64)) {
        let sums = (self.sum, self.sum_of_squares);
        (self.sum, self.sum_of_squares) = numbers::add_sums(sums, values, anchors.centre(), anchors.scale());
        self.count += values.len() as u64;
        self.min = Some(self.min.map_or(min, |least| least.min(min)));
        self.max = Some(self.max.map_or(max, |most| most.max(max)));
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
