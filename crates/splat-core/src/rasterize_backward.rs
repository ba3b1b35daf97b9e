//! Backward pass of the second stage: gradients of records, features and background from those of the channels.
//!
//! Tiles run in parallel and write one row of sums for each Gaussian of their list; the rows are then added, in f64, to
//! their records in the order of the lists. Gradients are therefore bit-identical whatever the number of threads. Tiles
//! are taken in groups of bounded size, so that the rows never need much memory.

use rayon::prelude::*;

use crate::{
    Error, FeatureChannels, Real, Record, RecordGradient, SavedRef, Settings, Tuning, Upstream,
    blend::{ALL, COLOR, DEPTH, Limits},
    blend_backward::{BlendTileBackward, Extra, Sums},
    check,
    record::{narrow, narrow_all},
    splat::Splat,
    tile_grad::{TileGrad, feature_planes, pixels_of},
    tiles::{Grid, TILE},
};

/// Rows of sums held at a time (one tile may exceed it).
const GROUP: usize = 1 << 20;

/// What [`rasterize_backward`] gives.
#[derive(Debug, Clone, PartialEq)]
pub struct RasterGradients<T = f32> {
    /// `[N]`; exact zeros for records that no pixel sees.
    pub records: Vec<RecordGradient>,
    /// `[N,F]`.
    pub features: Vec<T>,
    /// For the background colour.
    pub background: [T; 3],
}

/// Gradients for the inputs of [`crate::rasterize`], from these inputs, what it saved, and the gradients of its channels.
///
/// Gradients pass straight through alpha's cap of 0.99, as in the original.
///
/// # Errors
/// [`Error`] as [`crate::rasterize`], and if `saved` or an upstream gradient does not fit the inputs.
pub fn rasterize_backward<T: Real>(
    records: &[Record<T>],
    features: FeatureChannels<T>,
    size: [u32; 2],
    settings: &Settings<T>,
    saved: SavedRef<T>,
    upstream: &Upstream<T>,
    tuning: &Tuning<T>,
) -> Result<RasterGradients<T>, Error> {
    check::raster(records.len(), &features, size, settings)?;
    let splats = Splat::all(records, &features, tuning.cutoff);
    let mut sums = moments(&splats, features, size, settings, saved, upstream, tuning)?;
    sums.records.par_iter_mut().zip(&splats).with_min_len(256).for_each(|(sum, splat)| {
        *sum = of_moments(sum, splat);
    });
    Ok(sums)
}

/// [`rasterize_backward`] from the form that it works on, with moments instead of gradients in the members `x`, `y`,
/// `inv_cov` and `opacity` of records: those of [`Sums`] in the same order, `u` itself last. [`of_moments`] is the rest.
/// `saved` and `upstream` are checked.
pub(crate) fn moments<T: Real>(
    splats: &[Splat<T>],
    features: FeatureChannels<T>,
    size: [u32; 2],
    settings: &Settings<T>,
    saved: SavedRef<T>,
    upstream: &Upstream<T>,
    tuning: &Tuning<T>,
) -> Result<RasterGradients<T>, Error> {
    let grid = &Grid::new(size);
    check::saved(&saved, splats.len(), grid)?;
    check::upstream(upstream, grid, features.count)?;
    let totals = Call { splats, features, settings, saved, upstream, tuning, grid }.sums();
    let mut out = vec![T::zero(); totals.features.len()];
    out.par_chunks_mut(1 << 12).zip(totals.features.par_chunks(1 << 12)).for_each(|(to, from)| {
        narrow_all(from, to);
    });
    let background = background(&saved, upstream, grid);
    Ok(RasterGradients { records: totals.records, features: out, background })
}

/// Sums over all tiles.
struct Totals {
    /// Moments, see [`moments`].
    records: Vec<RecordGradient>,
    /// `[N,F]`.
    features: Vec<f64>,
}

/// Adds the sums of one tile to the moments.
fn add<T: Real>(total: &mut RecordGradient, row: &Sums<T>) {
    total.x += row.ux.to_f64_exact();
    total.y += row.uy.to_f64_exact();
    for (total, x) in total.inv_cov.iter_mut().zip([row.uxx, row.uxy, row.uyy]) {
        *total += x.to_f64_exact();
    }
    total.opacity += row.u.to_f64_exact();
    total.depth += row.z.to_f64_exact();
    for (total, x) in total.color.iter_mut().zip(row.rgb) {
        *total += x.to_f64_exact();
    }
}

/// Gradients from moments: `power = -(xx dx^2 + yy dy^2) / 2 - xy dx dy`, with `d = centre - pixel`.
pub(crate) fn of_moments<T: Real>(sums: &RecordGradient, splat: &Splat<T>) -> RecordGradient {
    if *sums == RecordGradient::default() {
        return *sums;
    }
    let [xx, xy, yy] = splat.conic.map(Real::to_f64_exact);
    let [uxx, uxy, uyy] = sums.inv_cov;
    let opacity = splat.opacity.to_f64_exact();
    RecordGradient {
        x: -(xx * sums.x + xy * sums.y),
        y: -(yy * sums.y + xy * sums.x),
        inv_cov: [-0.5 * uxx, -uxy, -0.5 * uyy],
        // u sums dL/dpower = dL/dalpha * alpha, and alpha is linear in the opacity.
        opacity: if opacity == 0.0 { 0.0 } else { sums.opacity / opacity },
        ..*sums
    }
}

