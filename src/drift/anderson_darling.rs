//! Two-sample Anderson–Darling on fine histograms.

use std::f64::consts::PI;

use super::envelope::Envelope;
use super::{Interval, OrderedCells, QuadraticLaw, Undefined};

/// Cells of so many values are looked at value by value.
const FEW: f64 = 8.0;
/// Euler's constant.
const EULER: f64 = 0.577_215_664_901_532_9;
/// Up to here harmonic numbers are summed.
const SUMMED: u64 = 64;

/// Bounds of the two-sample statistic with mid-ranks, as `scipy.stats.anderson_ksamp(variant="midrank")` before it is
/// standardised (Scholz & Stephens 1987, equation 7, for two samples):
/// `A² = (M − 1)·nN/M · Σ l·d² / (B·(M − B) − M·l/4)` over groups of `l` equal values, with `M = n + N`, `B` the
/// values before the group and half of it, and `d` the gap `F − G` in the middle of the group. Without drift its
/// mean is 1; [`standardise`] makes it SciPy's statistic.
///
/// The statistic takes each bin for one group. The bounds are over all orders and ties within each bin.
/// [`Undefined::OneBin`] where SciPy wants more than one distinct value.
pub fn anderson_darling(cells: &OrderedCells) -> Result<Interval, Undefined> {
    let (reference, current) = cells.totals().ok_or(Undefined::EmptySide)?;
    let (reference, current) = (reference as f64, current as f64);
    let total = reference + current;
    let filled: Vec<_> = cells.cells().iter().filter(|cell| cell.reference > 0 || cell.current > 0).collect();
    if filled.len() < 2 {
        return Err(Undefined::OneBin);
    }
    let (mut midrank, mut least, mut most) = (0.0, 0.0, 0.0);
    let mut before = (0, 0);
    let mut points = Vec::new();
    for cell in filled {
        let start = before.0 as f64 / reference - before.1 as f64 / current;
        let (x, y) = (cell.reference as f64, cell.current as f64);
        let gap = Envelope { start, reference: x, current: y, rise: 1.0 / reference, fall: 1.0 / current };
        let passed = before.0 as f64 + before.1 as f64;
        let group = group_term(&gap, passed, total);
        midrank += group;
        let (low, high) = if cell.is_point { (group, group) } else { term_bounds(&gap, passed, total, &mut points) };
        least += low;
        most += high;
        before = (before.0 + cell.reference, before.1 + cell.current);
    }
    let factor = (total - 1.0) * (reference / total) * current;
    let (statistic, lower, upper) = (factor * midrank, factor * least, factor * most);
    Ok(Interval { statistic, lower: lower.min(statistic), upper: upper.max(statistic) })
}

/// `l·d² / (B·(M − B) − M·l/4)` of a cell whose values are all equal.
fn group_term(gap: &Envelope, passed: f64, total: f64) -> f64 {
    let width = gap.width();
    let middle = passed + 0.5 * width;
    let weight = middle * (total - middle) - 0.25 * total * width;
    let distance = f64::midpoint(gap.start, gap.end());
    width * distance * distance / weight
}

/// Bounds of the sum of the terms of the groups that a cell may consist of.
///
/// A group's middle lies at some `s` of the cell. There `|d|` is within the envelope, and a group of `l` values can have
/// its middle at `s` only when `l/2` is at most the distance to either end of the cell, which bounds the weight. The
/// cell's sum is then its width times a value between the extremes of `d²/weight`, taken over stretches on which both
/// have theirs at the ends.
fn term_bounds(gap: &Envelope, passed: f64, total: f64, points: &mut Vec<f64>) -> (f64, f64) {
    let width = gap.width();
    if width > FEW && width < 0.1 * passed.min(total - passed - width) {
        return inner_term_bounds(gap, passed, total);
    }
    let is_outer = passed <= 0.0 || passed + width >= total;
    let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
    stretches(gap, is_outer, points);
    let heaviest = |s: f64| (passed + s) * (total - passed - s) - 0.5 * total * s.min(width - s);
    let lightest = |s: f64| (passed + s) * (total - passed - s) - 0.25 * total;
    let mut visit = |from: f64, to: f64| {
        let far = gap.farthest(from).max(gap.farthest(to));
        let near = if gap.lowest(from).min(gap.lowest(to)) > 0.0 || gap.highest(from).max(gap.highest(to)) < 0.0 {
            gap.nearest(from).min(gap.nearest(to))
        } else {
            0.0
        };
        let top = if passed + from < 0.5 * total && passed + to > 0.5 * total {
            0.25 * total * total - 0.25 * total
        } else {
            lightest(from).max(lightest(to))
        };
        most = most.max(far * far / heaviest(from).min(heaviest(to)));
        least = least.min(near * near / top);
    };
    if let [only] = points[..] {
        visit(only, only);
    }
    for pair in points.windows(2) {
        visit(pair[0], pair[1]);
    }
    (width * least, width * most)
}

