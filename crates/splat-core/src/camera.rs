//! Pinhole cameras in the form the rasterizer takes: two 4x4 matrices, a centre and half-angle tangents.
//!
//! World-to-camera throughout (OpenCV axes: x right, y down, z forward). Matrices are 16 numbers in
//! column-major order, element (row r, column c) at `[4*c + r]`: the original's "transposed" form.

use crate::Real;

/// Near and far planes of [`Camera::proj`]; they scale depth in clip space and cull nothing.
const NEAR: f64 = 0.01;
const FAR: f64 = 100.0;

/// A camera and the size of its image.
#[derive(Debug, Clone, PartialEq)]
pub struct Camera<T = f32> {
    /// Image width in pixels.
    pub width: u32,
    /// Image height in pixels.
    pub height: u32,
    /// Tangent of half the horizontal field of view.
    pub tan_fovx: T,
    /// Tangent of half the vertical field of view.
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
        let mut view = [[0.0; 4]; 4];
        for r in 0..3 {
            view[r][..3].copy_from_slice(&rotation[r]);
            view[r][3] = translation[r];
        }
        view[3][3] = 1.0;
        // NDC x = (2 fx x/z + 2 cx - w) / w, and likewise y; z to [0, 1] between the planes.
        let projection = [
            [2.0 * fx / w, 0.0, (2.0 * cx - w) / w, 0.0],
            [0.0, 2.0 * fy / h, (2.0 * cy - h) / h, 0.0],
            [0.0, 0.0, FAR / (FAR - NEAR), -FAR * NEAR / (FAR - NEAR)],
            [0.0, 0.0, 1.0, 0.0],
        ];
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
            tan_fovx: T::from_f64_lossy(w / (2.0 * fx)),
            tan_fovy: T::from_f64_lossy(h / (2.0 * fy)),
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

    /// Focal lengths in pixels: `size / (2 tan_fov)`.
    #[must_use]
    pub fn focal(&self) -> [T; 2] {
        let two = T::from_f64_lossy(2.0);
        [
            T::from_f64_lossy(f64::from(self.width)) / (two * self.tan_fovx),
            T::from_f64_lossy(f64::from(self.height)) / (two * self.tan_fovy),
        ]
    }
}
