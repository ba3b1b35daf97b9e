//! How many Gaussians a scene deserves, from its photographs: as many as a view has pixels with detail, times a factor, and
//! more where no view sees much of the scene.
//!
//! A pixel has detail if its luminance changes by more than a tenth (of the range 0 to 1) to the next one. Published
//! densification counts on the gradients of its own errors instead, and so grows with whatever it cannot fit, noise and
//! moving things too; edges are what the photographs show. The factors are fitted to five sets of 28 to 87 photographs, and
//! the one for scenes of which a view sees little to an outdoor scene of 175 (`bench/NOTES.md`).

use splat_core::Camera;
use splat_scene::Dataset;
use tch::{Kind, Tensor};

use crate::{Result, Target, Views};

/// Gaussians per pixel with detail in a view.
const PER_DETAIL: f64 = 12.5;
/// The change of luminance between neighbouring pixels above which a pixel has detail.
const DETAIL: f64 = 0.1;
/// A pixel is of the background's colour if no channel differs by more: half a step of 8 bits.
const SAME: f64 = 0.5 / 255.0;
/// A view that sees this share of the points sees the scene.
const WHOLE: f64 = 0.7;
/// Even without any detail a Gaussian has at most this many pixels of a view, so that blurred photographs get some.
const PIXELS: f64 = 25.0;
/// The budget is never outside these.
const LIMITS: [f64; 2] = [1000.0, 6_000_000.0];
/// At most this many views and points, evenly spread, are looked at.
const MOST_VIEWS: usize = 64;
const MOST_POINTS: usize = 2000;

/// The largest number of Gaussians, and what it was chosen from.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Budget {
    /// The largest number of Gaussians.
    pub cap: usize,
    /// Pixels with detail, mean over the training views.
    pub detail: f64,
    /// The share of the training views' pixels that show something: that a mask leaves and that differ from the background,
    /// over which transparent photographs lie.
    pub covered: f64,
    /// The share of the dataset's points that are within a view's image, mean over the training views; 1 without points.
    pub share: f64,
}

impl Budget {
    /// The number of Gaussians for the training views of `dataset`, whose photographs lie over `background` (`[3]`).
    ///
    /// With `E` pixels with detail and the share `f` it is `12.5 E max(1, 0.7 / f)`: a room of which each photograph shows a
    /// third has more to it than a table that is seen whole from everywhere. It is at least a 25th of a view's pixels.
    ///
    /// # Errors
    /// A photograph that cannot be read; out of device memory.
    pub(crate) fn of(dataset: &Dataset, views: &Views, background: &Tensor) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let chosen: Vec<usize> = spread(dataset.train.len(), MOST_VIEWS).map(|i| dataset.train[i]).collect();
        let points: Vec<[f32; 3]> =
            spread(dataset.points.len(), MOST_POINTS).map(|i| dataset.points[i].position).collect();
        let (mut detail, mut covered, mut share, mut pixels) = (0.0, 0.0, 0.0, 0.0);
        for &i in &chosen {
            let target = views.target(i, background)?;
            detail += pixels_with_detail(&target)?;
            covered += share_covered(&target, background)?;
            let camera = views.camera(i).core();
            share += share_within(camera, &points);
            pixels += f64::from(camera.width) * f64::from(camera.height);
        }
        let n = chosen.len().max(1) as f64;
        Ok(Self { covered: covered / n, ..Self::from(detail / n, share / n, pixels / n) })
    }

    fn from(detail: f64, share: f64, pixels: f64) -> Self {
        let beyond = if share > 0.0 { (WHOLE / share).max(1.0) } else { 1.0 };
        let wanted = (PER_DETAIL * detail * beyond).max(pixels / PIXELS);
        Self { cap: wanted.clamp(LIMITS[0], LIMITS[1]) as usize, detail, covered: 1.0, share }
    }
}

/// Up to `most` of `0..count`, evenly spread.
fn spread(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let n = count.min(most);
    (0..n).map(move |k| k * count / n)
}

