//! What the original does not have, through torch: stored values, split coefficients, features, several cameras,
//! orthographic cameras, and gradients for pose, background and absolute screen positions. Against the engine called
//! directly, and against finite differences of renders.

use crate::common::engines::hooked;
use crate::common::stored::{BACKGROUND, CHANNELS, Stored, core_settings, eyes, leaf, settings};
use crate::common::{
    HEIGHT, Random, Scene, WIDTH, assert_same_bits, camera, camera_on, numbers, weighted, weights,
};
use splat_core::Upstream;
use splat_cpu::host;
use splat_tch::{
    Backend, Background, Camera, Color, Gaussians, Mode, Settings, Shape, Values, Workspace, render,
    render_batch,
};
use tch::{Device, Kind, Tensor};

#[test]
fn several_cameras_with_everything_are_the_engines() {
    let eyes = eyes();
    let stored = Stored::new(40, Some(3));
    let on: Vec<Camera> = eyes.iter().map(|c| Camera::new(c.clone(), Device::Cpu).unwrap()).collect();
    let background = leaf(&BACKGROUND, &[3], Device::Cpu);
    let all = Settings { background: background.shallow_clone().into(), ..settings() };
    let got = render_batch(&stored.gaussians(), &on.iter().collect::<Vec<_>>(), &all).unwrap();
    let (h, w) = (i64::from(HEIGHT), i64::from(WIDTH));
    assert_eq!(got.color.size(), [3, 3, h, w]);
    assert_eq!(got.radii.size(), [3, stored.p]);
    assert_eq!(got.features.as_ref().unwrap().size(), [3, CHANNELS, h, w]);

    let cpu = splat_cpu::engine();
    let (scene, with) = (stored.core(), core_settings());
    let expected = host::forward_batch(&*cpu, &scene, &eyes, &with, None).unwrap();
    let images = [
        (&got.color, &expected.color),
        (&got.inv_depth, &expected.inv_depth),
        (got.depth.as_ref().unwrap(), expected.depth.as_ref().unwrap()),
        (got.alpha.as_ref().unwrap(), expected.alpha.as_ref().unwrap()),
        (got.features.as_ref().unwrap(), expected.features.as_ref().unwrap()),
    ];
    let mut loss = Tensor::from(0.0_f32);
    let mut weights = Vec::new();
    for (i, (image, expected)) in images.iter().enumerate() {
        assert_same_bits("image", &numbers(image), expected);
        let weight = Random::new(i as u64).vec(image.numel());
        loss += weighted(image, &Tensor::from_slice(&weight).view_as(image));
        weights.push(weight);
    }
    assert_eq!(Vec::<i32>::try_from(&got.radii.view(-1)).unwrap(), expected.radii);
    assert_eq!((got.counts.intersections, got.counts.rejected), (Some(expected.pairs()), Some(0)));
    loss.backward();

    let upstream = Upstream {
        color: Some(&weights[0]),
        inv_depth: Some(&weights[1]),
        depth: Some(&weights[2]),
        alpha: Some(&weights[3]),
        features: Some(&weights[4]),
        means2d_abs: true,
    };
    let (g, _) = host::backward_batch(&*cpu, &scene, &eyes, &with, &expected, &upstream).unwrap();
    let expected = [
        g.means3d,
        g.opacities,
        g.sh,
        g.sh_rest,
        g.scales,
        g.rotations,
        g.features,
        g.means2d,
        g.means2d_abs,
        g.background.to_vec(),
    ];
    for (i, (leaf, expected)) in stored.leaves.iter().chain([&background]).zip(&expected).enumerate() {
        assert_eq!(leaf.grad().size(), leaf.size(), "leaf {i}");
        assert_same_bits(&format!("leaf {i}"), &numbers(&leaf.grad()), expected);
        assert!(expected.iter().any(|x| *x != 0.0), "leaf {i}: the test would see nothing");
    }
}

