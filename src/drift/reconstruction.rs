//! Are rows still reconstructed from the reference's principal components as well as the reference's own?

use super::mean_shift::{MeanShift, mean_shift};
use super::significance::student_critical;
use super::undefined::Undefined;
use crate::event::{MultivariateRow, Verdict};
use crate::model::{DriftPolicy, MultivariateMethod};
use crate::profile::{Anchors, Profile};

/// The mean reconstruction error of a window against the reference's; none where the anchors have no projection, or the
/// policy wants none.
///
/// - `drift`: the means differ, whichever is larger, by the floor or more in standard deviations of the reference's errors
///   **and** by Welch's test at alpha. A relation that is broken makes rows harder to reconstruct, one that has become
///   closer makes them easier. NannyML draws its two limits three standard deviations of its chunks' means away, so that
///   what it finds depends on the size of the chunks.
/// - `insufficient`: there are fewer rows than `min_samples`, the test is not defined, or the window is so small that
///   chance alone reaches the floor.
/// - `ok` otherwise.
#[must_use]
pub fn judge_reconstruction(
    policy: &DriftPolicy,
    anchors: &Anchors,
    reference: &Profile,
    current: &Profile,
) -> Option<MultivariateRow> {
    let projection = anchors.projection.as_ref().filter(|_| policy.reconstruction.wanted != Some(false))?;
    let (reference, current) = (&reference.reconstruction, &current.reconstruction);
    let found = mean_shift(&reference.moments(), &current.moments());
    let (verdict, detail) = verdict(policy, found, current.count);
    let (features, components) = projection.size();
    let mut row = MultivariateRow {
        method: MultivariateMethod::PcaReconstruction,
        statistic: current.mean(),
        reference: reference.mean(),
        lower: None,
        upper: None,
        p_value: None,
        threshold: None,
        features: features as u64,
        components: u64::from(components),
        n_reference: reference.count,
        n_current: current.count,
        verdict,
        detail,
    };
    let std = reference.std();
    row.threshold = std.map(|std| policy.reconstruction.floor * std);
    if let (Ok(found), Some(statistic), Some(std)) = (found, row.statistic, std) {
        row.p_value = Some(found.p_value);
        // Infinite where the reference's errors do not vary.
        let half = student_critical(policy.alpha, found.degrees_of_freedom) * found.standard_error * std;
        row.lower = Some(statistic - half).filter(|bound| bound.is_finite());
        row.upper = Some(statistic + half).filter(|bound| bound.is_finite());
    }
    Some(row)
}

fn verdict(policy: &DriftPolicy, found: Result<MeanShift, Undefined>, n_current: u64) -> (Verdict, Option<String>) {
    if n_current < policy.min_samples {
        return (Verdict::Insufficient, Some(format!("{n_current} of {} rows needed", policy.min_samples)));
    }
    let found = match found {
        Ok(found) => found,
        Err(reason) => return (Verdict::Insufficient, Some(reason.to_string())),
    };
    let floor = policy.reconstruction.floor;
    let effect = if found.effect.is_finite() {
        format!("mean error moved by {:.3} standard deviations of the reference's errors, floor {floor}", found.effect)
    } else {
        "the reference's errors do not vary".to_owned()
    };
    if found.effect.abs() >= floor && found.p_value < policy.alpha {
        return (Verdict::Drift, Some(effect));
    }
    let noise = student_critical(policy.alpha, found.degrees_of_freedom) * found.standard_error;
    if noise > floor {
        let detail = format!("chance alone moves the mean error by {noise:.3} in a window of {n_current} rows");
        return (Verdict::Insufficient, Some(detail));
    }
    (Verdict::Ok, Some(effect))
}
