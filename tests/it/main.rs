//! Integration tests: the house's plan, and the program as its users run it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bad_input;
mod cli;
mod clients;
mod employment;
mod end_to_end;
mod facts;
mod faults;
mod golden;
mod http;
mod imports;
mod pipeline;
mod references;
mod small;
mod smtp;
mod support;
