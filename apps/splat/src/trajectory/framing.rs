//! Where a viewer stands first, from cameras or from the Gaussians alone.
//!
//! Medians and quantiles, not means: trained scenes have a few Gaussians very far out and many faint ones.

use serde::Serialize;
use splat_core::Camera;
use splat_scene::{Gaussians, up_of_cameras};

use super::orbit::body;
use super::{Pose, UP, depth_in_view};
use splat_init::linear::{Vec3, along, dot, median, norm, quantile, sub, unit};

/// Vertical field of view where no camera says one, degrees.
const FOV_Y: f64 = 50.0;
/// The share of Gaussians that a camera must see to be a start.
const LEAST_SEEN: f64 = 0.05;
/// Opacity from which a Gaussian counts; nearly all of a trained scene's clutter is below.
const LEAST_OPACITY: f32 = 0.1;

/// A camera to begin to look around from. World coordinates and units.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Framing {
    /// The camera's place.
    pub(crate) eye: [f64; 3],
    /// What it looks at and orbits around.
    pub(crate) target: [f64; 3],
    /// Of length 1.
    pub(crate) up: [f64; 3],
    /// Vertical field of view, degrees.
    pub(crate) fov_y: f64,
    /// Width by height of what must be in view: a narrower window shows more above and below instead of cutting the sides.
    pub(crate) aspect: f64,
    /// Depth before which nothing need be shown.
    pub(crate) near: f64,
    /// Depth behind which nothing need be shown.
    pub(crate) far: f64,
}

impl Framing {
    /// The first of `cameras` that sees a fair part of the scene; orbits what it sees at the median depth. The up is
    /// `up`, or that of all cameras together. None where no camera sees enough.
    #[must_use]
    pub(crate) fn of_cameras(cameras: &[&Camera], scene: &Gaussians, up: Option<[f64; 3]>) -> Option<Self> {
        let points = shown(scene);
        let (camera, depth) = cameras.iter().find_map(|camera| {
            let depths: Vec<f64> = points.iter().filter_map(|p| depth_in_view(camera, *p)).collect();
            let seen = depths.len() as f64 / points.len().max(1) as f64;
            Some((camera, median(depths)?)).filter(|_| seen >= LEAST_SEEN)
        })?;
        // Where they do not stand upright together, the first one's own up holds.
        let mean = up_of_cameras(cameras.iter().copied());
        let pose = Pose::of(camera);
        let [_, down, forward] = pose.rotation;
        let up = [up, mean]
            .into_iter()
            .flatten()
            .filter_map(unit)
            .find(|up| dot(*up, forward).abs() < 0.999)
            .unwrap_or(down.map(|x| -x));
        let eye = pose.center();
        Some(Self {
            eye,
            target: along(eye, forward, depth),
            up,
            fov_y: 2.0 * f64::from(camera.tan_fovy).atan().to_degrees(),
            aspect: f64::from(camera.tan_fovx / camera.tan_fovy),
            near: 1e-3 * depth,
            far: 1e4 * depth,
        })
    }

    /// From outside, a little from above, so that the scene but for a far background is in the picture from whatever side it
    /// is looked at. Looks along +z as COLMAP's first camera does, levelled to `up`, which is -y if it is not given.
    #[must_use]
    pub(crate) fn of_gaussians(scene: &Gaussians, up: Option<[f64; 3]>) -> Self {
        let points = body(scene).unwrap_or_default();
        let middle = |k: usize| {
            let mut values: Vec<f64> = points.iter().map(|p| p[k]).collect();
            let ends = [0.01, 0.99].map(|share| quantile(&mut values, share).unwrap_or(0.0));
            (ends[0] + ends[1]) / 2.0
        };
        let target = [0, 1, 2].map(middle);
        let mut distances: Vec<f64> = points.iter().map(|p| norm(sub(*p, target))).collect();
        let radius = quantile(&mut distances, 0.99).filter(|r| *r > 0.0).unwrap_or(1.0);
        // The whole ball around it is in view; Gaussians are larger than their centres.
        let distance = 1.1 * radius / (FOV_Y.to_radians() / 2.0).sin();
        let up = up.and_then(unit).unwrap_or(UP);
        let level = |v: Vec3| along(v, up, -dot(v, up));
        let ahead = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]].map(level).into_iter().find(|v| norm(*v) > 0.1);
        let ahead = ahead.and_then(unit).expect("two axes are not both parallel to up");
        let back = unit(along(ahead.map(|x| -x), up, 0.3)).expect("level and up are apart");
        Self {
            eye: along(target, back, distance),
            target,
            up,
            fov_y: FOV_Y,
            aspect: 1.0,
            near: 1e-3 * distance,
            far: 1e4 * distance,
        }
    }
}

