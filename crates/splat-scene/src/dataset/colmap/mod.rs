//! COLMAP sparse models: `cameras`, `images` and `points3D`, binary or text.
//!
//! Poses are world-to-camera with OpenCV axes. Intrinsics are in pixels of the images that COLMAP saw, with the upper
//! left corner of the upper left pixel at (0, 0). The files `rigs` and `frames` of COLMAP 3.12 and later are not needed
//! and not read: `images` repeats the pose that they give each image. This module does not look for photographs;
//! [`Dataset::open`](crate::Dataset::open) does.

mod binary;
pub(crate) mod capture;
mod models;
mod reprojection;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::find::Finder;
use super::poses::{FARTHEST, usable};
use super::text::decode;
use crate::image::lens::{CameraModel, Lens};
use crate::{Error, Result, files};

pub use binary::{parse_cameras, parse_images, parse_points};
pub use models::find;
pub use reprojection::{Reading, Reprojection};
pub use text::{parse_cameras_text, parse_images_text, parse_points_text};

/// A camera as COLMAP has it: intrinsics without a pose. Several images may share one.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Camera {
    /// Width in pixels of the images that COLMAP saw.
    pub width: u64,
    /// Height in pixels of the images that COLMAP saw.
    pub height: u64,
    /// `fx fy cx cy` in pixels.
    pub intrinsics: [f64; 4],
    /// The lens distortion; `None` for a pinhole.
    pub lens: Option<Lens>,
}

/// A camera that cannot be used, and why.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BadCamera {
    /// Its photographs cannot be undistorted to those of a pinhole, or its model is unknown: the model's name or number.
    Model(String),
    /// Its numbers make no camera: what was found and what was expected.
    Numbers(String),
}

/// Cameras by id.
pub type Cameras = BTreeMap<u32, Result<Camera, BadCamera>>;

/// What a file of a model holds, and what is wrong with parts of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Parsed<T> {
    /// The records.
    pub records: T,
    /// The records that cannot be read: the name of each (of its photograph, or its line) and what is wrong with it.
    pub left_out: Vec<(String, String)>,
    /// What else is odd about the file, a sentence each.
    pub warnings: Vec<String>,
}

/// A registered photograph and its pose, `x_camera = rotation * x_world + translation`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Image {
    /// COLMAP's image id.
    pub id: u32,
    /// Unit quaternion, wxyz, world to camera; as found in the file if it has no length, which may be NaN.
    pub rotation: [f64; 4],
    /// World to camera, world units; as found in the file, which may be NaN.
    pub translation: [f64; 3],
    /// The key of its camera in [`Model::cameras`].
    pub camera: u32,
    /// File name, relative to the image folder.
    pub name: String,
    /// Key points `(x, y, point id or -1)`, in pixels; empty if read with [`Tracks::Skip`].
    pub observations: Vec<(f64, f64, i64)>,
}

/// A point of the sparse reconstruction.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Point3d {
    /// COLMAP's point id.
    pub id: u64,
    /// World coordinates as found in the file; they may be NaN.
    pub position: [f64; 3],
    /// RGB, 0 to 255.
    pub color: [u8; 3],
    /// `(image id, index into its observations)`; empty if read with [`Tracks::Skip`].
    pub track: Vec<(u32, u32)>,
}

/// Whether observations and tracks are kept. Training needs neither, and they are most of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracks {
    /// Check them, but do not keep them.
    Skip,
    /// Keep the first element of each track, and of the observations that name a point at most 32 of each image, evenly
    /// spread.
    Sample,
    /// Keep them.
    Keep,
}

/// A sparse reconstruction.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Model {
    /// Cameras by id.
    pub cameras: Cameras,
    /// Images in file order.
    pub images: Vec<Image>,
    /// Points in file order.
    pub points: Vec<Point3d>,
    /// Images that cannot be read: the name of each, or its line, and what is wrong with it.
    pub left_out: Vec<(String, String)>,
    /// What else is odd, a sentence each.
    pub warnings: Vec<String>,
}

/// `cameras`, `images` or `points3D` of the model in `folder`, as [`read`] reads it, by any case of its name: all binary or
/// all text if both `cameras` and `images` are there, else whichever there is.
pub(crate) fn file(folder: &Path, name: &str) -> PathBuf {
    let finder = Finder::default();
    let find = |name: &str, kind: &str| finder.file(folder, &format!("{name}.{kind}"));
    let whole = |kind: &str| find("cameras", kind).is_some() && find("images", kind).is_some();
    let kinds = if !whole("bin") && whole("txt") { ["txt", "bin"] } else { ["bin", "txt"] };
    let usual = kinds.iter().find(|kind| find("cameras", kind).is_some()).unwrap_or(&kinds[0]);
    let found = kinds.iter().find_map(|kind| find(name, kind));
    found.unwrap_or_else(|| folder.join(format!("{name}.{usual}")))
}

