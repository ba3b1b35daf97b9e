//! The second stage: images from records. Bins them to tiles, blends every tile and assembles the channels.
//!
//! Needs neither Gaussians nor cameras. Runs on the current rayon pool; results do not depend on its size.

use rayon::prelude::*;

use crate::{
    Channel, Error, FeatureChannels, Outputs, Real, Record, Saved, Settings, Tuning, Wanted,
    blend::{ALL, BlendTile, COLOR, DEPTH, Extra, Limits, Tile},
    check,
    splat::Splat,
    tiles::{Grid, PIXELS, TILE, bin},
    weights::{self, Weights},
};

/// What [`rasterize`] gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Rasterized<T = f32> {
    /// The wanted channels; those with one number per Gaussian have one per record.
    pub outputs: Outputs<T>,
    /// Visible records left out because one of their numbers or features is not finite, or their depth not positive.
    pub rejected: u64,
    /// For [`crate::rasterize_backward`].
    pub saved: Saved<T>,
}

/// Renders `records` to an image of `size` (width, height) pixels.
///
/// Records may stand in any order and may come from several calls of [`crate::project`]; where two have the same depth,
/// the earlier one is in front. `features` are `[N,F]`, one row for each of the N records. Of `settings`, background and
/// mode are read; the mode must be that of the projection. Where nothing is visible, colour is the background and every
/// other channel is zero.
///
/// # Errors
/// [`Error`] for wrong lengths, a background or weight image that is not finite, an empty image, and if there is not
/// enough memory for the lists of the tiles.
pub fn rasterize<T: Real>(
    records: &[Record<T>],
    features: FeatureChannels<T>,
    size: [u32; 2],
    settings: &Settings<T>,
    wanted: &Wanted<T>,
    tuning: &Tuning<T>,
) -> Result<Rasterized<T>, Error> {
    check::raster(records.len(), &features, size, settings)?;
    let splats = Splat::all(records, &features, tuning.cutoff);
    let (outputs, saved) = render(&splats, features, size, settings, wanted, tuning)?;
    let seen = records.par_iter().zip(&splats).filter(|(r, s)| r.radius > 0 && !s.visible());
    Ok(Rasterized { outputs, rejected: seen.count() as u64, saved })
}

/// [`rasterize`] from the form that it works on; everything but `wanted` was checked.
pub(crate) fn render<T: Real>(
    splats: &[Splat<T>],
    features: FeatureChannels<T>,
    size: [u32; 2],
    settings: &Settings<T>,
    wanted: &Wanted<T>,
    tuning: &Tuning<T>,
) -> Result<(Outputs<T>, Saved<T>), Error> {
    check::wanted(wanted, size)?;
    let grid = Grid::new(size);
    let lists = bin(splats, &grid, settings.mode, tuning)?;

    let mut outputs = Outputs::default();
    for channel in Channel::ALL {
        if let Some(planes) = channel.planes(features.count).filter(|_| wanted.contains(channel)) {
            outputs.put(channel, vec![T::zero(); planes * grid.pixels()]);
        }
    }
    let mut final_t = vec![T::one(); grid.pixels()];
    let mut contributors = vec![0; grid.pixels()];
    let mut rows = vec![Weights::default(); if wanted.weights() { lists.point_list.len() } else { 0 }];

    let call = Call { splats, features, grid: &grid, wanted, tuning };
    let mut tiles = call.tiles(&lists.point_list, &lists.ranges, &mut rows);
    let bands = call.bands(&mut outputs, &mut final_t, &mut contributors);
    bands.into_par_iter().zip(tiles.par_chunks_mut(grid.across)).enumerate().for_each(
        |(row, (mut band, tiles))| {
            let blended: Vec<Blended<T>> = tiles
                .par_iter_mut()
                .enumerate()
                .map(|(column, (list, weights))| call.blend(list, std::mem::take(weights), [column, row]))
                .collect();
            for (column, blended) in blended.iter().enumerate() {
                band.write(blended, column * TILE, grid.width, settings.background);
            }
        },
    );
    if wanted.weights() {
        weights::merge(&lists.point_list, &rows, splats.len(), wanted, &mut outputs);
    }
    let saved = Saved { point_list: lists.point_list, ranges: lists.ranges, final_t, contributors };
    Ok((outputs, saved))
}

/// What the tiles of one call have in common.
struct Call<'a, T> {
    splats: &'a [Splat<T>],
    features: FeatureChannels<'a, T>,
    grid: &'a Grid,
    wanted: &'a Wanted<'a, T>,
    tuning: &'a Tuning<'a, T>,
}

/// One tile's sums, and its `F` planes of features.
struct Blended<T> {
    tile: Box<Tile<T>>,
    features: Vec<T>,
}

