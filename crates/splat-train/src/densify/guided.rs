//! Growth where the error is: Gaussians that contribute to badly rendered pixels in several views are split along their
//! longest axis until a budget is reached; those that fade away are moved to where the error is; in the end those that no
//! view needs are removed.
//!
//! Ahead of a refinement some steps look at their errors: the view's absolute error is blended back, so that a Gaussian with
//! weight `w(p)` in pixel `p` of a view scores `s = sum_p w(p) e(p)` there, and `sum over views of s^consistency` in all: with
//! an exponent below 1 many views count more than one. Rows to split are drawn without replacement, each with a probability
//! that rises with its score (Efraimidis and Spirakis 2006). A pull on opacities makes Gaussians fade that no photograph needs
//! (as in Kheradmand et al. 2024).
//!
//! A half lies 0.6 standard deviations from the centre, is 0.7 times as long and 0.8 times as opaque, so that both together
//! look nearly like the whole: along the axis within 0.15 of an opaque whole.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{Budget, Change, Densify, Observation, Regularization, Wants, due, rotate, rows_of};
use crate::random::Draws;
use crate::{Gaussians, Optimizer, Result, Rows};

/// Scores below this count as this, so that a row nobody saw is drawn last and not never.
const LEAST_SCORE: f64 = 1e-12;
/// Where the centres of the halves lie on the longest axis.
const OFFSET: f64 = 0.6;
/// The halves' longest standard deviation and their opacity, as shares of the whole's.
const SHRINK: f64 = 0.7;
const FADE: f64 = 0.8;

/// The schedule and the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuidedConfig {
    /// The largest number of Gaussians; `None`: as [`Budget`](crate::Budget) finds right for the photographs.
    pub cap: Option<usize>,
    /// Refinements start after this step.
    pub from: u64,
    /// The budget is reached at this step.
    pub grow_until: u64,
    /// No refinement from this step on.
    pub until: u64,
    /// Steps between refinements.
    pub every: u64,
    /// This many steps ahead of a refinement look at their errors.
    pub surveys: u64,
    /// Exponent of a view's score.
    pub consistency: f64,
    /// A Gaussian with a lower opacity than this is moved.
    pub min_opacity: f64,
    /// Weight of the mean opacity in the loss of photographs that show something everywhere. Where they do not, the
    /// empty pixels make the loss of the others smaller, and this weight with it: it counts times
    /// [`Budget::covered`](crate::Budget).
    pub opacity_reg: f64,
    /// After the last refinement Gaussians are removed whose weight in every pixel of the views since was below this.
    pub prune_weight: f64,
    /// Steps from the last refinement to that removal.
    pub prune_after: u64,
}

impl Default for GuidedConfig {
    fn default() -> Self {
        Self {
            cap: None,
            from: 300,
            grow_until: 12_000,
            until: 25_500,
            every: 100,
            surveys: 12,
            consistency: 0.5,
            min_opacity: 0.005,
            opacity_reg: 0.01,
            prune_weight: 0.02,
            prune_after: 600,
        }
    }
}

/// The strategy, with the scores since the last refinement.
#[derive(Debug)]
pub struct Guided {
    config: GuidedConfig,
    cap: usize,
    /// The share of the photographs' pixels that show something.
    covered: f64,
    seed: u64,
    /// `[P]`: the scores, or after the last refinement the largest weights.
    score: Option<Tensor>,
}

impl Guided {
    /// The strategy. The number of `budget` counts unless the settings have one; without either, it does not grow.
    #[must_use]
    pub fn new(config: GuidedConfig, budget: Option<Budget>, seed: u64) -> Self {
        let cap = config.cap.or(budget.map(|b| b.cap)).unwrap_or(0);
        Self { config, cap, covered: budget.map_or(1.0, |b| b.covered), seed, score: None }
    }

