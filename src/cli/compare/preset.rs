//! Verdicts as another tool would give them.

use super::read::ReferenceSide;
use super::report::Policies;
use crate::drift::{self, Choice, ColumnFacts, PairedCounts, Preset, Threshold};
use crate::event::{DriftRow, Verdict};
use crate::model::{DriftPolicy, FeatureKind, Method};
use crate::profile::{Anchors, CategoryAnchors, ColumnAnchors, ColumnProfile, Profile, ValueAnchors};

/// Lets the preset's method decide on each column, by the preset's threshold alone.
pub(super) fn apply(
    preset: Preset,
    policies: &Policies,
    reference: &ReferenceSide,
    normal: &Profile,
    current: &Profile,
    rows: &mut Vec<DriftRow>,
) {
    for row in &mut *rows {
        row.decides = false;
    }
    for (index, anchors) in reference.anchors.columns.iter().enumerate() {
        let column = Column::without_missing(&anchors.values, &normal.columns[index], &current.columns[index]);
        let facts = ColumnFacts {
            kind: anchors.values.kind(),
            n_reference: column.reference.valid(),
            distinct: column.distinct(),
        };
        let choice = preset.choose(facts);
        let chunks: Vec<f64> = match choice.threshold {
            Threshold::Fixed(_) => Vec::new(),
            Threshold::ReferenceChunks { .. } => {
                let chunks = reference.chunks.iter().filter(|chunk| chunk.predictions > 0);
                let columns = chunks.filter_map(|chunk| chunk.columns.get(index));
                let whole = &reference.whole.columns[index];
                let chunks = columns.map(|chunk| Column::without_missing(&anchors.values, whole, chunk));
                chunks.filter_map(|chunk| chunk.row(&policies.drift, choice.method, facts)?.statistic).collect()
            }
        };
        let Some(row) = column.row(&policies.drift, choice.method, facts) else { continue };
        let row = decided(preset, choice, DriftRow { feature: anchors.name.clone(), ..row }, &column, &chunks);
        match rows.iter_mut().find(|other| (&other.feature, other.method) == (&row.feature, row.method)) {
            Some(other) => *other = row,
            None => rows.push(row),
        }
    }
}

fn decided(preset: Preset, choice: Choice, mut row: DriftRow, column: &Column, chunks: &[f64]) -> DriftRow {
    let categories = column.categories();
    let counts = PairedCounts::new(&categories.anchors, &categories.reference, &categories.current);
    let value = choice.value(&row, &counts);
    row.decides = true;
    row.threshold = choice.threshold.resolve(chunks).unwrap_or(row.threshold);
    row.verdict = match value.and_then(|value| choice.is_drifted(value, chunks)) {
        Some(true) => Verdict::Drift,
        Some(false) => Verdict::Ok,
        None => Verdict::Insufficient,
    };
    if let Some(value) = value {
        row.detail = Some(format!("{preset} compares {value:.4}"));
    }
    row
}

/// Both sides of a column.
struct Column {
    anchors: ValueAnchors,
    reference: ColumnProfile,
    current: ColumnProfile,
}

impl Column {
    /// The tools drop missing and infinite values before they compare.
    fn without_missing(anchors: &ValueAnchors, reference: &ColumnProfile, current: &ColumnProfile) -> Self {
        let side = |profile: &ColumnProfile| ColumnProfile { missing: 0, invalid: 0, ..profile.clone() };
        Self { anchors: anchors.clone(), reference: side(reference), current: side(current) }
    }

    /// The row of a method; of categories also where the column has numbers of few values, to which the method would not
    /// apply.
    fn row(&self, policy: &DriftPolicy, method: Method, facts: ColumnFacts) -> Option<DriftRow> {
        let of_categories = matches!(method, Method::ChiSquare | Method::ProportionZ);
        let is_few = facts.kind == FeatureKind::Categorical || facts.distinct <= drift::FEW_VALUES;
        let rows = if of_categories || (is_few && method == Method::JensenShannon) {
            self.categories().rows(policy)
        } else {
            self.rows(policy)
        };
        let same = rows.iter().find(|row| row.method == method);
        // One value on both sides: there are no two proportions to differ.
        same.cloned().or_else(|| {
            let (statistic, p_value) = (rows.first()?.statistic.map(|_| 0.0), Some(1.0));
            let bounds = (statistic, statistic);
            Some(DriftRow { method, statistic, lower: bounds.0, upper: bounds.1, p_value, ..rows.first()?.clone() })
        })
    }

    fn rows(&self, policy: &DriftPolicy) -> Vec<DriftRow> {
        let columns = vec![ColumnAnchors { name: String::new(), values: self.anchors.clone() }];
        let side = |column: &ColumnProfile| Profile { columns: vec![column.clone()], ..Profile::default() };
        let anchors = Anchors { columns, ..Anchors::default() };
        drift::judge(policy, &anchors, &side(&self.reference), &side(&self.current))
    }

    /// The values that either side has, as categories; of numbers as far as their bins tell them apart, which is all when
    /// they are few.
    fn categories(&self) -> Self {
        let cells = |profile: &ColumnProfile| {
            let mut cells = vec![profile.below];
            cells.extend(&profile.bins);
            cells.extend([profile.above, profile.unseen]);
            if self.anchors.kind() == FeatureKind::Numeric {
                let last = profile.bins.len();
                cells[1] = cells[1].saturating_sub(profile.below);
                cells[last] = cells[last].saturating_sub(profile.above);
            }
            cells
        };
        let pairs = cells(&self.reference).into_iter().zip(cells(&self.current)).filter(|(x, y)| *x > 0 || *y > 0);
        let (reference, current): (Vec<u64>, Vec<u64>) = pairs.unzip();
        let names: Vec<String> = (0..reference.len()).map(|index| format!("{index:06}")).collect();
        let side = |bins: Vec<u64>| ColumnProfile { bins, ..ColumnProfile::default() };
        Self {
            anchors: ValueAnchors::Categorical(CategoryAnchors::from(names)),
            reference: side(reference),
            current: side(current),
        }
    }

    /// Distinct values of both sides.
    fn distinct(&self) -> u64 {
        self.categories().reference.bins.len() as u64
    }
}
