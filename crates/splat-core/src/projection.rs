//! From a Gaussian in space to a Gaussian on the image (EWA splatting, Zwicker et al. 2001; Kerbl et al.
//! 2023, eq. 5), with its colour, depth and reach.
//!
//! World units in, pixels out (centres at integers). Evaluated in f64 and rounded once to the type of the
//! inputs: an f32 image then differs from another f32 engine's by that engine's rounding alone.
//! What overflows there (finite inputs, but a mean, covariance or radius beyond the type) is culled.

use rayon::prelude::*;

use crate::{Camera, Color, Cutoff, Real, Scene, Settings, Shape, Tuning, covariance, sh, tiles::Grid};

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
    /// Colour, not under 0.
    pub(crate) rgb: [T; 3],
    /// View-space z and its inverse.
    pub(crate) depth: T,
    pub(crate) inv_depth: T,
    /// Half sides of a rectangle that holds every pixel with alpha of 1/255 or more; may be infinite,
    /// negative when there is none.
    pub(crate) reach: [T; 2],
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
            reach: [o; 2],
            radius: 0,
        }
    }

    pub(crate) fn visible(&self) -> bool {
        self.radius > 0
    }
}

/// The camera in f64, and what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) view: [f64; 16],
    pub(crate) proj: [f64; 16],
    pub(crate) campos: [f64; 3],
    /// Focal lengths, pixels.
    pub(crate) focal: [f64; 2],
    /// Where `x/z` and `y/z` are clamped for the Jacobian.
    pub(crate) limit: [f64; 2],
    pub(crate) size: [f64; 2],
    pub(crate) grid: Grid,
}

impl View {
    pub(crate) fn new<T: Real>(camera: &Camera<T>) -> Self {
        let size = [f64::from(camera.width), f64::from(camera.height)];
        let tan = [camera.tan_fovx.to_f64_exact(), camera.tan_fovy.to_f64_exact()];
        Self {
            view: camera.view.map(Real::to_f64_exact),
            proj: camera.proj.map(Real::to_f64_exact),
            campos: camera.campos.map(Real::to_f64_exact),
            focal: [size[0] / (2.0 * tan[0]), size[1] / (2.0 * tan[1])],
            limit: tan.map(|t| FIELD_LIMIT * t),
            size,
            grid: Grid::new(camera.width, camera.height),
        }
    }
}

/// Row `row` of a column-major matrix times `(p, 1)`.
pub(crate) fn affine_row(m: &[f64; 16], row: usize, p: [f64; 3]) -> f64 {
    m[row] * p[0] + m[4 + row] * p[1] + m[8 + row] * p[2] + m[12 + row]
}

/// The local affine approximation of the projection: the two rows of `J W` and what they are made of.
pub(crate) struct Affine {
    /// Camera-space position, x and y moved inside the limits.
    pub(crate) t: [f64; 3],
    /// Whether x or y was moved.
    pub(crate) clamped: [bool; 2],
    /// Rows of the 2x3 matrix `J W`, pixels per world unit.
    pub(crate) rows: [[f64; 3]; 2],
}

impl Affine {
    pub(crate) fn new(camera: &View, mean: [f64; 3]) -> Self {
        let mut t: [f64; 3] = std::array::from_fn(|row| affine_row(&camera.view, row, mean));
        let mut clamped = [false; 2];
        for axis in 0..2 {
            let slope = t[axis] / t[2];
            clamped[axis] = slope < -camera.limit[axis] || slope > camera.limit[axis];
            t[axis] = slope.clamp(-camera.limit[axis], camera.limit[axis]) * t[2];
        }
        let rows = std::array::from_fn(|axis| {
            let on_axis = camera.focal[axis] / t[2];
            let on_depth = -camera.focal[axis] * t[axis] / (t[2] * t[2]);
            std::array::from_fn(|k| on_axis * camera.view[4 * k + axis] + on_depth * camera.view[4 * k + 2])
        });
        Self { t, clamped, rows }
    }

    /// `J W Sigma W^T J^T`: xx, xy, yy in square pixels, before the dilation.
    pub(crate) fn project(&self, s: &[f64; 6]) -> [f64; 3] {
        let [u, v] = &self.rows;
        let su = symmetric_times(s, u);
        let sv = symmetric_times(s, v);
        [dot(u, &su), dot(u, &sv), dot(v, &sv)]
    }
}

pub(crate) fn symmetric_times(s: &[f64; 6], v: &[f64; 3]) -> [f64; 3] {
    [
        s[0] * v[0] + s[1] * v[1] + s[2] * v[2],
        s[1] * v[0] + s[3] * v[1] + s[4] * v[2],
        s[2] * v[0] + s[4] * v[1] + s[5] * v[2],
    ]
}

pub(crate) fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Three numbers of row `i`, widened.
pub(crate) fn triple<T: Real>(values: &[T], i: usize) -> [f64; 3] {
    std::array::from_fn(|k| values[3 * i + k].to_f64_exact())
}

