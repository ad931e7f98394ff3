//! Why a statistic has no value.

use std::fmt;

/// The reason for which a statistic is not defined; its text becomes the row's detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undefined {
    /// The reference or the window has no rows (for statistics of values: no values) in the column.
    EmptySide,
    /// A variance needs two values on each side.
    OneValue,
    /// Neither side varies, so that nothing is there to measure the difference by.
    Constant,
    /// All values of both sides lie in one bin, within which the histogram does not see their order.
    OneBin,
    /// Fewer values than the statistic's variance under no drift needs.
    TooFewValues,
    /// Values so large that their sums or differences leave the floating-point numbers.
    Overflow,
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptySide => "one side has no values",
            Self::OneValue => "one side has fewer than two values",
            Self::Constant => "neither side varies",
            Self::OneBin => "all values lie in one bin",
            Self::TooFewValues => "both sides together have too few values",
            Self::Overflow => "the values are too large to be summed",
        })
    }
}
