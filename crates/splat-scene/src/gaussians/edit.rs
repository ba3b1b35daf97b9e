//! Which Gaussians to leave out: by place, by their neighbours, by size, by opacity; and which way is up.
//!
//! What photographs say about Gaussians needs a renderer and is in `splat_train::metrics`. Regions are in world coordinates.

use std::num::NonZero;

use kiddo::{ImmutableKdTree, SquaredEuclidean};
use rayon::prelude::*;
use splat_core::Camera;

use crate::{Gaussians, Result};

/// The neighbour whose distance says how lonely a Gaussian is.
const NEIGHBOUR: usize = 8;

/// A part of the world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Region {
    /// Along the axes; the border belongs to it.
    Box {
        /// The lowest coordinates.
        min: [f64; 3],
        /// The highest coordinates.
        max: [f64; 3],
    },
    /// A ball; the border belongs to it.
    Sphere {
        /// Its centre.
        center: [f64; 3],
        /// Its radius, world units.
        radius: f64,
    },
}

impl Region {
    /// Whether the point is inside.
    #[must_use]
    pub fn contains(&self, point: [f64; 3]) -> bool {
        match self {
            Self::Box { min, max } => (0..3).all(|k| (min[k]..=max[k]).contains(&point[k])),
            Self::Sphere { center, radius } => {
                (0..3).map(|k| (point[k] - center[k]).powi(2)).sum::<f64>() <= radius * radius
            }
        }
    }
}

impl Gaussians {
    /// Keeps the Gaussians of which `keep` is true, in their order, and returns how many were removed.
    ///
    /// # Panics
    /// Panics if the lengths of the arrays, or of `keep`, disagree.
    pub fn retain(&mut self, keep: &[bool]) -> usize {
        assert_eq!(keep.len(), self.len(), "one entry per Gaussian");
        let kept: Vec<u32> = (0..).zip(keep).filter(|(_, keep)| **keep).map(|(i, _)| i).collect();
        let removed = self.len() - kept.len();
        if removed > 0 {
            *self = self.select(&kept);
        }
        removed
    }

    /// Whether the centre of each Gaussian lies in `region`.
    #[must_use]
    pub fn inside(&self, region: &Region) -> Vec<bool> {
        self.world_means().map(|x| region.contains(x)).collect()
    }

    /// Whether each Gaussian is alone: the distance to its 8th nearest neighbour is more than `factor` times the usual such
    /// distance (the median), and more than `factor` times its own largest standard deviation, so that large Gaussians of
    /// a distant background stay. In scenes of 8 Gaussians or fewer none is.
    ///
    /// # Errors
    /// Arrays that disagree in length, NaN or infinity.
    pub fn isolated(&self, factor: f32) -> Result<Vec<bool>> {
        self.check()?;
        if self.len() <= NEIGHBOUR {
            return Ok(vec![false; self.len()]);
        }
        let points: Vec<[f32; 3]> = self.means.chunks_exact(3).map(|m| [m[0], m[1], m[2]]).collect();
        let tree: ImmutableKdTree<f32, 3> =
            ImmutableKdTree::new_from_slice(&points).expect("finite points can be indexed");
        // The nearest is the point itself.
        let count = NonZero::new(NEIGHBOUR + 1).expect("not 0");
        let distances: Vec<f32> = points
            .par_iter()
            .map(|p| {
                let nearest = tree.query(p).nearest_n::<SquaredEuclidean<f32>>(count).execute();
                nearest.iter().map(|n| n.distance).fold(0.0, f32::max).sqrt()
            })
            .collect();
        let mut sorted = distances.clone();
        let middle = sorted.len() / 2;
        let usual = *sorted.select_nth_unstable_by(middle, f32::total_cmp).1;
        let scales = self.log_scales.chunks_exact(3).map(|s| s[0].max(s[1]).max(s[2]).exp());
        Ok(distances.iter().zip(scales).map(|(d, scale)| *d > factor * usual.max(scale)).collect())
    }

