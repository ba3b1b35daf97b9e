//! The depth map of one view: first a sweep of inverse depths on a coarse grid, then, on finer and finer grids, planes that are
//! propagated between neighbours and refined at random.
//!
//! Grids have a cell every `stride` pixels of level 0; a cell's pixel is its centre.

use super::super::eye::Eye;
use super::patch::{Pair, Patch, Plane, UNSEEN};

/// The steps from coarse to fine: stride, level of the pictures, rounds of propagation.
const STEPS: [(usize, usize, usize); 3] = [(9, 1, 2), (5, 1, 2), (3, 0, 1)];
/// The smallest and the largest number of inverse depths in the sweep.
const FEWEST: usize = 24;
const MOST: usize = 128;
/// The steepest plane: how much inverse depth may change over a focal length, relative to itself.
const STEEPEST: f32 = 3.0;

/// A plane, its cost and its allowed range for every cell of a grid.
#[derive(Debug, Clone)]
pub(crate) struct Depths {
    pub(crate) stride: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(super) planes: Vec<Plane>,
    pub(crate) costs: Vec<f32>,
    /// Standard deviation of the colours around each cell.
    pub(crate) texture: Vec<f32>,
}

/// The inverse depths that a view's pixels may have: of the whole view, or of each cell.
pub(crate) trait Range: Sync {
    /// The smallest and the largest inverse depth at the pixel; `None` where there is nothing to find.
    fn at(&self, pixel: [f32; 2]) -> Option<[f32; 2]>;
}

impl Depths {
    fn empty(eye: &Eye, stride: usize) -> Self {
        let (width, height) = (eye.width.div_ceil(stride), eye.height.div_ceil(stride));
        let nowhere = Plane { inverse: 0.0, slope: [0.0; 2] };
        let n = width * height;
        Self {
            stride,
            width,
            height,
            planes: vec![nowhere; n],
            costs: vec![UNSEEN; n],
            texture: vec![0.0; n],
        }
    }

    /// The pixel of a cell.
    pub(crate) fn pixel(&self, cell: usize) -> [f32; 2] {
        [cell % self.width, cell / self.width].map(|i| (i as f32 + 0.5) * self.stride as f32)
    }

    /// The cell that contains a pixel.
    pub(crate) fn cell(&self, at: [f64; 2]) -> usize {
        let index = |x: f64, n: usize| ((x / self.stride as f64) as usize).min(n - 1);
        index(at[1], self.height) * self.width + index(at[0], self.width)
    }

    /// The inverse depth of the plane of `cell` at a pixel.
    pub(crate) fn inverse(&self, cell: usize, at: [f64; 2]) -> f64 {
        let own = self.pixel(cell);
        f64::from(self.planes[cell].at([at[0] as f32 - own[0], at[1] as f32 - own[1]]).inverse)
    }

    /// The planes for all cells of `eye` that agree best with `others`.
    pub(super) fn find(eye: &Eye, others: &[&Eye], range: &dyn Range, seed: u64) -> Self {
        let pairs: Vec<Pair<'_>> = others.iter().filter_map(|o| Pair::new(eye, o)).collect();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut depths: Option<Self> = None;
        for (stride, level, rounds) in STEPS {
            let mut next = Self::empty(eye, stride);
            match &depths {
                None => next.sweep(eye, others, &pairs, level, range),
                Some(coarse) => next.take_over(coarse, eye, &pairs, level, range),
            }
            for round in 0..rounds {
                next.improve(eye, &pairs, level, range, round, &mut rng);
            }
            depths = Some(next);
        }
        depths.unwrap_or_else(|| Self::empty(eye, 1))
    }

    /// The patch of a cell and its range, if the cell shows something.
    fn subject(&self, eye: &Eye, level: usize, cell: usize, range: &dyn Range) -> Option<(Patch, [f32; 2])> {
        let at = self.pixel(cell);
        if !eye.shows(eye.pixel(at.map(f64::from))) {
            return None;
        }
        Some((Patch::new(eye, level, at), range.at(at)?))
    }