#[test]
fn one_camera_of_a_batch_is_the_render_of_it() {
    let stored = Stored::new(20, None);
    let single = render(&stored.gaussians(), &camera_on(Device::Cpu), &settings()).unwrap();
    let batched = Stored::new(20, Some(1));
    let batch = render_batch(&batched.gaussians(), &[&camera_on(Device::Cpu)], &settings()).unwrap();
    assert_eq!(batch.color.size()[0], 1);
    assert_same_bits("color", &numbers(&batch.color), &numbers(&single.color));
    batch.color.sum(Kind::Float).backward();
    single.color.sum(Kind::Float).backward();
    assert_same_bits("means", &numbers(&batched.leaves[0].grad()), &numbers(&stored.leaves[0].grad()));
    assert_eq!(batched.leaves[7].grad().size(), [1, 20, 3]);
}

/// The matrix of a camera as rows, `[4,4]`.
fn rows(camera: &splat_core::Camera) -> Tensor {
    Tensor::from_slice(&camera.view).view([4, 4]).tr().contiguous()
}

#[test]
fn a_camera_with_a_pose_renders_as_without_and_its_pose_learns() {
    let eyes = eyes();
    let stored = Stored::new(40, None);
    let plain = render(&stored.gaussians(), &Camera::new(eyes[1].clone(), Device::Cpu).unwrap(), &settings());
    let plain = plain.unwrap();
    // The projection of one camera at the place of another.
    let pose = rows(&eyes[1]).set_requires_grad(true);
    let camera = Camera::with_pose(eyes[0].clone(), &pose).unwrap();
    let got = render(&stored.gaussians(), &camera, &settings()).unwrap();
    let worst = (&got.color - &plain.color).abs().max().double_value(&[]);
    assert!(worst < 1e-4, "the same camera renders {worst} elsewhere");

    weighted(&got.color, &weights(3, 5)).backward();
    let grad = pose.grad();
    let upstream = numbers(&weights(3, 5));
    let cpu = splat_cpu::engine();
    let (scene, with) = (stored.core(), core_settings());
    let expected = host::forward(&*cpu, &scene, &eyes[1], &with).unwrap();
    let upstream = Upstream { color: Some(&upstream), ..Upstream::default() };
    let expected = host::backward(&*cpu, &scene, &eyes[1], &with, &expected, &upstream).unwrap();
    let expected = Tensor::from_slice(&expected.view).view([4, 4]).tr();
    let off = (&grad - &expected).norm().double_value(&[]) / expected.norm().double_value(&[]);
    assert!(off < 1e-3, "the pose's gradient deviates by {off}");
    assert!(numbers(&grad.get(3)).iter().all(|x| *x == 0.0), "the last row is fixed");
}

/// Five-point finite differences of a loss in f32 are good to a percent or so where nothing crosses a threshold.
fn slope(f: &dyn Fn(f64) -> f64, step: f64) -> f64 {
    (8.0 * (f(step) - f(-step)) - (f(2.0 * step) - f(-2.0 * step))) / (12.0 * step)
}

