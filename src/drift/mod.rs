//! Distances between distributions and the decision whether they matter.
