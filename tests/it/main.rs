//! Integration tests: the house's plan, and the program as its users run it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::format_push_string,
    clippy::unnecessary_debug_formatting,
    reason = "a test fails by panicking, tells what it skips, and knows its numbers"
)]

mod bad_input;
mod chaos;
mod cli;
mod clients;
mod compare;
mod employment;
mod end_to_end;
mod facts;
mod faults;
mod gates;
mod golden;
mod http;
mod imports;
mod membership;
mod mlflow;
mod openlineage;
mod pipeline;
mod references;
mod registered_models;
mod rollouts;
mod serving;
mod simulation;
mod small;
mod smtp;
mod soak;
mod state;
mod support;
mod tasks;
mod version_references;
mod webhooks;
