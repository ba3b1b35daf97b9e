//! Fewer Gaussians in place of many: neighbours are merged, for levels of detail.
//!
//! Pairs of neighbours that look alike are replaced by one Gaussian with their mean, covariance and colour, weighted by how
//! much each shows (moment matching; for mixtures: Goldberger and Roweis, "Hierarchical clustering of a mixture model", 2004).
//! Which pairs comes from Ward's criterion (Ward, "Hierarchical grouping to optimize an objective function", 1963), so that
//! what shows little is merged first. Nothing here knows cameras: `splat_train::metrics` measures what photographs say.

use std::num::NonZero;

use kiddo::{ImmutableKdTree, SquaredEuclidean};
use rayon::prelude::*;

use super::transform::{Similarity, quaternion};
use crate::{Gaussians, Result, SH_C0};

/// Neighbours that a Gaussian may be merged with.
const NEIGHBOURS: usize = 6;
/// What a difference in colour from black to white counts, against a distance as long as the two Gaussians are wide.
const COLOR: f64 = 4.0;
/// The most opaque that a merged Gaussian becomes: the logit of 1 is infinite.
const OPAQUE: f64 = 0.999;

impl Gaussians {
    /// At most `count` Gaussians, and at least one if there are any, that look like these from afar. Their order is not kept.
    ///
    /// # Errors
    /// Arrays that disagree in length, NaN or infinity.
    pub fn merged(&self, count: usize) -> Result<Self> {
        self.check()?;
        let count = count.max(1);
        let mut g = self.clone();
        // A quarter at a time: in one round that takes all, whoever finds no cheap partner would take a dear one.
        while g.len() > count {
            let pairs = pairs(&g, (g.len() - count).min(g.len().div_ceil(4)));
            g = joined(&g, &pairs);
        }
        Ok(g)
    }

    /// The covariance of the Gaussian `i`, square units.
    pub(super) fn covariance(&self, i: usize) -> [[f64; 3]; 3] {
        let rotation: [f64; 4] = std::array::from_fn(|k| f64::from(self.rotations[4 * i + k]));
        let length = rotation.iter().map(|x| x * x).sum::<f64>();
        // A quaternion without length is no rotation; renderers show what they like.
        let rotation = if length > 0.0 { rotation } else { [1.0, 0.0, 0.0, 0.0] };
        let r = Similarity { rotation, ..Similarity::default() }.matrix();
        let variance = |k: usize| (2.0 * f64::from(self.log_scales[3 * i + k])).exp();
        r.map(|a| r.map(|b| (0..3).map(|k| a[k] * b[k] * variance(k)).sum()))
    }
}

/// What a Gaussian looks like from afar: its opacity times its area, the mean of its projections but for a constant factor.
fn shows(g: &Gaussians, i: usize) -> (f64, f64) {
    let [a, b, c] = [0, 1, 2].map(|k| f64::from(g.log_scales[3 * i + k]).exp());
    let area = (a * b + b * c + c * a).max(f64::MIN_POSITIVE);
    (area / (1.0 + f64::from(-g.opacity_logits[i]).exp()), area)
}

/// At most `most` pairs in which no Gaussian is twice, the cheapest first; at least one if there are two Gaussians.
fn pairs(g: &Gaussians, most: usize) -> Vec<(u32, u32)> {
    let points: Vec<[f32; 3]> = g.means.chunks_exact(3).map(|m| [m[0], m[1], m[2]]).collect();
    let weights: Vec<(f64, f64)> = (0..g.len()).map(|i| shows(g, i)).collect();
    let tree: ImmutableKdTree<f32, 3> =
        ImmutableKdTree::new_from_slice(&points).expect("finite points can be indexed");
    // The nearest is the point itself.
    let nearest = NonZero::new(NEIGHBOURS + 1).expect("not 0");
    let cost = |i: usize, j: usize, distance: f32| {
        let ((w, a), (v, b)) = (weights[i], weights[j]);
        let dc = |i: usize, c: usize| f64::from(SH_C0 * g.sh[3 * g.coeffs * i + c]);
        let color: f64 = (0..3).map(|c| (dc(i, c) - dc(j, c)).powi(2)).sum();
        w * v / (w + v).max(f64::MIN_POSITIVE) * (f64::from(distance) / (a + b) + COLOR * color)
    };
    let mut edges: Vec<(f64, u32, u32)> = points
        .par_iter()
        .enumerate()
        .flat_map_iter(|(i, point)| {
            let found = tree.query(point).nearest_n::<SquaredEuclidean<f32>>(nearest).execute();
            let others =
                found.into_iter().map(move |n| (n.item as usize, n.distance)).filter(move |n| n.0 != i);
            // Each pair once, though it may be found from both ends.
            others.map(move |(j, distance)| (i.min(j), i.max(j), distance)).collect::<Vec<_>>()
        })
        .map(|(i, j, distance)| (cost(i, j, distance), i as u32, j as u32))
        .collect();
    edges.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (mut free, mut pairs) = (vec![true; g.len()], Vec::new());
    for (_, i, j) in edges {
        if pairs.len() < most && free[i as usize] && free[j as usize] {
            (free[i as usize], free[j as usize]) = (false, false);
            pairs.push((i, j));
        }
    }
    pairs
}

