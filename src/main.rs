//! Arguments → settings → telemetry → app.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Joins and answers make many small values on one thread that end on another, with which it is quicker than the system's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    plimsoll::cli::main()
}
