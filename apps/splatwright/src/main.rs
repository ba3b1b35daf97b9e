//! `splatwright`: parse, one match, an exit code. Each command lives in its own file of the library.

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use splatwright::{doctor, explain, ext, plan, program, switch, torch, ui, wheel};

/// Finds, explains and mends CUDA and PyTorch toolchains. Start with `splatwright doctor`.
#[derive(Parser)]
#[command(name = "splatwright", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Doctor(doctor::Args),
    Explain(explain::Args),
    Plan(plan::Args),
    Switch(switch::Args),
    Torch(torch::Args),
    Ext(ext::Args),
    Wheel(wheel::Args),
}

fn main() -> ExitCode {
    program::is_splatwright();
    let matches = program::with_spoken_help(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match cli.command {
        Command::Doctor(args) => doctor::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Switch(args) => switch::run(&args),
        Command::Torch(args) => torch::run(&args),
        Command::Ext(args) => ext::run(&args),
        Command::Wheel(args) => wheel::run(&args, wheel::engines_of_xtask),
    };
    result.unwrap_or_else(|error| ui::report(&error))
}
