//! What other monitors would choose and decide.

use std::f64::consts::LN_2;
use std::fmt;
use std::str::FromStr;

use super::{PairedCounts, goodness_of_fit_p_value};
use crate::event::DriftRow;
use crate::model::{FeatureKind, Method};

/// Evidently's tables change over at this many reference rows.
const EVIDENTLY_LARGE: u64 = 1_000;
/// And take a number with at most so many distinct values for a category.
pub const FEW_VALUES: u64 = 5;

/// A monitor whose choice of test and threshold per column is reproduced, and with them its verdict.
///
/// Reproduced: which statistic each column gets, on which scale (natural or binary logarithm, divergence or distance),
/// compared with what, in which direction; that missing and infinite values are dropped before; and that Evidently takes
/// numbers of few values for categories and the reference for free of chance (its χ² is a goodness of fit). Where the
/// tool counts categories, or where the statistic needs no bins, its number is ours. `tests/golden/presets.py` records
/// what Evidently and NannyML decide on the test data, and the tests compare every column.
///
/// Different on purpose are the bins of numbers, which the reference fixes, so that windows can be merged:
///
/// - NannyML 0.13 bins by Doane's rule on the reference, we by its deciles; its threshold moves with them.
/// - Vertex counts in equal widths, we in deciles.
/// - Evidently's Kolmogorov–Smirnov p-value is SciPy's exact one of the exact distance; ours is Kolmogorov's limit at
///   the lower bound of the distance. Its Wasserstein unit is at least 0.001, ours only for constants.
///
/// `SageMaker` is its `linf_simple`; its `Robust` variant for few samples is not published. Categories that the reference
/// does not have count as one.
///
/// None of them corrects for the number of columns or the size of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    Evidently,
    Nannyml,
    Sagemaker,
    Azure,
    Vertex,
}

/// What the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnFacts {
    pub kind: FeatureKind,
    /// Values of the reference that are not missing.
    pub n_reference: u64,
    /// Distinct values of both sides together.
    pub distinct: u64,
}

/// A column's test: drift when [`Self::value`] of the method's row lies on the [`Side`] of the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    pub method: Method,
    pub compared: Compared,
    pub drifted: Side,
    pub threshold: Threshold,
}

/// The quantity that the tool compares, from our row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Compared {
    Statistic,
    PValue,
    /// The p-value of the window's categories when the reference is taken for the truth: [`goodness_of_fit_p_value`].
    GoodnessOfFit,
    /// The statistic times a factor, for another base of the logarithm.
    Scaled(f64),
    /// The squared statistic: the divergence of which it is the root.
    Squared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Above,
    AtLeast,
    Below,
    AtMost,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    Fixed(f64),
    /// Mean plus so many standard deviations of the same statistic over chunks of the reference.
    ReferenceChunks {
        deviations: f64,
    },
}

impl Preset {
    pub const ALL: [Self; 5] = [Self::Evidently, Self::Nannyml, Self::Sagemaker, Self::Azure, Self::Vertex];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evidently => "evidently",
            Self::Nannyml => "nannyml",
            Self::Sagemaker => "sagemaker",
            Self::Azure => "azure",
            Self::Vertex => "vertex",
        }
    }

    /// The tool's default test of such a column.
    #[must_use]
    pub const fn choose(self, column: ColumnFacts) -> Choice {
        let is_numeric = matches!(column.kind, FeatureKind::Numeric);
        match self {
            Self::Evidently => evidently(column),
            Self::Nannyml => Choice {
                method: Method::JensenShannon,
                compared: Compared::Statistic,
                drifted: Side::Above,
                threshold: Threshold::ReferenceChunks { deviations: 3.0 },
            },
            Self::Sagemaker => {
                let method = if is_numeric { Method::Ks } else { Method::Linf };
                distance(method, Compared::Statistic, Side::Above, 0.1)
            }
            Self::Azure => {
                let method = if is_numeric { Method::Wasserstein } else { Method::JensenShannon };
                distance(method, Compared::Statistic, Side::Above, 0.1)
            }
            Self::Vertex if is_numeric => distance(Method::JensenShannon, Compared::Squared, Side::Above, 0.3),
            Self::Vertex => distance(Method::Linf, Compared::Statistic, Side::Above, 0.3),
        }
    }

    /// The share of drifted columns from which the tool calls the whole data set drifted; none where it does not.
    #[must_use]
    pub const fn drifted_share(self) -> Option<f64> {
        match self {
            Self::Evidently => Some(0.5),
            _ => None,
        }
    }
}

