//! One view of a step: forward, loss, backward. What follows from it, and from the other views of the step, is `step.rs`'s.

use splat_tch::{Background, Camera, Settings, gradients};
use tch::{Kind, Tensor};

use super::{Trainer, fused};
use crate::profile::Phase;
use crate::{Gaussians, Observation, Probe, Result, Target, Wants, loss};

/// What the views of one pass leave on the device.
pub(super) struct Pass {
    /// The view that was compared, its loss (a scalar without a graph), its render and what that was compared with; none if
    /// this rank had no view.
    pub(super) compared: Option<Compared>,
    /// Gradients of [`Gaussians::parameters`], sums over the views, undefined where there is none; or nothing, because the pass
    /// has ended in the update of the Gaussians.
    pub(super) of_gaussians: Option<Vec<Tensor>>,
    /// Each view that was rendered.
    pub(super) seen: Vec<Seen>,
}

pub(super) struct Compared {
    pub(super) view: usize,
    pub(super) loss: Tensor,
    pub(super) image: Tensor,
    pub(super) target: Target,
}

/// What a view shows of the Gaussians, and the gradients of what is learned for it.
pub(super) struct Seen {
    pub(super) view: usize,
    pub(super) radii: Tensor,
    pub(super) means2d: Option<Tensor>,
    pub(super) means2d_abs: Option<Tensor>,
    pub(super) weight_sum: Option<Tensor>,
    pub(super) weight_max: Option<Tensor>,
    pub(super) weight_error: Option<Tensor>,
    pub(super) exposure: Option<Tensor>,
    pub(super) response: Option<Tensor>,
    pub(super) pose: Option<Tensor>,
}

impl Seen {
    pub(super) fn observation<'a>(&'a self, camera: &'a Camera, means: &'a Tensor) -> Observation<'a> {
        Observation {
            means2d: self.means2d.as_ref(),
            means2d_abs: self.means2d_abs.as_ref(),
            weight_sum: self.weight_sum.as_ref(),
            weight_max: self.weight_max.as_ref(),
            weight_error: self.weight_error.as_ref(),
            ..Observation::new(camera, means, &self.radii)
        }
    }
}

impl Trainer {
    /// View `i` in step `step`; `thinned` are the Gaussians that the step shows, unless all.
    pub(super) fn pass(&mut self, step: u64, i: usize, thinned: Option<&Gaussians>) -> Result<Pass> {
        let (camera, target) = self.view(i, step)?;
        let wants = self.wants(step);
        let camera = camera.as_ref().unwrap_or_else(|| self.views.camera(i));
        Self::mark(&mut self.profile, Phase::Data, self.backend.device())?;

        let probe = self.densify.probe(step, &self.gaussians)?;
        let (rendered, ending) = self.show(thinned.unwrap_or(&self.gaussians), camera, &probe)?;
        Self::mark(&mut self.profile, Phase::Render, self.backend.device())?;

        let (total, image) = self.compare(step, i, &rendered.color, &rendered.inv_depth, &target)?;
        let errors = self.error_image(wants, &image, &target)?;
        let weight_error = errors.map(|errors| self.errors(camera, errors)).transpose()?.flatten();
        Self::mark(&mut self.profile, Phase::Loss, self.backend.device())?;

        let graph = ending.is_none();
        let mut leaves = match &ending {
            Some(_) => vec![&rendered.color, &rendered.inv_depth],
            None => self.gaussians.parameters().to_vec(),
        };
        let own = leaves.len();
        leaves.extend(probe.leaves().filter(|_| graph));
        leaves.extend(self.learned_of_images());
        leaves.extend(self.poses.iter().map(|p| &p.corrections).filter(|_| graph));
        let mut found = gradients(&total, &leaves)?.into_iter();
        let first: Vec<Tensor> = found.by_ref().take(own).collect();
        let mut next = |there: bool| there.then(|| found.next()).flatten();
        let mut seen = Seen {
            view: i,
            radii: rendered.radii,
            means2d: next(graph && probe.means2d.is_some()),
            means2d_abs: next(graph && probe.means2d_abs.is_some()),
            weight_sum: rendered.weight_sum,
            weight_max: rendered.weight_max,
            weight_error,
            exposure: next(self.exposures.is_some()),
            response: next(self.responses.is_some()),
            pose: next(graph && self.poses.is_some()),
        };
        Self::mark(&mut self.profile, Phase::Backward, self.backend.device())?;
        let of_gaussians = match ending {
            None => Some(first),
            Some(ending) => {
                let options = self.step_options(&probe);
                let to = (&mut self.optimizer, &self.gaussians);
                let posed = self.poses.as_ref().map(|poses| (poses, camera));
                (seen.means2d, seen.means2d_abs, seen.pose) =
                    fused::finish(ending, to, self.regularization, &first, &options, posed)?;
                None
            }
        };
        let compared = Compared { view: i, loss: total.f_detach()?, image: image.f_detach()?, target };
        Ok(Pass { compared: Some(compared), of_gaussians, seen: vec![seen] })
    }