/// Centres of the Gaussians that show; of all, if none does.
fn shown(scene: &Gaussians) -> Vec<Vec3> {
    let least = (LEAST_OPACITY / (1.0 - LEAST_OPACITY)).ln();
    let all = || scene.means.chunks_exact(3).map(|m| [m[0], m[1], m[2]].map(f64::from));
    let shown: Vec<Vec3> =
        all().zip(&scene.opacity_logits).filter(|(_, o)| **o >= least).map(|(m, _)| m).collect();
    if shown.is_empty() { all().collect() } else { shown }
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

    fn close(a: Vec3, b: Vec3) -> bool {
        norm(sub(a, b)) < 1e-6
    }

    #[test]
    fn far_and_faint_gaussians_do_not_move_the_start() {
        let f = Framing::of_gaussians(&cube([3.0, -2.0, 5.0]), None);
        assert!(close(f.target, [3.0, -2.0, 5.0]), "{f:?}");
        assert_eq!(f.up, [0.0, -1.0, 0.0]);
        let away = sub(f.eye, f.target);
        assert!(away[2] < -1.5 && away[1] < 0.0 && norm(away) < 6.0, "in front, a little above: {f:?}");
    }

    /// A thin figure keeps its head: all of it is in view, and so it is after any turn of the scene.
    #[test]
    fn nothing_of_the_content_is_cut_off() {
        let mut g = Gaussians { coeffs: 1, ..Gaussians::default() };
        for i in 0..1000 {
            let t = i as f32 / 999.0;
            // A flat ground, and on it a pole of a tenth of the Gaussians.
            let at =
                if i % 10 == 0 { [0.0, -3.0 * t, 0.0] } else { [(7.0 * t).sin(), 0.0, (11.0 * t).cos()] };
            g.means.extend(at);
            g.opacity_logits.push(2.0);
        }
        for up in [None, Some([0.0, 1.0, 0.0]), Some([1.0, 0.0, 0.0])] {
            let f = Framing::of_gaussians(&g, up);
            let camera = Camera::look_at(300, 300, f.fov_y, f.eye, f.target, f.up);
            let seen = g
                .means
                .chunks_exact(3)
                .filter(|m| depth_in_view(&camera, [m[0], m[1], m[2]].map(f64::from)).is_some());
            assert_eq!(seen.count(), 1000, "{f:?}");
            assert!(norm(sub(f.eye, f.target)) < 8.0, "and it is not far away: {f:?}");
        }
    }

    #[test]
    fn the_eye_is_above_whatever_up_is() {
        for up in [[0.0, 0.0, 2.0], [0.0, 0.0, -1.0], [1.0, 1.0, 0.0], [0.0, 3.0, 0.0]] {
            let f = Framing::of_gaussians(&cube([0.0; 3]), Some(up));
            let away = sub(f.eye, f.target);
            assert!(dot(away, unit(up).unwrap()) > 0.2 * norm(away), "{f:?}");
            assert!(dot(away, unit(up).unwrap()) < 0.4 * norm(away), "{f:?}");
            assert!((norm(f.up) - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_camera_that_sees_the_scene_is_the_start() {
        let look = |eye, target| Camera::look_at(640, 480, 40.0, eye, target, [0.0, -1.0, 0.1]);
        let away = look([0.0, 0.0, -8.0], [0.0, 0.0, -20.0]);
        let at = look([0.0, 1.0, -8.0], [0.0, 0.0, 0.0]);
        let f = Framing::of_cameras(&[&away, &at], &cube([0.0; 3]), None).unwrap();
        assert!(norm(sub(f.eye, [0.0, 1.0, -8.0])) < 1e-4, "the first one looks away: {f:?}");
        assert!(norm(f.target) < 0.5, "{f:?}");
        assert!((f.fov_y - 40.0).abs() < 1e-3 && f.up[1] < -0.9, "{f:?}");
        assert_eq!(Framing::of_cameras(&[&away], &cube([0.0; 3]), None), None);
        let f = Framing::of_cameras(&[&at], &cube([0.0; 3]), Some([1.0, 0.0, 0.0])).unwrap();
        assert_eq!(f.up, [1.0, 0.0, 0.0]);
    }

    #[test]
    fn nothing_and_one_gaussian_have_a_start_too() {
        let none = Gaussians { coeffs: 1, ..Gaussians::default() };
        let one = Gaussians { means: vec![1.0; 3], opacity_logits: vec![0.0], ..none.clone() };
        for g in [none, one] {
            let f = Framing::of_gaussians(&g, None);
            assert!(f.eye.iter().chain(&f.target).all(|x| x.is_finite()) && f.near > 0.0, "{f:?}");
            assert_eq!(Framing::of_cameras(&[], &g, None), None);
        }
    }
}
