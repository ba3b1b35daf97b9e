//! `cargo xtask`: parse, one match, an exit code. Each command lives in its own file of the library.

use std::{env, path::Path, process::ExitCode};

use clap::{Parser, Subcommand};
use splatwright::{doctor, explain, ext, plan, repository, switch, torch, ui, wheel};
use xtask::{bench, build, bundle, clean, codegen, release, test, tidy, verify};

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
    Plan(plan::Args),
    Explain(explain::Args),
    Switch(switch::Args),
    Build(build::Args),
    Torch(torch::Args),
    VerifyImport(verify::Args),
    Test(test::Args),
    Clean(clean::Args),
    Bundle(bundle::Args),
    Bench(bench::Args),
    Wheel(wheel::Args),
    Ext(ext::Args),
    Codegen(codegen::Args),
    Tidy(tidy::Args),
    Release(release::Args),
}

fn main() -> ExitCode {
    // As cargo says it, so that the clone is found from any folder.
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    repository::name(Path::new(&package).parent().unwrap_or(Path::new(".")).to_owned());
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Build(args) => build::run(&args),
        Command::Torch(args) => torch::run(&args),
        Command::Bundle(args) => bundle::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Wheel(args) => wheel::run(&args, build::engine_for_wheel),
        Command::Doctor(args) => doctor::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Ext(args) => ext::run(&args),
        Command::Test(args) => test::run(&args),
        Command::VerifyImport(args) => verify::run(&args),
        Command::Switch(args) => switch::run(&args),
        Command::Clean(args) => clean::run(&args),
        Command::Codegen(args) => codegen::run(&args),
        Command::Tidy(args) => tidy::run(&args),
        Command::Release(args) => release::run(&args),
    };
    result.unwrap_or_else(|error| ui::report(&error))
}
