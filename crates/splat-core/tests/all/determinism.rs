//! Results are the same for any number of threads, and from run to run.

use crate::random::{Owned, Weights, camera, settings};
use rayon::ThreadPoolBuilder;
use splat_core::{Channel, Forward, Gradients, Mode, Settings, Upstream, backward, forward};

/// Images and gradients with this many threads.
fn run(scene: &Owned<f32>, mode: Mode, threads: usize) -> (Forward<f32>, Gradients<f32>) {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        let (camera, settings) = (camera(203, 150), Settings { antialiasing: true, mode, ..settings() });
        let out = forward(&scene.scene(), &camera, &settings).expect("forward");
        let weights = Weights::with_features(1, &camera, 3);
        let upstream = Upstream { means2d_abs: true, ..weights.upstream() };
        let saved = out.saved.as_ref();
        let grad =
            backward(&scene.scene(), &camera, &settings, saved, &out.radii, &upstream).expect("backward");
        (out, grad)
    })
}

/// Images, saved state and gradients are the same bits with 1, 2 and 5 threads, and again.
#[test]
fn bit_identical_whatever_the_thread_count() {
    let mut scene = Owned::<f32>::new(11, 3000, (0.005, 0.2)).with_features(2, 3);
    // Depth ties, as from Gaussians on one plane: the order must come from the index.
    let copies: Vec<f32> = scene.means3d[..900].to_vec();
    scene.means3d[3000..3900].copy_from_slice(&copies);
    for mode in [Mode::Compat, Mode::Exact] {
        let (image, grad) = run(&scene, mode, 1);
        assert!(image.saved.rendered() > 5000, "the scene is too small to say anything");
        assert!(grad.view[..3].iter().chain(&grad.background).all(|x| *x != 0.0), "no pose, no background");
        assert!(grad.means2d_abs.iter().any(|x| *x > 0.0), "no absolute gradient");
        for threads in [1, 2, 5] {
            let (other, other_grad) = run(&scene, mode, threads);
            assert!(image == other, "images or saved state differ with {threads} threads");
            assert!(grad == other_grad, "gradients differ with {threads} threads");
        }
    }
}

/// Equal depths are blended in the order of the indices.
#[test]
fn depth_ties_go_by_index() {
    let mut scene = Owned::<f32>::new(12, 2, (0.5, 0.6));
    scene.use_sh = false;
    scene.means3d = [0.1, 0.0, 3.0].repeat(2);
    scene.scales = vec![0.5; 6];
    scene.opacities = vec![0.9, 0.9];
    scene.colors = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let out = forward(&scene.scene(), &camera(16, 16), &Settings::default()).expect("forward");
    let center = 8 * 16 + 8;
    let (red, green) = (out.outputs[Channel::Color][center], out.outputs[Channel::Color][256 + center]);
    assert!(red > 5.0 * green && green > 0.0, "red {red} should be before green {green}");
}
