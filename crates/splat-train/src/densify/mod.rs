//! Strategies that change the number of Gaussians while they are trained: where more are needed, and which are not.
//!
//! A strategy looks at every step's gradients ([`Densify::observe`]) and now and then rearranges the rows of the
//! parameters and of the optimiser together ([`Densify::refine`]). Steps count from 1. Chance comes from the seed and
//! the step alone, so that a resumed run draws what the uninterrupted one drew.

mod adc;
mod mcmc;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use splat_tch::Camera;
use tch::Tensor;

pub use adc::{Adc, AdcConfig};
pub use mcmc::{Mcmc, McmcConfig};

use crate::{Gaussians, Optimizer, Probe, Result};

/// What a step's render left behind.
#[derive(Debug)]
pub struct Observation<'a> {
    /// The view.
    pub camera: &'a Camera,
    /// Centres, `[P,3]`, as they were rendered or one update later.
    pub means: &'a Tensor,
    /// `[P]` `Int`: radius in pixels, 0 = not visible.
    pub radii: &'a Tensor,
    /// Gradient of the projected centres in NDC units, `[P,3]`, if the strategy asked for it.
    pub means2d: Option<&'a Tensor>,
    /// Sums of the absolute gradients, `[P,2]`, likewise.
    pub means2d_abs: Option<&'a Tensor>,
}

/// What a refinement did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Gaussians copied because they are small and pulled at.
    pub cloned: usize,
    /// Gaussians replaced by two smaller ones.
    pub split: usize,
    /// Gaussians removed, or moved to where they are of use.
    pub pruned: usize,
}

/// A strategy.
pub trait Densify: fmt::Debug + Send {
    /// What it wants to be told of each step: the signed, the absolute gradients of the projected centres.
    fn wants(&self, step: u64) -> (bool, bool);

    /// The leaves that [`Densify::wants`] asks for.
    ///
    /// # Errors
    /// A device without room.
    fn probe(&self, step: u64, gaussians: &Gaussians) -> Result<Probe> {
        let (signed, absolute) = self.wants(step);
        Probe::new(gaussians.len(), signed, absolute, gaussians.device())
    }

    /// Looks at a step. Queues work on the device and does not wait for it.
    ///
    /// # Errors
    /// Torch's.
    fn observe(&mut self, step: u64, seen: &Observation<'_>) -> Result<()>;

    /// Between step `step` and the next: rearranges rows if it is time. `None`: the rows are as they were.
    ///
    /// # Errors
    /// A device without room.
    fn refine(
        &mut self,
        step: u64,
        gaussians: &mut Gaussians,
        optimizer: &mut Optimizer,
    ) -> Result<Option<Change>>;

    /// What must be stored to go on from here, by name.
    fn state(&self) -> Vec<(&'static str, &Tensor)>;

    /// Takes back what [`Densify::state`] gave: `state` finds it by name, `None` where there was none.
    ///
    /// # Errors
    /// Those of `state`: a device without room.
    fn restore(&mut self, state: &mut dyn FnMut(&str) -> Result<Option<Tensor>>) -> Result<()>;
}

/// Which strategy, with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Strategy {
    /// The number of Gaussians stays.
    Fixed,
    /// Adaptive density control, the published schedule.
    Adc(AdcConfig),
    /// 3DGS as Markov chain Monte Carlo.
    Mcmc(McmcConfig),
}

impl Default for Strategy {
    fn default() -> Self {
        Self::Adc(AdcConfig::default())
    }
}

impl Strategy {
    /// Ready to observe a scene of this extent, world units ([`splat_scene::Dataset::scene_extent`]).
    #[must_use]
    pub fn start(&self, extent: f64, seed: u64) -> Box<dyn Densify> {
        match self {
            Self::Fixed => Box::new(Fixed),
            Self::Adc(config) => Box::new(Adc::new(config.clone(), extent, seed)),
            Self::Mcmc(config) => Box::new(Mcmc::new(config.clone(), seed)),
        }
    }
}

/// No strategy at all.
#[derive(Debug, Clone, Copy)]
pub struct Fixed;

impl Densify for Fixed {
    fn wants(&self, _: u64) -> (bool, bool) {
        (false, false)
    }

    fn observe(&mut self, _: u64, _: &Observation<'_>) -> Result<()> {
        Ok(())
    }

