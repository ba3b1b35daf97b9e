//! The commands that need no clone: both programs have them, under the same names.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{doctor, explain, ext, fix, plan, switch, torch, wheel};

/// Finds, explains and mends CUDA and PyTorch toolchains. Start with `splatwright doctor`.
#[derive(Debug, Parser)]
#[command(name = "splatwright", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
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
