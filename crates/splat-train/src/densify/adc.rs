//! Adaptive density control: Gaussians whose projected centres have large gradients are cloned or split, faint and huge
//! ones are removed (Kerbl et al. 2023, section 5; absolute gradients after Ye et al. 2024, AbsGS; weights by depth after Zhang et al.
//! 2024, Pixel-GS).
//!
//! Gradients are in NDC units, scales in units of the scene's extent, radii in pixels.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{Change, Densify, Observation, Wants, due, rotate, rows_of};
use crate::random::Noise;
use crate::{Gaussians, Optimizer, Result, Rows};

/// The schedule and the thresholds; by default those of the published program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdcConfig {
    /// Refinements start after this step.
    pub from: u64,
    /// No refinement and no reset from this step on.
    pub until: u64,
    /// Steps between refinements.
    pub every: u64,
    /// Mean gradient of the projected centre above which a Gaussian is densified.
    pub gradient: f64,
    /// Use sums of absolute gradients instead of signed ones; their thresholds are 3 to 4 times as high.
    pub absolute: bool,
    /// A densified Gaussian is cloned if its largest scale is at most this, in units of the extent, and split otherwise.
    pub clone_scale: f64,
    /// The scales of a split Gaussian are divided by this.
    pub split_factor: f64,
    /// Steps between resets of all opacities; 0: never.
    pub reset_every: u64,
    /// Also reset at step `from`, as the published schedule does for a white background.
    pub reset_at_start: bool,
    /// A reset lowers all opacities to at most this.
    pub reset_to: f64,
    /// Gaussians with a lower opacity than this are removed.
    pub prune_opacity: f64,
    /// After the first reset, Gaussians with a scale above this, in units of the extent, are removed.
    pub prune_scale: f64,
    /// After the first reset, Gaussians whose radius in some view since the last refinement was above this, in pixels, are
    /// removed.
    ///
    /// Off by default: the published program means 20, but clears the radii before it compares them, so that it never
    /// removes any.
    pub prune_radius: Option<f64>,
    /// Gradients of Gaussians nearer to the camera than this, in units of the extent, count less, by the square of the
    /// distance, so that floaters in front of cameras do not multiply. 0: all count alike.
    pub near: f64,
    /// Never more Gaussians than this: those with the largest gradients are densified first.
    pub max_gaussians: Option<usize>,
}

impl Default for AdcConfig {
    fn default() -> Self {
        Self {
            from: 500,
            until: 15_000,
            every: 100,
            gradient: 2e-4,
            absolute: false,
            clone_scale: 0.01,
            split_factor: 1.6,
            reset_every: 3000,
            reset_at_start: false,
            reset_to: 0.01,
            prune_opacity: 0.005,
            prune_scale: 0.1,
            prune_radius: None,
            near: 0.0,
            max_gaussians: None,
        }
    }
}

/// The strategy, with what it has seen since the last refinement.
#[derive(Debug)]
pub struct Adc {
    config: AdcConfig,
    extent: f64,
    noise: Noise,
    /// `[P]` each: sum of the gradients, number of views that saw it, largest radius.
    sums: Option<[Tensor; 3]>,
}

/// Names of `sums` in a checkpoint.
const SUMS: [&str; 3] = ["gradient_sum", "views", "radius"];

impl Adc {
    /// The strategy for a scene of this extent in world units.
    #[must_use]
    pub fn new(config: AdcConfig, extent: f64, seed: u64) -> Self {
        Self { config, extent, noise: Noise::new(seed), sums: None }
    }