/// `g` with each of `pairs` as one Gaussian, in the place of its first.
fn joined(g: &Gaussians, pairs: &[(u32, u32)]) -> Gaussians {
    let mut keep = vec![true; g.len()];
    let mut out = g.clone();
    for &(i, j) in pairs {
        let (i, j) = (i as usize, j as usize);
        keep[j] = false;
        join(&mut out, i, j);
    }
    out.retain(&keep);
    out
}

/// Makes of `i` what stands for `i` and `j`.
fn join(g: &mut Gaussians, i: usize, j: usize) {
    let ((w, a), (v, b)) = (shows(g, i), shows(g, j));
    let p = if w + v > 0.0 { w / (w + v) } else { 0.5 };
    let mix = |values: &mut [f32], each: usize| {
        for k in 0..each {
            let (x, y) = (values[each * i + k], values[each * j + k]);
            values[each * i + k] = (p * f64::from(x) + (1.0 - p) * f64::from(y)) as f32;
        }
    };
    let apart = [0, 1, 2].map(|k| f64::from(g.means[3 * i + k]) - f64::from(g.means[3 * j + k]));
    let (own, other) = (g.covariance(i), g.covariance(j));
    let whole: [[f64; 3]; 3] = std::array::from_fn(|r| {
        std::array::from_fn(|c| p * own[r][c] + (1.0 - p) * other[r][c] + p * (1.0 - p) * apart[r] * apart[c])
    });
    let (variances, axes) = principal(whole);
    mix(&mut g.means, 3);
    let each = 3 * g.coeffs;
    mix(&mut g.sh, each);
    // Rounding can leave a flat Gaussian a variance of 0 or below.
    let thinnest = variances.iter().fold(f64::MIN_POSITIVE, |m, x| m.max(1e-12 * x));
    let scales = variances.map(|x| x.max(thinnest).sqrt());
    (0..3).for_each(|k| g.log_scales[3 * i + k] = scales[k].ln() as f32);
    (0..4).for_each(|k| g.rotations[4 * i + k] = quaternion(&axes)[k] as f32);
    // What both show is spread over the new area. Two that lie on each other hide each other in part.
    let (o, q) = (w / a, v / b);
    let area = scales[0] * scales[1] + scales[1] * scales[2] + scales[2] * scales[0];
    let opacity = ((w + v) / area).min(o + q - o * q).clamp(f64::MIN_POSITIVE, OPAQUE);
    g.opacity_logits[i] = (opacity / (1.0 - opacity)).ln() as f32;
}

