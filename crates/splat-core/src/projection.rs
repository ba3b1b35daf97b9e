//! From a Gaussian in space to a Gaussian on the image (EWA splatting, Zwicker et al. 2001; Kerbl et al.
//! 2023, eq. 5), with its colour, depth and reach.
//!
//! World units in, pixels out (centres at integers). Computed in the type of the inputs with the original's
//! roundings (see `fused`). What overflows (finite inputs, but a mean, covariance or radius beyond the
//! type) is culled. Knows nothing of other splats.

use rayon::prelude::*;

use crate::{
    Camera, Color, Real, Scene, Settings, Shape, Tuning,
    covariance::covariance,
    fused::{affine_row, determinant, dot3, fma, symmetric_times},
    reach::Reach,
    sh,
    tiles::Grid,
};

/// Splats no farther in front of the camera than this are culled.
pub(crate) const NEAR: f64 = 0.2;
/// Beside the homogeneous coordinate in the perspective division.
pub(crate) const W_EPSILON: f64 = 1e-7;
/// Variance, in square pixels, that the image adds to every splat (its reconstruction filter).
pub(crate) const DILATION: f64 = 0.3;
/// The Jacobian is taken at most this factor outside the field of view.
const FIELD_LIMIT: f64 = 1.3;
/// Smallest ratio of determinants that antialiasing uses.
pub(crate) const AA_FLOOR: f64 = 0.000_025;
/// Opacity threshold of a pixel.
pub(crate) const ALPHA_MIN: f64 = 1.0 / 255.0;

/// One splat as the pixels see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Splat<T> {
    /// Centre, pixels.
    pub(crate) mean: [T; 2],
    /// Inverse covariance: xx, xy, yy.
    pub(crate) conic: [T; 3],
    /// Opacity, after the antialiasing factor.
    pub(crate) opacity: T,
    /// Colour; from SH not under 0.
    pub(crate) rgb: [T; 3],
    /// View-space z and its inverse.
    pub(crate) depth: T,
    pub(crate) inv_depth: T,
    /// Where alpha can be 1/255 or more.
    pub(crate) reach: Reach<T>,
    /// 3-sigma radius in whole pixels, 0 = culled.
    pub(crate) radius: i32,
}

impl<T: Real> Splat<T> {
    /// A splat that no pixel sees.
    pub(crate) fn culled() -> Self {
        let o = T::zero();
        Self {
            mean: [o; 2],
            conic: [o; 3],
            opacity: o,
            rgb: [o; 3],
            depth: o,
            inv_depth: o,
            reach: Reach::nothing(),
            radius: 0,
        }
    }

    pub(crate) fn visible(&self) -> bool {
        self.radius > 0
    }
}

/// The camera in the type of the computation, and what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct View<T> {
    pub(crate) view: [T; 16],
    pub(crate) proj: [T; 16],
    pub(crate) campos: [T; 3],
    /// Focal lengths, pixels.
    pub(crate) focal: [T; 2],
    /// Where `x/z` and `y/z` are clamped for the Jacobian.
    pub(crate) limit: [T; 2],
    pub(crate) size: [f64; 2],
    pub(crate) grid: Grid,
}

impl<C: Real> View<C> {
    pub(crate) fn new<T: Real>(camera: &Camera<T>) -> Self {
        let to = |x: T| C::from_f64_lossy(x.to_f64_exact());
        let size = [f64::from(camera.width), f64::from(camera.height)];
        let tan = [to(camera.tan_fovx), to(camera.tan_fovy)];
        let two = C::from_f64_lossy(2.0);
        Self {
            view: camera.view.map(to),
            proj: camera.proj.map(to),
            campos: camera.campos.map(to),
            focal: std::array::from_fn(|k| C::from_f64_lossy(size[k]) / (two * tan[k])),
            limit: tan.map(|t| C::from_f64_lossy(FIELD_LIMIT) * t),
            size,
            grid: Grid::new(camera.width, camera.height),
        }
    }

    /// Row `row` of the rotation from world to camera.
    pub(crate) fn axis(&self, row: usize) -> [C; 3] {
        [self.view[row], self.view[4 + row], self.view[8 + row]]
    }
}

/// The local affine approximation of the projection: the two rows of `J W` and what they are made of.
pub(crate) struct Affine<T> {
    /// Camera-space position, x and y moved inside the limits.
    pub(crate) t: [T; 3],
    /// Whether x or y was moved.
    pub(crate) clamped: [bool; 2],
    /// Rows of the 2x3 matrix `J W`, pixels per world unit.
    pub(crate) rows: [[T; 3]; 2],
}

impl<T: Real> Affine<T> {
    pub(crate) fn new(camera: &View<T>, mean: [T; 3]) -> Self {
        let mut t: [T; 3] = std::array::from_fn(|row| affine_row(&camera.view, row, mean));
        let mut clamped = [false; 2];
        for axis in 0..2 {
            let (slope, limit) = (t[axis] / t[2], camera.limit[axis]);
            clamped[axis] = slope < -limit || slope > limit;
            t[axis] = slope.max(-limit).min(limit) * t[2];
        }
        let towards = camera.axis(2);
        let rows = std::array::from_fn(|axis| {
            let across = camera.axis(axis);
            let on_axis = camera.focal[axis] / t[2];
            let on_depth = -(camera.focal[axis] * t[axis]) / (t[2] * t[2]);
            std::array::from_fn(|k| fma(towards[k], on_depth, across[k] * on_axis))
        });
        Self { t, clamped, rows }
    }

