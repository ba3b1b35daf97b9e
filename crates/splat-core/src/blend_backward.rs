//! Gradient of one tile's blending, back to front.
//!
//! With `v_i` the sum of Gaussian i's values (colour, inverse depth, depth, features) times the upstream gradients of
//! their channels, and `R_i` the same for everything behind it, `R_i = sum_{j>i} v_j w_j + T_final g_T`:
//! `dL/dalpha_i = T_i v_i - R_i / (1 - alpha_i)`. T is recovered as `T_i = T_{i+1} / (1 - alpha_i)`.
//! Gradients pass straight through the cap of 0.99, as in the original. Those for centre and inverse covariance are
//! kept as moments of `u = dL/dpower` about the Gaussian's centre; `rasterize_backward` turns them into gradients.

use crate::{
    FeatureChannels, Real,
    blend::{ALL, BATCH, DEPTH, Limits, Local},
    simd::{Kernel, Vector},
    splat::Splat,
    tile_grad::TileGrad,
    tiles::{PIXELS, TILE},
};

/// Sums over the pixels of one tile for one Gaussian.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sums<T> {
    /// Of `u`, with `u = dL/dpower`.
    pub(crate) u: T,
    /// Of `u dx`, `u dy`, where `d = centre - pixel`.
    pub(crate) ux: T,
    pub(crate) uy: T,
    /// Of `u dx^2`, `u dx dy`, `u dy^2`.
    pub(crate) uxx: T,
    pub(crate) uxy: T,
    pub(crate) uyy: T,
    /// Gradient for the colour.
    pub(crate) rgb: [T; 3],
    /// Gradient for the view depth, through the depth and inverse depth images.
    pub(crate) z: T,
}

/// What only level [`ALL`] reads and writes.
pub(crate) struct Extra<'a, T> {
    pub(crate) features: FeatureChannels<'a, T>,
    /// Upstream gradients of the tile's features, F planes of [`PIXELS`].
    pub(crate) planes: &'a [T],
    /// `2 + F` numbers for each Gaussian of the list: absolute gradients for the centre in pixels, gradients for its
    /// features.
    pub(crate) sums: &'a mut [T],
}

/// Writes the sums of every Gaussian of `list` (which ends where the last pixel stopped).
pub(crate) struct BlendTileBackward<'a, T> {
    pub(crate) splats: &'a [Splat<T>],
    pub(crate) list: &'a [u32],
    /// Pixel of the tile's upper left corner.
    pub(crate) origin: [T; 2],
    pub(crate) limits: Limits<T>,
    pub(crate) tile: &'a mut TileGrad<T>,
    /// As long as `list`, zeros at the start.
    pub(crate) sums: &'a mut [Sums<T>],
    pub(crate) extra: Extra<'a, T>,
}

impl<'a, T: Real> BlendTileBackward<'a, T> {
    /// The kernel for the channels of this level; upstream gradients of all others are taken to be zero.
    pub(crate) fn at<const LEVEL: u8>(self) -> AtLevel<'a, T, LEVEL> {
        AtLevel(self)
    }
}

/// See [`BlendTileBackward::at`].
pub(crate) struct AtLevel<'a, T, const LEVEL: u8>(BlendTileBackward<'a, T>);

/// Most feature channels.
const MOST: usize = 64;

