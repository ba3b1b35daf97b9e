//! Gradients through torch are those of the engine called directly, bit for bit on the CPU; `means2d` is in
//! NDC units; inputs that require none get none.

use crate::common::{Scene, assert_same_bits, camera, camera_on, numbers, weighted, weights};
use splat_core::Upstream;
use splat_cpu::host;
use splat_tch::{Background, Color, Gaussians, Mode, Settings, render};
use tch::{Device, Kind, Tensor};

const BACKGROUND: [f32; 3] = [0.2, 0.5, 0.9];

/// Renders by torch and by the engine with the same upstream gradients and compares everything.
fn same_as_engine(sh: bool, covariance: bool, antialiasing: bool) {
    for mode in [Mode::Compat, Mode::Exact] {
        same_in_mode(sh, covariance, antialiasing, mode);
    }
}

fn same_in_mode(sh: bool, covariance: bool, antialiasing: bool, mode: Mode) {
    let scene = Scene::new(40);
    let (wc, wi, wd, wa) = (weights(3, 1), weights(1, 2), weights(1, 3), weights(1, 4));
    let core_settings = splat_core::Settings {
        background: BACKGROUND,
        scale_modifier: 1.25,
        sh_degree: 2,
        antialiasing,
        mode,
        ..splat_core::Settings::default()
    };
    let cpu = splat_cpu::engine();
    let expected = host::forward(&*cpu, &scene.core(sh, covariance), &camera(), &core_settings).unwrap();
    let [nc, ni, nd, na] = [&wc, &wi, &wd, &wa].map(numbers);
    let upstream = Upstream {
        color: Some(&nc),
        inv_depth: Some(&ni),
        depth: Some(&nd),
        alpha: Some(&na),
        ..Upstream::default()
    };
    let expected_grad =
        host::backward(&*cpu, &scene.core(sh, covariance), &camera(), &core_settings, &expected, &upstream)
            .unwrap();

    let settings = Settings {
        background: BACKGROUND.into(),
        scale_modifier: 1.25,
        sh_degree: 2,
        antialiasing,
        mode,
        depth: true,
        alpha: true,
        ..Settings::default()
    };
    let got = render(&scene.gaussians(sh, covariance), &camera_on(Device::Cpu), &settings).unwrap();
    let (depth, alpha) = (got.depth.as_ref().unwrap(), got.alpha.as_ref().unwrap());
    assert_same_bits("color", &numbers(&got.color), &expected.color);
    assert_same_bits("inv_depth", &numbers(&got.inv_depth), &expected.inv_depth);
    assert_same_bits("depth", &numbers(depth), expected.depth.as_ref().unwrap());
    assert_same_bits("alpha", &numbers(alpha), expected.alpha.as_ref().unwrap());
    assert_eq!(Vec::<i32>::try_from(&got.radii).unwrap(), expected.radii);
    assert!(expected.radii.iter().filter(|r| **r > 0).count() > 20, "the scene is seen");

    let loss = weighted(&got.color, &wc)
        + weighted(&got.inv_depth, &wi)
        + weighted(depth, &wd)
        + weighted(alpha, &wa);
    loss.backward();
    let l = &scene.leaves;
    let mut pairs = vec![
        ("means3d", &l.means3d, &expected_grad.means3d),
        ("means2d", &l.means2d, &expected_grad.means2d),
        ("opacities", &l.opacities, &expected_grad.opacities),
    ];
    pairs.push(if sh {
        ("sh", &l.sh, &expected_grad.sh)
    } else {
        ("colors", &l.colors, &expected_grad.colors)
    });
    if covariance {
        pairs.push(("cov3d", &l.cov3d, &expected_grad.cov3d));
    } else {
        pairs.push(("scales", &l.scales, &expected_grad.scales));
        pairs.push(("rotations", &l.rotations, &expected_grad.rotations));
    }
    for (name, leaf, expected) in pairs {
        let gradient = leaf.grad();
        assert_eq!(gradient.size(), leaf.size(), "{name}");
        assert_same_bits(name, &numbers(&gradient), expected);
        assert!(expected.iter().any(|g| *g != 0.0), "{name}: the test would see nothing");
    }
}

#[test]
fn sh_with_scales_and_rotations_is_the_engines() {
    same_as_engine(true, false, false);
}

