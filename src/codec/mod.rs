//! Decoding: events from JSON into Arrow, data sets from files.

pub mod files;
mod rejection;

pub use rejection::Rejection;
