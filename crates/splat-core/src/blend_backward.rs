//! Gradient of one tile's blending, back to front.
//!
//! With `v_i` the upstream gradient of splat i's blended values (colour, inverse depth, depth) and `R_i`
//! what lies behind it, `R_i = sum_{j>i} v_j w_j + T_final g_T`:
//! `dL/dalpha_i = T_i v_i - R_i / (1 - alpha_i)`. T is recovered as `T_i = T_{i+1} / (1 - alpha_i)`.
//! The cap of 0.99 is passed straight through, as in the original. Spatial gradients are kept as moments of
//! `u = dL/dpower` about the splat's centre; `projection_backward` turns them into mean and conic.

use crate::{
    Real,
    blend::{BATCH, Limits, Local},
    projection::Splat,
    simd::{Kernel, Vector},
    tiles::{PIXELS, TILE},
};

/// Sums over pixels for one splat.
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

/// Upstream gradients and saved state of one tile's pixels.
pub(crate) struct TileGrad<T> {
    pub(crate) rgb: [[T; PIXELS]; 3],
    pub(crate) inv_depth: [T; PIXELS],
    pub(crate) depth: [T; PIXELS],
    /// Transmittance, `final_t` at the start; 1 outside the image.
    pub(crate) t: [T; PIXELS],
    /// What lies behind the current splat; `final_t * g_T` at the start.
    pub(crate) behind: [T; PIXELS],
    /// As forward left it; 0 outside the image.
    pub(crate) contributors: [u32; PIXELS],
}

/// Writes the sums of every splat of `list` (which ends at the last one that any pixel blended).
pub(crate) struct BlendTileBackward<'a, T> {
    pub(crate) splats: &'a [Splat<T>],
    pub(crate) list: &'a [u32],
    pub(crate) origin: [T; 2],
    pub(crate) limits: Limits<T>,
    pub(crate) tile: &'a mut TileGrad<T>,
    /// As long as `list`, zeros at the start.
    pub(crate) sums: &'a mut [Sums<T>],
}

impl<T: Real> Kernel<T> for BlendTileBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self, v: V) {
        let TileGrad { rgb, inv_depth, depth, t, behind, contributors } = self.tile;
        let [r, g, b] = rgb;
        let (r, g, b) = (v.view(r), v.view(g), v.view(b));
        let (inv_depth, depth) = (v.view(inv_depth), v.view(depth));
        let (t, behind) = (v.view_mut(t), v.view_mut(behind));
        let contributors = v.view_index(contributors);

        let across = TILE / V::LANES;
        let zero = v.splat(T::zero());
        let one = v.splat(T::one());
        let alpha_min = v.splat(self.limits.alpha_min);
        let alpha_max = v.splat(self.limits.alpha_max);
        let half = v.splat(T::from_f64_lossy(-0.5));
        let iota = v.iota();

        let mut batch: Vec<Local<T>> = Vec::with_capacity(BATCH);
        for (part, ids) in self.list.chunks(BATCH).enumerate().rev() {
            batch.clear();
            batch.extend(ids.iter().enumerate().filter_map(|(k, &id)| {
                Local::new(&self.splats[id as usize], (part * BATCH + k) as u32 + 1, self.origin)
            }));
            for local in batch.iter().rev() {
                let s = &local.splat;
                let place = v.splat_index(local.place);
                let blocks = local.x0 / V::LANES..local.x1.div_ceil(V::LANES);
                let [xx, xy, yy] = s.conic.map(|x| v.splat(x));
                let opacity = v.splat(s.opacity);
                // d(1/z)/dz = -1/z^2
                let inv_slope = v.splat(-(s.inv_depth * s.inv_depth));
                let (mut u0, mut ux, mut uy) = (zero, zero, zero);
                let (mut uxx, mut uxy, mut uyy) = (zero, zero, zero);
                let (mut sr, mut sg, mut sb, mut sz) = (zero, zero, zero, zero);
                let mut touched = false;
                for y in local.y0..local.y1 {
                    let dy = v.splat(s.mean[1] - (self.origin[1] + T::from_f64_lossy(y as f64)));
                    for block in blocks.clone() {
                        let k = y * across + block;
                        let first = v.splat(self.origin[0] + T::from_f64_lossy((block * V::LANES) as f64));
                        let dx = v.sub(v.splat(s.mean[0]), v.add(first, iota));
                        let square = v.fused(v.mul(xx, dx), dx, v.mul(v.mul(yy, dy), dy));
                        let power = v.sub(v.mul(half, square), v.mul(v.mul(xy, dx), dy));
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
                        let mut value = v.mul(v.splat(s.rgb[0]), r[k]);
                        value = v.mul_add(v.splat(s.rgb[1]), g[k], value);
                        value = v.mul_add(v.splat(s.rgb[2]), b[k], value);
                        value = v.mul_add(v.splat(s.inv_depth), inv_depth[k], value);
                        value = v.mul_add(v.splat(s.depth), depth[k], value);
                        let grad_alpha = v.sub(v.mul(t_here, value), v.mul(behind[k], left));
                        // power -> exp -> alpha: dL/dpower = dL/dalpha * opacity * exp(power)
                        let u = v.select(blended, v.mul(grad_alpha, uncapped), zero);
                        behind[k] = v.mul_add(weight, value, behind[k]);
                        t[k] = v.select(blended, t_here, t[k]);

                        let (along_x, along_y) = (v.mul(u, dx), v.mul(u, dy));
                        u0 = v.add(u0, u);
                        ux = v.add(ux, along_x);
                        uy = v.add(uy, along_y);
                        uxx = v.mul_add(along_x, dx, uxx);
                        uxy = v.mul_add(along_x, dy, uxy);
                        uyy = v.mul_add(along_y, dy, uyy);
                        sr = v.mul_add(weight, r[k], sr);
                        sg = v.mul_add(weight, g[k], sg);
                        sb = v.mul_add(weight, b[k], sb);
                        sz = v.mul_add(weight, v.mul_add(inv_slope, inv_depth[k], depth[k]), sz);
                    }
                }
                if touched {
                    self.sums[local.place as usize - 1] = Sums {
                        u: v.sum(u0),
                        ux: v.sum(ux),
                        uy: v.sum(uy),
                        uxx: v.sum(uxx),
                        uxy: v.sum(uxy),
                        uyy: v.sum(uyy),
                        rgb: [v.sum(sr), v.sum(sg), v.sum(sb)],
                        z: v.sum(sz),
                    };
                }
            }
        }
    }
}
