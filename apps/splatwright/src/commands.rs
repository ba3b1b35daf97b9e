//! The commands that need no clone: both programs have them, under the same names, and `splatwright` those about itself.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{docs, doctor, explain, ext, fix, plan, switch, torch, wheel};

/// Finds, explains and mends CUDA and PyTorch toolchains. Start with `splatwright doctor`.
#[derive(Debug, Parser)]
#[command(
    name = "splatwright",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed or something is missing, 2 wrong arguments or something is damaged, 3 no known \
    failure is in the log."
)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub command: Own,
}

// clap would show documentation written here instead of the text that each `Args` brings.
#[allow(missing_docs)]
#[derive(Debug, Subcommand)]
pub enum Own {
    #[command(flatten)]
    Shared(Box<Command>),
    Completions(docs::Completions),
    Man(docs::Man),
}

impl Own {
    /// Runs it.
    ///
    /// # Errors
    /// The command's own.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Shared(command) => command.run(wheel::engines_of_xtask),
            Self::Completions(args) => docs::completions(args),
            Self::Man(args) => docs::man(args),
        }
    }
}

// clap would show documentation written here instead of the text that each `Args` brings.
#[allow(missing_docs)]
#[derive(Debug, Subcommand)]
pub enum Command {
    Doctor(doctor::Args),
    Explain(explain::Args),
    Fix(fix::Args),
    Plan(plan::Args),
    Switch(switch::Args),
    Torch(torch::Args),
    Ext(ext::Args),
    Wheel(wheel::Args),
}

impl Command {
    /// Runs it; `engines` builds what a wheel holds.
    ///
    /// # Errors
    /// The command's own.
    pub fn run(&self, engines: wheel::Engines) -> anyhow::Result<ExitCode> {
        match self {
            Self::Doctor(args) => doctor::run(args),
            Self::Explain(args) => explain::run(args),
            Self::Fix(args) => fix::run(args),
            Self::Plan(args) => plan::run(args),
            Self::Switch(args) => switch::run(args),
            Self::Torch(args) => torch::run(args),
            Self::Ext(args) => ext::run(args),
            Self::Wheel(args) => wheel::run(args, engines),
        }
    }
}
