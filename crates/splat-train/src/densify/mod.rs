//! Strategies that change the number of Gaussians during training: they add some where more are needed and remove those
//! that do not contribute.
//!
//! A strategy sees the gradients of every step ([`Densify::observe`]) and now and then rearranges the rows of the
//! parameters and of the optimiser together ([`Densify::refine`]). Steps are counted from 1. What a strategy draws should
//! depend only on a seed and the step, so that a resumed run draws what the uninterrupted one drew.

mod adc;
mod budget;
mod guided;
mod mcmc;
mod strategy;

use std::fmt;

use serde::Serialize;
use splat_tch::Camera;
use tch::Tensor;

pub use adc::{Adc, AdcConfig};
pub use budget::Budget;
pub use guided::{Guided, GuidedConfig};
pub use mcmc::{Mcmc, McmcConfig};
pub use strategy::{Fixed, Strategy};

use crate::{Gaussians, Optimizer, Probe, Result};

/// What a strategy needs to know of each step; nothing by default. Methods add to it:
/// `Wants::default().signed()`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wants {
    /// The gradients of the projected centres: [`Observation::means2d`].
    pub signed: bool,
    /// Sums of the absolute gradients of the projected centres: [`Observation::means2d_abs`].
    pub absolute: bool,
    /// How much each Gaussian contributes to the image: [`Observation::weight_sum`] and [`Observation::weight_max`].
    pub weights: bool,
    /// How much each Gaussian contributes to badly rendered pixels: [`Observation::weight_error`]. It takes one more
    /// rasterization.
    pub errors: bool,
}

impl Wants {
    /// Also the gradients of the projected centres.
    #[must_use]
    pub fn signed(self) -> Self {
        Self { signed: true, ..self }
    }

    /// Also the sums of the absolute gradients of the projected centres.
    #[must_use]
    pub fn absolute(self) -> Self {
        Self { absolute: true, ..self }
    }

    /// Also how much each Gaussian contributes to the image.
    #[must_use]
    pub fn weights(self) -> Self {
        Self { weights: true, ..self }
    }

    /// Also how much each Gaussian contributes to badly rendered pixels.
    #[must_use]
    pub fn errors(self) -> Self {
        Self { errors: true, ..self }
    }
}

/// What a step leaves for a strategy.
#[derive(Debug)]
#[non_exhaustive]
pub struct Observation<'a> {
    /// The view of the step.
    pub camera: &'a Camera,
    /// Centres `[P,3]`, as rendered or after the optimiser step that followed.
    pub means: &'a Tensor,
    /// Radii in pixels, `[P]` `Int`; 0 = not visible.
    pub radii: &'a Tensor,
    /// Gradients of the projected centres in NDC units, `[P,3]`, if [`Wants::signed`].
    pub means2d: Option<&'a Tensor>,
    /// Sums over the pixels of the absolute gradients, `[P,2]`, if [`Wants::absolute`].
    pub means2d_abs: Option<&'a Tensor>,
    /// The sum over the pixels of the weight with which each Gaussian is blended, `[P]`, if [`Wants::weights`].
    pub weight_sum: Option<&'a Tensor>,
    /// The largest of these weights, `[P]`, if [`Wants::weights`].
    pub weight_max: Option<&'a Tensor>,
    /// The sum over the pixels of that weight times the pixel's absolute error (mean over the channels, where the view's
    /// mask leaves the pixel), `[P]`, if [`Wants::errors`].
    pub weight_error: Option<&'a Tensor>,
}

impl<'a> Observation<'a> {
    /// An observation without what strategies must ask for.
    #[must_use]
    pub fn new(camera: &'a Camera, means: &'a Tensor, radii: &'a Tensor) -> Self {
        Self {
            camera,
            means,
            radii,
            means2d: None,
            means2d_abs: None,
            weight_sum: None,
            weight_max: None,
            weight_error: None,
        }
    }
}

/// What a refinement did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Gaussians that were copied.
    pub cloned: usize,
    /// Gaussians that were replaced by two smaller ones.
    pub split: usize,
    /// Gaussians that were removed, or moved to where they are of use.
    pub pruned: usize,
}

/// Weights of what a strategy adds to the loss so that Gaussians which no photograph needs fade and shrink; see
/// [`loss::regularize`](crate::loss::regularize).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Regularization {
    /// Weight of the mean opacity.
    pub opacity: f64,
    /// Weight of the mean standard deviation, in world units.
    pub scale: f64,
}

