//! Gradient for the camera's pose: the twelve free numbers of `view = [R t; 0 1]`, world to camera.
//!
//! `proj = P view` with a fixed projection P, and `campos = c = -R^-1 t`, so a loss depends on the matrix in four
//! ways. With the homogeneous centre `m = (mean, 1)` and camera-space position `x = R mean + t`, so that a gradient
//! `g` for x gives `dL/dview = g m^T`:
//! 1. The image position. Clip coordinates are `P (x, 1)`; with `h` the gradient for them,
//!    `g = P^T h` (its first three numbers). P is recovered as `proj view^-1`.
//! 2. The depth outputs and the Jacobian J at x: `g` as `projection_backward` has it.
//! 3. The rotation of the covariance in `J R Sigma R^T J^T`: row a of `J R` is `s_a R_a + d_a R_z` with J's entries
//!    `s_a` and `d_a`, so a gradient `w_a` for it adds `s_a w_a` to row a of R and `d_a w_a` to row z.
//! 4. The direction of SH, `mean - c`. From `R c + t = 0`: `dc = -R^-1 (dR c + dt)`, and with `q` the gradient for
//!    the direction before it is normalised, `dL/dview = (R^-T q) (c, 1)^T`. For an orthographic camera the direction
//!    is row z of R itself, so its gradient is added there.
//!
//! The limits to which the Jacobian is clamped belong to the projection and do not move with the pose. f64 throughout.

use crate::{
    affine::{Affine, View},
    camera::inverse,
};

/// The parts that depend on the camera alone.
pub(crate) struct Pose {
    /// Inverse of R, rows.
    inverse: [[f64; 3]; 3],
    /// Linear part of rows 0, 1 and 3 of P, which give NDC x, NDC y and w.
    fixed: [[f64; 3]; 3],
}

impl Pose {
    pub(crate) fn new(camera: &View<f64>) -> Self {
        let inverse = inverse(std::array::from_fn(|k| camera.axis(k)));
        let fixed = [0, 1, 3].map(|row| {
            std::array::from_fn(|k| (0..3).map(|c| camera.proj[4 * c + row] * inverse[c][k]).sum())
        });
        Self { inverse, fixed }
    }
}

/// The gradient through one Gaussian, column-major like `view`.
#[derive(Default)]
pub(crate) struct PoseGrad(pub(crate) [f64; 16]);

impl PoseGrad {
    /// Adds `g (point, 1)^T`.
    fn outer(&mut self, g: [f64; 3], point: [f64; 3]) {
        for (row, g) in g.into_iter().enumerate() {
            for (c, x) in point.into_iter().enumerate() {
                self.0[4 * c + row] += g * x;
            }
            self.0[12 + row] += g;
        }
    }

    /// Adds to row `row` of R.
    fn row(&mut self, row: usize, factor: f64, g: [f64; 3]) {
        for (c, g) in g.into_iter().enumerate() {
            self.0[4 * c + row] += factor * g;
        }
    }

    /// Parts 1 and 2: `clip` for the clip coordinates x, y, w and `view` for the camera-space position.
    pub(crate) fn position(&mut self, pose: &Pose, mean: [f64; 3], clip: [f64; 3], view: [f64; 3]) {
        let g =
            std::array::from_fn(|k| view[k] + (0..3).map(|row| pose.fixed[row][k] * clip[row]).sum::<f64>());
        self.outer(g, mean);
    }

    /// Part 3: `grad_rows` for the rows of `J R`.
    pub(crate) fn covariance(&mut self, affine: &Affine<f64>, grad_rows: [[f64; 3]; 2]) {
        for (axis, grad) in grad_rows.into_iter().enumerate() {
            let [on_axis, on_depth] = affine.derivatives[axis];
            self.row(axis, on_axis, grad);
            self.row(2, on_depth, grad);
        }
    }

    /// Part 4 for a pinhole camera: `grad` for `mean - campos`.
    pub(crate) fn center(&mut self, pose: &Pose, campos: [f64; 3], grad: [f64; 3]) {
        let g = std::array::from_fn(|k| (0..3).map(|c| pose.inverse[c][k] * grad[c]).sum());
        self.outer(g, campos);
    }

    /// Part 4 for an orthographic camera: `grad` for the direction.
    pub(crate) fn axis(&mut self, grad: [f64; 3]) {
        self.row(2, 1.0, grad);
    }
}
