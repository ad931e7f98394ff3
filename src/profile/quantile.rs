//! Sample quantiles.

/// The `q`-quantile of ascending `sorted` by linear interpolation between order statistics: with `h = (n − 1)·q`,
/// `x[⌊h⌋] + (h − ⌊h⌋)·(x[⌊h⌋+1] − x[⌊h⌋])`. Hyndman & Fan's type 7, the default of R and `numpy.quantile`, with
/// NumPy's rounding. `None` for no values.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "h lies within the sample's indices")]
pub fn sorted_quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let h = last as f64 * q.clamp(0.0, 1.0);
    let below = (h.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let (a, b, t) = (sorted[below], sorted[above], h - below as f64);
    // NumPy interpolates from the nearer end, so that results agree to the last bit.
    Some(if t >= 0.5 { b - (b - a) * (1.0 - t) } else { a + (b - a) * t })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_order_statistics() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(sorted_quantile(&sorted, 0.0), Some(1.0));
        assert_eq!(sorted_quantile(&sorted, 0.5), Some(3.0));
        assert_eq!(sorted_quantile(&sorted, 1.0), Some(8.0));
        assert_eq!(sorted_quantile(&[], 0.5), None);
        assert_eq!(sorted_quantile(&[7.0], 0.3), Some(7.0));
    }
}