const fn evidently(column: ColumnFacts) -> Choice {
    let is_large = column.n_reference > EVIDENTLY_LARGE;
    let is_number = matches!(column.kind, FeatureKind::Numeric) && column.distinct > FEW_VALUES;
    match (is_number, is_large) {
        (true, true) => distance(Method::Wasserstein, Compared::Statistic, Side::AtLeast, 0.1),
        (true, false) => distance(Method::Ks, Compared::PValue, Side::AtMost, 0.05),
        // Its logarithm is the natural one: the distance is smaller by √ln 2.
        (false, true) => distance(Method::JensenShannon, Compared::Scaled(SQRT_LN_2), Side::AtLeast, 0.1),
        (false, false) if column.distinct > 2 => {
            distance(Method::ChiSquare, Compared::GoodnessOfFit, Side::Below, 0.05)
        }
        (false, false) => distance(Method::ProportionZ, Compared::PValue, Side::Below, 0.05),
    }
}

/// `√ln 2`: a Jensen–Shannon distance in nats per one in bits.
const SQRT_LN_2: f64 = 0.832_554_611_157_697_8;
const _: () = assert!(SQRT_LN_2 * SQRT_LN_2 - LN_2 < 1e-15 && LN_2 - SQRT_LN_2 * SQRT_LN_2 < 1e-15);

const fn distance(method: Method, compared: Compared, drifted: Side, threshold: f64) -> Choice {
    Choice { method, compared, drifted, threshold: Threshold::Fixed(threshold) }
}

impl Choice {
    /// The quantity that is compared; none when the row is of another method or has no value. `counts` are those of the
    /// column's categories.
    #[must_use]
    pub fn value(&self, row: &DriftRow, counts: &PairedCounts) -> Option<f64> {
        if row.method != self.method {
            return None;
        }
        match self.compared {
            Compared::Statistic => row.statistic,
            Compared::PValue => row.p_value,
            Compared::GoodnessOfFit => goodness_of_fit_p_value(counts),
            Compared::Scaled(factor) => row.statistic.map(|statistic| statistic * factor),
            Compared::Squared => row.statistic.map(|statistic| statistic * statistic),
        }
    }

    /// Whether the tool would call a column of this value drifted; none when the threshold comes from chunks of the
    /// reference and there are none ([`Threshold::resolve`]).
    #[must_use]
    pub fn is_drifted(&self, value: f64, reference_chunks: &[f64]) -> Option<bool> {
        let threshold = self.threshold.resolve(reference_chunks)?;
        Some(match self.drifted {
            Side::Above => value > threshold,
            Side::AtLeast => value >= threshold,
            Side::Below => value < threshold,
            Side::AtMost => value <= threshold,
        })
    }
}

impl Threshold {
    /// The number to compare with. For NannyML it is the mean of the chunks' values plus three standard deviations
    /// (ddof 0), at most 1, the largest distance; none without chunks. NannyML cuts the reference into ten.
    #[must_use]
    pub fn resolve(self, reference_chunks: &[f64]) -> Option<f64> {
        match self {
            Self::Fixed(threshold) => Some(threshold),
            Self::ReferenceChunks { deviations } => {
                let values = || reference_chunks.iter().copied().filter(|value| value.is_finite());
                let count = values().count() as f64;
                if count == 0.0 {
                    return None;
                }
                let mean = values().sum::<f64>() / count;
                let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
                Some((mean + deviations * variance.sqrt()).min(1.0))
            }
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|preset| preset.name() == text).ok_or(())
    }
}
