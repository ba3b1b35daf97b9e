//! The forward pass: project, bin, blend. Plain slices in, plain vectors out.
//!
//! Runs on the current rayon pool; results do not depend on its size. What backward needs besides the
//! inputs is in [`Saved`], plain data that callers may keep as bytes.

use rayon::prelude::*;

use crate::{
    Camera, Error, Real, Scene, Settings, Tuning,
    blend::{BlendTile, Channels, Limits, Tile},
    check,
    fused::affine_row,
    projection::{NEAR, REJECTED, Splat, project_all, row},
    tiles::{Grid, PIXELS, TILE, bin},
};

/// What a render gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward<T = f32> {
    /// `[3,H,W]` planar RGB over the background; neither end is clamped.
    pub color: Vec<T>,
    /// `[P]` 3-sigma radius in whole pixels, 0 = culled.
    pub radii: Vec<i32>,
    /// `[1,H,W]` sum of weight / z; no background, not divided by alpha.
    pub inv_depth: Vec<T>,
    /// `[1,H,W]` sum of weight * z; no background, not divided by alpha.
    pub depth: Vec<T>,
    /// `[1,H,W]` sum of weights, which is one minus the transmittance left.
    pub alpha: Vec<T>,
    /// `[F,H,W]` sum of weight * feature; no background, empty without features.
    pub features: Vec<T>,
    /// Splats left out because one of their numbers (SH: in the active degree) is not finite, wherever they are.
    pub rejected: u64,
    /// For [`crate::backward()`].
    pub saved: Saved<T>,
}

/// What backward needs besides the inputs and the radii.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved<T = f32> {
    /// Splat indices of all tiles, each tile's front to back.
    pub point_list: Vec<u32>,
    /// Start and end in `point_list` of each 16x16 tile, row-major.
    pub ranges: Vec<[u64; 2]>,
    /// `[H,W]` transmittance left.
    pub final_t: Vec<T>,
    /// `[H,W]` how many splats of its tile's list the pixel looked at: those before the one it stopped at,
    /// or all.
    pub contributors: Vec<u32>,
}

impl<T> Saved<T> {
    /// Number of (splat, tile) pairs in the lists; the original counts also pairs without a pixel over the
    /// opacity threshold.
    #[must_use]
    pub fn rendered(&self) -> u64 {
        self.point_list.len() as u64
    }

    /// Borrows every part.
    #[must_use]
    pub fn as_ref(&self) -> SavedRef<'_, T> {
        SavedRef {
            point_list: &self.point_list,
            ranges: &self.ranges,
            final_t: &self.final_t,
            contributors: &self.contributors,
        }
    }
}

/// [`Saved`], borrowed from wherever the caller kept it.
#[derive(Debug, Clone, Copy)]
pub struct SavedRef<'a, T = f32> {
    /// See [`Saved::point_list`].
    pub point_list: &'a [u32],
    /// See [`Saved::ranges`].
    pub ranges: &'a [[u64; 2]],
    /// See [`Saved::final_t`].
    pub final_t: &'a [T],
    /// See [`Saved::contributors`].
    pub contributors: &'a [u32],
}

/// Renders `scene` as `camera` sees it.
///
/// Where nothing is visible, `P = 0` included, the image is the background colour (the original gives
/// zeros for `P = 0`). Splats are culled, with radius 0, when their centre is not more than 0.2 in front of
/// the camera, when their projection overflows, when a number of theirs is not finite, and when they reach nothing:
/// in mode `compat` when their square of 3 sigma touches no tile, in mode `exact` when the box around the ellipse
/// where alpha can be 1/255 or more holds no pixel centre of the image.
///
/// # Errors
/// [`Error`] for wrong lengths, a camera or settings that are not finite, an empty image, an SH degree over 3 or
/// over what the coefficients give, and when there is no memory for the tiles' lists.
pub fn forward<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
) -> Result<Forward<T>, Error> {
    forward_with(scene, camera, settings, &Tuning::default())
}

