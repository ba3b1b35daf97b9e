//! A few Gaussians with colours, and the camera that sees them.

use splat_core::{Camera, Color, FeatureChannels, Scene, Shape};

pub struct Blob {
    pub means3d: Vec<f32>,
    pub opacities: Vec<f32>,
    pub colors: Vec<f32>,
    pub scales: Vec<f32>,
    pub rotations: Vec<f32>,
}

impl Blob {
    pub fn new(p: usize) -> Self {
        let wave = |i: usize, k: f32| (i as f32 * k).sin();
        let mut b = Self {
            means3d: Vec::new(),
            opacities: Vec::new(),
            colors: Vec::new(),
            scales: Vec::new(),
            rotations: Vec::new(),
        };
        for i in 0..p {
            b.means3d.extend([wave(i, 1.3), wave(i, 2.1), 4.0 + wave(i, 0.7)]);
            b.opacities.push(0.5 + 0.4 * wave(i, 3.3));
            b.colors.extend([0.5 + 0.5 * wave(i, 0.3), 0.4, 0.5 - 0.5 * wave(i, 0.9)]);
            b.scales.extend([0.1, 0.05 + 0.02 * wave(i, 5.0), 0.2]);
            b.rotations.extend([1.0, wave(i, 1.0), 0.3, wave(i, 0.2)]);
        }
        b
    }

    pub fn scene(&self) -> Scene<'_> {
        Scene {
            means3d: &self.means3d,
            opacities: &self.opacities,
            color: Color::Rgb(&self.colors),
            shape: Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations },
            features: FeatureChannels::default(),
        }
    }
}

pub fn camera() -> Camera {
    Camera::look_at(37, 23, 50.0, [0.0; 3], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0])
}
