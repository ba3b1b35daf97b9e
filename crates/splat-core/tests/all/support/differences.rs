//! A loss of a render and its derivatives by central differences in f64.

use splat_core::{
    Camera, Cutoff, Derivative, Gradients, Model, Settings, Tuning, Wanted, backward_with, forward_with,
};

use crate::random::{Owned, Weights, camera};

pub(crate) const TOLERANCE: f64 = 1e-6;
/// Step of the differences, for numbers about 1.
pub(crate) const STEP: f64 = 4e-4;

pub(crate) fn smooth() -> Tuning<'static, f64> {
    Tuning { cutoff: Cutoff::Smooth, derivative: Derivative::Exact, ..Tuning::default() }
}

/// A camera, settings and a loss.
pub(crate) struct Problem {
    pub(crate) camera: Camera<f64>,
    pub(crate) settings: Settings<f64>,
    pub(crate) weights: Weights<f64>,
}

impl Problem {
    pub(crate) fn new(settings: Settings<f64>) -> Self {
        // Two tiles across, neither side a multiple of 16.
        Self::seen_by(camera(21, 13), settings, 0)
    }

    /// With `count` feature channels.
    pub(crate) fn seen_by(camera: Camera<f64>, settings: Settings<f64>, count: usize) -> Self {
        let weights = Weights::with_features(5, &camera, count);
        Self { camera, settings, weights }
    }

    pub(crate) fn loss(&self, scene: &Owned<f64>, tuning: &Tuning<f64>) -> f64 {
        let out = forward_with(&scene.scene(), &self.camera, &self.settings, &Wanted::images(), tuning)
            .expect("forward");
        self.weights.loss(&out.outputs)
    }

    pub(crate) fn gradients(&self, scene: &Owned<f64>, tuning: &Tuning<f64>) -> Gradients<f64> {
        let s = scene.scene();
        let out = forward_with(&s, &self.camera, &self.settings, &Wanted::images(), tuning).expect("forward");
        let upstream = self.weights.upstream();
        backward_with(&s, &self.camera, &self.settings, out.saved.as_ref(), &out.radii, &upstream, tuning)
            .expect("backward")
    }

    /// Derivative of the loss for each number of one input, by the five-point rule.
    pub(crate) fn differences(
        &self,
        scene: &Owned<f64>,
        field: fn(&mut Owned<f64>) -> &mut Vec<f64>,
    ) -> Vec<f64> {
        let values = field(&mut scene.clone()).clone();
        // Steps follow the size of the numbers: covariances of small Gaussians are about 1e-3.
        let typical = (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt();
        let step = STEP * typical.min(1.0);
        (0..values.len())
            .map(|i| {
                five_points(step, |x| {
                    let mut moved = scene.clone();
                    field(&mut moved)[i] += x;
                    self.loss(&moved, &smooth())
                })
            })
            .collect()
    }
}

/// Error of order h^4, rounding of order 1e-16 / h.
pub(crate) fn five_points(h: f64, f: impl Fn(f64) -> f64) -> f64 {
    (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
}

/// Largest deviation of any number, relative to it or to the tensor's root mean square, whichever is larger.
pub(crate) fn deviation(ours: &[f64], truth: &[f64]) -> f64 {
    assert_eq!(ours.len(), truth.len(), "sizes");
    let typical = (truth.iter().map(|x| x * x).sum::<f64>() / truth.len() as f64).sqrt();
    assert!(typical > 1e-6, "the input does not matter to the loss: {typical:e}");
    let relative = |(a, b): (&f64, &f64)| (a - b).abs() / b.abs().max(typical);
    ours.iter().zip(truth).map(relative).fold(0.0, f64::max)
}

pub(crate) fn assert_close(name: &str, ours: &[f64], truth: &[f64]) {
    let worst = deviation(ours, truth);
    assert!(worst <= TOLERANCE, "{name}: relative deviation {worst:e} over {TOLERANCE:e}");
}

/// Inverse of an affine matrix, column-major, by Gauss-Jordan elimination.
fn inverse(m: &[f64; 16]) -> [f64; 16] {
    let mut a: Vec<Vec<f64>> = (0..4)
        .map(|r| (0..8).map(|c| if c < 4 { m[4 * c + r] } else { f64::from(c == r + 4) }).collect())
        .collect();
    for k in 0..4 {
        let pivot = (k..4).max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs())).expect("a row");
        a.swap(k, pivot);
        let factor = a[k][k];
        a[k].iter_mut().for_each(|x| *x /= factor);
        for r in (0..4).filter(|&r| r != k) {
            let (factor, row) = (a[r][k], a[k].clone());
            a[r].iter_mut().zip(row).for_each(|(x, y)| *x -= factor * y);
        }
    }
    std::array::from_fn(|i| a[i % 4][4 + i / 4])
}

fn product(a: &[f64; 16], b: &[f64; 16]) -> [f64; 16] {
    std::array::from_fn(|i| (0..4).map(|k| a[4 * k + i % 4] * b[4 * (i / 4) + k]).sum())
}

/// The camera with another pose: `proj` and `campos` follow it.
pub(crate) fn with_view(camera: &Camera<f64>, view: [f64; 16]) -> Camera<f64> {
    let fixed = product(&camera.proj, &inverse(&camera.view));
    let back = inverse(&view);
    let mut proj = product(&fixed, &view);
    if camera.model == Model::Orthographic {
        (0..4).for_each(|c| proj[4 * c + 3] = f64::from(c == 3));
    }
    Camera { proj, campos: [back[12], back[13], back[14]], view, ..camera.clone() }
}