/// The same with one stretch, for a cell across which the weight hardly changes.
fn inner_term_bounds(gap: &Envelope, passed: f64, total: f64) -> (f64, f64) {
    let width = gap.width();
    let (peak, valley) = (gap.highest(gap.reference), gap.lowest(gap.current));
    let far = peak.max(-valley);
    let near = valley.max(-peak).max(0.0);
    let after = passed + width;
    let ends = [passed * (total - passed), after * (total - after)];
    let middle = passed + 0.5 * width;
    let lightest = if middle < 0.5 * total { ends[1].max(0.0) } else { ends[0].max(0.0) };
    let crosses_middle = passed < 0.5 * total && after > 0.5 * total;
    let lightest = if crosses_middle { 0.25 * total * total } else { lightest };
    let heaviest = (middle * (total - middle) - 0.25 * total * width).min(ends[0]).min(ends[1]);
    (width * near * near / lightest, width * far * far / heaviest)
}

/// The ends of the stretches, ascending: from the middle of the first value to that of the last.
fn stretches(gap: &Envelope, is_outer: bool, points: &mut Vec<f64>) {
    let width = gap.width();
    let last = width - 0.5;
    points.clear();
    points.extend([0.5, last, 0.5 * width]);
    points.extend([gap.reference, gap.current].into_iter().filter(|s| *s > 0.5 && *s < last));
    if is_outer {
        // The weight falls to nearly nothing at the ends of the distribution.
        let mut step = 0.25;
        while 0.5 + step < 0.5 * width {
            points.extend([0.5 + step, last - step]);
            step *= 1.5;
        }
    }
    points.sort_unstable_by(f64::total_cmp);
    points.dedup();
}

/// `(A² − 1) / σ` for samples of these sizes, which is what SciPy reports as the statistic: it is negative when the
/// samples are more alike than chance makes them. Undefined for fewer than four values.
pub fn standardise(statistic: f64, reference: u64, current: u64) -> Result<f64, Undefined> {
    Ok((statistic - 1.0) / deviation(reference, current)?)
}

/// The probability of a standardised statistic or more without drift.
///
/// The standardised statistic is brought back to the limit's mean 1 and variance `2(π² − 9)/3`, whose law is
/// [`QuadraticLaw::AndersonDarling`]. SciPy interpolates a table instead and stops at 0.25 and 0.001, which is too
/// coarse for the false discovery rate over many columns; within those ends the two differ by about a tenth.
#[must_use]
pub fn anderson_darling_p_value(standardised: f64) -> f64 {
    QuadraticLaw::AndersonDarling.p_value(1.0 + standardised * limit_deviation())
}

/// The standardised statistic that stands for the value `limit` of the limiting law.
pub(super) fn from_limit(limit: f64) -> f64 {
    (limit - 1.0) / limit_deviation()
}

fn limit_deviation() -> f64 {
    (2.0 * (PI * PI - 9.0) / 3.0).sqrt()
}

/// σ of Scholz & Stephens' equation 4 for two samples.
fn deviation(reference: u64, current: u64) -> Result<f64, Undefined> {
    if reference == 0 || current == 0 {
        return Err(Undefined::EmptySide);
    }
    let count = reference + current;
    if count < 4 {
        return Err(Undefined::TooFewValues);
    }
    let n = count as f64;
    let inverse = 1.0 / reference as f64 + 1.0 / current as f64;
    let h = harmonic(count - 1);
    // Σ_{i<j<n} 1/((n − i)·j) = H(n−1)² − H(n)² + H₂(n)
    let g = harmonic_squares(count) - (2.0 * harmonic(count) - 1.0 / n) / n;
    let a = (4.0 * g - 6.0) + (10.0 - 6.0 * g) * inverse;
    let b = (2.0 * g - 4.0) * 4.0 + 16.0 * h + (2.0 * g - 14.0 * h - 4.0) * inverse - 8.0 * h + 4.0 * g - 6.0;
    let c = (6.0 * h + 2.0 * g - 2.0) * 4.0 + (4.0 * h - 4.0 * g + 6.0) * 2.0 + (2.0 * h - 6.0) * inverse + 4.0 * h;
    let d = (2.0 * h + 6.0) * 4.0 - 8.0 * h;
    let variance = (((a * n + b) * n + c) * n + d) / ((n - 1.0) * (n - 2.0) * (n - 3.0));
    if variance > 0.0 { Ok(variance.sqrt()) } else { Err(Undefined::TooFewValues) }
}

/// `Σ_{i ≤ n} 1/i`
fn harmonic(n: u64) -> f64 {
    if n <= SUMMED {
        return (1..=n).map(|i| 1.0 / i as f64).sum();
    }
    let n = n as f64;
    let square = 1.0 / (n * n);
    n.ln() + EULER + 0.5 / n - square * (1.0 / 12.0 - square * (1.0 / 120.0 - square / 252.0))
}

/// `Σ_{i ≤ n} 1/i²`
fn harmonic_squares(n: u64) -> f64 {
    if n <= SUMMED {
        return (1..=n).map(|i| 1.0 / (i as f64 * i as f64)).sum();
    }
    let inverse = 1.0 / n as f64;
    let square = inverse * inverse;
    PI * PI / 6.0 - inverse * (1.0 - 0.5 * inverse + square * (1.0 / 6.0 - square * (1.0 / 30.0 - square / 42.0)))
}