impl<T: Real, const LEVEL: u8> Kernel<T> for AtLevel<'_, T, LEVEL> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self, v: V) {
        let BlendTileBackward { splats, list, origin, limits, tile, sums, extra } = self.0;
        let TileGrad { rgb, inv_depth, depth, t, behind, contributors } = tile;
        let [red, green, blue] = rgb;
        let (red, green, blue) = (v.view(red), v.view(green), v.view(blue));
        let (inv_depth, depth) = (v.view(inv_depth), v.view(depth));
        let (t, behind) = (v.view_mut(t), v.view_mut(behind));
        let contributors = v.view_index(contributors);
        let Extra { features, planes, sums: extra } = extra;
        let (planes, plane) = (v.view(planes), PIXELS / V::LANES);

        let across = TILE / V::LANES;
        let zero = v.splat(T::zero());
        let one = v.splat(T::one());
        let alpha_min = v.splat(limits.alpha_min);
        let alpha_max = v.splat(limits.alpha_max);
        let minus_half = v.splat(T::from_f64_lossy(-0.5));

        let mut batch: Vec<Local<T>> = Vec::with_capacity(BATCH);
        for (part, ids) in list.chunks(BATCH).enumerate().rev() {
            Local::gather(&mut batch, splats, ids, (part * BATCH) as u32 + 1, origin[0]);
            for local in batch.iter().rev() {
                let s = &local.splat;
                let place = v.splat_index(local.place);
                let [xx, xy, yy] = s.conic;
                let opacity = v.splat(s.opacity);
                let [r, g, b] = s.rgb.map(|x| v.splat(x));
                // d(1/z)/dz = -1/z^2
                let (z, inv_z) = (v.splat(s.depth), v.splat(s.inv_depth));
                let inv_slope = v.splat(-(s.inv_depth * s.inv_depth));
                let (mut u0, mut ux, mut uy) = (zero, zero, zero);
                let (mut uxx, mut uxy, mut uyy) = (zero, zero, zero);
                let (mut sr, mut sg, mut sb, mut sz) = (zero, zero, zero, zero);
                let own = if LEVEL == ALL {
                    features.row(ids[(local.place - 1) as usize % BATCH] as usize)
                } else {
                    &[]
                };
                let (mut abs_x, mut abs_y) = (zero, zero);
                let mut sums_own = [zero; MOST];
                let mut touched = false;
                for block in local.blocks(V::LANES) {
                    let x = origin[0] + T::from_f64_lossy((block * V::LANES) as f64);
                    let dx = v.sub(v.splat(s.mean[0]), v.add(v.splat(x), v.iota()));
                    let xx_dx = v.mul(v.splat(xx), dx);
                    let xy_dx = v.mul(v.splat(xy), dx);
                    let rows = local.rows(x, V::LANES, origin[1]);
                    let mut y = origin[1] + T::from_f64_lossy(f64::from(rows.start));
                    for k in rows.map(|row| row as usize * across + block) {
                        let dy = s.mean[1] - y;
                        y += T::one();
                        let square = v.fused(xx_dx, dx, v.splat(yy * dy * dy));
                        let dy = v.splat(dy);
                        let power = v.sub(v.mul(minus_half, square), v.mul(xy_dx, dy));
                        let uncapped = v.mul(opacity, v.exp(power));
                        let alpha = v.min(alpha_max, uncapped);
                        let blended = v.and(
                            v.and(v.le(power, zero), v.le(alpha_min, alpha)),
                            v.le_index(place, contributors[k]),
                        );
                        if !v.any(blended) {
                            continue;
                        }
                        touched = true;
                        let left = v.div(one, v.sub(one, alpha));
                        let t_here = v.mul(t[k], left);
                        let weight = v.select(blended, v.mul(alpha, t_here), zero);
                        let mut value = v.mul(r, red[k]);
                        value = v.mul_add(g, green[k], value);
                        value = v.mul_add(b, blue[k], value);
                        if LEVEL >= DEPTH {
                            value = v.mul_add(inv_z, inv_depth[k], value);
                            value = v.mul_add(z, depth[k], value);
                        }
                        if LEVEL == ALL {
                            for (x, grad) in own.iter().zip(planes.chunks_exact(plane)) {
                                value = v.mul_add(v.splat(*x), grad[k], value);
                            }
                        }
                        let grad_alpha = v.sub(v.mul(t_here, value), v.mul(behind[k], left));
                        // power -> exp -> alpha: dL/dpower = dL/dalpha * opacity * exp(power)
                        let u = v.select(blended, v.mul(grad_alpha, uncapped), zero);
                        behind[k] = v.mul_add(weight, value, behind[k]);
                        t[k] = v.mul(t[k], v.select(blended, left, one));

                        let (along_x, along_y) = (v.mul(u, dx), v.mul(u, dy));
                        u0 = v.add(u0, u);
                        ux = v.add(ux, along_x);
                        uy = v.add(uy, along_y);
                        uxx = v.mul_add(along_x, dx, uxx);
                        uxy = v.mul_add(along_x, dy, uxy);
                        uyy = v.mul_add(along_y, dy, uyy);
                        sr = v.mul_add(weight, red[k], sr);
                        sg = v.mul_add(weight, green[k], sg);
                        sb = v.mul_add(weight, blue[k], sb);
                        if LEVEL >= DEPTH {
                            sz = v.mul_add(weight, v.mul_add(inv_slope, inv_depth[k], depth[k]), sz);
                        }
                        if LEVEL == ALL {
                            // As `rasterize_backward` does with the sums: -(inverse covariance * d) u.
                            let grad_x = v.mul_add(v.splat(xx), along_x, v.mul(v.splat(xy), along_y));
                            let grad_y = v.mul_add(v.splat(yy), along_y, v.mul(v.splat(xy), along_x));
                            abs_x = v.sub(abs_x, v.min(grad_x, v.sub(zero, grad_x)));
                            abs_y = v.sub(abs_y, v.min(grad_y, v.sub(zero, grad_y)));
                            for (sum, grad) in sums_own.iter_mut().zip(planes.chunks_exact(plane)) {
                                *sum = v.mul_add(weight, grad[k], *sum);
                            }
                        }
                    }
                }
                if touched {
                    sums[local.place as usize - 1] = Sums {
                        u: v.sum(u0),
                        ux: v.sum(ux),
                        uy: v.sum(uy),
                        uxx: v.sum(uxx),
                        uxy: v.sum(uxy),
                        uyy: v.sum(uyy),
                        rgb: [v.sum(sr), v.sum(sg), v.sum(sb)],
                        z: v.sum(sz),
                    };
                    if LEVEL == ALL {
                        let each = 2 + features.count;
                        let row = &mut extra[(local.place as usize - 1) * each..][..each];
                        (row[0], row[1]) = (v.sum(abs_x), v.sum(abs_y));
                        for (to, sum) in row[2..].iter_mut().zip(sums_own) {
                            *to = v.sum(sum);
                        }
                    }
                }
            }
        }
    }
}
