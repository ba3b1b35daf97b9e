//! Every gradient against central finite differences in f64, to 1e-6 relative.
//!
//! The thresholds of the contract make the image jump, so differences are taken in the smooth cut-off mode
//! and compared with the exact derivatives; the places where the original's formulas are not the derivative
//! are shown one by one below.

use crate::differences::{Problem, STEP, assert_close, deviation, five_points, smooth};
use crate::random::{Owned, settings};
use splat_core::{Channel, Derivative, Settings, Tuning, Wanted, backward_with, forward_with};

/// Every input that the scene uses, and the projected centres. On one thread: the renders are tiny.
fn check(name: &str, scene: &Owned<f64>, settings: Settings<f64>) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    pool.install(|| check_here(name, scene, settings));
}

fn check_here(name: &str, scene: &Owned<f64>, settings: Settings<f64>) {
    let problem = Problem::new(settings);
    let grad = problem.gradients(scene, &smooth());
    let truth = |field| problem.differences(scene, field);
    assert_close(&format!("{name}: means3D"), &grad.means3d, &truth(|s| &mut s.means3d));
    assert_close(&format!("{name}: opacities"), &grad.opacities, &truth(|s| &mut s.opacities));
    if scene.use_sh {
        assert_close(&format!("{name}: shs"), &grad.sh, &truth(|s| &mut s.sh));
    } else {
        assert_close(&format!("{name}: colors"), &grad.colors, &truth(|s| &mut s.colors));
    }
    if scene.use_cov {
        assert_close(&format!("{name}: cov3D"), &grad.cov3d, &truth(|s| &mut s.cov3d));
    } else {
        assert_close(&format!("{name}: scales"), &grad.scales, &truth(|s| &mut s.scales));
        assert_close(&format!("{name}: rotations"), &grad.rotations, &truth(|s| &mut s.rotations));
    }
    let p = scene.opacities.len();
    let shifted: Vec<f64> = (0..2 * p)
        .map(|i| {
            five_points(STEP, |x| {
                let mut shift = vec![0.0; 2 * p];
                shift[i] = x;
                problem.loss(scene, &Tuning { ndc_shift: &shift, ..smooth() })
            })
        })
        .collect();
    let ours: Vec<f64> = grad.means2d.chunks_exact(3).flat_map(|g| [g[0], g[1]]).collect();
    assert_close(&format!("{name}: means2D"), &ours, &shifted);
    assert!(grad.means2d.chunks_exact(3).all(|g| g[2] == 0.0), "{name}: means2D z is not zero");
}

fn scene(seed: u64) -> Owned<f64> {
    Owned::new(seed, 7, (0.15, 0.5))
}

/// SH of each degree, scales and rotations.
#[test]
fn sh_scales_and_rotations() {
    for degree in 0..=3 {
        check(&format!("degree {degree}"), &scene(1), Settings { sh_degree: degree, ..settings() });
    }
}

/// Colours and covariances given.
#[test]
fn colors_and_covariances() {
    let given = Owned { use_sh: false, use_cov: true, ..scene(2) };
    check("given", &given, settings());
}

/// The antialiasing factor has gradients of its own, largest for small Gaussians.
#[test]
fn antialiasing() {
    let small = Owned::new(3, 7, (0.02, 0.2));
    check("antialiasing", &small, Settings { antialiasing: true, ..settings() });
    let given = Owned { use_sh: false, use_cov: true, ..small };
    check("antialiasing, given", &given, Settings { antialiasing: true, ..settings() });
}

/// The gradient for scales counts the modifier.
#[test]
fn scale_modifier() {
    check("modifier 0.7", &scene(4), Settings { scale_modifier: 0.7, ..settings() });
}

/// Without an upstream gradient for an output, its part of every gradient is missing and nothing else.
#[test]
fn absent_upstream_gradients_count_as_zero() {
    let (scene, problem) = (scene(5), Problem::new(settings()));
    let s = scene.scene();
    let out =
        forward_with(&s, &problem.camera, &problem.settings, &Wanted::images(), &smooth()).expect("forward");
    let whole = problem.weights.upstream();
    let grad = |up: &splat_core::Upstream<f64>| {
        let saved = out.saved.as_ref();
        backward_with(&s, &problem.camera, &problem.settings, saved, &out.radii, up, &smooth())
            .expect("backward")
    };
    let none = splat_core::Upstream::default();
    let parts = [
        grad(&splat_core::Upstream { color: whole.color, ..none }),
        grad(&splat_core::Upstream { inv_depth: whole.inv_depth, ..none }),
        grad(&splat_core::Upstream { depth: whole.depth, ..none }),
        grad(&splat_core::Upstream { alpha: whole.alpha, ..none }),
    ];
    let sum: Vec<f64> = (0..3 * 7).map(|i| parts.iter().map(|g| g.means3d[i]).sum()).collect();
    let worst = deviation(&sum, &grad(&whole).means3d);
    assert!(worst < 1e-12, "parts do not add up: {worst:e}");
    assert!(grad(&none).means3d.iter().all(|&x| x == 0.0), "no upstream gradient, yet a gradient");
}

