//! The visual hull: the part of space whose every point lies within the silhouettes of (nearly) all views
//! that see it (Laurentini 1994), as a grid of voxels. It contains the object and touches it; concave parts stay filled.
//! World units.

use rayon::prelude::*;

use super::eye::{Eye, SOLID};
use super::layout::Layout;
use super::sweep::Range;
use crate::linear::{Vec3, along, dot, norm, sub, unit};

/// Voxels along the longest side of the first, coarse grid, and of the final one.
const COARSE: usize = 64;
const FINE: usize = 192;
/// This share of the views that see a voxel may show background there, because alphas are not perfect.
const MISSES: f64 = 0.02;

/// Voxels inside the silhouettes.
#[derive(Debug)]
pub(super) struct Hull {
    low: Vec3,
    /// Edge of a voxel.
    pub(super) edge: f64,
    size: [usize; 3],
    inside: Vec<bool>,
}

/// A silhouette as a summed-area table, which answers for any rectangle at once.
struct Silhouette {
    width: usize,
    height: usize,
    sums: Vec<u32>,
}

impl Silhouette {
    /// From alpha, or from the mask if the image is opaque.
    fn of(eye: &Eye) -> Option<Self> {
        let (width, height) = (eye.width, eye.height);
        let solid = |i: usize| {
            if eye.transparent {
                Some(eye.levels[0].pixels[i][3] >= SOLID)
            } else {
                eye.usable.as_ref().map(|u| u[i])
            }
        };
        let mut sums = vec![0u32; (width + 1) * (height + 1)];
        for y in 0..height {
            let mut row = 0;
            for x in 0..width {
                row += u32::from(solid(y * width + x)?);
                sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + row;
            }
        }
        Some(Self { width, height, sums })
    }

    /// Whether anything within `reach` pixels is inside.
    fn near(&self, at: [f64; 2], reach: f64) -> bool {
        let clamp = |x: f64, n: usize| (x.max(0.0) as usize).min(n);
        let (x0, x1) = (clamp(at[0] - reach, self.width), clamp((at[0] + reach).ceil(), self.width));
        let (y0, y1) = (clamp(at[1] - reach, self.height), clamp((at[1] + reach).ceil(), self.height));
        let s = |x: usize, y: usize| self.sums[y * (self.width + 1) + x];
        s(x1, y1) + s(x0, y0) > s(x1, y0) + s(x0, y1)
    }
}

impl Hull {
    /// Carves the hull from the views that have a silhouette. `None` if there are fewer than two, if they do not look at a
    /// common place, or if nothing is inside all silhouettes.
    pub(super) fn carve(eyes: &[Eye], layout: &Layout) -> Option<Self> {
        let views: Vec<(&Eye, Silhouette)> =
            eyes.iter().filter_map(|e| Some((e, Silhouette::of(e)?))).collect();
        let center = layout.focus?;
        if views.len() < 2 {
            return None;
        }
        let widest =
            views.iter().flat_map(|(e, _)| [e.width as f64 / e.focal[0], e.height as f64 / e.focal[1]]);
        let half = layout.reach * (0.75 * widest.fold(0.0, f64::max)).min(0.9);
        let edge = 2.0 * half / COARSE as f64;
        let mut hull = Self { low: center.map(|x| x - half), edge, size: [COARSE; 3], inside: Vec::new() };
        hull.fill(&views);
        let (low, high) = hull.bounds()?;
        let low = low.map(|x| x - edge);
        let extent = sub(high.map(|x| x + edge), low);
        let edge = extent.iter().fold(0.0f64, |m, &x| m.max(x)) / FINE as f64;
        let size = extent.map(|x| ((x / edge).ceil() as usize).clamp(1, FINE + 1));
        let mut hull = Self { low, edge, size, inside: Vec::new() };
        hull.fill(&views);
        hull.bounds().map(|_| hull)
    }

    fn fill(&mut self, views: &[(&Eye, Silhouette)]) {
        let least = views.len().div_ceil(3).max(2);
        let radius = 0.87 * self.edge;
        let keep = |index: usize| {
            let point = self.center(index);
            let (mut seen, mut missed) = (0, 0);
            let allowed = (MISSES * views.len() as f64) as usize;
            for (eye, silhouette) in views {
                let Some((at, z)) = eye.project(point) else { continue };
                seen += 1;
                // A voxel of less than a pixel is its centre's pixel; a large one may touch the object.
                let reach = (radius * eye.focal[0] / z - 0.87).max(0.01);
                if !silhouette.near(at, reach) {
                    missed += 1;
                    if missed > allowed {
                        return false;
                    }
                }
            }
            seen >= least
        };
        let n = self.size.iter().product();
        self.inside = (0..n).into_par_iter().with_min_len(4096).map(keep).collect();
    }

    /// The centre of a voxel.
    fn center(&self, index: usize) -> Vec3 {
        let [w, h, _] = self.size;
        let at = [index % w, index / w % h, index / (w * h)];
        std::array::from_fn(|k| self.low[k] + (at[k] as f64 + 0.5) * self.edge)
    }

    /// The bounding box of the hull.
    pub(super) fn bounds(&self) -> Option<(Vec3, Vec3)> {
        let mut found: Option<(Vec3, Vec3)> = None;
        for index in (0..self.inside.len()).filter(|&i| self.inside[i]) {
            let c = self.center(index);
            let (low, high) = found.get_or_insert((c, c));
            for k in 0..3 {
                low[k] = low[k].min(c[k] - 0.5 * self.edge);
                high[k] = high[k].max(c[k] + 0.5 * self.edge);
            }
        }
        found
    }

