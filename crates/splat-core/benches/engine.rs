//! Divan benches of the CPU engine: forward and backward, 10k to 1M Gaussians, scalar code on one thread
//! against vector code on one and two. `cargo bench -p splat-core [-- 100000]`.
//!
//! The example `cpu-speed` gives ratios measured alternately in one run, and nanoseconds per contribution.

mod scene;

use divan::Bencher;
use rayon::{ThreadPool, ThreadPoolBuilder};
use scene::Synthetic;
use splat_core::{Lanes, Tuning, Upstream, Wanted, backward_with, forward_with};

const COUNTS: [usize; 3] = [10_000, 100_000, 1_000_000];

fn main() {
    divan::main();
}

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
}

fn forward(bencher: Bencher, count: usize, lanes: Lanes, threads: usize) {
    let data = Synthetic::new(count);
    let tuning = Tuning { lanes, ..Tuning::default() };
    let pool = pool(threads);
    bencher.bench_local(|| {
        pool.install(|| {
            forward_with(&data.scene(), &data.camera, &data.settings, &Wanted::images(), &tuning)
                .expect("forward")
        })
    });
}

fn backward(bencher: Bencher, count: usize, lanes: Lanes, threads: usize) {
    let data = Synthetic::new(count);
    let (scene, camera, settings) = (data.scene(), &data.camera, &data.settings);
    let tuning = Tuning { lanes, ..Tuning::default() };
    let out = forward_with(&scene, camera, settings, &Wanted::images(), &tuning).expect("forward");
    let upstream = Upstream { color: Some(&data.grad_color), ..Upstream::default() };
    let (saved, radii) = (out.saved.as_ref(), &out.radii);
    let pool = pool(threads);
    bencher.bench_local(|| {
        pool.install(|| {
            backward_with(&scene, camera, settings, saved, radii, &upstream, &tuning).expect("backward")
        })
    });
}

#[divan::bench(args = COUNTS, sample_count = 5, sample_size = 1)]
fn forward_scalar_1_thread(bencher: Bencher, count: usize) {
    forward(bencher, count, Lanes::Scalar, 1);
}

#[divan::bench(args = COUNTS, sample_count = 5, sample_size = 1)]
fn forward_simd_1_thread(bencher: Bencher, count: usize) {
    forward(bencher, count, Lanes::Auto, 1);
}

#[divan::bench(args = COUNTS, sample_count = 5, sample_size = 1)]
fn forward_simd_2_threads(bencher: Bencher, count: usize) {
    forward(bencher, count, Lanes::Auto, 2);
}

#[divan::bench(args = COUNTS, sample_count = 5, sample_size = 1)]
fn backward_scalar_1_thread(bencher: Bencher, count: usize) {
    backward(bencher, count, Lanes::Scalar, 1);
}

#[divan::bench(args = COUNTS, sample_count = 5, sample_size = 1)]
fn backward_simd_1_thread(bencher: Bencher, count: usize) {
    backward(bencher, count, Lanes::Auto, 1);
}

#[divan::bench(args = COUNTS, sample_count = 5, sample_size = 1)]
fn backward_simd_2_threads(bencher: Bencher, count: usize) {
    backward(bencher, count, Lanes::Auto, 2);
}
