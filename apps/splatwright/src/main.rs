//! `splatwright`: parse, run, an exit code. Each command lives in its own file of the library.

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use splatwright::{commands::Command, program, ui, wheel};

/// Finds, explains and mends CUDA and PyTorch toolchains. Start with `splatwright doctor`.
#[derive(Parser)]
#[command(name = "splatwright", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    program::is_splatwright();
    let matches = program::with_spoken_help(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.command.run(wheel::engines_of_xtask).unwrap_or_else(|error| ui::report(&error))
}
