//! Random points where many cameras look, but not close in front of a camera, where they would become floaters that only that
//! camera sees.

use rayon::prelude::*;

use super::eye::Eye;
use super::layout::Layout;
use crate::linear::{Vec3, norm, quantile, sub};

/// The smallest distance to any camera and the largest along the ray of the drawing camera, in units of the layout's reach.
const NEAREST: f64 = 0.4;
const FARTHEST: f64 = 2.0;
/// A point must be seen by this share of the cameras that see the best-seen places.
const SEEN: f64 = 0.3;
/// Attempts to draw a point before it is given up.
const DRAWS: usize = 400;

/// `count` points, uniform in volume (in inverse depth if the cameras do not look at a common place) over what at least `k`
/// cameras see, and `k`. Fewer points if that volume is small.
pub(super) fn scatter(
    eyes: &[Eye],
    layout: &Layout,
    count: usize,
    seed: u64,
) -> (Vec<(Vec3, [f32; 3])>, usize) {
    if eyes.is_empty() {
        return (Vec::new(), 0);
    }
    let draw = |rng: &mut fastrand::Rng| {
        let eye = &eyes[rng.usize(..eyes.len())];
        let at = [rng.f64() * eye.width as f64, rng.f64() * eye.height as f64];
        let depth = if layout.focus.is_some() {
            (rng.f64()).cbrt() * FARTHEST * layout.reach
        } else {
            let (near, far) = (2.0 * layout.near, 0.3 * layout.far);
            1.0 / (1.0 / far + rng.f64() * (1.0 / near - 1.0 / far))
        };
        eye.unproject(at, depth)
    };
    let nearest = if layout.focus.is_some() { NEAREST * layout.reach } else { layout.near };
    let seen = |p: Vec3| eyes.iter().filter(|e| e.project(p).is_some()).count();
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut often: Vec<f64> = (0..2000).map(|_| seen(draw(&mut rng)) as f64).collect();
    let least = ((SEEN * quantile(&mut often, 0.9).unwrap_or(1.0)).round() as usize).max(2).min(eyes.len());
    let one = |i: usize| {
        let mut rng = fastrand::Rng::with_seed(seed ^ (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..DRAWS {
            let point = draw(&mut rng);
            let many = seen(point);
            // Every camera that sees a place may draw it; without this, density would grow with the number of such cameras.
            let fair = many >= least && rng.f64() * many as f64 <= least as f64;
            if fair && eyes.iter().all(|e| norm(sub(e.center, point)) >= nearest) {
                return Some((point, mean_color(eyes, point)));
            }
        }
        None
    };
    ((0..count).into_par_iter().filter_map(one).collect(), least)
}

/// The mean colour of the point in the views that show it; grey if there are none.
fn mean_color(eyes: &[Eye], point: Vec3) -> [f32; 3] {
    let (mut sum, mut n) = ([0.0; 3], 0.0);
    for eye in eyes {
        let Some((at, _)) = eye.project(point) else { continue };
        let pixel = eye.pixel(at);
        if eye.shows(pixel) {
            let color = eye.color(pixel);
            (0..3).for_each(|c| sum[c] += color[c]);
            n += 1.0;
        }
    }
    if n > 0.0 { sum.map(|s| s / n) } else { [0.5; 3] }
}
