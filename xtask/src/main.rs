//! `cargo xtask`: parse, one match, an exit code. Each command lives in its own file of the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{doctor, ui};

/// Builds, checks and tests Splatwright. Start with `cargo xtask doctor`, then `cargo xtask build`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Doctor(doctor::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Doctor(args) => doctor::run(&args),
    };
    result.unwrap_or_else(|error| ui::report(&error))
}
