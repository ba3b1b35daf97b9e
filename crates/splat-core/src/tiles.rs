//! Which Gaussians each tile of 16x16 pixels blends, front to back.
//!
//! A Gaussian belongs to the tiles that its box touches: in mode `compat` the square of its 3-sigma radius, as in the
//! original, in mode `exact` the box around the ellipse where alpha is at least 1/255. Of those, tiles are left out in
//! which it certainly stays under the opacity threshold (see [`crate::Tuning::cull_tiles`]).
//! Order within a tile: view depth, then index. Pixels and tiles; no colours.

use rayon::prelude::*;

use crate::{Cutoff, Error, Mode, Real, Tuning, splat::Splat};

/// Side of a tile in pixels.
pub(crate) const TILE: usize = 16;
/// Pixels of a tile.
pub(crate) const PIXELS: usize = TILE * TILE;

/// Tiles of an image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Tiles across and down.
    pub(crate) across: usize,
    pub(crate) down: usize,
}

impl Grid {
    pub(crate) fn new(size: [u32; 2]) -> Self {
        let [width, height] = size.map(|side| side as usize);
        Self { width, height, across: width.div_ceil(TILE), down: height.div_ceil(TILE) }
    }

    pub(crate) fn tiles(&self) -> usize {
        self.across * self.down
    }

    pub(crate) fn pixels(&self) -> usize {
        self.width * self.height
    }

    /// Tile of the pixel at `at`, row-major.
    pub(crate) fn tile_of(&self, at: usize) -> usize {
        at / self.width / TILE * self.across + at % self.width / TILE
    }

    /// Tiles `[x0, x1) x [y0, y1)` of a Gaussian with this centre and these half sides of its box (pixels), as
    /// `[x0, y0, x1, y1]`; `None` if it is not visible. Mode `exact`: the box must hold a pixel centre of the image.
    /// Mode `compat`: it must touch a tile of the image.
    pub(crate) fn rect<T: Real>(
        &self,
        [x, y]: [T; 2],
        [half_x, half_y]: [T; 2],
        mode: Mode,
        cutoff: Cutoff,
    ) -> Option<[usize; 4]> {
        if cutoff == Cutoff::Smooth {
            return Some([0, 0, self.across, self.down]);
        }
        if mode == Mode::Exact {
            let x = along(x, half_x, self.width)?;
            let y = along(y, half_y, self.height)?;
            return Some([x[0], y[0], x[1], y[1]]);
        }
        let tile = T::from_f64_lossy(TILE as f64);
        // Truncated toward zero, then clamped; `as` saturates.
        let clamp = |x: T, most: usize| (x.to_f64_exact() as i64).clamp(0, most as i64) as usize;
        let low = |x: T, half: T, most| clamp((x - half) / tile, most);
        let high = |x: T, half: T, most| clamp((x + half + tile - T::one()) / tile, most);
        let rect = [
            low(x, half_x, self.across),
            low(y, half_y, self.down),
            high(x, half_x, self.across),
            high(y, half_y, self.down),
        ];
        (rect[0] < rect[2] && rect[1] < rect[3]).then_some(rect)
    }
}

/// Tiles of those of `size` pixel centres that lie from `mean - half` to `mean + half`; `None` if there are none.
fn along<T: Real>(mean: T, half: T, size: usize) -> Option<[usize; 2]> {
    let low = (mean - half).to_f64_exact().ceil().max(0.0);
    let high = (mean + half).to_f64_exact().floor().min((size - 1) as f64);
    // The box of an empty extent has negative half sides.
    (half >= T::zero() && low <= high).then(|| [low as usize / TILE, high as usize / TILE + 1])
}

/// One Gaussian on tiles `[y0, y1)` of tile column `x`.
#[derive(Debug, Clone, Copy)]
struct Span {
    id: u32,
    x: u32,
    y0: u32,
    y1: u32,
}

impl Span {
    /// Indices of its tiles in the band of tile rows `[first, last)`.
    fn tiles(&self, first: usize, last: usize, across: usize) -> impl Iterator<Item = usize> {
        let (y0, y1) = ((self.y0 as usize).max(first), (self.y1 as usize).min(last));
        let x = self.x as usize;
        (y0..y1).map(move |y| (y - first) * across + x)
    }
}

/// The lists of all tiles: `point_list[ranges[tile][0]..ranges[tile][1]]` are indices of Gaussians, front to back.
#[derive(Debug)]
pub(crate) struct Lists {
    pub(crate) point_list: Vec<u32>,
    pub(crate) ranges: Vec<[u64; 2]>,
}

