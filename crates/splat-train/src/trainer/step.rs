//! One step: densification, the next views (`pass.rs`: forward, loss, backward), Adam. It queues work on the device and reads
//! nothing back, except where the strategy refines.

use splat_tch::Mark;
use tch::{Device, Tensor};

use super::Trainer;
use super::pass::{Compared, Seen};
use crate::profile::{Phase, Profile};
use crate::{Change, Error, Result, Target, loss};

/// What a step leaves on the device, possibly still being computed.
#[derive(Debug)]
#[non_exhaustive]
pub struct StepResult {
    /// The view that was trained on, the last one of several, an index into [`Views`](crate::Views).
    pub view: usize,
    /// The loss before the update, mean over the views, a scalar without a graph.
    pub loss: Tensor,
    /// The render with the exposure of its view and the response of its camera, `[3,H,W]`, without a graph, not clamped.
    pub image: Tensor,
    /// What it was compared with.
    pub target: Target,
    /// What the refinement before the step did, if there was one.
    pub change: Option<Change>,
}

impl Trainer {
    /// Takes one step on the next views, [`Config::batch`](crate::Config::batch) of them.
    ///
    /// # Errors
    /// [`Error::NoViews`]; [`Error::Emptied`]; a photograph that cannot be read any more; out of device memory; what the
    /// loss or the strategy return.
    pub fn step(&mut self) -> Result<StepResult> {
        let step = self.steps + 1;
        let change = self.refine()?;
        let views: Vec<usize> = self.order.by_ref().take(self.config.batch).collect();
        self.views.announce(self.order.coming());
        self.schedule(step);
        let device = self.backend.device();
        if let Some(profile) = &mut self.profile {
            profile.begin(step, device)?;
        }
        let thinned = self.dropout.thin(step, &self.gaussians)?;
        let (mut sums, mut seen, mut last) = (Vec::new(), Vec::with_capacity(views.len()), None);
        let (mut stepped, mut total) = (false, None::<Tensor>);
        let world = self.gaussians.shares.as_ref().map_or(1, |shares| shares.group.world());
        for round in views.chunks(world) {
            let pass = match &self.gaussians.shares {
                Some(_) => self.shared_pass(step, round, thinned.as_ref())?,
                None => self.pass(step, round[0], thinned.as_ref())?,
            };
            match pass.of_gaussians {
                Some(gradients) => add(&mut sums, gradients)?,
                None => stepped = true,
            }
            seen.extend(pass.seen);
            if let Some(compared) = pass.compared {
                let loss = &compared.loss;
                total = Some(total.map_or_else(|| Ok(loss.shallow_clone()), |sum| sum.f_add(loss))?);
                last = Some(compared);
            }
        }
        let (Some(mut total), Some(Compared { view, image, target, .. })) = (total, last) else {
            return Err(Error::NoViews);
        };
        if let Some(shares) = &self.gaussians.shares {
            shares.group.all_reduce(&mut total)?;
        }
        self.mean(&mut sums, &mut total)?;
        if !stepped {
            let weights = self.regularization;
            loss::regularize(&self.gaussians, &mut sums, weights.opacity, weights.scale)?;
            self.optimizer.step(&self.gaussians.parameters(), &sums)?;
        }
        drop(sums);
        self.average.follow(step, &self.gaussians)?;
        for seen in &mut seen {
            self.learn_views(step, seen)?;
        }
        Self::mark(&mut self.profile, Phase::Optimizer, device)?;

        let means = self.gaussians.means.f_detach()?;
        for seen in &seen {
            self.densify.observe(step, &seen.observation(self.views.camera(seen.view), &means))?;
        }
        Self::mark(&mut self.profile, Phase::Densify, device)?;
        self.steps = step;
        Ok(StepResult { view, loss: total.f_view([])?, image, target, change })
    }

    /// Makes sums over the views of a step their means.
    fn mean(&self, sums: &mut [Tensor], total: &mut Tensor) -> Result<()> {
        if self.config.batch == 1 {
            return Ok(());
        }
        let _guard = tch::no_grad_guard();
        for sum in sums.iter_mut().filter(|sum| sum.defined()).chain([total]) {
            let _ = sum.f_div_scalar_(self.config.batch as f64)?;
        }
        Ok(())
    }

    /// Updates what is learned for a view by its gradients.
    fn learn_views(&mut self, step: u64, seen: &mut Seen) -> Result<()> {
        if let (Some(exposures), Some(gradient)) = (&mut self.exposures, seen.exposure.take()) {
            exposures.step(step, seen.view, gradient)?;
        }
        if let (Some(responses), Some(gradient)) = (&mut self.responses, seen.response.take()) {
            responses.step(step, seen.view, gradient)?;
        }
        if let (Some(poses), Some(gradient)) = (&mut self.poses, seen.pose.take()) {
            poses.step(step, seen.view, gradient)?;
        }
        Ok(())
    }

    /// The refinement that the last step asked for. It comes before a step and not after one, so that between steps the
    /// scene is always optimised: a refinement costs quality, which the next steps regain.
    fn refine(&mut self) -> Result<Option<Change>> {
        let device = self.backend.device();
        let begin = self.profile.is_some().then(|| Mark::now(device)).transpose()?;
        let change = self.densify.refine(self.steps, &mut self.gaussians, &mut self.optimizer)?;
        if let (Some(profile), Some(begin), true) = (&mut self.profile, &begin, change.is_some()) {
            profile.refined(begin, device)?;
        }
        if change.is_some() {
            self.average.forget()?;
            if self.gaussians.total() == 0 {
                return Err(Error::Emptied { step: self.steps });
            }
        }
        Ok(change)
    }

    /// Sets what depends on the step: SH degree and learning rates.
    fn schedule(&mut self, step: u64) {
        let degree = self.config.active_degree(step);
        self.settings.sh_degree = degree;
        self.optimizer.set_rates(self.rates(step));
        if degree == 0 {
            // No gradient reaches these, and their moments are zero: leaving them out gives the same result for less.
            self.optimizer.group_mut("sh_rest").rate = 0.0;
        }
    }

    /// The learning rates of step `step`.
    pub(super) fn rates(&self, step: u64) -> [f64; 6] {
        let more = (self.config.batch as f64).sqrt();
        self.config.rates.at(step, self.extent).map(|rate| rate * more)
    }

    pub(super) fn mark(profile: &mut Option<Profile>, phase: Phase, device: Device) -> Result<()> {
        match profile {
            Some(profile) => profile.end(phase, device),
            None => Ok(()),
        }
    }
}

/// Adds gradients to sums, which are empty at first; undefined ones count as zero.
pub(super) fn add(sums: &mut Vec<Tensor>, gradients: Vec<Tensor>) -> Result<()> {
    if sums.is_empty() {
        *sums = gradients;
        return Ok(());
    }
    let _guard = tch::no_grad_guard();
    for (sum, gradient) in sums.iter_mut().zip(gradients) {
        match (sum.defined(), gradient.defined()) {
            (_, false) => {}
            (false, true) => *sum = gradient,
            (true, true) => drop(sum.f_add_(&gradient)?),
        }
    }
    Ok(())
}