    /// What the strategy wants to know of the step, which the settings are made to give.
    pub(super) fn wants(&mut self, step: u64) -> Wants {
        let wants = self.densify.wants(step);
        (self.settings.weight_sum, self.settings.weight_max) = (wants.weights, wants.weights);
        wants
    }

    /// The loss of view `i`, with its graph, and the image that was compared: with the exposure of the view and the response of
    /// its camera.
    pub(super) fn compare(
        &self,
        step: u64,
        i: usize,
        color: &Tensor,
        inv_depth: &Tensor,
        target: &Target,
    ) -> Result<(Tensor, Tensor)> {
        let image = match &self.exposures {
            Some(exposures) => exposures.apply(i, color)?,
            None => color.shallow_clone(),
        };
        let image = match &self.responses {
            Some(responses) => responses.apply(i, &image)?,
            None => image,
        };
        let mut total = self.loss.loss(&crate::Comparison {
            image: &image,
            target: &target.color,
            mask: target.mask.as_ref(),
            step,
            backend: &self.backend,
        })?;
        if let (Some(weight), Some(depth)) = (&self.config.depth, &target.inv_depth) {
            let depth = loss::inverse_depth(inv_depth, depth)?;
            total = total.f_add(&depth.f_mul_scalar(weight.at(step))?)?;
        }
        Ok((total, image))
    }

    /// What is learned about images: leaves of the loss besides the Gaussians.
    pub(super) fn learned_of_images(&self) -> impl Iterator<Item = &Tensor> {
        let exposures = self.exposures.iter().map(|e| &e.maps);
        exposures.chain(self.responses.iter().map(|r| &r.values))
    }

    /// The absolute error of each pixel that the mask leaves, `[H,W]`, if the strategy wants to know who caused it.
    pub(super) fn error_image(
        &self,
        wants: Wants,
        image: &Tensor,
        target: &Target,
    ) -> Result<Option<Tensor>> {
        if !wants.errors {
            return Ok(None);
        }
        let _guard = tch::no_grad_guard();
        let error = image.f_detach()?.f_sub(&target.color)?.f_abs()?;
        let error = error.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        Ok(Some(match &target.mask {
            Some(mask) => error.f_mul(&mask.f_squeeze_dim(0)?)?,
            None => error,
        }))
    }

    /// The settings that give how much each Gaussian contributes to the pixels of `errors`.
    pub(super) fn blaming(&self, errors: Tensor) -> Settings {
        Settings { weight_image: Some(errors), weight_sum: false, weight_max: false, ..self.settings.clone() }
    }

    /// How much each Gaussian contributes to the pixels of `errors`, `[P]`.
    fn errors(&self, camera: &Camera, errors: Tensor) -> Result<Option<Tensor>> {
        let _guard = tch::no_grad_guard();
        Ok(self.gaussians.render(camera, &self.blaming(errors), &Probe::default())?.weight_image)
    }

    /// The target of view `i` over the background of the step, and its camera unless that is the dataset's: where it is
    /// smaller, or where its pose is corrected.
    pub(super) fn view(&mut self, i: usize, step: u64) -> Result<(Option<Camera>, Target)> {
        let background = match &self.backgrounds {
            Some(all) => all.f_select(0, (step - 1).min(all.size()[0] as u64 - 1) as i64)?,
            None => self.background.shallow_clone(),
        };
        self.settings.background = Background::Tensor(background.shallow_clone());
        let target = self.views.target(i, &background)?;
        let camera = self.camera(i, step)?;
        if self.config.reduction(step) == 1 {
            return Ok((camera, target));
        }
        let core = camera.as_ref().unwrap_or_else(|| self.views.camera(i)).core();
        let target = target.reduced(i64::from(core.height), i64::from(core.width))?;
        Ok((camera, target))
    }

    /// The camera of view `i` in step `step`, unless it is the dataset's.
    pub(super) fn camera(&self, i: usize, step: u64) -> Result<Option<Camera>> {
        let reduction = self.config.reduction(step);
        if reduction == 1 && self.poses.is_none() {
            return Ok(None);
        }
        let mut core = self.views.camera(i).core().clone();
        if reduction > 1 {
            core.width = (core.width / reduction).max(1);
            core.height = (core.height / reduction).max(1);
        }
        Ok(Some(match &self.poses {
            Some(poses) => poses.camera(&core, i)?,
            None => Camera::new(core, self.backend.device())?,
        }))
    }
}
