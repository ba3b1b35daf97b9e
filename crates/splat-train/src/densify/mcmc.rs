//! 3DGS as Markov chain Monte Carlo (Kheradmand et al. 2024): a fixed budget of Gaussians, of which dead ones are moved to
//! opaque ones and new ones are added there, and noise on the positions of faint ones.
//!
//! Opacities and scales of moved Gaussians follow equation 9 of that paper, so that the image stays the same.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{Change, Densify, Regularization, due, rows_of};
use crate::random::{Draws, Noise};
use crate::{Gaussians, Optimizer, Result, Rows};

/// More copies of one Gaussian than this are treated as this many.
const MOST_COPIES: i64 = 51;
/// Sharpness of the gate that keeps noise from opaque Gaussians, and the opacity where it opens.
const GATE: (f64, f64) = (100.0, 0.995);

/// The schedule and the weights; by default the published ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct McmcConfig {
    /// The number of Gaussians at the end.
    pub cap: usize,
    /// Refinements start after this step.
    pub from: u64,
    /// No refinement from this step on.
    pub until: u64,
    /// Steps between refinements.
    pub every: u64,
    /// Each refinement multiplies the number of Gaussians by this until `cap` is reached.
    pub growth: f64,
    /// A Gaussian with a lower opacity than this is dead.
    pub min_opacity: f64,
    /// Strength of the noise on positions, as a multiple of their learning rate.
    pub noise: f64,
}

impl Default for McmcConfig {
    fn default() -> Self {
        Self {
            cap: 1_000_000,
            from: 500,
            until: 25_000,
            every: 100,
            growth: 1.05,
            min_opacity: 0.005,
            noise: 5e5,
        }
    }
}

/// The strategy. It has no state that a checkpoint would need.
#[derive(Debug)]
pub struct Mcmc {
    config: McmcConfig,
    seed: u64,
    noise: Noise,
}

impl Mcmc {
    /// The strategy. It needs no extent of the scene, which the learning rate of positions contains already.
    #[must_use]
    pub fn new(config: McmcConfig, seed: u64) -> Self {
        Self { config, seed, noise: Noise::new(seed) }
    }

