//! What a training step needs of one view: the photograph, its mask and its inverse depth, all at the
//! size of [`View::camera`].

use std::path::Path;

use image::metadata::Orientation;

use crate::depth::{self, Meaning};
use crate::warp::{Warp, Warped};
use crate::{Error, Photo, Result, View, images, photo};

/// A view's photograph and what is known about its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The photograph, at the camera's size.
    pub photo: Photo,
    /// `[height, width]`: 0 where the photograph is to be ignored, 255 where it counts, between them in
    /// part. None where all of it counts.
    pub mask: Option<Vec<u8>>,
    /// `[height, width]`: 1 / depth along the camera's z axis, in world units; 0 where it is unknown.
    pub inv_depth: Option<Vec<f32>>,
}

impl Picture {
    /// Bytes of pixels.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mask = self.mask.as_ref().map_or(0, Vec::len);
        let depth = self.inv_depth.as_ref().map_or(0, |d| size_of_val(&d[..]));
        (self.photo.pixels.len() + mask + depth) as u64
    }
}

/// How a file's pixels become those of a view: turned, reduced, undistorted, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recipe {
    /// The file's own size, as stored.
    pub(crate) file_size: (u32, u32),
    /// Only where the camera is that of the turned photograph.
    pub(crate) turn: Orientation,
    /// The size that the file is reduced to: the camera's, if there is no distortion.
    pub(crate) working: (u32, u32),
    pub(crate) warp: Option<Warp>,
    pub(crate) depth: Meaning,
}

impl View {
    /// Decodes the photograph, its mask and its depth map, undistorted, at the camera's size.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Decode`], [`Error::CutOff`], [`Error::Companion`] if a mask or depth map
    /// has another shape, or [`Error::Changed`] if the photograph has another size than when the dataset
    /// was opened.
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

    /// The file's own width and height, as stored.
    #[must_use]
    pub fn file_size(&self) -> (u32, u32) {
        self.recipe.file_size
    }

    /// The model of the lens that [`load`](Self::load) undistorts, as COLMAP names it; `PINHOLE` if none.
    #[must_use]
    pub fn lens(&self) -> &'static str {
        self.recipe.warp.as_ref().map_or("PINHOLE", Warp::lens)
    }

    /// The most that [`Picture::bytes`] of this view can be.
    pub(crate) fn bytes_at_most(&self) -> u64 {
        let mask = self.mask.is_some() || self.recipe.warp.is_some();
        let each = 4 + u64::from(mask) + 4 * u64::from(self.depth.is_some());
        u64::from(self.camera.width) * u64::from(self.camera.height) * each
    }

    /// The most that [`View::load`] holds besides what it returns: the file's own pixels, and the reduced
    /// ones that are undistorted, where they are not what is returned.
    pub(crate) fn scratch_bytes(&self) -> u64 {
        let area = |(w, h): (u32, u32)| u64::from(w) * u64::from(h);
        let Recipe { file_size, working, warp, .. } = &self.recipe;
        let file = if file_size == working { 0 } else { 4 * area(*file_size) };
        file + if warp.is_some() { 9 * area(*working) } else { 0 }
    }
}

/// An image of another size than its photograph may be scaled to it, one of another shape may not.
pub(crate) fn same_shape(path: &Path, what: &'static str, size: (u32, u32), photo: (u32, u32)) -> Result<()> {
    // Whichever is smaller is the rounded one.
    let wide = |(w, h): (u32, u32)| (u64::from(w), u64::from(h));
    if images::same_aspect(size, wide(photo)) || images::same_aspect(photo, wide(size)) {
        return Ok(());
    }
    Err(Error::Companion { path: path.into(), what, size, photo })
}