    fn sweep(&mut self, eye: &Eye, others: &[&Eye], pairs: &[Pair<'_>], level: usize, range: &dyn Range) {
        // A step of about one pixel of that level, seen from the view farthest off among the nearer half.
        let mut apart: Vec<f64> = others
            .iter()
            .map(|o| {
                let c = o.to_camera(eye.center);
                c.iter().map(|x| x * x).sum::<f64>().sqrt()
            })
            .collect();
        let apart = crate::linear::quantile(&mut apart, 0.5).unwrap_or(0.0);
        let pixels = (apart * eye.focal[0]) as f32 / (1 << level) as f32;
        for cell in 0..self.planes.len() {
            let Some((patch, [least, most])) = self.subject(eye, level, cell, range) else { continue };
            self.texture[cell] = patch.texture();
            let steps = (((most - least) * pixels) as usize).clamp(FEWEST, MOST);
            for k in 0..steps {
                let inverse = least + (most - least) * (k as f32 + 0.5) / steps as f32;
                self.offer(cell, &patch, pairs, [least, most], Plane { inverse, slope: [0.0; 2] });
            }
        }
    }

    /// Starts from what the coarser grid found around each cell.
    fn take_over(&mut self, coarse: &Self, eye: &Eye, pairs: &[Pair<'_>], level: usize, range: &dyn Range) {
        for cell in 0..self.planes.len() {
            let Some((patch, range)) = self.subject(eye, level, cell, range) else { continue };
            self.texture[cell] = patch.texture();
            let at = self.pixel(cell);
            let home = at.map(|x| x / coarse.stride as f32 - 0.5);
            for corner in [[0, 0], [1, 0], [0, 1], [1, 1]] {
                let x = (home[0].floor() as i64 + corner[0]).clamp(0, coarse.width as i64 - 1) as usize;
                let y = (home[1].floor() as i64 + corner[1]).clamp(0, coarse.height as i64 - 1) as usize;
                let from = y * coarse.width + x;
                if coarse.costs[from] < UNSEEN {
                    let there = coarse.pixel(from);
                    let plane = coarse.planes[from].at([at[0] - there[0], at[1] - there[1]]);
                    self.offer(cell, &patch, pairs, range, plane);
                }
            }
        }
    }

    /// One round of propagation: the black cells of a chessboard, then the white ones.
    fn improve(
        &mut self,
        eye: &Eye,
        pairs: &[Pair<'_>],
        level: usize,
        range: &dyn Range,
        round: usize,
        rng: &mut fastrand::Rng,
    ) {
        const GIVERS: [[i64; 2]; 8] = [[-1, 0], [1, 0], [0, -1], [0, 1], [-3, 0], [3, 0], [0, -3], [0, 3]];
        for color in 0..2 {
            for cell in 0..self.planes.len() {
                let (x, y) = ((cell % self.width) as i64, (cell / self.width) as i64);
                if (x + y) % 2 != color {
                    continue;
                }
                let Some((patch, range)) = self.subject(eye, level, cell, range) else { continue };
                let at = self.pixel(cell);
                for [dx, dy] in GIVERS {
                    let (i, j) = (x + dx, y + dy);
                    if i < 0 || j < 0 || i >= self.width as i64 || j >= self.height as i64 {
                        continue;
                    }
                    let from = j as usize * self.width + i as usize;
                    if self.costs[from] < UNSEEN {
                        let there = self.pixel(from);
                        let plane = self.planes[from].at([at[0] - there[0], at[1] - there[1]]);
                        self.offer(cell, &patch, pairs, range, plane);
                    }
                }
                let reach = 0.5f32.powi(round as i32) * self.stride as f32 / 8.0;
                let own = |d: &Self| d.planes[cell];
                let mut chance = || 2.0 * rng.f32() - 1.0;
                let span = range[1] - range[0];
                let moves = [0.05 * reach, 0.01 * reach].map(|r| r * span * chance());
                let turns = [1.0, 0.3].map(|r| [chance() * r, chance() * r]);
                for shift in moves {
                    let plane = Plane { inverse: own(self).inverse + shift, ..own(self) };
                    self.offer(cell, &patch, pairs, range, plane);
                }
                for turn in turns {
                    let now = own(self);
                    let unit = now.inverse / eye.focal[0] as f32;
                    let slope = [0, 1].map(|k| now.slope[k] + turn[k] * unit);
                    self.offer(cell, &patch, pairs, range, Plane { slope, ..now });
                }
            }
        }
    }

    /// Takes `plane` if it is in range and costs less than the current plane of the cell.
    fn offer(&mut self, cell: usize, patch: &Patch, pairs: &[Pair<'_>], range: [f32; 2], plane: Plane) {
        let steep = plane.slope[0].hypot(plane.slope[1]);
        let within = plane.inverse >= range[0] && plane.inverse <= range[1];
        if !within || plane == self.planes[cell] {
            return;
        }
        // Slopes are per pixel; the patch's own picture gives the focal length.
        if steep > STEEPEST * plane.inverse / pairs.first().map_or(1.0, Pair::focal) {
            return;
        }
        let cost = patch.cost(pairs, plane, self.costs[cell]);
        if cost < self.costs[cell] {
            (self.planes[cell], self.costs[cell]) = (plane, cost);
        }
    }
}
