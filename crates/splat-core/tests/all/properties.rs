//! Properties that hold for any scene: symmetries of the inputs, and independence of how the result is computed.

use crate::random::{Owned, Random, Weights, camera, covariances, permute, settings};
use proptest::prelude::*;
use splat_core::{
    Camera, Channel, Forward, Gradients, Lanes, Real, Settings, Tuning, Wanted, backward, backward_with,
    forward, forward_with,
};

fn render<T: Real>(scene: &Owned<T>, camera: &Camera<T>, settings: &Settings<T>) -> Forward<T> {
    forward(&scene.scene(), camera, settings).expect("forward")
}

fn gradients<T: Real>(scene: &Owned<T>, camera: &Camera<T>, settings: &Settings<T>) -> Gradients<T> {
    let out = render(scene, camera, settings);
    let weights = Weights::new(9, camera);
    backward(&scene.scene(), camera, settings, out.saved.as_ref(), &out.radii, &weights.upstream())
        .expect("backward")
}

fn largest_difference<T: Real>(a: &[T], b: &[T]) -> f64 {
    assert_eq!(a.len(), b.len(), "sizes");
    a.iter().zip(b).map(|(a, b)| (a.to_f64_exact() - b.to_f64_exact()).abs()).fold(0.0, f64::max)
}

