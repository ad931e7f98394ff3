//! ADWIN: adaptive windowing.

use serde::{Deserialize, Serialize};

use super::{Detector, InvalidSetting, Signal, is_open_share, require, usable};

/// Settings of [`Adwin`]; the defaults are River's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdwinSettings {
    /// Confidence parameter δ, 0 < δ < 1: the smaller, the fewer false alarms.
    pub delta: f64,
    /// Cuts are looked for at every so many values; at least 1.
    pub clock: u32,
    /// Most buckets of one size, 1 to 1,024: the more, the finer the cuts.
    pub max_buckets: u32,
    /// Fewest values on each side of a cut; at least 1.
    pub min_window_length: u32,
    /// No cut is looked for until there are more values than this.
    pub grace_period: u32,
}

/// ADWIN (Bifet and Gavaldà 2007, in the version with buckets): a change of the mean of any numeric series.
///
/// The window holds all `W` values since the last drift, as buckets of 1, 2, 4, … values; for each cut between buckets
/// into an older part of `n₀` values with mean `m₀` and a newer one of `n₁` with mean `m₁`, it is drift when
/// `|m₀ − m₁| > √(2·r·V·d) + (2/3)·r·d`, where `V` is the variance of the window, `d = ln(2·ln(W)/δ)` and
/// `r = 1/(n₀ − min + 1) + 1/(n₁ − min + 1)`.
///
/// As River's ADWIN, and unlike the paper, which drops the oldest buckets until no cut is left, it starts anew after a
/// drift; and unlike River's, it does not take the rounding of large sums for a change: a constant series of 1e20 is
/// stable. Memory is O(log W); an update is O(1) on average, a check O(log W).
#[derive(Clone, Debug)]
pub struct Adwin {
    settings: AdwinSettings,
    /// Values in the window.
    width: f64,
    total: f64,
    /// Sum of squared deviations from the window's mean.
    squares: f64,
    /// Values since the last check.
    tick: u32,
    /// Sums of the buckets: row `i` has room for `max_buckets + 1` buckets of 2ⁱ values, oldest first.
    sums: Vec<f64>,
    /// Buckets in use of each row.
    lengths: Vec<usize>,
}

impl Default for AdwinSettings {
    fn default() -> Self {
        Self { delta: 0.002, clock: 32, max_buckets: 5, min_window_length: 5, grace_period: 10 }
    }
}

impl AdwinSettings {
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        require(is_open_share(self.delta), "delta", "above 0 and below 1")?;
        require(self.clock >= 1, "clock", "at least 1")?;
        require((1..=1_024).contains(&self.max_buckets), "max_buckets", "from 1 to 1024")?;
        require(self.min_window_length >= 1, "min_window_length", "at least 1")
    }
}

impl Adwin {
    pub fn new(settings: AdwinSettings) -> Result<Self, InvalidSetting> {
        settings.validate()?;
        let (sums, lengths) = (Vec::new(), Vec::new());
        Ok(Self { settings, width: 0.0, total: 0.0, squares: 0.0, tick: 0, sums, lengths })
    }

    /// Values since the last drift.
    #[must_use]
    pub fn width(&self) -> f64 {
        self.width
    }

