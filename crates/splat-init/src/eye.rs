//! A training view as the search for points uses it: reduced in size, premultiplied, with the camera in numbers.
//!
//! Pixel coordinates are continuous, those of level 0, from the upper left corner: pixel (i, j) has its
//! centre at (i + 1/2, j + 1/2). Level n has half the width of level n - 1. World-to-camera, OpenCV axes.

use splat_core::{Camera, Model};
use splat_scene::Photo;

use crate::linear::{Mat3, Vec3, apply, apply_transposed, inverse, sub};

/// At most this many pixels in level 0 of an [`Eye`]: more cost more and improve depth from patches little.
pub(super) const AREA: f64 = 384.0 * 384.0;
/// Alpha from which a pixel belongs to the object.
pub(super) const SOLID: f32 = 0.5;

/// RGB times alpha, and alpha, 0 to 1; rows from the top.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<[f32; 4]>,
}

/// One view.
#[derive(Debug, Clone)]
pub(super) struct Eye {
    pub(super) width: usize,
    pub(super) height: usize,
    /// fx, fy.
    pub(super) focal: [f64; 2],
    /// cx, cy.
    pub(super) principal: [f64; 2],
    pub(super) rotation: Mat3,
    pub(super) translation: Vec3,
    pub(super) center: Vec3,
    /// Whether some pixel is transparent.
    pub(super) transparent: bool,
    /// Per pixel of level 0 whether it may be used; None: all.
    pub(super) usable: Option<Vec<bool>>,
    pub(super) levels: Vec<Level>,
}

impl Eye {
    /// A view of `photo` through `camera`, which need not have the size of the photograph. `None` for a camera without
    /// perspective, an image that is too small, or numbers that are not finite.
    /// `mask`: `[H,W]` of the photograph's size, below 128 where it is to be ignored.
    pub(super) fn new(camera: &Camera, photo: &Photo, mask: Option<&[u8]>) -> Option<Self> {
        let numbers = camera.view.iter().chain(&camera.proj).chain([&camera.tan_fovx, &camera.tan_fovy]);
        let sound = numbers.clone().all(|x| x.is_finite()) && camera.tan_fovx > 0.0 && camera.tan_fovy > 0.0;
        if !sound || camera.model != Model::Pinhole || photo.width < 16 || photo.height < 16 {
            return None;
        }
        let scale = (AREA / (f64::from(photo.width) * f64::from(photo.height))).sqrt().min(1.0);
        let size = [photo.width, photo.height].map(|x| ((f64::from(x) * scale).round() as u32).max(16));
        let p = camera.projection();
        let principal = [0, 1].map(|k| 0.5 * f64::from(size[k]) * (1.0 + p[k][2]));
        let focal = [0, 1].map(|k| 0.5 * f64::from(size[k]) * p[k][k]);
        let rotation: Mat3 = std::array::from_fn(|r| std::array::from_fn(|c| camera.view[4 * c + r].into()));
        let translation: Vec3 = std::array::from_fn(|r| camera.view[12 + r].into());
        let center = apply(&inverse(&rotation)?, translation).map(|x| -x);
        let small =
            if size == [photo.width, photo.height] { photo.clone() } else { photo.reduced(size[0], size[1]) };
        let [width, height] = size.map(|x| x as usize);
        let usable = mask.filter(|m| m.len() == photo.width as usize * photo.height as usize).map(|mask| {
            let at = |o: usize, n: usize, full: u32| {
                ((2 * o + 1) * full as usize / (2 * n)).min(full as usize - 1)
            };
            (0..width * height)
                .map(|i| {
                    let (x, y) = (at(i % width, width, photo.width), at(i / width, height, photo.height));
                    mask[y * photo.width as usize + x] >= 128
                })
                .collect()
        });
        let pixels: Vec<[f32; 4]> = if small.channels == 4 {
            let premultiplied = |p: &[u8]| {
                let a = f32::from(p[3]) / 255.0;
                [0, 1, 2, 3].map(|c| if c < 3 { a * f32::from(p[c]) / 255.0 } else { a })
            };
            small.pixels.chunks_exact(4).map(premultiplied).collect()
        } else {
            let opaque = |p: &[u8]| [0, 1, 2, 3].map(|c| if c < 3 { f32::from(p[c]) / 255.0 } else { 1.0 });
            small.pixels.chunks_exact(3).map(opaque).collect()
        };
        let first = Level { width, height, pixels };
        let second = first.halved();
        Some(Self {
            width,
            height,
            focal,
            principal,
            rotation,
            translation,
            center,
            transparent: photo.channels == 4,
            usable,
            levels: vec![first, second],
        })
    }