#[test]
fn pose_and_background_gradients_are_the_derivatives() {
    // Wide, faint splats whose every pixel is far over the threshold: the image is smooth in the pose.
    let n = 6;
    let mut r = Random::new(3);
    let means = Tensor::from_slice(&r.vec(3 * n)).view([n as i64, 3]);
    let floats = (Kind::Float, Device::Cpu);
    let (opacities, scales) =
        (Tensor::full([n as i64], 0.3, floats), Tensor::full([n as i64, 3], 1.5, floats));
    let rotations = Tensor::from_slice(&r.vec(4 * n)).view([n as i64, 4]);
    let sh = Tensor::from_slice(&r.vec(12 * n)).view([n as i64, 4, 3]) * 0.3 + 1.0;
    let shape = Shape::ScaleRotation { scales: &scales, rotations: &rotations };
    let gaussians = Gaussians::new(&means, &opacities, Color::Sh(&sh), shape);
    // An orthographic camera too: the pose acts otherwise there.
    let eye = camera();
    let rotation = std::array::from_fn(|r| std::array::from_fn(|c| f64::from(eye.view[4 * c + r])));
    let translation = [12, 13, 14].map(|i| f64::from(eye.view[i]));
    let (w, h) = (f64::from(WIDTH), f64::from(HEIGHT));
    let inner = [8.0, 8.0, 0.45 * w, 0.6 * h];
    let flat = splat_core::Camera::from_orthographic(WIDTH, HEIGHT, inner, rotation, translation);
    for base in [eye, flat] {
        let weight = weights(3, 8) + 0.5;
        let loss = |pose: &Tensor, background: &Tensor| {
            let camera = Camera::with_pose(base.clone(), pose).unwrap();
            let background = Background::Tensor(background.shallow_clone());
            let settings = Settings { background, sh_degree: 1, ..Settings::default() };
            weighted(&render(&gaussians, &camera, &settings).unwrap().color, &weight)
        };
        let (pose, background) = (rows(&base).set_requires_grad(true), leaf(&BACKGROUND, &[3], Device::Cpu));
        loss(&pose, &background).backward();
        let grad = numbers(&pose.grad());
        let largest = grad.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        for (i, ours) in grad.iter().enumerate().take(12) {
            let moved = |x: f64| {
                let pose = pose.detach().copy();
                let _ = pose.view(-1).get(i as i64).f_add_scalar_(x).unwrap();
                loss(&pose, &background.detach()).double_value(&[])
            };
            let numeric = slope(&moved, 5e-3);
            let off = (numeric - f64::from(*ours)).abs();
            assert!(
                off < 0.02 * f64::from(largest),
                "{:?}, entry {i}: {ours}, by differences {numeric}",
                base.model
            );
        }
        for (i, ours) in numbers(&background.grad()).iter().enumerate() {
            let moved = |x: f64| {
                let background = background.detach().copy();
                let _ = background.get(i as i64).f_add_scalar_(x).unwrap();
                loss(&pose.detach(), &background).double_value(&[])
            };
            let numeric = slope(&moved, 0.1);
            assert!(
                (numeric - f64::from(*ours)).abs() < 1e-3 * numeric.abs().max(1.0),
                "{ours} and {numeric}"
            );
        }
    }
}

#[test]
fn stored_values_render_as_activated_ones() {
    let stored = Stored::new(30, None);
    let l = &stored.leaves;
    let length = l[5].square().sum_dim_intlist([1_i64].as_slice(), true, Kind::Float).sqrt();
    let (opacities, scales, rotations) = (l[1].sigmoid(), l[4].exp(), &l[5] / &length);
    let activated = Gaussians {
        opacities: &opacities,
        shape: Shape::ScaleRotation { scales: &scales, rotations: &rotations },
        ..stored.gaussians()
    };
    let by_torch =
        render(&activated, &camera_on(Device::Cpu), &Settings { values: Values::Activated, ..settings() })
            .unwrap();
    weighted(&by_torch.color, &weights(3, 2)).backward();
    let other = Stored::new(30, None);
    let fused = render(&other.gaussians(), &camera_on(Device::Cpu), &settings()).unwrap();
    weighted(&fused.color, &weights(3, 2)).backward();
    assert!((&fused.color - &by_torch.color).abs().max().double_value(&[]) < 1e-5);
    for i in [0, 1, 4, 5] {
        let (a, b) = (other.leaves[i].grad(), l[i].grad());
        let off = (&a - &b).norm().double_value(&[]) / b.norm().double_value(&[]);
        assert!(off < 1e-4, "leaf {i}: {off}");
    }
}

#[test]
fn splats_that_are_not_finite_are_counted() {
    let stored = Stored::new(10, None);
    let mut means = stored.leaves[0].detach().copy();
    let _ = means.narrow(0, 2, 3).fill_(f64::NAN);
    means = means.set_requires_grad(true);
    let got =
        render(&Gaussians { means3d: &means, ..stored.gaussians() }, &camera_on(Device::Cpu), &settings());
    let got = got.unwrap();
    assert_eq!(got.counts.rejected, Some(3));
    got.color.sum(Kind::Float).backward();
    assert!(numbers(&got.color).iter().all(|x| x.is_finite()));
    assert!(numbers(&means.grad().narrow(0, 2, 3)).iter().all(|x| *x == 0.0));
}

