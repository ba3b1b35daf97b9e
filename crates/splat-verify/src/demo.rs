//! The embedded scene: a torus knot of Gaussians, made of formulas, so that a fresh build can draw a picture
//! and take training steps without any file.
//!
//! World units; the knot lies within 2 of the origin. Colours are RGB, no spherical harmonics.

use splat_core::{Camera, Color, FeatureChannels, Scene, Shape};

/// Gaussians that own their numbers; shapes as in [`Scene`].
#[derive(Debug, Clone)]
pub struct OwnedScene {
    /// `[P,3]`.
    pub means3d: Vec<f32>,
    /// `[P]`.
    pub opacities: Vec<f32>,
    /// `[P,3]` RGB, or `[P,M,3]` SH when `sh_coeffs` is set.
    pub color: Vec<f32>,
    /// `M`, when `color` is SH.
    pub sh_coeffs: Option<usize>,
    /// `[P,3]`, or empty with `cov3d`.
    pub scales: Vec<f32>,
    /// `[P,4]` wxyz, or empty with `cov3d`.
    pub rotations: Vec<f32>,
    /// `[P,6]`, or empty.
    pub cov3d: Vec<f32>,
}

impl OwnedScene {
    /// Borrows everything.
    #[must_use]
    pub fn scene(&self) -> Scene<'_> {
        Scene {
            means3d: &self.means3d,
            opacities: &self.opacities,
            color: match self.sh_coeffs {
                Some(coeffs) => Color::Sh { values: &self.color, coeffs },
                None => Color::Rgb(&self.color),
            },
            shape: if self.cov3d.is_empty() {
                Shape::ScaleRotation { scales: &self.scales, rotations: &self.rotations }
            } else {
                Shape::Covariance(&self.cov3d)
            },
            features: FeatureChannels::default(),
        }
    }
}

/// A point of the (2,3) torus knot; `t` in turns.
fn knot_point(t: f64) -> [f64; 3] {
    let a = t * std::f64::consts::TAU;
    let r = 1.0 + 0.45 * (3.0 * a).cos();
    [r * (2.0 * a).cos(), r * (2.0 * a).sin(), 0.45 * (3.0 * a).sin()]
}

/// `count` Gaussians along the knot, as beads stretched along the curve, hue turning with it.
#[must_use]
pub fn knot(count: usize) -> OwnedScene {
    let mut s = OwnedScene {
        means3d: Vec::new(),
        opacities: Vec::new(),
        color: Vec::new(),
        sh_coeffs: None,
        scales: Vec::new(),
        rotations: Vec::new(),
        cov3d: Vec::new(),
    };
    let golden = 2.399_963_229_728_653;
    for i in 0..count {
        let t = (i as f64 + 0.5) / count as f64;
        let (p, q) = (knot_point(t), knot_point(t + 1e-4));
        let tangent = unit([q[0] - p[0], q[1] - p[1], q[2] - p[2]]);
        // Beads sit on a tube around the curve, at the golden angle from one another.
        let side = unit(cross(tangent, [0.0, 0.0, 1.0]));
        let up = cross(tangent, side);
        let (sin, cos) = (i as f64 * golden).sin_cos();
        let tube = 0.16;
        let center: [f64; 3] = std::array::from_fn(|k| p[k] + tube * (cos * side[k] + sin * up[k]));
        s.means3d.extend(center.map(|x| x as f32));
        s.opacities.push(0.9);
        let light = 0.65 + 0.35 * cos;
        let hue = |shift: f64| (light * (0.5 + 0.5 * ((t + shift) * std::f64::consts::TAU).cos())) as f32;
        s.color.extend([hue(0.0), hue(1.0 / 3.0), hue(2.0 / 3.0)]);
        s.scales.extend([0.05, 0.022, 0.022]);
        s.rotations.extend(turn_x_to(tangent).map(|x| x as f32));
    }
    s
}

/// The camera the knot is drawn with.
#[must_use]
pub fn knot_camera(width: u32, height: u32) -> Camera {
    Camera::look_at(width, height, 50.0, [0.6, -1.6, -3.4], [0.0; 3], [0.0, -1.0, 0.0])
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn unit(a: [f64; 3]) -> [f64; 3] {
    let n = a.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
    a.map(|x| x / n)
}

/// The quaternion (wxyz, unit) that turns the x axis to the unit vector `d`: half-way construction.
fn turn_x_to(d: [f64; 3]) -> [f64; 4] {
    let w = 1.0 + d[0];
    if w < 1e-9 {
        return [0.0, 0.0, 0.0, 1.0];
    }
    let n = (w * w + d[1] * d[1] + d[2] * d[2]).sqrt();
    [w / n, 0.0, -d[2] / n, d[1] / n]
}
