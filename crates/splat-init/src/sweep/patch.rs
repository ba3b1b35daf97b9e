//! The similarity of a small patch in one view and its image by a plane in another: normalised cross-correlation over colour
//! and alpha, with weights that fade across edges, plus a small part of the difference of the means.
//!
//! A plane at a pixel is its inverse depth there and the inverse depth's slope per pixel of level 0: planes
//! are linear in inverse depth over the image. A cost is 0 for identical patches and about 1 for
//! unrelated ones.

use super::super::eye::{Eye, Level};
use crate::linear::{apply, inverse, multiply, transposed};

/// The number of samples across a patch, and the pixels between them.
const ACROSS: usize = 5;
const STEP: f32 = 2.0;
const SAMPLES: usize = ACROSS * ACROSS;
/// Colour distance and pixels at which a sample's weight has fallen to 0.6.
const COLOR_SIGMA: f32 = 0.18;
const SPACE_SIGMA: f32 = 4.0;
/// Variance taken for noise, so that empty patches are like nothing.
const NOISE: f32 = 4e-4;
/// What a difference of the mean colours of 1 would cost, and the largest difference that counts.
const MEAN_COST: f32 = 0.6;
const MEAN_LIMIT: f32 = 0.4;
/// The cost of what no other view sees, and what is added where only one does.
pub(super) const UNSEEN: f32 = 2.0;
const SEEN_ONCE: f32 = 0.3;
/// The cost in both of the first two views beyond which the others are not asked.
const HOPELESS: f32 = 0.75;

/// A plane at a pixel: inverse depth, and its slopes per pixel of level 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plane {
    pub(super) inverse: f32,
    pub(super) slope: [f32; 2],
}

impl Plane {
    /// The same plane seen `offset` pixels further.
    pub(super) fn at(self, offset: [f32; 2]) -> Self {
        let inverse = self.inverse + self.slope[0] * offset[0] + self.slope[1] * offset[1];
        Self { inverse, slope: self.slope }
    }
}

/// The way from one view's pixels and inverse depths to another's pixels:
/// `x' ~ turn (x, y, 1) + shift / depth`.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    turn: [[f32; 3]; 3],
    shift: [f32; 3],
    focal: f32,
    other: &'a Eye,
}

impl<'a> Pair<'a> {
    pub(super) fn new(eye: &Eye, other: &'a Eye) -> Option<Self> {
        let k =
            |e: &Eye| [[e.focal[0], 0.0, e.principal[0]], [0.0, e.focal[1], e.principal[1]], [0.0, 0.0, 1.0]];
        let relative = multiply(&other.rotation, &transposed(&eye.rotation));
        let turn = multiply(&multiply(&k(other), &relative), &inverse(&k(eye))?);
        let shift = apply(&k(other), other.to_camera(eye.center));
        Some(Self {
            turn: turn.map(|r| r.map(|x| x as f32)),
            shift: shift.map(|x| x as f32),
            focal: eye.focal[0] as f32,
            other,
        })
    }

    /// The first view's focal length, pixels.
    pub(super) fn focal(&self) -> f32 {
        self.focal
    }

    /// Where the plane's pixel falls in the other view, and the Jacobian of that by the pixel.
    fn warp(&self, at: [f32; 2], plane: Plane) -> Option<([f32; 2], [[f32; 2]; 2])> {
        let h: [f32; 3] = std::array::from_fn(|r| {
            self.turn[r][0] * at[0]
                + self.turn[r][1] * at[1]
                + self.turn[r][2]
                + self.shift[r] * plane.inverse
        });
        // The ratio of the two depths: behind the other camera, or so near it that nothing is alike.
        if h[2] < 0.2 {
            return None;
        }
        let to = [h[0] / h[2], h[1] / h[2]];
        let d = |r: usize, c: usize| self.turn[r][c] + self.shift[r] * plane.slope[c];
        let jacobian = std::array::from_fn(|r| std::array::from_fn(|c| (d(r, c) - to[r] * d(2, c)) / h[2]));
        Some((to, jacobian))
    }
}

/// The patch around a pixel, ready to be compared.
#[derive(Debug)]
pub(super) struct Patch {
    at: [f32; 2],
    level: usize,
    /// Sum to 1.
    weights: [f32; SAMPLES],
    /// Weight times deviation from the mean.
    deviations: [[f32; 4]; SAMPLES],
    mean: [f32; 4],
    variance: f32,
}

fn offset(k: usize) -> [f32; 2] {
    let half = (ACROSS / 2) as f32;
    [((k % ACROSS) as f32 - half) * STEP, ((k / ACROSS) as f32 - half) * STEP]
}

/// 1 at level 0, 1/2 at level 1.
fn scale(level: usize) -> f32 {
    1.0 / (1 << level) as f32
}

