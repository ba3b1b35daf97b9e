//! What a training left beside its scene: how the dataset was opened, how the scene is meant to be rendered, its cameras.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use splat_scene::{Dataset, cameras_json};

use super::common::DataArgs;
use super::scene::Color;

/// A training that is over. Everything in it may be missing: scenes are moved, and other programs leave other files.
#[derive(Debug, Default)]
pub(crate) struct Past {
    folder: PathBuf,
    stats: Value,
}

impl Past {
    /// The training that made the scene file `scene`.
    pub(crate) fn beside(scene: &Path) -> Self {
        let folder = if scene.is_dir() { scene } else { scene.parent().unwrap_or(Path::new("")) };
        // The original trainer: OUT/point_cloud/iteration_7000/point_cloud.ply.
        let of_original = folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("iteration_"))
            .then(|| folder.parent().and_then(Path::parent))
            .flatten();
        let folder = of_original.unwrap_or(folder).to_owned();
        let stats = splat_scene::read_file(&folder.join("stats.json")).unwrap_or_default();
        Self { stats: serde_json::from_slice(&stats).unwrap_or_default(), folder }
    }

    fn get<T: for<'a> Deserialize<'a>>(&self, place: &str) -> Option<T> {
        T::deserialize(self.stats.pointer(place)?).ok()
    }

    pub(crate) fn background(&self) -> Option<Color> {
        self.get("/config/background")
    }

    pub(crate) fn antialiasing(&self) -> Option<bool> {
        self.get("/config/antialiasing")
    }

    /// The folder of the dataset.
    pub(crate) fn data(&self) -> Option<PathBuf> {
        self.get("/run/data")
    }

    /// How the dataset was opened.
    pub(crate) fn views(&self) -> Option<DataArgs> {
        self.get("/run/views")
    }

    /// The fingerprint of the dataset.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        self.get("/data/fingerprint")
    }

    /// Steps, and the last PSNR of the held-out views.
    pub(crate) fn result(&self) -> Option<(u64, Option<f64>)> {
        Some((self.get("/steps")?, self.get("/final/psnr")))
    }

    /// `cameras.json`, if it is there.
    pub(crate) fn cameras(&self) -> Option<PathBuf> {
        Some(self.folder.join("cameras.json")).filter(|path| path.is_file())
    }

    /// A warning if the scene was not trained on `dataset`, of which `evaluated` views are looked at; nothing if that is
    /// unknown. Another size or another split of the same views is the same dataset.
    pub(crate) fn doubt(&self, dataset: &Dataset, evaluated: &[usize]) -> Option<String> {
        if self.fingerprint()? == dataset.fingerprint() {
            return None;
        }
        let cameras = cameras_json::read(self.cameras()?).ok()?;
        let near = 1e-3 * dataset.scene_extent;
        let known = |&i: &usize| {
            let view = &dataset.views[i];
            cameras.iter().any(|entry| {
                let [there, here] = [entry.origin, dataset.origin].map(|origin| origin.offset);
                let apart =
                    |k: usize| f64::from(entry.camera.campos[k]) + there[k] - view.center[k] - here[k];
                entry.name == view.name && (0..3).map(|k| apart(k).powi(2)).sum::<f64>().sqrt() <= near
            })
        };
        let strangers = evaluated.iter().filter(|i| !known(i)).count();
        if strangers > 0 {
            let of = evaluated.len();
            return Some(format!(
                "{strangers} of {of} views are not among those that this scene was trained with: is it the dataset of {}?",
                self.data()
                    .map_or_else(|| self.folder.display().to_string(), |data| data.display().to_string())
            ));
        }
        let held_out: Vec<String> = self.get("/data/test")?;
        let trained = evaluated.iter().filter(|&&i| !held_out.contains(&dataset.views[i].name)).count();
        (trained > 0 && evaluated.iter().all(|i| dataset.test.contains(i))).then(|| {
            let of = evaluated.len();
            format!("{trained} of {of} held-out views were trained on: the training held out other views")
        })
    }
}
