//! Bin edges that are found without a search.

use serde::{Deserialize, Serialize};

/// Cells per edge: with more, most cells hold no edge or one.
const CELLS_PER_EDGE: usize = 2;
/// Up to this many edges in a cell are walked past, more are searched.
const WALKED: usize = 8;

/// Ascending edges with a uniform grid of cells over them. The grid says how many edges lie before each cell, which
/// leaves the few within the cell to be compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<f64>", into = "Vec<f64>")]
pub(super) struct Edges {
    values: Vec<f64>,
    low: f64,
    cells_per_unit: f64,
    /// For each cell the number of edges in the cells before it, and at the end the number of all edges.
    before: Vec<u32>,
}

impl Edges {
    pub(super) fn as_slice(&self) -> &[f64] {
        &self.values
    }

    /// The number of edges ≤ `value`; none are ≤ NaN.
    pub(super) fn bin(&self, value: f64) -> usize {
        let cell = self.cell(value);
        let (first, end) = (self.before[cell] as usize, self.before[cell + 1] as usize);
        let within = &self.values[first..end];
        if within.len() > WALKED {
            return first + within.partition_point(|edge| *edge <= value);
        }
        first + within.iter().take_while(|edge| **edge <= value).count()
    }

    /// Never falls as `value` rises, in spite of rounding: so the edges of earlier cells are less than it, and those of
    /// later cells are greater.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as it is wanted, casts saturate")]
    fn cell(&self, value: f64) -> usize {
        let cells = self.before.len() - 1;
        (((value - self.low) * self.cells_per_unit) as usize).min(cells - 1)
    }
}

impl From<Vec<f64>> for Edges {
    fn from(edges: Vec<f64>) -> Self {
        let (low, high) = (edges.first().copied().unwrap_or(0.0), edges.last().copied().unwrap_or(0.0));
        let wanted = (edges.len() * CELLS_PER_EDGE).max(1);
        let cells_per_unit = wanted as f64 / (high - low);
        // One edge has no extent, and extents may be beyond what a float can hold: then there is one cell for all.
        let is_usable = cells_per_unit.is_finite() && cells_per_unit > 0.0;
        let (cells, cells_per_unit) = if is_usable { (wanted, cells_per_unit) } else { (1, 0.0) };
        let mut grid = Self { values: edges, low, cells_per_unit, before: vec![0; cells + 1] };
        let mut cell_ends = vec![0; cells];
        for (index, edge) in (1_u32..).zip(&grid.values) {
            cell_ends[grid.cell(*edge)] = index;
        }
        let mut last = 0;
        for (before, end) in grid.before.iter_mut().skip(1).zip(cell_ends) {
            last = last.max(end);
            *before = last;
        }
        grid
    }
}

impl From<Edges> for Vec<f64> {
    fn from(edges: Edges) -> Self {
        edges.values
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edges(mut values: Vec<f64>) -> Vec<f64> {
        values.sort_unstable_by(f64::total_cmp);
        values.dedup_by(|a, b| a.total_cmp(b).is_eq());
        values
    }

    fn assert_same(edges: &[f64], value: f64) {
        let expected = edges.partition_point(|edge| *edge <= value);
        assert_eq!(Edges::from(edges.to_vec()).bin(value), expected, "{value} in {edges:?}");
    }

    #[test]
    fn extents_beyond_the_floats_are_searched() {
        for edges in [vec![], vec![1.0], vec![f64::MIN, f64::MAX], vec![0.0, 5e-324], vec![-1e300, 0.0, 1e-300, 1e300]]
        {
            for value in [f64::NEG_INFINITY, f64::MIN, -1.0, -0.0, 0.0, 5e-324, 1e-300, 1.0, f64::MAX, f64::NAN] {
                assert_same(&edges, value);
            }
        }
    }

    #[test]
    fn many_edges_close_together_are_all_found() {
        let edges: Vec<f64> = (0..400).map(|i| f64::from(i) * 1e-9).chain([1e9]).collect();
        for value in &edges {
            assert_same(&edges, *value);
            assert_same(&edges, value.next_up());
            assert_same(&edges, value.next_down());
        }
    }

    proptest! {
        #[test]
        fn a_value_has_the_bin_that_a_search_finds(
            values in prop::collection::vec(any::<f64>().prop_filter("finite", |v| v.is_finite()), 0..200),
            others in prop::collection::vec(any::<f64>(), 0..50),
        ) {
            let edges = edges(values);
            for value in edges.iter().chain(&others) {
                assert_same(&edges, *value);
                assert_same(&edges, value.next_up());
                assert_same(&edges, value.next_down());
            }
        }

        #[test]
        fn so_it_is_for_edges_of_one_magnitude(
            values in prop::collection::vec(-1e3..1e3, 0..499),
            others in prop::collection::vec(-2e3..2e3, 0..200),
        ) {
            let edges = edges(values);
            for value in edges.iter().chain(&others) {
                assert_same(&edges, *value);
                assert_same(&edges, value.next_up());
            }
        }
    }
}
