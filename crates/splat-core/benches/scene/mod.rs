//! The synthetic scene of all speed figures, and its own small random numbers, so that every machine and
//! every version measures the same Gaussians.

use splat_core::{Camera, Color, Scene, Settings, Shape};

/// Splats, the camera and upstream gradients for one measurement.
pub(crate) struct Synthetic {
    pub(crate) camera: Camera<f32>,
    pub(crate) settings: Settings<f32>,
    pub(crate) grad_color: Vec<f32>,
    means3d: Vec<f32>,
    opacities: Vec<f32>,
    sh: Vec<f32>,
    scales: Vec<f32>,
    rotations: Vec<f32>,
}

impl Synthetic {
    /// `count` Gaussians: centres N(0,1) * (2, 1.2, 2) + (0, 0, 6), scales exp(N(ln s, 0.7)), random unit
    /// quaternions, opacities sigmoid(N(0, 2)), SH of degree 3 N(0, 0.2); identity view, 60 degrees.
    pub(crate) fn new(count: usize) -> Self {
        let (width, height, scale) = match count {
            0..200_000 => (800, 800, 0.02_f64),
            200_000..2_000_000 => (1920, 1080, 0.01),
            _ => (1920, 1080, 0.006),
        };
        let mut random = Random(0x5eed);
        let mut fill = |each: usize, f: &mut dyn FnMut(&mut Random, usize) -> f64| -> Vec<f32> {
            (0..count * each).map(|i| f(&mut random, i % each) as f32).collect()
        };
        let spread = [2.0, 1.2, 2.0];
        let means3d = fill(3, &mut |r, k| r.normal() * spread[k] + if k == 2 { 6.0 } else { 0.0 });
        let scales = fill(3, &mut |r, _| (scale.ln() + 0.7 * r.normal()).exp());
        let opacities = fill(1, &mut |r, _| 1.0 / (1.0 + (-2.0 * r.normal()).exp()));
        let sh = fill(48, &mut |r, _| 0.2 * r.normal());
        let mut rotations = fill(4, &mut |r, _| r.normal());
        for q in rotations.chunks_exact_mut(4) {
            let length = q.iter().map(|x| x * x).sum::<f32>().sqrt();
            q.iter_mut().for_each(|x| *x /= length);
        }
        let mut random = Random(7);
        let grad_color = (0..3 * width * height).map(|_| random.normal() as f32).collect();
        let camera =
            Camera::look_at(width as u32, height as u32, 60.0, [0.0; 3], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]);
        Self { camera, settings: Settings::default(), grad_color, means3d, opacities, sh, scales, rotations }
    }

    pub(crate) fn scene(&self) -> Scene<'_, f32> {
        Scene {
            means3d: &self.means3d,
            opacities: &self.opacities,
            features: splat_core::FeatureChannels::default(),
            color: Color::Sh { values: &self.sh, coeffs: 16 },
            shape: Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations },
        }
    }
}

/// Steele, Lea and Flood's SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In (0, 1].
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
