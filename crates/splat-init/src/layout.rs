//! What the cameras alone tell about the scene: where they look, how far away it may be, and which views see the same from
//! elsewhere. World units; depths are along a camera's axis.

use super::eye::Eye;
use crate::linear::{Vec3, along, angle, dot, median, nearest_to_lines, norm, sub};

/// The nearest depth as a fraction of the distance to where the cameras look.
const NEAR: f64 = 0.12;
/// The same if they do not look at a common place, in distances between neighbouring cameras.
const NEAR_BASELINES: f64 = 2.0;
/// The farthest depth in units of [`Layout::reach`].
const FAR: f64 = 30.0;
/// The angle between the rays of two views that is best for depth, and how fast depth gets worse below and above it, in
/// degrees.
const BEST_ANGLE: f64 = 9.0;
const NARROWER: f64 = 5.0;
const WIDER: f64 = 11.0;
/// Axes that differ by less, as [`nearest_to_lines`] measures it, count as parallel: a few degrees.
const PARALLEL: f64 = 8.89e-4;

/// The dimensions of the scene.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Where the optical axes nearly meet, if they do.
    pub(super) focus: Option<Vec3>,
    /// The distance at which a camera's subject is expected: that of the focus, or a few distances between neighbouring
    /// cameras.
    pub(super) reach: f64,
    /// No point is expected nearer to a camera than this.
    pub(super) near: f64,
    /// No point is searched farther away than this, where everything looks the same from all cameras.
    pub(super) far: f64,
    /// Whether there is no second camera at another place.
    pub(super) without_parallax: bool,
}

impl Layout {
    pub(super) fn of(eyes: &[Eye]) -> Self {
        let n = eyes.len().max(1) as f64;
        let middle = eyes.iter().fold([0.0; 3], |m, e| along(m, e.center, 1.0 / n));
        let spread = eyes.iter().map(|e| norm(sub(e.center, middle))).fold(0.0, f64::max);
        let size = spread.max(eyes.iter().map(|e| norm(e.center)).fold(0.0, f64::max));
        let without_parallax = eyes.len() < 2 || spread <= 1e-6 * size.max(1e-12);
        if without_parallax {
            return Self { focus: None, reach: 1.0, near: NEAR, far: FAR, without_parallax };
        }
        let focus = focus(eyes).filter(|&f| {
            let ahead = eyes.iter().filter(|e| e.to_camera(f)[2] > 0.0).count();
            3 * ahead >= 2 * eyes.len()
        });
        let depths = |f: Vec3| eyes.iter().map(|e| e.to_camera(f)[2]).filter(|&z| z > 0.0).collect();
        let apart = neighbour_distance(eyes).max(1e-3 * spread);
        match focus.and_then(|f| median(depths(f))) {
            Some(reach) => Self { focus, reach, near: NEAR * reach, far: FAR * reach, without_parallax },
            None => {
                let near = NEAR_BASELINES * apart;
                let reach = near / NEAR * 0.5;
                Self { focus: None, reach, near, far: FAR * reach, without_parallax }
            }
        }
    }

    /// Up to `count` other views for view `of`, best first: those that see much of what it sees, at a good angle and from
    /// different sides.
    pub(super) fn neighbours(&self, eyes: &[Eye], of: usize, count: usize) -> Vec<usize> {
        let eye = &eyes[of];
        let depth = self.focus.map_or(self.reach, |f| eye.to_camera(f)[2]);
        let depth = if depth > self.near { depth } else { self.reach };
        let grid = (0..25).map(|k| {
            let at = [(k % 5) as f64 + 0.5, (k / 5) as f64 + 0.5];
            [at[0] * eye.width as f64 / 5.0, at[1] * eye.height as f64 / 5.0]
        });
        let seen: Vec<Vec3> = grid.map(|at| eye.unproject(at, depth)).collect();
        let center = seen[12];
        let mut candidates: Vec<(usize, f64)> = (0..eyes.len())
            .filter(|&j| j != of)
            .filter_map(|j| {
                let overlap = seen.iter().filter(|&&p| eyes[j].project(p).is_some()).count() as f64 / 25.0;
                let degrees = angle(sub(eye.center, center), sub(eyes[j].center, center)).to_degrees();
                let width = if degrees < BEST_ANGLE { NARROWER } else { WIDER };
                let bell = (-0.5 * ((degrees - BEST_ANGLE) / width).powi(2)).exp();
                // What is much wider still helps where there is nothing better.
                let score = overlap * bell.max(0.02 * (1.0 - degrees / 60.0));
                (score > 1e-4 && degrees > 0.2).then_some((j, score))
            })
            .collect();
        let mut chosen = Vec::with_capacity(count);
        while chosen.len() < count && !candidates.is_empty() {
            let mut best = 0;
            for k in 1..candidates.len() {
                if candidates[k].1 > candidates[best].1 {
                    best = k;
                }
            }
            let (j, _) = candidates.swap_remove(best);
            candidates.sort_unstable_by_key(|c| c.0);
            for (other, score) in &mut candidates {
                let between =
                    angle(sub(eyes[j].center, center), sub(eyes[*other].center, center)).to_degrees();
                *score *= 1.0 - 0.6 * (-0.5 * (between / 4.0).powi(2)).exp();
            }
            chosen.push(j);
        }
        chosen
    }
}

/// The point nearest to all optical axes, where distant ones count less. `None` if the axes are nearly parallel or do not meet,
/// as for cameras that look outwards.
fn focus(eyes: &[Eye]) -> Option<Vec3> {
    let axes: Vec<(Vec3, Vec3)> = eyes.iter().map(|e| (e.center, e.axis())).collect();
    let mut weights = vec![1.0; eyes.len()];
    let mut point = None;
    for _ in 0..12 {
        let (x, spread) = nearest_to_lines(&axes, &weights)?;
        if spread < PARALLEL {
            return None;
        }
        point = Some(x);
        let misses: Vec<f64> = axes
            .iter()
            .map(|&(center, axis)| {
                let to = sub(x, center);
                norm(along(to, axis, -dot(to, axis)))
            })
            .collect();
        let typical = median(misses.clone())?.max(1e-12);
        weights = misses.iter().map(|m| 1.0 / (1.0 + (m / (2.0 * typical)).powi(2))).collect();
    }
    point
}

/// The median over the cameras of the distance to the 4th nearest other camera.
fn neighbour_distance(eyes: &[Eye]) -> f64 {
    let of = |e: &Eye| {
        let mut all: Vec<f64> = eyes.iter().map(|o| norm(sub(o.center, e.center))).collect();
        all.sort_by(f64::total_cmp);
        all[4.min(all.len() - 1)]
    };
    median(eyes.iter().map(of).collect()).unwrap_or(0.0)
}
