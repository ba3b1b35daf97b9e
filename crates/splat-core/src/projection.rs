//! The first stage: from a Gaussian in space to its [`Record`] on the image (EWA splatting, Zwicker et al. 2001; Kerbl
//! et al. 2023, equation 5).
//!
//! World units in, pixels out (centres at integers). Computed in the type of the inputs with the original's rounding
//! (see `fused`). A Gaussian whose projection overflows (finite inputs, but a centre, covariance or radius beyond the
//! type) is culled; one with a number that is not finite is rejected. Knows nothing of other Gaussians, nor of tiles.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::{
    Camera, Error, Mode, Real, Record, Scene, Settings, Shape, Tuning, activation,
    affine::{Affine, View},
    check,
    constants::{AA_FLOOR, DILATION, NEAR},
    extent::Extent,
    fused::{affine_row, determinant, fma},
    sh::{self, Source},
};

/// What [`project`] gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Projected<T = f32> {
    /// `[P]`; those of invisible Gaussians are zero.
    pub records: Vec<Record<T>>,
    /// Gaussians left out because one of their numbers (SH: in the active degree) is not finite, in view or not.
    pub rejected: u64,
}

/// Projects every Gaussian of `scene` onto the image of `camera`.
///
/// A Gaussian is culled, with radius 0, if its centre is not more than 0.2 in front of the camera, if its projection
/// overflows, if one of its numbers is not finite, or if it covers nothing: in mode `compat` if the square of its
/// 3-sigma radius touches no tile, in mode `exact` if the box around the ellipse where alpha is at least 1/255 holds no
/// pixel centre of the image. The scene's features are only looked at for numbers that are not finite.
///
/// # Errors
/// [`Error`] for wrong lengths, a camera or settings that are not finite, an empty image, and an SH degree over 3 or
/// over what the coefficients provide.
pub fn project<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    tuning: &Tuning<T>,
) -> Result<Projected<T>, Error> {
    let projection = Projection::new(scene, camera, settings, tuning)?;
    let each = (0..scene.len()).into_par_iter().with_min_len(256);
    let records = each.map(|i| projection.record(i)).collect();
    Ok(Projected { records, rejected: projection.rejected() })
}

/// The projection of one scene by one camera, Gaussian by Gaussian.
pub(crate) struct Projection<'a, T> {
    scene: &'a Scene<'a, T>,
    settings: &'a Settings<T>,
    tuning: &'a Tuning<'a, T>,
    view: View<T>,
    rejected: AtomicU64,
}

impl<'a, T: Real> Projection<'a, T> {
    /// Checks the inputs.
    pub(crate) fn new(
        scene: &'a Scene<'a, T>,
        camera: &Camera<T>,
        settings: &'a Settings<T>,
        tuning: &'a Tuning<'a, T>,
    ) -> Result<Self, Error> {
        check::inputs(scene, camera, settings)?;
        check::shift(scene, tuning)?;
        let view = View::new(camera, settings.mode);
        Ok(Self { scene, settings, tuning, view, rejected: AtomicU64::new(0) })
    }

    /// The record of Gaussian `i`, zero if it is not visible.
    pub(crate) fn record(&self, i: usize) -> Record<T> {
        if !finite(self.scene, self.settings, i) {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            return Record::default();
        }
        record(self.scene, &self.view, self.settings, self.tuning, i).unwrap_or_default()
    }

    /// How many of the Gaussians so far were rejected.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }
}

/// Row `i` of an array `[P,N]`, in the type of the computation.
pub(crate) fn row<T: Real, C: Real, const N: usize>(values: &[T], i: usize) -> [C; N] {
    std::array::from_fn(|k| C::from_f64_lossy(values[N * i + k].to_f64_exact()))
}

/// Factor on the opacity that keeps a Gaussian's total contribution when the dilation widens it; `ratio` is that of the
/// determinants before and after.
pub(crate) fn antialiasing_factor<T: Real>(ratio: T) -> T {
    ratio.max(T::from_f64_lossy(AA_FLOOR)).sqrt()
}

/// Whether every number that the render reads of Gaussian `i` is finite; of SH only the active degree.
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
        && all(scene.features.row(i))
}

/// Record of Gaussian `i`; `None` if it is culled.
fn record<T: Real>(
    scene: &Scene<T>,
    camera: &View<T>,
    settings: &Settings<T>,
    tuning: &Tuning<T>,
    i: usize,
) -> Option<Record<T>> {
    let c = T::from_f64_lossy;
    let mean: [T; 3] = row(scene.means3d, i);
    let depth = affine_row(&camera.view, 2, mean);
    if depth <= c(NEAR) {
        return None;
    }
    let inv_w = camera.inverse_w(mean);
    let [x, y]: [T; 2] = std::array::from_fn(|axis| {
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
    let mut opacity: T = activation::opacity(scene, settings.values, i);
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
    let inv_cov = [d * inv_det, -b * inv_det, a * inv_det];
    let [half_x, half_y] = match settings.mode {
        Mode::Compat => [c(f64::from(radius)); 2],
        Mode::Exact => Extent::new(inv_cov, opacity, tuning.cutoff).half,
    };
    camera.grid.rect([x, y], [half_x, half_y], settings.mode, tuning.cutoff)?;

    let color = match Source::of(&scene.color, i) {
        Source::Rgb(rgb) => [rgb[0], rgb[1], rgb[2]],
        Source::Sh(sh) => {
            let (unit, _) = camera.direction(mean);
            sh::color(settings.sh_degree, sh, unit).map(|x| x.max(T::zero()))
        }
    };
    let mut numbers = [x, y, opacity, depth, T::one() / depth].into_iter().chain(inv_cov).chain(color);
    numbers.all(T::is_finite).then_some(Record {
        x,
        y,
        inv_cov,
        opacity,
        depth,
        color,
        half_x,
        half_y,
        radius,
        reserved: [0; 3],
    })
}
