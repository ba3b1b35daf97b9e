//! Where the viewer stands first, from cameras or from the Gaussians alone. World coordinates and units.
//!
//! Medians and quantiles, not means: trained scenes have a few Gaussians very far out and many faint ones.

use serde::Serialize;
use splat_core::Camera;
use splat_scene::Gaussians;

type V = [f64; 3];

/// COLMAP's first camera stands about upright, and its y points down.
const UP: V = [0.0, -1.0, 0.0];
/// Vertical field of view where no camera says one, degrees.
const FOV_Y: f64 = 50.0;
/// The share of Gaussians that a camera must see to be a start.
const LEAST_SEEN: f64 = 0.05;
/// Opacity from which a Gaussian counts; nearly all of a trained scene's clutter is below.
const LEAST_OPACITY: f32 = 0.1;

/// The first camera of the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Framing {
    eye: V,
    /// What dragging orbits around.
    target: V,
    /// Unit length.
    up: V,
    /// Degrees, vertical.
    fov_y: f64,
    near: f64,
    far: f64,
}

/// A camera of the training set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pose {
    center: V,
    right: V,
    down: V,
    forward: V,
    tan: [f64; 2],
}

impl Pose {
    /// From world-to-camera with OpenCV axes.
    pub(super) fn new(camera: &Camera) -> Self {
        // Column-major: row r of the rotation is right, down or forward.
        let row = |r: usize| [0, 4, 8].map(|c| f64::from(camera.view[c + r]));
        Self {
            center: camera.campos.map(f64::from),
            right: row(0),
            down: row(1),
            forward: row(2),
            tan: [f64::from(camera.tan_fovx), f64::from(camera.tan_fovy)],
        }
    }

    /// Depth of a point in the picture; none if it lies outside.
    fn depth(&self, point: V) -> Option<f64> {
        let d = sub(point, self.center);
        let z = dot(d, self.forward);
        (z > 0.0 && dot(d, self.right).abs() < z * self.tan[0] && dot(d, self.down).abs() < z * self.tan[1])
            .then_some(z)
    }
}

/// The first of `poses` that sees a fair part of the scene; orbits what it sees at the median depth.
/// The up of all cameras together, unless `up` is given. None where no camera sees enough.
pub(super) fn from_cameras(gaussians: &Gaussians, poses: &[Pose], up: Option<V>) -> Option<Framing> {
    let points = points(gaussians);
    let (pose, depth) = poses.iter().find_map(|pose| {
        let mut depths: Vec<f64> = points.iter().filter_map(|p| pose.depth(*p)).collect();
        let seen = depths.len() as f64 / points.len().max(1) as f64;
        Some((pose, quantile(&mut depths, 0.5)?)).filter(|_| seen >= LEAST_SEEN)
    })?;
    // Cameras nod and lean; together they stand upright. Where they do not, the first one's own up holds.
    let sum = poses.iter().fold([0.0; 3], |s, p| sub(s, p.down));
    let mean = Some(sum).filter(|s| length(*s) > 0.5 * poses.len() as f64);
    let up = [up, mean]
        .into_iter()
        .flatten()
        .map(unit)
        .find(|up| dot(*up, pose.forward).abs() < 0.999)
        .unwrap_or(scale(pose.down, -1.0));
    Some(Framing {
        eye: pose.center,
        target: add(pose.center, scale(pose.forward, depth)),
        up,
        fov_y: 2.0 * pose.tan[1].atan().to_degrees(),
        near: 1e-3 * depth,
        far: 1e4 * depth,
    })
}

/// From outside, a little from above, so that four fifths of the Gaussians are in the picture. Looks along +z
/// as COLMAP's first camera does, levelled to `up`.
pub(super) fn from_outside(gaussians: &Gaussians, up: Option<V>) -> Framing {
    let points = points(gaussians);
    let axis = |k: usize| quantile(&mut points.iter().map(|p| p[k]).collect::<Vec<_>>(), 0.5).unwrap_or(0.0);
    let target = [axis(0), axis(1), axis(2)];
    let mut distances: Vec<f64> = points.iter().map(|p| length(sub(*p, target))).collect();
    let radius = quantile(&mut distances, 0.8).filter(|r| *r > 0.0).unwrap_or(1.0);
    // With a margin: what stands out of a flat scene is among the last fifth.
    let distance = 1.25 * radius / (FOV_Y.to_radians() / 2.0).sin();
    let up = unit(up.unwrap_or(UP));
    let level = |v: V| sub(v, scale(up, dot(v, up)));
    let ahead = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]].map(level).into_iter().find(|v| length(*v) > 0.1);
    let ahead = unit(ahead.expect("two axes are not both parallel to up"));
    let back = unit(sub(scale(up, 0.3), ahead));
    Framing {
        eye: add(target, scale(back, distance)),
        target,
        up,
        fov_y: FOV_Y,
        near: 1e-3 * distance,
        far: 1e4 * distance,
    }
}

