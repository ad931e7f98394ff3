//! Mergeable counts of one population: anchors, histograms, moments.
