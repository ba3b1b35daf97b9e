//! Front-to-back blending of one tile's list (Kerbl et al. 2023, equation 3; Porter-Duff "over").
//!
//! For a pixel and the Gaussians i in order: `alpha_i = min(0.99, o_i exp(power_i))`, skipped under 1/255,
//! `w_i = alpha_i T_i`, `T_{i+1} = T_i (1 - alpha_i)`; a pixel stops before the Gaussian that would bring T
//! under 1e-4. Image channels are sums of `w_i` times colour, inverse depth, depth and features; for every Gaussian of
//! the list the sum, the maximum and a weighted sum of its `w_i` can be kept too. Adds no background and knows nothing
//! of the image around the tile.

use std::ops::Range;

use crate::{
    Cutoff, FeatureChannels, Real,
    constants::{ALPHA_MAX, ALPHA_MIN, T_MIN},
    simd::{Kernel, Vector},
    splat::Splat,
    tiles::{PIXELS, TILE},
    weights::Weights,
};

/// Gaussians copied next to each other before they are blended, so that the scattered reads overlap.
pub(crate) const BATCH: usize = 64;

/// The sums of one tile's pixels, row-major.
pub(crate) struct Tile<T> {
    /// Transmittance; negative where the pixel is finished.
    pub(crate) t: [T; PIXELS],
    pub(crate) rgb: [[T; PIXELS]; 3],
    pub(crate) inv_depth: [T; PIXELS],
    pub(crate) depth: [T; PIXELS],
    /// Gaussians of the list before the one at which the pixel stopped; the list's length where it did not stop.
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

/// A Gaussian of the current batch and the pixel columns of the tile that it may cover.
#[derive(Clone, Copy)]
pub(crate) struct Local<T> {
    pub(crate) splat: Splat<T>,
    /// 1-based position in the list.
    pub(crate) place: u32,
    x0: u32,
    x1: u32,
}

impl<T: Real> Local<T> {
    /// Those of `list` that may cover the tile at `origin` (pixels); the first of the list has this 1-based position.
    #[inline(always)]
    pub(crate) fn gather(batch: &mut Vec<Self>, splats: &[Splat<T>], list: &[u32], place: u32, origin: T) {
        batch.clear();
        batch.extend(list.iter().zip(place..).filter_map(|(&id, place)| {
            let splat = splats[id as usize];
            let x = splat.mean[0] - origin;
            let Range { start, end } = bounds(x - splat.extent.half[0], x + splat.extent.half[0]);
            (start < end).then_some(Self { splat, place, x0: start, x1: end })
        }));
    }

    /// The vectors of a row that hold its columns.
    #[inline(always)]
    pub(crate) fn blocks(&self, lanes: usize) -> Range<usize> {
        self.x0 as usize / lanes..(self.x1 as usize).div_ceil(lanes)
    }

    /// Rows that it may cover in the `lanes` columns from `x`; `origin` is the tile's, all in pixels.
    #[inline(always)]
    pub(crate) fn rows(&self, x: T, lanes: usize, origin: T) -> Range<u32> {
        let s = &self.splat;
        let dx = x - s.mean[0];
        let (low, high) = s.extent.vertical(dx, dx + T::from_f64_lossy((lanes - 1) as f64));
        let y = s.mean[1] - origin;
        bounds(y + low, y + high)
    }
}

/// Those of the pixels 0 to 15 that lie from `low` to `high`.
#[inline(always)]
fn bounds<T: Real>(low: T, high: T) -> Range<u32> {
    let (zero, side) = (T::zero(), T::from_f64_lossy(TILE as f64));
    let clamp = |x: T| if x > zero { if x < side { x } else { side } } else { zero };
    // Ceiling of the lower end and floor + 1 of the upper end, by truncation of positive numbers.
    let whole = |x: T| x.to_f64_exact() as i32 as u32;
    TILE as u32 - whole(side - clamp(low))..whole(clamp(high + T::one()))
}

/// Level of a kernel that computes, or passes gradients of, colour and alpha alone.
pub(crate) const COLOR: u8 = 0;
/// Both depths too.
pub(crate) const DEPTH: u8 = 1;
/// Every channel.
pub(crate) const ALL: u8 = 2;

/// What only level [`ALL`] reads and writes.
pub(crate) struct Extra<'a, T> {
    pub(crate) features: FeatureChannels<'a, T>,
    /// The tile's sums of features, `F` planes of [`PIXELS`]; empty if they are not wanted.
    pub(crate) planes: &'a mut [T],
    /// The tile's part of the image of [`crate::Channel::WeightImage`], zeros without one.
    pub(crate) image: &'a [T; PIXELS],
    /// For every Gaussian of the list; empty if they are not wanted.
    pub(crate) weights: &'a mut [Weights<T>],
}

