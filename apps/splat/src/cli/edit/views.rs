//! What the views of a dataset say about a scene that is edited: what each Gaussian contributes, and how close renders are to
//! held-out photographs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use splat_scene::{Dataset, Gaussians, View};
use splat_tch::{Camera, Settings};
use splat_train::metrics::{Contributions, Evaluator, Truth};

use crate::cli::Hinted;
use crate::cli::bar::Bar;
use crate::cli::common::DataArgs;
use crate::cli::events::EventArgs;
use crate::cli::scene::{LookArgs, Scene};
use crate::cli::scored;

/// What leaving out Gaussians cost.
#[derive(Debug)]
pub(super) struct Cost {
    /// Mean PSNR, dB.
    pub(super) before: f64,
    pub(super) after: f64,
    pub(super) views: usize,
    pub(super) split: &'static str,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { before, after, views, split } = self;
        let apart = after - before;
        write!(f, "PSNR of {views} {split} views: {before:.2} -> {after:.2} dB ({apart:+.2})")
    }
}

/// A dataset, and how scenes are rendered for it.
pub(super) struct Views<'a> {
    dataset: Dataset,
    path: &'a Path,
    look: &'a LookArgs,
    /// The file that says how the scene is meant to be rendered.
    scene: PathBuf,
    quiet: bool,
    events: EventArgs,
}

impl<'a> Views<'a> {
    pub(super) fn open(
        path: &'a Path,
        args: &DataArgs,
        look: &'a LookArgs,
        scene: &Path,
        quiet: bool,
        events: EventArgs,
    ) -> Result<Self> {
        Ok(Self { dataset: args.open(path)?, path, look, scene: scene.into(), quiet, events })
    }

    /// The number of views.
    pub(super) fn len(&self) -> usize {
        self.dataset.views.len()
    }

    fn scene(&self, g: &Gaussians) -> Result<Scene> {
        Scene::of(self.scene.clone(), g.clone(), self.look, Some(self.dataset.origin))
    }

    /// What each Gaussian contributes to all views.
    pub(super) fn contributions(&self, g: &Gaussians) -> Result<Contributions> {
        let scene = self.scene(g)?;
        let device = scene.backend.device();
        let cameras = self.dataset.views.iter().map(|v| Ok(Camera::new(v.camera.clone(), device)?));
        let mut bar = Bar::new(self.len() as u64, self.quiet).telling(self.events, "contributions");
        let settings = Settings { background: scene.background.into(), ..scene.settings };
        let found = Contributions::of(&scene.frozen.scene(), cameras, settings, &mut |done| {
            bar.show(done, &["contributions"]);
        })?;
        bar.clear();
        if found.sums.len() != g.len() {
            let (n, of) = (found.sums.len(), g.len());
            let message =
                format!("{}: {of} Gaussians, but {n} of them could be rendered", self.path.display());
            return Err(Hinted::error(message, "remove those that cannot: --huge=1e6"));
        }
        Ok(found)
    }

    /// The views whose photographs are compared with: those that were held out, if any were.
    fn compared(&self) -> (Vec<View>, &'static str) {
        let (indices, split) = match self.dataset.test.as_slice() {
            [] => (&self.dataset.train, "training"),
            _ => (&self.dataset.test, "held-out"),
        };
        (indices.iter().map(|&i| self.dataset.views[i].clone()).collect(), split)
    }

    /// The mean PSNR over the compared views, dB.
    pub(super) fn psnr(&self, g: &Gaussians) -> Result<f64> {
        let scene = self.scene(g)?;
        let (views, _) = self.compared();
        let pictures = scored::photographs(&views);
        let cameras = scored::cameras(&views, scene.backend.device())?;
        let named: Vec<(&str, &Camera)> = views.iter().map(|v| v.name.as_str()).zip(&cameras).collect();
        let mut bar = Bar::new(views.len() as u64, self.quiet).telling(self.events, "PSNR");
        let mut done = 0;
        let scores = Evaluator::default().run(
            &scene.frozen.scene(),
            &scene.settings,
            &named,
            &mut |i| Truth::new(&*pictures.get(i)?, scene.background, &scene.backend),
            &mut |_, _, _| {
                done += 1;
                bar.show(done, &["PSNR"]);
                Ok::<_, splat_train::Error>(())
            },
        )?;
        bar.clear();
        Ok(scored::mean(&scores, self.path)?.psnr)
    }

    pub(super) fn cost(&self, before: f64, after: f64) -> Cost {
        let (views, split) = self.compared();
        Cost { before, after, views: views.len(), split }
    }
}
