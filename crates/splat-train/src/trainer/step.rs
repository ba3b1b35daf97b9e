//! One step: densification, the next view, forward, loss, backward, Adam. It queues work on the device and reads nothing
//! back, except where the strategy refines.

use splat_tch::{Background, Camera, Mark, Settings, gradients};
use tch::{Kind, Tensor};

use super::Trainer;
use crate::profile::{Phase, Profile};
use crate::{Change, Comparison, Error, Observation, Probe, Result, Target, loss};

/// What a step leaves on the device, possibly still being computed.
#[derive(Debug)]
#[non_exhaustive]
pub struct StepResult {
    /// The view that was trained on, an index into [`Views`](crate::Views).
    pub view: usize,
    /// The loss before the update, a scalar without a graph.
    pub loss: Tensor,
    /// The render with the exposure of its view and the response of its camera, `[3,H,W]`, without a graph, not clamped.
    pub image: Tensor,
    /// What it was compared with.
    pub target: Target,
    /// What the refinement before the step did, if there was one.
    pub change: Option<Change>,
}

impl Trainer {
    /// Takes one step on the next view.
    ///
    /// # Errors
    /// [`Error::NoViews`]; [`Error::Emptied`]; a photograph that cannot be read any more; out of device memory; what the
    /// loss or the strategy return.
    pub fn step(&mut self) -> Result<StepResult> {
        let step = self.steps + 1;
        let change = self.refine()?;
        let i = self.order.next().ok_or(Error::NoViews)?;
        self.views.announce(self.order.coming());
        self.schedule(step);
        let device = self.backend.device();
        if let Some(profile) = &mut self.profile {
            profile.begin(step, device)?;
        }
        let thinned = self.dropout.thin(step, &self.gaussians)?;
        let (camera, target) = self.view(i, step)?;
        let camera = camera.as_ref().unwrap_or_else(|| self.views.camera(i));
        mark(&mut self.profile, Phase::Data, device)?;

        let wants = self.densify.wants(step);
        (self.settings.weight_sum, self.settings.weight_max) = (wants.weights, wants.weights);
        let probe = self.densify.probe(step, &self.gaussians)?;
        let shown = thinned.as_ref().unwrap_or(&self.gaussians);
        let rendered = shown.render(camera, &self.settings, &probe)?;
        mark(&mut self.profile, Phase::Render, device)?;

        let image = match &self.exposures {
            Some(exposures) => exposures.apply(i, &rendered.color)?,
            None => rendered.color,
        };
        let image = match &self.responses {
            Some(responses) => responses.apply(i, &image)?,
            None => image,
        };
        let mut total = self.loss.loss(&Comparison {
            image: &image,
            target: &target.color,
            mask: target.mask.as_ref(),
            step,
            backend: &self.backend,
        })?;
        let errors = wants.errors.then(|| self.errors(camera, &image, &target)).transpose()?.flatten();
        if let (Some(weight), Some(depth)) = (&self.config.depth, &target.inv_depth) {
            let depth = loss::inverse_depth(&rendered.inv_depth, depth)?;
            total = total.f_add(&depth.f_mul_scalar(weight.at(step))?)?;
        }
        mark(&mut self.profile, Phase::Loss, device)?;

        let mut leaves: Vec<&Tensor> = self.gaussians.parameters().to_vec();
        leaves.extend(probe.leaves());
        leaves.extend(self.exposures.iter().map(|e| &e.maps));
        leaves.extend(self.responses.iter().map(|r| &r.values));
        leaves.extend(self.poses.iter().map(|p| &p.corrections));
        let mut found = gradients(&total, &leaves)?.into_iter();
        let mut of_gaussians: Vec<Tensor> = found.by_ref().take(6).collect();
        let weights = self.regularization;
        loss::regularize(&self.gaussians, &mut of_gaussians, weights.opacity, weights.scale)?;
        let means2d = probe.means2d.is_some().then(|| found.next()).flatten();
        let means2d_abs = probe.means2d_abs.is_some().then(|| found.next()).flatten();
        mark(&mut self.profile, Phase::Backward, device)?;

        self.optimizer.step(&self.gaussians.parameters(), &of_gaussians)?;
        drop(of_gaussians);
        self.average.follow(step, &self.gaussians)?;
        if let Some(exposures) = &mut self.exposures
            && let Some(gradient) = found.next()
        {
            exposures.step(step, i, gradient)?;
        }
        if let Some(responses) = &mut self.responses
            && let Some(gradient) = found.next()
        {
            responses.step(step, i, gradient)?;
        }
        if let Some(poses) = &mut self.poses
            && let Some(gradient) = found.next()
        {
            poses.step(step, i, gradient)?;
        }
        mark(&mut self.profile, Phase::Optimizer, device)?;

        let means = self.gaussians.means.f_detach()?;
        let seen = Observation {
            means2d: means2d.as_ref(),
            means2d_abs: means2d_abs.as_ref(),
            weight_sum: rendered.weight_sum.as_ref(),
            weight_max: rendered.weight_max.as_ref(),
            weight_error: errors.as_ref(),
            ..Observation::new(self.views.camera(i), &means, &rendered.radii)
        };
        self.densify.observe(step, &seen)?;
        mark(&mut self.profile, Phase::Densify, device)?;
        self.steps = step;
        Ok(StepResult { view: i, loss: total.f_detach()?, image: image.f_detach()?, target, change })
    }

