//! clavigerd.

use std::process::ExitCode;

/// glibc's allocator keeps an arena for each thread and never gives back what a scrape of a large fleet took.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    clavigerd::commands::main()
}