/// A Gaussian far outside the field of view: the exact formula is the derivative, the original's is not.
#[test]
fn clamped_jacobian_is_the_documented_difference() {
    let mut scene = scene(6);
    // x/z = 1.5, beyond 1.3 tan(fov/2) of this camera, yet wide enough to reach the image.
    scene.means3d[..3].copy_from_slice(&[4.2, 0.3, 2.6]);
    scene.scales[..3].copy_from_slice(&[1.5, 1.2, 1.4]);
    let problem = Problem::new(settings());
    let truth = problem.differences(&scene, |s| &mut s.means3d);
    assert_close("clamped, exact", &problem.gradients(&scene, &smooth()).means3d, &truth);
    let original = Tuning { derivative: Derivative::Original, ..smooth() };
    let theirs = problem.gradients(&scene, &original).means3d;
    let off = deviation(&theirs[..3], &truth[..3]);
    assert!(off > 1e-3, "the original's formula deviates by only {off:e} here");
    assert!(deviation(&theirs[3..], &truth[3..]) < 1e-3, "Gaussians inside the view are not concerned");
}

/// The original's gradient for scales leaves out the modifier.
#[test]
fn scale_modifier_is_the_documented_difference() {
    let problem = Problem::new(Settings { scale_modifier: 0.7, ..settings() });
    let original = Tuning { derivative: Derivative::Original, ..smooth() };
    let theirs = problem.gradients(&scene(4), &original).scales;
    let ours = problem.gradients(&scene(4), &smooth()).scales;
    let scaled: Vec<f64> = theirs.iter().map(|x| 0.7 * x).collect();
    let off = deviation(&scaled, &ours);
    assert!(off < 1e-5, "0.7 times the original's gradient deviates from the derivative by {off:e}");
}

/// The original takes the derivative of the antialiasing factor elsewhere.
#[test]
fn antialiasing_is_the_documented_difference() {
    let problem = Problem::new(Settings { antialiasing: true, ..settings() });
    let scene = Owned::new(3, 7, (0.02, 0.2));
    let original = Tuning { derivative: Derivative::Original, ..smooth() };
    let (theirs, ours) = (problem.gradients(&scene, &original), problem.gradients(&scene, &smooth()));
    assert!(deviation(&theirs.scales, &ours.scales) > 1e-2, "the two formulas agree here");
    assert!(deviation(&theirs.opacities, &ours.opacities) < 1e-12, "opacities are not concerned");
}

/// Alpha's cap of 0.99 passes gradients straight through: a fully opaque Gaussian still learns.
#[test]
fn the_cap_passes_gradients_straight_through() {
    let mut scene = Owned::<f64>::new(7, 1, (0.5, 0.6));
    scene.means3d = vec![0.1, 0.05, 3.0];
    scene.opacities = vec![1.0];
    let problem = Problem::new(settings());
    let contract = Tuning::default();
    let moved = |x: f64| Owned { opacities: vec![1.0 + x], ..scene.clone() };
    let center = (6 * 21 + 10) as usize;
    let pixel = |x: f64| {
        forward_with(&moved(x).scene(), &problem.camera, &problem.settings, &Wanted::images(), &contract)
            .expect("forward")
            .outputs[Channel::Alpha][center]
    };
    assert!((pixel(0.0) - 0.99).abs() < 1e-12 && pixel(0.0) == pixel(-1e-3), "the centre is at the cap");
    let mut up = vec![0.0; 21 * 13];
    up[center] = 1.0;
    let upstream = splat_core::Upstream { alpha: Some(&up), ..Default::default() };
    let out = forward_with(&scene.scene(), &problem.camera, &problem.settings, &Wanted::images(), &contract)
        .expect("forward");
    let saved = out.saved.as_ref();
    let grad = backward_with(
        &scene.scene(),
        &problem.camera,
        &problem.settings,
        saved,
        &out.radii,
        &upstream,
        &contract,
    )
    .expect("backward");
    assert!(grad.opacities[0] > 0.9, "the gradient is {}, not about 1", grad.opacities[0]);
}

/// Where no threshold is near, the contract's mode and the smooth mode are the same function.
#[test]
fn contract_and_smooth_modes_agree_away_from_thresholds() {
    let mut scene = Owned::<f64>::new(8, 5, (15.0, 25.0));
    scene.opacities = vec![0.3, 0.5, 0.2, 0.4, 0.35];
    let problem = Problem::new(settings());
    let contract = Tuning { derivative: Derivative::Exact, ..Tuning::default() };
    let difference = problem.loss(&scene, &contract) - problem.loss(&scene, &smooth());
    assert!(difference.abs() < 1e-12, "losses differ by {difference:e}");
    let (a, b) = (problem.gradients(&scene, &contract), problem.gradients(&scene, &smooth()));
    for (name, a, b) in [
        ("means3D", &a.means3d, &b.means3d),
        ("opacities", &a.opacities, &b.opacities),
        ("shs", &a.sh, &b.sh),
        ("scales", &a.scales, &b.scales),
        ("rotations", &a.rotations, &b.rotations),
    ] {
        let worst = deviation(a, b);
        assert!(worst < 1e-10, "{name}: {worst:e}");
    }
}