    /// `J W Sigma W^T J^T`: xx, xy, yy in square pixels, before the dilation.
    pub(crate) fn project(&self, sigma: &[T; 6]) -> [T; 3] {
        let [u, v] = self.rows;
        let (su, sv) = (symmetric_times(sigma, u), symmetric_times(sigma, v));
        [dot3(su, u), dot3(sv, u), dot3(sv, v)]
    }
}

/// Numbers `N i .. N (i + 1)` of a row-major array, in the type of the computation.
pub(crate) fn row<T: Real, C: Real, const N: usize>(values: &[T], i: usize) -> [C; N] {
    std::array::from_fn(|k| C::from_f64_lossy(values[N * i + k].to_f64_exact()))
}

/// Covariance in space of splat `i`.
pub(crate) fn covariance3d<T: Real, C: Real>(shape: &Shape<T>, modifier: T, i: usize) -> [C; 6] {
    match shape {
        Shape::Covariance(values) => row(values, i),
        Shape::ScaleRotation { scales, rotations } => {
            covariance(row(scales, i), C::from_f64_lossy(modifier.to_f64_exact()), row(rotations, i))
        }
    }
}

/// Factor on the opacity that keeps a splat's total contribution when the dilation widens it; `ratio` is
/// that of the determinants before and after.
pub(crate) fn antialiasing_factor<T: Real>(ratio: T) -> T {
    ratio.max(T::from_f64_lossy(AA_FLOOR)).sqrt()
}

/// Projects every splat that `wanted` names; the others and culled ones keep their place, with radius 0.
pub(crate) fn project_all<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    tuning: &Tuning<T>,
    wanted: impl Fn(usize) -> bool + Sync,
) -> Vec<Splat<T>> {
    let view = View::new(camera);
    let one = |i| if wanted(i) { project(scene, &view, settings, tuning, i) } else { None };
    (0..scene.len()).into_par_iter().with_min_len(256).map(|i| one(i).unwrap_or_else(Splat::culled)).collect()
}

/// Projects splat `i`; `None` when it is culled.
fn project<T: Real>(
    scene: &Scene<T>,
    camera: &View<T>,
    settings: &Settings<T>,
    tuning: &Tuning<T>,
    i: usize,
) -> Option<Splat<T>> {
    let c = T::from_f64_lossy;
    let mean: [T; 3] = row(scene.means3d, i);
    let depth = affine_row(&camera.view, 2, mean);
    if depth <= c(NEAR) {
        return None;
    }
    let inv_w = T::one() / (affine_row(&camera.proj, 3, mean) + c(W_EPSILON));
    let center: [T; 2] = std::array::from_fn(|axis| {
        let mut ndc = (affine_row(&camera.proj, axis, mean) * inv_w).to_f64_exact();
        if let Some(shift) = tuning.ndc_shift.get(2 * i + axis) {
            ndc += shift.to_f64_exact();
        }
        c(((ndc + 1.0) * camera.size[axis] - 1.0) * 0.5)
    });

    let sigma = covariance3d(&scene.shape, settings.scale_modifier, i);
    let [a_raw, b, c_raw] = Affine::new(camera, mean).project(&sigma);
    let (a, d) = (a_raw + c(DILATION), c_raw + c(DILATION));
    let det = determinant(a, b, d);
    if det == T::zero() {
        return None;
    }
    let mut opacity = scene.opacities[i];
    if settings.antialiasing {
        opacity *= antialiasing_factor(determinant(a_raw, b, c_raw) / det);
    }
    // Larger eigenvalue of the 2x2 covariance, with the original's floor under the root.
    let mid = c(0.5) * (a + d);
    let lambda = mid + fma(mid, mid, -det).max(c(0.1)).sqrt();
    let radius = (c(3.0) * lambda.sqrt()).ceil().to_f64_exact();
    if !(radius >= 1.0 && radius < f64::from(i32::MAX)) {
        return None;
    }
    let radius = radius as i32;
    camera.grid.square(center, radius, tuning.cutoff)?;

    let rgb = match scene.color {
        Color::Rgb(colors) => row(colors, i),
        Color::Sh { values, coeffs } => {
            let (unit, _) = sh::direction(mean, camera.campos);
            sh::color(settings.sh_degree, &values[3 * coeffs * i..3 * coeffs * (i + 1)], unit)
                .map(|x| x.max(T::zero()))
        }
    };
    let inv_det = T::one() / det;
    let conic = [d * inv_det, -b * inv_det, a * inv_det];
    let inv_depth = T::one() / depth;
    let reach = Reach::new(conic, opacity, tuning.cutoff);
    let numbers = center.iter().chain(&conic).chain(&rgb).chain([&opacity, &depth, &inv_depth]);
    numbers.into_iter().all(|x| x.is_finite()).then_some(Splat {
        mean: center,
        conic,
        opacity,
        rgb,
        depth,
        inv_depth,
        reach,
        radius,
    })
}
