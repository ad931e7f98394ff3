//! Two-sample Cramér–von Mises on fine histograms.

use super::envelope::Envelope;
use super::{Interval, OrderedCells, QuadraticLaw};

/// Bounds of the two-sample statistic `T = nN/(n + N)² · Σ (F − G)²` over the pooled values (Anderson 1962), in
/// `scipy.stats.cramervonmises_2samp`'s form `U/(nN(n + N)) − (4nN − 1)/(6(n + N))` with mid-ranks for equal values.
/// `None` when a side has no values.
///
/// With the gap `d = F − G` over the number of values passed (straight over equal values) that form is
/// `nN/(n + N)²·∫ d² ds + (Σ (N·x − n·y)(x² − y²) − (N − n)²) / (12·nN(n + N))`, the sum being over groups of `x`
/// and `y` equal values; without ties the second part is `1/(6(n + N))`. The bounds are over all orders and ties within
/// each bin: for real data without ties they are as wide as one bin's mass allows.
///
/// The statistic is the integral with each bin's values spread evenly, with the second part as far as the values are
/// surely not tied. It differs from SciPy's on purpose where they are tied and the sides are of different size: there
/// the second part grows with `(N² − n²)²` although nothing differs, so that SciPy finds drift between a large and a
/// small sample of the same integers. The bounds hold both.
#[must_use]
pub fn cramer_von_mises(cells: &OrderedCells) -> Option<Interval> {
    let (reference, current) = cells.totals()?;
    let (reference, current) = (reference as f64, current as f64);
    let total = reference + current;
    let (mut straight, mut least, mut most) = (0.0, 0.0, 0.0);
    let (mut fewest_ties, mut most_ties, mut surely_untied) = (0.0, 0.0, 0.0);
    let mut before = (0, 0);
    for cell in cells.cells().iter().filter(|cell| cell.reference > 0 || cell.current > 0) {
        let (x, y) = (cell.reference as f64, cell.current as f64);
        let start = before.0 as f64 / reference - before.1 as f64 / current;
        let gap = Envelope { start, reference: x, current: y, rise: 1.0 / reference, fall: 1.0 / current };
        straight += gap.straight_square();
        if cell.is_point {
            let ties = (reference * x - current * y) * (x * x - y * y);
            (least, most) = (least + gap.straight_square(), most + gap.straight_square());
            (fewest_ties, most_ties) = (fewest_ties + ties, most_ties + ties);
        } else {
            let bounds = gap.square_bounds();
            (least, most) = (least + bounds.0, most + bounds.1);
            // Over groups Σ x³ lies between x and x³, and Σ x·y² is at most x·y².
            let fewest = reference * x + current * y - reference * x * y * y - current * y * x * x;
            (fewest_ties, surely_untied) = (fewest_ties + fewest, surely_untied + fewest);
            most_ties += reference * x.powi(3) + current * y.powi(3);
        }
        before = (before.0 + cell.reference, before.1 + cell.current);
    }
    let weight = reference * current / (total * total);
    let sizes = (reference - current).powi(2);
    let ties = |sum: f64| (sum - sizes) / (12.0 * reference * current * total);
    let statistic = weight * straight + ties(surely_untied).clamp(0.0, 1.0 / (6.0 * total));
    let lower = (weight * least + ties(fewest_ties)).max(0.0).min(statistic);
    let upper = (weight * most + ties(most_ties)).max(statistic);
    Some(Interval { statistic, lower, upper })
}

/// The probability of `T` or more without drift, as `scipy.stats.cramervonmises_2samp(method="asymptotic")`: `T` is
/// brought to the mean and variance of the limit (Anderson 1962), whose law is [`QuadraticLaw::CramerVonMises`].
/// SciPy sums another series for the same law and is 0 where ours is below 1e-16. 1 when a side has no values.
#[must_use]
pub fn cramer_von_mises_p_value(statistic: f64, reference: u64, current: u64) -> f64 {
    if reference == 0 || current == 0 {
        return 1.0;
    }
    let (mean, variance) = mean_and_variance(reference, current);
    QuadraticLaw::CramerVonMises.p_value(1.0 / 6.0 + (statistic - mean) / (45.0 * variance).sqrt())
}

/// The statistic that stands for the value `limit` of the limiting law.
pub(super) fn from_limit(limit: f64, reference: u64, current: u64) -> f64 {
    let (mean, variance) = mean_and_variance(reference, current);
    mean + (limit - 1.0 / 6.0) * (45.0 * variance).sqrt()
}

fn mean_and_variance(reference: u64, current: u64) -> (f64, f64) {
    let (x, y) = (reference as f64, current as f64);
    let total = x + y;
    let mean = (1.0 + 1.0 / total) / 6.0;
    let spread = 4.0 * x * y * total - 3.0 * (x * x + y * y) - 2.0 * x * y;
    let variance = (total + 1.0) * spread / (45.0 * total * total * 4.0 * x * y);
    (mean, variance)
}
