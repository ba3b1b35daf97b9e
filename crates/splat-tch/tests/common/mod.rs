//! Scenes and engines that the tests of this crate share. Every test file uses a part of them.
#![allow(dead_code, unreachable_pub)]

pub mod engines;
pub mod stepped;
pub mod stored;

use splat_tch::{Camera, Color, Gaussians, Shape};
use tch::{Device, Kind, Tensor};

pub const WIDTH: u32 = 37;
pub const HEIGHT: u32 = 29;

/// A small random scene: numbers on the host and, as leaves that require gradients, tensors of them.
#[derive(Debug)]
pub struct Scene {
    pub p: usize,
    pub means3d: Vec<f32>,
    pub opacities: Vec<f32>,
    /// 16 coefficients a channel.
    pub sh: Vec<f32>,
    pub colors: Vec<f32>,
    pub scales: Vec<f32>,
    pub rotations: Vec<f32>,
    pub cov3d: Vec<f32>,
    pub leaves: Leaves,
}

#[derive(Debug)]
pub struct Leaves {
    pub means3d: Tensor,
    pub means2d: Tensor,
    pub opacities: Tensor,
    pub sh: Tensor,
    pub colors: Tensor,
    pub scales: Tensor,
    pub rotations: Tensor,
    pub cov3d: Tensor,
}

/// Uniform numbers in [-1, 1), the same on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
    pub fn vec(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }
}

impl Scene {
    pub fn new(p: usize) -> Self {
        Self::on(p, Device::Cpu)
    }

    pub fn on(p: usize, device: Device) -> Self {
        let mut r = Random::new(7 + p as u64);
        let means3d = r.vec(3 * p);
        let opacities: Vec<_> = r.vec(p).iter().map(|x| 0.5 + 0.45 * x).collect();
        let sh: Vec<_> = r.vec(48 * p).iter().map(|x| 0.4 * x).collect();
        let colors: Vec<_> = r.vec(3 * p).iter().map(|x| 0.5 + 0.5 * x).collect();
        let scales: Vec<_> = r.vec(3 * p).iter().map(|x| 0.2 + 0.15 * x).collect();
        let rotations = r.vec(4 * p);
        let cov3d = (0..p)
            .flat_map(|_| {
                let [a, b, c] = [0.03 + 0.02 * r.next(), 0.03 + 0.02 * r.next(), 0.03 + 0.02 * r.next()];
                [a, 0.004 * r.next(), 0.004 * r.next(), b, 0.004 * r.next(), c]
            })
            .collect::<Vec<_>>();
        let n = p as i64;
        let leaf = |v: &[f32], shape: &[i64]| {
            Tensor::from_slice(v).view(shape).to_device(device).detach().set_requires_grad(true)
        };
        let leaves = Leaves {
            means3d: leaf(&means3d, &[n, 3]),
            // NaN stands for "uninitialised": the values must not be read.
            means2d: leaf(&vec![f32::NAN; 3 * p], &[n, 3]),
            opacities: leaf(&opacities, &[n, 1]),
            sh: leaf(&sh, &[n, 16, 3]),
            colors: leaf(&colors, &[n, 3]),
            scales: leaf(&scales, &[n, 3]),
            rotations: leaf(&rotations, &[n, 4]),
            cov3d: leaf(&cov3d, &[n, 6]),
        };
        Self { p, means3d, opacities, sh, colors, scales, rotations, cov3d, leaves }
    }

    /// The leaves as inputs: SH or colours, scales with rotations or covariances.
    pub fn gaussians(&self, sh: bool, covariance: bool) -> Gaussians<'_> {
        let l = &self.leaves;
        let color = if sh { Color::Sh(&l.sh) } else { Color::Rgb(&l.colors) };
        let shape = if covariance {
            Shape::Covariance(&l.cov3d)
        } else {
            Shape::ScaleRotation { scales: &l.scales, rotations: &l.rotations }
        };
        Gaussians::new(&l.means3d, &l.opacities, color, shape).means2d(&l.means2d)
    }

    /// The same for the engine called directly.
    pub fn core(&self, sh: bool, covariance: bool) -> splat_core::Scene<'_> {
        splat_core::Scene {
            means3d: &self.means3d,
            opacities: &self.opacities,
            color: if sh {
                splat_core::Color::Sh { values: &self.sh, coeffs: 16 }
            } else {
                splat_core::Color::Rgb(&self.colors)
            },
            shape: if covariance {
                splat_core::Shape::Covariance(&self.cov3d)
            } else {
                splat_core::Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations }
            },
            features: splat_core::FeatureChannels::default(),
        }
    }
}

/// Sees every scene from [`Scene::new`].
pub fn camera() -> splat_core::Camera {
    splat_core::Camera::look_at(WIDTH, HEIGHT, 50.0, [0.3, -0.4, -4.0], [0.0; 3], [0.0, -1.0, 0.0])
}

pub fn camera_on(device: Device) -> Camera {
    Camera::new(camera(), device).unwrap()
}

/// Looks away from them.
pub fn blind_camera() -> Camera {
    let core = splat_core::Camera::look_at(
        WIDTH,
        HEIGHT,
        50.0,
        [0.0, 0.0, -4.0],
        [0.0, 0.0, -9.0],
        [0.0, -1.0, 0.0],
    );
    Camera::new(core, Device::Cpu).unwrap()
}

/// A weight for every number of an image, so that its weighted sum has exactly this gradient.
pub fn weights(channels: i64, seed: u64) -> Tensor {
    let n = channels * i64::from(WIDTH * HEIGHT);
    Tensor::from_slice(&Random::new(seed).vec(n as usize)).view([channels, HEIGHT.into(), WIDTH.into()])
}

pub fn weighted(image: &Tensor, weights: &Tensor) -> Tensor {
    (image * weights).sum(Kind::Float)
}

pub fn numbers(t: &Tensor) -> Vec<f32> {
    Vec::try_from(t.detach().to_device(Device::Cpu).contiguous().view(-1)).unwrap()
}

/// Bit for bit, so that NaN equals NaN and 0 differs from -0.
pub fn assert_same_bits(name: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{name}: lengths");
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(a.to_bits(), b.to_bits(), "{name}[{i}]: {a} is not {b}");
    }
}
