//! Datasets: posed photographs, ready to train on.
//!
//! - `formats`: the table of dataset formats. **Start there to add one**; each format has a module of its own
//!   ([`colmap`], `transforms`, `opencv_cameras`, `polycam`, `record3d`, `metashape`,
//!   `realityscan`) that reads into a `capture::Capture`. `keys` is the table of what these formats can say and of what is made
//!   of it; `text` forgives encodings.
//! - `assemble`: from a `Capture` to a [`Dataset`]: photographs found and measured (`photos`, `find`), an origin chosen,
//!   cameras scaled to the size that is read, masks and depth maps matched (`companions`), views split (`split`).
//! - `plausibility`: whether cameras and points go together.
//! - `poses`: pose conventions. [`cameras_json`]: the pose files that 3DGS trainers write.
//!
//! World coordinates and units are those of the dataset; cameras are world-to-camera with OpenCV axes. Photographs are
//! found and measured here, but decoded only by [`View::load`].

mod assemble;
pub mod cameras_json;
mod capture;
pub mod colmap;
mod companions;
mod find;
mod formats;
mod frame;
mod keys;
mod metashape;
mod opencv_cameras;
pub(crate) mod photos;
mod plausibility;
mod polycam;
mod poses;
mod realityscan;
mod record3d;
mod split;
mod text;
mod transforms;

pub use plausibility::{Finding, Plausibility};

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use splat_core::Camera;

use crate::image::picture::Recipe;
use crate::{Origin, Result};

/// How to open a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOptions {
    /// Read photographs at 1/N of the size that the poses were computed at. `None`: the largest photographs found.
    pub downscale: Option<u32>,
    /// The folder of the photographs, if it is not `images` or `images_N` beside the poses.
    pub images: Option<PathBuf>,
    /// The folder of the masks, if it is not `masks` and the dataset does not name it.
    pub masks: Option<PathBuf>,
    /// The folder of the depth maps, if it is not `depths` and the dataset does not name it.
    pub depths: Option<PathBuf>,
    /// Every N-th view, in the order of names, is held out unless the dataset has a split of its own; 0 holds out
    /// none.
    pub test_every: u32,
    /// The names of the views to hold out, with or without extension. If given, nothing else decides about the split.
    pub test_list: Option<Vec<String>>,
    /// Whether missing photographs and frames without a usable camera are an error rather than a warning.
    pub strict: bool,
}

impl Default for OpenOptions {
    /// The largest photographs, every 8th view held out, warnings about missing photographs.
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

/// A photograph and its camera.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct View {
    /// Its name in the dataset.
    pub name: String,
    /// The file of the photograph.
    pub path: PathBuf,
    /// The camera at the size that [`View::load`] returns.
    pub camera: Camera,
    /// The camera's centre in local coordinates ([`Dataset::origin`]).
    pub center: [f64; 3],
    /// The file of its mask: black where the photograph is to be ignored.
    pub mask: Option<PathBuf>,
    /// The file of its depth map.
    pub depth: Option<PathBuf>,
    /// How the pixels of the file become those of the view.
    pub(crate) recipe: Recipe,
}

/// A coloured point of the sparse reconstruction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    /// Local coordinates ([`Dataset::origin`]).
    pub position: [f32; 3],
    /// RGB, 0 to 255.
    pub color: [u8; 3],
}

/// Views, points and what training needs to know about them. The default is empty, with an extent of 0.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    /// The format and where in the folder it was found, e.g. `COLMAP, sparse/0`.
    pub source: String,
    /// Sorted by name.
    pub views: Vec<View>,
    /// Indices of the views to train on.
    pub train: Vec<usize>,
    /// Indices of the held-out views.
    pub test: Vec<usize>,
    /// Where the local coordinates of cameras and points lie in the world: zero unless the dataset is far from the
    /// world's origin, as georeferenced ones are.
    pub origin: Origin,
    /// The points of the sparse reconstruction.
    pub points: Vec<Point>,
    /// 1.1 times the largest distance between a training camera's centre and the mean of these centres, in world units; 1 if
    /// all coincide. Cameras more than 1000 times farther out than half of the cameras are not counted.
    pub scene_extent: f64,
    /// How far the points are from where the photographs observed them; `None` where the dataset does not say where that is.
    pub reprojection: Option<colmap::Reprojection>,
    /// What was left out, or done differently from what was asked; one sentence per warning.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// Opens the dataset in the folder `path`. The first of these formats that is found is read:
    /// - COLMAP, binary or text, any perspective camera model: in `sparse/0`, `sparse/1`, ..., `sparse` or `path` itself,
    ///   whichever has the most images (or, tried last, in `colmap/...`), with the photographs in `images` or `images_N`
    ///   in `path` (or up to two folders above the model), or else beside the model or in another folder of `path`;
    /// - nerfstudio and instant-ngp: `transforms.json` (`path` may also be the file itself);
    /// - NeRF-synthetic: `transforms_train.json`, with `transforms_test.json` as the held-out views;
    /// - `opencv_cameras.json`: world-to-camera matrices;
    /// - Polycam's raw data: `keyframes/cameras`;
    /// - Metashape: an `.xml` file of cameras;
    /// - RealityScan: a `.csv` file of "Internal/External camera parameters";
    /// - Record3D's captures: `metadata` beside `rgbd`.
    ///
    /// Masks and depth maps are those that the dataset names, or else those in `masks` and `depths`. Names may differ in
    /// case and Unicode form. A dataset far from the world's origin is read in `f64` and shifted to an
    /// [`origin`](Self::origin) of its own. Frames without a usable pose or intrinsics are left out with a warning.
    ///
    /// # Errors
    /// No known dataset; a damaged file; poses that are no rotations; frames without a usable camera, if there are no
    /// others or `options.strict` is set; a photograph whose aspect ratio is not its camera's, or a
    /// mask or depth map whose aspect ratio is not its photograph's; missing photographs, if all are missing or
    /// `options.strict` is set. [`Error::remedy`](crate::Error::remedy) names the option that helps.
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self> {
        assemble::assemble(formats::open(path.as_ref(), options)?, options)
    }

    /// The upward direction in world coordinates, a unit vector: the mean of the cameras' upward directions, as people
    /// hold cameras upright. If these cancel out, it is the negative y axis of the world.
    #[must_use]
    pub fn up(&self) -> [f64; 3] {
        let mut sum = [0.0; 3];
        for view in &self.views {
            // The second row of the rotation is the camera's y axis, which points down.
            (0..3).for_each(|k| sum[k] -= f64::from(view.camera.view[4 * k + 1]));
        }
        let mean = sum.map(|x| x / self.views.len().max(1) as f64);
        let length = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length > 1e-6 && length.is_finite() { mean.map(|x| x / length) } else { [0.0, -1.0, 0.0] }
    }

    /// A hash, as 32 hexadecimal digits, of what a trained scene depends on: the names, cameras and split of the views, and
    /// the origin of their coordinates.
    /// Neither the contents nor the location of the photographs enters it.
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
        if !self.origin.is_zero() {
            self.origin.offset.iter().for_each(|x| hash.update(x.to_le_bytes()));
        }
        for split in [&self.train, &self.test] {
            hash.update((split.len() as u64).to_le_bytes());
            split.iter().for_each(|&i| hash.update((i as u64).to_le_bytes()));
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