/// Reads the model in `folder`; the binary files if both kinds exist. Without a file of points the model has none.
/// Text may be in any encoding.
///
/// # Errors
/// A truncated or missing file (that of points may be missing), or a binary one with impossible counts. Cameras, images and
/// points that cannot be used are no error; see [`Model`] and [`Image`].
pub fn read(folder: impl AsRef<Path>, tracks: Tracks) -> Result<Model> {
    let folder = folder.as_ref();
    let [cameras_at, images_at, points_at] = ["cameras", "images", "points3D"].map(|name| file(folder, name));
    let missing: Vec<_> = [&cameras_at, &images_at]
        .into_iter()
        .filter(|p| !p.is_file())
        .map(|p| p.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    if !missing.is_empty() {
        return Err(Error::NotADataset {
            path: folder.into(),
            message: format!("a COLMAP model without {}", missing.join(" and ")),
            hint: "copy or export the whole model: cameras, images and points3D belong together",
        });
    }
    let is_binary = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("bin"));
    let bytes = files::read;
    let (cameras, images) = (bytes(&cameras_at)?, bytes(&images_at)?);
    let cameras = if is_binary(&cameras_at) {
        parse_cameras(&cameras_at, &cameras)?
    } else {
        parse_cameras_text(&decode(&cameras))
    };
    let images = if is_binary(&images_at) {
        parse_images(&images_at, &images, tracks)?
    } else {
        parse_images_text(&decode(&images), tracks)
    };
    let no_points = |warnings| Parsed { records: Vec::new(), left_out: Vec::new(), warnings };
    let points = if !points_at.is_file() {
        no_points(Vec::new())
    } else if is_binary(&points_at) && fs_err::metadata(&points_at)?.len() == 0 {
        no_points(vec!["the file is empty: no points".into()])
    } else if is_binary(&points_at) {
        parse_points(&points_at, &bytes(&points_at)?, tracks)?
    } else {
        parse_points_text(&decode(&bytes(&points_at)?), tracks)
    };
    let mut warnings = Vec::new();
    for (path, odd) in
        [(&cameras_at, cameras.warnings), (&images_at, images.warnings), (&points_at, points.warnings)]
    {
        let more =
            if odd.len() > 1 { format!("; and {} more like it", odd.len() - 1) } else { String::new() };
        warnings.extend(odd.first().map(|first| format!("{}: {first}{more}", path.display())));
    }
    for (path, what, left_out) in
        [(&cameras_at, "cameras", &cameras.left_out), (&points_at, "points", &points.left_out)]
    {
        if let Some((line, message)) = left_out.first() {
            let n = left_out.len();
            let path = path.display();
            warnings.push(format!(
                "{path}: {n} {what} cannot be read and are left out; the first is {line}: {message}"
            ));
        }
    }
    Ok(Model {
        cameras: cameras.records,
        images: images.records,
        points: points.records,
        left_out: images.left_out,
        warnings,
    })
}

/// A unit quaternion, wxyz, as a row-major matrix.
fn rotation_matrix([w, x, y, z]: [f64; 4]) -> [[f64; 3]; 3] {
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

impl Image {
    /// [`Image::rotation`] as a row-major matrix.
    #[must_use]
    pub fn rotation_matrix(&self) -> [[f64; 3]; 3] {
        rotation_matrix(self.rotation)
    }

    /// What is wrong with the pose, if it is none.
    pub(crate) fn fault(&self) -> Option<String> {
        let norm = self.rotation.iter().map(|x| x * x).sum::<f64>();
        if (norm - 1.0).abs() > 1e-6 || norm.is_nan() {
            return Some(format!(
                "the rotation quaternion is {:?}, expected finite numbers that are not all 0",
                self.rotation
            ));
        }
        if self.translation.iter().any(|&x| !usable(x)) {
            return Some(format!(
                "the translation is {:?}, expected finite numbers up to {FARTHEST:e}",
                self.translation
            ));
        }
        None
    }

    /// The camera's centre in world coordinates: `-R^T t`.
    #[must_use]
    pub fn center(&self) -> [f64; 3] {
        let r = self.rotation_matrix();
        std::array::from_fn(|c| -(0..3).map(|k| r[k][c] * self.translation[k]).sum::<f64>())
    }
}

/// A camera from the numbers in its file.
fn camera(width: u64, height: u64, model: CameraModel, numbers: &[f64]) -> Result<Camera, BadCamera> {
    // Far above any sensor, and far below sizes at which pixel arithmetic could overflow.
    const LARGEST: u64 = 1 << 20;
    if !(1..=LARGEST).contains(&width) || !(1..=LARGEST).contains(&height) {
        return Err(BadCamera::Numbers(format!(
            "its size is {width}x{height}, expected 1 to {LARGEST} pixels each way"
        )));
    }
    let (intrinsics, lens) = model.camera(numbers).map_err(BadCamera::Numbers)?;
    Ok(Camera { width, height, intrinsics, lens })
}

/// At most 32 of `all`, evenly spread.
fn sample<T>(all: impl ExactSizeIterator<Item = T>) -> impl Iterator<Item = T> {
    const MOST: usize = 32;
    let step = all.len().div_ceil(MOST).max(1);
    all.step_by(step)
}

/// Adds a camera. If there is another one with its id, neither can be trusted.
fn insert(cameras: &mut Cameras, id: u32, camera: Result<Camera, BadCamera>) {
    if let Some(other) = cameras.insert(id, camera.clone())
        && other != camera
    {
        cameras.insert(id, Err(BadCamera::Numbers("its id appears twice, with different numbers".into())));
    }
}

/// The unit quaternion and the translation. Numbers that are no pose stay as they are.
fn pose(q: [f64; 4], t: [f64; 3]) -> ([f64; 4], [f64; 3]) {
    let norm = q.iter().map(|x| x * x).sum::<f64>().sqrt();
    if norm.is_finite() && norm > 1e-6 { (q.map(|x| x / norm), t) } else { (q, t) }
}
