//! Wasserstein distance on fine histograms.

use super::{Interval, OrderedCells, Undefined};
use crate::profile::{ColumnProfile, NumericAnchors};

/// The unit of a constant reference, as in Evidently.
const LEAST_DEVIATION: f64 = 0.001;

/// A distance in standard deviations of the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wasserstein {
    pub distance: Interval,
    /// `√(1/N + 1/n)·∫ √(H(1 − H)) dx` with the pooled distribution function `H`: what the standard deviations of the
    /// gap add up to without drift, in the same unit.
    pub noise: f64,
}

/// `W₁ = ∫ |F − G| dx`, as `scipy.stats.wasserstein_distance`, divided by the reference's standard deviation
/// (`numpy.std`, ddof 0), or by 0.001 for a constant reference. Not negative, without upper bound; infinite values do
/// not count.
///
/// Both distribution functions are known at every edge, and the outer bins end at the extremes of both sides. Within a
/// bin `F` and `G` may run anywhere between their values at its ends, which gives the bounds; the difference of the
/// means is a lower bound as well. The statistic takes each bin's values for evenly spread.
///
/// Evidently divides by `max(std, 0.001)`: ours differs where 0 < std < 0.001, so that the unit of a column does not
/// decide. Undefined when a side has no values and when the range or the deviation is not finite.
pub fn wasserstein(
    anchors: &NumericAnchors,
    cells: &OrderedCells,
    reference: &ColumnProfile,
    current: &ColumnProfile,
) -> Result<Wasserstein, Undefined> {
    let (n_reference, n_current) = cells.totals().ok_or(Undefined::EmptySide)?;
    let (n_reference, n_current) = (n_reference as f64, n_current as f64);
    let unit = deviation(anchors, reference).ok_or(Undefined::Overflow)?;
    let (mut statistic, mut lower, mut upper, mut noise) = (0.0, 0.0, 0.0, 0.0);
    let mut before = (0, 0);
    let points = Points::new(anchors, cells.cells().len(), reference, current);
    for (index, cell) in cells.cells().iter().enumerate() {
        let after = (before.0 + cell.reference, before.1 + cell.current);
        let (f, g) = (before.0 as f64 / n_reference, before.1 as f64 / n_current);
        let (f_after, g_after) = (after.0 as f64 / n_reference, after.1 as f64 / n_current);
        let pooled = 0.5 * (before.0 + before.1 + after.0 + after.1) as f64 / (n_reference + n_current);
        before = after;
        // Outside of all values both functions are 0 or 1.
        if pooled <= 0.0 || (f >= 1.0 && g >= 1.0) {
            continue;
        }
        let width = points.width(index) / unit;
        statistic += width * mean_absolute(f - g, f_after - g_after);
        lower += width * (f - g_after).max(g - f_after).max(0.0);
        upper += width * (f_after - g).max(g_after - f);
        noise += width * (pooled * (1.0 - pooled)).max(0.0).sqrt();
    }
    if let Some(shift) = difference_of_means(anchors, reference, current) {
        lower = f64::max(lower, shift / unit);
    }
    noise *= (1.0 / n_reference + 1.0 / n_current).sqrt();
    if !upper.is_finite() || !noise.is_finite() {
        return Err(Undefined::Overflow);
    }
    // Rounding may put the difference of the means a digit above the upper bound.
    lower = lower.min(upper);
    Ok(Wasserstein { distance: Interval { statistic: statistic.clamp(lower, upper), lower, upper }, noise })
}

/// The points between the cells: cell 0 lies below the reference's minimum, cells 1 to `count − 2` are the bins, the
/// last lies above its maximum. The outer ones end at the extremes of both sides.
struct Points<'a> {
    edges: &'a [f64],
    count: usize,
    /// Of both sides; none when neither has values.
    extremes: Option<(f64, f64)>,
    /// Of the reference.
    range: (f64, f64),
}

impl<'a> Points<'a> {
    fn new(anchors: &'a NumericAnchors, count: usize, reference: &ColumnProfile, current: &ColumnProfile) -> Self {
        let sides = [reference.moments, current.moments];
        let least = sides.iter().filter_map(|moments| moments.min).reduce(f64::min);
        let most = sides.iter().filter_map(|moments| moments.max).reduce(f64::max);
        let extremes = least.zip(most);
        let range = anchors.range().or(extremes).unwrap_or((0.0, 0.0));
        Self { edges: anchors.edges(), count, extremes, range }
    }

    /// The extent of a cell; 0 for an empty one, infinite when there are no extremes.
    fn width(&self, index: usize) -> f64 {
        let Some((least, most)) = self.extremes else { return f64::INFINITY };
        let (min, max) = self.range;
        let point = |index: usize| match index {
            0 => least.min(min),
            1 => min,
            _ if index == self.count => most.max(max),
            _ if index == self.count - 1 => max,
            _ => self.edges.get(index - 2).copied().unwrap_or(max),
        };
        (point(index + 1) - point(index)).max(0.0)
    }
}

/// The reference's standard deviation; none when its sums are not finite.
fn deviation(anchors: &NumericAnchors, reference: &ColumnProfile) -> Option<f64> {
    let moments = &reference.moments;
    if moments.count == 0 || (moments.min.is_some() && moments.min == moments.max) {
        return Some(LEAST_DEVIATION);
    }
    let count = moments.count as f64;
    let mean = moments.sum / count;
    let deviation = anchors.scale() * (moments.sum_of_squares / count - mean * mean).max(0.0).sqrt();
    let deviation = if deviation > 0.0 { deviation } else { LEAST_DEVIATION };
    deviation.is_finite().then_some(deviation)
}

fn difference_of_means(anchors: &NumericAnchors, reference: &ColumnProfile, current: &ColumnProfile) -> Option<f64> {
    let difference = (reference.moments.mean(anchors)? - current.moments.mean(anchors)?).abs();
    // What the means of equal samples may differ by after rounding is no distance.
    let rounding = 1e-12 * anchors.scale();
    difference.is_finite().then_some((difference - rounding).max(0.0))
}

/// The mean of the absolute value of what runs straight from `a` to `b`.
fn mean_absolute(a: f64, b: f64) -> f64 {
    if (a >= 0.0) == (b >= 0.0) {
        return 0.5 * (a + b).abs();
    }
    0.5 * (a * a + b * b) / (a - b).abs()
}
