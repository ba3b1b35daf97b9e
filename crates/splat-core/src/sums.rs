//! Sums over the pixels for every splat: the backward of the blending, tile by tile.
//!
//! Tiles run in parallel and write one row of sums for each place in their list; the rows are then added
//! to their splats in the order of the lists. Gradients are therefore bit-identical whatever the number
//! of threads. Tiles go in groups of bounded size, so that the rows never take much memory.

use rayon::prelude::*;

use crate::{
    Real, SavedRef, Scene, Settings, Tuning, Upstream,
    blend::Limits,
    blend_backward::{ALL, BlendTileBackward, COLOR, DEPTH, Extra, Sums, TileGrad},
    projection::Splat,
    tiles::{Grid, PIXELS, TILE},
};

/// Rows of sums held at a time (one tile may exceed it).
const GROUP: usize = 1 << 20;

/// The sums of all splats.
pub(crate) struct Totals {
    pub(crate) sums: Vec<Sums<f64>>,
    /// Numbers of a row of `extra`: 2 + F, or 0.
    pub(crate) each: usize,
    /// A row a splat: the absolute gradients for the centre (pixels), then the gradients for the features. Empty
    /// when neither is needed.
    pub(crate) extra: Vec<f64>,
}

/// What a backward pass reads.
pub(crate) struct Frame<'a, T> {
    pub(crate) scene: &'a Scene<'a, T>,
    pub(crate) settings: &'a Settings<T>,
    pub(crate) saved: &'a SavedRef<'a, T>,
    pub(crate) upstream: &'a Upstream<'a, T>,
    pub(crate) tuning: &'a Tuning<'a, T>,
    pub(crate) grid: &'a Grid,
}

/// A tile to do: its list and where its rows go.
struct Task<'a, T> {
    tile: usize,
    list: &'a [u32],
    sums: &'a mut [Sums<T>],
    extra: &'a mut [T],
}

impl<T: Real> Frame<'_, T> {
    pub(crate) fn sums(&self, splats: &[Splat<T>]) -> Totals {
        let upstream = self.upstream;
        let extra = upstream.means2d_abs || upstream.features.is_some();
        let each = if extra { 2 + self.scene.features.count } else { 0 };
        let mut totals =
            Totals { sums: vec![Sums::default(); splats.len()], each, extra: vec![0.0; each * splats.len()] };
        // Each tile's list, cut where the last of its pixels stopped.
        let lists: Vec<&[u32]> = (0..self.grid.tiles())
            .into_par_iter()
            .map(|tile| {
                let [start, end] = self.saved.ranges[tile].map(|x| x as usize);
                let stops = pixels_of(self.grid, tile).map(|(_, at)| self.saved.contributors[at]);
                &self.saved.point_list[start..end][..stops.max().unwrap_or(0) as usize]
            })
            .collect();

        let (mut rows, mut extra_rows): (Vec<Sums<T>>, Vec<T>) = (Vec::new(), Vec::new());
        let most = GROUP / (1 + each / 8);
        let mut first = 0;
        while first < lists.len() {
            let mut last = first + 1;
            let mut length = lists[first].len();
            while last < lists.len() && length + lists[last].len() <= most {
                length += lists[last].len();
                last += 1;
            }
            rows.clear();
            rows.resize(length, Sums::default());
            extra_rows.clear();
            extra_rows.resize(length * each, T::zero());
            let mut tasks = Vec::with_capacity(last - first);
            let (mut sums_left, mut extra_left) = (rows.as_mut_slice(), extra_rows.as_mut_slice());
            for (tile, list) in (first..last).zip(&lists[first..last]) {
                let (sums, tail) = sums_left.split_at_mut(list.len());
                sums_left = tail;
                let (extra, tail) = extra_left.split_at_mut(list.len() * each);
                extra_left = tail;
                if !list.is_empty() {
                    tasks.push(Task { tile, list, sums, extra });
                }
            }
            tasks.into_par_iter().for_each(|task| self.tile(splats, task));
            merge(&mut totals.sums, &lists[first..last], &rows);
            if each > 0 {
                merge_extra(&mut totals.extra, &lists[first..last], &extra_rows, each);
            }
            first = last;
        }
        totals
    }

    fn tile(&self, splats: &[Splat<T>], task: Task<'_, T>) {
        let Task { tile, list, sums, extra: extra_sums } = task;
        let mut grad = load_tile(self.grid, tile, self.settings, self.saved, self.upstream);
        let origin = [tile % self.grid.across * TILE, tile / self.grid.across * TILE];
        let origin = origin.map(|o| T::from_f64_lossy(o as f64));
        let limits = Limits::new(self.tuning.cutoff);
        let lanes = self.tuning.lanes;
        if !extra_sums.is_empty() {
            let features = self.scene.features;
            let planes = self.load_features(tile);
            let extra =
                Extra { values: features.values, count: features.count, planes: &planes, sums: extra_sums };
            let task =
                BlendTileBackward::<_, ALL> { splats, list, origin, limits, tile: &mut grad, sums, extra };
            T::dispatch(lanes, task);
            return;
        }
        let extra = Extra { values: &[], count: 0, planes: &[], sums: &mut [] };
        if self.upstream.inv_depth.is_some() || self.upstream.depth.is_some() {
            let task =
                BlendTileBackward::<_, DEPTH> { splats, list, origin, limits, tile: &mut grad, sums, extra };
            T::dispatch(lanes, task);
        } else {
            let task =
                BlendTileBackward::<_, COLOR> { splats, list, origin, limits, tile: &mut grad, sums, extra };
            T::dispatch(lanes, task);
        }
    }

    /// Upstream gradients of the features, a plane of [`PIXELS`] a channel.
    fn load_features(&self, tile: usize) -> Vec<T> {
        let mut planes = vec![T::zero(); self.scene.features.count * PIXELS];
        if let Some(upstream) = self.upstream.features {
            for (plane, grad) in
                planes.chunks_exact_mut(PIXELS).zip(upstream.chunks_exact(self.grid.pixels()))
            {
                for (p, at) in pixels_of(self.grid, tile) {
                    plane[p] = grad[at];
                }
            }
        }
        planes
    }
}

