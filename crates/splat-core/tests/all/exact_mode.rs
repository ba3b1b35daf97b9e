//! Mode `exact` against a naive renderer that looks at every Gaussian in every pixel, and what modes, batches and
//! stored values have in common.

use crate::random::{Owned, Weights, camera, orthographic_camera, settings, shifted_camera};
use splat_core::{
    Camera, Channel, Cutoff, Mode, Settings, Tuning, Values, Wanted, backward, forward, forward_with,
};

fn exact() -> Settings<f64> {
    Settings { mode: Mode::Exact, ..settings() }
}

/// Alpha image of `scene`, pixel by pixel, from Gaussians rendered one at a time without any threshold: then the alpha
/// image of a single Gaussian is its alpha in every pixel.
fn naive_alpha(scene: &Owned<f64>, camera: &Camera<f64>) -> (Vec<f64>, Vec<bool>) {
    let smooth = Tuning { cutoff: Cutoff::Smooth, ..Tuning::default() };
    let p = scene.opacities.len();
    let depth = |i: usize| {
        let m = &scene.means3d[3 * i..3 * i + 3];
        (0..3).map(|k| camera.view[4 * k + 2] * m[k]).sum::<f64>() + camera.view[14]
    };
    let mut order: Vec<usize> = (0..p).collect();
    order.sort_by(|&a, &b| depth(a).total_cmp(&depth(b)));
    let mut t = vec![1.0; (camera.width * camera.height) as usize];
    let mut done = vec![false; t.len()];
    let mut touches = vec![false; p];
    for i in order {
        let one = forward_with(&scene.permuted(&[i]).scene(), camera, &exact(), &Wanted::images(), &smooth)
            .expect("forward");
        for (at, alpha) in one.outputs[Channel::Alpha].iter().enumerate() {
            let alpha = alpha.min(0.99);
            if alpha < 1.0 / 255.0 {
                continue;
            }
            touches[i] = true;
            if !done[at] {
                if t[at] * (1.0 - alpha) < 1e-4 {
                    done[at] = true;
                } else {
                    t[at] *= 1.0 - alpha;
                }
            }
        }
    }
    (t.into_iter().map(|t| 1.0 - t).collect(), touches)
}

/// Every pixel where alpha is 1/255 or more, and no other: needles, faint and opaque Gaussians, centres outside.
#[test]
fn exact_mode_reaches_what_brute_force_reaches() {
    for (seed, camera) in [(1, camera(50, 37)), (2, shifted_camera(33, 40)), (3, orthographic_camera(40, 33))]
    {
        let mut scene = Owned::<f64>::new(seed, 40, (0.01, 0.2));
        for i in 0..40 {
            if i % 3 == 0 {
                scene.scales[3 * i] *= 20.0;
            }
            if i % 4 == 0 {
                scene.means3d[3 * i] += 3.0 * f64::from(i as u32 % 8) - 6.0;
            }
            scene.opacities[i] = match i % 5 {
                0 => 1.0,
                1 => 0.005,
                2 => 0.0039,
                _ => scene.opacities[i],
            };
        }
        let out = forward(&scene.scene(), &camera, &exact()).expect("forward");
        let (alpha, touches) = naive_alpha(&scene, &camera);
        for (at, (a, b)) in out.outputs[Channel::Alpha].iter().zip(&alpha).enumerate() {
            assert!((a - b).abs() < 1e-12, "seed {seed}, pixel {at}: {a} and by brute force {b}");
        }
        for (i, touches) in touches.into_iter().enumerate() {
            assert!(!touches || out.radii[i] > 0, "seed {seed}: Gaussian {i} is seen but has radius 0");
        }
        let faint = (0..40).filter(|i| i % 5 == 2);
        assert!(faint.into_iter().all(|i| out.radii[i] == 0), "a Gaussian under 1/255 covers no pixel");
    }
}

/// The 3-sigma square leaves out pixels that mode `exact` has, and adds none.
#[test]
fn compat_mode_truncates() {
    let camera = camera(120, 90);
    let mut more = 0;
    for seed in 0..10 {
        let scene = Owned { opacities: vec![0.99], ..Owned::<f64>::new(seed, 1, (0.3, 0.3)) };
        let a = forward(&scene.scene(), &camera, &exact()).expect("exact");
        let b = forward(&scene.scene(), &camera, &settings()).expect("compat");
        more +=
            a.outputs[Channel::Alpha].iter().zip(&b.outputs[Channel::Alpha]).filter(|(a, b)| a > b).count();
        assert!(
            a.outputs[Channel::Alpha].iter().zip(&b.outputs[Channel::Alpha]).all(|(a, b)| a >= b),
            "seed {seed}: a pixel is missing"
        );
        assert_eq!(a.radii, b.radii);
    }
    assert!(more > 0, "no square truncates a Gaussian here");
}

