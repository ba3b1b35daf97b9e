//! A captured scene, ready to train on: views with cameras at the size they are read at, and points.
//!
//! World coordinates and units are the dataset's. Photographs are found and measured here but decoded
//! only by [`View::load`].

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use splat_core::Camera;

use crate::picture::Recipe;
use crate::{Result, assemble, capture};

/// How to open a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Train at 1/N of the size the poses were computed at. None: the largest photographs there are.
    pub downscale: Option<u32>,
    /// The folder of photographs, where it is not `images` or `images_N` beside the poses.
    pub images: Option<PathBuf>,
    /// The folder of masks, where it is not `masks` or named by the dataset.
    pub masks: Option<PathBuf>,
    /// The folder of depth maps, where it is not `depths` or named by the dataset.
    pub depths: Option<PathBuf>,
    /// Every N-th view, by name, is held out where the dataset has no split of its own; 0 holds out none.
    pub test_every: u32,
    /// The names of the views to hold out, with or without extension; decides alone where given.
    pub test_list: Option<Vec<String>>,
    /// Whether missing photographs are an error instead of a warning.
    pub strict: bool,
}

impl Default for Options {
    /// The largest photographs, every 8th view held out, missing photographs warned about.
    fn default() -> Self {
        Self {
            downscale: None,
            images: None,
            masks: None,
            depths: None,
            test_every: 8,
            test_list: None,
            strict: false,
        }
    }
}

/// One photograph and its camera.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Its name in the dataset.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The camera, at the size that [`View::load`] returns.
    pub camera: Camera,
    /// Camera centre, world coordinates.
    pub center: [f64; 3],
    /// The file of its mask: black where the photograph is to be ignored.
    pub mask: Option<PathBuf>,
    /// The file of its depth map.
    pub depth: Option<PathBuf>,
    /// How the file's pixels become those of the view.
    pub(crate) recipe: Recipe,
}

/// A coloured point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// World coordinates.
    pub position: [f32; 3],
    /// RGB.
    pub color: [u8; 3],
}

/// Views, points and what training needs to know about them.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The format and where in the folder it was found: `COLMAP, sparse/0`.
    pub source: String,
    /// Sorted by name.
    pub views: Vec<View>,
    /// Indices of the views to train on.
    pub train: Vec<usize>,
    /// Indices of the views held out.
    pub test: Vec<usize>,
    /// The sparse reconstruction.
    pub points: Vec<Point>,
    /// 1.1 x the largest distance of a training camera's centre from the mean of them; 1 if all coincide. Cameras
    /// that are over 1000 times farther out than half of the cameras do not count.
    pub scene_extent: f64,
    /// What was left out or done differently from what was asked, one sentence each.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// Opens the dataset in the folder `path`; the first of these that is there:
    /// - COLMAP, binary or text, any perspective camera model: in `sparse/0`, `sparse` or `path` itself (or
    ///   `colmap/...`, last of all), photographs in `images` or `images_N` in `path` (or up to two folders
    ///   above the model);
    /// - nerfstudio and instant-ngp, `transforms.json` (or the file itself as `path`);
    /// - NeRF-synthetic, `transforms_train.json`, with `transforms_test.json` as the held-out views;
    /// - `opencv_cameras.json`, world-to-camera matrices;
    /// - Polycam's raw data, `keyframes/cameras`.
    ///
    /// Masks and depth maps are taken from where the dataset names them, or from `masks` and `depths`.
    ///
    /// # Errors
    /// No known dataset; a damaged file; a camera that cannot be; a photograph of another shape than its
    /// camera, or a mask than its photograph; missing photographs, if all are missing or `options.strict`.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        assemble::assemble(capture::open(path, options)?, options)
    }

    /// 32 hexadecimal digits of a hash of what a trained scene depends on: the names, cameras and split of
    /// the views. Not of the photographs, nor of where they lie.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for view in &self.views {
            hash.update((view.name.len() as u64).to_le_bytes());
            hash.update(&view.name);
            hash.update(view.camera.width.to_le_bytes());
            hash.update(view.camera.height.to_le_bytes());
            view.camera.view.iter().chain(&view.camera.proj).for_each(|x| hash.update(x.to_le_bytes()));
        }
        for split in [&self.train, &self.test] {
            hash.update((split.len() as u64).to_le_bytes());
            split.iter().for_each(|&i| hash.update((i as u64).to_le_bytes()));
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
