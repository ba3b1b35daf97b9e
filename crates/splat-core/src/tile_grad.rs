//! What the backward pass reads of one tile: its part of the upstream gradients and of the saved state.

use crate::{
    Real, SavedRef, Settings, Upstream,
    tiles::{Grid, PIXELS, TILE},
};

/// Upstream gradients and saved state of the pixels of one tile.
pub(crate) struct TileGrad<T> {
    pub(crate) rgb: [[T; PIXELS]; 3],
    pub(crate) inv_depth: [T; PIXELS],
    pub(crate) depth: [T; PIXELS],
    /// Transmittance, `final_t` at the start; 1 outside the image.
    pub(crate) t: [T; PIXELS],
    /// `R` of the current Gaussian; `final_t * g_T` at the start.
    pub(crate) behind: [T; PIXELS],
    /// As forward left it; 0 outside the image.
    pub(crate) contributors: [u32; PIXELS],
}

impl<T: Real> TileGrad<T> {
    pub(crate) fn load(
        grid: &Grid,
        tile: usize,
        settings: &Settings<T>,
        saved: &SavedRef<T>,
        upstream: &Upstream<T>,
    ) -> Box<Self> {
        let zero = T::zero();
        let n = grid.pixels();
        let mut grad = Box::new(Self {
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
}

/// Upstream gradients of `count` feature channels, one plane of [`PIXELS`] each.
pub(crate) fn feature_planes<T: Real>(
    grid: &Grid,
    tile: usize,
    count: usize,
    upstream: &Upstream<T>,
) -> Vec<T> {
    let mut planes = vec![T::zero(); count * PIXELS];
    if let Some(upstream) = upstream.features {
        for (plane, grad) in planes.chunks_exact_mut(PIXELS).zip(upstream.chunks_exact(grid.pixels())) {
            for (p, at) in pixels_of(grid, tile) {
                plane[p] = grad[at];
            }
        }
    }
    planes
}

/// Index in the tile and in the image of every pixel of `tile` that is inside the image.
pub(crate) fn pixels_of(grid: &Grid, tile: usize) -> impl Iterator<Item = (usize, usize)> {
    let (x, y) = (tile % grid.across * TILE, tile / grid.across * TILE);
    let (across, down, width) = (TILE.min(grid.width - x), TILE.min(grid.height - y), grid.width);
    (0..down).flat_map(move |v| (0..across).map(move |u| (v * TILE + u, (y + v) * width + x + u)))
}
