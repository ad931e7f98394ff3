//! A small seeded random generator.

/// `SplitMix64` (Steele, Lea, Flood 2014): 64 bits of state, every seed good, the same numbers on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn next_bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Uniform on 0 ≤ u < 1: the upper 53 bits times 2⁻⁵³.
    pub fn next_uniform(&mut self) -> f64 {
        (self.next_bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform on 0 ≤ i < `bound`, by the upper half of bits × bound (Lemire 2019, without the rejection step: the
    /// bias is below bound/2⁶⁴); 0 when the bound is 0.
    pub fn next_below(&mut self, bound: u32) -> u32 {
        let product = u128::from(self.next_bits()) * u128::from(bound);
        u32::try_from(product >> 64).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix64;

    #[test]
    fn the_bits_are_those_of_the_reference_implementation() {
        let mut generator = SplitMix64::new(1_234_567);
        let wanted = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(wanted, [generator.next_bits(), generator.next_bits(), generator.next_bits()]);
    }

    #[test]
    fn every_number_below_the_bound_comes_equally_often() {
        let mut generator = SplitMix64::new(7);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[generator.next_below(7) as usize] += 1;
        }
        // Standard deviation of each count: 93.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 500), "{counts:?}");
        assert_eq!(0, generator.next_below(0));
        assert_eq!(0, generator.next_below(1));
    }
}
