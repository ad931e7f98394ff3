//! One method on one column: the statistic with what it takes to judge it.

use std::f64::consts::LN_2;

use super::significance::{
    chi_square_critical, chi_square_p_value, kolmogorov_p_value, normal_critical, normal_p_value, student_critical,
};
use super::{
    Interval, OrderedCells, PairedCounts, QuadraticLaw, Undefined, anderson_darling, anderson_darling_p_value,
    chi_square, cramer_von_mises, cramer_von_mises_p_value, g_test, hellinger, homogeneity_p_value, jensen_shannon, kl,
    ks, linf, mean_shift, proportion_z, psi, sampling_scale, standardise, total_variation, wasserstein,
};
use crate::model::{DriftPolicy, Method};
use crate::profile::{ColumnProfile, NumericAnchors, ValueAnchors};

/// A statistic with what it takes to judge it, all in the statistic's own unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub interval: Interval,
    pub p_value: f64,
    /// What the statistic exceeds with probability alpha, or less, when nothing has changed.
    pub noise: f64,
    /// The statistic of an effect that lies on the floor, for samples of these sizes.
    pub threshold: f64,
    /// The effect, where the statistic is not the effect itself.
    pub effect: Option<f64>,
}

/// A policy with the critical values of its alpha.
#[derive(Debug)]
pub(super) struct Measure<'a> {
    policy: &'a DriftPolicy,
    cramer_von_mises: f64,
    anderson_darling: f64,
}

/// The counts of one column as the methods want them.
#[derive(Debug)]
pub(super) struct Column<'a> {
    anchors: &'a ValueAnchors,
    reference: &'a ColumnProfile,
    current: &'a ColumnProfile,
    counts: PairedCounts,
    /// Without cells for a categorical column.
    cells: OrderedCells,
    /// Of the four distances that share it.
    homogeneity: f64,
    /// What χ² of as many bins exceeds with probability alpha.
    chi_square: f64,
}

impl<'a> Column<'a> {
    pub(super) fn new(
        alpha: f64,
        anchors: &'a ValueAnchors,
        reference: &'a ColumnProfile,
        current: &'a ColumnProfile,
    ) -> Self {
        let counts = PairedCounts::new(anchors, reference, current);
        let cells = match anchors {
            ValueAnchors::Numeric(numeric) => OrderedCells::with_edges(numeric, reference, current),
            ValueAnchors::Categorical(_) => OrderedCells::default(),
        };
        // The last bin, where either side has any.
        let has_unseen = reference.unseen > 0 || current.unseen > 0;
        let unseen = counts.bins().checked_sub(1).filter(|_| has_unseen);
        let homogeneity = homogeneity_p_value(&counts, unseen);
        let chi_square = chi_square_critical(alpha, degrees_of_freedom(&counts));
        Self { anchors, reference, current, counts, cells, homogeneity, chi_square }
    }

    /// Statistics of distribution functions and moments want numbers; the test of two proportions wants a reference of
    /// two categories, as Evidently's default does.
    pub(super) fn admits(&self, method: Method) -> bool {
        match (method, self.anchors) {
            (
                Method::Ks | Method::Wasserstein | Method::CramerVonMises | Method::AndersonDarling | Method::MeanShift,
                anchors,
            ) => matches!(anchors, ValueAnchors::Numeric(_)),
            (Method::ProportionZ, anchors) => {
                matches!(anchors, ValueAnchors::Categorical(categories) if categories.categories().len() == 2)
            }
            _ => true,
        }
    }

    pub(super) const fn reference(&self) -> &ColumnProfile {
        self.reference
    }

    pub(super) const fn current(&self) -> &ColumnProfile {
        self.current
    }

    fn numeric(&self) -> Result<&NumericAnchors, Undefined> {
        match self.anchors {
            ValueAnchors::Numeric(numeric) => Ok(numeric),
            ValueAnchors::Categorical(_) => Err(Undefined::EmptySide),
        }
    }
}

impl<'a> Measure<'a> {
    pub(super) fn new(policy: &'a DriftPolicy) -> Self {
        Self {
            policy,
            cramer_von_mises: QuadraticLaw::CramerVonMises.critical(policy.alpha),
            anderson_darling: QuadraticLaw::AndersonDarling.critical(policy.alpha),
        }
    }

    pub(super) fn measure(&self, method: Method, column: &Column<'_>) -> Result<Measured, Undefined> {
        let measured = match method {
            Method::Psi | Method::JensenShannon | Method::Kl | Method::Hellinger => self.distance(method, column),
            Method::TotalVariation => self.total_variation(column),
            Method::Linf => self.linf(column),
            Method::ChiSquare | Method::GTest => self.contingency(method, column),
            Method::Ks => self.ks(column),
            Method::Wasserstein => self.wasserstein(column),
            Method::CramerVonMises => self.cramer_von_mises(column),
            Method::AndersonDarling => self.anderson_darling(column),
            Method::MeanShift => self.mean_shift(column),
            Method::ProportionZ => self.proportion(column),
        }?;
        let Interval { statistic, lower, upper } = measured.interval;
        let numbers = [statistic, lower, upper, measured.noise, measured.threshold, measured.p_value];
        if numbers.iter().all(|number| number.is_finite()) { Ok(measured) } else { Err(Undefined::Overflow) }
    }

