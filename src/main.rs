//! Arguments → settings → telemetry → app.

use std::process::ExitCode;

/// Requests and records are thousands of small allocations a second on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    plimsoll::cli::main()
}
