//! All the ways in which the gap between two distribution functions can run through a cell.

/// The gap `d = F − G` through one cell, over the number of its values passed, `s` from 0 to `a + b`.
///
/// Each of the `a` reference values raises it by `1/N`, each of the `b` others lowers it by `1/n`, in an unknown order;
/// equal values are passed along a straight line. So `d(s)` is at most what it is when the reference's values come
/// first, which is concave in `s`, and at least what it is when they come last, which is convex.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    /// The gap before the cell.
    pub start: f64,
    pub reference: f64,
    pub current: f64,
    /// `1/N` and `1/n`.
    pub rise: f64,
    pub fall: f64,
}

impl Envelope {
    pub(super) fn width(&self) -> f64 {
        self.reference + self.current
    }

    /// The gap after the cell.
    pub(super) fn end(&self) -> f64 {
        self.start + self.reference * self.rise - self.current * self.fall
    }

    /// The largest gap at `s`.
    pub(super) fn highest(&self, s: f64) -> f64 {
        let first = s.min(self.reference);
        self.start + first * self.rise - (s - first) * self.fall
    }

    /// The smallest gap at `s`.
    pub(super) fn lowest(&self, s: f64) -> f64 {
        let first = s.min(self.current);
        self.start - first * self.fall + (s - first) * self.rise
    }

    /// The largest `|d|` at `s`.
    pub(super) fn farthest(&self, s: f64) -> f64 {
        self.highest(s).max(-self.lowest(s))
    }

    /// The smallest `|d|` at `s`.
    pub(super) fn nearest(&self, s: f64) -> f64 {
        self.lowest(s).max(-self.highest(s)).max(0.0)
    }

    /// `∫ d² ds` along the straight line through the cell.
    pub(super) fn straight_square(&self) -> f64 {
        self.width() * mean_square(self.start, self.end())
    }

    /// Bounds of `∫ d² ds` over all orders.
    pub(super) fn square_bounds(&self) -> (f64, f64) {
        let width = self.width();
        let (end, peak, valley) = (self.end(), self.highest(self.reference), self.lowest(self.current));
        if valley >= 0.0 || peak <= 0.0 {
            // The gap keeps its sign, and the extremes of its square are the bounds themselves.
            let by_peak = self.reference * mean_square(self.start, peak) + self.current * mean_square(peak, end);
            let by_valley = self.current * mean_square(self.start, valley) + self.reference * mean_square(valley, end);
            return if valley >= 0.0 { (by_valley, by_peak) } else { (by_peak, by_valley) };
        }
        let (first, second) = (self.reference.min(self.current), self.reference.max(self.current));
        let (mut least, mut most) = (0.0, 0.0);
        // Both bounds are straight between these points.
        for (from, to) in [(0.0, first), (first, second), (second, width)] {
            let length = to - from;
            if length <= 0.0 {
                continue;
            }
            let (high, low) = ((self.highest(from), self.highest(to)), (self.lowest(from), self.lowest(to)));
            most += length * mean_square_of_larger(high, (-low.0, -low.1));
            least += length * (mean_square_above_zero(low.0, low.1) + mean_square_above_zero(-high.0, -high.1));
        }
        (least, most)
    }
}

/// The mean of the square of what runs straight from `a` to `b`.
fn mean_square(a: f64, b: f64) -> f64 {
    (a * a + a * b + b * b) / 3.0
}

/// The mean of the square of the larger of two straight lines.
fn mean_square_of_larger(first: (f64, f64), second: (f64, f64)) -> f64 {
    let (before, after) = (first.0 - second.0, first.1 - second.1);
    if before >= 0.0 && after >= 0.0 {
        return mean_square(first.0, first.1);
    }
    if before <= 0.0 && after <= 0.0 {
        return mean_square(second.0, second.1);
    }
    let crossing = before / (before - after);
    let there = first.0 + crossing * (first.1 - first.0);
    let (start, end) = (first.0.max(second.0), first.1.max(second.1));
    crossing * mean_square(start, there) + (1.0 - crossing) * mean_square(there, end)
}

/// The mean of the square of a straight line where it is above zero.
fn mean_square_above_zero(a: f64, b: f64) -> f64 {
    if a <= 0.0 && b <= 0.0 {
        return 0.0;
    }
    if a >= 0.0 && b >= 0.0 {
        return mean_square(a, b);
    }
    let (above, below) = if a > b { (a, b) } else { (b, a) };
    above / (above - below) * above * above / 3.0
}