    /// Without drift these are functions of χ² with B − 1 degrees of freedom, to second order.
    fn distance(&self, method: Method, column: &Column<'_>) -> Result<Measured, Undefined> {
        let counts = &column.counts;
        let (reference, current) = counts.totals();
        let scale = sampling_scale(reference, current).ok_or(Undefined::EmptySide)?;
        let critical = column.chi_square * scale;
        let (statistic, noise) = match method {
            Method::Psi => (psi(counts), critical),
            Method::Kl => (kl(counts), critical / 2.0),
            Method::JensenShannon => (jensen_shannon(counts), (critical / (8.0 * LN_2)).sqrt()),
            _ => (hellinger(counts), (critical / 8.0).sqrt()),
        };
        Ok(self.plain(method, statistic.ok_or(Undefined::EmptySide)?, column.homogeneity, noise))
    }

    /// The p-value is the bounded-differences inequality's (1989): one row more or less moves the distance by 1/N or 1/n at most, and
    /// without drift its mean is at most `½ Σ √(h(1 − h)·(1/N + 1/n))` (with the pooled shares `h` for the true ones).
    fn total_variation(&self, column: &Column<'_>) -> Result<Measured, Undefined> {
        let statistic = total_variation(&column.counts).ok_or(Undefined::EmptySide)?;
        let (scale, deviations) = deviations(&column.counts)?;
        let mean = 0.5 * deviations.iter().sum::<f64>();
        let excess = (statistic - mean).max(0.0);
        let p_value = (-2.0 * excess * excess / scale).exp();
        let noise = mean + (-0.5 * scale * self.policy.alpha.ln()).max(0.0).sqrt();
        Ok(self.plain(Method::TotalVariation, statistic, p_value, noise))
    }

    /// The p-value is Bonferroni's bound over the bins, each by the normal law of the difference of two proportions.
    fn linf(&self, column: &Column<'_>) -> Result<Measured, Undefined> {
        let statistic = linf(&column.counts).ok_or(Undefined::EmptySide)?;
        let (_, deviations) = deviations(&column.counts)?;
        let tails = deviations.iter().filter(|deviation| **deviation > 0.0);
        let bound: f64 = tails.map(|deviation| normal_p_value(statistic / deviation)).sum();
        let p_value = if statistic > 0.0 { bound.min(1.0) } else { 1.0 };
        let widest = deviations.iter().copied().fold(0.0, f64::max);
        let noise = widest * normal_critical(self.policy.alpha / deviations.len().max(1) as f64);
        Ok(self.plain(Method::Linf, statistic, p_value, noise))
    }

    /// The p-value is SciPy's, over the bins as they are; the effect is Cohen's `w = √(χ²·(1/N + 1/n))`.
    fn contingency(&self, method: Method, column: &Column<'_>) -> Result<Measured, Undefined> {
        let counts = &column.counts;
        let statistic = if method == Method::ChiSquare { chi_square(counts) } else { g_test(counts) };
        let statistic = statistic.ok_or(Undefined::EmptySide)?;
        let (reference, current) = counts.totals();
        let df = degrees_of_freedom(counts);
        let noise = column.chi_square;
        let p_value = chi_square_p_value(statistic, df);
        self.quadratic(method, Interval::exact(statistic), p_value, noise, (reference, current))
    }

    fn ks(&self, column: &Column<'_>) -> Result<Measured, Undefined> {
        let bounds = ks::bounds(&column.cells).ok_or(Undefined::EmptySide)?;
        let (reference, current) = column.cells.totals().ok_or(Undefined::EmptySide)?;
        let scale = sampling_scale(reference, current).ok_or(Undefined::EmptySide)?;
        // The first term of Kolmogorov's series, solved for d.
        let noise = (-0.5 * (self.policy.alpha / 2.0).ln() * scale).sqrt();
        let p_value = kolmogorov_p_value(bounds.lower, reference, current);
        let interval = Interval { statistic: bounds.lower, lower: bounds.lower, upper: bounds.upper };
        Ok(Measured { interval, ..self.plain(Method::Ks, bounds.lower, p_value, noise) })
    }

    /// The p-value is an upper bound in its tail: it takes the gaps at all values for the multiples of one normal
    /// variable. The law itself depends on the shape of the distribution and has no closed form.
    fn wasserstein(&self, column: &Column<'_>) -> Result<Measured, Undefined> {
        let found = wasserstein(column.numeric()?, &column.cells, column.reference, column.current)?;
        let p_value = normal_p_value(found.distance.statistic / found.noise);
        let noise = found.noise * normal_critical(self.policy.alpha);
        let plain = self.plain(Method::Wasserstein, found.distance.statistic, p_value, noise);
        Ok(Measured { interval: found.distance, ..plain })
    }