/// Eigenvalues of a symmetric matrix, and its eigenvectors as the columns of a rotation, by Jacobi's rotations.
fn principal(mut m: [[f64; 3]; 3]) -> ([f64; 3], [[f64; 3]; 3]) {
    let mut v = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for _ in 0..12 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if m[p][q].abs() <= 1e-15 * (m[p][p].abs() + m[q][q].abs()) {
                continue;
            }
            let half = (m[q][q] - m[p][p]) / (2.0 * m[p][q]);
            let t = half.signum() / (half.abs() + half.hypot(1.0));
            let c = 1.0 / t.hypot(1.0);
            let s = t * c;
            for row in &mut m {
                (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
            }
            let (above, below) = (m[p], m[q]);
            m[p] = std::array::from_fn(|k| c * above[k] - s * below[k]);
            m[q] = std::array::from_fn(|k| s * above[k] + c * below[k]);
            for row in &mut v {
                (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
            }
        }
    }
    ([m[0][0], m[1][1], m[2][2]], v)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(p: usize, coeffs: usize) -> Gaussians {
        let mut rng = fastrand::Rng::with_seed(6);
        let mut within =
            |n: usize, a: f32, b: f32| (0..n).map(|_| a + (b - a) * rng.f32()).collect::<Vec<_>>();
        Gaussians {
            means: within(3 * p, -2.0, 2.0),
            sh: within(3 * coeffs * p, -1.0, 1.0),
            coeffs,
            opacity_logits: within(p, -4.0, 3.0),
            log_scales: within(3 * p, -6.0, -2.0),
            rotations: within(4 * p, -1.0, 1.0),
            ..Gaussians::default()
        }
    }

    /// The covariance that the merged Gaussian states is that of the mixture, and so are mean and colour.
    #[test]
    fn moments_are_kept() {
        for seed in 0..20 {
            let mut g = random(40, 4).select(&[seed, seed + 20]);
            let (w, v) = (shows(&g, 0).0, shows(&g, 1).0);
            let p = w / (w + v);
            let (a, b) = (g.covariance(0), g.covariance(1));
            let before = g.clone();
            join(&mut g, 0, 1);
            let c = g.covariance(0);
            for r in 0..3 {
                let mean = p * f64::from(before.means[r]) + (1.0 - p) * f64::from(before.means[3 + r]);
                assert!((f64::from(g.means[r]) - mean).abs() < 1e-6);
                for k in 0..3 {
                    let d = |r: usize| f64::from(before.means[r] - before.means[3 + r]);
                    let expected = p * a[r][k] + (1.0 - p) * b[r][k] + p * (1.0 - p) * d(r) * d(k);
                    assert!((c[r][k] - expected).abs() < 1e-5, "{r} {k}: {} {expected}", c[r][k]);
                }
            }
            let (shown, area) = shows(&g, 0);
            assert!(shown <= (w + v) * (1.0 + 1e-5), "nothing shows more than before");
            assert!(shown / area <= OPAQUE + 1e-6);
        }
    }

    /// Two halves of one Gaussian at one place become that Gaussian, and the faint ones go before the strong ones.
    #[test]
    fn alike_and_faint_ones_go_first() {
        let one = random(1, 1);
        let mut two = one.select(&[0, 0]);
        two.opacity_logits = vec![0.0; 2];
        let back = two.merged(1).unwrap();
        assert_eq!(back.len(), 1);
        assert!((back.means[0] - one.means[0]).abs() < 1e-6 && (back.sh[0] - one.sh[0]).abs() < 1e-6);
        assert!((back.opacity_logits[0] - 3.0f32.ln()).abs() < 1e-5, "3/4 of two halves");

        // Two clouds that are no neighbours.
        let mut g = random(60, 1);
        (0..60).for_each(|i| g.opacity_logits[i] = if i < 20 { 4.0 } else { -12.0 });
        (0..20).for_each(|i| g.means[3 * i] += 100.0);
        let less = g.merged(48).unwrap();
        assert_eq!(less.select(&(0..20).collect::<Vec<_>>()), g.select(&(0..20).collect::<Vec<_>>()));
    }

    #[test]
    fn any_number_is_reached() {
        let g = random(500, 9);
        for count in [1, 7, 250, 499] {
            let less = g.merged(count).unwrap();
            assert_eq!(less.len(), count);
            less.check().unwrap();
        }
        assert_eq!(g.merged(900).unwrap(), g);
        assert_eq!(g.merged(0).unwrap().len(), 1);
        assert_eq!(Gaussians { coeffs: 1, ..Gaussians::default() }.merged(0).unwrap().len(), 0);
        // All at one place, of no opacity and no length of quaternion.
        let mut same = g.select(&[3; 100]);
        same.opacity_logits = vec![-200.0; 100];
        same.rotations = vec![0.0; 400];
        let less = same.merged(10).unwrap();
        assert_eq!(less.len(), 10);
        less.check().unwrap();
        let mut bad = g;
        bad.means[0] = f32::NAN;
        assert!(bad.merged(3).is_err());
    }

    #[test]
    fn principal_axes_rebuild_the_matrix() {
        for i in 0..100 {
            let m = random(100, 1).covariance(i);
            let (values, v) = principal(m);
            for r in 0..3 {
                for c in 0..3 {
                    let back: f64 = (0..3).map(|k| v[r][k] * values[k] * v[c][k]).sum();
                    assert!((back - m[r][c]).abs() < 1e-12, "{back} {}", m[r][c]);
                }
            }
        }
    }
}
