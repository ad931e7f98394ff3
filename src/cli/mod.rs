//! The command line: one file per subcommand.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the command line talks to the terminal")]

pub mod check;
pub mod sql;
