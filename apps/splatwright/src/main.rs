//! `splatwright`: parse, run, an exit code. Each command lives in its own file of the library.

use std::process::ExitCode;

use splatwright::{commands::Cli, program, ui};

fn main() -> ExitCode {
    program::is_splatwright();
    let cli: Cli = program::parse();
    cli.command.run().unwrap_or_else(|error| ui::report(&error))
}
