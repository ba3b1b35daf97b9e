//! `splat completions` and `splat man`: generated from the arguments themselves, so that they are always up to date.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Splat, say};

/// Arguments of `splat completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  splat completions bash > ~/.local/share/bash-completion/completions/splat\n  \
    splat completions zsh > ~/.zfunc/_splat\n  splat completions fish > ~/.config/fish/completions/splat.fish"
)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `splat man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  splat man ~/.local/share/man/man1 && man splat-train")]
pub(crate) struct Man {
    /// Folder for splat.1 and one page per command; created if it does not exist
    dir: PathBuf,
}

/// Writes the shell's script to stdout.
pub(crate) fn completions(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Splat::command(), "splat", &mut script);
    say::print(&String::from_utf8_lossy(&script))
}

/// Writes the pages.
pub(crate) fn man(args: &Man) -> Result<()> {
    fs_err::create_dir_all(&args.dir)?;
    let command = Splat::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &args.dir)
        .with_context(|| format!("cannot write man pages to {}", args.dir.display()))?;
    say::note(&format!("wrote {}", args.dir.join("splat*.1").display()));
    Ok(())
}