/// Blends `list` over `tile`, whose pixels outside the image are marked finished.
pub(crate) struct BlendTile<'a, T> {
    pub(crate) splats: &'a [Splat<T>],
    pub(crate) list: &'a [u32],
    /// Pixel of the tile's upper left corner.
    pub(crate) origin: [T; 2],
    pub(crate) limits: Limits<T>,
    pub(crate) tile: &'a mut Tile<T>,
    pub(crate) extra: Extra<'a, T>,
}

impl<'a, T: Real> BlendTile<'a, T> {
    /// The kernel that computes the channels of this level.
    pub(crate) fn at<const LEVEL: u8>(self) -> AtLevel<'a, T, LEVEL> {
        AtLevel(self)
    }
}

/// See [`BlendTile::at`].
pub(crate) struct AtLevel<'a, T, const LEVEL: u8>(BlendTile<'a, T>);

impl<T: Real, const LEVEL: u8> Kernel<T> for AtLevel<'_, T, LEVEL> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self, v: V) {
        let BlendTile { splats, list, origin, limits, tile, extra } = self.0;
        let Extra { features, planes, image, weights } = extra;
        let (planes, image) = (v.view_mut(planes), v.view(image));
        let plane = PIXELS / V::LANES;
        let Tile { t, rgb, inv_depth, depth, contributors } = tile;
        let t = v.view_mut(t);
        let [red, green, blue] = rgb;
        let (red, green, blue) = (v.view_mut(red), v.view_mut(green), v.view_mut(blue));
        let (inv_depth, depth) = (v.view_mut(inv_depth), v.view_mut(depth));
        let contributors = v.view_index_mut(contributors);

        let across = TILE / V::LANES;
        let zero = v.splat(T::zero());
        let one = v.splat(T::one());
        let alpha_min = v.splat(limits.alpha_min);
        let alpha_max = v.splat(limits.alpha_max);
        let t_min = v.splat(limits.t_min);
        let minus_half = v.splat(T::from_f64_lossy(-0.5));

        let mut alive = [false; PIXELS];
        let mut left = 0;
        for (alive, &t) in alive.iter_mut().zip(t.iter()) {
            *alive = v.any(v.lt(zero, t));
            left += usize::from(*alive);
        }

        let mut batch: Vec<Local<T>> = Vec::with_capacity(BATCH);
        for (part, ids) in list.chunks(BATCH).enumerate() {
            Local::gather(&mut batch, splats, ids, (part * BATCH) as u32 + 1, origin[0]);
            for local in &batch {
                if left == 0 {
                    return;
                }
                let s = &local.splat;
                let [xx, xy, yy] = s.conic;
                let (opacity, z, inv_z) = (v.splat(s.opacity), v.splat(s.depth), v.splat(s.inv_depth));
                let [r, g, b] = s.rgb.map(|x| v.splat(x));
                let own = if LEVEL == ALL {
                    features.row(ids[(local.place - 1) as usize % BATCH] as usize)
                } else {
                    &[]
                };
                let (mut sum, mut most, mut on_image) = (zero, zero, zero);
                for block in local.blocks(V::LANES) {
                    let x = origin[0] + T::from_f64_lossy((block * V::LANES) as f64);
                    let dx = v.sub(v.splat(s.mean[0]), v.add(v.splat(x), v.iota()));
                    let xx_dx = v.mul(v.splat(xx), dx);
                    let xy_dx = v.mul(v.splat(xy), dx);
                    let rows = local.rows(x, V::LANES, origin[1]);
                    let mut y = origin[1] + T::from_f64_lossy(f64::from(rows.start));
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
                        let covered =
                            v.and(v.and(v.le(power, zero), v.le(alpha_min, alpha)), v.lt(zero, t[k]));
                        if !v.any(covered) {
                            continue;
                        }
                        let through = v.sub(one, alpha);
                        let next = v.mul(t[k], through);
                        let blended = v.and(covered, v.le(t_min, next));
                        let stopped = v.and(covered, v.lt(next, t_min));
                        let weight = v.select(blended, v.mul(alpha, t[k]), zero);
                        red[k] = v.mul_add(weight, r, red[k]);
                        green[k] = v.mul_add(weight, g, green[k]);
                        blue[k] = v.mul_add(weight, b, blue[k]);
                        if LEVEL >= DEPTH {
                            inv_depth[k] = v.mul_add(weight, inv_z, inv_depth[k]);
                            depth[k] = v.mul_add(weight, z, depth[k]);
                        }
                        if LEVEL == ALL {
                            for (value, sums) in own.iter().zip(planes.chunks_exact_mut(plane)) {
                                sums[k] = v.mul_add(weight, v.splat(*value), sums[k]);
                            }
                            if !weights.is_empty() {
                                sum = v.add(sum, weight);
                                most = v.max(most, weight);
                                on_image = v.mul_add(weight, image[k], on_image);
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
                if LEVEL == ALL && !weights.is_empty() {
                    weights[local.place as usize - 1] =
                        Weights { sum: v.sum(sum), max: v.largest(most), image: v.sum(on_image) };
                }
            }
        }
    }
}
