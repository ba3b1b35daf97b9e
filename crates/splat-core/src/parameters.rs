//! From the sums over the pixels to the gradients of all inputs, splat by splat, and to those of the pose.
//!
//! Splats run in parallel by blocks of a fixed size, and the blocks' pose gradients are added in order: the result
//! does not depend on the number of threads.

use rayon::prelude::*;

use crate::{
    Color, Gradients, Real, Scene, Settings, Tuning, affine::View, backward::round, blend_backward::Sums,
    pose::Pose, projection::Splat, projection_backward::splat_backward, sums::Totals,
};

/// Splats of a block.
const BLOCK: usize = 512;

/// The rows of a block of splats.
struct Rows<'a, T> {
    means3d: &'a mut [T],
    means2d: &'a mut [T],
    means2d_abs: &'a mut [T],
    opacities: &'a mut [T],
    sh: &'a mut [T],
    sh_rest: &'a mut [T],
    colors: &'a mut [T],
    scales: &'a mut [T],
    rotations: &'a mut [T],
    cov3d: &'a mut [T],
    features: &'a mut [T],
}

pub(crate) fn parameters<T: Real>(
    scene: &Scene<T>,
    view: &View<f64>,
    settings: &Settings<T>,
    tuning: &Tuning<T>,
    splats: &[Splat<T>],
    totals: &Totals,
    absolute: bool,
) -> Gradients<T> {
    let p = scene.len();
    let (first, rest) = match scene.color {
        Color::Sh { coeffs, .. } => (3 * coeffs, 0),
        Color::SplitSh { coeffs, .. } => (3, 3 * (coeffs - 1)),
        Color::Rgb(_) => (0, 0),
    };
    let count = scene.features.count;
    // With P = 0 the number of coefficients may be anything.
    let zeros = |each: usize| vec![T::zero(); p.saturating_mul(each)];
    let mut out = Gradients {
        means3d: zeros(3),
        means2d: zeros(3),
        means2d_abs: zeros(if absolute { 2 } else { 0 }),
        opacities: zeros(1),
        sh: zeros(first),
        sh_rest: zeros(rest),
        colors: zeros(3),
        scales: zeros(3),
        rotations: zeros(4),
        cov3d: zeros(6),
        features: zeros(count),
        background: [T::zero(); 3],
        view: [T::zero(); 16],
    };
    let mut blocks = out.blocks(p);
    let pose = Pose::new(view);
    let parts: Vec<[f64; 16]> = blocks
        .par_iter_mut()
        .enumerate()
        .map(|(block, rows)| {
            let mut sum = [0.0; 16];
            let start = block * BLOCK;
            for (at, splat) in splats[start..p.min(start + BLOCK)].iter().enumerate() {
                let i = start + at;
                // Nothing to pass on: the rows stay zero.
                let extra = &totals.extra[i * totals.each..(i + 1) * totals.each];
                let silent = totals.sums[i] == Sums::default() && extra.iter().all(|x| *x == 0.0);
                if !splat.visible() || silent {
                    continue;
                }
                let (sh, sh_rest) = (part(rows.sh, at, first), part(rows.sh_rest, at, rest));
                let sh = if rest == 0 && first > 0 { sh.split_at_mut(3) } else { (sh, sh_rest) };
                let grad = splat_backward(scene, view, &pose, settings, tuning, i, &totals.sums[i], sh);
                round(&grad.mean3d, part(rows.means3d, at, 3));
                round(&grad.mean2d, &mut part(rows.means2d, at, 3)[..2]);
                round(&[grad.opacity], part(rows.opacities, at, 1));
                round(&grad.color, part(rows.colors, at, 3));
                round(&grad.scale, part(rows.scales, at, 3));
                round(&grad.rotation, part(rows.rotations, at, 4));
                round(&grad.cov3d, part(rows.cov3d, at, 6));
                if let [x, y, features @ ..] = extra {
                    round(features, part(rows.features, at, count));
                    if absolute {
                        let ndc = [x * 0.5 * view.size[0], y * 0.5 * view.size[1]];
                        round(&ndc, part(rows.means2d_abs, at, 2));
                    }
                }
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
    round(&sum, &mut out.view);
    out
}

/// Row `i` of rows of `each` numbers.
fn part<T>(rows: &mut [T], i: usize, each: usize) -> &mut [T] {
    &mut rows[i * each..(i + 1) * each]
}

impl<T: Real> Gradients<T> {
    /// The rows of `p` splats, cut into blocks.
    fn blocks(&mut self, p: usize) -> Vec<Rows<'_, T>> {
        // Every tensor has p rows, some of no numbers.
        fn cut<T>(values: &mut [T], p: usize) -> Pieces<'_, T> {
            let size = BLOCK * (values.len() / p.max(1));
            Pieces { rest: values, size }
        }
        let mut means3d = cut(&mut self.means3d, p);
        let mut means2d = cut(&mut self.means2d, p);
        let mut means2d_abs = cut(&mut self.means2d_abs, p);
        let mut opacities = cut(&mut self.opacities, p);
        let mut sh = cut(&mut self.sh, p);
        let mut sh_rest = cut(&mut self.sh_rest, p);
        let mut colors = cut(&mut self.colors, p);
        let mut scales = cut(&mut self.scales, p);
        let mut rotations = cut(&mut self.rotations, p);
        let mut cov3d = cut(&mut self.cov3d, p);
        let mut features = cut(&mut self.features, p);
        let rows = || Rows {
            means3d: means3d.take(),
            means2d: means2d.take(),
            means2d_abs: means2d_abs.take(),
            opacities: opacities.take(),
            sh: sh.take(),
            sh_rest: sh_rest.take(),
            colors: colors.take(),
            scales: scales.take(),
            rotations: rotations.take(),
            cov3d: cov3d.take(),
            features: features.take(),
        };
        std::iter::repeat_with(rows).take(p.div_ceil(BLOCK)).collect()
    }
}

/// A slice that is given away by pieces of `size`, the last shorter.
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
