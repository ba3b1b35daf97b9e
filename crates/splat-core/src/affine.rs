//! The camera in the form that the stages use, and the local affine approximation of its projection.
//!
//! Perspective (Zwicker et al. 2001, EWA splatting; Kerbl et al. 2023, eq. 5): with `t` the camera-space position,
//! row a of J is `f_a (e_a / t_z - t_a e_z / t_z^2)`, with `t_a / t_z` clamped to somewhat more than the field of
//! view. Orthographic: row a is `f_a e_a`. World units in, pixels out.

use crate::{
    Camera, Mode, Model, Real,
    constants::{FIELD_LIMIT, W_EPSILON},
    fused::{affine_row, dot3, fma, symmetric_times},
    sh,
    tiles::Grid,
};

/// The camera in the type of the computation, and what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct View<T> {
    pub(crate) model: Model,
    pub(crate) view: [T; 16],
    pub(crate) proj: [T; 16],
    pub(crate) campos: [T; 3],
    /// Focal lengths, pixels; orthographic: pixels per world unit.
    pub(crate) focal: [T; 2],
    /// Interval to which `x/z` and `y/z` are clamped for the Jacobian.
    limit: [[T; 2]; 2],
    pub(crate) size: [f64; 2],
    pub(crate) grid: Grid,
}

impl<C: Real> View<C> {
    /// Mode `exact` moves the limits with the principal point. The optical axis has NDC
    /// `p_a = (row a of proj) . (row 2 of view)` (linear parts), so `x/z` is within
    /// `[(-1.3 - p_a) tan, (1.3 - p_a) tan]`; otherwise within `+-1.3 tan`, as in the original.
    pub(crate) fn new<T: Real>(camera: &Camera<T>, mode: Mode) -> Self {
        let to = |x: T| C::from_f64_lossy(x.to_f64_exact());
        let size = [f64::from(camera.width), f64::from(camera.height)];
        let tan = [to(camera.tan_fovx), to(camera.tan_fovy)];
        let two = C::from_f64_lossy(2.0);
        let (view, proj) = (camera.view.map(to), camera.proj.map(to));
        let far = C::from_f64_lossy(FIELD_LIMIT);
        let linear = |m: &[C; 16], row: usize| [m[row], m[4 + row], m[8 + row]];
        let limit = std::array::from_fn(|axis| {
            if mode == Mode::Exact {
                let axis_ndc = dot3(linear(&proj, axis), linear(&view, 2));
                [(-far - axis_ndc) * tan[axis], (far - axis_ndc) * tan[axis]]
            } else {
                [-(far * tan[axis]), far * tan[axis]]
            }
        });
        Self {
            model: camera.model,
            view,
            proj,
            campos: camera.campos.map(to),
            focal: std::array::from_fn(|k| C::from_f64_lossy(size[k]) / (two * tan[k])),
            limit,
            size,
            grid: Grid::new([camera.width, camera.height]),
        }
    }

    /// Row `row` of the rotation from world to camera.
    pub(crate) fn axis(&self, row: usize) -> [C; 3] {
        [self.view[row], self.view[4 + row], self.view[8 + row]]
    }

    /// The factor that turns clip coordinates into NDC.
    pub(crate) fn inverse_w(&self, mean: [C; 3]) -> C {
        match self.model {
            Model::Pinhole => C::one() / (affine_row(&self.proj, 3, mean) + C::from_f64_lossy(W_EPSILON)),
            Model::Orthographic => C::one(),
        }
    }

    /// Direction in which the SH of a Gaussian are evaluated, a unit vector, and the distance that it was divided by: 0
    /// if the direction does not depend on the Gaussian.
    pub(crate) fn direction(&self, mean: [C; 3]) -> ([C; 3], C) {
        match self.model {
            Model::Pinhole => sh::direction(mean, self.campos),
            Model::Orthographic => (self.axis(2), C::zero()),
        }
    }
}

/// The two rows of `J W` and their parts.
pub(crate) struct Affine<T> {
    /// Camera-space position, with x and y clamped to the limits.
    pub(crate) t: [T; 3],
    /// Whether x and y were clamped.
    pub(crate) clamped: [bool; 2],
    /// The two entries of row a of J that are not zero: for camera axis a and for the depth.
    pub(crate) derivatives: [[T; 2]; 2],
    /// Rows of the 2x3 matrix `J W`, in pixels per world unit.
    pub(crate) rows: [[T; 3]; 2],
}

impl<T: Real> Affine<T> {
    pub(crate) fn new(camera: &View<T>, mean: [T; 3]) -> Self {
        let mut t: [T; 3] = std::array::from_fn(|row| affine_row(&camera.view, row, mean));
        let mut clamped = [false; 2];
        let derivatives = match camera.model {
            Model::Orthographic => camera.focal.map(|f| [f, T::zero()]),
            Model::Pinhole => {
                for axis in 0..2 {
                    let (ratio, [low, high]) = (t[axis] / t[2], camera.limit[axis]);
                    clamped[axis] = ratio < low || ratio > high;
                    t[axis] = ratio.max(low).min(high) * t[2];
                }
                std::array::from_fn(|axis| {
                    let f = camera.focal[axis];
                    [f / t[2], -(f * t[axis]) / (t[2] * t[2])]
                })
            }
        };
        let towards = camera.axis(2);
        let rows = std::array::from_fn(|axis| {
            let across = camera.axis(axis);
            let [on_axis, on_depth] = derivatives[axis];
            std::array::from_fn(|k| fma(towards[k], on_depth, across[k] * on_axis))
        });
        Self { t, clamped, derivatives, rows }
    }

    /// `J W Sigma W^T J^T`: xx, xy, yy in square pixels, before the dilation.
    pub(crate) fn project(&self, sigma: &[T; 6]) -> [T; 3] {
        let [u, v] = self.rows;
        let (su, sv) = (symmetric_times(sigma, u), symmetric_times(sigma, v));
        [dot3(su, u), dot3(sv, u), dot3(sv, v)]
    }
}
