//! The channels with one number per Gaussian, against a naive renderer that looks at every record in every pixel, and
//! what must hold for any scene.

use crate::random::{Owned, Random, camera, settings, shifted_camera};
use rayon::ThreadPoolBuilder;
use splat_core::{
    Camera, Channel, Forward, Lanes, Mode, Real, Record, Settings, Tuning, Wanted, forward_with, project,
};

const SUM: Channel = Channel::WeightSum;
const MAX: Channel = Channel::WeightMax;
const IMAGE: Channel = Channel::WeightImage;

/// Sum, maximum and sum over `image` of each record's weights, and the alpha of each pixel, in f64 from the definition.
fn naive(
    records: &[Record<f64>],
    camera: &Camera<f64>,
    mode: Mode,
    image: &[f64],
) -> (Vec<[f64; 3]>, Vec<f64>) {
    let mut order: Vec<usize> = (0..records.len()).filter(|&i| records[i].radius > 0).collect();
    order.sort_by(|&a, &b| records[a].depth.total_cmp(&records[b].depth));
    let mut weights = vec![[0.0_f64; 3]; records.len()];
    let mut alphas = Vec::new();
    for (at, value) in image.iter().enumerate() {
        let pixel = [at % camera.width as usize, at / camera.width as usize];
        let mut t = 1.0;
        for &i in &order {
            let r = &records[i];
            // Mode compat: the tiles that the square touches. Mode exact: every pixel.
            let covers = |centre: f64, pixel: usize| {
                let (low, high) = (centre - f64::from(r.radius), centre + f64::from(r.radius) + 15.0);
                let tile = (pixel / 16) as f64;
                mode == Mode::Exact || (low / 16.0).trunc() <= tile && tile < (high / 16.0).trunc()
            };
            let [dx, dy] = [r.x - pixel[0] as f64, r.y - pixel[1] as f64];
            let [xx, xy, yy] = r.inv_cov;
            let power = -0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy;
            let alpha = (r.opacity * power.exp()).min(0.99);
            if !covers(r.x, pixel[0]) || !covers(r.y, pixel[1]) || power > 0.0 || alpha < 1.0 / 255.0 {
                continue;
            }
            if t * (1.0 - alpha) < 1e-4 {
                break;
            }
            let weight = alpha * t;
            weights[i][0] += weight;
            weights[i][1] = weights[i][1].max(weight);
            weights[i][2] += weight * value;
            t *= 1.0 - alpha;
        }
        alphas.push(1.0 - t);
    }
    (weights, alphas)
}

/// Faint, opaque, long and distant Gaussians, some of them out of view.
fn scene<T: Real>(seed: u64, p: usize) -> Owned<T> {
    let mut scene = Owned::<T>::new(seed, p, (0.02, 0.3));
    let t = T::from_f64_lossy;
    for i in 0..p {
        match i % 7 {
            0 => scene.opacities[i] = t(1.0),
            1 => scene.opacities[i] = t(0.005),
            2 => scene.scales[3 * i] *= t(8.0),
            3 => scene.means3d[3 * i] += t(3.0),
            4 => scene.means3d[3 * i + 2] = t(-2.0),
            _ => {}
        }
    }
    scene
}

fn render<T: Real>(
    scene: &Owned<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    image: &[T],
    lanes: Lanes,
) -> Forward<T> {
    let wanted = Wanted::images().and(SUM).and(MAX).and_weight_image(image);
    let tuning = Tuning { lanes, ..Tuning::default() };
    forward_with(&scene.scene(), camera, settings, &wanted, &tuning).expect("forward")
}

