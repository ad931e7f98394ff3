//! Which bins carry a drift.

use super::counts::coarse;
use super::divergence::{hellinger_term, jensen_shannon_term, psi_term};
use crate::model::Method;
use crate::profile::{ColumnProfile, ValueAnchors};

/// A coarse bin of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bin {
    /// Position among the column's coarse bins: between distinct deciles, or the category's.
    Values(usize),
    Missing,
    Invalid,
    Unseen,
}

impl Bin {
    /// The category, the numbers of the bin such as `[2.5, 7)`, or what they are instead.
    #[must_use]
    pub fn label(self, anchors: &ValueAnchors) -> String {
        match (self, anchors) {
            (Self::Values(bin), ValueAnchors::Categorical(anchors)) => {
                anchors.categories().get(bin).cloned().unwrap_or_default()
            }
            (Self::Values(bin), ValueAnchors::Numeric(anchors)) => match anchors.coarse_bounds(bin) {
                (None, None) => "all values".to_owned(),
                (None, Some(high)) => format!("< {high}"),
                (Some(low), None) => format!(">= {low}"),
                (Some(low), Some(high)) => format!("[{low}, {high})"),
            },
            (Self::Missing, _) => "missing".to_owned(),
            (Self::Invalid, _) => "invalid".to_owned(),
            (Self::Unseen, _) => "unseen".to_owned(),
        }
    }
}

/// What one bin adds to a divergence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contribution {
    pub bin: Bin,
    /// Shares of the bin among the rows of each side.
    pub reference: f64,
    pub current: f64,
    /// The bin's term of the sum, in the unit of the sum; ≥ 0.
    pub term: f64,
    /// The term as a share of all; they add up to 1 wherever anything differs, and are 0 otherwise.
    pub share: f64,
}

/// Each coarse bin's part in the difference, largest first; bins that neither side has are left out.
///
/// The terms are those of PSI (`(q − p)·ln(q/p)`, zeros replaced), or of the method given where it is a sum of
/// non-negative terms as well: of the Jensen–Shannon divergence (bits), the squared Hellinger distance, the total
/// variation (`½|p − q|`). For all other methods they are PSI's. Empty when a side has no rows.
#[must_use]
pub fn contributions(
    method: Method,
    anchors: &ValueAnchors,
    reference: &ColumnProfile,
    current: &ColumnProfile,
) -> Vec<Contribution> {
    let (reference_bins, current_bins) = coarse(anchors, reference, current);
    let values = reference_bins.into_iter().zip(current_bins).enumerate();
    let mut counts: Vec<(Bin, u64, u64)> = values.map(|(index, (x, y))| (Bin::Values(index), x, y)).collect();
    counts.push((Bin::Missing, reference.missing, current.missing));
    counts.push((Bin::Invalid, reference.invalid, current.invalid));
    counts.push((Bin::Unseen, reference.unseen, current.unseen));
    counts.retain(|(_, x, y)| *x > 0 || *y > 0);

    let total = |side: fn(&(Bin, u64, u64)) -> u64| counts.iter().map(side).sum::<u64>() as f64;
    let (n_reference, n_current) = (total(|count| count.1), total(|count| count.2));
    if n_reference <= 0.0 || n_current <= 0.0 {
        return Vec::new();
    }
    let mut contributions: Vec<Contribution> = counts
        .iter()
        .map(|&(bin, x, y)| {
            let (reference, current) = (x as f64 / n_reference, y as f64 / n_current);
            let term = term(method, reference, current).max(0.0);
            Contribution { bin, reference, current, term, share: 0.0 }
        })
        .collect();
    let sum: f64 = contributions.iter().map(|contribution| contribution.term).sum();
    if sum > 0.0 {
        for contribution in &mut contributions {
            contribution.share = contribution.term / sum;
        }
    }
    contributions.sort_by(|a, b| b.term.total_cmp(&a.term));
    contributions
}

fn term(method: Method, p: f64, q: f64) -> f64 {
    match method {
        Method::JensenShannon => jensen_shannon_term(p, q),
        Method::Hellinger => hellinger_term(p, q),
        Method::TotalVariation => 0.5 * (p - q).abs(),
        _ => psi_term(p, q),
    }
}
