//! What is learned for each photograph besides the scene: its exposure and a correction of its pose; and for each camera its
//! vignetting and response.
//!
//! Held-out views have neither of the first two: they are evaluated as the dataset gives them. A change common to all training views is
//! therefore removed after each update; otherwise scene and training views would drift together, at no cost in loss, away
//! from the held-out views. Such a change is a map of all colours, a motion or a scaling of the world, and, as far as chance
//! does not explain it, whatever varies smoothly with the camera's position (`smooth.rs`).

mod exposures;
mod poses;
mod responses;
mod smooth;

use tch::{Device, Kind, Tensor};

pub use self::exposures::{ColorMap, Exposures};
pub use self::poses::Poses;
pub use self::responses::{Response, Responses};
use crate::{Optimizer, Result};

/// The views whose exposures or poses are learned.
#[derive(Debug, Clone, Copy)]
pub struct Photographed<'a> {
    /// The cameras of all views, as the dataset gives them.
    pub cameras: &'a [&'a splat_core::Camera],
    /// The indices of the training views.
    pub train: &'a [usize],
    /// [`splat_scene::Dataset::scene_extent`].
    pub extent: f64,
}

impl Photographed<'_> {
    /// `[N,1]`: 1 for training views, 0 for others.
    fn trained(&self, device: Device) -> Result<Tensor> {
        let mut trained = vec![0.0f32; self.cameras.len()];
        self.train.iter().for_each(|&i| trained[i] = 1.0);
        Ok(Tensor::f_from_slice(&trained)?.f_view([-1, 1])?.f_to_device(device)?)
    }
}

/// Adam for a tensor with one row per view or camera, of which each step updates one. Each row counts its own updates: with the number
/// of all steps instead, the bias correction of a row's first updates would be missing, and its steps several times too
/// long.
#[derive(Debug)]
struct Rows {
    /// `[N,N]` `Int`: row `i` selects view `i` only.
    one_each: Tensor,
}

impl Rows {
    fn new(views: usize, device: Device) -> Result<Self> {
        Ok(Self { one_each: Tensor::f_eye(views as i64, (Kind::Int, device))? })
    }

    /// Updates row `i` of `param`. `updates` (`[N]` on the host) counts the updates of each row so far.
    fn step(
        &self,
        i: usize,
        optimizer: &mut Optimizer,
        updates: &Tensor,
        param: &Tensor,
        gradient: Tensor,
    ) -> Result<()> {
        let row = i as i64;
        optimizer.steps = updates.f_double_value(&[row])? as i64;
        optimizer.step_rows(&[param], &[gradient], Some(&self.one_each.f_select(0, row)?))?;
        let _ = updates.f_select(0, row)?.f_fill_(optimizer.steps as f64)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use splat_core::Camera as Core;
    use tch::{Device, Kind, Tensor};

    use super::Photographed;

    pub(super) const FLOATS: (Kind, Device) = (Kind::Float, Device::Cpu);

    /// `count` cameras around the origin, at heights and distances that follow no order.
    pub(super) fn around(count: usize) -> Vec<Core> {
        let camera = |i: usize| {
            let angle = i as f64 * std::f64::consts::TAU / count as f64;
            let (height, distance) = ((i * 7 % 5) as f64 * 0.4 - 0.8, 4.0 + 0.2 * (i * 3 % 7) as f64);
            let eye = [distance * angle.cos(), height, distance * angle.sin()];
            Core::look_at(32, 32, 50.0, eye, [0.; 3], [0., -1., 0.])
        };
        (0..count).map(camera).collect()
    }

    pub(super) fn refs(cameras: &[Core]) -> Vec<&Core> {
        cameras.iter().collect()
    }

    /// All but every eighth.
    pub(super) fn trained(count: usize) -> Vec<usize> {
        (0..count).filter(|i| i % 8 != 0).collect()
    }

    pub(super) fn largest(t: &Tensor) -> f64 {
        t.abs().max().double_value(&[])
    }

    /// All of `cameras` with an extent of 5.
    pub(super) fn photographed<'a>(cameras: &'a [&'a Core], train: &'a [usize]) -> Photographed<'a> {
        Photographed { cameras, train, extent: 5.0 }
    }
}
