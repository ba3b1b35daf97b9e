//! What the reader of every format returns: names, intrinsics, poses and points, before any photograph is looked for.

use std::path::PathBuf;

use super::colmap::Reprojection;
use super::photos;
use super::poses::Pose;
use crate::image::depth::Meaning;
use crate::image::lens::Lens;

/// A photograph that a dataset lists, and its camera.
#[derive(Debug)]
pub(crate) struct Posed {
    /// Relative to [`Capture::photos`].
    pub(crate) name: String,
    pub(crate) intrinsics: Intrinsics,
    pub(crate) lens: Option<Lens>,
    pub(crate) pose: Pose,
    /// The dataset's own split, if it has one.
    pub(crate) held_out: Option<bool>,
    /// The mask that the dataset names for this view.
    pub(crate) mask: Option<PathBuf>,
    /// The depth map that the dataset names for this view, and what its numbers mean.
    pub(crate) depth: Option<(PathBuf, Meaning)>,
}

impl Posed {
    /// A view without distortion, of whose split, mask and depth map the dataset says nothing.
    pub(crate) fn new(name: String, intrinsics: Intrinsics, pose: Pose) -> Self {
        Self { name, intrinsics, lens: None, pose, held_out: None, mask: None, depth: None }
    }
}

/// A frame that is left out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Broken {
    /// The name of its photograph, or its place in the file.
    pub(crate) name: String,
    /// What was found and what was expected.
    pub(crate) message: String,
    /// The name of its lens model, if that is what is wrong.
    pub(crate) model: Option<String>,
}

impl Broken {
    pub(crate) fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into(), model: None }
    }

    /// A frame whose camera has a lens model that is not supported.
    pub(crate) fn with_model(name: impl Into<String>, model: String) -> Self {
        let message = format!("its camera has the model {model}, which is not supported");
        Self { model: Some(model), ..Self::new(name, message) }
    }
}

/// A point in world coordinates, as precise as the file has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WorldPoint {
    pub(crate) position: [f64; 3],
    /// RGB, 0 to 255.
    pub(crate) color: [u8; 3],
}

/// Intrinsics, as far as the format states them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Intrinsics {
    /// Width and height in pixels of the image that the other values are for; `None`: those of the file.
    pub(crate) size: Option<(u64, u64)>,
    /// In pixels.
    pub(crate) focal: [Option<f64>; 2],
    /// In pixels; `None`: the middle of the image.
    pub(crate) center: [Option<f64>; 2],
    /// Fields of view in radians, used where there is no focal length.
    pub(crate) angle: [Option<f64>; 2],
    /// The focal length, and how far the principal point is to the right of the image's middle and below it, as shares of
    /// the image's longer side; used where nothing is given in pixels.
    pub(crate) film: Option<[f64; 3]>,
}

impl Intrinsics {
    /// Everything is known: `fx fy cx cy` for an image of `size`.
    pub(crate) fn known(size: (u64, u64), [fx, fy, cx, cy]: [f64; 4]) -> Self {
        Self {
            size: Some(size),
            focal: [Some(fx), Some(fy)],
            center: [Some(cx), Some(cy)],
            ..Self::default()
        }
    }

    /// The image size they are for and `fx fy cx cy` at that size, for a file of `file` pixels. The error says what
    /// is wrong with them.
    pub(crate) fn resolve(&self, file: (u32, u32)) -> Result<((u64, u64), [f64; 4]), String> {
        let size = self.size.unwrap_or((file.0.into(), file.1.into()));
        let sides = [size.0 as f64, size.1 as f64];
        let film = self.film.map(|film| film.map(|share| share * sides[0].max(sides[1])));
        let focal = |k: usize| {
            let of_angle = || self.angle[k].map(|angle| 0.5 * sides[k] / (0.5 * angle).tan());
            self.focal[k].or_else(of_angle).or(film.map(|film| film[0]))
        };
        // Pixels are taken to be square if only one focal length is given.
        let (Some(fx), Some(fy)) = (focal(0).or(focal(1)), focal(1).or(focal(0))) else {
            return Err("neither a focal length nor an angle of view is given".into());
        };
        let [cx, cy] =
            [0, 1].map(|k| self.center[k].unwrap_or(0.5 * sides[k] + film.map_or(0.0, |film| film[k + 1])));
        if !(fx.is_finite() && fy.is_finite() && fx > 0.0 && fy > 0.0) {
            return Err(format!("the focal lengths are {fx} and {fy}, expected finite numbers above 0"));
        }
        if !(cx.is_finite() && cy.is_finite()) {
            return Err(format!("the principal point is {cx}, {cy}, expected finite numbers"));
        }
        Ok((size, [fx, fy, cx, cy]))
    }
}

/// A dataset as its files describe it.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The format and where it was found, e.g. `COLMAP, sparse/0`.
    pub(crate) source: String,
    /// The folder that masks and depth maps are looked for in.
    pub(crate) root: PathBuf,
    /// The file that the poses come from, for messages.
    pub(crate) file: PathBuf,
    pub(crate) posed: Vec<Posed>,
    /// Frames that have no usable camera.
    pub(crate) broken: Vec<Broken>,
    /// Names of frames that the dataset itself leaves out.
    pub(crate) unused: Vec<String>,
    pub(crate) points: Vec<WorldPoint>,
    pub(crate) photos: photos::Folder,
    pub(crate) warnings: Vec<String>,
    /// How far the points are from where the photographs observed them, where the dataset says where that is.
    pub(crate) reprojection: Option<Reprojection>,
}
