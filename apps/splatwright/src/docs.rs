//! `splatwright completions` and `splatwright man`: generated from the arguments themselves, so that they are always up to
//! date.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{commands::Cli, ui};

/// Print completions of this program for a shell
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Write this program's man pages
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Folder for splatwright.1 and one page per command; created if it does not exist
    dir: PathBuf,
}

/// Prints the shell's script.
///
/// # Errors
/// stdout cannot be written.
pub fn completions(args: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "splatwright", &mut script);
    ui::data(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the pages.
///
/// # Errors
/// The folder cannot be written.
pub fn man(args: &Man) -> anyhow::Result<ExitCode> {
    fs_err::create_dir_all(&args.dir)?;
    clap_mangen::generate_to(Cli::command(), &args.dir)
        .with_context(|| format!("cannot write man pages to {}", args.dir.display()))?;
    Ok(ExitCode::SUCCESS)
}
