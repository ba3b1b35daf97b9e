//! From a Gaussian in space to a Gaussian on the image (EWA splatting, Zwicker et al. 2001; Kerbl et al.
//! 2023, eq. 5), with its colour, depth and reach.
//!
//! World units in, pixels out (centres at integers). Computed in the type of the inputs with the original's
//! roundings (see `fused`). What overflows (finite inputs, but a mean, covariance or radius beyond the
//! type) is culled; a splat with a number that is not finite is rejected. Knows nothing of other splats.
//!
//! A splat of mode `compat` is visible when its 3-sigma square touches a tile, one of mode `exact` when the box
//! around the ellipse where alpha can be 1/255 or more holds a pixel centre of the image.

use rayon::prelude::*;

use crate::{
    Camera, Real, Scene, Settings, Shape, Tuning, activation,
    affine::{Affine, View},
    fused::{affine_row, determinant, fma},
    reach::Reach,
    sh::{self, Source},
};

/// Splats no farther in front of the camera than this are culled.
pub(crate) const NEAR: f64 = 0.2;
/// Beside the homogeneous coordinate in the perspective division.
pub(crate) const W_EPSILON: f64 = 1e-7;
/// Variance, in square pixels, that the image adds to every splat (its reconstruction filter).
pub(crate) const DILATION: f64 = 0.3;
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
    /// 3-sigma radius in whole pixels, 0 = culled, [`REJECTED`] = culled for a number that is not finite.
    pub(crate) radius: i32,
}

/// [`Splat::radius`] of a splat with an input that is not finite.
pub(crate) const REJECTED: i32 = -1;

impl<T: Real> Splat<T> {
    /// A splat that no pixel sees; `radius` is 0 or [`REJECTED`].
    pub(crate) fn culled(radius: i32) -> Self {
        let o = T::zero();
        Self {
            mean: [o; 2],
            conic: [o; 3],
            opacity: o,
            rgb: [o; 3],
            depth: o,
            inv_depth: o,
            reach: Reach::nothing(),
            radius,
        }
    }

    pub(crate) fn visible(&self) -> bool {
        self.radius > 0
    }
}

/// Numbers `N i .. N (i + 1)` of a row-major array, in the type of the computation.
pub(crate) fn row<T: Real, C: Real, const N: usize>(values: &[T], i: usize) -> [C; N] {
    std::array::from_fn(|k| C::from_f64_lossy(values[N * i + k].to_f64_exact()))
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
    let view = View::new(camera, settings.exact);
    let one = |i| {
        if !wanted(i) {
            return Splat::culled(0);
        }
        if !finite(scene, settings, i) {
            return Splat::culled(REJECTED);
        }
        project(scene, &view, settings, tuning, i).unwrap_or_else(|| Splat::culled(0))
    };
    (0..scene.len()).into_par_iter().with_min_len(256).map(one).collect()
}

/// Whether every number that the render reads of splat `i` is finite: SH in the active degree alone.
fn finite<T: Real>(scene: &Scene<T>, settings: &Settings<T>, i: usize) -> bool {
    let all = |values: &[T]| values.iter().all(|x| x.is_finite());
    let row = |values: &[T], each: usize| all(&values[each * i..each * (i + 1)]);
    let used = 3 * (sh::coefficients(settings.sh_degree) - 1);
    row(scene.means3d, 3)
        && scene.opacities[i].is_finite()
        && match scene.shape {
            Shape::ScaleRotation { scales, rotations } => row(scales, 3) && row(rotations, 4),
            Shape::Covariance(values) => row(values, 6),
        }
        && match Source::of(&scene.color, i) {
            Source::Rgb(rgb) => all(rgb),
            Source::Sh(sh) => all(sh.first) && all(&sh.rest[..used]),
        }
        && row(scene.features.values, scene.features.count)
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
    let inv_w = camera.inverse_w(mean);
    let center: [T; 2] = std::array::from_fn(|axis| {
        let mut ndc = (affine_row(&camera.proj, axis, mean) * inv_w).to_f64_exact();
        if let Some(shift) = tuning.ndc_shift.get(2 * i + axis) {
            ndc += shift.to_f64_exact();
        }
        c(((ndc + 1.0) * camera.size[axis] - 1.0) * 0.5)
    });

    let sigma = activation::covariance3d(scene, settings, i);
    let [a_raw, b, c_raw] = Affine::new(camera, mean).project(&sigma);
    let (a, d) = (a_raw + c(DILATION), c_raw + c(DILATION));
    let det = determinant(a, b, d);
    if det == T::zero() {
        return None;
    }
    let mut opacity: T = activation::opacity(scene, settings.raw, i);
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
    let inv_det = T::one() / det;
    let conic = [d * inv_det, -b * inv_det, a * inv_det];
    let reach = Reach::new(conic, opacity, tuning.cutoff);
    camera.grid.rect(center, radius, &reach, settings.exact, tuning.cutoff)?;

    let rgb = match Source::of(&scene.color, i) {
        Source::Rgb(rgb) => [rgb[0], rgb[1], rgb[2]],
        Source::Sh(sh) => {
            let (unit, _) = camera.direction(mean);
            sh::color(settings.sh_degree, sh, unit).map(|x| x.max(T::zero()))
        }
    };
    let inv_depth = T::one() / depth;
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