    /// Mean of the values since the last drift; none when there are none.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.width > 0.0).then(|| self.total / self.width)
    }

    fn insert(&mut self, value: f64) {
        let before = self.width;
        self.width += 1.0;
        if before > 0.0 {
            let deviation = value - self.total / before;
            self.squares += before * deviation * deviation / self.width;
        }
        self.total += value;
        self.store(value);
    }

    /// Puts a bucket into the first row; a row that is full hands its two oldest buckets to the next row as one.
    fn store(&mut self, value: f64) {
        let room = self.room();
        let mut sum = value;
        let mut row = 0;
        loop {
            if row == self.lengths.len() {
                self.lengths.push(0);
                self.sums.resize(self.sums.len() + room, 0.0);
            }
            let buckets = &mut self.sums[row * room..(row + 1) * room];
            let length = self.lengths[row];
            buckets[length] = sum;
            if length + 1 < room {
                self.lengths[row] = length + 1;
                return;
            }
            sum = buckets[0] + buckets[1];
            buckets.copy_within(2.., 0);
            self.lengths[row] = room - 2;
            row += 1;
        }
    }

    /// Whether any cut of the window has means that differ significantly.
    fn has_cut(&self) -> bool {
        let room = self.room();
        let least = f64::from(self.settings.min_window_length);
        let variance = self.squares / self.width;
        let d = (2.0 * self.width.ln() / self.settings.delta).ln();
        let (mut older, mut older_total) = (0.0, 0.0);
        let (mut newer, mut newer_total) = (self.width, self.total);
        for (row, length) in self.lengths.iter().enumerate().rev() {
            let size = (1_u64 << row) as f64;
            for sum in &self.sums[row * room..row * room + length] {
                older += size;
                newer -= size;
                older_total += sum;
                newer_total -= sum;
                if newer < least {
                    return false; // and so is every later cut
                }
                if older < least {
                    continue;
                }
                let difference = older_total / older - newer_total / newer;
                let r = 1.0 / (older - least + 1.0) + 1.0 / (newer - least + 1.0);
                let bound = (2.0 * r * variance * d).sqrt() + 2.0 / 3.0 * d * r;
                if difference.abs() > bound && difference.abs() > self.rounding() / newer {
                    return true;
                }
            }
        }
        false
    }

    /// The most by which summing up may have falsified the total of a part of the window.
    fn rounding(&self) -> f64 {
        self.total.abs() * self.width * f64::EPSILON
    }

    /// Buckets a row has room for.
    fn room(&self) -> usize {
        self.settings.max_buckets as usize + 1
    }
}

impl Detector for Adwin {
    fn update(&mut self, value: f64) -> Signal {
        let Some(value) = usable(value) else { return Signal::Stable };
        self.insert(value);
        self.tick += 1;
        if self.tick < self.settings.clock {
            return Signal::Stable;
        }
        self.tick = 0;
        if self.width <= f64::from(self.settings.grace_period) || !self.has_cut() {
            return Signal::Stable;
        }
        self.reset();
        Signal::Drift
    }

    fn reset(&mut self) {
        (self.width, self.total, self.squares, self.tick) = (0.0, 0.0, 0.0, 0);
        self.sums.clear();
        self.lengths.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Adwin, AdwinSettings};
    use crate::detector::{Detector, Signal, SplitMix64};

    #[test]
    fn the_buckets_hold_every_value_in_logarithmic_memory() {
        let mut adwin = Adwin::new(AdwinSettings::default()).unwrap();
        let mut total = 0.0;
        for value in 0..100_000_u32 {
            adwin.insert(f64::from(value));
            total += f64::from(value);
        }
        let sum = |(row, length): (usize, &usize)| adwin.sums[row * 6..row * 6 + length].iter().sum::<f64>();
        let held: f64 = adwin.lengths.iter().enumerate().map(sum).sum();
        let count: usize = adwin.lengths.iter().enumerate().map(|(row, length)| length << row).sum();
        assert!((held - total).abs() < 1e-6, "{held} is not {total}");
        assert_eq!(100_000, count);
        assert!(adwin.lengths.len() <= 16, "{:?}", adwin.lengths);
    }

    #[test]
    fn the_window_knows_its_mean_and_variance() {
        let mut adwin = Adwin::new(AdwinSettings::default()).unwrap();
        assert_eq!(None, adwin.mean());
        for value in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            adwin.update(value);
        }
        assert_eq!(Some(5.0), adwin.mean());
        assert!((adwin.squares - 32.0).abs() < 1e-12, "{}", adwin.squares);
    }

    #[test]
    fn a_shift_is_found_at_a_multiple_of_the_clock_and_the_window_starts_anew() {
        let mut adwin = Adwin::new(AdwinSettings::default()).unwrap();
        let mut generator = SplitMix64::new(3);
        let signals: Vec<Signal> = (0..1_100)
            .map(|row| adwin.update(generator.next_uniform() + if row < 1_000 { 0.0 } else { 2.0 }))
            .collect();
        let found: Vec<usize> = (0..1_100).filter(|row| signals[*row] == Signal::Drift).collect();
        assert_eq!(vec![1_023], found);
        assert!((adwin.width() - 76.0).abs() < f64::EPSILON, "{}", adwin.width());
    }
}
