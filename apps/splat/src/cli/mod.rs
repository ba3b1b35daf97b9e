//! Command line: arguments, and how errors are shown.

mod common;
pub(crate) mod convert;
pub(crate) mod docs;
pub(crate) mod eval;
pub(crate) mod info;
mod progress;
pub(crate) mod render;
mod render_output;
mod rerun;
mod settings;
pub(crate) mod train;
pub(crate) mod view;

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
    /// Turn a folder of posed photographs into Gaussians.
    Train(train::Args),
    /// Render a scene to pictures or a video: a dataset's cameras, a circle, a path or a file of poses.
    Render(render::Args),
    /// Compare a scene with photographs: PSNR, SSIM and, with a network file, LPIPS.
    Eval(eval::Args),
    /// Show what is understood of a folder of posed photographs.
    Info(info::Args),
    /// Convert Gaussians between PLY, compressed PLY, .splat, SPZ and SOG.
    Convert(convert::Args),
    /// Show a scene in a browser.
    View(view::Args),
    /// Print a shell's completions for this program.
    Completions(docs::Completions),
    /// Write this program's man pages.
    Man(docs::Man),
}

/// An error of the program itself, with what the user can do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Hinted {
    pub(crate) message: String,
    pub(crate) hint: &'static str,
}

impl Hinted {
    pub(crate) fn error(message: String, hint: &'static str) -> anyhow::Error {
        Self { message, hint }.into()
    }
}

/// `error: what failed: why`, then `hint:` where there is one.
pub(crate) fn print_error(error: &anyhow::Error) {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Some errors say their cause themselves.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    anstream::eprintln!("error: {text}");
    // What the program adds as context is found in the whole error alone, not in its chain.
    let own = error.downcast_ref::<Hinted>().map(|e| e.hint.to_owned());
    let hint = own.or_else(|| {
        error.chain().find_map(|e| {
            e.downcast_ref::<splat_train::Error>()
                .and_then(splat_train::Error::hint)
                .or_else(|| e.downcast_ref::<splat_scene::Error>().and_then(splat_scene::Error::hint))
        })
    });
    if let Some(hint) = hint {
        anstream::eprintln!("hint: {hint}");
    }
}
