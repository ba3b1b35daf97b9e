//! Speed of the CPU engine: scalar code on one thread against vector code on one and two, alternately in one run, and
//! nanoseconds per contribution of a Gaussian to a pixel. Prints JSON.
//!
//! `cargo run --release -p splat-core --example cpu-speed -- [COUNT ...]` (default: 10000 100000)
#![allow(clippy::print_stdout, reason = "the result goes to standard output")]

#[path = "../benches/scene/mod.rs"]
mod scene;

use std::{fmt::Write, time::Instant};

use rayon::ThreadPoolBuilder;
use scene::Synthetic;
use splat_core::{Lanes, Tuning, Upstream, Wanted, backward_with, blended_contributions, forward_with};

const MODES: [(&str, Lanes, usize); 3] = [
    ("scalar_1_thread", Lanes::Scalar, 1),
    ("simd_1_thread", Lanes::Auto, 1),
    ("simd_2_threads", Lanes::Auto, 2),
];

fn main() {
    let mut counts: Vec<usize> =
        std::env::args().skip(1).map(|a| a.parse().expect("a number of Gaussians")).collect();
    if counts.is_empty() {
        counts = vec![10_000, 100_000];
    }
    let cases: Vec<String> = counts.into_iter().map(measure).collect();
    println!("{{\n  \"cases\": [\n{}\n  ]\n}}", cases.join(",\n"));
}

/// Milliseconds of every mode, medians over rounds that take the modes in turn.
fn measure(count: usize) -> String {
    let data = Synthetic::new(count);
    let (scene, camera, settings) = (data.scene(), &data.camera, &data.settings);
    let pools =
        MODES.map(|(_, _, threads)| ThreadPoolBuilder::new().num_threads(threads).build().expect("threads"));
    let mut times: [[Vec<f64>; MODES.len()]; 2] = Default::default();
    let mut cpu = times.clone();
    let rounds = if count < 500_000 { 7 } else { 3 };
    let mut pairs = 0;
    let mut rendered = 0;
    for _ in 0..rounds {
        for (mode, ((_, lanes, _), pool)) in MODES.iter().zip(&pools).enumerate() {
            pool.install(|| {
                let tuning = Tuning { lanes: *lanes, ..Tuning::default() };
                let start = Clock::new();
                let out =
                    forward_with(&scene, camera, settings, &Wanted::images(), &tuning).expect("forward");
                start.stop(&mut times[0][mode], &mut cpu[0][mode]);
                let upstream = Upstream { color: Some(&data.grad_color), ..Upstream::default() };
                let start = Clock::new();
                let saved = out.saved.as_ref();
                backward_with(&scene, camera, settings, saved, &out.radii, &upstream, &tuning)
                    .expect("backward");
                start.stop(&mut times[1][mode], &mut cpu[1][mode]);
                if pairs == 0 {
                    rendered = out.saved.rendered();
                    pairs =
                        blended_contributions(&scene, camera, settings, saved, &out.radii).expect("pairs");
                }
            });
        }
    }
    let mut text = format!(
        "    {{ \"splats\": {count}, \"rounds\": {rounds}, \"width\": {}, \"height\": {}, \"tile_pairs\": {rendered}, \"pixel_pairs\": {pairs}",
        camera.width, camera.height
    );
    for ((pass, times), cpu) in ["forward", "backward"].iter().zip(&times).zip(&cpu) {
        let medians = times.clone().map(median);
        let best = times.clone().map(|t| t.into_iter().fold(f64::INFINITY, f64::min));
        for ((name, _, _), (ms, least)) in MODES.iter().zip(medians.iter().zip(best)) {
            let ns = ms * 1e6 / pairs as f64;
            write!(text, ",\n      \"{pass}_{name}\": {{ \"median_ms\": {ms:.2}, \"best_ms\": {least:.2}, \"ns_per_pair\": {ns:.3} }}")
                .expect("text");
        }
        // Ratios round by round, so that a busy moment slows both sides.
        for (name, mode) in [("simd_1_thread", 1), ("simd_2_threads", 2)] {
            let ratio = median(times[0].iter().zip(&times[mode]).map(|(a, b)| a / b).collect());
            write!(text, ",\n      \"{pass}_{name}_over_scalar\": {ratio:.2}").expect("text");
        }
        // The same in processor time, which other programs do not slow: one thread only.
        if !cpu[0].is_empty() {
            let ratio = median(cpu[0].iter().zip(&cpu[1]).map(|(a, b)| a / b).collect());
            let ns = median(cpu[1].clone()) * 1e6 / pairs as f64;
            write!(text, ",\n      \"{pass}_simd_1_thread_cpu_time\": {{ \"over_scalar\": {ratio:.2}, \"ns_per_pair\": {ns:.3} }}")
                .expect("text");
        }
    }
    text + " }"
}

/// Wall time, and on Linux the processor time of this thread.
struct Clock(Instant, Option<f64>);

impl Clock {
    fn new() -> Self {
        Self(Instant::now(), on_processor())
    }

    /// Appends milliseconds.
    fn stop(&self, wall: &mut Vec<f64>, cpu: &mut Vec<f64>) {
        wall.push(self.0.elapsed().as_secs_f64() * 1e3);
        cpu.extend(on_processor().zip(self.1).map(|(now, then)| now - then));
    }
}

/// Processor time of this thread in milliseconds.
fn on_processor() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse::<f64>().ok().map(|ns| ns / 1e6)
}

fn median(mut x: Vec<f64>) -> f64 {
    x.sort_by(f64::total_cmp);
    x[x.len() / 2]
}
