//! Sequential change detectors: they read one series, value by value, and say when its behaviour has changed.
//!
//! Seven of them (ADWIN, Page–Hinkley, DDM, EDDM, HDDM-A, HDDM-W, KSWIN) answer at the same indices as those of River
//! 0.26.1 on the same values; the eighth is the two-sided tabular CUSUM. What all have in common:
//!
//! - **They start anew after a drift**: the value after it is the first of a new series. So does River, also where the
//!   paper would keep part of the window (ADWIN, KSWIN).
//! - **Non-finite values are ignored**: they change nothing and answer [`Signal::Stable`].
//! - **Values beyond ±1e100 count as ±1e100**, so that no sum or square overflows. River has no such limit and never
//!   detects anything again once its sums are infinite.
//! - **They are deterministic.** KSWIN, which draws samples, draws them from a seeded generator.
//!
//! In the stream they are pure functions of a model's panes in event-time order, see [`over_series`].

mod adwin;
mod baseline;
mod cusum;
mod ddm;
mod eddm;
mod hddm_a;
mod hddm_w;
mod kind;
mod ks_exact;
mod kswin;
mod page_hinkley;
mod panes;
mod running;
mod split_mix;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use adwin::{Adwin, AdwinSettings};
pub use baseline::{Baseline, over_series};
pub use cusum::{Cusum, CusumSettings};
pub use ddm::{Ddm, DdmSettings};
pub use eddm::{Eddm, EddmSettings};
pub use hddm_a::{HddmA, HddmASettings};
pub use hddm_w::{HddmW, HddmWSettings};
pub use kind::{DetectorKind, DetectorSettings, InputDomain};
pub use ks_exact::{critical_count, exact_p_value};
pub use kswin::{Kswin, KswinSettings};
pub use page_hinkley::{Direction, PageHinkley, PageHinkleySettings};
pub use panes::{Detection, MAX_ROWS_PER_PANE, PanePoint, over_panes};
pub use split_mix::SplitMix64;

/// The largest magnitude a value counts with: its square times any count is far from overflow.
const LARGEST: f64 = 1e100;

/// What a detector says after a value; ordered by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    #[default]
    Stable,
    /// The series may be changing. Only DDM, EDDM, HDDM-A and HDDM-W warn.
    Warning,
    /// The series has changed; the detector starts anew with the next value.
    Drift,
}

impl Signal {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Warning => "warning",
            Self::Drift => "drift",
        }
    }
}

/// A setting outside its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} must be {domain}")]
pub struct InvalidSetting {
    /// The field of the settings, such as `delta`.
    pub setting: &'static str,
    /// What it may be, such as `above 0 and below 1`.
    pub domain: &'static str,
}

/// A sequential change detector over one series.
pub trait Detector: fmt::Debug + Send {
    /// Takes the next value of the series. A non-finite value is ignored and answers [`Signal::Stable`].
    fn update(&mut self, value: f64) -> Signal;

    /// Forgets the series; the settings stay.
    fn reset(&mut self);
}

/// The value as it counts, or none when it is to be ignored.
fn usable(value: f64) -> Option<f64> {
    value.is_finite().then(|| value.clamp(-LARGEST, LARGEST))
}

/// Refuses a setting that is outside its domain.
fn require(holds: bool, setting: &'static str, domain: &'static str) -> Result<(), InvalidSetting> {
    if holds { Ok(()) } else { Err(InvalidSetting { setting, domain }) }
}

/// Whether a probability is a proper one, neither 0 nor 1.
fn is_open_share(value: f64) -> bool {
    value > 0.0 && value < 1.0
}

#[cfg(test)]
mod tests;
