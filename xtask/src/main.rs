//! `cargo xtask`: parse, one match, an exit code. Each command lives in its own file of the library.

use std::{env, path::Path, process::ExitCode};

use clap::{Parser, Subcommand};
use splatwright::{commands, program, repository, ui};
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
    #[command(flatten)]
    Anywhere(commands::Command),
    Build(build::Args),
    VerifyImport(verify::Args),
    Test(test::Args),
    Clean(clean::Args),
    Bundle(bundle::Args),
    Bench(bench::Args),
    Codegen(codegen::Args),
    Tidy(tidy::Args),
    Release(release::Args),
}

fn main() -> ExitCode {
    // As cargo says it, so that the clone is found from any folder.
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    repository::name(Path::new(&package).parent().unwrap_or(Path::new(".")).to_owned());
    let cli: Cli = program::parse();
    let result = match cli.command {
        Command::Anywhere(command) => command.run(build::engine_for_wheel),
        Command::Build(args) => build::run(&args),
        Command::VerifyImport(args) => verify::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Clean(args) => clean::run(&args),
        Command::Bundle(args) => bundle::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Codegen(args) => codegen::run(&args),
        Command::Tidy(args) => tidy::run(&args),
        Command::Release(args) => release::run(&args),
    };
    result.unwrap_or_else(|error| ui::report(&error))
}