    /// Camera coordinates of a world point.
    pub(super) fn to_camera(&self, world: Vec3) -> Vec3 {
        let r = apply(&self.rotation, world);
        [r[0] + self.translation[0], r[1] + self.translation[1], r[2] + self.translation[2]]
    }

    /// The pixel of a world point, and its depth along the axis; `None` behind the camera or outside the image.
    pub(super) fn project(&self, world: Vec3) -> Option<([f64; 2], f64)> {
        let c = self.to_camera(world);
        if c[2] <= 0.0 || !c[2].is_finite() {
            return None;
        }
        let at: [f64; 2] = [0, 1].map(|k| self.focal[k] * c[k] / c[2] + self.principal[k]);
        let inside = at[0] >= 0.0 && at[1] >= 0.0 && at[0] < self.width as f64 && at[1] < self.height as f64;
        inside.then_some((at, c[2]))
    }

    /// The camera-frame ray through a pixel, of depth 1.
    pub(super) fn ray(&self, at: [f64; 2]) -> Vec3 {
        [(at[0] - self.principal[0]) / self.focal[0], (at[1] - self.principal[1]) / self.focal[1], 1.0]
    }

    /// The world point that a pixel sees at `depth` along the axis.
    pub(super) fn unproject(&self, at: [f64; 2], depth: f64) -> Vec3 {
        let c = self.ray(at).map(|x| x * depth);
        apply_transposed(&self.rotation, sub(c, self.translation))
    }

    /// The direction the camera looks, world frame, length 1.
    pub(super) fn axis(&self) -> Vec3 {
        self.rotation[2]
    }

    /// The nearest pixel of level 0.
    pub(super) fn pixel(&self, at: [f64; 2]) -> usize {
        let clamp = |x: f64, n: usize| (x as usize).min(n - 1);
        clamp(at[1], self.height) * self.width + clamp(at[0], self.width)
    }

    /// Whether the pixel shows something that may become points.
    pub(super) fn shows(&self, pixel: usize) -> bool {
        self.levels[0].pixels[pixel][3] >= SOLID && self.usable.as_ref().is_none_or(|u| u[pixel])
    }

    /// The pixel's colour, not premultiplied.
    pub(super) fn color(&self, pixel: usize) -> [f32; 3] {
        let [r, g, b, a] = self.levels[0].pixels[pixel];
        [r, g, b].map(|x| (x / a.max(1e-3)).min(1.0))
    }
}

impl Level {
    /// Half the size: means of 2 x 2 pixels; an odd last row or column is dropped.
    fn halved(&self) -> Self {
        let (width, height) = ((self.width / 2).max(1), (self.height / 2).max(1));
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let mut sum = [0.0; 4];
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let p = self.pixels
                        [(2 * y + dy).min(self.height - 1) * self.width + (2 * x + dx).min(self.width - 1)];
                    (0..4).for_each(|c| sum[c] += 0.25 * p[c]);
                }
                pixels.push(sum);
            }
        }
        Self { width, height, pixels }
    }

    /// Between the four pixels around the point (x, y) of this level; the border is repeated.
    pub(super) fn sample(&self, x: f32, y: f32) -> [f32; 4] {
        let x = (x - 0.5).clamp(0.0, (self.width - 1) as f32 - 1e-3);
        let y = (y - 0.5).clamp(0.0, (self.height - 1) as f32 - 1e-3);
        let (i, j) = (x as usize, y as usize);
        let (fx, fy) = (x - i as f32, y - j as f32);
        let start = j * self.width + i;
        let above = &self.pixels[start..start + 2];
        let below = &self.pixels[start + self.width..start + self.width + 2];
        let (w00, w10, w01, w11) = ((1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy);
        std::array::from_fn(|c| w00 * above[0][c] + w10 * above[1][c] + w01 * below[0][c] + w11 * below[1][c])
    }
}