/// What the tiles of one call have in common.
struct Call<'a, T> {
    splats: &'a [Splat<T>],
    features: FeatureChannels<'a, T>,
    settings: &'a Settings<T>,
    saved: SavedRef<'a, T>,
    upstream: &'a Upstream<'a, T>,
    tuning: &'a Tuning<'a, T>,
    grid: &'a Grid,
}

/// One tile: its list and where its rows go.
struct Task<'a, T> {
    tile: usize,
    list: &'a [u32],
    sums: &'a mut [Sums<T>],
    extra: &'a mut [T],
}

impl<T: Real> Call<'_, T> {
    fn sums(&self) -> Totals {
        let extra = self.upstream.means2d_abs || self.upstream.features.is_some();
        let each = if extra { 2 + self.features.count } else { 0 };
        let n = self.splats.len();
        let mut totals = Totals {
            records: vec![RecordGradient::default(); n],
            features: vec![0.0; n * self.features.count],
        };
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
            tasks.into_par_iter().for_each(|task| self.tile(task));
            self.merge(&mut totals, &lists[first..last], &rows, &extra_rows);
            first = last;
        }
        totals
    }

    fn tile(&self, task: Task<'_, T>) {
        let Task { tile, list, sums, extra } = task;
        let mut grad = TileGrad::load(self.grid, tile, self.settings, &self.saved, self.upstream);
        let origin = [tile % self.grid.across * TILE, tile / self.grid.across * TILE];
        let origin = origin.map(|o| T::from_f64_lossy(o as f64));
        let (limits, lanes) = (Limits::new(self.tuning.cutoff), self.tuning.lanes);
        let everything = !extra.is_empty();
        let count = if everything { self.features.count } else { 0 };
        let planes = feature_planes(self.grid, tile, count, self.upstream);
        let extra = Extra { features: self.features, planes: &planes, sums: extra };
        let splats = self.splats;
        let task = BlendTileBackward { splats, list, origin, limits, tile: &mut grad, sums, extra };
        if everything {
            T::dispatch(lanes, task.at::<ALL>());
        } else if self.upstream.inv_depth.is_some() || self.upstream.depth.is_some() {
            T::dispatch(lanes, task.at::<DEPTH>());
        } else {
            T::dispatch(lanes, task.at::<COLOR>());
        }
    }

    /// Adds `rows`, which belong to the Gaussians in `lists`, in that order. Each task owns a range of Gaussians and
    /// looks at every row, so the order of additions does not depend on the number of tasks.
    fn merge(&self, totals: &mut Totals, lists: &[&[u32]], rows: &[Sums<T>], extra_rows: &[T]) {
        let (count, absolute) = (self.features.count, self.upstream.means2d_abs);
        let share = totals.records.len().div_ceil(rayon::current_num_threads()).max(1);
        let mut features_left = totals.features.as_mut_slice();
        let mut tasks = Vec::new();
        for records in totals.records.chunks_mut(share) {
            let (features, tail) = features_left.split_at_mut(records.len() * count);
            features_left = tail;
            tasks.push((records, features));
        }
        tasks.into_par_iter().enumerate().for_each(|(task, (records, features))| {
            let ids = || lists.iter().copied().flatten().map(|&id| (id as usize).wrapping_sub(task * share));
            for (at, row) in ids().zip(rows) {
                if let Some(record) = records.get_mut(at) {
                    add(record, row);
                }
            }
            for (at, row) in ids().zip(extra_rows.chunks_exact(2 + count)) {
                let Some(record) = records.get_mut(at) else { continue };
                if absolute {
                    record.abs_x += row[0].to_f64_exact();
                    record.abs_y += row[1].to_f64_exact();
                }
                for (total, x) in features[at * count..(at + 1) * count].iter_mut().zip(&row[2..]) {
                    *total += x.to_f64_exact();
                }
            }
        });
    }
}

/// `color = C + T_final background`, summed over the pixels in a fixed order.
fn background<T: Real>(saved: &SavedRef<T>, upstream: &Upstream<T>, grid: &Grid) -> [T; 3] {
    let Some(color) = upstream.color else { return [T::zero(); 3] };
    std::array::from_fn(|channel| {
        let plane = &color[channel * grid.pixels()..(channel + 1) * grid.pixels()];
        let part = |(grad, t): (&[T], &[T])| -> f64 {
            grad.iter().zip(t).map(|(g, t)| g.to_f64_exact() * t.to_f64_exact()).sum()
        };
        let parts: Vec<f64> =
            plane.par_chunks(1 << 13).zip(saved.final_t.par_chunks(1 << 13)).map(part).collect();
        narrow(parts.iter().sum())
    })
}