    /// How many Gaussians to add to `before` at step `step`: geometric growth that reaches the budget in time.
    fn added(&self, step: u64, before: usize) -> usize {
        let GuidedConfig { grow_until, every, .. } = self.config;
        if before >= self.cap {
            return 0;
        }
        let left = grow_until.saturating_sub(step) / every + 1;
        let grown = before as f64 * (self.cap as f64 / before as f64).powf(1.0 / left as f64);
        (grown.ceil() as usize).min(self.cap) - before
    }

    fn rearrange(
        &mut self,
        step: u64,
        gaussians: &mut Gaussians,
        optimizer: &mut Optimizer,
    ) -> Result<Change> {
        let _guard = tch::no_grad_guard();
        let before = gaussians.total();
        let opacities = gaussians.whole(&gaussians.opacities()?.f_view([-1])?)?;
        let living = rows_of(&opacities.f_gt(self.config.min_opacity)?)?;
        let living_n = living.size()[0];
        let score = self.score.take().map(|score| gaussians.whole(&score)).transpose()?;
        let score = score.unwrap_or(opacities).f_index_select(0, &living)?;
        let dead_n = before as i64 - living_n;
        let split_n = (dead_n + self.added(step, before) as i64).min(living_n);
        if split_n == 0 {
            return Ok(Change::default());
        }
        let split = draw(&score, split_n, &mut Draws::new(self.seed ^ 0x4755_4944, step))?;
        let rows = Rows {
            index: Tensor::f_cat(&[&living, &living.f_index_select(0, &split)?], 0)?,
            fresh_from: living_n,
        };
        gaussians.rearrange(optimizer, &rows)?;
        // On which side of the whole each half lies; 0 for rows that are not halves.
        let sides = Tensor::f_zeros([living_n + split_n], (Kind::Float, split.device()))?;
        let sides = sides.f_index_fill(0, &split, 1.0)?;
        let _ = sides.f_narrow(0, living_n, split_n)?.f_fill_(-1.0)?;
        let sides = gaussians.own(&sides)?;
        let whole = sides.f_gt(0.0)?;
        for group in &mut optimizer.groups {
            group.forget(Some(&whole))?;
        }
        self.halve(gaussians, &sides)?;
        Ok(Change { cloned: 0, split: split_n as usize, pruned: dead_n as usize })
    }

    /// Makes halves of the rows whose side, `[P]`, is not 0.
    fn halve(&self, gaussians: &Gaussians, sides: &Tensor) -> Result<()> {
        let halves = rows_of(&sides.f_ne(0.0)?)?;
        let sides = sides.f_index_select(0, &halves)?.f_view([-1, 1])?;
        let log_scales = gaussians.log_scales.f_detach()?.f_index_select(0, &halves)?;
        let (largest, axis) = log_scales.f_max_dim(1, true)?;
        let along = log_scales.f_zeros_like()?.f_scatter_value(1, &axis, 1.0)?;
        let local = along.f_mul(&largest.f_exp()?.f_mul_scalar(OFFSET)?)?;
        let way = rotate(&gaussians.unit_rotations()?.f_index_select(0, &halves)?, &local)?;
        let _ = gaussians.means.f_detach()?.f_index_add_(0, &halves, &way.f_mul(&sides)?)?;
        let _ =
            gaussians.log_scales.f_detach()?.f_index_add_(0, &halves, &along.f_mul_scalar(SHRINK.ln())?)?;
        let opacity = gaussians.opacities()?.f_index_select(0, &halves)?.f_mul_scalar(FADE)?;
        let logit = opacity.f_clamp(self.config.min_opacity, 1.0 - f64::from(f32::EPSILON))?.f_logit(None)?;
        let _ = gaussians.opacity_logits.f_detach()?.f_index_copy_(0, &halves, &logit)?;
        Ok(())
    }

