//! Damaged datasets: a file of a dataset is damaged, the dataset is opened, all of its views are loaded, and the file is
//! restored.

use std::fs;
use std::path::{Path, PathBuf};

use splat_scene::{Dataset, OpenOptions, PictureCache};

use crate::damage::{Rng, damage};
use crate::datasets::{datasets, files};

pub(crate) struct Datasets {
    /// Keeps the folder.
    _dir: tempfile::TempDir,
    /// Name, files and folder of each.
    sets: Vec<(&'static str, Vec<PathBuf>, PathBuf)>,
}

impl Datasets {
    /// Writes the datasets and checks that they are sound.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sets: Vec<_> =
            datasets(dir.path()).into_iter().map(|(name, path)| (name, files(&path), path)).collect();
        for (name, _, path) in &sets {
            let d = Dataset::open(path, &OpenOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
            d.views.iter().for_each(|v| drop(v.load().unwrap_or_else(|e| panic!("{name}: {e}"))));
        }
        Self { _dir: dir, sets }
    }

    pub(crate) fn damaged(&self, case: usize, rng: &mut Rng, figures: &mut crate::Figures) {
        let (name, files, path) = &self.sets[case % self.sets.len()];
        // Half of the damage goes to the files that describe the others.
        let described = |p: &&PathBuf| {
            p.extension().is_none_or(|e| !["jpg", "png", "tif", "bmp", "webp"].contains(&e.to_str().unwrap()))
        };
        let describing: Vec<_> = files.iter().filter(described).collect();
        let file = if rng.below(2) == 0 {
            describing[rng.below(describing.len())]
        } else {
            &files[rng.below(files.len())]
        };
        let whole = fs::read(file).unwrap();
        let mut bytes = whole.clone();
        let text = file
            .extension()
            .is_none_or(|e| ["txt", "json", "ply", "xml", "csv"].contains(&e.to_str().unwrap()));
        damage(&mut bytes, text, rng);
        fs::write(file, &bytes).unwrap();
        let what = || format!("{name}, case {case}: {} damaged to {} bytes", file.display(), bytes.len());
        figures.count(|| try_all(path, case.is_multiple_of(5)), what);
        fs::write(file, &whole).unwrap();
    }
}

/// Opens a dataset and loads all of its views through a small cache. Returns whether it opened and how many views could
/// not be loaded; panics if the result is inconsistent or an error names no file.
fn try_all(path: &Path, strict: bool) -> (bool, usize) {
    let folder = path.to_str().unwrap();
    let d = match Dataset::open(path, &OpenOptions { strict, ..OpenOptions::default() }) {
        Ok(d) => d,
        Err(error) => {
            assert!(error.to_string().contains(folder), "no file is named: {error}");
            return (false, 0);
        }
    };
    assert!(!d.train.is_empty() && d.scene_extent.is_finite() && d.scene_extent > 0.0);
    assert!(d.points.iter().all(|p| p.position.iter().all(|x| x.is_finite())));
    let cache = PictureCache::with_threads(&d.views, 4096, 1);
    cache.prefetch(&(0..d.views.len()).collect::<Vec<_>>());
    let mut unloadable = 0;
    for (i, view) in d.views.iter().enumerate() {
        match cache.get(i) {
            Ok(picture) => {
                let pixels = view.camera.width as usize * view.camera.height as usize;
                assert_eq!(picture.photo.pixels.len(), pixels * usize::from(picture.photo.channels));
                assert!(picture.mask.as_ref().is_none_or(|m| m.len() == pixels));
                let known = |d: &Vec<f32>| d.len() == pixels && d.iter().all(|x| x.is_finite() && *x >= 0.0);
                assert!(picture.inv_depth.as_ref().is_none_or(known));
            }
            Err(error) => {
                unloadable += 1;
                assert!(error.to_string().contains(folder), "no file is named: {error}");
            }
        }
    }
    let _ = d.up();
    drop(d.plausibility());
    assert_eq!(d.fingerprint().len(), 32);
    (true, unloadable)
}
