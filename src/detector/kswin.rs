//! KSWIN: Kolmogorov–Smirnov windowing.

use serde::{Deserialize, Serialize};

use super::{Detector, InvalidSetting, Signal, SplitMix64, critical_count, is_open_share, require, usable};

/// The distance of the two samples that is never drift, however significant; as in River.
const TOLERATED_DISTANCE: f64 = 0.1;

/// Settings of [`Kswin`]; the defaults are River's, but for the seed, which River leaves to chance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KswinSettings {
    /// Significance level of the test at each value, above 0 and below 1. It is not shared out over the values: on
    /// normal values without a change, 0.005 gives a drift about every 800 values.
    pub alpha: f64,
    /// Values in the window, at most 100,000 and at least twice `stat_size`.
    pub window_size: u32,
    /// Newest values that are compared with as many of the older ones, 1 to 10,000.
    pub stat_size: u32,
    /// Seed of the draws.
    pub seed: u64,
}

/// KSWIN (Raab, Heusinger and Schleif 2020): a change of the distribution of any numeric series.
///
/// Once the window is full, at each value, the newest `stat_size` values are compared with a sample of as many of the
/// older ones, drawn without replacement, by the exact two-sample Kolmogorov–Smirnov test; drift is a p-value of at
/// most `alpha` with a distance above 0.1. The same as River's `KSWIN`, which calls
/// `scipy.stats.ks_2samp(method="auto")`, when River draws the same samples. River draws by Python's
/// `random.Random.sample`; we draw by Floyd's algorithm (Bentley and Floyd 1987) with [`SplitMix64`]:
/// for `j` from `older − stat_size` to `older − 1`, draw `t` from `0…j` and take `t`, or `j` when `t` is taken, both
/// counted from the oldest value. After a drift both windows are empty and the draws begin anew with the seed.
///
/// Since both samples have the same size, the p-value depends on the distance alone: the smallest distance that is
/// drift is computed once. The window is kept sorted, so that the distance takes one walk over it. An update costs
/// `O(window_size)`, without allocation.
#[derive(Clone, Debug)]
pub struct Kswin {
    settings: KswinSettings,
    generator: SplitMix64,
    /// The smallest distance that is drift, in values out of `stat_size`; none when there is no such distance.
    critical: Option<u32>,
    /// The value in each slot; slots are filled round and round.
    values: Vec<f64>,
    /// What the value in each slot counts: 1 when it is drawn, −1 when it is among the newest, else 0.
    weights: Vec<i32>,
    /// The slot of the oldest value, once the window is full.
    oldest: usize,
    /// Slots in the order of their values; equal values in the order of their slots.
    sorted: Vec<(f64, usize)>,
    drawn: Vec<usize>,
}

impl Default for KswinSettings {
    fn default() -> Self {
        Self { alpha: 0.005, window_size: 100, stat_size: 30, seed: 42 }
    }
}

impl KswinSettings {
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        require(is_open_share(self.alpha), "alpha", "above 0 and below 1")?;
        require((1..=10_000).contains(&self.stat_size), "stat_size", "from 1 to 10000")?;
        let window = 2 * self.stat_size..=100_000;
        require(window.contains(&self.window_size), "window_size", "from twice stat_size to 100000")
    }
}

impl Kswin {
    pub fn new(settings: KswinSettings) -> Result<Self, InvalidSetting> {
        settings.validate()?;
        let (window, n) = (settings.window_size as usize, settings.stat_size);
        let is_tolerated = |count: &u32| f64::from(*count) / f64::from(n) <= TOLERATED_DISTANCE;
        let least = (0..=n).find(|count| !is_tolerated(count)).unwrap_or(n);
        Ok(Self {
            settings,
            generator: SplitMix64::new(settings.seed),
            critical: critical_count(n, settings.alpha, least),
            values: Vec::with_capacity(window),
            weights: Vec::with_capacity(window),
            oldest: 0,
            sorted: Vec::with_capacity(window),
            drawn: Vec::with_capacity(n as usize),
        })
    }

    /// Puts a value in the place of the oldest one, or at the end of a window that is not full.
    fn slide(&mut self, value: f64) {
        let newest = -1;
        if self.values.len() < self.window() {
            self.sort_in(value, self.values.len());
            self.values.push(value);
            self.weights.push(0);
            if self.values.len() == self.window() {
                let recent = self.window() - self.recent();
                self.weights[recent..].fill(newest);
            }
            return;
        }
        let slot = self.oldest;
        if let Ok(place) = self.place(self.values[slot], slot) {
            self.sorted.remove(place);
        }
        self.sort_in(value, slot);
        self.values[slot] = value;
        self.weights[slot] = newest;
        self.oldest = self.slot_of_age(1);
        // The oldest of the newest values is one no longer.
        let leaving = self.slot_of_age(self.window() - self.recent() - 1);
        self.weights[leaving] = 0;
    }

    fn sort_in(&mut self, value: f64, slot: usize) {
        let (Ok(place) | Err(place)) = self.place(value, slot);
        self.sorted.insert(place, (value, slot));
    }

    fn place(&self, value: f64, slot: usize) -> Result<usize, usize> {
        self.sorted.binary_search_by(|(other, place)| other.total_cmp(&value).then(place.cmp(&slot)))
    }

