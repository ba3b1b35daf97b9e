//! What a training step needs of one view: the photograph, its mask and its inverse depth, all at the
//! size of [`View::camera`].

use crate::{Error, Photo, Result, View};

/// A view's photograph and what is known about its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The photograph, at the camera's size.
    pub photo: Photo,
    /// `[height, width]`: 0 where the photograph is to be ignored, 255 where it counts, between them in part.
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

impl View {
    /// Decodes the photograph, at the camera's size.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Decode`], or [`Error::Changed`] if it has another size than when the
    /// dataset was opened.
    pub fn load(&self) -> Result<Picture> {
        let photo = Photo::read(&self.path)?;
        let now = (photo.width, photo.height);
        if now != self.file_size {
            return Err(Error::Changed { path: self.path.clone(), now, then: self.file_size });
        }
        let wanted = (self.camera.width, self.camera.height);
        let photo = if now == wanted { photo } else { photo.reduced(wanted.0, wanted.1) };
        Ok(Picture { photo, mask: None, inv_depth: None })
    }

    /// The most that [`Picture::bytes`] of this view can be.
    pub(crate) fn bytes_at_most(&self) -> u64 {
        let each = 4 + u64::from(self.mask.is_some()) + 4 * u64::from(self.depth.is_some());
        u64::from(self.camera.width) * u64::from(self.camera.height) * each
    }

    /// The most that [`View::load`] holds besides what it returns: the file's own pixels, where they are
    /// not what is returned.
    pub(crate) fn scratch_bytes(&self) -> u64 {
        let same = self.file_size == (self.camera.width, self.camera.height);
        if same { 0 } else { 4 * u64::from(self.file_size.0) * u64::from(self.file_size.1) }
    }
}