    /// Lowers opacities to `reset_to` and sets their moments to zero.
    fn reset(&self, gaussians: &Gaussians, optimizer: &mut Optimizer) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let _ = gaussians.opacity_logits.f_detach()?.f_clamp_max_(logit(self.config.reset_to))?;
        optimizer.group_mut("opacity_logits").forget(None)
    }

    /// The rows with a mean gradient above the threshold, at most `room` of them, as `[P]` `Bool`.
    fn dense(&self, sums: &[Tensor; 3], room: usize) -> Result<Tensor> {
        let mean = sums[0].f_div(&sums[1].f_clamp_min(1.0)?)?;
        let high = mean.f_gt(self.config.gradient)?;
        if room == 0 {
            return Ok(high.f_zeros_like()?);
        }
        let count = high.f_sum(Kind::Int64)?.f_int64_value(&[])? as usize;
        if count <= room {
            return Ok(high);
        }
        // Each adds one, so the `room` rows with the largest gradients fill it.
        let (_, rows) = mean.f_topk(room as i64, 0, true, false)?;
        Ok(high.f_zeros_like()?.f_index_fill(0, &rows, 1)?)
    }

    /// `gradient` times `min(1, z / (near extent))^2` with the depth `z` in the view.
    fn by_depth(&self, gradient: &Tensor, seen: &Observation<'_>) -> Result<Tensor> {
        let view = &seen.camera.core().view;
        let mut depth = Tensor::f_full_like(gradient, f64::from(view[14]))?;
        for k in 0..3 {
            let _ = depth
                .f_add_(&seen.means.f_select(1, k)?.f_mul_scalar(f64::from(view[4 * k as usize + 2]))?)?;
        }
        let share = depth.f_div_scalar(self.config.near * self.extent)?.f_clamp(0.0, 1.0)?;
        Ok(share.f_square()?.f_mul(gradient)?)
    }

    fn grow_and_prune(
        &mut self,
        step: u64,
        gaussians: &mut Gaussians,
        optimizer: &mut Optimizer,
    ) -> Result<Change> {
        let _guard = tch::no_grad_guard();
        let Some([sum, views, radius]) = self.sums.take() else { return Ok(Change::default()) };
        let sums = [gaussians.whole(&sum)?, gaussians.whole(&views)?, gaussians.whole(&radius)?];
        let config = &self.config;
        let before = gaussians.total();
        let room = config.max_gaussians.map_or(usize::MAX, |max| max.saturating_sub(before));
        let high = self.dense(&sums, room)?;
        let largest = gaussians.whole(&gaussians.log_scales.f_detach()?.f_amax([1i64].as_slice(), false)?)?;
        let above = |scale: f64| largest.f_gt((scale * self.extent).ln());
        let small = above(config.clone_scale)?.f_logical_not()?;
        let (cloned, split) = (high.f_logical_and(&small)?, high.f_logical_and(&small.f_logical_not()?)?);

        let least = logit(config.prune_opacity);
        let faint = gaussians.whole(&gaussians.opacity_logits.f_detach()?.f_view([-1])?)?.f_lt(least)?;
        let (mut gone, mut halves_gone) = (faint.shallow_clone(), faint);
        if step > config.reset_every && config.reset_every > 0 {
            gone = gone.f_logical_or(&above(config.prune_scale)?)?;
            // A half is smaller than the whole by `split_factor`.
            halves_gone = halves_gone.f_logical_or(&above(config.prune_scale * config.split_factor)?)?;
            if let Some(radius) = config.prune_radius {
                let wide = sums[2].f_gt(radius)?;
                gone = gone.f_logical_or(&wide)?;
            }
        }
        let but = |a: &Tensor, b: &Tensor| -> Result<Tensor> { Ok(a.f_logical_and(&b.f_logical_not()?)?) };
        let kept = rows_of(&gone.f_logical_or(&split)?.f_logical_not()?)?;
        let clones = rows_of(&but(&cloned, &gone)?)?;
        let halves = rows_of(&but(&split, &halves_gone)?)?;
        let [kept_n, clones_n, halves_n] = [&kept, &clones, &halves].map(|t| t.size()[0]);

        let rows = Rows { index: Tensor::f_cat(&[&kept, &clones, &halves, &halves], 0)?, fresh_from: kept_n };
        gaussians.rearrange(optimizer, &rows)?;
        if halves_n > 0 {
            let places = gaussians.places()?.f_sub_scalar(kept_n + clones_n)?;
            let own = rows_of(&places.f_ge(0)?)?;
            let of = |t: &Tensor| t.f_detach()?.f_index_select(0, &own);
            // Each half is placed by a sample of the Gaussian: R diag(scales) n with a normal n.
            let normal = self.noise.at(step, 2 * halves_n, gaussians.device())?;
            let normal = normal.f_index_select(0, &places.f_index_select(0, &own)?)?;
            let local = of(&gaussians.log_scales)?.f_exp()?.f_mul(&normal)?;
            let offsets = rotate(&of(&gaussians.unit_rotations()?)?, &local)?;
            let _ = gaussians.means.f_detach()?.f_index_add_(0, &own, &offsets)?;
            let smaller = offsets.f_full_like(-config.split_factor.ln())?;
            let _ = gaussians.log_scales.f_detach()?.f_index_add_(0, &own, &smaller)?;
        }
        let after = gaussians.total();
        let grown = clones_n as usize + halves_n as usize;
        Ok(Change { cloned: clones_n as usize, split: halves_n as usize, pruned: before + grown - after })
    }
}