    /// Moves each position by its covariance times normal noise, gated by opacity.
    fn shake(&mut self, step: u64, gaussians: &Gaussians, rate: f64) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let (rotations, scales) = (gaussians.unit_rotations()?, gaussians.scales()?);
        let normal = gaussians.own(&self.noise.at(step, gaussians.total() as i64, gaussians.device())?)?;
        // The covariance times the noise, as published. A sample of the Gaussian would use the covariance's square root.
        let noise = covariance_times(&rotations, &scales, &normal)?;
        let opacity = gaussians.opacities()?;
        let gate = opacity.f_rsub_scalar(1.0)?.f_sub_scalar(GATE.1)?.f_mul_scalar(GATE.0)?.f_sigmoid()?;
        let step = noise.f_mul(&gate)?.f_mul_scalar(self.config.noise * rate)?;
        let _ = gaussians.means.f_detach()?.f_add_(&step)?;
        Ok(())
    }

    /// Draws `count` rows, each with a probability proportional to its opacity, `[count]` `Int64`.
    fn draw(opacities: &Tensor, count: i64, draws: &mut Draws) -> Result<Tensor> {
        // Cumulative sums instead of torch's multinomial, which uses the global generator and at most 2^24 categories.
        let sums = opacities.f_to_kind(Kind::Double)?.f_cumsum(0, Kind::Double)?;
        let total = sums.f_select(0, -1)?;
        let at = Tensor::f_from_slice(&draws.uniform(count as usize))?
            .f_to_device(sums.device())?
            .f_mul(&total)?;
        let none: Option<&Tensor> = None;
        let rows = at.f_searchsorted(&sums, false, true, "right", none)?;
        Ok(rows.f_clamp_max(opacities.size()[0] - 1)?)
    }

    /// Changes opacities and scales of Gaussians that will have copies, so that all copies together look like the one
    /// before. `copies` (`[P]` `Int64`) says how many there will be, 1 or more.
    fn share(&self, gaussians: &Gaussians, copies: &Tensor) -> Result<()> {
        let rows = rows_of(&copies.f_gt(1)?)?;
        if rows.size()[0] == 0 {
            return Ok(());
        }
        let n = copies.f_index_select(0, &rows)?.f_clamp_max(MOST_COPIES)?.f_to_kind(Kind::Double)?;
        let old = gaussians.opacities()?.f_view([-1])?.f_index_select(0, &rows)?.f_to_kind(Kind::Double)?;
        let (new, factor) = relocated(&old, &n)?;
        let new = new.f_clamp(self.config.min_opacity, 1.0 - f64::from(f32::EPSILON))?;
        let logit = new.f_logit(None)?.f_to_kind(Kind::Float)?.f_view([-1, 1])?;
        let _ = gaussians.opacity_logits.f_detach()?.f_index_copy_(0, &rows, &logit)?;
        let log = factor.f_log()?.f_to_kind(Kind::Float)?.f_view([-1, 1])?;
        let scales = gaussians.log_scales.f_detach()?;
        let changed = scales.f_index_select(0, &rows)?.f_add(&log)?;
        let _ = gaussians.log_scales.f_detach()?.f_index_copy_(0, &rows, &changed)?;
        Ok(())
    }

    fn relocate_and_add(
        &self,
        step: u64,
        gaussians: &mut Gaussians,
        optimizer: &mut Optimizer,
    ) -> Result<Change> {
        let _guard = tch::no_grad_guard();
        let before = gaussians.total() as i64;
        let opacities = gaussians.whole(&gaussians.opacities()?.f_view([-1])?)?;
        let alive = opacities.f_gt(self.config.min_opacity)?;
        let (living, dead) = (rows_of(&alive)?, rows_of(&alive.f_logical_not()?)?);
        let (dead_n, living_n) = (dead.size()[0], living.size()[0]);
        if living_n == 0 {
            return Ok(Change::default());
        }
        let grown = ((before as f64 * self.config.growth) as usize).min(self.config.cap) as i64;
        let added = (grown - before).max(0);
        // Both the dead and the added become copies of living ones: one draw for both.
        let mut draws = Draws::new(self.seed ^ 0x4D43_4D43, step);
        let drawn = Self::draw(&opacities.f_index_select(0, &living)?, dead_n + added, &mut draws)?;
        let sources = living.f_index_select(0, &drawn)?;
        let ones = Tensor::f_ones([dead_n + added], (Kind::Int64, sources.device()))?;
        let copies = Tensor::f_ones([before], (Kind::Int64, sources.device()))?;
        let copies = gaussians.own(&copies.f_index_add(0, &sources, &ones)?)?;
        self.share(gaussians, &copies)?;
        let rows = Rows { index: Tensor::f_cat(&[&living, &sources], 0)?, fresh_from: living_n };
        // A source looks different now, so its moments no longer apply.
        let shared = copies.f_gt(1)?;
        for group in &mut optimizer.groups {
            group.forget(Some(&shared))?;
        }
        gaussians.rearrange(optimizer, &rows)?;
        Ok(Change { cloned: added as usize, split: 0, pruned: dead_n as usize })
    }
}

/// `R S S R^T v` for unit quaternions `[P,4]`, standard deviations and vectors `[P,3]`.
fn covariance_times(rotations: &Tensor, scales: &Tensor, v: &Tensor) -> Result<Tensor> {
    let back = [1.0f32, -1.0, -1.0, -1.0];
    let conjugate = rotations.f_mul(&Tensor::f_from_slice(&back)?.f_to_device(rotations.device())?)?;
    let local = super::rotate(&conjugate, v)?;
    super::rotate(rotations, &local.f_mul(&scales.f_square()?)?)
}