impl Patch {
    /// Around `at` (level 0), as `level` shows it.
    pub(super) fn new(eye: &Eye, level: usize, at: [f32; 2]) -> Self {
        let s = scale(level);
        let image = &eye.levels[level];
        let own = image.sample(at[0] * s, at[1] * s);
        let mut values = [[0.0; 4]; SAMPLES];
        let mut weights = [0.0; SAMPLES];
        let mut mean = [0.0; 4];
        let mut total = 0.0;
        for k in 0..SAMPLES {
            let o = offset(k);
            let v = image.sample(at[0] * s + o[0], at[1] * s + o[1]);
            let color: f32 = (0..3).map(|c| (v[c] - own[c]).powi(2)).sum();
            let space = o[0] * o[0] + o[1] * o[1];
            let exponent =
                color / (2.0 * COLOR_SIGMA * COLOR_SIGMA) + space / (2.0 * SPACE_SIGMA * SPACE_SIGMA);
            // What is not the object moves otherwise than it does.
            let w = v[3] * (-exponent).exp() + 1e-6;
            (weights[k], values[k]) = (w, v);
            total += w;
            (0..4).for_each(|c| mean[c] += w * v[c]);
        }
        mean = mean.map(|m| m / total);
        let mut variance = 0.0;
        let mut deviations = [[0.0; 4]; SAMPLES];
        for k in 0..SAMPLES {
            weights[k] /= total;
            for c in 0..4 {
                let d = values[k][c] - mean[c];
                deviations[k][c] = weights[k] * d;
                variance += weights[k] * d * d;
            }
        }
        Self { at, level, weights, deviations, mean, variance }
    }

    /// Standard deviation of the colours: how much there is to recognise.
    pub(super) fn texture(&self) -> f32 {
        self.variance.sqrt()
    }

    /// The cost in one other view; None where that does not see it.
    fn against(&self, pair: &Pair<'_>, plane: Plane) -> Option<f32> {
        let (to, j) = pair.warp(self.at, plane)?;
        let s = scale(self.level);
        let image: &Level = &pair.other.levels[self.level];
        let (x, y) = (to[0] * s, to[1] * s);
        let grown = (j[0][0] * j[1][1] - j[0][1] * j[1][0]).abs();
        if !(0.1..10.0).contains(&grown) {
            return None;
        }
        // The whole patch inside, so that no sample needs a check; then 16 bits of fraction.
        let half = ((ACROSS / 2) as f32) * STEP;
        let reach = [0, 1].map(|r| half * (j[r][0].abs() + j[r][1].abs()) + 0.51);
        let inside = |x: f32, reach: f32, n: usize| x > reach && x < n as f32 - reach - 0.01;
        if !inside(x, reach[0], image.width) || !inside(y, reach[1], image.height) {
            return None;
        }
        let fixed = |x: f32| (x * 65536.0) as i32;
        let (x, y) = (fixed(x - 0.5), fixed(y - 0.5));
        let j = j.map(|r| r.map(|d| fixed(d * STEP)));
        let (mut sum, mut squares, mut product) = ([0.0f32; 4], [0.0f32; 4], [0.0f32; 4]);
        for k in 0..SAMPLES {
            let across = (k % ACROSS) as i32 - (ACROSS / 2) as i32;
            let down = (k / ACROSS) as i32 - (ACROSS / 2) as i32;
            let x = x + j[0][0] * across + j[0][1] * down;
            let y = y + j[1][0] * across + j[1][1] * down;
            let fraction = |x: i32| (x & 0xffff) as f32 * (1.0 / 65536.0);
            let (fx, fy) = (fraction(x), fraction(y));
            let start = (y >> 16) as usize * image.width + (x >> 16) as usize;
            let [above, above_next] = image.pixels[start..][..2] else { return None };
            let [below, below_next] = image.pixels[start + image.width..][..2] else { return None };
            let (w, deviation) = (self.weights[k], &self.deviations[k]);
            for c in 0..4 {
                let top = above[c] + fx * (above_next[c] - above[c]);
                let bottom = below[c] + fx * (below_next[c] - below[c]);
                let v = top + fy * (bottom - top);
                let wv = w * v;
                sum[c] += wv;
                squares[c] += wv * v;
                product[c] += deviation[c] * v;
            }
        }
        let variance: f32 = (0..4).map(|c| (squares[c] - sum[c] * sum[c]).max(0.0)).sum();
        let likeness = product.iter().sum::<f32>() / ((self.variance + NOISE) * (variance + NOISE)).sqrt();
        let apart = (0..4).map(|c| (sum[c] - self.mean[c]).abs()).sum::<f32>() / 3.0;
        Some(1.0 - likeness + MEAN_COST * apart.min(MEAN_LIMIT))
    }

    /// The cost of `plane` in the better half of the views that see it: the others may be hidden from it.
    /// May stop early, with [`UNSEEN`], where it will not be below `limit`.
    pub(super) fn cost(&self, pairs: &[Pair<'_>], plane: Plane, limit: f32) -> f32 {
        let mut costs = [f32::INFINITY; 16];
        let mut seen = 0;
        for pair in pairs.iter().take(16) {
            if let Some(cost) = self.against(pair, plane) {
                // Insertion keeps them sorted; there are few.
                let mut k = seen;
                while k > 0 && costs[k - 1] > cost {
                    costs[k] = costs[k - 1];
                    k -= 1;
                }
                costs[k] = cost;
                seen += 1;
                // Alike in neither of the best two views: the rest will not save it.
                if seen == 2 && costs[0] > HOPELESS && costs[0] > limit {
                    return UNSEEN;
                }
            }
        }
        match seen {
            0 => UNSEEN,
            1 => costs[0] + SEEN_ONCE,
            _ => {
                let best = seen.div_ceil(2).max(2);
                costs[..best].iter().sum::<f32>() / best as f32
            }
        }
    }
}
