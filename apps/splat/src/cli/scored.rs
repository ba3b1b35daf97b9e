//! What the commands share that compare scenes with photographs: `splat eval`, `splat compare` and `splat edit`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use splat_scene::{PictureCache, View};
use splat_tch::Camera;
use splat_train::metrics::{Mean, Scores};
use tch::Device;

use super::common::{DataArgs, Split};
use super::folder::Folder;
use super::scene::LookArgs;
use super::{Hinted, say};

/// Bytes of photographs that are decoded ahead.
const AHEAD: u64 = 512 << 20;

/// Which photographs, and how scenes are rendered for them.
#[derive(Debug, clap::Args)]
pub(crate) struct ScoredArgs {
    /// Views to compare with
    #[arg(long, value_name = "SPLIT", default_value = "test")]
    pub(crate) split: Split,
    /// Write into a folder that is not empty
    #[arg(long, requires = "output")]
    overwrite: bool,
    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) dataset: DataArgs,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}

impl ScoredArgs {
    /// Opens `folder`, if one was asked for.
    pub(crate) fn output(&self, folder: Option<&PathBuf>) -> Result<Option<Folder>> {
        let hint = "choose another folder, or replace files of the same names with --overwrite";
        folder.map(|folder| Folder::open(folder, self.overwrite, hint)).transpose()
    }
}

/// The photographs of `views`, the first of which are being decoded.
pub(crate) fn photographs(views: &[View]) -> PictureCache {
    let pictures = PictureCache::new(views, AHEAD);
    pictures.prefetch(&(0..views.len()).collect::<Vec<_>>());
    pictures
}

/// The cameras of `views` on `device`.
pub(crate) fn cameras(views: &[View], device: Device) -> Result<Vec<Camera>, splat_tch::Error> {
    views.iter().map(|view| Camera::new(view.camera.clone(), device)).collect()
}

/// A warning for each view that its mask left out.
pub(crate) fn warn_of_skipped(scores: &Scores) {
    for name in &scores.skipped {
        say::warn(&format!("{name} is left out: its mask leaves no pixel"));
    }
}

/// The mean of the scores for photographs of `data`.
pub(crate) fn mean(scores: &Scores, data: &Path) -> Result<Mean> {
    scores.mean().ok_or_else(|| {
        let message = format!("{}: the masks leave no pixel of any view", data.display());
        Hinted::error(message, "masks must be white where a photograph counts: invert them")
    })
}
