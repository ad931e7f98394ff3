//! Decoding: events from JSON into Arrow, data sets from files.

mod rejection;

pub use rejection::Rejection;
