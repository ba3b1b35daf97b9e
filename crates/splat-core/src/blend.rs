//! Front-to-back blending of one tile's list (Kerbl et al. 2023, eq. 3; Porter-Duff "over").
//!
//! For pixel p and splat i in order: `alpha_i = min(0.99, o_i exp(power_i))`, skipped under 1/255,
//! `w_i = alpha_i T_i`, `T_{i+1} = T_i (1 - alpha_i)`; a pixel stops before the splat that would bring T
//! under 1e-4. Channels are sums of `w_i` times colour, inverse depth, depth and features. Adds no background and
//! knows nothing of the image around the tile.

use std::ops::Range;

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
    /// Splats of the list before the one that the pixel stopped at; the list's length where it did not.
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

/// A splat of the current batch and the pixel columns of the tile that it reaches.
#[derive(Clone, Copy)]
pub(crate) struct Local<T> {
    pub(crate) splat: Splat<T>,
    /// 1-based place in the list.
    pub(crate) place: u32,
    x0: u32,
    x1: u32,
}

impl<T: Real> Local<T> {
    /// The splats of `list`, whose first has this 1-based place, that reach the tile at `origin` (pixels).
    #[inline(always)]
    pub(crate) fn gather(batch: &mut Vec<Self>, splats: &[Splat<T>], list: &[u32], place: u32, origin: T) {
        batch.clear();
        batch.extend(list.iter().zip(place..).filter_map(|(&id, place)| {
            let splat = splats[id as usize];
            let x = splat.mean[0] - origin;
            let Range { start, end } = bounds(x - splat.reach.half[0], x + splat.reach.half[0]);
            (start < end).then_some(Self { splat, place, x0: start, x1: end })
        }));
    }

    /// Vectors across that hold its columns.
    #[inline(always)]
    pub(crate) fn blocks(&self, lanes: usize) -> Range<usize> {
        self.x0 as usize / lanes..(self.x1 as usize).div_ceil(lanes)
    }

    /// Rows that it reaches in the `lanes` columns from `x`; `origin` is the tile's, all in pixels.
    #[inline(always)]
    pub(crate) fn rows(&self, x: T, lanes: usize, origin: T) -> Range<u32> {
        let s = &self.splat;
        let dx = x - s.mean[0];
        let (low, high) = s.reach.vertical(dx, dx + T::from_f64_lossy((lanes - 1) as f64));
        let y = s.mean[1] - origin;
        bounds(y + low, y + high)
    }
}

/// Pixels of 0..16 from `low` to `high`.
#[inline(always)]
fn bounds<T: Real>(low: T, high: T) -> Range<u32> {
    let (zero, side) = (T::zero(), T::from_f64_lossy(TILE as f64));
    let clamp = |x: T| if x > zero { if x < side { x } else { side } } else { zero };
    // Ceiling of the lower end and floor + 1 of the upper, by truncation of positive numbers.
    let whole = |x: T| x.to_f64_exact() as i32 as u32;
    TILE as u32 - whole(side - clamp(low))..whole(clamp(high + T::one()))
}

/// Features `[P,F]` and the tile's sums of them, `F` planes of [`PIXELS`].
pub(crate) struct Channels<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) count: usize,
    pub(crate) planes: &'a mut [T],
}

/// Blends `list` over `tile`, whose pixels outside the image are marked finished.
pub(crate) struct BlendTile<'a, T> {
    pub(crate) splats: &'a [Splat<T>],
    pub(crate) list: &'a [u32],
    /// Pixel of the tile's upper left corner.
    pub(crate) origin: [T; 2],
    pub(crate) limits: Limits<T>,
    pub(crate) tile: &'a mut Tile<T>,
    pub(crate) channels: Channels<'a, T>,
}

impl<'a, T: Real> BlendTile<'a, T> {
    /// The same with features; without this they are left alone.
    pub(crate) fn with_features(self) -> WithFeatures<'a, T> {
        WithFeatures(self)
    }
}

/// See [`BlendTile::with_features`].
pub(crate) struct WithFeatures<'a, T>(BlendTile<'a, T>);

impl<T: Real> Kernel<T> for BlendTile<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self, v: V) {
        self.blend::<V, false>(v);
    }
}

impl<T: Real> Kernel<T> for WithFeatures<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self, v: V) {
        self.0.blend::<V, true>(v);
    }
}

