//! Front-to-back blending of one tile's list (Kerbl et al. 2023, eq. 3; Porter-Duff "over").
//!
//! For pixel p and splat i in order: `alpha_i = min(0.99, o_i exp(power_i))`, skipped under 1/255,
//! `w_i = alpha_i T_i`, `T_{i+1} = T_i (1 - alpha_i)`; a pixel stops before the splat that would bring T
//! under 1e-4. Channels are sums of `w_i` times colour, inverse depth and depth. Adds no background and
//! knows nothing of the image around the tile.

use crate::{
    Cutoff, Real,
    projection::{ALPHA_MIN, Splat},
    simd::{Kernel, Vector},
    tiles::{PIXELS, TILE},
};

/// Largest alpha.
pub(crate) const ALPHA_MAX: f64 = 0.99;
/// A pixel stops before its transmittance falls under this.
pub(crate) const T_MIN: f64 = 1e-4;
/// Splats copied side by side before they are blended: the scattered reads then overlap.
pub(crate) const BATCH: usize = 64;

/// What the pixels of one tile have gathered, row-major.
pub(crate) struct Tile<T> {
    /// Transmittance; the sign is set where the pixel is finished.
    pub(crate) t: [T; PIXELS],
    pub(crate) rgb: [[T; PIXELS]; 3],
    pub(crate) inv_depth: [T; PIXELS],
    pub(crate) depth: [T; PIXELS],
    /// 1-based place in the list of the last splat blended, 0 = none.
    pub(crate) contributors: [u32; PIXELS],
}

/// The thresholds of a [`Cutoff`].
#[derive(Clone, Copy)]
pub(crate) struct Limits<T> {
    pub(crate) alpha_min: T,
    pub(crate) alpha_max: T,
    pub(crate) t_min: T,
}

impl<T: Real> Limits<T> {
    pub(crate) fn new(cutoff: Cutoff) -> Self {
        let (alpha_min, alpha_max, t_min) = match cutoff {
            Cutoff::Contract => (ALPHA_MIN, ALPHA_MAX, T_MIN),
            Cutoff::Smooth => (0.0, f64::MAX, 0.0),
        };
        let of = |x: f64| if x == f64::MAX { T::max_value() } else { T::from_f64_lossy(x) };
        Self { alpha_min: of(alpha_min), alpha_max: of(alpha_max), t_min: of(t_min) }
    }
}

/// A splat of the current batch and the part of the tile it reaches: rows `y0..y1`, columns `x0..x1`.
#[derive(Clone, Copy)]
pub(crate) struct Local<T> {
    pub(crate) splat: Splat<T>,
    /// 1-based place in the list.
    pub(crate) place: u32,
    pub(crate) y0: usize,
    pub(crate) y1: usize,
    pub(crate) x0: usize,
    pub(crate) x1: usize,
}

impl<T: Real> Local<T> {
    /// `None` when the splat reaches no pixel of the tile at `origin` (pixels).
    #[inline(always)]
    pub(crate) fn new(splat: &Splat<T>, place: u32, origin: [T; 2]) -> Option<Self> {
        let [x, y] = splat.mean;
        let (x0, x1) = bounds(x - origin[0], splat.reach[0]);
        let (y0, y1) = bounds(y - origin[1], splat.reach[1]);
        (x0 < x1 && y0 < y1).then_some(Self { splat: *splat, place, y0, y1, x0, x1 })
    }
}

/// Pixels `[low, high)` of 0..16 within `reach` of `center`.
#[inline(always)]
fn bounds<T: Real>(center: T, reach: T) -> (usize, usize) {
    let (zero, side) = (T::zero(), T::from_f64_lossy(TILE as f64));
    let clamp = |x: T| if x > zero { if x < side { x } else { side } } else { zero };
    // Ceiling of the lower end and floor + 1 of the upper, by truncation of positive numbers.
    let low = TILE - (side - clamp(center - reach)).to_f64_exact() as usize;
    let high = clamp(center + reach + T::one()).to_f64_exact() as usize;
    (low, high)
}

