//! Undistortion: the pinhole camera that replaces a distorted one, and its image.
//!
//! The pinhole camera keeps the focal lengths. Its image is the largest axis-aligned rectangle without blank pixels, as
//! with COLMAP's undistorter, except that each side is cropped on its own and that very wide lenses are cropped to twice
//! the size of the image. Pixels that still have no source (extreme lenses) are masked out. Coordinates are pixels, with
//! the upper left corner of the upper left pixel at (0, 0).

use super::lens::Lens;
use crate::Photo;

/// The largest extent of the pinhole image from the principal point, relative to that of the distorted image.
const WIDEST: f64 = 2.0;
/// The smallest one.
const NARROWEST: f64 = 0.2;

/// A distorted camera and the pinhole camera that replaces it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Warp {
    lens: Lens,
    from: [f64; 4],
    /// `fx fy cx cy` of the pinhole camera.
    pub(crate) to: [f64; 4],
    pub(crate) size: (u32, u32),
}

/// The result of [`Warp::apply`].
#[derive(Debug)]
pub(crate) struct Warped {
    pub(crate) photo: Photo,
    /// `None` if no mask was given and every pixel has a source.
    pub(crate) mask: Option<Vec<u8>>,
    pub(crate) inv_depth: Option<Vec<f32>>,
}

impl Warp {
    /// For an image of `size` with `intrinsics` (`fx fy cx cy`) through `lens`.
    pub(crate) fn new(lens: Lens, intrinsics: [f64; 4], size: (u32, u32)) -> Self {
        let [fx, fy, cx, cy] = intrinsics;
        let (w, h) = (f64::from(size.0), f64::from(size.1));
        let ray = |x: f64, y: f64| lens.undistort([(x - cx) / fx, (y - cy) / fy]);
        // The innermost point of each undistorted border. A border that no ray falls on is beyond what the lens sees.
        let inner = |points: &dyn Fn(f64) -> (f64, f64), pick: usize, toward: fn(f64, f64) -> f64| {
            (0..=64)
                .filter_map(|i| {
                    let (x, y) = points(f64::from(i) / 64.0);
                    ray(x, y).map(|r| r[pick])
                })
                .reduce(toward)
        };
        let side = |low: Option<f64>, high: Option<f64>, f: f64, c: f64, n: f64| {
            let low = (low.unwrap_or(-lens.widest()) * f).max(-WIDEST * c.clamp(NARROWEST * n, n));
            let high = (high.unwrap_or(lens.widest()) * f).min(WIDEST * (n - c).clamp(NARROWEST * n, n));
            // The clamps above are for principal points far outside the image, which would bound nothing. From here on:
            // whole pixels inside the bounds, while the principal point keeps its fraction of a pixel.
            let pixels = (high - low).floor();
            if pixels < (NARROWEST * n).ceil() {
                let pixels = (NARROWEST * n).ceil().max(1.0);
                return (pixels as u32, pixels / 2.0);
            }
            (pixels as u32, -low - ((high - low) - pixels) / 2.0)
        };
        let (width, px) =
            side(inner(&|t| (0.0, t * h), 0, f64::max), inner(&|t| (w, t * h), 0, f64::min), fx, cx, w);
        let (height, py) =
            side(inner(&|t| (t * w, 0.0), 1, f64::max), inner(&|t| (t * w, h), 1, f64::min), fy, cy, h);
        Self { lens, from: intrinsics, to: [fx, fy, px, py], size: (width, height) }
    }

    /// The name of the lens model.
    pub(crate) fn lens(&self) -> &'static str {
        self.lens.name()
    }

    /// The position in the distorted image that the centre of pixel `x`, `y` of the pinhole image comes from.
    fn source(&self, x: u32, y: u32) -> Option<[f64; 2]> {
        let [fx, fy, cx, cy] = self.to;
        let ray = [(f64::from(x) + 0.5 - cx) / fx, (f64::from(y) + 0.5 - cy) / fy];
        let [u, v] = self.lens.distort(ray)?;
        Some([self.from[0] * u + self.from[2], self.from[1] * v + self.from[3]])
    }

    /// The pinhole image. Colours and mask are interpolated bilinearly (colours weighted by alpha); depths are taken from
    /// the nearest pixel, because interpolation would invent depths at edges.
    pub(crate) fn apply(&self, photo: &Photo, mask: Option<&[u8]>, inv_depth: Option<&[f32]>) -> Warped {
        let (w, h) = (photo.width as usize, photo.height as usize);
        let channels = usize::from(photo.channels);
        let count = self.size.0 as usize * self.size.1 as usize;
        let mut pixels = Vec::with_capacity(count * channels);
        let mut out_mask = vec![255u8; count];
        let mut blank = false;
        let mut out_depth = inv_depth.map(|_| Vec::with_capacity(count));
        for y in 0..self.size.1 {
            for x in 0..self.size.0 {
                let at = pixels.len() / channels;
                let inside = |p: &[f64; 2]| {
                    (-1e-6..=w as f64 + 1e-6).contains(&p[0]) && (-1e-6..=h as f64 + 1e-6).contains(&p[1])
                };
                let Some([sx, sy]) = self.source(x, y).filter(inside) else {
                    pixels.extend_from_slice(&[0; 4][..channels]);
                    out_mask[at] = 0;
                    blank = true;
                    if let Some(d) = &mut out_depth {
                        d.push(0.0);
                    }
                    continue;
                };
                let nearest = (sy as usize).min(h - 1) * w + (sx as usize).min(w - 1);
                if let (Some(to), Some(from)) = (&mut out_depth, inv_depth) {
                    to.push(from[nearest]);
                }
                // Between pixel centres; beyond the outermost centres, the outermost pixels.
                let (tx, ty) = ((sx - 0.5).clamp(0.0, (w - 1) as f64), (sy - 0.5).clamp(0.0, (h - 1) as f64));
                let (x0, y0) = (tx as usize, ty as usize);
                let (ax, ay) = ((tx - x0 as f64) as f32, (ty - y0 as f64) as f32);
                let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
                let corners = [
                    (y0 * w + x0, (1.0 - ax) * (1.0 - ay)),
                    (y0 * w + x1, ax * (1.0 - ay)),
                    (y1 * w + x0, (1.0 - ax) * ay),
                    (y1 * w + x1, ax * ay),
                ];
                if let Some(mask) = mask {
                    let sum: f32 = corners.iter().map(|&(i, weight)| weight * f32::from(mask[i])).sum();
                    out_mask[at] = (sum + 0.5) as u8;
                }
                let mut sum = [0.0f32; 4];
                for (i, weight) in corners {
                    let p = &photo.pixels[i * channels..(i + 1) * channels];
                    let share = if channels == 4 { weight * f32::from(p[3]) } else { weight };
                    sum.iter_mut().zip(p).take(3).for_each(|(s, &v)| *s += share * f32::from(v));
                    sum[3] += share;
                }
                if channels == 4 && sum[3] > 0.0 {
                    (0..3).for_each(|c| sum[c] /= sum[3]);
                }
                pixels.extend(sum[..channels].iter().map(|s| (s + 0.5) as u8));
            }
        }
        let photo = Photo { width: self.size.0, height: self.size.1, channels: photo.channels, pixels };
        let mask = (blank || mask.is_some()).then_some(out_mask);
        Warped { photo, mask, inv_depth: out_depth }
    }
}
