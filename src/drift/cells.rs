//! Fine counts of two sides in ascending order of their values.

use crate::profile::{ColumnProfile, NumericAnchors};

/// How many values of each side lie between two neighbouring points at which both distribution functions are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub reference: u64,
    pub current: u64,
    /// Whether all values of the cell are known to be equal, so that nothing within it can be out of order.
    pub is_point: bool,
}

/// The fine bins of a numeric column, of which the first and the last are split at the reference's extremes: what lies
/// below its minimum, each bin, what lies above its maximum. Missing and invalid values are in none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderedCells {
    cells: Vec<Cell>,
    reference: u64,
    current: u64,
}

impl OrderedCells {
    /// The cells as the counts alone tell them apart.
    #[must_use]
    pub fn new(reference: &ColumnProfile, current: &ColumnProfile) -> Self {
        let reference_cells = split(reference);
        let current_cells = split(current);
        let count = reference_cells.len().max(current_cells.len());
        let at = |cells: &[u64], index: usize| cells.get(index).copied().unwrap_or(0);
        // Between the extremes of a constant there is one value.
        let is_constant = reference.moments.min.is_some() && reference.moments.min == reference.moments.max;
        let cells: Vec<Cell> = (0..count)
            .map(|index| Cell {
                reference: at(&reference_cells, index),
                current: at(&current_cells, index),
                is_point: is_constant && index > 0 && index + 1 < count,
            })
            .collect();
        let reference = cells.iter().map(|cell| cell.reference).sum();
        let current = cells.iter().map(|cell| cell.current).sum();
        Self { cells, reference, current }
    }

    /// As [`new`](Self::new), with what the edges tell besides: when the last edge is the reference's maximum, its bin
    /// holds that value only.
    #[must_use]
    pub fn with_edges(anchors: &NumericAnchors, reference: &ColumnProfile, current: &ColumnProfile) -> Self {
        let mut cells = Self::new(reference, current);
        let last_edge = anchors.edges().last().copied();
        let has_spike = last_edge.is_some() && last_edge == anchors.range().map(|(_, max)| max);
        let last_bin = cells.cells.len().checked_sub(2);
        if let Some(cell) = last_bin.filter(|_| has_spike).and_then(|index| cells.cells.get_mut(index)) {
            cell.is_point = true;
        }
        cells
    }

    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Values of the reference and of the window; none when a side has none.
    #[must_use]
    pub fn totals(&self) -> Option<(u64, u64)> {
        (self.reference > 0 && self.current > 0).then_some((self.reference, self.current))
    }
}

fn split(column: &ColumnProfile) -> Vec<u64> {
    let mut cells = Vec::with_capacity(column.bins.len() + 2);
    cells.push(0);
    cells.extend_from_slice(&column.bins);
    cells.push(0);
    let (first, last) = (1, column.bins.len());
    let below = column.below.min(cells[first]);
    cells[first] -= below;
    cells[0] += below;
    let above = column.above.min(cells[last]);
    cells[last] -= above;
    cells[last + 1] += above;
    cells
}