/// Stored values and activated ones are the same scene.
#[test]
fn raw_and_activated_values_render_alike() {
    let plain = Owned::<f64>::new(5, 30, (0.02, 0.4));
    let unit = plain.rotations.chunks_exact(4).flat_map(|q| {
        let length = q.iter().map(|x| x * x).sum::<f64>().sqrt();
        q.iter().map(move |x| x / length).collect::<Vec<_>>()
    });
    let plain = Owned { rotations: unit.collect(), ..plain };
    let camera = camera(40, 30);
    let a = forward(&plain.scene(), &camera, &exact()).expect("plain");
    let raw = Settings { values: Values::Raw, ..exact() };
    let b = forward(&plain.clone().raw().scene(), &camera, &raw).expect("raw");
    assert_eq!(a.radii, b.radii);
    assert!(
        a.outputs[Channel::Color].iter().zip(&b.outputs[Channel::Color]).all(|(a, b)| (a - b).abs() < 1e-10)
    );
    // A quaternion of length 0 is the identity here too, without a gradient.
    let zero = Owned { rotations: vec![0.0; 120], ..plain.raw() };
    let identity = Owned { rotations: [2.0, 0.0, 0.0, 0.0].repeat(30), ..zero.clone() };
    let (a, b) = (
        forward(&zero.scene(), &camera, &raw).expect("zero"),
        forward(&identity.scene(), &camera, &raw).expect("identity"),
    );
    assert_eq!(a.outputs[Channel::Color], b.outputs[Channel::Color]);
    let w = Weights::new(1, &camera);
    let grad =
        backward(&zero.scene(), &camera, &raw, a.saved.as_ref(), &a.radii, &w.upstream()).expect("backward");
    assert!(grad.rotations.iter().all(|g| *g == 0.0));
}

/// Joined and split coefficients, in images and gradients, to the bit.
#[test]
fn split_coefficients_are_the_same_coefficients() {
    let joined = Owned::<f32>::new(6, 30, (0.05, 0.4));
    let split = joined.clone().split();
    let (camera, settings) = (camera(40, 30), settings());
    let a = forward(&joined.scene(), &camera, &settings).expect("joined");
    let b = forward(&split.scene(), &camera, &settings).expect("split");
    assert_eq!(a, b);
    let up = Weights::new(2, &camera);
    let grad = |s: &Owned<f32>| {
        backward(&s.scene(), &camera, &settings, a.saved.as_ref(), &a.radii, &up.upstream())
            .expect("backward")
    };
    let (a, b) = (grad(&joined), grad(&split));
    assert_eq!((&a.means3d, &a.view), (&b.means3d, &b.view));
    for i in 0..30 {
        assert_eq!(a.sh[48 * i..48 * i + 3], b.sh[3 * i..3 * i + 3]);
        assert_eq!(a.sh[48 * i + 3..48 * (i + 1)], b.sh_rest[45 * i..45 * (i + 1)]);
    }
}

/// A feature channel that repeats a colour is the image of that colour over black.
#[test]
fn features_blend_like_colors() {
    let mut scene = Owned { use_sh: false, ..Owned::<f32>::new(7, 60, (0.05, 0.4)) };
    scene.features = scene.colors.clone();
    let camera = camera(50, 37);
    let black = Settings { background: [0.0; 3], ..settings() };
    let out = forward(&scene.scene(), &camera, &black).expect("forward");
    assert!(out.outputs[Channel::Color].iter().any(|x| *x > 0.1));
    assert_eq!(out.outputs[Channel::Color], out.outputs[Channel::Features]);
    let up = Weights::with_features(2, &camera, 3);
    let saved = out.saved.as_ref();
    let grad = |u: &splat_core::Upstream<f32>| {
        backward(&scene.scene(), &camera, &black, saved, &out.radii, u).expect("backward")
    };
    let whole = up.upstream();
    let colors = grad(&splat_core::Upstream { color: whole.features, ..Default::default() });
    let features = grad(&splat_core::Upstream { features: whole.features, ..Default::default() });
    let worst = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst(&colors.colors, &features.features) < 1e-4);
    assert!(
        worst(&colors.means3d, &features.means3d) < 1e-2,
        "{}",
        worst(&colors.means3d, &features.means3d)
    );
}
