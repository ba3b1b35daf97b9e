//! A pass that ends in a step, on the CPU engine; the GPU's test runs the same.

use crate::common::engines::hooked;
use crate::common::stepped;
use crate::common::stored::{self, Stored, eyes};
use splat_engine::Abilities;
use splat_tch::{
    Backend, Camera, Color, Settings, StepGroup, StepOptions, Target, Upstream, render, render_pass,
};
use tch::{Device, Kind, Tensor};

#[test]
fn a_pass_that_ends_in_a_step_is_the_backward_pass_and_adam() {
    stepped::is_backward_and_adam(&Backend::cpu());
}

#[test]
fn compact_steps_are_whole_ones_but_for_roundings() {
    stepped::compact_steps_are_whole_ones_but_for_roundings(&Backend::cpu());
}

#[test]
fn what_does_not_fit_is_refused() {
    let stored = Stored::new(10, None);
    let camera = Camera::new(eyes()[0].clone(), Device::Cpu).unwrap();
    let with = Settings { depth: false, alpha: false, ..stored::settings() };
    let means = stored.leaves[0].detach().copy();
    let zeros = means.zeros_like();
    let whole = |exp_avg_sq| splat_tch::Stored::Full { param: &means, exp_avg: &zeros, exp_avg_sq };
    let refused = |stored_as, target, pull: f32, upstream: &Upstream<'_>| {
        let (_, pass) = render_pass(&stored.gaussians(), &[&camera], &with).unwrap();
        let group =
            StepGroup { target, stored: stored_as, pull, step: 1, lr: 0.1, betas: [0.9, 0.99], eps: 1e-8 };
        pass.step(upstream, &[group], &StepOptions::default()).unwrap_err().to_string()
    };
    let none = Upstream::default();
    let short = zeros.narrow(0, 0, 5);
    let text = refused(whole(&short), Target::Means3d, 0.0, &none);
    assert!(text.contains("`exp_avg_sq` has shape [5, 3]") && text.contains("10 rows"), "{text}");
    let text = refused(whole(&zeros), Target::Rotations, 0.0, &none);
    assert!(text.contains("4 numbers in each"), "{text}");
    let text = refused(whole(&zeros), Target::Means3d, 0.5, &none);
    assert!(text.contains("`groups[0].pull` is 0.5"), "{text}");
    let wrong = Tensor::ones([3, 5, 5], (Kind::Float, Device::Cpu));
    let text = refused(whole(&zeros), Target::Means3d, 0.0, &Upstream { color: Some(&wrong), ..none });
    assert!(text.contains("`upstream` has shape [3, 5, 5]"), "{text}");
    let half = splat_tch::Stored::Half { param: &means, exp_avg: &zeros, root: &zeros };
    let text = refused(half, Target::Means3d, 0.0, &none);
    assert!(text.contains("`exp_avg` is Float, but must be BFloat16"), "{text}");
    assert!(means.equal(&stored.leaves[0].detach()), "nothing changes where something is refused");

    let rest = Tensor::zeros([10, 45], (Kind::Half, Device::Cpu));
    let color = Color::CompactSh { first: &stored.leaves[2], rest: &rest, coeffs: 16 };
    let scene = splat_tch::Gaussians { color, ..stored.gaussians() };
    let text = render(&scene, &camera, &with).unwrap_err().to_string();
    assert!(text.contains("[10, 45]") && text.contains("[10, 48]"), "{text}");
    let mut engine = hooked();
    engine.capabilities.abilities = Abilities(engine.capabilities.abilities.0 & !Abilities::STEP.0);
    let with = Settings { backend: Some(engine.backend()), ..with };
    let text = render_pass(&stored.gaussians(), &[&camera], &with).unwrap_err().to_string();
    assert!(text.contains("engine `hooked` does not support a backward pass that ends in a step"), "{text}");
}
