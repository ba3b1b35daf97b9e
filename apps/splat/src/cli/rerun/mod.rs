//! `--rerun`: a training in the rerun viewer while it runs, or in a file for it. Behind the feature `rerun`, as the SDK
//! is some 260 packages; without it the arguments are there and say how to get it.
//!
//! `live` has the connection and the thread that feeds it, `scene` what is shown and in which frame.

#[cfg(feature = "rerun")]
mod live;
#[cfg(feature = "rerun")]
mod scene;

use std::path::PathBuf;

use anyhow::Result;

use super::Hinted;

#[cfg(feature = "rerun")]
pub(crate) use live::Live;

/// Where a training is shown.
#[derive(Debug, clap::Args)]
#[cfg_attr(feature = "rerun", command(next_help_heading = "Live viewing"))]
#[cfg_attr(
    not(feature = "rerun"),
    command(next_help_heading = "Live viewing (not in this program: build it with --features rerun)")
)]
pub(crate) struct RerunArgs {
    /// Show the training in a rerun viewer: one that listens on this machine, else a new one (the program `rerun`);
    /// with a URL, the one that listens there: --rerun=rerun+http://HOST:9876/proxy
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true)]
    rerun: Option<Option<String>>,
    /// Record the training for the rerun viewer; the file can be opened while it grows
    #[arg(long, value_name = "FILE.rrd", conflicts_with = "rerun")]
    rerun_save: Option<PathBuf>,
    /// Show the Gaussians and a held-out view every N steps
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    rerun_every: u64,
}

impl RerunArgs {
    pub(crate) fn wanted(&self) -> bool {
        self.rerun.is_some() || self.rerun_save.is_some()
    }

    /// Refuses what this program was built without: before anything is done.
    pub(crate) fn check(&self) -> Result<()> {
        if cfg!(feature = "rerun") || !self.wanted() {
            return Ok(());
        }
        Err(Hinted::error(
            "this program was built without live viewing".into(),
            "build it with that feature, in a clone of Splatwright: cargo run --release -p splat --features rerun -- train ...",
        ))
    }

    /// Steps between looks at the scene; 0: nobody looks.
    pub(crate) fn every(&self) -> u64 {
        if self.wanted() { self.rerun_every } else { 0 }
    }
}

/// Nobody, in a program without the feature.
#[cfg(not(feature = "rerun"))]
pub(crate) enum Live {}

#[cfg(not(feature = "rerun"))]
impl Live {
    pub(crate) fn open(
        args: &RerunArgs,
        _: &splat_scene::Dataset,
        _: &splat_train::Config,
        _: bool,
    ) -> Result<Option<Self>> {
        args.check().map(|()| None)
    }

    pub(crate) fn show(
        &mut self,
        _: &splat_train::Trainer,
        _: &splat_train::Event,
    ) -> Option<splat_train::Event> {
        match *self {}
    }

    pub(crate) fn finish(self) -> Option<splat_train::Event> {
        match self {}
    }
}
