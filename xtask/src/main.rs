//! `cargo xtask`: parse, one match, an exit code. Each command lives in its own file of the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::ui;

/// Builds, checks and tests Splatwright. Start with `cargo xtask doctor`, then `cargo xtask build`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result: anyhow::Result<ExitCode> = match cli.command {};
    result.unwrap_or_else(|error| ui::report(&error))
}
