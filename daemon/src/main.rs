//! clavigerd.

use std::process::ExitCode;

fn main() -> ExitCode {
    clavigerd::commands::main()
}
