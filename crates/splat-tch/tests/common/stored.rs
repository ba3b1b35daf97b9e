//! A scene as an optimiser keeps it, with everything that the original does not have, and settings that use it.

use splat_core::{FeatureChannels, Mode, Values};
use splat_tch::{Color, Gaussians, Settings, Shape};
use tch::{Device, Kind, Tensor};

use super::{HEIGHT, Random, Scene, WIDTH};

pub const CHANNELS: i64 = 4;

pub fn leaf(values: &[f32], shape: &[i64], device: Device) -> Tensor {
    Tensor::from_slice(values).view(shape).to_device(device).detach().set_requires_grad(true)
}

/// Stored values of a scene: logits, logarithms, quaternions of any length, coefficients in two parts, features.
#[derive(Debug)]
pub struct Stored {
    pub p: i64,
    means: Vec<f32>,
    logits: Vec<f32>,
    first: Vec<f32>,
    rest: Vec<f32>,
    logs: Vec<f32>,
    rotations: Vec<f32>,
    features: Vec<f32>,
    /// The same as leaves, in this order; then means2d and means2d_abs of `cameras` cameras.
    pub leaves: Vec<Tensor>,
}

impl Stored {
    pub fn new(p: usize, cameras: Option<i64>) -> Self {
        Self::on(p, cameras, Device::Cpu)
    }

    pub fn on(p: usize, cameras: Option<i64>, device: Device) -> Self {
        let base = Scene::new(p);
        let mut r = Random::new(77);
        let logits: Vec<f32> = base.opacities.iter().map(|o| (o / (1.0 - o)).ln()).collect();
        let logs: Vec<f32> = base.scales.iter().map(|s| s.ln()).collect();
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for row in base.sh.chunks_exact(48) {
            first.extend(row[..3].iter().map(|x| x + 1.0));
            rest.extend(&row[3..]);
        }
        let features = r.vec(p * CHANNELS as usize);
        let n = p as i64;
        let mut leaves = vec![
            leaf(&base.means3d, &[n, 3], device),
            leaf(&logits, &[n, 1], device),
            leaf(&first, &[n, 1, 3], device),
            leaf(&rest, &[n, 15, 3], device),
            leaf(&logs, &[n, 3], device),
            leaf(&base.rotations, &[n, 4], device),
            leaf(&features, &[n, CHANNELS], device),
        ];
        for k in [3, 2] {
            let shape: Vec<i64> = cameras.into_iter().chain([n, k]).collect();
            let nan = Tensor::full(shape, f64::NAN, (Kind::Float, device));
            leaves.push(nan.set_requires_grad(true));
        }
        let (means, rotations) = (base.means3d, base.rotations);
        Self { p: n, means, logits, first, rest, logs, rotations, features, leaves }
    }

    pub fn gaussians(&self) -> Gaussians<'_> {
        let l = &self.leaves;
        let color = Color::SplitSh { first: &l[2], rest: &l[3] };
        let shape = Shape::ScaleRotation { scales: &l[4], rotations: &l[5] };
        Gaussians::new(&l[0], &l[1], color, shape).means2d(&l[7]).means2d_abs(&l[8]).features(&l[6])
    }

    pub fn core(&self) -> splat_core::Scene<'_> {
        splat_core::Scene {
            means3d: &self.means,
            opacities: &self.logits,
            color: splat_core::Color::SplitSh { first: &self.first, rest: &self.rest, coeffs: 16 },
            shape: splat_core::Shape::ScaleRotation { scales: &self.logs, rotations: &self.rotations },
            features: FeatureChannels { values: &self.features, count: CHANNELS as usize },
        }
    }
}

pub const BACKGROUND: [f32; 3] = [0.2, 0.5, 0.9];

pub fn core_settings() -> splat_core::Settings {
    splat_core::Settings {
        background: BACKGROUND,
        sh_degree: 2,
        mode: Mode::Exact,
        values: Values::Raw,
        ..Default::default()
    }
}

pub fn settings() -> Settings {
    Settings {
        background: BACKGROUND.into(),
        sh_degree: 2,
        values: Values::Raw,
        reproducible: true,
        depth: true,
        alpha: true,
        ..Settings::default()
    }
}

pub fn eyes() -> Vec<splat_core::Camera> {
    [[0.3, -0.4, -4.0], [-1.0, 0.2, -3.5], [0.5, 1.0, -4.5]]
        .map(|eye| splat_core::Camera::look_at(WIDTH, HEIGHT, 50.0, eye, [0.0; 3], [0.0, -1.0, 0.0]))
        .to_vec()
}
