//! Gaussians with split SH and features in raw values, several cameras, and upstream gradients.

use splat_core::{Camera, Color, FeatureChannels, Mode, Scene, Settings, Shape, Upstream, Values};

pub struct Rich {
    pub means3d: Vec<f32>,
    pub opacities: Vec<f32>,
    pub sh: Vec<f32>,
    pub sh_rest: Vec<f32>,
    pub scales: Vec<f32>,
    pub rotations: Vec<f32>,
    pub features: Vec<f32>,
}

pub const CHANNELS: usize = 3;

impl Rich {
    pub fn new(p: usize) -> Self {
        let wave = |i: usize, k: f32| (i as f32 * k).sin();
        let list = |each: usize, f: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
            (0..p * each).map(|n| f(n / each, n % each)).collect()
        };
        Self {
            means3d: list(3, &|i, k| if k == 2 { 4.0 + wave(i, 0.7) } else { wave(i, 1.3 + 0.8 * k as f32) }),
            // Logits, logarithms, and quaternions of any length.
            opacities: list(1, &|i, _| 2.0 * wave(i, 3.3)),
            sh: list(3, &|i, k| 0.8 + 0.5 * wave(i, 0.3 + k as f32)),
            sh_rest: list(9, &|i, k| 0.2 * wave(i, 0.11 * k as f32 + 0.2)),
            scales: list(3, &|i, k| -2.5 + 0.5 * wave(i, 5.0 + k as f32)),
            rotations: list(4, &|i, k| if k == 0 { 1.0 } else { wave(i, k as f32) }),
            features: list(CHANNELS, &|i, k| wave(i, 0.9 + k as f32)),
        }
    }

    pub fn scene(&self) -> Scene<'_> {
        Scene {
            means3d: &self.means3d,
            opacities: &self.opacities,
            color: Color::SplitSh { first: &self.sh, rest: &self.sh_rest, coeffs: 4 },
            shape: Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations },
            features: FeatureChannels { values: &self.features, count: CHANNELS },
        }
    }
}

pub fn settings() -> Settings {
    Settings {
        background: [0.2, 0.1, 0.4],
        sh_degree: 1,
        mode: Mode::Exact,
        values: Values::Raw,
        ..Settings::default()
    }
}

pub fn cameras() -> Vec<Camera> {
    [[0.0, 0.0, 0.0], [0.4, -0.2, 0.3], [-0.6, 0.1, -0.5]]
        .map(|eye| Camera::look_at(37, 23, 50.0, eye, [0.0, 0.0, 4.0], [0.0, -1.0, 0.0]))
        .to_vec()
}

/// Upstream gradients for `n` images, by a fixed pattern.
pub struct Up {
    pub color: Vec<f32>,
    pub depth: Vec<f32>,
    pub features: Vec<f32>,
}

impl Up {
    pub fn new(n: usize) -> Self {
        let pattern = |len: usize| (0..len * n * 37 * 23).map(|i| (i as f32 * 0.37).cos()).collect();
        Self { color: pattern(3), depth: pattern(1), features: pattern(CHANNELS) }
    }

    /// Those of image `i` of `n`, or of all.
    pub fn of(&self, one: Option<usize>) -> Upstream<'_> {
        let pixels = 37 * 23;
        let part = |v: &'_ [f32], channels: usize| match one {
            None => 0..v.len(),
            Some(i) => i * channels * pixels..(i + 1) * channels * pixels,
        };
        Upstream {
            color: Some(&self.color[part(&self.color, 3)]),
            depth: Some(&self.depth[part(&self.depth, 1)]),
            features: Some(&self.features[part(&self.features, CHANNELS)]),
            means2d_abs: true,
            ..Upstream::default()
        }
    }
}
