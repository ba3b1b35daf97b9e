//! The command line: arguments, commands, and how errors are shown.

mod bar;
mod common;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod docs;
pub(crate) mod doctor;
pub(crate) mod edit;
pub(crate) mod eval;
pub(crate) mod events;
pub(crate) mod folder;
mod hints;
pub(crate) mod info;
mod past;
mod poses;
mod progress;
mod ranks;
pub(crate) mod reconstruct;
pub(crate) mod render;
mod render_output;
mod rerun;
pub(crate) mod say;
mod scene;
mod scene_file;
mod scene_info;
mod scored;
mod settings;
mod start;
pub(crate) mod train;
pub(crate) mod view;

use clap::{Parser, Subcommand};

pub(crate) use common::Ended;
pub(crate) use hints::{Hinted, print_error};

/// Trains 3D Gaussian Splatting scenes from photographs.
#[derive(Debug, Parser)]
#[command(
    name = "splat",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong arguments, 3 stopped by Ctrl-C with everything saved, 130 ended at once \
    by a second Ctrl-C."
)]
pub(crate) struct Splat {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn photographs, with or without camera poses, or a video into Gaussians.
    Train(train::Args),
    /// Find the camera poses of photographs or a video, with COLMAP.
    Reconstruct(reconstruct::Args),
    /// Render a scene to pictures or a video: a dataset's cameras, a circle, a path or a file of poses.
    Render(render::Args),
    /// Compare a scene with photographs: PSNR, SSIM and, with a network file, LPIPS.
    Eval(eval::Args),
    /// Compare two scenes with each other and with photographs, view by view.
    Compare(compare::Args),
    /// Show what the program understands of a folder of posed photographs, or what is in a scene.
    Info(info::Args),
    /// Convert Gaussians between PLY, compressed PLY, .splat, SPZ, SOG, glTF and USD, or write a page that shows them.
    Convert(convert::Args),
    /// Crop, clean, thin out, move and merge scenes.
    Edit(edit::Args),
    /// Show a scene in a browser.
    View(view::Args),
    /// Show what this machine has and what will be used, and prove it with a render.
    Doctor(doctor::Args),
    /// Print completions of this program for a shell.
    Completions(docs::Completions),
    /// Write this program's man pages.
    Man(docs::Man),
}
