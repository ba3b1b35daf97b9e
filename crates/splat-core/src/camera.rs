//! Cameras in the form the rasterizer takes: two 4x4 matrices, a centre and half-angle tangents (or half sizes).
//!
//! World-to-camera throughout (OpenCV axes: x right, y down, z forward). Matrices are 16 numbers in
//! column-major order, element (row r, column c) at `[4*c + r]`: the original's "transposed" form.

use crate::Real;

/// Near and far planes of [`Camera::proj`]: they only scale depth in clip space, nothing is culled by them.
const NEAR: f64 = 0.01;
const FAR: f64 = 100.0;

/// How a camera projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Model {
    /// Perspective.
    #[default]
    Pinhole,
    /// No perspective: the last row of `proj` is 0 0 0 1, and SH are evaluated along the camera's axis.
    Orthographic,
}

/// A camera and the size of its image.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera<T = f32> {
    /// Image width in pixels.
    pub width: u32,
    /// Image height in pixels.
    pub height: u32,
    /// How the camera projects.
    pub model: Model,
    /// Tangent of half the horizontal field of view; orthographic: half the image's width in world units.
    pub tan_fovx: T,
    /// The same vertically.
    pub tan_fovy: T,
    /// World to camera, column-major.
    pub view: [T; 16],
    /// World to clip (projection times view), column-major.
    pub proj: [T; 16],
    /// Camera centre in world coordinates.
    pub campos: [T; 3],
}

impl<T: Real> Camera<T> {
    /// A camera from intrinsics in pixels (principal point `cx`, `cy` measured from the image's upper left
    /// corner, so `width / 2` is centred) and a world-to-camera pose: `x_camera = rotation * x_world +
    /// translation`, `rotation` row-major.
    #[must_use]
    pub fn from_pinhole(
        width: u32,
        height: u32,
        [fx, fy, cx, cy]: [f64; 4],
        rotation: [[f64; 3]; 3],
        translation: [f64; 3],
    ) -> Self {
        let (w, h) = (f64::from(width), f64::from(height));
        // NDC x = (2 fx x/z + 2 cx - w) / w, and likewise y; z to [0, 1] between the planes.
        let projection = [
            [2.0 * fx / w, 0.0, (2.0 * cx - w) / w, 0.0],
            [0.0, 2.0 * fy / h, (2.0 * cy - h) / h, 0.0],
            [0.0, 0.0, FAR / (FAR - NEAR), -FAR * NEAR / (FAR - NEAR)],
            [0.0, 0.0, 1.0, 0.0],
        ];
        Self::assemble(Model::Pinhole, [width, height], [fx, fy], projection, rotation, translation)
    }

    /// A camera without perspective: `sx` and `sy` are pixels per world unit, the rest is as in
    /// [`from_pinhole`](Self::from_pinhole).
    #[must_use]
    pub fn from_orthographic(
        width: u32,
        height: u32,
        [sx, sy, cx, cy]: [f64; 4],
        rotation: [[f64; 3]; 3],
        translation: [f64; 3],
    ) -> Self {
        let (w, h) = (f64::from(width), f64::from(height));
        let projection = [
            [2.0 * sx / w, 0.0, 0.0, (2.0 * cx - w) / w],
            [0.0, 2.0 * sy / h, 0.0, (2.0 * cy - h) / h],
            [0.0, 0.0, 1.0 / (FAR - NEAR), -NEAR / (FAR - NEAR)],
            [0.0, 0.0, 0.0, 1.0],
        ];
        Self::assemble(Model::Orthographic, [width, height], [sx, sy], projection, rotation, translation)
    }

    fn assemble(
        model: Model,
        [width, height]: [u32; 2],
        focal: [f64; 2],
        projection: [[f64; 4]; 4],
        rotation: [[f64; 3]; 3],
        translation: [f64; 3],
    ) -> Self {
        let mut view = [[0.0; 4]; 4];
        for r in 0..3 {
            view[r][..3].copy_from_slice(&rotation[r]);
            view[r][3] = translation[r];
        }
        view[3][3] = 1.0;
        let mut full = [[0.0; 4]; 4];
        for r in 0..4 {
            for c in 0..4 {
                full[r][c] = (0..4).map(|k| projection[r][k] * view[k][c]).sum();
            }
        }
        // campos = -R^T t
        let campos = std::array::from_fn(|c| {
            T::from_f64_lossy(-(0..3).map(|r| rotation[r][c] * translation[r]).sum::<f64>())
        });
        let column_major = |m: [[f64; 4]; 4]| std::array::from_fn(|i| T::from_f64_lossy(m[i % 4][i / 4]));
        Self {
            width,
            height,
            model,
            tan_fovx: T::from_f64_lossy(f64::from(width) / (2.0 * focal[0])),
            tan_fovy: T::from_f64_lossy(f64::from(height) / (2.0 * focal[1])),
            view: column_major(view),
            proj: column_major(full),
            campos,
        }
    }