/// Centres of the Gaussians that show; of all, if none does.
fn points(gaussians: &Gaussians) -> Vec<V> {
    let least = (LEAST_OPACITY / (1.0 - LEAST_OPACITY)).ln();
    let all = || gaussians.means.chunks_exact(3).map(|m| [m[0], m[1], m[2]].map(f64::from));
    let shown: Vec<V> =
        all().zip(&gaussians.opacity_logits).filter(|(_, o)| **o >= least).map(|(m, _)| m).collect();
    if shown.is_empty() { all().collect() } else { shown }
}

/// The value below which the share `q` lies; none of nothing.
fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    let index = (q * values.len().checked_sub(1)? as f64).round() as usize;
    Some(*values.select_nth_unstable_by(index, f64::total_cmp).1)
}

fn add(a: V, b: V) -> V {
    std::array::from_fn(|k| a[k] + b[k])
}

fn sub(a: V, b: V) -> V {
    std::array::from_fn(|k| a[k] - b[k])
}

fn scale(a: V, s: f64) -> V {
    a.map(|x| x * s)
}

fn dot(a: V, b: V) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn length(a: V) -> f64 {
    dot(a, a).sqrt()
}

fn unit(a: V) -> V {
    scale(a, 1.0 / length(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 125 opaque Gaussians in a cube of half edge 1 around `center`, a faint one and an opaque one far out.
    fn cube(center: [f32; 3]) -> Gaussians {
        let mut g = Gaussians { coeffs: 1, ..Gaussians::default() };
        let step = |i: usize| (i as f32 - 2.0) / 2.0;
        for i in 0..125 {
            let offset = [step(i % 5), step(i / 5 % 5), step(i / 25)];
            g.means.extend((0..3).map(|k| center[k] + offset[k]));
            g.opacity_logits.push(2.0);
        }
        g.means.extend([1e6, 1e6, 1e6, -1e5, 0.0, 0.0]);
        g.opacity_logits.extend([2.0, -9.0]);
        g
    }

    fn close(a: V, b: V) -> bool {
        length(sub(a, b)) < 1e-6
    }

    #[test]
    fn far_and_faint_gaussians_do_not_move_the_start() {
        let f = from_outside(&cube([3.0, -2.0, 5.0]), None);
        assert!(close(f.target, [3.0, -2.0, 5.0]), "{f:?}");
        assert_eq!(f.up, [0.0, -1.0, 0.0]);
        let away = sub(f.eye, f.target);
        assert!(away[2] < -1.5 && away[1] < 0.0 && length(away) < 6.0, "in front, a little above: {f:?}");
    }

    #[test]
    fn the_eye_is_above_whatever_up_is() {
        for up in [[0.0, 0.0, 2.0], [0.0, 0.0, -1.0], [1.0, 1.0, 0.0], [0.0, 3.0, 0.0]] {
            let f = from_outside(&cube([0.0; 3]), Some(up));
            let away = sub(f.eye, f.target);
            assert!(dot(away, unit(up)) > 0.2 * length(away), "{f:?}");
            assert!(dot(away, unit(up)) < 0.4 * length(away), "{f:?}");
            assert!((length(f.up) - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_camera_that_sees_the_scene_is_the_start() {
        let look =
            |eye: V, target: V| Pose::new(&Camera::look_at(640, 480, 40.0, eye, target, [0.0, -1.0, 0.1]));
        let away = look([0.0, 0.0, -8.0], [0.0, 0.0, -20.0]);
        let at = look([0.0, 1.0, -8.0], [0.0, 0.0, 0.0]);
        let f = from_cameras(&cube([0.0; 3]), &[away.clone(), at.clone()], None).unwrap();
        assert!(length(sub(f.eye, [0.0, 1.0, -8.0])) < 1e-4, "the first one looks away: {f:?}");
        assert!(length(f.target) < 0.5, "{f:?}");
        assert!((f.fov_y - 40.0).abs() < 1e-3 && f.up[1] < -0.9, "{f:?}");
        assert_eq!(from_cameras(&cube([0.0; 3]), &[away], None), None);
        let f = from_cameras(&cube([0.0; 3]), &[at], Some([1.0, 0.0, 0.0])).unwrap();
        assert_eq!(f.up, [1.0, 0.0, 0.0]);
    }

    #[test]
    fn nothing_and_one_gaussian_have_a_start_too() {
        let none = Gaussians { coeffs: 1, ..Gaussians::default() };
        let one = Gaussians { means: vec![1.0; 3], opacity_logits: vec![0.0], ..none.clone() };
        for g in [none, one] {
            let f = from_outside(&g, None);
            assert!(f.eye.iter().chain(&f.target).all(|x| x.is_finite()) && f.near > 0.0, "{f:?}");
            assert_eq!(from_cameras(&g, &[], None), None);
        }
    }
}
