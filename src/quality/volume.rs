//! Has the number of events become unusual?

use statrs::distribution::{ContinuousCDF, Normal};

/// A number of events and the time in which they came, in any unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    pub events: u64,
    pub time: f64,
}

/// How a window's number of events compares with what the reference lets one expect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Volume {
    /// Events that the reference's rate gives in the window's time.
    pub expected: f64,
    /// The larger of `events / expected` and its inverse: by which factor there are more or fewer. At least 1; infinite
    /// for a window without events.
    pub factor: f64,
    /// Two-sided, for two Poisson rates.
    pub p_value: f64,
}

/// Compares two Poisson rates on the scale `2√(x + 3/8)`, on which a count has variance 1 (Anscombe 1948):
/// `z = 2(√(n + 3/8) − √(e + 3/8)) / √(1 + t/T)` with `e = N·t/T` expected events; `|z|` is judged by the normal
/// distribution. Traffic that varies in itself is no Poisson process, so the factor is what should decide and the
/// p-value only guards small numbers. `None` when the reference has no events or either side no time.
#[must_use]
pub fn volume(current: Rate, reference: Rate) -> Option<Volume> {
    let is_positive = |time: f64| time > 0.0 && time.is_finite();
    if reference.events == 0 || !is_positive(reference.time) || !is_positive(current.time) {
        return None;
    }
    let share = current.time / reference.time;
    let expected = reference.events as f64 * share;
    let events = current.events as f64;
    let anscombe = |count: f64| 2.0 * (count + 0.375).sqrt();
    let z = (anscombe(events) - anscombe(expected)) / (1.0 + share).sqrt();
    let factor = (events / expected).max(expected / events);
    Some(Volume { expected, factor, p_value: (2.0 * Normal::standard().sf(z.abs())).min(1.0) })
}