    /// A camera at `eye` looking at `target`, with `up` pointing up in the image and the given vertical
    /// field of view in degrees; square pixels, centred principal point.
    ///
    /// `up` must not be parallel to the line of sight.
    #[must_use]
    pub fn look_at(
        width: u32,
        height: u32,
        fov_y_degrees: f64,
        eye: [f64; 3],
        target: [f64; 3],
        up: [f64; 3],
    ) -> Self {
        let sub = |a: [f64; 3], b: [f64; 3]| [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
        let cross = |a: [f64; 3], b: [f64; 3]| {
            [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
        };
        let unit = |a: [f64; 3]| {
            let n = a.iter().map(|x| x * x).sum::<f64>().sqrt();
            a.map(|x| x / n)
        };
        let forward = unit(sub(target, eye));
        let right = unit(cross(forward, up));
        let down = cross(forward, right);
        let rotation = [right, down, forward];
        let translation = std::array::from_fn(|r| -(0..3).map(|c| rotation[r][c] * eye[c]).sum::<f64>());
        let (w, h) = (f64::from(width), f64::from(height));
        let f = h / (2.0 * (fov_y_degrees.to_radians() / 2.0).tan());
        Self::from_pinhole(width, height, [f, f, w / 2.0, h / 2.0], rotation, translation)
    }

    /// The rows of `P` in `proj = P view`: the camera without its pose, in f64.
    #[must_use]
    pub fn projection(&self) -> [[f64; 4]; 4] {
        let (view, proj) = (self.view.map(Real::to_f64_exact), self.proj.map(Real::to_f64_exact));
        let inverse = inverse(std::array::from_fn(|r| std::array::from_fn(|c| view[4 * c + r])));
        std::array::from_fn(|row| {
            // Row of proj times [R t; 0 1]^-1 = [R^-1, -R^-1 t; 0 1].
            let mut out = [0.0; 4];
            for (k, out) in out[..3].iter_mut().enumerate() {
                *out = (0..3).map(|c| proj[4 * c + row] * inverse[c][k]).sum();
            }
            out[3] = proj[12 + row] - (0..3).map(|k| out[k] * view[12 + k]).sum::<f64>();
            out
        })
    }

    /// Focal lengths in pixels: `size / (2 tan_fov)`; orthographic: pixels per world unit.
    #[must_use]
    pub fn focal(&self) -> [T; 2] {
        let two = T::from_f64_lossy(2.0);
        [
            T::from_f64_lossy(f64::from(self.width)) / (two * self.tan_fovx),
            T::from_f64_lossy(f64::from(self.height)) / (two * self.tan_fovy),
        ]
    }
}

/// Inverse of a 3x3 matrix (rows) by its cofactors.
pub(crate) fn inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let cofactor = |i: usize, j: usize| {
        let (a, b, c, d) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
        m[a][c] * m[b][d] - m[a][d] * m[b][c]
    };
    let det: f64 = (0..3).map(|j| m[0][j] * cofactor(0, j)).sum();
    std::array::from_fn(|i| std::array::from_fn(|j| cofactor(j, i) / det))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The projection times the pose is `proj`, with perspective and without, off centre too.
    #[test]
    fn projection_is_what_the_pose_leaves() {
        let posed: Camera<f64> =
            Camera::look_at(64, 48, 50.0, [1.0, -2.0, -4.0], [0.3, 0.2, 0.0], [0.1, -1.0, 0.2]);
        let rotation = std::array::from_fn(|r| std::array::from_fn(|c| posed.view[4 * c + r]));
        let translation = [posed.view[12], posed.view[13], posed.view[14]];
        let inner = [50.0, 60.0, 20.0, 30.0];
        for camera in [
            Camera::<f64>::from_pinhole(64, 48, inner, rotation, translation),
            Camera::<f64>::from_orthographic(64, 48, inner, rotation, translation),
        ] {
            let p = camera.projection();
            for (row, p) in p.iter().enumerate() {
                for c in 0..4 {
                    let product: f64 = (0..4).map(|k| p[k] * camera.view[4 * c + k]).sum();
                    assert!((product - camera.proj[4 * c + row]).abs() < 1e-12, "row {row}, column {c}");
                }
            }
            assert!((p[0][0] - 2.0 * 50.0 / 64.0).abs() < 1e-12 && p[0][1].abs() < 1e-12, "{p:?}");
        }
    }
}
