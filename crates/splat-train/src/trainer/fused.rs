//! The two ends of a step where the engine's backward pass ends in Adam: images that are leaves of torch's graph, and the way
//! from their gradients to updated parameters. No gradient of a parameter becomes a tensor.

use splat_tch::{Camera, Pass, Rendered, StepOptions, Upstream, gradients};
use tch::Tensor;

use super::Trainer;
use crate::{Gaussians, Optimizer, Poses, Probe, Regularization, Result};

/// The gradients of the projected centres and their absolute ones, and of the corrections of all poses, as far as they are
/// wanted.
type Further = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl Trainer {
    /// Whether steps end in the engine. Compact Gaussians have no other way to be updated; for others the backward pass and
    /// then Adam are faster by a twentieth with millions of Gaussians (`bench/results/compact.md`), though they take more memory.
    fn is_fused(&self) -> bool {
        self.gaussians.is_compact()
    }

    /// Renders what a step compares: with a pass, whose images then are leaves, or with a graph.
    pub(super) fn show(
        &self,
        shown: &Gaussians,
        camera: &Camera,
        probe: &Probe,
    ) -> Result<(Rendered, Option<Pass>)> {
        if !self.is_fused() {
            return Ok((shown.render(camera, &self.settings, probe)?, None));
        }
        let (mut rendered, pass) = shown.render_pass(camera, &self.settings)?;
        rendered.color = rendered.color.f_set_requires_grad(true)?;
        rendered.inv_depth = rendered.inv_depth.f_set_requires_grad(true)?;
        Ok((rendered, Some(pass)))
    }

    /// What the engine's step does besides: it gives what `probe` would receive.
    pub(super) fn step_options(&self, probe: &Probe) -> StepOptions {
        StepOptions {
            seed: self.config.seed,
            means2d: probe.means2d.is_some(),
            means2d_abs: probe.means2d_abs.is_some(),
            view: self.poses.is_some(),
            ..StepOptions::default()
        }
    }
}

/// Updates the Gaussians from the gradients of colour and inverse depth; undefined ones are zero.
pub(super) fn finish(
    pass: Pass,
    (optimizer, gaussians): (&mut Optimizer, &Gaussians),
    pull: Regularization,
    of_images: &[Tensor],
    options: &StepOptions,
    posed: Option<(&Poses, &Camera)>,
) -> Result<Further> {
    let given = |k: usize| of_images.get(k).filter(|gradient| gradient.defined());
    let upstream = Upstream { color: given(0), inv_depth: given(1), ..Upstream::default() };
    let out = optimizer.step_pass(pass, gaussians, &upstream, pull, options)?;
    let of_pose = match (posed, &out.view) {
        (Some((poses, camera)), Some(view)) => {
            gradients(&camera.with_gradient(view)?, &[&poses.corrections])?.pop()
        }
        _ => None,
    };
    Ok((out.means2d, out.means2d_abs, of_pose))
}
