//! `splatwright`: parse, run, an exit code. Each command lives in its own file of the library.

use std::process::ExitCode;

use splatwright::{commands::Cli, program, ui, wheel};

fn main() -> ExitCode {
    program::is_splatwright();
    let cli: Cli = program::parse();
    cli.command.run(wheel::engines_of_xtask).unwrap_or_else(|error| ui::report(&error))
}
