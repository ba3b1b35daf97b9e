//! The camera as the stages use it, and the local affine approximation of its projection.
//!
//! Perspective (Zwicker et al. 2001, EWA splatting; Kerbl et al. 2023, eq. 5): with `t` the camera-space position,
//! row a of J is `f_a (e_a / t_z - t_a e_z / t_z^2)`, `t_a / t_z` moved inside limits somewhat outside the field of
//! view. Orthographic: row a is `f_a e_a`. World units in, pixels out.

use crate::{
    Camera, Model, Real,
    fused::{affine_row, dot3, fma, symmetric_times},
    projection::W_EPSILON,
    sh,
    tiles::Grid,
};

/// The Jacobian is taken at most this factor outside the field of view.
const FIELD_LIMIT: f64 = 1.3;

/// The camera in the type of the computation, and what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct View<T> {
    pub(crate) model: Model,
    pub(crate) view: [T; 16],
    pub(crate) proj: [T; 16],
    pub(crate) campos: [T; 3],
    /// Focal lengths, pixels; orthographic: pixels a world unit.
    pub(crate) focal: [T; 2],
    /// Where `x/z` and `y/z` are clamped for the Jacobian, from and to.
    limit: [[T; 2]; 2],
    pub(crate) size: [f64; 2],
    pub(crate) grid: Grid,
}

impl<C: Real> View<C> {
    /// `exact` moves the limits with the principal point. The optical axis has NDC
    /// `p_a = (row a of proj) . (row 2 of view)` (linear parts), so `x/z` is within
    /// `[(-1.3 - p_a) tan, (1.3 - p_a) tan]`; otherwise within `+-1.3 tan`, as in the original.
    pub(crate) fn new<T: Real>(camera: &Camera<T>, exact: bool) -> Self {
        let to = |x: T| C::from_f64_lossy(x.to_f64_exact());
        let size = [f64::from(camera.width), f64::from(camera.height)];
        let tan = [to(camera.tan_fovx), to(camera.tan_fovy)];
        let two = C::from_f64_lossy(2.0);
        let (view, proj) = (camera.view.map(to), camera.proj.map(to));
        let far = C::from_f64_lossy(FIELD_LIMIT);
        let linear = |m: &[C; 16], row: usize| [m[row], m[4 + row], m[8 + row]];
        let limit = std::array::from_fn(|axis| {
            if exact {
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
            grid: Grid::new(camera.width, camera.height),
        }
    }

    /// Row `row` of the rotation from world to camera.
    pub(crate) fn axis(&self, row: usize) -> [C; 3] {
        [self.view[row], self.view[4 + row], self.view[8 + row]]
    }

    /// What clip coordinates are multiplied with to give NDC.
    pub(crate) fn inverse_w(&self, mean: [C; 3]) -> C {
        match self.model {
            Model::Pinhole => C::one() / (affine_row(&self.proj, 3, mean) + C::from_f64_lossy(W_EPSILON)),
            Model::Orthographic => C::one(),
        }
    }

    /// Where SH of a splat are evaluated: a unit direction, and the distance that it was divided by, 0 where the
    /// direction does not depend on the splat.
    pub(crate) fn direction(&self, mean: [C; 3]) -> ([C; 3], C) {
        match self.model {
            Model::Pinhole => sh::direction(mean, self.campos),
            Model::Orthographic => (self.axis(2), C::zero()),
        }
    }
}

/// The two rows of `J W` and what they are made of.
pub(crate) struct Affine<T> {
    /// Camera-space position, x and y moved inside the limits.
    pub(crate) t: [T; 3],
    /// Whether x or y was moved.
    pub(crate) clamped: [bool; 2],
    /// The two entries of J's row a that are not zero: at camera axis a and at the depth.
    pub(crate) slopes: [[T; 2]; 2],
    /// Rows of the 2x3 matrix `J W`, pixels per world unit.
    pub(crate) rows: [[T; 3]; 2],
}

impl<T: Real> Affine<T> {
    pub(crate) fn new(camera: &View<T>, mean: [T; 3]) -> Self {
        let mut t: [T; 3] = std::array::from_fn(|row| affine_row(&camera.view, row, mean));
        let mut clamped = [false; 2];
        let slopes = match camera.model {
            Model::Orthographic => camera.focal.map(|f| [f, T::zero()]),
            Model::Pinhole => {
                for axis in 0..2 {
                    let (slope, [low, high]) = (t[axis] / t[2], camera.limit[axis]);
                    clamped[axis] = slope < low || slope > high;
                    t[axis] = slope.max(low).min(high) * t[2];
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
            let [on_axis, on_depth] = slopes[axis];
            std::array::from_fn(|k| fma(towards[k], on_depth, across[k] * on_axis))
        });
        Self { t, clamped, slopes, rows }
    }

    /// `J W Sigma W^T J^T`: xx, xy, yy in square pixels, before the dilation.
    pub(crate) fn project(&self, sigma: &[T; 6]) -> [T; 3] {
        let [u, v] = self.rows;
        let (su, sv) = (symmetric_times(sigma, u), symmetric_times(sigma, v));
        [dot3(su, u), dot3(sv, u), dot3(sv, v)]
    }
}