/// Covariance in space of splat `i`.
pub(crate) fn covariance3d<T: Real>(shape: &Shape<T>, modifier: T, i: usize) -> [f64; 6] {
    match shape {
        Shape::Covariance(values) => std::array::from_fn(|k| values[6 * i + k].to_f64_exact()),
        Shape::ScaleRotation { scales, rotations } => covariance::covariance(
            triple(scales, i),
            modifier.to_f64_exact(),
            std::array::from_fn(|k| rotations[4 * i + k].to_f64_exact()),
        ),
    }
}

/// Factor on the opacity that keeps a splat's total contribution when the dilation widens it.
pub(crate) fn antialiasing_factor(ratio: f64) -> f64 {
    ratio.max(AA_FLOOR).sqrt()
}

/// Projects every splat; culled ones keep their place, with radius 0.
pub(crate) fn project_all<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    tuning: &Tuning<T>,
) -> Vec<Splat<T>> {
    let view = View::new(camera);
    (0..scene.len())
        .into_par_iter()
        .with_min_len(256)
        .map(|i| project(scene, &view, settings, tuning, i).unwrap_or_else(Splat::culled))
        .collect()
}

/// Projects splat `i`; `None` when it is culled.
pub(crate) fn project<T: Real>(
    scene: &Scene<T>,
    camera: &View,
    settings: &Settings<T>,
    tuning: &Tuning<T>,
    i: usize,
) -> Option<Splat<T>> {
    let mean = triple(scene.means3d, i);
    let depth = T::from_f64_lossy(affine_row(&camera.view, 2, mean));
    if depth <= T::from_f64_lossy(NEAR) {
        return None;
    }
    let inv_w = 1.0 / (affine_row(&camera.proj, 3, mean) + W_EPSILON);
    let center: [f64; 2] = std::array::from_fn(|axis| {
        let mut ndc = affine_row(&camera.proj, axis, mean) * inv_w;
        if let Some(shift) = tuning.ndc_shift.get(2 * i + axis) {
            ndc += shift.to_f64_exact();
        }
        ((ndc + 1.0) * camera.size[axis] - 1.0) * 0.5
    });

    let sigma = covariance3d(&scene.shape, settings.scale_modifier, i);
    let [a_raw, b, c_raw] = Affine::new(camera, mean).project(&sigma);
    let (a, c) = (a_raw + DILATION, c_raw + DILATION);
    let det = a * c - b * b;
    if det == 0.0 || !det.is_finite() {
        return None;
    }
    let mut opacity = scene.opacities[i].to_f64_exact();
    if settings.antialiasing {
        opacity *= antialiasing_factor((a_raw * c_raw - b * b) / det);
    }
    // Larger eigenvalue of the 2x2 covariance, with the original's floor under the root.
    let mid = 0.5 * (a + c);
    let lambda = mid + (mid * mid - det).max(0.1).sqrt();
    let radius = (3.0 * lambda.sqrt()).ceil();
    if !(radius >= 1.0 && radius < f64::from(i32::MAX)) {
        return None;
    }
    let center = center.map(T::from_f64_lossy);
    let radius = radius as i32;
    camera.grid.square(center, radius, tuning.cutoff)?;

    let rgb = match scene.color {
        Color::Rgb(colors) => triple(colors, i),
        Color::Sh { values, coeffs } => {
            let row = &values[3 * coeffs * i..3 * coeffs * (i + 1)];
            let (unit, _) = sh::direction(mean, camera.campos);
            sh::color(settings.sh_degree, row, unit).map(|x| x.max(0.0))
        }
    };
    let conic = [c / det, -b / det, a / det].map(T::from_f64_lossy);
    let splat = Splat {
        mean: center,
        conic,
        opacity: T::from_f64_lossy(opacity),
        rgb: rgb.map(T::from_f64_lossy),
        depth,
        inv_depth: depth.recip(),
        reach: reach(conic, opacity, tuning.cutoff),
        radius,
    };
    let finite = splat.mean.iter().chain(&splat.conic).chain(&splat.rgb).all(|x| x.is_finite());
    (finite && splat.opacity.is_finite() && splat.depth.is_finite()).then_some(splat)
}

/// Half sides of the box around `{ d : opacity exp(power(d)) >= 1/255 }`, for the conic as rounded, wide
/// enough that no rounding in evaluating `power` moves a pixel out of it.
fn reach<T: Real>(conic: [T; 3], opacity: f64, cutoff: Cutoff) -> [T; 2] {
    if cutoff == Cutoff::Smooth {
        return [T::infinity(); 2];
    }
    // The level set q(d) = A dx^2 + 2 B dx dy + C dy^2 = 2 ln(255 opacity), a little raised.
    let level = 2.0 * (opacity / ALPHA_MIN).ln() + 1e-3;
    if level.is_nan() || level < 0.0 {
        return [-T::one(); 2];
    }
    // Evaluated in type T, q is off by a few ulps of its largest term: lower A and C by more than that.
    let slack = 1.0 - 16.0 * T::epsilon().to_f64_exact();
    let [a, b, c] = conic.map(Real::to_f64_exact);
    let (a, c) = (a * slack, c * slack);
    let det = a * c - b * b;
    if det <= 0.0 || a <= 0.0 {
        return [T::infinity(); 2];
    }
    [(level * c / det).sqrt(), (level * a / det).sqrt()].map(|x| T::from_f64_lossy(x * 1.001 + 1e-3))
}
