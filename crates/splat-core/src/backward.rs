//! The backward pass: gradients of a loss for every input of [`crate::forward()`].
//!
//! Tiles run in parallel and write one row of sums for each place in their list; the rows are then added
//! to their splats in the order of the lists. Gradients are therefore bit-identical whatever the number
//! of threads. Tiles go in groups of bounded size, so that the rows never take much memory.

use rayon::prelude::*;

use crate::{
    Camera, Color, Error, Real, SavedRef, Scene, Settings, Tuning,
    blend::Limits,
    blend_backward::{BlendTileBackward, Sums, TileGrad},
    check,
    projection::{Splat, View, project_all},
    projection_backward::splat_backward,
    tiles::{Grid, PIXELS, TILE},
};

/// Rows of sums held at a time (one tile may exceed it).
const GROUP: usize = 1 << 20;

/// Gradients of the loss for the outputs of forward; `None` means zero.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a, T = f32> {
    /// `[3,H,W]`.
    pub color: Option<&'a [T]>,
    /// `[1,H,W]`.
    pub inv_depth: Option<&'a [T]>,
    /// `[1,H,W]`.
    pub depth: Option<&'a [T]>,
    /// `[1,H,W]`.
    pub alpha: Option<&'a [T]>,
}

impl<T> Default for Upstream<'_, T> {
    fn default() -> Self {
        Self { color: None, inv_depth: None, depth: None, alpha: None }
    }
}

/// Gradients of the loss for the inputs. Rows of splats with radius 0 are exact zeros; every number is
/// finite (one that overflows becomes the largest of its type).
#[derive(Debug, Clone, PartialEq)]
pub struct Gradients<T = f32> {
    /// `[P,3]`, world units.
    pub means3d: Vec<T>,
    /// `[P,3]` for the projected centre in NDC units (pixel gradient times half the image size); z = 0.
    pub means2d: Vec<T>,
    /// `[P]`.
    pub opacities: Vec<T>,
    /// `[P,M,3]`, zero above the active degree; empty when colours were given.
    pub sh: Vec<T>,
    /// `[P,3]` for the colour as blended, also when it came from SH.
    pub colors: Vec<T>,
    /// `[P,3]`; zeros when covariances were given.
    pub scales: Vec<T>,
    /// `[P,4]` for the quaternion as given; zeros when covariances were given.
    pub rotations: Vec<T>,
    /// `[P,6]`, also when it came from scales and rotations; off-diagonals count both halves.
    pub cov3d: Vec<T>,
}

/// Gradients from the inputs of [`crate::forward()`], what it saved, its radii, and the gradients of its
/// outputs.
///
/// Two formulas of the original that are not the derivative are kept: alpha's cap of 0.99 lets the gradient
/// through, and splats far outside the field of view get another depth term.
///
/// # Errors
/// [`Error`] as forward; also when `saved`, `radii` or an upstream gradient does not fit the inputs.
pub fn backward<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    saved: SavedRef<T>,
    radii: &[i32],
    upstream: &Upstream<T>,
) -> Result<Gradients<T>, Error> {
    backward_with(scene, camera, settings, saved, radii, upstream, &Tuning::default())
}

/// [`backward()`] with a choice of how to compute; give forward the same.
///
/// # Errors
/// As [`backward()`].
pub fn backward_with<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
    saved: SavedRef<T>,
    radii: &[i32],
    upstream: &Upstream<T>,
    tuning: &Tuning<T>,
) -> Result<Gradients<T>, Error> {
    check::inputs(scene, camera, settings)?;
    check::shift(scene, tuning)?;
    let grid = Grid::new(camera.width, camera.height);
    check::saved(&saved, radii, scene.len(), &grid)?;
    check::upstream(upstream, &grid)?;

    let splats = project_all(scene, camera, settings, tuning, |i| radii[i] > 0);
    let sums = blend_backward(&splats, &grid, settings, &saved, upstream, tuning);
    Ok(parameters(scene, &View::new(camera), settings, tuning, &splats, &sums))
}