#[test]
fn a_workspace_tells_what_renders_needed() {
    let workspace = Workspace::new(&Backend::cpu()).unwrap();
    let stored = Stored::new(20, None);
    let with = Settings { workspace: Some(workspace.clone()), ..settings() };
    let first = render(&stored.gaussians(), &camera_on(Device::Cpu), &with).unwrap();
    let second = tch::no_grad(|| render(&stored.gaussians(), &camera_on(Device::Cpu), &with)).unwrap();
    for counts in [first.counts, second.counts] {
        let progress = workspace.progress(&counts, true).unwrap().unwrap();
        assert!(!progress.overflow && Some(progress.rendered) == first.counts.intersections, "{progress:?}");
    }
    let alone = render(&stored.gaussians(), &camera_on(Device::Cpu), &settings()).unwrap();
    let text = workspace.progress(&alone.counts, true).unwrap_err().to_string();
    assert!(text.contains("engine `cpu`") && text.contains("ticket"), "{text}");
    let other = Settings { backend: Some(hooked().backend()), ..with };
    let text = render(&stored.gaussians(), &camera_on(Device::Cpu), &other).unwrap_err().to_string();
    assert!(text.contains("belongs to engine `cpu`, but engine `hooked`"), "{text}");
}

#[test]
fn what_an_engine_does_not_support_is_refused_by_name() {
    let original = || {
        let mut engine = hooked();
        engine.capabilities.abilities = splat_engine::Abilities::STRIDED_INPUTS;
        engine.backend()
    };
    let scene = Scene::new(5);
    let plain = scene.gaussians(true, false);
    let compat = || Settings::new(&original());
    let camera = camera_on(Device::Cpu);
    render(&plain, &camera, &compat()).unwrap();
    let says = |g: &Gaussians<'_>, cameras: &[&Camera], s: Settings, part: &str| {
        let text = render_batch(g, cameras, &s).unwrap_err().to_string();
        assert!(
            text.contains("engine `hooked` does not support") && text.contains(part),
            "`{text}` without `{part}`"
        );
        assert!(text.contains("hint:"), "{text}");
    };
    let free = Gaussians { means2d: None, ..plain };
    says(&free, &[&camera], Settings { mode: Mode::Exact, ..compat() }, "mode `exact`");
    says(&free, &[&camera], Settings { values: Values::Raw, ..compat() }, "raw values");
    says(&free, &[&camera], Settings { reproducible: true, ..compat() }, "reproducible");
    says(&free, &[&camera, &camera], compat(), "2 cameras");
    let l = &scene.leaves;
    let (first, rest) = (l.sh.narrow(1, 0, 1), l.sh.narrow(1, 1, 15));
    let split = Color::SplitSh { first: &first, rest: &rest };
    says(&Gaussians { color: split, ..free }, &[&camera], compat(), "SplitSh");
    let background = Background::Tensor(leaf(&BACKGROUND, &[3], Device::Cpu));
    says(&free, &[&camera], Settings { background, ..compat() }, "a gradient for `background`");
    let posed =
        Camera::with_pose(crate::common::camera(), &rows(&crate::common::camera()).set_requires_grad(true))
            .unwrap();
    says(&free, &[&posed], compat(), "a gradient for `view`");
    // Without a graph there is nothing to refuse.
    tch::no_grad(|| render(&free, &posed, &compat())).unwrap();
    let none: &[&Camera] = &[];
    let text = render_batch(&free, none, &Settings::default()).unwrap_err().to_string();
    assert!(text.contains("0 cameras"), "{text}");
    let wide = Camera::new(splat_core::Camera { width: 99, ..crate::common::camera() }, Device::Cpu).unwrap();
    let text = render_batch(&free, &[&camera, &wide], &Settings::default()).unwrap_err().to_string();
    assert!(text.contains("camera 1 is 99x29") && text.contains("37x29"), "{text}");
    let tall = l.means3d.narrow(0, 0, 4);
    let text = render(&Gaussians { features: Some(&tall), ..free }, &camera, &Settings::default());
    assert!(text.unwrap_err().to_string().contains("`features` has shape [4, 3]"));
}
