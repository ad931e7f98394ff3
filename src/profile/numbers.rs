//! Loops over a block of numbers, each with one purpose.
//!
//! None is inlined: merged into one loop they would need more registers than there are, which costs a factor of two.

/// Values that are compared at once.
const LANES: usize = 4;

#[inline(never)]
pub(super) fn are_finite(values: &[f64]) -> bool {
    values.iter().map(|value| u32::from(!value.is_finite())).sum::<u32>() == 0
}

/// The smallest and the largest of finite values; +∞ and −∞ of none.
#[inline(never)]
pub(super) fn extremes(values: &[f64]) -> (f64, f64) {
    let (mut least, mut most) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for (lane, value) in block.iter().enumerate() {
            least[lane] = if *value < least[lane] { *value } else { least[lane] };
            most[lane] = if *value > most[lane] { *value } else { most[lane] };
        }
    }
    let min = least.iter().chain(rest).copied().fold(f64::INFINITY, f64::min);
    let max = most.iter().chain(rest).copied().fold(f64::NEG_INFINITY, f64::max);
    (min, max)
}

/// `Σz` and `Σz²` with `z = (x − centre) / scale`, added to `sums` in the order of the values.
#[inline(never)]
pub(super) fn add_sums(sums: (f64, f64), values: &[f64], centre: f64, scale: f64) -> (f64, f64) {
    let (mut sum, mut squares) = sums;
    for value in values {
        let z = (value - centre) / scale;
        sum += z;
        squares += z * z;
    }
    (sum, squares)
}

#[inline(never)]
pub(super) fn count_below(values: &[f64], low: f64) -> u64 {
    values.iter().map(|value| u64::from(*value < low)).sum()
}

#[inline(never)]
pub(super) fn count_above(values: &[f64], high: f64) -> u64 {
    values.iter().map(|value| u64::from(*value > high)).sum()
}

#[inline(never)]
pub(super) fn count_outside(values: &[f64], low: f64, high: f64) -> u64 {
    values.iter().map(|value| u64::from(*value < low || *value > high)).sum()
}