fn pixels_with_detail(target: &Target) -> Result<f64> {
    let grey = target.color.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
    let (h, w) = (grey.size()[0] - 1, grey.size()[1] - 1);
    if h < 1 || w < 1 {
        return Ok(0.0);
    }
    let part = |y: i64, x: i64| -> Result<Tensor> { Ok(grey.f_narrow(0, y, h)?.f_narrow(1, x, w)?) };
    let here = part(0, 0)?;
    let steep = part(0, 1)?.f_sub(&here)?.f_hypot(&part(1, 0)?.f_sub(&here)?)?.f_gt(DETAIL)?;
    let counted = match &target.mask {
        Some(mask) => mask.f_squeeze_dim(0)?.f_narrow(0, 0, h)?.f_narrow(1, 0, w)?.f_mul(&steep)?,
        None => steep,
    };
    Ok(counted.f_sum(Kind::Double)?.f_double_value(&[])?)
}

/// The share of the pixels that count in the loss and are not of the colour `background` (`[3]`).
fn share_covered(target: &Target, background: &Tensor) -> Result<f64> {
    let apart =
        target.color.f_sub(&background.f_view([3, 1, 1])?)?.f_abs()?.f_amax([0i64].as_slice(), false)?;
    let shown = apart.f_gt(SAME)?.f_to_kind(Kind::Float)?;
    let counted = match &target.mask {
        Some(mask) => mask.f_squeeze_dim(0)?.f_mul(&shown)?,
        None => shown,
    };
    Ok(counted.f_mean(Kind::Float)?.f_double_value(&[])?)
}

/// The share of `points` that are projected into the image, whatever lies before them; 1 if there are none.
fn share_within(camera: &Camera, points: &[[f32; 3]]) -> f64 {
    let inside = |p: &&[f32; 3]| {
        let row = |r: usize| (0..3).map(|c| camera.proj[4 * c + r] * p[c]).sum::<f32>() + camera.proj[12 + r];
        let w = row(3);
        w > 0.0 && row(0).abs() < w && row(1).abs() < w
    };
    if points.is_empty() { 1.0 } else { points.iter().filter(inside).count() as f64 / points.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square of 4x4 in black has 3 + 4 pixels whose right or lower neighbour differs, twice, and its corner once.
    #[test]
    fn detail_is_edges_that_the_mask_leaves() {
        let color = Tensor::zeros([3, 12, 12], (Kind::Float, tch::Device::Cpu));
        let _ = color.narrow(1, 4, 4).narrow(2, 4, 4).fill_(0.5);
        let mut target = Target { color, mask: None, inv_depth: None };
        assert_eq!(pixels_with_detail(&target).unwrap(), 15.0);
        let black = Tensor::zeros([3], (Kind::Float, tch::Device::Cpu));
        assert!((share_covered(&target, &black).unwrap() - 16.0 / 144.0).abs() < 1e-6);
        assert_eq!(share_covered(&target, &(black + 1.0)).unwrap(), 1.0);
        target.mask = Some(Tensor::zeros([1, 12, 12], (Kind::Float, tch::Device::Cpu)));
        assert_eq!(pixels_with_detail(&target).unwrap(), 0.0);
    }

    #[test]
    fn budgets_grow_with_detail_and_with_what_a_view_misses() {
        let cap = |detail, share, pixels| Budget::from(detail, share, pixels).cap;
        assert_eq!(cap(10_000.0, 0.9, 5e5), 125_000);
        assert_eq!(cap(10_000.0, 0.35, 5e5), 250_000);
        assert_eq!([cap(0.0, 1.0, 10.0), cap(0.0, 1.0, 5e5), cap(1e9, 0.0, 5e5)], [1000, 20_000, 6_000_000]);
        assert_eq!(spread(10, 3).collect::<Vec<_>>(), [0, 3, 6]);
    }

    #[test]
    fn points_beside_and_behind_are_not_within() {
        let camera = Camera::look_at(64, 64, 60.0, [0.0, 0.0, -5.0], [0.0; 3], [0.0, -1.0, 0.0]);
        let points = [[0.0, 0.0, 0.0], [0.0, 0.0, -9.0], [50.0, 0.0, 0.0], [1.0, 1.0, 0.0]];
        assert_eq!(share_within(&camera, &points), 0.5);
        assert_eq!(share_within(&camera, &[]), 1.0);
    }
}