    fn cramer_von_mises(&self, column: &Column<'_>) -> Result<Measured, Undefined> {
        let interval = cramer_von_mises(&column.cells).ok_or(Undefined::EmptySide)?;
        let (reference, current) = column.cells.totals().ok_or(Undefined::EmptySide)?;
        let p_value = cramer_von_mises_p_value(interval.statistic, reference, current);
        let noise = super::cramer_von_mises::from_limit(self.cramer_von_mises, reference, current);
        self.quadratic(Method::CramerVonMises, interval, p_value, noise, (reference, current))
    }

    fn anderson_darling(&self, column: &Column<'_>) -> Result<Measured, Undefined> {
        let found = anderson_darling(&column.cells)?;
        let (reference, current) = column.cells.totals().ok_or(Undefined::EmptySide)?;
        let standard = |statistic: f64| standardise(statistic, reference, current);
        let raw = self.quadratic(Method::AndersonDarling, found, 1.0, 0.0, (reference, current))?;
        let interval = Interval {
            statistic: standard(found.statistic)?,
            lower: standard(found.lower)?,
            upper: standard(found.upper)?,
        };
        Ok(Measured {
            interval,
            p_value: anderson_darling_p_value(interval.statistic),
            noise: super::anderson_darling::from_limit(self.anderson_darling),
            threshold: standard(raw.threshold)?,
            effect: raw.effect,
        })
    }

    fn mean_shift(&self, column: &Column<'_>) -> Result<Measured, Undefined> {
        let found = mean_shift(&column.reference.moments, &column.current.moments)?;
        Ok(Measured {
            interval: Interval::exact(found.t.abs()),
            p_value: found.p_value,
            noise: student_critical(self.policy.alpha, found.degrees_of_freedom),
            // 0 for a constant reference, of which every other mean is infinitely far.
            threshold: self.policy.floor(Method::MeanShift) / found.standard_error,
            effect: Some(found.effect).filter(|effect| effect.is_finite()),
        })
    }

    /// The proportion is that of the second category among the rows of the reference's two.
    fn proportion(&self, column: &Column<'_>) -> Result<Measured, Undefined> {
        let of = |profile: &ColumnProfile| match profile.bins[..] {
            [first, second] => Ok((second, first + second)),
            _ => Err(Undefined::EmptySide),
        };
        let (reference, current) = (of(column.reference)?, of(column.current)?);
        let found = proportion_z(reference, current)?;
        // Where all rows agree there is no standard error; then the largest that there can be.
        let scale = sampling_scale(reference.1, current.1).ok_or(Undefined::EmptySide)?;
        let error = if found.standard_error > 0.0 { found.standard_error } else { 0.5 * scale.sqrt() };
        Ok(Measured {
            interval: Interval::exact(found.z.abs()),
            p_value: found.p_value,
            noise: normal_critical(self.policy.alpha),
            threshold: self.policy.floor(Method::ProportionZ) / error,
            effect: Some(found.difference),
        })
    }

    /// A statistic that is its own effect.
    fn plain(&self, method: Method, statistic: f64, p_value: f64, noise: f64) -> Measured {
        let threshold = self.policy.floor(method);
        Measured { interval: Interval::exact(statistic), p_value, noise, threshold, effect: None }
    }

    /// A statistic that grows as the square of its effect over `1/N + 1/n`.
    fn quadratic(
        &self,
        method: Method,
        interval: Interval,
        p_value: f64,
        noise: f64,
        (reference, current): (u64, u64),
    ) -> Result<Measured, Undefined> {
        let scale = sampling_scale(reference, current).ok_or(Undefined::EmptySide)?;
        let threshold = self.policy.floor(method).powi(2) / scale;
        let effect = Some((interval.statistic * scale).max(0.0).sqrt());
        Ok(Measured { interval, p_value, noise, threshold, effect })
    }
}

fn degrees_of_freedom(counts: &PairedCounts) -> u32 {
    u32::try_from(counts.bins().saturating_sub(1)).unwrap_or(u32::MAX)
}

/// `1/N + 1/n`, and the standard deviation of the difference of each bin's shares without drift.
fn deviations(counts: &PairedCounts) -> Result<(f64, Vec<f64>), Undefined> {
    let (reference, current) = counts.totals();
    let scale = sampling_scale(reference, current).ok_or(Undefined::EmptySide)?;
    let total = (reference + current) as f64;
    let pairs = counts.reference.iter().zip(&counts.current);
    let deviations = pairs
        .map(|(x, y)| {
            let pooled = (x + y) as f64 / total;
            (pooled * (1.0 - pooled) * scale).max(0.0).sqrt()
        })
        .collect();
    Ok((scale, deviations))
}