    fn is_inside(&self, at: [i64; 3]) -> bool {
        let within = (0..3).all(|k| at[k] >= 0 && at[k] < self.size[k] as i64);
        within && {
            let [x, y, z] = at.map(|x| x as usize);
            self.inside[(z * self.size[1] + y) * self.size[0] + x]
        }
    }

    /// The centres of the voxels at the surface with outward normals, which are zero where the hull is too thin to have one.
    pub(super) fn surface(&self) -> Vec<(Vec3, Vec3)> {
        let [w, h, _] = self.size;
        let voxel = |index: usize| {
            if !self.inside[index] {
                return None;
            }
            let at = [index % w, index / w % h, index / (w * h)].map(|x| x as i64);
            let sides = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]];
            let beside = |d: [i64; 3]| self.is_inside(std::array::from_fn(|k| at[k] + d[k]));
            if sides.into_iter().all(beside) {
                return None;
            }
            let mut out = [0.0; 3];
            for k in 0..125 {
                let d = [k % 5 - 2, k / 5 % 5 - 2, k / 25 - 2];
                if !beside(d) {
                    out = along(out, d.map(|x| x as f64), 1.0);
                }
            }
            Some((self.center(index), unit(out).unwrap_or([0.0; 3])))
        };
        (0..self.inside.len()).into_par_iter().with_min_len(4096).filter_map(voxel).collect()
    }

    /// The hull as each view sees it: the depths at which its rays enter and leave, per cell of `stride` pixels.
    pub(super) fn spans(&self, eyes: &[Eye], stride: usize) -> Vec<Spans> {
        let surface = self.surface();
        eyes.par_iter().map(|eye| Spans::of(eye, &surface, self.edge, stride)).collect()
    }

    /// The voxels at the surface with the colours of the views that see them most directly. `spans` come from
    /// [`Self::spans`]. Voxels that no view sees are left out.
    pub(super) fn colored(&self, eyes: &[Eye], spans: &[Spans]) -> Vec<(Vec3, [f32; 3])> {
        let color = |&(point, outwards): &(Vec3, Vec3)| {
            let mut best: [(f64, [f32; 3]); 2] = [(0.0, [0.0; 3]); 2];
            for (eye, spans) in eyes.iter().zip(spans) {
                let Some((at, z)) = eye.project(point) else { continue };
                let pixel = eye.pixel(at);
                let hidden = spans.span(at).is_none_or(|s| z > s[0] + 2.0 * self.edge);
                if hidden || !eye.shows(pixel) {
                    continue;
                }
                let to = sub(eye.center, point);
                let facing = 0.05 + dot(to, outwards).max(0.0) / norm(to);
                if facing > best[0].0 {
                    best = [(facing, eye.color(pixel)), best[0]];
                } else if facing > best[1].0 {
                    best[1] = (facing, eye.color(pixel));
                }
            }
            let total = best[0].0 + best[1].0;
            let mix = |c: usize| best.iter().map(|b| b.0 as f32 * b.1[c]).sum::<f32>() / total as f32;
            (total > 0.0).then(|| (point, [0, 1, 2].map(mix)))
        };
        self.surface().par_iter().filter_map(color).collect()
    }
}

/// Depths along the axis at which the rays of a view enter and leave the hull, per cell.
#[derive(Debug)]
pub(super) struct Spans {
    stride: usize,
    width: usize,
    height: usize,
    margin: f64,
    /// Entry and exit; infinity and 0 where there is no hull.
    depths: Vec<[f64; 2]>,
}

impl Spans {
    fn of(eye: &Eye, surface: &[(Vec3, Vec3)], edge: f64, stride: usize) -> Self {
        let (width, height) = (eye.width.div_ceil(stride), eye.height.div_ceil(stride));
        let mut depths = vec![[f64::INFINITY, 0.0]; width * height];
        for &(point, _) in surface {
            let Some((at, z)) = eye.project(point) else { continue };
            let half = 0.5 * edge * eye.focal[0] / z;
            let index = |x: f64, n: usize| ((x.max(0.0) / stride as f64) as usize).min(n - 1);
            for y in index(at[1] - half, height)..=index(at[1] + half, height) {
                for x in index(at[0] - half, width)..=index(at[0] + half, width) {
                    let [near, far] = &mut depths[y * width + x];
                    (*near, *far) = (near.min(z), far.max(z));
                }
            }
        }
        Self { stride, width, height, margin: edge, depths }
    }

    /// Entry and exit at a pixel.
    pub(super) fn span(&self, at: [f64; 2]) -> Option<[f64; 2]> {
        let index = |x: f64, n: usize| ((x.max(0.0) / self.stride as f64) as usize).min(n - 1);
        let [near, far] = self.depths[index(at[1], self.height) * self.width + index(at[0], self.width)];
        (far > 0.0).then_some([near, far])
    }
}

impl Range for Spans {
    fn at(&self, pixel: [f32; 2]) -> Option<[f32; 2]> {
        let [near, far] = self.span(pixel.map(f64::from))?;
        let near = (near - 1.5 * self.margin).max(0.5 * near);
        Some([1.0 / (far + 1.5 * self.margin) as f32, 1.0 / near as f32])
    }
}
