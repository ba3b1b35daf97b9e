//! Command line: arguments, and how errors are shown.

mod progress;
pub(crate) mod train;

use clap::{Parser, Subcommand};

/// Trains 3D Gaussian Splatting scenes from photographs.
#[derive(Debug, Parser)]
#[command(name = "splat", version, max_term_width = 100)]
pub(crate) struct Splat {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn a folder of photographs with COLMAP poses into Gaussians.
    Train(train::Args),
}

/// `error: what failed: why`, then `hint:` where there is one.
pub(crate) fn print_error(error: &anyhow::Error) {
    anstream::eprintln!("error: {error:#}");
    let hint = error.chain().find_map(|e| {
        e.downcast_ref::<splat_train::Error>()
            .and_then(splat_train::Error::hint)
            .or_else(|| e.downcast_ref::<splat_scene::Error>().and_then(splat_scene::Error::hint))
    });
    if let Some(hint) = hint {
        anstream::eprintln!("hint: {hint}");
    }
}
