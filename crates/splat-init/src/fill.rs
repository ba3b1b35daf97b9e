//! Points for cells without agreed depth: smooth walls, sky, what only one view sees. They get the depth of the agreed cells
//! around them or a larger one, but are never where another view sees through them.

use rayon::prelude::*;

use super::eye::Eye;
use super::sweep::{Depths, Fused, Range, support};
use crate::linear::Vec3;

/// How much farther away than its surroundings a point is tried, in this order.
const BEHIND: [f64; 6] = [1.0, 1.1, 1.3, 1.8, 3.0, 8.0];
/// Relative spread of depths, so that a guess does not become a plane of points.
const SPREAD: f64 = 0.03;

/// Up to `count` points in cells that show something but have no agreed depth, chosen by `seed`. `otherwise` is the depth for
/// views without any agreed cell.
pub(super) fn fill<R: Range>(
    eyes: &[Eye],
    maps: &[Depths],
    fused: &Fused,
    ranges: &[R],
    otherwise: f64,
    count: usize,
    seed: u64,
) -> Vec<(Vec3, [f32; 3])> {
    let guesses: Vec<Vec<f32>> = (0..eyes.len())
        .into_par_iter()
        .map(|i| spread_out(&maps[i], &fused.agreed[i], (1.0 / otherwise) as f32))
        .collect();
    let open = open_cells(eyes, maps, fused);
    if open.is_empty() {
        return Vec::new();
    }
    let one = |n: usize| {
        let mut rng = fastrand::Rng::with_seed(seed ^ (n as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95));
        let (i, cell) = open[rng.usize(..open.len())];
        let (eye, map) = (&eyes[i], &maps[i]);
        let stride = map.stride as f64;
        let corner = map.pixel(cell).map(|x| f64::from(x) - 0.5 * stride);
        let at = [corner[0] + rng.f64() * stride, corner[1] + rng.f64() * stride];
        let [least, most] = ranges[i].at(map.pixel(cell))?.map(f64::from);
        let inverse = f64::from(guesses[i][cell]) * (1.0 + SPREAD * (2.0 * rng.f64() - 1.0));
        let candidates = BEHIND.iter().map(|b| eye.unproject(at, 1.0 / (inverse / b).clamp(least, most)));
        let kept = candidates.into_iter().find(|&p| {
            let (there, through) = support(eyes, maps, &fused.agreed, p);
            through <= there / 3
        })?;
        Some((kept, eye.color(eye.pixel(at))))
    };
    (0..count).into_par_iter().filter_map(one).collect()
}

/// The share of cells without agreed depth among those that show something; 0 if nothing is shown.
pub(super) fn share(eyes: &[Eye], maps: &[Depths], fused: &Fused) -> f64 {
    let agreed: usize = fused.agreed.iter().flatten().filter(|&&a| a).count();
    let open = open_cells(eyes, maps, fused).len();
    open as f64 / (open + agreed).max(1) as f64
}

fn open_cells(eyes: &[Eye], maps: &[Depths], fused: &Fused) -> Vec<(usize, usize)> {
    let mut open = Vec::new();
    for (i, (eye, map)) in eyes.iter().zip(maps).enumerate() {
        let shown = |&cell: &usize| eye.shows(eye.pixel(map.pixel(cell).map(f64::from)));
        open.extend((0..map.costs.len()).filter(|&c| !fused.agreed[i][c]).filter(shown).map(|c| (i, c)));
    }
    open
}

/// Inverse depth in every cell: that of agreed cells, and elsewhere the mean in the finest level of a pyramid that has any.
fn spread_out(map: &Depths, agreed: &[bool], otherwise: f32) -> Vec<f32> {
    let own = |c: usize| map.inverse(c, map.pixel(c).map(f64::from)) as f32;
    let first: Vec<[f32; 2]> =
        agreed.iter().enumerate().map(|(c, &a)| if a { [own(c), 1.0] } else { [0.0; 2] }).collect();
    let mut levels = vec![(map.width, map.height, first)];
    loop {
        let (w, h, cells) = levels.last().expect("never empty");
        if *w == 1 && *h == 1 {
            break;
        }
        let (nw, nh) = (w.div_ceil(2), h.div_ceil(2));
        let mut next = vec![[0.0f32; 2]; nw * nh];
        for (c, cell) in cells.iter().enumerate() {
            let to = &mut next[(c / w / 2) * nw + (c % w) / 2];
            (to[0], to[1]) = (to[0] + cell[0], to[1] + cell[1]);
        }
        levels.push((nw, nh, next));
    }
    let top = levels.pop().expect("never empty");
    let mut known: Vec<f32> =
        top.2.iter().map(|c| if c[1] > 0.0 { c[0] / c[1] } else { otherwise }).collect();
    let mut width = top.0;
    while let Some((w, _, cells)) = levels.pop() {
        let value = |(c, cell): (usize, &[f32; 2])| {
            if cell[1] > 0.0 { cell[0] / cell[1] } else { known[(c / w / 2) * width + (c % w) / 2] }
        };
        known = cells.iter().enumerate().map(value).collect();
        width = w;
    }
    known
}