#[test]
fn colors_with_covariances_is_the_engines() {
    same_as_engine(false, true, false);
}

#[test]
fn antialiasing_is_the_engines() {
    same_as_engine(true, true, true);
    same_as_engine(false, false, true);
}

#[test]
fn inputs_without_requires_grad_get_no_gradient() {
    let scene = Scene::new(20);
    let l = &scene.leaves;
    let fixed = [&l.means3d, &l.opacities, &l.sh, &l.scales].map(Tensor::detach);
    let shape = splat_tch::Shape::ScaleRotation { scales: &fixed[3], rotations: &l.rotations };
    let gaussians = Gaussians::new(&fixed[0], &fixed[1], Color::Sh(&fixed[2]), shape);
    let background = Tensor::from_slice(&BACKGROUND);
    let settings =
        Settings { background: Background::Tensor(background.shallow_clone()), ..Settings::default() };
    let got = render(&gaussians, &camera_on(Device::Cpu), &settings).unwrap();
    got.color.sum(Kind::Float).backward();
    assert!(l.rotations.grad().defined());
    for t in &fixed {
        assert!(!t.grad().defined());
    }
    assert!(!background.grad().defined(), "the background asked for none");
}

#[test]
fn a_loss_on_one_output_leaves_the_others_out() {
    let scene = Scene::new(20);
    let weight = weights(1, 9);
    let settings = Settings { alpha: true, ..Settings::default() };
    let got = render(&scene.gaussians(false, false), &camera_on(Device::Cpu), &settings).unwrap();
    weighted(got.alpha.as_ref().unwrap(), &weight).backward();

    let cpu = splat_cpu::engine();
    let (core, plain) =
        (scene.core(false, false), splat_core::Settings { mode: Mode::Exact, ..Default::default() });
    let expected = host::forward(&*cpu, &core, &camera(), &plain).unwrap();
    let alpha = numbers(&weight);
    let upstream = Upstream { alpha: Some(&alpha), ..Upstream::default() };
    let expected = host::backward(&*cpu, &core, &camera(), &plain, &expected, &upstream).unwrap();
    assert_same_bits("means3d", &numbers(&scene.leaves.means3d.grad()), &expected.means3d);
    assert!(numbers(&scene.leaves.colors.grad()).iter().all(|g| *g == 0.0), "alpha knows no colour");
}

#[test]
fn means2d_gradients_are_in_ndc_units() {
    // Moving every centre by d in NDC is what adding d * (row 3) to row 0 or 1 of `proj` does, and the
    // covariances do not depend on `proj`: so the sum of means2d's gradients is the derivative in d. The loss
    // is a ramp, whose derivative is the picture's mass: the cut at alpha 1/255, which finite differences see
    // and gradients do not, then counts little.
    let ramp = |n: u32| Tensor::arange(i64::from(n), (Kind::Float, Device::Cpu)) / f64::from(n);
    for axis in 0..2 {
        let scene = Scene::new(12);
        let weight =
            if axis == 0 { ramp(crate::common::WIDTH) } else { ramp(crate::common::HEIGHT).unsqueeze(1) };
        let loss = |camera: &splat_core::Camera| {
            let camera = splat_tch::Camera::new(camera.clone(), Device::Cpu).unwrap();
            let got = render(&scene.gaussians(false, false), &camera, &Settings::default()).unwrap();
            weighted(&got.color, &weight)
        };
        loss(&camera()).backward();
        let gradient = scene.leaves.means2d.grad();
        let shifted = |d: f32| {
            let mut c = camera();
            for column in 0..4 {
                c.proj[4 * column + axis] += d * c.proj[4 * column + 3];
            }
            loss(&c).double_value(&[])
        };
        let step = 0.004;
        let numeric = (shifted(step) - shifted(-step)) / (2.0 * f64::from(step));
        let analytic = gradient.select(1, axis as i64).sum(Kind::Double).double_value(&[]);
        assert!(
            (numeric - analytic).abs() < 0.05 * numeric.abs(),
            "axis {axis}: finite differences give {numeric}, means2d sums to {analytic}"
        );
        assert!(numbers(&gradient.select(1, 2)).iter().all(|z| *z == 0.0));
    }
}