    /// How much each Gaussian contributes to the pixels of `image` that are not as in `target`, `[P]`.
    fn errors(&self, camera: &Camera, image: &Tensor, target: &Target) -> Result<Option<Tensor>> {
        let _guard = tch::no_grad_guard();
        let error = image.f_detach()?.f_sub(&target.color)?.f_abs()?;
        let error = error.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        let error = match &target.mask {
            Some(mask) => error.f_mul(&mask.f_squeeze_dim(0)?)?,
            None => error,
        };
        let settings = Settings {
            weight_image: Some(error),
            weight_sum: false,
            weight_max: false,
            ..self.settings.clone()
        };
        Ok(self.gaussians.render(camera, &settings, &Probe::default())?.weight_image)
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
            if self.gaussians.is_empty() {
                return Err(Error::Emptied { step: self.steps });
            }
        }
        Ok(change)
    }

    /// Sets what depends on the step: SH degree and learning rates.
    fn schedule(&mut self, step: u64) {
        let degree = self.config.active_degree(step);
        self.settings.sh_degree = degree;
        self.optimizer.set_rates(self.config.rates.at(step, self.extent));
        if degree == 0 {
            // No gradient reaches these, and their moments are zero: leaving them out gives the same result for less.
            self.optimizer.group_mut("sh_rest").rate = 0.0;
        }
    }

    /// The target of view `i` over the background of the step, and its camera unless that is the dataset's: where it is
    /// smaller, or where its pose is corrected.
    fn view(&mut self, i: usize, step: u64) -> Result<(Option<Camera>, Target)> {
        let background = match &self.backgrounds {
            Some(all) => all.f_select(0, (step - 1).min(all.size()[0] as u64 - 1) as i64)?,
            None => self.background.shallow_clone(),
        };
        self.settings.background = Background::Tensor(background.shallow_clone());
        let mut target = self.views.target(i, &background)?;
        let reduction = self.config.reduction(step);
        if reduction == 1 && self.poses.is_none() {
            return Ok((None, target));
        }
        let mut core = self.views.camera(i).core().clone();
        if reduction > 1 {
            core.width = (core.width / reduction).max(1);
            core.height = (core.height / reduction).max(1);
            target = target.reduced(i64::from(core.height), i64::from(core.width))?;
        }
        let camera = match &self.poses {
            Some(poses) => poses.camera(&core, i)?,
            None => Camera::new(core, self.backend.device())?,
        };
        Ok((Some(camera), target))
    }
}

fn mark(profile: &mut Option<Profile>, phase: Phase, device: tch::Device) -> Result<()> {
    match profile {
        Some(profile) => profile.end(phase, device),
        None => Ok(()),
    }
}