impl<T: Real> BlendTile<'_, T> {
    #[inline(always)]
    fn blend<V: Vector<T>, const FEATURES: bool>(self, v: V) {
        let Channels { values, count, planes } = self.channels;
        let planes = v.view_mut(planes);
        let plane = PIXELS / V::LANES;
        let Tile { t, rgb, inv_depth, depth, contributors } = self.tile;
        let t = v.view_mut(t);
        let [red, green, blue] = rgb;
        let (red, green, blue) = (v.view_mut(red), v.view_mut(green), v.view_mut(blue));
        let (inv_depth, depth) = (v.view_mut(inv_depth), v.view_mut(depth));
        let contributors = v.view_index_mut(contributors);

        let across = TILE / V::LANES;
        let zero = v.splat(T::zero());
        let one = v.splat(T::one());
        let alpha_min = v.splat(self.limits.alpha_min);
        let alpha_max = v.splat(self.limits.alpha_max);
        let t_min = v.splat(self.limits.t_min);
        let minus_half = v.splat(T::from_f64_lossy(-0.5));

        let mut alive = [false; PIXELS];
        let mut left = 0;
        for (alive, &t) in alive.iter_mut().zip(t.iter()) {
            *alive = v.any(v.lt(zero, t));
            left += usize::from(*alive);
        }

        let mut batch: Vec<Local<T>> = Vec::with_capacity(BATCH);
        for (part, ids) in self.list.chunks(BATCH).enumerate() {
            Local::gather(&mut batch, self.splats, ids, (part * BATCH) as u32 + 1, self.origin[0]);
            for local in &batch {
                if left == 0 {
                    return;
                }
                let s = &local.splat;
                let [xx, xy, yy] = s.conic;
                let (opacity, z, inv_z) = (v.splat(s.opacity), v.splat(s.depth), v.splat(s.inv_depth));
                let [r, g, b] = s.rgb.map(|x| v.splat(x));
                let own = if FEATURES {
                    let id = ids[(local.place - 1) as usize % BATCH] as usize;
                    &values[id * count..(id + 1) * count]
                } else {
                    &[]
                };
                for block in local.blocks(V::LANES) {
                    let x = self.origin[0] + T::from_f64_lossy((block * V::LANES) as f64);
                    let dx = v.sub(v.splat(s.mean[0]), v.add(v.splat(x), v.iota()));
                    let xx_dx = v.mul(v.splat(xx), dx);
                    let xy_dx = v.mul(v.splat(xy), dx);
                    let rows = local.rows(x, V::LANES, self.origin[1]);
                    let mut y = self.origin[1] + T::from_f64_lossy(f64::from(rows.start));
                    for k in rows.map(|row| row as usize * across + block) {
                        // power = -0.5 (xx dx^2 + yy dy^2) - xy dx dy
                        let dy = s.mean[1] - y;
                        y += T::one();
                        if !alive[k] {
                            continue;
                        }
                        let square = v.fused(xx_dx, dx, v.splat(yy * dy * dy));
                        let power = v.sub(v.mul(minus_half, square), v.mul(xy_dx, v.splat(dy)));
                        let alpha = v.min(alpha_max, v.mul(opacity, v.exp(power)));
                        let reached =
                            v.and(v.and(v.le(power, zero), v.le(alpha_min, alpha)), v.lt(zero, t[k]));
                        if !v.any(reached) {
                            continue;
                        }
                        let through = v.sub(one, alpha);
                        let next = v.mul(t[k], through);
                        let blended = v.and(reached, v.le(t_min, next));
                        let stopped = v.and(reached, v.lt(next, t_min));
                        let weight = v.select(blended, v.mul(alpha, t[k]), zero);
                        red[k] = v.mul_add(weight, r, red[k]);
                        green[k] = v.mul_add(weight, g, green[k]);
                        blue[k] = v.mul_add(weight, b, blue[k]);
                        inv_depth[k] = v.mul_add(weight, inv_z, inv_depth[k]);
                        depth[k] = v.mul_add(weight, z, depth[k]);
                        if FEATURES {
                            for (value, sums) in own.iter().zip(planes.chunks_exact_mut(plane)) {
                                sums[k] = v.mul_add(weight, v.splat(*value), sums[k]);
                            }
                        }
                        // A factor of 1 rather than a choice of T: compilers turn that into slow masked stores.
                        t[k] = v.mul(t[k], v.select(blended, through, one));
                        if v.any(stopped) {
                            t[k] = v.select(stopped, v.sub(zero, t[k]), t[k]);
                            let before = v.splat_index(local.place - 1);
                            contributors[k] = v.select_index(stopped, before, contributors[k]);
                            if !v.any(v.lt(zero, t[k])) {
                                alive[k] = false;
                                left -= 1;
                            }
                        }
                    }
                }
            }
        }
    }
}