/// Blends `list` over `tile`, whose pixels outside the image are marked finished.
pub(crate) struct BlendTile<'a, T> {
    pub(crate) splats: &'a [Splat<T>],
    pub(crate) list: &'a [u32],
    /// Pixel of the tile's upper left corner.
    pub(crate) origin: [T; 2],
    pub(crate) limits: Limits<T>,
    pub(crate) tile: &'a mut Tile<T>,
}

impl<T: Real> Kernel<T> for BlendTile<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self, v: V) {
        let Tile { t, rgb, inv_depth, depth, contributors } = self.tile;
        let t = v.view_mut(t);
        let [r, g, b] = rgb;
        let (r, g, b) = (v.view_mut(r), v.view_mut(g), v.view_mut(b));
        let (inv_depth, depth) = (v.view_mut(inv_depth), v.view_mut(depth));
        let contributors = v.view_index_mut(contributors);

        let across = TILE / V::LANES;
        let zero = v.splat(T::zero());
        let one = v.splat(T::one());
        let alpha_min = v.splat(self.limits.alpha_min);
        let alpha_max = v.splat(self.limits.alpha_max);
        let t_min = v.splat(self.limits.t_min);
        let half = v.splat(T::from_f64_lossy(-0.5));
        let iota = v.iota();

        let mut alive = [false; PIXELS];
        let mut left = 0;
        for (alive, &t) in alive.iter_mut().zip(t.iter()) {
            *alive = v.any(v.lt(zero, t));
            left += usize::from(*alive);
        }

        let mut batch: Vec<Local<T>> = Vec::with_capacity(BATCH);
        for (part, ids) in self.list.chunks(BATCH).enumerate() {
            batch.clear();
            batch.extend(ids.iter().enumerate().filter_map(|(k, &id)| {
                Local::new(&self.splats[id as usize], (part * BATCH + k) as u32 + 1, self.origin)
            }));
            for local in &batch {
                if left == 0 {
                    return;
                }
                let s = &local.splat;
                let (blocks, place) = (local.x0 / V::LANES..local.x1.div_ceil(V::LANES), v.splat_index(local.place));
                let [xx, xy, yy] = s.conic.map(|x| v.splat(x));
                let opacity = v.splat(s.opacity);
                for y in local.y0..local.y1 {
                    let dy = v.splat(s.mean[1] - (self.origin[1] + T::from_f64_lossy(y as f64)));
                    for block in blocks.clone() {
                        let k = y * across + block;
                        if !alive[k] {
                            continue;
                        }
                        let first = v.splat(self.origin[0] + T::from_f64_lossy((block * V::LANES) as f64));
                        let dx = v.sub(v.splat(s.mean[0]), v.add(first, iota));
                        // power = -0.5 (xx dx^2 + yy dy^2) - xy dx dy
                        let square = v.fused(v.mul(xx, dx), dx, v.mul(v.mul(yy, dy), dy));
                        let power = v.sub(v.mul(half, square), v.mul(v.mul(xy, dx), dy));
                        let alpha = v.min(alpha_max, v.mul(opacity, v.exp(power)));
                        let reached = v.and(
                            v.and(v.le(power, zero), v.le(alpha_min, alpha)),
                            v.lt(zero, t[k]),
                        );
                        if !v.any(reached) {
                            continue;
                        }
                        let next = v.mul(t[k], v.sub(one, alpha));
                        let blended = v.and(reached, v.le(t_min, next));
                        let weight = v.select(blended, v.mul(alpha, t[k]), zero);
                        r[k] = v.mul_add(weight, v.splat(s.rgb[0]), r[k]);
                        g[k] = v.mul_add(weight, v.splat(s.rgb[1]), g[k]);
                        b[k] = v.mul_add(weight, v.splat(s.rgb[2]), b[k]);
                        inv_depth[k] = v.mul_add(weight, v.splat(s.inv_depth), inv_depth[k]);
                        depth[k] = v.mul_add(weight, v.splat(s.depth), depth[k]);
                        contributors[k] = v.select_index(blended, place, contributors[k]);
                        let stopped = v.and(reached, v.lt(next, t_min));
                        let finished = v.select(stopped, v.sub(zero, t[k]), t[k]);
                        t[k] = v.select(blended, next, finished);
                        if v.any(stopped) && !v.any(v.lt(zero, t[k])) {
                            alive[k] = false;
                            left -= 1;
                        }
                    }
                }
            }
        }
    }
}