/// Opacity `1 - (1-o)^(1/n)` of each of `n` copies of a Gaussian of opacity `o`, and the factor of their scales,
/// `o / sum_{k<n} C(n, k+1) (-1)^k / sqrt(k+1) new^(k+1)` (equation 9, its inner sums gathered by
/// `sum_{i=k+1..n} C(i-1, k) = C(n, k+1)`). All `[K]` `Double`.
fn relocated(opacity: &Tensor, n: &Tensor) -> Result<(Tensor, Tensor)> {
    let new = opacity.f_rsub_scalar(1.0)?.f_pow(&n.f_reciprocal()?)?.f_rsub_scalar(1.0)?;
    let most = n.f_max()?.f_int64_value(&[])?.max(1);
    // term_k = C(n, k+1) new^(k+1), by its ratio to the one before; alternating, so summed in f64.
    let mut term = n.f_mul(&new)?;
    let mut sum = term.shallow_clone();
    for k in 1..most {
        let ratio = n.f_sub_scalar(k as f64)?.f_div_scalar((k + 1) as f64)?.f_clamp_min(0.0)?;
        term = term.f_mul(&ratio)?.f_mul(&new)?;
        let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
        sum = sum.f_add(&term.f_mul_scalar(sign / ((k + 1) as f64).sqrt())?)?;
    }
    Ok((new, opacity.f_div(&sum)?))
}

impl Densify for Mcmc {
    fn works_on_shares(&self) -> bool {
        true
    }

    /// The published weights: without them no Gaussian would ever die.
    fn regularization(&self) -> Regularization {
        Regularization { opacity: 0.01, scale: 0.01 }
    }

    fn refine(
        &mut self,
        step: u64,
        gaussians: &mut Gaussians,
        optimizer: &mut Optimizer,
    ) -> Result<Option<Change>> {
        let McmcConfig { from, until, every, .. } = self.config;
        let change = due(step, from, until, every)
            .then(|| self.relocate_and_add(step, gaussians, optimizer))
            .transpose()?;
        if step == 0 {
            return Ok(None);
        }
        let rate = optimizer.group_mut("means").rate;
        self.shake(step, gaussians, rate)?;
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against equation 9 in its published form with the double sum.
    #[test]
    fn copies_are_those_of_the_equation() {
        let choose = |n: i32, k: i32| (0..k).fold(1.0f64, |c, i| c * f64::from(n - i) / f64::from(i + 1));
        for (o, n) in [(0.3f64, 1), (0.5, 2), (0.9, 5), (0.99, 20), (0.02, 51)] {
            let new = 1.0 - (1.0 - o).powf(1.0 / f64::from(n));
            let sum: f64 = (1..=n)
                .flat_map(|i| (0..i).map(move |k| (i, k)))
                .map(|(i, k)| {
                    choose(i - 1, k) * (-1.0f64).powi(k) / f64::from(k + 1).sqrt() * new.powi(k + 1)
                })
                .sum();
            let (a, b) = relocated(&Tensor::from_slice(&[o]), &Tensor::from_slice(&[f64::from(n)])).unwrap();
            let (a, b) = (a.double_value(&[0]), b.double_value(&[0]));
            assert!((a - new).abs() < 1e-12, "{o} {n}: {a} {new}");
            assert!((b / (o / sum) - 1.0).abs() < 1e-9, "{o} {n}: {b} {}", o / sum);
        }
    }

    #[test]
    fn draws_follow_the_opacities() {
        let opacities = Tensor::from_slice(&[0.0f32, 1.0, 3.0, 0.0]);
        let rows = Mcmc::draw(&opacities, 4000, &mut Draws::new(3, 3)).unwrap();
        let rows: Vec<i64> = Vec::try_from(rows).unwrap();
        let count = |k| rows.iter().filter(|&&r| r == k).count();
        assert_eq!((count(0), count(3)), (0, 0));
        // 1000 expected of 4000, standard deviation 27.
        assert!((850..1150).contains(&count(1)), "{}", count(1));
    }

    #[test]
    fn covariance_is_applied_in_the_gaussians_frame() {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let q = Tensor::from_slice(&[half, 0.0, 0.0, half]).view([1, 4]);
        let scales = Tensor::from_slice(&[2.0f32, 1.0, 3.0]).view([1, 3]);
        let v = Tensor::from_slice(&[1.0f32, 1.0, 1.0]).view([1, 3]);
        let out: Vec<f32> = Vec::try_from(covariance_times(&q, &scales, &v).unwrap().view(-1)).unwrap();
        // The Gaussian's x axis is the world's y.
        for (a, b) in out.iter().zip([1.0, 4.0, 9.0]) {
            assert!((a - b).abs() < 1e-5, "{out:?}");
        }
    }
}
