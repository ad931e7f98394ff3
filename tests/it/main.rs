//! Integration tests: the house's plan, and the program as its users run it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod end_to_end;
mod imports;
mod pipeline;
mod support;
