//! Backward pass of the first stage: from gradients of records to gradients of Gaussians and of the camera's pose.
//!
//! Gaussians run in parallel in blocks of a fixed size, and the pose gradients of the blocks are added in order, so the
//! result does not depend on the number of threads.

use rayon::prelude::*;

use crate::{
    Camera, Color, Error, Gradients, Real, Record, RecordGradient, Scene, Settings, Tuning, affine::View,
    check, pose::Pose, projection_backward::gaussian_backward, record::narrow_all,
};

/// Gaussians per block.
const BLOCK: usize = 512;

/// Gradients for the inputs of [`crate::project`], from these inputs, the records that it gave and their gradients.
///
/// Features and background have no part in projection: their gradients in the result are empty and zero.
/// [`Gradients::means2d_abs`] is always given. Of the records only `radius` is read: everything else is computed
/// again in f64.
///
/// # Errors
/// [`Error`] as [`crate::project`], and if the lengths of `records` or `gradients` do not fit the scene.
pub fn project_backward<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    records: &[Record<T>],
    gradients: &[RecordGradient],
    tuning: &Tuning<T>,
) -> Result<Gradients<T>, Error> {
    check::inputs(scene, camera, settings)?;
    for (name, found) in [("records", records.len()), ("record_gradients", gradients.len())] {
        check::length(name, found, scene.len(), || format!("P = {}", scene.len()))?;
    }
    let gradient = |i: usize| if records[i].radius > 0 { gradients[i] } else { RecordGradient::default() };
    Ok(gaussians(scene, camera, settings, true, tuning, gradient))
}

/// Gradients of all Gaussians from those of their records; `absolute` says whether [`Gradients::means2d_abs`] is wanted.
pub(crate) fn gaussians<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    absolute: bool,
    tuning: &Tuning<T>,
    gradient: impl Fn(usize) -> RecordGradient + Sync,
) -> Gradients<T> {
    let view = &View::new(camera, settings.mode);
    let p = scene.len();
    let absolute = if absolute { 2 } else { 0 };
    let (first, rest) = match scene.color {
        Color::Sh { coeffs, .. } => (3 * coeffs, 0),
        Color::SplitSh { coeffs, .. } => (3, 3 * (coeffs - 1)),
        Color::Rgb(_) => (0, 0),
    };
    // With P = 0 the number of coefficients may be anything.
    let zeros = |each: usize| vec![T::zero(); p.saturating_mul(each)];
    let mut out = Gradients {
        means3d: zeros(3),
        means2d: zeros(3),
        means2d_abs: zeros(absolute),
        opacities: zeros(1),
        sh: zeros(first),
        sh_rest: zeros(rest),
        colors: zeros(3),
        scales: zeros(3),
        rotations: zeros(4),
        cov3d: zeros(6),
        features: Vec::new(),
        background: [T::zero(); 3],
        view: [T::zero(); 16],
    };
    let mut blocks = Rows::blocks(&mut out, p);
    let pose = Pose::new(view);
    let parts: Vec<[f64; 16]> = blocks
        .par_iter_mut()
        .enumerate()
        .map(|(block, rows)| {
            let mut sum = [0.0; 16];
            let start = block * BLOCK;
            for (at, i) in (start..p.min(start + BLOCK)).enumerate() {
                let record = gradient(i);
                // Nothing to pass on: the rows stay zero.
                if record == RecordGradient::default() {
                    continue;
                }
                let (sh, sh_rest) = (part(rows.sh, at, first), part(rows.sh_rest, at, rest));
                let sh = if rest == 0 && first > 0 { sh.split_at_mut(3) } else { (sh, sh_rest) };
                let grad = gaussian_backward(scene, view, &pose, settings, tuning, i, &record, sh);
                narrow_all(&grad.mean3d, part(rows.means3d, at, 3));
                narrow_all(&grad.mean2d, &mut part(rows.means2d, at, 3)[..2]);
                narrow_all(&grad.mean2d_abs, part(rows.means2d_abs, at, absolute));
                narrow_all(&[grad.opacity], part(rows.opacities, at, 1));
                narrow_all(&grad.color, part(rows.colors, at, 3));
                narrow_all(&grad.scale, part(rows.scales, at, 3));
                narrow_all(&grad.rotation, part(rows.rotations, at, 4));
                narrow_all(&grad.cov3d, part(rows.cov3d, at, 6));
                for (sum, x) in sum.iter_mut().zip(grad.view) {
                    *sum += x;
                }
            }
            sum
        })
        .collect();
    let mut sum = [0.0; 16];
    for part in parts {
        for (sum, x) in sum.iter_mut().zip(part) {
            *sum += x;
        }
    }
    narrow_all(&sum, &mut out.view);
    out
}

/// Row `i` of an array with `each` numbers per row.
fn part<T>(rows: &mut [T], i: usize, each: usize) -> &mut [T] {
    &mut rows[i * each..(i + 1) * each]
}

/// Rows of these members of [`Gradients`] for one block of Gaussians, and the cut into blocks.
macro_rules! rows {
    ($($field:ident)*) => {
        struct Rows<'a, T> {
            $($field: &'a mut [T],)*
        }

        impl<'a, T: Real> Rows<'a, T> {
            /// One for every block of `p` Gaussians.
            fn blocks(of: &'a mut Gradients<T>, p: usize) -> Vec<Self> {
                // Every tensor has p rows; those of some have no numbers.
                $(let mut $field = Pieces { size: BLOCK * (of.$field.len() / p.max(1)), rest: &mut of.$field };)*
                let rows = || Rows { $($field: $field.take(),)* };
                std::iter::repeat_with(rows).take(p.div_ceil(BLOCK)).collect()
            }
        }
    };
}
rows! { means3d means2d means2d_abs opacities sh sh_rest colors scales rotations cov3d }

/// A slice that is handed out in pieces of `size`; the last may be shorter.
struct Pieces<'a, T> {
    rest: &'a mut [T],
    size: usize,
}

impl<'a, T> Pieces<'a, T> {
    fn take(&mut self) -> &'a mut [T] {
        let rest = std::mem::take(&mut self.rest);
        let (piece, tail) = rest.split_at_mut(self.size.min(rest.len()));
        self.rest = tail;
        piece
    }
}