/// Adds `rows`, which belong to the splats in `lists`, in that order. Each task owns a range of splats and
/// looks at every row, so the order of additions does not depend on the number of tasks.
fn merge<T: Real>(totals: &mut [Sums<f64>], lists: &[&[u32]], rows: &[Sums<T>]) {
    let share = totals.len().div_ceil(rayon::current_num_threads()).max(1);
    totals.par_chunks_mut(share).enumerate().for_each(|(task, totals)| {
        let first = task * share;
        for (&id, row) in lists.iter().copied().flatten().zip(rows) {
            if let Some(total) = totals.get_mut((id as usize).wrapping_sub(first)) {
                total.add(row);
            }
        }
    });
}

/// The same for rows of `each` plain numbers.
fn merge_extra<T: Real>(totals: &mut [f64], lists: &[&[u32]], rows: &[T], each: usize) {
    let share = (totals.len() / each).div_ceil(rayon::current_num_threads()).max(1);
    totals.par_chunks_mut(share * each).enumerate().for_each(|(task, totals)| {
        let first = task * share;
        for (&id, row) in lists.iter().copied().flatten().zip(rows.chunks_exact(each)) {
            let at = (id as usize).wrapping_sub(first).wrapping_mul(each);
            let Some(total) = totals.get_mut(at..at.wrapping_add(each)) else { continue };
            for (total, x) in total.iter_mut().zip(row) {
                *total += x.to_f64_exact();
            }
        }
    });
}

impl Sums<f64> {
    fn add<T: Real>(&mut self, row: &Sums<T>) {
        self.u += row.u.to_f64_exact();
        self.ux += row.ux.to_f64_exact();
        self.uy += row.uy.to_f64_exact();
        self.uxx += row.uxx.to_f64_exact();
        self.uxy += row.uxy.to_f64_exact();
        self.uyy += row.uyy.to_f64_exact();
        for (sum, x) in self.rgb.iter_mut().zip(row.rgb) {
            *sum += x.to_f64_exact();
        }
        self.z += row.z.to_f64_exact();
    }
}

/// Index in the tile and in the image of every pixel of `tile` that is inside the image.
fn pixels_of(grid: &Grid, tile: usize) -> impl Iterator<Item = (usize, usize)> {
    let (x, y) = (tile % grid.across * TILE, tile / grid.across * TILE);
    let (across, down, width) = (TILE.min(grid.width - x), TILE.min(grid.height - y), grid.width);
    (0..down).flat_map(move |v| (0..across).map(move |u| (v * TILE + u, (y + v) * width + x + u)))
}

fn load_tile<T: Real>(
    grid: &Grid,
    tile: usize,
    settings: &Settings<T>,
    saved: &SavedRef<T>,
    upstream: &Upstream<T>,
) -> Box<TileGrad<T>> {
    let zero = T::zero();
    let n = grid.pixels();
    let mut grad = Box::new(TileGrad {
        rgb: [[zero; PIXELS]; 3],
        inv_depth: [zero; PIXELS],
        depth: [zero; PIXELS],
        t: [T::one(); PIXELS],
        behind: [zero; PIXELS],
        contributors: [0; PIXELS],
    });
    for (p, at) in pixels_of(grid, tile) {
        // color = C + T_final background, alpha = 1 - T_final.
        let mut on_t = zero;
        if let Some(color) = upstream.color {
            for channel in 0..3 {
                grad.rgb[channel][p] = color[channel * n + at];
                on_t += settings.background[channel] * color[channel * n + at];
            }
        }
        if let Some(alpha) = upstream.alpha {
            on_t -= alpha[at];
        }
        grad.inv_depth[p] = upstream.inv_depth.map_or(zero, |x| x[at]);
        grad.depth[p] = upstream.depth.map_or(zero, |x| x[at]);
        grad.t[p] = saved.final_t[at];
        grad.behind[p] = saved.final_t[at] * on_t;
        grad.contributors[p] = saved.contributors[at];
    }
    grad
}