/// A shuffled `0..n`.
fn shuffled(seed: u64, n: usize) -> Vec<usize> {
    let mut keys: Vec<(u64, usize)> =
        Random(seed).list::<f64>(n, 0.0, 1e9).into_iter().map(|x| x as u64).zip(0..n).collect();
    keys.sort_unstable();
    keys.into_iter().map(|(_, i)| i).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The order of the Gaussians does not matter, to the bit, as long as no two depths are equal.
    #[test]
    fn permutation_of_splats(seed in any::<u64>(), antialiasing: bool) {
        let scene = Owned::<f32>::new(seed, 60, (0.01, 0.4));
        let (camera, settings) = (camera(50, 37), Settings { antialiasing, ..settings() });
        let order = shuffled(seed, 60);
        let moved = scene.permuted(&order);
        let (a, b) = (render(&scene, &camera, &settings), render(&moved, &camera, &settings));
        prop_assert_eq!(&a.outputs, &b.outputs);
        prop_assert_eq!(permute(&a.radii, &order), b.radii);
        let (a, b) = (gradients(&scene, &camera, &settings), gradients(&moved, &camera, &settings));
        prop_assert_eq!(permute(&a.means3d, &order), b.means3d);
        prop_assert_eq!(permute(&a.sh, &order), b.sh);
        prop_assert_eq!(permute(&a.rotations, &order), b.rotations);
    }

    /// The image is linear in the background, with the transmittance left as slope.
    #[test]
    fn background_linearity(seed in any::<u64>(), background in prop::array::uniform3(-2.0_f32..2.0)) {
        let scene = Owned::<f32>::new(seed, 40, (0.01, 0.6));
        let camera = camera(33, 40);
        let black = render(&scene, &camera, &Settings { background: [0.0; 3], ..settings() });
        let lit = render(&scene, &camera, &Settings { background, ..settings() });
        let n = black.outputs[Channel::Alpha].len();
        for i in 0..3 * n {
            let expected = black.outputs[Channel::Color][i] + black.saved.final_t[i % n] * background[i / n];
            prop_assert!((lit.outputs[Channel::Color][i] - expected).abs() <= 1e-6, "number {}: {} {}", i, lit.outputs[Channel::Color][i], expected);
        }
        for i in 0..n {
            prop_assert!((black.outputs[Channel::Alpha][i] + black.saved.final_t[i] - 1.0).abs() <= 1e-6);
        }
    }

    /// A camera that sees a part of the image (from a tile's corner) renders that part.
    #[test]
    fn crop_consistency(seed in any::<u64>()) {
        let scene = Owned::<f64>::new(seed, 40, (0.01, 0.15));
        let settings = settings();
        let whole: Camera<f64> = camera(96, 64);
        let (x0, y0, width, height) = (16_u32, 16, 70_u32, 40_u32);
        let mut part = Camera { width, height, ..whole.clone() };
        // The same focal lengths; pixel' = pixel - offset, in NDC scaled and shifted.
        let (sx, sy) = (f64::from(whole.width) / f64::from(width), f64::from(whole.height) / f64::from(height));
        part.tan_fovx /= sx;
        part.tan_fovy /= sy;
        let shift = |s: f64, offset: u32, size: u32| s - 1.0 - 2.0 * f64::from(offset) / f64::from(size);
        for c in 0..4 {
            let w = whole.proj[4 * c + 3];
            part.proj[4 * c] = sx * whole.proj[4 * c] + shift(sx, x0, width) * w;
            part.proj[4 * c + 1] = sy * whole.proj[4 * c + 1] + shift(sy, y0, height) * w;
        }
        // Splats whose Jacobian the narrower field of view would clamp are another image: leave them out.
        let inside: Vec<usize> = (0..40)
            .filter(|&i| {
                let m = &scene.means3d[3 * i..];
                let t = |r: usize| {
                    (0..3).map(|k| part.view[4 * k + r] * m[k]).sum::<f64>() + part.view[12 + r]
                };
                (t(0) / t(2)).abs() < 1.2 * part.tan_fovx && (t(1) / t(2)).abs() < 1.2 * part.tan_fovy
            })
            .collect();
        prop_assume!(inside.len() > 5);
        let keep = |v: &[f64]| -> Vec<f64> {
            let each = v.len() / 40;
            inside.iter().flat_map(|&i| v[each * i..each * (i + 1)].to_vec()).collect()
        };
        let scene = Owned {
            means3d: keep(&scene.means3d), opacities: keep(&scene.opacities), sh: keep(&scene.sh),
            scales: keep(&scene.scales), rotations: keep(&scene.rotations), ..scene
        };
        let (a, b) = (render(&scene, &whole, &settings), render(&scene, &part, &settings));
        for channel in 0..3 {
            for y in 0..height {
                for x in 0..width {
                    let full = channel * 96 * 64 + (y + y0) * 96 + x + x0;
                    let own = channel * width * height + y * width + x;
                    let (full, own) = (a.outputs[Channel::Color][full as usize], b.outputs[Channel::Color][own as usize]);
                    // Not to the last bit: the 1e-7 beside w moves with the principal point.
                    prop_assert!((full - own).abs() < 1e-6, "({}, {}): {} {}", x, y, full, own);
                }
            }
        }
    }

    /// A scale modifier is a factor on every scale, to the bit.
    #[test]
    fn scale_modifier_equivalence(seed in any::<u64>(), modifier in 0.1_f32..3.0) {
        let scene = Owned::<f32>::new(seed, 40, (0.01, 0.3));
        let camera = camera(40, 40);
        let scaled = Owned { scales: scene.scales.iter().map(|s| modifier * s).collect(), ..scene.clone() };
        let a = render(&scene, &camera, &Settings { scale_modifier: modifier, ..settings() });
        prop_assert_eq!(a, render(&scaled, &camera, &settings()));
    }

    /// Scales and rotations give what their covariances give, in images and gradients.
    #[test]
    fn rotation_and_covariance_equivalence(seed in any::<u64>(), modifier in 0.5_f64..2.0) {
        let scene = Owned::<f64>::new(seed, 30, (0.02, 0.4));
        let camera = camera(40, 30);
        let settings = Settings { scale_modifier: modifier, ..settings() };
        let cov3d = covariances(&scene.scales, &scene.rotations, modifier);
        let given = Owned { cov3d, use_cov: true, ..scene.clone() };
        let (a, b) = (render(&scene, &camera, &settings), render(&given, &camera, &settings));
        prop_assert!(largest_difference(&a.outputs[Channel::Color], &b.outputs[Channel::Color]) < 1e-10);
        prop_assert_eq!(&a.radii, &b.radii);
        let (a, b) = (gradients(&scene, &camera, &settings), gradients(&given, &camera, &settings));
        let scale = a.cov3d.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
        prop_assert!(largest_difference(&a.cov3d, &b.cov3d) < 1e-8 * scale);
        prop_assert!(b.scales.iter().chain(&b.rotations).all(|&x| x == 0.0));
    }

    /// A quaternion and its negative are one rotation.
    #[test]
    fn quaternion_sign(seed in any::<u64>()) {
        let scene = Owned::<f32>::new(seed, 30, (0.02, 0.4));
        let camera = camera(32, 32);
        let negated = Owned { rotations: scene.rotations.iter().map(|x| -x).collect(), ..scene.clone() };
        prop_assert_eq!(render(&scene, &camera, &settings()), render(&negated, &camera, &settings()));
    }

    /// Leaving out tiles in which a Gaussian is under the threshold changes neither image nor gradient by a bit, for
    /// needles, faint and opaque Gaussians too.
    #[test]
    fn culling_of_tiles_changes_nothing(seed in any::<u64>(), stretch in 1.0_f32..60.0) {
        let mut scene = Owned::<f32>::new(seed, 60, (0.005, 0.1));
        for (i, s) in scene.scales.iter_mut().enumerate() {
            if i % 3 == 0 { *s *= stretch; }
        }
        for (i, o) in scene.opacities.iter_mut().enumerate() {
            *o = match i % 5 { 0 => 1.0, 1 => 0.005, 2 => 1.0 / 255.0, _ => *o };
        }
        let (camera, settings) = (camera(90, 70), settings());
        let weights = Weights::new(3, &camera);
        let run = |cull_tiles| {
            let tuning = Tuning { cull_tiles, ..Tuning::default() };
            let out = forward_with(&scene.scene(), &camera, &settings, &Wanted::images(), &tuning).expect("forward");
            let saved = out.saved.as_ref();
            let grad = backward_with(
                &scene.scene(), &camera, &settings, saved, &out.radii, &weights.upstream(), &tuning,
            ).expect("backward");
            (out, grad)
        };
        let ((a, grad_a), (b, grad_b)) = (run(true), run(false));
        prop_assert!(a.saved.rendered() <= b.saved.rendered());
        prop_assert_eq!((a.outputs, a.radii), (b.outputs, b.radii));
        prop_assert_eq!(grad_a, grad_b);
    }

    /// One lane and many give the same up to rounding, and f32 the same as f64.
    #[test]
    fn lanes_and_precisions_agree(seed in any::<u64>()) {
        let scene = Owned::<f32>::new(seed, 50, (0.05, 0.4));
        let (camera, settings) = (camera::<f32>(48, 40), settings());
        let scalar = Tuning { lanes: Lanes::Scalar, ..Tuning::default() };
        let a = render(&scene, &camera, &settings);
        let b = forward_with(&scene.scene(), &camera, &settings, &Wanted::images(), &scalar).expect("forward");
        prop_assert!(largest_difference(&a.outputs[Channel::Color], &b.outputs[Channel::Color]) < 2e-6);
        prop_assert_eq!(&a.radii, &b.radii);

        let wide = |v: &[f32]| -> Vec<f64> { v.iter().map(|x| f64::from(*x)).collect() };
        let exact = Owned::<f64> {
            means3d: wide(&scene.means3d), opacities: wide(&scene.opacities), sh: wide(&scene.sh),
            colors: wide(&scene.colors), scales: wide(&scene.scales), rotations: wide(&scene.rotations),
            cov3d: wide(&scene.cov3d), features: Vec::new(), sh_first: Vec::new(), sh_rest: Vec::new(),
            use_sh: scene.use_sh, use_cov: scene.use_cov,
        };
        let camera64 = Camera::<f64> {
            width: camera.width, height: camera.height, model: camera.model,
            tan_fovx: camera.tan_fovx.into(), tan_fovy: camera.tan_fovy.into(),
            view: camera.view.map(f64::from), proj: camera.proj.map(f64::from),
            campos: camera.campos.map(f64::from),
        };
        let settings64 = Settings::<f64> {
            background: settings.background.map(f64::from), scale_modifier: 1.0, sh_degree: 3,
            ..Settings::default()
        };
        let c = render(&exact, &camera64, &settings64);
        // A pixel near a threshold may fall on either side: all but a few must agree.
        let off = a.outputs[Channel::Color].iter().zip(&c.outputs[Channel::Color]).filter(|(a, c)| (f64::from(**a) - **c).abs() > 1e-5).count();
        prop_assert!(off * 100 < a.outputs[Channel::Color].len(), "{} of {} numbers differ", off, a.outputs[Channel::Color].len());
    }

    /// Finite inputs give finite results, however extreme they are.
    #[test]
    fn extreme_numbers_stay_finite(seed in any::<u64>(), exponent in -30.0_f64..30.0) {
        let mut scene = Owned::<f32>::new(seed, 20, (0.01, 0.5));
        let mut r = Random(seed);
        let factor = 10_f64.powf(exponent) as f32;
        for i in 0..20 {
            match i % 5 {
                0 => scene.scales[3 * i] *= factor,
                1 => scene.means3d[3 * i] *= factor,
                2 => scene.means3d[3 * i + 2] = 0.2 + r.within(0.0, 1e-6) as f32,
                3 => scene.rotations[4 * i] *= factor.min(1e15),
                _ => scene.scales[3 * i..3 * i + 3].fill(factor.min(1e15)),
            }
        }
        let (camera, settings) = (camera::<f32>(40, 24), settings());
        let out = render(&scene, &camera, &settings);
        for v in [&out.outputs[Channel::Color], &out.outputs[Channel::Depth], &out.outputs[Channel::InvDepth], &out.outputs[Channel::Alpha]] {
            prop_assert!(v.iter().all(|x| x.is_finite()));
        }
        let g = gradients(&scene, &camera, &settings);
        for v in [&g.means3d, &g.means2d, &g.opacities, &g.sh, &g.colors, &g.scales, &g.rotations, &g.cov3d] {
            prop_assert!(v.iter().all(|x| !x.is_nan()), "a gradient is NaN");
        }
    }
}