    fn refine(&mut self, _: u64, _: &mut Gaussians, _: &mut Optimizer) -> Result<Option<Change>> {
        Ok(None)
    }

    fn state(&self) -> Vec<(&'static str, &Tensor)> {
        Vec::new()
    }

    fn restore(&mut self, _: &mut dyn FnMut(&str) -> Result<Option<Tensor>>) -> Result<()> {
        Ok(())
    }
}

/// Whether a refinement follows step `step`: each `every` steps, later than `from` and before `until`.
fn due(step: u64, from: u64, until: u64, every: u64) -> bool {
    step > from && step < until && step.is_multiple_of(every)
}

/// Torch's generators, at a place that `seed` and `step` decide alone, and nobody else's among those who ask here while the
/// guard lives: they are the whole process's, which may train several scenes.
pub(crate) fn chance(seed: u64, step: u64) -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Weyl steps of the golden ratio: seeds one apart share no stream.
    let mixed =
        (seed.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ step.wrapping_mul(0xD1B5_4A32_D192_ED03);
    tch::manual_seed((mixed >> 1) as i64);
    alone
}

/// Rows where `mask` (`[P]` `Bool`) is true, `Int64`; waits for the device.
fn rows_of(mask: &Tensor) -> Result<Tensor> {
    Ok(mask.f_nonzero()?.f_view([-1])?)
}

/// Offsets drawn from the Gaussians themselves: `R diag(scales) n`, `n` normal, `[K,3]`, for `scales` `[K,3]` and unit
/// quaternions `[K,4]`.
fn sample_offsets(scales: &Tensor, rotations: &Tensor) -> Result<Tensor> {
    let local = scales.f_randn_like()?.f_mul(scales)?;
    rotate(rotations, &local)
}

/// `R v` for unit quaternions wxyz `[K,4]` and vectors `[K,3]`: `v + 2 w (q x v) + 2 q x (q x v)`, q the vector part.
fn rotate(rotations: &Tensor, v: &Tensor) -> Result<Tensor> {
    let w = rotations.f_narrow(1, 0, 1)?;
    let q = rotations.f_narrow(1, 1, 3)?;
    let once = q.f_linalg_cross(v, 1)?;
    let twice = q.f_linalg_cross(&once, 1)?;
    Ok(v.f_add(&once.f_mul(&w)?.f_add(&twice)?.f_mul_scalar(2.0)?)?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    /// Against the rotation matrix of a quarter turn about z, and length preserved for any unit quaternion.
    #[test]
    fn vectors_turn_as_their_quaternion_says() {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let q = Tensor::from_slice(&[half, 0.0, 0.0, half]).view([1, 4]);
        let turned = rotate(&q, &Tensor::from_slice(&[1.0f32, 2.0, 3.0]).view([1, 3])).unwrap();
        let turned: Vec<f32> = Vec::try_from(turned.view(-1)).unwrap();
        for (a, b) in turned.iter().zip([-2.0, 1.0, 3.0]) {
            assert!((a - b).abs() < 1e-6, "{turned:?}");
        }
        // Not torch's generator, whose place the test below looks at from another thread.
        let mut rng = fastrand::Rng::with_seed(1);
        let mut values = |n: i64| {
            Tensor::from_slice(&(0..50 * n).map(|_| 2.0 * rng.f32() - 1.0).collect::<Vec<_>>()).view([50, n])
        };
        let (q, v) = (values(4), values(3));
        let q = &q / q.norm_scalaropt_dim(2, [1i64].as_slice(), true);
        let length = |t: &Tensor| t.norm_scalaropt_dim(2, [1i64].as_slice(), false);
        let apart = (length(&rotate(&q, &v).unwrap()) - length(&v)).abs().max().double_value(&[]);
        assert!(apart < 1e-5, "{apart}");
    }

    #[test]
    fn chance_is_of_seed_and_step() {
        let draw = |seed, step| -> Vec<f32> {
            let _alone = chance(seed, step);
            Vec::try_from(Tensor::rand([4], (Kind::Float, Device::Cpu))).unwrap()
        };
        assert_eq!(draw(0, 700), draw(0, 700));
        assert_ne!(draw(0, 700), draw(1, 700));
        assert_ne!(draw(0, 700), draw(0, 800));
    }
}
