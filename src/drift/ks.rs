//! Two-sample Kolmogorov–Smirnov on fine histograms.

use crate::profile::ColumnProfile;

/// Certain bounds of `sup |F − G|` of the two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KsBounds {
    pub lower: f64,
    pub upper: f64,
}

/// Bounds of the two-sample statistic `D = sup |F_reference(x) − F_current(x)|`, as `scipy.stats.ks_2samp` defines it,
/// over the values that have a bin.
///
/// Both distribution functions are known exactly at each edge and at the reference's extremes, so the largest gap
/// there is a lower bound. Between two neighbouring known points `F` and `G` only rise, so
/// `max(F(b) − G(a), G(b) − F(a))` bounds the gap inside. The interval is at most one bin's mass wide. `None` when a
/// side has no values.
#[must_use]
pub fn ks(reference: &ColumnProfile, current: &ColumnProfile) -> Option<KsBounds> {
    let reference = cumulative(reference)?;
    let current = cumulative(current)?;
    let mut bounds = KsBounds { lower: 0.0, upper: 0.0 };
    let mut previous = (0.0, 0.0);
    for (f, g) in reference.into_iter().zip(current) {
        bounds.lower = bounds.lower.max((f - g).abs());
        bounds.upper = bounds.upper.max(f - previous.1).max(g - previous.0);
        previous = (f, g);
    }
    Some(bounds)
}

/// The distribution function just below the reference's minimum, just below each edge, at its maximum, and at the end.
fn cumulative(column: &ColumnProfile) -> Option<Vec<f64>> {
    let n = column.bins.iter().sum::<u64>();
    if n == 0 {
        return None;
    }
    let share = |count: u64| count as f64 / n as f64;
    let mut points = Vec::with_capacity(column.bins.len() + 2);
    points.push(share(column.below));
    let mut count = 0;
    for bin in &column.bins[..column.bins.len() - 1] {
        count += bin;
        points.push(share(count));
    }
    points.push(share(n - column.above));
    points.push(1.0);
    Some(points)
}