#[test]
fn weights_are_their_definition() {
    for (seed, camera) in [(1, camera::<f64>(50, 37)), (2, shifted_camera(33, 64)), (3, camera(16, 16))] {
        for mode in [Mode::Compat, Mode::Exact] {
            let (scene, settings) = (scene::<f64>(seed, 70), Settings { mode, ..settings() });
            let image: Vec<f64> = Random(seed).list((camera.width * camera.height) as usize, -1.0, 2.0);
            let records = project(&scene.scene(), &camera, &settings, &Tuning::default()).expect("project");
            let (truth, alpha) = naive(&records.records, &camera, mode, &image);
            let out = render(&scene, &camera, &settings, &image, Lanes::Auto);
            for (i, truth) in truth.iter().enumerate() {
                for (channel, truth) in [SUM, MAX, IMAGE].into_iter().zip(truth) {
                    let ours = out.outputs[channel][i];
                    assert!(
                        (ours - truth).abs() < 1e-10,
                        "seed {seed}, {mode:?}, {channel:?} of {i}: {ours}, {truth}"
                    );
                }
            }
            assert!(alpha.iter().zip(&out.outputs[Channel::Alpha]).all(|(a, b)| (a - b).abs() < 1e-12));
            let seen = out.outputs[MAX].iter().filter(|x| **x > 0.0).count();
            assert!(seen > 20 && seen < 70, "{seen} of 70 Gaussians contribute to this image");
        }
    }
}

#[test]
fn what_holds_for_any_scene() {
    let (camera, settings) = (camera::<f64>(61, 45), Settings { mode: Mode::Exact, ..settings() });
    let n = 61 * 45;
    for seed in 10..20 {
        let scene = scene::<f64>(seed, 120);
        let run = |image: &[f64]| render(&scene, &camera, &settings, image, Lanes::Auto);
        let (a, b): (Vec<f64>, Vec<f64>) =
            (Random(seed).list(n, -1.0, 1.0), Random(seed + 99).list(n, -3.0, 1.0));
        let ones = run(&vec![1.0; n]);
        let (sum, max) = (&ones.outputs[SUM], &ones.outputs[MAX]);
        let (all, alpha) = (sum.iter().sum::<f64>(), ones.outputs[Channel::Alpha].iter().sum::<f64>());
        assert!((all - alpha).abs() < 1e-9, "seed {seed}: the weights sum to {all}, alpha to {alpha}");
        assert_eq!(&ones.outputs[IMAGE], sum, "an image of ones");
        assert!(max.iter().zip(sum).all(|(max, sum)| *max <= 0.99 && *max >= sum / n as f64));
        let both: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - 2.5 * b).collect();
        let (a, b, both) = (run(&a), run(&b), run(&both));
        for i in 0..120 {
            let expected = a.outputs[IMAGE][i] - 2.5 * b.outputs[IMAGE][i];
            assert!((both.outputs[IMAGE][i] - expected).abs() < 1e-10, "seed {seed}: not linear for {i}");
        }
        for (i, radius) in ones.radii.iter().enumerate().filter(|(_, radius)| **radius == 0) {
            assert_eq!((sum[i], max[i], a.outputs[IMAGE][i]), (0.0, 0.0, 0.0), "culled, radius {radius}");
        }
    }
}

/// With vectors and without, and with any number of threads.
#[test]
fn weights_do_not_depend_on_lanes_and_threads() {
    let (scene, camera, settings) = (scene::<f32>(4, 3000), camera::<f32>(203, 150), settings());
    let image: Vec<f32> = Random(5).list(203 * 150, 0.0, 1.0);
    let run = |threads: usize, lanes| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| render(&scene, &camera, &settings, &image, lanes))
    };
    let first = run(1, Lanes::Auto);
    assert!(first.saved.rendered() > 5000, "the scene is too small to say anything");
    for threads in [1, 2, 5] {
        assert!(first == run(threads, Lanes::Auto), "weights differ with {threads} threads");
    }
    let scalar = run(2, Lanes::Scalar);
    for channel in [SUM, MAX, IMAGE] {
        for (a, b) in first.outputs[channel].iter().zip(&scalar.outputs[channel]) {
            assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{channel:?}: {a} and with one lane {b}");
        }
    }
}