/// Sorts and bins the visible Gaussians.
pub(crate) fn bin<T: Real>(
    splats: &[Splat<T>],
    grid: &Grid,
    mode: Mode,
    tuning: &Tuning<T>,
) -> Result<Lists, Error> {
    let order = depth_order(splats);
    let spans: Vec<Vec<Span>> = order
        .par_chunks(4096)
        .map(|ids| {
            let mut spans = Vec::with_capacity(2 * ids.len());
            for &id in ids {
                let splat = &splats[id as usize];
                if let Some(rect) = grid.rect(splat.mean, splat.half, mode, tuning.cutoff) {
                    push_spans(splat, id, rect, tuning.cull_tiles, &mut spans);
                }
            }
            spans
        })
        .collect();
    let rendered: u64 = spans.iter().flatten().map(|s| u64::from(s.y1 - s.y0)).sum();
    let mut point_list: Vec<u32> = Vec::new();
    let reserved = usize::try_from(rendered).ok().and_then(|n| point_list.try_reserve_exact(n).ok());
    if reserved.is_none() {
        return Err(Error::Settings(format!("out of memory for {rendered} Gaussian-tile intersections")));
    }
    point_list.resize(rendered as usize, 0);

    // Each band of tile rows is a contiguous part of both results, and its task looks at every span.
    let rows = grid.down.div_ceil(rayon::current_num_threads().clamp(1, grid.down));
    let mut counts = vec![0_u64; grid.tiles()];
    counts.par_chunks_mut(rows * grid.across).enumerate().for_each(|(band, counts)| {
        let (first, last) = (band * rows, band * rows + counts.len() / grid.across);
        for span in spans.iter().flatten() {
            for tile in span.tiles(first, last, grid.across) {
                counts[tile] += 1;
            }
        }
    });
    let mut end = 0;
    let ranges: Vec<[u64; 2]> = counts
        .iter()
        .map(|n| {
            let start = end;
            end += n;
            [start, end]
        })
        .collect();

    let mut parts = Vec::with_capacity(ranges.len().div_ceil(rows * grid.across));
    let mut rest = point_list.as_mut_slice();
    for band in ranges.chunks(rows * grid.across) {
        let length = band.iter().map(|r| r[1] - r[0]).sum::<u64>() as usize;
        let (part, tail) = rest.split_at_mut(length);
        parts.push((band, part));
        rest = tail;
    }
    parts.into_par_iter().enumerate().for_each(|(index, (band, part))| {
        let (first, last) = (index * rows, index * rows + band.len() / grid.across);
        let mut next: Vec<usize> = band.iter().map(|r| (r[0] - band[0][0]) as usize).collect();
        for span in spans.iter().flatten() {
            for tile in span.tiles(first, last, grid.across) {
                part[next[tile]] = span.id;
                next[tile] += 1;
            }
        }
    });
    Ok(Lists { point_list, ranges })
}

/// Indices of the visible Gaussians by view depth, ties by index.
fn depth_order<T: Real>(splats: &[Splat<T>]) -> Vec<u32> {
    // Depths are positive, so their bits have the same order.
    let visible = splats.par_iter().enumerate().filter(|(_, s)| s.visible());
    if size_of::<T>() == size_of::<f32>() {
        // Sorting single words takes half the time of sorting pairs.
        let bits = |s: &Splat<T>| u64::from((s.depth.to_f64_exact() as f32).to_bits());
        let mut keys: Vec<u64> = visible.map(|(id, s)| bits(s) << 32 | id as u64).collect();
        keys.par_sort_unstable();
        return keys.into_par_iter().map(|key| key as u32).collect();
    }
    let mut keys: Vec<(u64, u32)> =
        visible.map(|(id, s)| (s.depth.to_f64_exact().to_bits(), id as u32)).collect();
    keys.par_sort_unstable();
    keys.into_par_iter().map(|(_, id)| id).collect()
}

/// Appends the tiles of one Gaussian: all of `rect`, or with `cull` those where it can be over the threshold.
fn push_spans<T: Real>(
    s: &Splat<T>,
    id: u32,
    [mut x0, y0, mut x1, y1]: [usize; 4],
    cull: bool,
    spans: &mut Vec<Span>,
) {
    if !cull {
        spans.extend((x0..x1).map(|x| Span { id, x: x as u32, y0: y0 as u32, y1: y1 as u32 }));
        return;
    }
    let half = s.extent.half;
    let (left, right) = tiles_between(s.mean[0] - half[0], s.mean[0] + half[0]);
    (x0, x1) = (x0.max(left), x1.min(right));
    let side = T::from_f64_lossy((TILE - 1) as f64);
    for x in x0..x1 {
        let dx = T::from_f64_lossy((x * TILE) as f64) - s.mean[0];
        let (low, high) = s.extent.vertical(dx, dx + side);
        let (top, bottom) = tiles_between(s.mean[1] + low, s.mean[1] + high);
        let (y0, y1) = (y0.max(top), y1.min(bottom));
        if y0 < y1 {
            spans.push(Span { id, x: x as u32, y0: y0 as u32, y1: y1 as u32 });
        }
    }
}

/// Tiles that hold the pixels from `low` to `high`, as a half-open range; empty if there are none.
fn tiles_between<T: Real>(low: T, high: T) -> (usize, usize) {
    // `as` saturates, and turns negative numbers into 0.
    let (low, high) = (low.to_f64_exact().ceil(), high.to_f64_exact().floor());
    if high < 0.0 { (0, 0) } else { (low as usize / TILE, (high as usize / TILE).saturating_add(1)) }
}
