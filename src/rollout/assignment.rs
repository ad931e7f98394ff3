//! Which version a request gets.

use xxhash_rust::xxh3::xxh3_64;

use crate::event::{CANARY, Rollout, RolloutMode, STABLE};

/// What a rollout asks of serving.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    pub rollout: String,
    pub mode: RolloutMode,
    /// Percentage of the keys that the new version gets.
    pub weight: f64,
    pub salt: String,
}

/// Whose answer the client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    Stable,
    Canary,
}

/// Where a key stands between 0 and, without, 1: by the 53 highest bits of XXH3 over the salt, a zero byte and the key.
/// Keys are spread evenly, and differently for each salt.
#[must_use]
pub fn position(salt: &str, key: &str) -> f64 {
    let bytes = [salt.as_bytes(), &[0], key.as_bytes()].concat();
    (xxh3_64(&bytes) >> 11) as f64 / (1_u64 << 53) as f64
}

impl Assignment {
    /// None when it is over.
    #[must_use]
    pub fn of(rollout: &Rollout) -> Option<Self> {
        let step = rollout.current_step().filter(|_| rollout.is_under_way())?;
        let salt = rollout.plan.salt.clone();
        Some(Self { rollout: rollout.id.clone(), mode: step.mode, weight: step.weight, salt })
    }

    #[must_use]
    pub fn arm(&self, key: &str) -> Arm {
        if self.mode != RolloutMode::Shadow && self.selects(key) { Arm::Canary } else { Arm::Stable }
    }

    /// Whether the new version answers, too, unseen.
    #[must_use]
    pub fn is_mirrored(&self, key: &str) -> bool {
        self.mode == RolloutMode::Shadow && self.selects(key)
    }

    /// A key that is selected stays so while the weight grows.
    fn selects(&self, key: &str) -> bool {
        position(&self.salt, key) * 100.0 < self.weight
    }
}

impl Arm {
    #[must_use]
    pub const fn variant(self) -> &'static str {
        match self {
            Self::Stable => STABLE,
            Self::Canary => CANARY,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canary(weight: f64, salt: &str) -> Assignment {
        Assignment { rollout: "r".into(), mode: RolloutMode::Canary, weight, salt: salt.into() }
    }

    proptest! {
        #[test]
        fn a_key_that_has_the_new_version_keeps_it_while_the_weight_grows(
            key in ".*", salt in ".*", low in 0.0..100.0_f64, more in 0.0..100.0_f64,
        ) {
            let (before, after) = (canary(low, &salt), canary((low + more).min(100.0), &salt));
            prop_assert!(before.arm(&key) == Arm::Stable || after.arm(&key) == Arm::Canary);
            prop_assert_eq!(before.arm(&key), before.arm(&key));
            prop_assert_eq!(canary(100.0, &salt).arm(&key), Arm::Canary);
            prop_assert_eq!(canary(0.0, &salt).arm(&key), Arm::Stable);
            let shadow = Assignment { mode: RolloutMode::Shadow, ..after.clone() };
            prop_assert_eq!(shadow.arm(&key), Arm::Stable);
            prop_assert_eq!(shadow.is_mirrored(&key), after.arm(&key) == Arm::Canary);
        }
    }

    #[test]
    fn keys_are_divided_as_the_weight_says_and_anew_for_each_salt() {
        let keys: Vec<String> = (0..100_000).map(|key| format!("customer-{key}")).collect();
        let chosen = |salt: &str| keys.iter().filter(|key| canary(5.0, salt).arm(key) == Arm::Canary).count();
        // Five standard deviations of 0.05 over 100,000 keys.
        let is_near = |count: usize, share: f64| (count as f64 - 100_000.0 * share).abs() < 5.0 * 69.0;
        assert!(is_near(chosen("one"), 0.05) && is_near(chosen("two"), 0.05), "{} {}", chosen("one"), chosen("two"));
        let in_both = |key: &&String| ["one", "two"].iter().all(|salt| canary(5.0, salt).arm(key) == Arm::Canary);
        let both = keys.iter().filter(in_both).count();
        assert!((170..330).contains(&both), "{both}: rollouts would meet the same customers again and again");
    }

    #[test]
    fn salt_and_key_do_not_run_into_each_other() {
        assert!((position("ab", "c") - position("a", "bc")).abs() > 1e-12);
    }
}
