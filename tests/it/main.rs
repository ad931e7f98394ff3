//! Integration tests: the house's plan, and the program as its users run it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod clients;
mod employment;
mod end_to_end;
mod golden;
mod imports;
mod pipeline;
mod smtp;
mod support;