    /// Whether the largest standard deviation of each Gaussian is above `size`, world units.
    #[must_use]
    pub fn larger_than(&self, size: f64) -> Vec<bool> {
        let log = size.ln();
        self.log_scales.chunks_exact(3).map(|s| f64::from(s[0].max(s[1]).max(s[2])) > log).collect()
    }

    /// Whether the opacity of each Gaussian is below `opacity`, 0 to 1.
    #[must_use]
    pub fn fainter_than(&self, opacity: f64) -> Vec<bool> {
        let logit = (opacity / (1.0 - opacity)).ln();
        self.opacity_logits.iter().map(|&x| f64::from(x) < logit).collect()
    }

    /// The logarithm of volume times opacity of each Gaussian, but for a constant: how much it shows where nothing is known
    /// of cameras. The product itself may underflow.
    #[must_use]
    pub fn size_weights(&self) -> Vec<f32> {
        let volumes = self.log_scales.chunks_exact(3).map(|s| s[0] + s[1] + s[2]);
        volumes.zip(&self.opacity_logits).map(|(volume, logit)| volume - (-logit).exp().ln_1p()).collect()
    }

    /// The median of the centres along each axis, world coordinates; the origin for no Gaussians.
    #[must_use]
    pub fn middle(&self) -> [f64; 3] {
        [0, 1, 2].map(|k| {
            let mut values: Vec<f64> = self.world_means().map(|x| x[k]).collect();
            let half = values.len() / 2;
            if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(half, f64::total_cmp).1 }
        })
    }
}

/// Whether each of `weights` is among the `count` largest. Of equal ones, the earlier come first.
#[must_use]
pub fn most(weights: &[f32], count: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    let mut among = vec![count >= weights.len(); weights.len()];
    if count > 0 && count < weights.len() {
        order.select_nth_unstable_by(count - 1, |&a, &b| weights[b].total_cmp(&weights[a]).then(a.cmp(&b)));
        order[..count].iter().for_each(|&i| among[i] = true);
    }
    among
}