/// A strategy. Only [`Densify::refine`] has no default.
pub trait Densify: fmt::Debug + Send {
    /// What it needs to know of step `step`.
    fn wants(&self, step: u64) -> Wants {
        let _ = step;
        Wants::default()
    }

    /// Whether it works where each rank of a group has its share of the rows: it then decides by [`Gaussians::total`] and
    /// [`Gaussians::whole`], the same on every rank, and rearranges by [`Gaussians::rearrange`]. No by default.
    fn works_on_shares(&self) -> bool {
        false
    }

    /// The regularisation that it is made for; a setting of [`Config`](crate::Config) overrides it. None by default.
    fn regularization(&self) -> Regularization {
        Regularization::default()
    }

    /// The leaves that receive the gradients which [`Densify::wants`] asks for.
    ///
    /// # Errors
    /// Out of device memory.
    fn probe(&self, step: u64, gaussians: &Gaussians) -> Result<Probe> {
        Probe::new(gaussians.len(), self.wants(step), gaussians.device())
    }

    /// Sees a step. This should queue work on the device and not wait for it. Does nothing by default.
    ///
    /// # Errors
    /// Torch's; they end the run.
    fn observe(&mut self, step: u64, seen: &Observation<'_>) -> Result<()> {
        let _ = (step, seen);
        Ok(())
    }

    /// Called between step `step` and the next: rearranges the rows of both if it is time. `None` means that they stay as
    /// they are.
    ///
    /// # Errors
    /// Out of device memory.
    fn refine(
        &mut self,
        step: u64,
        gaussians: &mut Gaussians,
        optimizer: &mut Optimizer,
    ) -> Result<Option<Change>>;

    /// Tensors (`Float`) that a checkpoint must contain for an exact resume, by name. None by default.
    fn state(&self) -> Vec<(&'static str, &Tensor)> {
        Vec::new()
    }

    /// Restores what [`Densify::state`] returned: `state` gives a tensor by name, `None` if the checkpoint has none of
    /// that name. Does nothing by default.
    ///
    /// # Errors
    /// Those of `state`: out of device memory.
    fn restore(&mut self, state: &mut dyn FnMut(&str) -> Result<Option<Tensor>>) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

/// Whether a refinement follows step `step`: every `every` steps, after `from` and before `until`.
fn due(step: u64, from: u64, until: u64, every: u64) -> bool {
    step > from && step < until && step.is_multiple_of(every)
}

/// The rows where `mask` (`[P]` `Bool`) is true, `Int64`; waits for the device.
fn rows_of(mask: &Tensor) -> Result<Tensor> {
    Ok(mask.f_nonzero()?.f_view([-1])?)
}

/// `R v` for unit quaternions wxyz `[K,4]` and vectors `[K,3]`: `v + 2 w (q x v) + 2 q x (q x v)` with the vector part q.
fn rotate(rotations: &Tensor, v: &Tensor) -> Result<Tensor> {
    let w = rotations.f_narrow(1, 0, 1)?;
    let q = rotations.f_narrow(1, 1, 3)?;
    let once = q.f_linalg_cross(v, 1)?;
    let twice = q.f_linalg_cross(&once, 1)?;
    Ok(v.f_add(&once.f_mul(&w)?.f_add(&twice)?.f_mul_scalar(2.0)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::tests::Random;

    /// Against the rotation matrix of a quarter turn about z; and any unit quaternion preserves lengths.
    #[test]
    fn quaternions_rotate_vectors() {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let q = Tensor::from_slice(&[half, 0.0, 0.0, half]).view([1, 4]);
        let turned = rotate(&q, &Tensor::from_slice(&[1.0f32, 2.0, 3.0]).view([1, 3])).unwrap();
        let turned: Vec<f32> = Vec::try_from(turned.view(-1)).unwrap();
        for (a, b) in turned.iter().zip([-2.0, 1.0, 3.0]) {
            assert!((a - b).abs() < 1e-6, "{turned:?}");
        }
        let mut random = Random::new(1);
        let (q, v) = (random.normal(&[50, 4]), random.normal(&[50, 3]));
        let q = &q / q.norm_scalaropt_dim(2, [1i64].as_slice(), true);
        let length = |t: &Tensor| t.norm_scalaropt_dim(2, [1i64].as_slice(), false);
        let apart = (length(&rotate(&q, &v).unwrap()) - length(&v)).abs().max().double_value(&[]);
        assert!(apart < 1e-5, "{apart}");
    }
}