/// Two Gaussians at the cap leave a transmittance of 1e-4: whatever lies behind them contributes nothing.
#[test]
fn nothing_contributes_from_behind_a_wall() {
    let mut scene = Owned::<f64>::new(6, 12, (0.05, 0.3));
    for i in 0..2 {
        scene.means3d[3 * i..3 * i + 3].copy_from_slice(&[0.1, 0.05, 1.0 + i as f64 * 0.1]);
        scene.scales[3 * i..3 * i + 3].fill(30.0);
        scene.opacities[i] = 1.0;
    }
    let camera = camera(40, 30);
    let out = render(&scene, &camera, &settings(), &[1.0; 1200], Lanes::Auto);
    assert!(out.radii.iter().all(|r| *r > 0), "all are in view");
    let sum = &out.outputs[SUM];
    assert!((sum[0] - 0.99 * 1200.0).abs() < 1e-6 && sum[1] > 0.0, "{sum:?}");
    for channel in [SUM, MAX, IMAGE] {
        assert!(out.outputs[channel][2..].iter().all(|x| *x == 0.0), "{channel:?} behind the wall");
    }
}

/// A channel is the same whatever else is wanted, and empty if it is not.
#[test]
fn channels_are_independent() {
    let (scene, camera, settings) =
        (scene::<f32>(7, 200).with_features(8, 3), camera::<f32>(50, 37), settings());
    let image: Vec<f32> = Random(9).list(50 * 37, 0.0, 1.0);
    let whole = render(&scene, &camera, &settings, &image, Lanes::Auto);
    let run = |wanted: &Wanted<f32>| {
        forward_with(&scene.scene(), &camera, &settings, wanted, &Tuning::default()).expect("forward")
    };
    for channel in Channel::ALL {
        let wanted = Wanted::nothing();
        let alone =
            run(&if channel == IMAGE { wanted.and_weight_image(&image) } else { wanted.and(channel) });
        assert_eq!((&alone.saved, &alone.radii), (&whole.saved, &whole.radii));
        for other in Channel::ALL {
            let expected = if other == channel { &whole.outputs[other] } else { &[] };
            assert_eq!(&alone.outputs[other], expected, "{other:?} where {channel:?} is wanted");
        }
        let planes = channel.planes(3).map_or(200, |planes| planes * 50 * 37);
        assert_eq!(alone.outputs[channel].len(), planes, "{channel:?}");
    }
    let nothing = run(&Wanted::nothing());
    assert_eq!(nothing.saved, whole.saved);
    assert!(Channel::ALL.iter().all(|channel| nothing.outputs[*channel].is_empty()));
}

#[test]
fn no_gaussians_and_bad_images() {
    let (camera, settings) = (camera::<f32>(20, 20), settings());
    let empty = Owned::<f32>::new(1, 0, (0.1, 0.2));
    let none = Owned { use_sh: false, ..empty };
    let out = render(&none, &camera, &settings, &[1.0; 400], Lanes::Auto);
    assert!([SUM, MAX, IMAGE].iter().all(|channel| out.outputs[*channel].is_empty()));
    let error = |wanted: &Wanted<f32>| {
        forward_with(&scene::<f32>(1, 5).scene(), &camera, &settings, wanted, &Tuning::default())
            .expect_err("forward accepted it")
            .to_string()
    };
    let text = error(&Wanted::nothing().and(IMAGE));
    assert!(text.contains("`WeightImage` is wanted, but no image"), "{text}");
    let text = error(&Wanted::nothing().and_weight_image(&[1.0; 399]));
    assert!(text.contains("`weight_image` has 399 numbers, but 400"), "{text}");
    let mut bad = vec![1.0; 400];
    bad[33] = f32::NAN;
    let text = error(&Wanted::nothing().and_weight_image(&bad));
    assert!(text.contains("`weight_image`[33] is NaN"), "{text}");
}