/// The inverse of the sigmoid.
fn logit(opacity: f64) -> f64 {
    (opacity / (1.0 - opacity)).ln()
}

impl Densify for Adc {
    fn works_on_shares(&self) -> bool {
        true
    }

    fn wants(&self, step: u64) -> Wants {
        match (step < self.config.until, self.config.absolute) {
            (false, _) => Wants::default(),
            (true, false) => Wants::default().signed(),
            (true, true) => Wants::default().absolute(),
        }
    }

    fn observe(&mut self, step: u64, seen: &Observation<'_>) -> Result<()> {
        if step >= self.config.until {
            self.sums = None;
            return Ok(());
        }
        let _guard = tch::no_grad_guard();
        let gradient = if self.config.absolute { seen.means2d_abs } else { seen.means2d };
        let Some(gradient) = gradient.filter(|g| g.defined()) else { return Ok(()) };
        // Lengths; z of means2d is zero.
        let length = gradient.f_select(1, 0)?.f_hypot(&gradient.f_select(1, 1)?)?;
        let length = if self.config.near > 0.0 { self.by_depth(&length, seen)? } else { length };
        if self.sums.is_none() {
            let zeros = || length.f_zeros_like();
            self.sums = Some([zeros()?, zeros()?, zeros()?]);
        }
        let [sum, views, radius] = self.sums.as_mut().expect("made above");
        let _ = sum.f_add_(&length)?;
        let _ = views.f_add_(&seen.radii.f_gt(0)?)?;
        if self.config.prune_radius.is_some() {
            *radius = radius.f_maximum(&seen.radii.f_to_kind(Kind::Float)?)?;
        }
        Ok(())
    }

    fn refine(
        &mut self,
        step: u64,
        gaussians: &mut Gaussians,
        optimizer: &mut Optimizer,
    ) -> Result<Option<Change>> {
        let AdcConfig { from, until, every, .. } = self.config;
        let change = due(step, from, until, every)
            .then(|| self.grow_and_prune(step, gaussians, optimizer))
            .transpose()?;
        let config = &self.config;
        let regular = config.reset_every > 0 && step > 0 && step.is_multiple_of(config.reset_every);
        if step < config.until && (regular || config.reset_at_start && step == config.from) {
            self.reset(gaussians, optimizer)?;
        }
        Ok(change)
    }

    fn state(&self) -> Vec<(&'static str, &Tensor)> {
        self.sums.iter().flat_map(|sums| SUMS.into_iter().zip(sums)).collect()
    }

    fn restore(&mut self, state: &mut dyn FnMut(&str) -> Result<Option<Tensor>>) -> Result<()> {
        // A checkpoint right after a refinement, or after the last one, has none.
        self.sums = match (state(SUMS[0])?, state(SUMS[1])?, state(SUMS[2])?) {
            (Some(sum), Some(views), Some(radius)) => Some([sum, views, radius]),
            _ => None,
        };
        Ok(())
    }
}
