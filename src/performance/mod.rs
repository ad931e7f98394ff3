//! Metrics of joined outcomes, their intervals, and decay against the reference.