impl<T: Real> Call<'_, T> {
    /// Each tile's list and its rows of weights; those are empty if they are not wanted.
    fn tiles<'l>(
        &self,
        point_list: &'l [u32],
        ranges: &[[u64; 2]],
        mut rows: &'l mut [Weights<T>],
    ) -> Vec<(&'l [u32], &'l mut [Weights<T>])> {
        let mut tiles = Vec::with_capacity(ranges.len());
        for range in ranges {
            let list = &point_list[range[0] as usize..range[1] as usize];
            let (own, rest) = rows.split_at_mut(if self.wanted.weights() { list.len() } else { 0 });
            rows = rest;
            tiles.push((list, own));
        }
        tiles
    }

    /// Cuts every plane into the rows of pixels that belong to one row of tiles.
    fn bands<'o>(
        &self,
        outputs: &'o mut Outputs<T>,
        final_t: &'o mut [T],
        contributors: &'o mut [u32],
    ) -> Vec<Band<'o, T>> {
        let rows = TILE * self.grid.width;
        let mut bands: Vec<Band<'o, T>> = final_t
            .chunks_mut(rows)
            .zip(contributors.chunks_mut(rows))
            .map(|(final_t, contributors)| Band { planes: Vec::new(), final_t, contributors })
            .collect();
        for (channel, values) in outputs.iter_mut() {
            for (index, plane) in values.chunks_mut(self.grid.pixels()).enumerate() {
                for (band, part) in bands.iter_mut().zip(plane.chunks_mut(rows)) {
                    band.planes.push((channel, index, part));
                }
            }
        }
        bands
    }

    /// Blends the tile in this column and row.
    fn blend(&self, list: &[u32], weights: &mut [Weights<T>], [column, row]: [usize; 2]) -> Blended<T> {
        let Self { splats, features, grid, wanted, tuning } = self;
        let (x, y) = (column * TILE, row * TILE);
        let inside = |p: usize| x + p % TILE < grid.width && y + p / TILE < grid.height;
        let zeros = [T::zero(); PIXELS];
        let mut tile = Box::new(Tile {
            // Pixels outside the image are finished from the start.
            t: std::array::from_fn(|p| if inside(p) { T::one() } else { -T::one() }),
            rgb: [zeros; 3],
            inv_depth: zeros,
            depth: zeros,
            contributors: [list.len() as u32; PIXELS],
        });
        let mut image = zeros;
        if let Some(whole) = wanted.weight_image() {
            for p in (0..PIXELS).filter(|p| inside(*p)) {
                image[p] = whole[(y + p / TILE) * grid.width + x + p % TILE];
            }
        }
        let count = if wanted.contains(Channel::Features) { features.count } else { 0 };
        let mut planes = vec![T::zero(); count * PIXELS];
        let everything = count > 0 || wanted.weights();
        let origin = [x, y].map(|o| T::from_f64_lossy(o as f64));
        let extra = Extra { features: *features, planes: &mut planes, image: &image, weights };
        let task =
            BlendTile { splats, list, origin, limits: Limits::new(tuning.cutoff), tile: &mut tile, extra };
        if everything {
            T::dispatch(tuning.lanes, task.at::<ALL>());
        } else if wanted.contains(Channel::InvDepth) || wanted.contains(Channel::Depth) {
            T::dispatch(tuning.lanes, task.at::<DEPTH>());
        } else {
            T::dispatch(tuning.lanes, task.at::<COLOR>());
        }
        Blended { tile, features: planes }
    }
}

/// The pixels of one row of tiles, in every plane that the call writes.
struct Band<'a, T> {
    /// Of each plane its channel, its index in that and its part.
    planes: Vec<(Channel, usize, &'a mut [T])>,
    final_t: &'a mut [T],
    contributors: &'a mut [u32],
}

impl<T: Real> Band<'_, T> {
    /// Writes the tile whose leftmost pixel column is `x`; the image is `width` pixels wide.
    fn write(&mut self, blended: &Blended<T>, x: usize, width: usize, background: [T; 3]) {
        let Blended { tile, features } = blended;
        let across = TILE.min(width - x);
        for y in 0..self.final_t.len() / width {
            let (from, to) = (y * TILE..y * TILE + across, y * width + x..y * width + x + across);
            let t = &tile.t[from.clone()];
            for (to, t) in self.final_t[to.clone()].iter_mut().zip(t) {
                *to = t.abs();
            }
            self.contributors[to.clone()].copy_from_slice(&tile.contributors[from.clone()]);
            for (channel, index, plane) in &mut self.planes {
                let to = &mut plane[to.clone()];
                match channel {
                    Channel::Color => {
                        let colors = &tile.rgb[*index][from.clone()];
                        for ((to, color), t) in to.iter_mut().zip(colors).zip(t) {
                            *to = *color + t.abs() * background[*index];
                        }
                    }
                    Channel::InvDepth => to.copy_from_slice(&tile.inv_depth[from.clone()]),
                    Channel::Depth => to.copy_from_slice(&tile.depth[from.clone()]),
                    Channel::Alpha => to.iter_mut().zip(t).for_each(|(to, t)| *to = T::one() - t.abs()),
                    Channel::Features => to.copy_from_slice(&features[*index * PIXELS..][from.clone()]),
                    // One number per Gaussian: written by `weights`.
                    Channel::WeightSum | Channel::WeightMax | Channel::WeightImage => {}
                }
            }
        }
    }
}
