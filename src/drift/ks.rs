//! Two-sample Kolmogorov–Smirnov on fine histograms.

use super::OrderedCells;
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
    bounds(&OrderedCells::new(reference, current))
}

/// As [`ks`], over cells.
pub(super) fn bounds(cells: &OrderedCells) -> Option<KsBounds> {
    let (reference, current) = cells.totals()?;
    let (reference, current) = (reference as f64, current as f64);
    let mut bounds = KsBounds { lower: 0.0, upper: 0.0 };
    let mut before = (0, 0);
    for cell in cells.cells() {
        let after = (before.0 + cell.reference, before.1 + cell.current);
        let (f, g) = (after.0 as f64 / reference, after.1 as f64 / current);
        bounds.lower = bounds.lower.max((f - g).abs());
        // Equal values and values of one side only have no order that could make a larger gap inside.
        let is_ordered = cell.is_point || cell.reference == 0 || cell.current == 0;
        let inside = if is_ordered {
            (f - g).abs()
        } else {
            (f - before.1 as f64 / current).max(g - before.0 as f64 / reference)
        };
        bounds.upper = bounds.upper.max(inside);
        before = after;
    }
    bounds.upper = bounds.upper.max(bounds.lower);
    Some(bounds)
}