/// Sums over all pixels for every splat.
fn blend_backward<T: Real>(
    splats: &[Splat<T>],
    grid: &Grid,
    settings: &Settings<T>,
    saved: &SavedRef<T>,
    upstream: &Upstream<T>,
    tuning: &Tuning<T>,
) -> Vec<Sums<f64>> {
    let mut totals = vec![Sums::<f64>::default(); splats.len()];
    // Each tile's list, cut where the last of its pixels stopped.
    let lists: Vec<&[u32]> = (0..grid.tiles())
        .into_par_iter()
        .map(|tile| {
            let [start, end] = saved.ranges[tile].map(|x| x as usize);
            let used = pixels_of(grid, tile).map(|(_, at)| saved.contributors[at]).max().unwrap_or(0);
            &saved.point_list[start..end][..used as usize]
        })
        .collect();

    let mut rows: Vec<Sums<T>> = Vec::new();
    let mut first = 0;
    while first < lists.len() {
        let mut last = first + 1;
        let mut length = lists[first].len();
        while last < lists.len() && length + lists[last].len() <= GROUP {
            length += lists[last].len();
            last += 1;
        }
        rows.clear();
        rows.resize(length, Sums::default());
        let mut tasks = Vec::with_capacity(last - first);
        let mut rest = rows.as_mut_slice();
        for (tile, list) in (first..last).zip(&lists[first..last]) {
            let (part, tail) = rest.split_at_mut(list.len());
            rest = tail;
            if !list.is_empty() {
                tasks.push((tile, *list, part));
            }
        }
        tasks.into_par_iter().for_each(|(tile, list, sums)| {
            let mut grad = load_tile(grid, tile, settings, saved, upstream);
            let origin = [tile % grid.across * TILE, tile / grid.across * TILE];
            let origin = origin.map(|o| T::from_f64_lossy(o as f64));
            let (limits, tile) = (Limits::new(tuning.cutoff), &mut grad);
            if upstream.inv_depth.is_some() || upstream.depth.is_some() {
                let task = BlendTileBackward::<_, true> { splats, list, origin, limits, tile, sums };
                T::dispatch(tuning.lanes, task);
            } else {
                let task = BlendTileBackward::<_, false> { splats, list, origin, limits, tile, sums };
                T::dispatch(tuning.lanes, task);
            }
        });
        merge(&mut totals, &lists[first..last], &rows);
        first = last;
    }
    totals
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

/// Gradients of the parameters from the sums.
fn parameters<T: Real>(
    scene: &Scene<T>,
    view: &View<f64>,
    settings: &Settings<T>,
    tuning: &Tuning<T>,
    splats: &[Splat<T>],
    sums: &[Sums<f64>],
) -> Gradients<T> {
    let p = scene.len();
    let coeffs = match scene.color {
        Color::Sh { coeffs, .. } => coeffs,
        Color::Rgb(_) => 0,
    };
    let zeros = |each: usize| vec![T::zero(); p * each];
    let mut out = Gradients {
        means3d: zeros(3),
        means2d: zeros(3),
        opacities: zeros(1),
        sh: zeros(3 * coeffs),
        colors: zeros(3),
        scales: zeros(3),
        rotations: zeros(4),
        cov3d: zeros(6),
    };
    // Rows of SH by index, so that scenes without SH need no second loop.
    let mut sh_rows: Vec<&mut [T]> = if coeffs > 0 {
        out.sh.chunks_exact_mut(3 * coeffs).collect()
    } else {
        std::iter::repeat_with(Default::default).take(p).collect()
    };
    let rows = (
        out.means3d.par_chunks_exact_mut(3),
        out.means2d.par_chunks_exact_mut(3),
        out.opacities.par_iter_mut(),
        sh_rows.par_iter_mut(),
        out.colors.par_chunks_exact_mut(3),
        out.scales.par_chunks_exact_mut(3),
        out.rotations.par_chunks_exact_mut(4),
        out.cov3d.par_chunks_exact_mut(6),
    );
    rows.into_par_iter().enumerate().with_min_len(256).for_each(
        |(i, (mean3d, mean2d, opacity, sh, color, scale, rotation, cov3d))| {
            // Nothing to pass on: the rows stay zero.
            if !splats[i].visible() || sums[i] == Sums::default() {
                return;
            }
            let grad = splat_backward(scene, view, settings, tuning, i, &sums[i], sh);
            round(&grad.mean3d, mean3d);
            round(&grad.mean2d, &mut mean2d[..2]);
            round(&[grad.opacity], std::slice::from_mut(opacity));
            round(&grad.color, color);
            round(&grad.scale, scale);
            round(&grad.rotation, rotation);
            round(&grad.cov3d, cov3d);
        },
    );
    out
}

/// Rounds to the type of the inputs; what is beyond it becomes its largest number, what is undefined 0.
fn round<T: Real>(from: &[f64], to: &mut [T]) {
    let most = T::max_value().to_f64_exact();
    for (to, &from) in to.iter_mut().zip(from) {
        *to = if from.is_nan() { T::zero() } else { T::from_f64_lossy(from.clamp(-most, most)) };
    }
}