    /// Draws the older sample.
    fn draw(&mut self) {
        let older = self.settings.window_size - self.settings.stat_size;
        for last in older - self.settings.stat_size..older {
            let age = self.generator.next_below(last + 1);
            let mut slot = self.slot_of_age(age as usize);
            if self.weights[slot] == 1 {
                slot = self.slot_of_age(last as usize);
            }
            self.weights[slot] = 1;
            self.drawn.push(slot);
        }
    }

    /// Puts the older sample back.
    fn put_back(&mut self) {
        for slot in self.drawn.drain(..) {
            self.weights[slot] = 0;
        }
    }

    /// The distance of the two samples, in values.
    fn distance(&self) -> u32 {
        let mut gap = 0_i32;
        let mut largest = 0;
        let mut entries = self.sorted.iter().peekable();
        while let Some((value, slot)) = entries.next() {
            gap += self.weights[*slot];
            if entries.peek().is_none_or(|(next, _)| next > value) {
                largest = largest.max(gap.unsigned_abs());
            }
        }
        largest
    }

    /// The slot of the value that came so many values after the oldest one.
    fn slot_of_age(&self, age: usize) -> usize {
        let slot = self.oldest + age;
        if slot < self.window() { slot } else { slot - self.window() }
    }

    fn window(&self) -> usize {
        self.settings.window_size as usize
    }

    fn recent(&self) -> usize {
        self.settings.stat_size as usize
    }
}

impl Detector for Kswin {
    fn update(&mut self, value: f64) -> Signal {
        let Some(value) = usable(value) else { return Signal::Stable };
        self.put_back();
        self.slide(value + 0.0); // −0 and 0 are the same value
        if self.values.len() < self.window() {
            return Signal::Stable;
        }
        self.draw();
        if self.critical.is_none_or(|critical| self.distance() < critical) {
            return Signal::Stable;
        }
        self.reset();
        Signal::Drift
    }

    fn reset(&mut self) {
        self.generator = SplitMix64::new(self.settings.seed);
        self.oldest = 0;
        self.values.clear();
        self.weights.clear();
        self.sorted.clear();
        self.drawn.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Kswin, KswinSettings};
    use crate::detector::{Detector, SplitMix64, critical_count};

    /// The distance computed anew from its definition: at each value, the difference of the two counts up to it.
    fn distance_by_definition(kswin: &Kswin) -> u32 {
        let at_most = |bound: f64| {
            let counted = kswin.values.iter().zip(&kswin.weights).filter(|(value, _)| **value <= bound);
            counted.map(|(_, weight)| weight).sum::<i32>().unsigned_abs()
        };
        kswin.values.iter().map(|value| at_most(*value)).max().unwrap()
    }

    #[test]
    fn the_sorted_window_gives_the_distance_of_thirty_drawn_and_the_thirty_newest_values() {
        let mut kswin = Kswin::new(KswinSettings { alpha: 1e-12, ..Default::default() }).unwrap();
        let mut generator = SplitMix64::new(5);
        let mut all = Vec::new();
        for row in 0..1_000 {
            // Many ties, and both zeros.
            let value = (generator.next_uniform() * 7.0).floor() * if row % 2 == 0 { 1.0 } else { -1.0 };
            all.push(value);
            kswin.update(value);
            if row < 99 {
                continue;
            }
            assert_eq!(distance_by_definition(&kswin), kswin.distance(), "row {row}");
            let age = |slot: usize| (slot + 100 - kswin.oldest) % 100;
            let newest = (0..100).filter(|slot| kswin.weights[*slot] == -1).map(age);
            assert!(newest.clone().count() == 30 && newest.min() == Some(70), "row {row}");
            assert_eq!(30, kswin.weights.iter().filter(|weight| **weight == 1).count(), "row {row}");
            let in_order = (0..100).map(|age| kswin.values[kswin.slot_of_age(age)]);
            assert!(in_order.eq(all[all.len() - 100..].iter().copied()), "row {row}");
        }
    }

    #[test]
    fn every_older_value_is_drawn_equally_often() {
        let mut kswin = Kswin::new(KswinSettings { alpha: 1e-12, ..Default::default() }).unwrap();
        let mut counts = [0_u32; 70];
        for _ in 0..20_099 {
            kswin.update(1.0);
            for slot in &kswin.drawn {
                counts[(slot + 100 - kswin.oldest) % 100] += 1;
            }
        }
        // Of 20,000 draws, each takes 30 of 70: 8,571 with a standard deviation of 70.
        assert!(counts.iter().all(|count| count.abs_diff(8_571) < 350), "{counts:?}");
    }

    #[test]
    fn the_critical_distance_of_the_defaults_is_scipys() {
        // ks_2samp of 30 and 30: p = 0.0065 at a distance of 13/30 and 0.0025 at 14/30.
        assert_eq!(Some(14), Kswin::new(KswinSettings::default()).unwrap().critical);
        assert_eq!(Some(14), critical_count(30, 0.005, 1));
        // 3/30 is not above 0.1, however large alpha.
        let lenient = KswinSettings { alpha: 0.999_999, ..Default::default() };
        assert_eq!(Some(4), Kswin::new(lenient).unwrap().critical);
    }
}
