//! The command line: arguments, commands, and how errors are shown.

mod common;
pub(crate) mod convert;
pub(crate) mod docs;
pub(crate) mod eval;
mod hints;
pub(crate) mod info;
mod progress;
pub(crate) mod render;
mod render_output;
mod rerun;
mod scene;
mod settings;
pub(crate) mod train;
pub(crate) mod view;

use clap::{Parser, Subcommand};

pub(crate) use hints::{Hinted, print_error};

/// Trains 3D Gaussian Splatting scenes from photographs.
#[derive(Debug, Parser)]
#[command(name = "splat", version, max_term_width = 100)]
pub(crate) struct Splat {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn a folder of posed photographs into Gaussians.
    Train(train::Args),
    /// Render a scene to pictures or a video: a dataset's cameras, a circle, a path or a file of poses.
    Render(render::Args),
    /// Compare a scene with photographs: PSNR, SSIM and, with a network file, LPIPS.
    Eval(eval::Args),
    /// Show what the program understands of a folder of posed photographs.
    Info(info::Args),
    /// Convert Gaussians between PLY, compressed PLY, .splat, SPZ and SOG.
    Convert(convert::Args),
    /// Show a scene in a browser.
    View(view::Args),
    /// Print completions of this program for a shell.
    Completions(docs::Completions),
    /// Write this program's man pages.
    Man(docs::Man),
}