    /// Removes the rows that some view showed and none needed.
    fn consolidate(&mut self, gaussians: &mut Gaussians, optimizer: &mut Optimizer) -> Result<Change> {
        let _guard = tch::no_grad_guard();
        let Some(most) = self.score.take() else { return Ok(Change::default()) };
        let most = gaussians.whole(&most)?;
        let kept = rows_of(&most.f_ge(self.config.prune_weight)?.f_logical_or(&most.f_lt(0.0)?)?)?;
        let (before, after) = (gaussians.total(), kept.size()[0]);
        if after == 0 || after as usize == before {
            return Ok(Change::default());
        }
        gaussians.rearrange(optimizer, &Rows { index: kept, fresh_from: after })?;
        Ok(Change { pruned: before - after as usize, ..Change::default() })
    }

    /// The step after which the last removal comes.
    fn last(&self) -> Option<u64> {
        (self.config.prune_weight > 0.0).then(|| self.config.until + self.config.prune_after)
    }

    fn surveys(&self, step: u64) -> bool {
        let GuidedConfig { from, until, every, surveys, .. } = self.config;
        let next = step.div_ceil(every) * every;
        due(next, from, until, every) && next - step < surveys
    }

    fn gathers(&self, step: u64) -> bool {
        self.last().is_some_and(|last| step >= self.config.until && step <= last)
    }
}

/// `count` different rows, drawn with probabilities by `score` (`[P]`): those with the smallest `-ln(u) / score`.
fn draw(score: &Tensor, count: i64, draws: &mut Draws) -> Result<Tensor> {
    let uniform =
        Tensor::f_from_slice(&draws.uniform(score.size()[0] as usize))?.f_to_device(score.device())?;
    let weight = score.f_to_kind(Kind::Double)?.f_clamp_min(LEAST_SCORE)?;
    let keys = uniform.f_rsub_scalar(1.0)?.f_log()?.f_neg()?.f_div(&weight)?;
    Ok(keys.f_topk(count, 0, false, true)?.1)
}

impl Densify for Guided {
    fn works_on_shares(&self) -> bool {
        true
    }

    fn wants(&self, step: u64) -> Wants {
        Wants { errors: self.surveys(step), weights: self.gathers(step), ..Wants::default() }
    }

    fn regularization(&self) -> Regularization {
        Regularization { opacity: self.config.opacity_reg * self.covered, scale: 0.0 }
    }

    fn observe(&mut self, step: u64, seen: &Observation<'_>) -> Result<()> {
        let _guard = tch::no_grad_guard();
        if let Some(errors) = seen.weight_error.filter(|_| self.surveys(step)) {
            let score = errors.f_pow_tensor_scalar(self.config.consistency)?;
            self.score = Some(match &self.score {
                Some(sum) => sum.f_add(&score)?,
                None => score,
            });
        } else if let Some(most) = seen.weight_max.filter(|_| self.gathers(step)) {
            // Rows outside all images stay at -1: nothing is known of them.
            let most = most.f_masked_fill(&seen.radii.f_le(0)?, -1.0)?;
            self.score = Some(match &self.score {
                Some(so_far) => so_far.f_maximum(&most)?,
                None => most,
            });
        }
        Ok(())
    }

    fn refine(
        &mut self,
        step: u64,
        gaussians: &mut Gaussians,
        optimizer: &mut Optimizer,
    ) -> Result<Option<Change>> {
        let GuidedConfig { from, until, every, .. } = self.config;
        let change = if due(step, from, until, every) {
            Some(self.rearrange(step, gaussians, optimizer)?)
        } else if self.last() == Some(step) {
            Some(self.consolidate(gaussians, optimizer)?)
        } else {
            None
        };
        Ok(change)
    }

    fn state(&self) -> Vec<(&'static str, &Tensor)> {
        self.score.iter().map(|score| ("score", score)).collect()
    }

    fn restore(&mut self, state: &mut dyn FnMut(&str) -> Result<Option<Tensor>>) -> Result<()> {
        self.score = state("score")?;
        Ok(())
    }
}
