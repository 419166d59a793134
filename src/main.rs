//! The `truce` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    truce::cli::main()
}
