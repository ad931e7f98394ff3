//! Bin edges that are found without a search.

use serde::{Deserialize, Serialize};

/// Cells per edge at first; they are doubled while some cell holds more than [`WANTED`] edges.
const CELLS_PER_EDGE: usize = 2;
/// And at most: all that a look-up needs stays in the first cache.
const MOST_CELLS_PER_EDGE: usize = 8;
/// Edges per cell from which more cells would not help.
const WANTED: usize = 2;
/// Up to this many edges in a cell are compared one and all, more are searched.
const COMPARED: usize = 8;
/// Added to a number below 2³¹, it leaves the nearest whole number in the lowest bits of the sum.
const WHOLE: f64 = (1_u64 << 52) as f64;

/// Ascending edges with a uniform grid of cells over them. The grid says how many edges lie before each cell, which
/// leaves the few within the cell to be compared: all of them, without a branch that a processor could mispredict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<f64>", into = "Vec<f64>")]
pub(super) struct Edges {
    /// The edges and [`COMPARED`] infinities, so that as many can be compared from anywhere.
    padded: Vec<f64>,
    low: f64,
    cells_per_unit: f64,
    last_cell: f64,
    /// For each cell the number of edges in the cells before it, and at the end the number of all edges. Small numbers,
    /// so that the table stays small.
    before: Vec<u16>,
    /// Edges in the fullest cell.
    most: usize,
}

impl Edges {
    pub(super) fn as_slice(&self) -> &[f64] {
        &self.padded[..self.padded.len() - COMPARED]
    }

    /// The number of edges ≤ `value`; none are ≤ NaN.
    pub(super) fn bin(&self, value: f64) -> usize {
        let found = if self.most > COMPARED { self.searched(value) } else { self.compared::<COMPARED>(value) };
        // The padding is ≤ +∞, too.
        found.min(self.as_slice().len())
    }

    /// Counts each value, all of which are finite, in its bin.
    pub(super) fn count(&self, values: &[f64], bins: &mut [u64]) {
        match self.most {
            0..=1 => self.count_compared::<1>(values, bins),
            2 => self.count_compared::<2>(values, bins),
            3 => self.count_compared::<3>(values, bins),
            4 => self.count_compared::<4>(values, bins),
            5..=COMPARED => self.count_compared::<COMPARED>(values, bins),
            _ => values.iter().for_each(|value| bins[self.searched(*value)] += 1),
        }
    }

    fn count_compared<const N: usize>(&self, values: &[f64], bins: &mut [u64]) {
        for value in values {
            bins[self.compared::<N>(*value)] += 1;
        }
    }

    /// Compares the `N` edges from the value's cell on. Those of later cells are greater, so that only `N` must be enough
    /// for any cell.
    #[inline]
    fn compared<const N: usize>(&self, value: f64) -> usize {
        let first = usize::from(self.before[self.cell(value)]);
        let edges = &self.padded[first..first + N];
        first + edges.iter().map(|edge| usize::from(*edge <= value)).sum::<usize>()
    }

    fn searched(&self, value: f64) -> usize {
        let cell = self.cell(value);
        let (first, end) = (usize::from(self.before[cell]), usize::from(self.before[cell + 1]));
        first + self.padded[first..end].partition_point(|edge| *edge <= value)
    }

    /// Never falls as `value` rises, in spite of rounding: so the edges of earlier cells are less than it, and those of
    /// later cells are greater. NaN is in the first cell.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the lowest bits are the whole number")]
    fn cell(&self, value: f64) -> usize {
        let place = (value - self.low) * self.cells_per_unit;
        let place = if place > 0.0 { place } else { 0.0 };
        let place = if place < self.last_cell { place } else { self.last_cell };
        ((place + WHOLE).to_bits() as u32) as usize
    }

    fn with_cells(edges: &[f64], cells: usize, cells_per_unit: f64) -> Self {
        let mut padded = edges.to_vec();
        padded.resize(edges.len() + COMPARED, f64::INFINITY);
        let low = edges.first().copied().unwrap_or(0.0);
        let last_cell = cells as f64 - 1.0;
        let mut grid = Self { padded, low, cells_per_unit, last_cell, before: vec![0; cells + 1], most: 0 };
        let mut cell_ends = vec![0; cells];
        for (index, edge) in (1_u16..).zip(edges) {
            cell_ends[grid.cell(*edge)] = index;
        }
        let mut last = 0_u16;
        for (before, end) in grid.before.iter_mut().skip(1).zip(cell_ends) {
            grid.most = grid.most.max(usize::from(end.saturating_sub(last)));
            last = last.max(end);
            *before = last;
        }
        grid
    }
}

impl From<Vec<f64>> for Edges {
    fn from(mut edges: Vec<f64>) -> Self {
        // A reference makes 499 at most.
        edges.truncate(usize::from(u16::MAX) - 1);
        let (low, high) = (edges.first().copied().unwrap_or(0.0), edges.last().copied().unwrap_or(0.0));
        let mut cells = edges.len() * CELLS_PER_EDGE;
        loop {
            let cells_per_unit = cells as f64 / (high - low);
            // One edge has no extent, and extents may be beyond what a float can hold: then there is one cell for all.
            if !(cells_per_unit.is_finite() && cells_per_unit > 0.0) {
                return Self::with_cells(&edges, 1, 0.0);
            }
            let grid = Self::with_cells(&edges, cells, cells_per_unit);
            if grid.most <= WANTED || cells >= edges.len() * MOST_CELLS_PER_EDGE {
                return grid;
            }
            cells *= 2;
        }
    }
}

impl From<Edges> for Vec<f64> {
    fn from(mut edges: Edges) -> Self {
        edges.padded.truncate(edges.as_slice().len());
        edges.padded
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
