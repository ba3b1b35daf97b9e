//! Photographs and cameras on the device: loaded once, so that a step copies nothing from the host.
//!
//! Photographs stay 8 bits a channel, a quarter of the memory of floats.

use rayon::prelude::*;
use splat_scene::{Dataset, View};
use splat_tch::Camera;
use tch::{Device, Kind, Tensor};

use crate::Result;

/// One view.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) name: String,
    pub(crate) camera: Camera,
    /// `[3,H,W]` `Uint8`.
    photo: Tensor,
}

impl Frame {
    /// The photograph, `[3,H,W]`, 0 to 1.
    pub(crate) fn target(&self) -> Result<Tensor> {
        Ok(self.photo.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?)
    }
}

/// All views of `dataset`, in its order, over `background` where they are transparent.
pub(crate) fn load(dataset: &Dataset, background: [f32; 3], device: Device) -> Result<Vec<Frame>> {
    let mut frames = Vec::with_capacity(dataset.views.len());
    // A few at a time: decoded photographs are only passing through host memory.
    for views in dataset.views.chunks(4 * rayon::current_num_threads()) {
        let decode = |view: &View| Ok(view.load()?.photo.into_rgb(background));
        let decoded: Vec<Vec<u8>> = views.par_iter().map(decode).collect::<Result<_>>()?;
        for (view, pixels) in views.iter().zip(decoded) {
            let size = [i64::from(view.camera.height), i64::from(view.camera.width), 3];
            let photo = Tensor::f_from_slice(&pixels)?.f_to_device(device)?.f_view(size.as_slice())?;
            frames.push(Frame {
                name: view.name.clone(),
                camera: Camera::new(view.camera.clone(), device)?,
                photo: photo.f_permute([2, 0, 1])?.f_contiguous()?,
            });
        }
    }
    Ok(frames)
}
