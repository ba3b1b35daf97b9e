//! What a training step needs from a view: the photograph, its mask and its inverse depths, all at the size of
//! [`View::camera`].

use std::path::Path;

use image::metadata::Orientation;

use super::depth::{self, Meaning};
use super::photo;
use super::warp::{Warp, Warped};
use crate::dataset::photos;
use crate::{Error, Photo, Result, View};

/// The photograph of a view and what is known about its pixels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picture {
    /// The photograph at the camera's size.
    pub photo: Photo,
    /// `[height, width]`, the weight of each pixel: 0 is ignored, 255 counts fully. `None` if every pixel counts.
    pub mask: Option<Vec<u8>>,
    /// `[height, width]`, 1 / depth along the camera's z axis, depth in world units; 0 where it is unknown. `None` if the
    /// view has no depth map.
    pub inv_depth: Option<Vec<f32>>,
}

impl Picture {
    /// The size of all its pixels in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mask = self.mask.as_ref().map_or(0, Vec::len);
        let depth = self.inv_depth.as_ref().map_or(0, |d| size_of_val(&d[..]));
        (self.photo.pixels.len() + mask + depth) as u64
    }
}

/// How the pixels of a file become those of a view: rotated, reduced and undistorted, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recipe {
    /// Width and height as stored in the file.
    pub(crate) file_size: (u32, u32),
    /// The rotation to apply: that of EXIF, or none.
    pub(crate) turn: Orientation,
    /// The size that the file is reduced to; without distortion it is the camera's.
    pub(crate) working: (u32, u32),
    pub(crate) warp: Option<Warp>,
    pub(crate) depth: Meaning,
}

impl View {
    /// Decodes the photograph, its mask and its depth map, undistorts them and returns them at the camera's size.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Decode`] or [`Error::CutOff`]; [`Error::Malformed`] for a depth map that cannot be read;
    /// [`Error::Companion`] if the aspect ratio of a mask or depth map is not that of the photograph;
    /// [`Error::Changed`] if the size of the photograph has changed since the dataset was opened.
    pub fn load(&self) -> Result<Picture> {
        let Recipe { file_size, turn, working, warp, depth: meaning } = &self.recipe;
        let photo = Photo::read_turned(&self.path, *turn)?;
        let upright = if photo::swaps(*turn) { (file_size.1, file_size.0) } else { *file_size };
        let now = (photo.width, photo.height);
        if now != upright {
            return Err(Error::Changed { path: self.path.clone(), now, then: upright });
        }
        let photo = if now == *working { photo } else { photo.reduced(working.0, working.1) };
        let mask = self.mask.as_deref().map(|path| {
            let mask = photo::mask(path)?;
            let size = (mask.width, mask.height);
            same_shape(path, "mask", size, *working)?;
            let mask = if size == *working { mask } else { mask.reduced(working.0, working.1) };
            Ok::<_, Error>(mask.pixels)
        });
        let mask = mask.transpose()?;
        let inv_depth = self.depth.as_deref().map(|path| {
            let map = depth::read(path, *meaning)?;
            same_shape(path, "depth map", map.size, *working)?;
            Ok::<_, Error>(map.resized(*working))
        });
        let inv_depth = inv_depth.transpose()?;
        let Some(warp) = warp else { return Ok(Picture { photo, mask, inv_depth }) };
        let Warped { photo, mask, inv_depth } = warp.apply(&photo, mask.as_deref(), inv_depth.as_deref());
        Ok(Picture { photo, mask, inv_depth })
    }

    /// Width and height of the photograph as stored in its file.
    #[must_use]
    pub fn file_size(&self) -> (u32, u32) {
        self.recipe.file_size
    }

    /// The lens model that [`load`](Self::load) undistorts, by COLMAP's name; `PINHOLE` if there is no distortion.
    #[must_use]
    pub fn lens(&self) -> &'static str {
        self.recipe.warp.as_ref().map_or("PINHOLE", Warp::lens)
    }

    /// An upper bound of [`Picture::bytes`] for this view.
    pub(crate) fn bytes_at_most(&self) -> u64 {
        let mask = self.mask.is_some() || self.recipe.warp.is_some();
        let each = 4 + u64::from(mask) + 4 * u64::from(self.depth.is_some());
        u64::from(self.camera.width) * u64::from(self.camera.height) * each
    }

    /// An upper bound of what [`View::load`] allocates besides what it returns: the pixels of the file, and the reduced
    /// ones before undistortion.
    pub(crate) fn scratch_bytes(&self) -> u64 {
        let area = |(w, h): (u32, u32)| u64::from(w) * u64::from(h);
        let Recipe { file_size, working, warp, .. } = &self.recipe;
        let file = if file_size == working { 0 } else { 4 * area(*file_size) };
        file + if warp.is_some() { 9 * area(*working) } else { 0 }
    }
}

/// Checks that an image has the aspect ratio of its photograph; its size may differ.
pub(crate) fn same_shape(path: &Path, what: &'static str, size: (u32, u32), photo: (u32, u32)) -> Result<()> {
    // The smaller one of the two is the one that was rounded.
    let wide = |(w, h): (u32, u32)| (u64::from(w), u64::from(h));
    if photos::same_aspect(size, wide(photo)) || photos::same_aspect(photo, wide(size)) {
        return Ok(());
    }
    Err(Error::Companion { path: path.into(), what, size, photo })
}