/// [`forward()`] with a choice of how to compute.
///
/// # Errors
/// As [`forward()`].
pub fn forward_with<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    tuning: &Tuning<T>,
) -> Result<Forward<T>, Error> {
    check::inputs(scene, camera, settings)?;
    check::shift(scene, tuning)?;
    let grid = Grid::new(camera.width, camera.height);
    let splats = project_all(scene, camera, settings, tuning, |_| true);
    let lists = bin(&splats, &grid, settings.exact, tuning)?;

    let n = grid.pixels();
    let mut color = vec![T::zero(); 3 * n];
    let mut inv_depth = vec![T::zero(); n];
    let mut depth = vec![T::zero(); n];
    let mut alpha = vec![T::zero(); n];
    let mut final_t = vec![T::one(); n];
    let mut contributors = vec![0_u32; n];
    let mut features = vec![T::zero(); scene.features.count * n];

    // A band is one row of tiles: a contiguous part of every plane.
    let rows = TILE * grid.width;
    let (red, rest) = color.split_at_mut(n);
    let (green, blue) = rest.split_at_mut(n);
    let mut feature_bands: Vec<Vec<&mut [T]>> = std::iter::repeat_with(Vec::new).take(grid.down).collect();
    for plane in features.chunks_mut(n) {
        for (band, part) in feature_bands.iter_mut().zip(plane.chunks_mut(rows)) {
            band.push(part);
        }
    }
    let planes = (
        red.par_chunks_mut(rows),
        green.par_chunks_mut(rows),
        blue.par_chunks_mut(rows),
        inv_depth.par_chunks_mut(rows),
        depth.par_chunks_mut(rows),
        alpha.par_chunks_mut(rows),
        final_t.par_chunks_mut(rows),
        contributors.par_chunks_mut(rows),
        lists.ranges.par_chunks(grid.across),
        feature_bands.par_iter_mut(),
    );
    planes.into_par_iter().enumerate().for_each(
        |(band, (red, green, blue, inv_depth, depth, alpha, final_t, contributors, ranges, features))| {
            let tiles: Vec<Blended<T>> = ranges
                .par_iter()
                .enumerate()
                .map(|(column, range)| {
                    let list = &lists.point_list[range[0] as usize..range[1] as usize];
                    blend_tile(scene, &splats, list, &grid, [column, band], tuning)
                })
                .collect();
            let [bg_r, bg_g, bg_b] = settings.background;
            for (column, Blended { tile, channels }) in tiles.iter().enumerate() {
                let x = column * TILE;
                let width = TILE.min(grid.width - x);
                for (y, at) in (0..red.len() / grid.width).map(|y| (y, y * grid.width + x)) {
                    for k in 0..width {
                        let (p, at) = (y * TILE + k, at + k);
                        let t = tile.t[p].abs();
                        red[at] = tile.rgb[0][p] + t * bg_r;
                        green[at] = tile.rgb[1][p] + t * bg_g;
                        blue[at] = tile.rgb[2][p] + t * bg_b;
                        inv_depth[at] = tile.inv_depth[p];
                        depth[at] = tile.depth[p];
                        alpha[at] = T::one() - t;
                        final_t[at] = t;
                        contributors[at] = tile.contributors[p];
                    }
                    for (plane, tile) in features.iter_mut().zip(channels.chunks_exact(PIXELS)) {
                        plane[at..at + width].copy_from_slice(&tile[y * TILE..y * TILE + width]);
                    }
                }
            }
        },
    );
    let radii = splats.par_iter().map(|s| s.radius.max(0)).collect();
    let rejected = splats.par_iter().filter(|s| s.radius == REJECTED).count() as u64;
    let saved = Saved { point_list: lists.point_list, ranges: lists.ranges, final_t, contributors };
    Ok(Forward { color, radii, inv_depth, depth, alpha, features, rejected, saved })
}

/// One tile, and its `F` planes of features.
struct Blended<T> {
    tile: Box<Tile<T>>,
    channels: Vec<T>,
}

/// Blends the tile in this column and row from nothing.
fn blend_tile<T: Real>(
    scene: &Scene<T>,
    splats: &[Splat<T>],
    list: &[u32],
    grid: &Grid,
    [column, row]: [usize; 2],
    tuning: &Tuning<T>,
) -> Blended<T> {
    let (x, y) = (column * TILE, row * TILE);
    // Pixels outside the image are finished before they begin.
    let inside = |p: usize| x + p % TILE < grid.width && y + p / TILE < grid.height;
    let mut tile = Box::new(Tile {
        t: std::array::from_fn(|p| if inside(p) { T::one() } else { -T::one() }),
        rgb: [[T::zero(); PIXELS]; 3],
        inv_depth: [T::zero(); PIXELS],
        depth: [T::zero(); PIXELS],
        contributors: [list.len() as u32; PIXELS],
    });
    let origin = [x, y].map(|o| T::from_f64_lossy(o as f64));
    let limits = Limits::new(tuning.cutoff);
    let count = scene.features.count;
    let mut channels = vec![T::zero(); count * PIXELS];
    let into = Channels { values: scene.features.values, count, planes: &mut channels };
    let task = BlendTile { splats, list, origin, limits, tile: &mut tile, channels: into };
    if count == 0 {
        T::dispatch(tuning.lanes, task);
    } else {
        T::dispatch(tuning.lanes, task.with_features());
    }
    Blended { tile, channels }
}

/// Which centres lie in front of the camera: view-space z over 0.2, which NaN is not. `view` is column-major.
///
/// # Errors
/// [`Error`] for a length that is not a multiple of 3 and a matrix that is not finite.
pub fn mark_visible<T: Real>(means3d: &[T], view: &[T; 16]) -> Result<Vec<bool>, Error> {
    let p = means3d.len() / 3;
    check::length("means3D", means3d.len(), 3 * p, || format!("P = {p}, 3 each"))?;
    check::finite("viewmatrix", view)?;
    Ok((0..p)
        .into_par_iter()
        .with_min_len(1024)
        .map(|i| affine_row(view, 2, row(means3d, i)) > T::from_f64_lossy(NEAR))
        .collect())
}
