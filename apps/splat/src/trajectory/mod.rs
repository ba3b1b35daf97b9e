//! Where a camera goes: orbits, smooth paths through given cameras, files of poses; and where one first stands.
//!
//! Ways end in [`Shot`]s, cameras with names. World-to-camera, OpenCV axes (x right, y down, z forward),
//! world units, pixels; angles are degrees. Renders nothing.

mod file;
mod framing;
mod orbit;
mod spline;

use splat_core::Camera;

use splat_init::linear::apply_transposed;

pub(crate) use file::{Trajectory, json};
pub(crate) use framing::Framing;
pub(crate) use orbit::Orbit;
pub(crate) use spline::spline;

/// The longest side of an image that is rendered: enough for anything that can be encoded, and a limit on what a
/// wrong number in a file can allocate.
pub(crate) const LONGEST_SIDE: u32 = 16384;

/// Up, where nothing says otherwise: that of an upright camera with OpenCV axes.
const UP: [f64; 3] = [0.0, -1.0, 0.0];

/// A camera and what its picture is called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shot {
    /// Without extension; may hold `/`.
    pub(crate) name: String,
    /// The camera.
    pub(crate) camera: Camera,
}

/// A pose taken from a camera: `x_camera = rotation * x_world + translation`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pose {
    /// Rows are the camera's right, down and forward axes in the world.
    pub(crate) rotation: [[f64; 3]; 3],
    /// World units.
    pub(crate) translation: [f64; 3],
}

impl Pose {
    /// The pose of `camera`.
    #[must_use]
    pub(crate) fn of(camera: &Camera) -> Self {
        let at = |r: usize, c: usize| f64::from(camera.view[4 * c + r]);
        Self {
            rotation: std::array::from_fn(|r| std::array::from_fn(|c| at(r, c))),
            translation: std::array::from_fn(|r| at(r, 3)),
        }
    }

    /// The camera's place in the world.
    #[must_use]
    pub(crate) fn center(&self) -> [f64; 3] {
        apply_transposed(&self.rotation, self.translation).map(|x| -x)
    }
}

/// Depth of the world point `at` along the axis of `camera`, world units; None where it is behind the camera or
/// outside of its fields of view, which are taken to be symmetric.
#[must_use]
pub(crate) fn depth_in_view(camera: &Camera, at: [f64; 3]) -> Option<f64> {
    let row = |r: usize| {
        (0..3).map(|k| f64::from(camera.view[4 * k + r]) * at[k]).sum::<f64>()
            + f64::from(camera.view[12 + r])
    };
    let (x, y, z) = (row(0), row(1), row(2));
    let inside =
        z > 0.0 && x.abs() < f64::from(camera.tan_fovx) * z && y.abs() < f64::from(camera.tan_fovy) * z;
    inside.then_some(z)
}

/// `fx fy cx cy` of `camera`, pixels; the principal point from the upper left corner.
#[must_use]
pub(crate) fn intrinsics(camera: &Camera) -> [f64; 4] {
    let (w, h) = (f64::from(camera.width), f64::from(camera.height));
    let p = camera.projection();
    [p[0][0] * w / 2.0, p[1][1] * h / 2.0, (p[0][2] * w + w) / 2.0, (p[1][2] * h + h) / 2.0]
}

/// Another size or field of view; all `None` change nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Lens {
    /// Pixels; alone, the height follows.
    pub(crate) width: Option<u32>,
    /// Pixels; alone, the width follows.
    pub(crate) height: Option<u32>,
    /// Vertical field of view, degrees, over 0 and under 180.
    pub(crate) fov_y: Option<f64>,
}

impl Lens {
    /// `camera` with this lens: the vertical field of view stays unless another is given, pixels keep their shape,
    /// and the principal point its place relative to the centre.
    #[must_use]
    pub(crate) fn of(&self, camera: &Camera) -> Camera {
        if *self == Self::default() {
            return camera.clone();
        }
        let (w, h) = (f64::from(camera.width), f64::from(camera.height));
        let follow = |side: f64| side.round().clamp(1.0, f64::from(LONGEST_SIDE)) as u32;
        let (width, height) = match (self.width, self.height) {
            (None, None) => (camera.width, camera.height),
            (Some(width), None) => (width, follow(f64::from(width) * h / w)),
            (None, Some(height)) => (follow(f64::from(height) * w / h), height),
            (Some(width), Some(height)) => (width, height),
        };
        let [fx, fy, cx, cy] = intrinsics(camera);
        let scale = f64::from(height) / h;
        let zoom = self.fov_y.map_or(scale, |fov| focal(height, fov) / fy);
        let center = |c: f64, old: f64, new: u32| f64::from(new) / 2.0 + (c - old / 2.0) * scale;
        let inner = [fx * zoom, fy * zoom, center(cx, w, width), center(cy, h, height)];
        let Pose { rotation, translation } = Pose::of(camera);
        Camera::from_pinhole(width, height, inner, rotation, translation)
    }
}

/// Pixels, from a vertical field of view in degrees.
fn focal(height: u32, fov_y: f64) -> f64 {
    f64::from(height) / (2.0 * (fov_y.to_radians() / 2.0).tan())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera() -> Camera {
        let rotation = [[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]];
        Camera::from_pinhole(200, 100, [150.0, 140.0, 110.0, 45.0], rotation, [0.5, -1.0, 3.0])
    }

    #[test]
    fn poses_and_intrinsics_come_back_from_cameras() {
        let camera = camera();
        let pose = Pose::of(&camera);
        let again: Camera =
            Camera::from_pinhole(200, 100, intrinsics(&camera), pose.rotation, pose.translation);
        camera.proj.iter().zip(&again.proj).for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{a} {b}"));
        assert_eq!(camera.view, again.view);
        pose.center().iter().zip(camera.campos).for_each(|(a, b)| assert!((a - f64::from(b)).abs() < 1e-6));
    }

    #[test]
    fn a_lens_scales_what_is_seen_and_changes_nothing_unasked() {
        let camera = camera();
        assert_eq!(Lens::default().of(&camera), camera);
        let near = |lens: Lens, size: (u32, u32), inner: [f64; 4]| {
            let c = lens.of(&camera);
            assert_eq!((c.width, c.height), size);
            intrinsics(&c).iter().zip(inner).for_each(|(a, b)| assert!((a - b).abs() < 1e-3, "{a} {b}"));
            assert_eq!(c.view, camera.view);
        };
        let half = Lens { width: Some(100), ..Lens::default() };
        near(half, (100, 50), [75.0, 70.0, 55.0, 22.5]);
        near(Lens { height: Some(50), width: None, ..half }, (100, 50), [75.0, 70.0, 55.0, 22.5]);
        // A square has the same vertical view, cut off at the sides.
        near(Lens { height: Some(100), ..half }, (100, 100), [150.0, 140.0, 60.0, 45.0]);
        let right_angle = Lens { fov_y: Some(90.0), ..Lens::default() };
        near(right_angle, (200, 100), [150.0 / 140.0 * 50.0, 50.0, 110.0, 45.0]);
    }
}