/// The up direction of cameras that stand upright together, of length 1: cameras nod and lean, but not all to the same side.
/// `None` for no cameras, and if their ups are too far apart.
#[must_use]
pub fn up_of_cameras<'a>(cameras: impl IntoIterator<Item = &'a Camera>) -> Option<[f64; 3]> {
    let (mut sum, mut count) = ([0.0; 3], 0.0);
    for camera in cameras {
        // y is down in a camera: the second row of its rotation.
        (0..3).for_each(|k| sum[k] -= f64::from(camera.view[4 * k + 1]));
        count += 1.0;
    }
    let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    (norm > 0.5 * count).then(|| sum.map(|x| x / norm))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

    /// `side` cubed Gaussians one unit apart, of a quarter of a unit, and one per position in `more`.
    fn grid(side: usize, more: &[[f32; 3]]) -> Gaussians {
        let at = (0..side.pow(3)).map(|i| [i % side, i / side % side, i / side / side].map(|x| x as f32));
        let means: Vec<f32> = at.chain(more.iter().copied()).flatten().collect();
        let p = means.len() / 3;
        Gaussians {
            means,
            sh: vec![0.0; 3 * p],
            coeffs: 1,
            opacity_logits: vec![0.0; p],
            log_scales: vec![0.25f32.ln(); 3 * p],
            rotations: [1.0, 0.0, 0.0, 0.0].repeat(p),
            ..Gaussians::default()
        }
    }

    fn which(flags: &[bool]) -> Vec<usize> {
        (0..flags.len()).filter(|&i| flags[i]).collect()
    }

    #[test]
    fn regions_are_in_the_world() {
        let mut g = grid(3, &[]);
        let region = Region::Box { min: [0.0, 1.0, 2.0], max: [1.0, 1.5, 2.0] };
        assert_eq!(which(&g.inside(&region)), [21, 22], "the border belongs to it");
        let ball = Region::Sphere { center: [1.0; 3], radius: 1.0 };
        assert_eq!(which(&g.inside(&ball)), [4, 10, 12, 13, 14, 16, 22]);
        g.origin = Origin { offset: [1e6, 0.0, 0.0] };
        assert_eq!(which(&g.inside(&region)), [0; 0]);
        let there = Region::Box { min: [1e6, 1.0, 2.0], max: [1e6 + 1.0, 1.5, 2.0] };
        assert_eq!(which(&g.inside(&there)), [21, 22]);
        assert_eq!(g.middle(), [1e6 + 1.0, 1.0, 1.0]);
        assert_eq!(g.retain(&g.inside(&there)), 25);
        assert_eq!((g.len(), g.means[..3].to_vec()), (2, vec![0.0, 1.0, 2.0]));
    }

    /// Lonely for its size: a small Gaussian far out goes, a large one as far out stays.
    #[test]
    fn the_lonely_are_found() {
        let mut g = grid(5, &[[60.0, 0.0, 0.0], [0.0, 60.0, 0.0]]);
        let large = 3 * 126;
        g.log_scales[large + 1] = 10.0f32.ln();
        assert_eq!(which(&g.isolated(10.0).unwrap()), [125]);
        assert_eq!(which(&g.isolated(100.0).unwrap()), [0; 0]);
        assert_eq!(which(&g.isolated(3.0).unwrap()), [125, 126]);
        assert_eq!(grid(2, &[]).isolated(0.1).unwrap(), [false; 8], "too few to say");
        // Many at one place are not lonely, and do not stop the search.
        assert!(!grid(1, &[[0.0; 3]; 200]).isolated(10.0).unwrap().contains(&true));
        g.means[0] = f32::NAN;
        assert!(g.isolated(10.0).is_err());
    }

    #[test]
    fn sizes_and_opacities_are_compared_after_the_activations() {
        let mut g = grid(2, &[]);
        g.log_scales[4] = 3.0f32.ln();
        assert_eq!(which(&g.larger_than(2.9)), [1]);
        assert_eq!(which(&g.larger_than(3.1)), [0; 0]);
        g.opacity_logits[5] = -3.0;
        assert_eq!((which(&g.fainter_than(0.04)), which(&g.fainter_than(0.05))), (vec![], vec![5]));
        let weights = g.size_weights();
        assert!(weights[1] > weights[0] && weights[5] < weights[0]);
        assert!((weights[1] - weights[0] - 12.0f32.ln()).abs() < 1e-5, "twelve times the volume");
        assert_eq!(g.extent(), 1.0);
    }

    #[test]
    fn the_largest_weights_are_chosen_and_ties_go_to_the_first() {
        let weights = [1.0, 5.0, 3.0, 5.0, f32::NEG_INFINITY, 3.0];
        for (count, expected) in [(0, vec![]), (1, vec![1]), (3, vec![1, 2, 3]), (4, vec![1, 2, 3, 5])] {
            assert_eq!(which(&most(&weights, count)), expected);
        }
        assert_eq!((most(&weights, 6), most(&weights, 60)), (vec![true; 6], vec![true; 6]));
    }

    #[test]
    fn cameras_say_what_is_up() {
        let camera = |eye: [f64; 3], up| Camera::look_at(40, 30, 50.0, eye, [0.0; 3], up);
        // A circle that looks down a little.
        let circle: Vec<Camera> = (0..8)
            .map(|k| f64::from(k) * std::f64::consts::FRAC_PI_4)
            .map(|a| camera([4.0 * a.cos(), 4.0 * a.sin(), 2.0], [0.0, 0.0, 1.0]))
            .collect();
        let up = up_of_cameras(&circle).unwrap();
        assert!(up[2] > 0.9999, "{up:?}");
        let mixed = [[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]].map(|up| camera([4.0, 0.0, 0.0], up));
        assert_eq!((up_of_cameras(&mixed), up_of_cameras(&[])), (None, None));
    }
}
