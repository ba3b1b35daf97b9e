//! Structural similarity of two images (Wang et al. 2004), the photometric loss built from it, and the gradients of both
//! with respect to the first image.
//!
//! With means `m`, variances `s` and covariance `c` under an 11x11 Gaussian window of sigma 1.5 that sees zeros
//! outside the image: `S = (2 m1 m2 + C1)(2 c + C2) / ((m1^2 + m2^2 + C1)(s1 + s2 + C2))`, `C1 = 0.01^2`,
//! `C2 = 0.03^2`. S is a function of `m1`, `e11 = E[x x]` and `e12 = E[x y]`, the window's means for the image x and the
//! target y, so `dL/dx = G*(g dS/dm1) + 2 x G*(g dS/de11) + y G*(g dS/de12)`, since the window G is symmetric. The
//! forward pass leaves the three partial derivatives for the backward pass. Planes are `[H,W]`; values are usually in
//! [0, 1].

use rayon::prelude::*;

use crate::{Error, Real, check};

const RADIUS: usize = 5;
const SIGMA: f64 = 1.5;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// Size of the images, and the pixels of their mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SsimShape {
    /// Number of planes: images times channels.
    pub planes: usize,
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether means are over only those pixels that are at least 5 from every border, where the window sees no zeros.
    pub valid: bool,
}

impl SsimShape {
    fn pixels(&self) -> usize {
        self.width * self.height
    }

    /// Width of the border that means leave out.
    fn border(&self) -> usize {
        if self.valid { RADIUS } else { 0 }
    }

    /// Whether a pixel counts in means.
    fn counts(&self, at: usize) -> bool {
        let (x, y, b) = (at % self.width, at / self.width, self.border());
        x >= b && y >= b && x + b < self.width && y + b < self.height
    }

    /// Number of pixels in a mean.
    fn counted(&self) -> usize {
        let inner = |n: usize| n.saturating_sub(2 * self.border());
        self.planes * inner(self.width) * inner(self.height)
    }

    fn check<T>(&self, images: &[(&'static str, &[T], usize)]) -> Result<(), Error> {
        for (name, values, planes) in images {
            check::length(name, values.len(), planes * self.planes * self.pixels(), || {
                format!("{planes} x {} x {} x {}", self.planes, self.height, self.width)
            })?;
        }
        if self.planes > 0 && self.counted() == 0 {
            let least = 2 * self.border() + 1;
            return Err(Error::Settings(format!(
                "the image is {} x {} pixels, but the mean needs {least} x {least}",
                self.width, self.height
            )));
        }
        Ok(())
    }
}

/// What [`ssim`] and [`photometric`] give.
#[derive(Debug, Clone, PartialEq)]
pub struct Ssim<T = f32> {
    /// `[planes,H,W]` similarity of each pixel.
    pub map: Vec<T>,
    /// Mean of the map (of [`photometric`]: the loss); 0 without planes.
    pub mean: T,
    /// `[3,planes,H,W]` for the backward pass.
    pub partials: Vec<T>,
}

/// Similarity of `image` and `target`, `[planes,H,W]` each.
///
/// # Errors
/// [`Error`] for wrong lengths and a mean over no pixels.
pub fn ssim<T: Real>(image: &[T], target: &[T], shape: SsimShape) -> Result<Ssim<T>, Error> {
    shape.check(&[("image", image, 1), ("target", target, 1)])?;
    let n = shape.pixels();
    let zeros = |planes: usize| vec![T::zero(); planes * n];
    let mut map = zeros(shape.planes);
    let mut partials = zeros(3 * shape.planes);
    if shape.planes == 0 {
        return Ok(Ssim { map, mean: T::zero(), partials });
    }
    let (d_mean, rest) = partials.split_at_mut(shape.planes * n);
    let (d_square, d_cross) = rest.split_at_mut(shape.planes * n);
    let planes = (
        map.par_chunks_exact_mut(n),
        d_mean.par_chunks_exact_mut(n),
        d_square.par_chunks_exact_mut(n),
        d_cross.par_chunks_exact_mut(n),
        image.par_chunks_exact(n),
        target.par_chunks_exact(n),
    );
    let one = |(map, d_mean, d_square, d_cross, x, y): Plane<'_, T>| -> f64 {
        let window = Window::new(shape);
        let of = |f: &dyn Fn(T, T) -> T| window.blur(|i| f(x[i], y[i]));
        let (mx, my) = (of(&|x, _| x), of(&|_, y| y));
        let (xx, yy, xy) = (of(&|x, _| x * x), of(&|_, y| y * y), of(&|x, y| x * y));
        let (c1, c2, two) = (T::from_f64_lossy(C1), T::from_f64_lossy(C2), T::from_f64_lossy(2.0));
        for i in 0..n {
            let (m1, m2) = (mx[i], my[i]);
            let a = two * m1 * m2 + c1;
            let b = two * (xy[i] - m1 * m2) + c2;
            let c = m1 * m1 + m2 * m2 + c1;
            let d = (xx[i] - m1 * m1) + (yy[i] - m2 * m2) + c2;
            let s = a * b / (c * d);
            map[i] = s;
            d_square[i] = -s / d;
            d_cross[i] = two * a / (c * d);
            // The variance and the covariance contain m1.
            d_mean[i] = two * (m2 * b / (c * d) - m1 * s / c) - two * m1 * d_square[i] - m2 * d_cross[i];
        }
        map.iter().enumerate().filter(|(at, _)| shape.counts(*at)).map(|(_, s)| s.to_f64_exact()).sum()
    };
    let sums: Vec<f64> = planes.into_par_iter().map(one).collect();
    let mean = T::from_f64_lossy(sums.iter().sum::<f64>() / shape.counted() as f64);
    Ok(Ssim { map, mean, partials })
}

/// The photometric loss `(1 - lambda) mean |image - target| + lambda (1 - mean S)` (Kerbl et al. 2023, equation 7), as
/// [`Ssim::mean`]; map and partials are those of [`ssim`]. With [`SsimShape::valid`] both means leave out the border.
///
/// # Errors
/// As [`ssim`].
pub fn photometric<T: Real>(
    image: &[T],
    target: &[T],
    shape: SsimShape,
    lambda: T,
) -> Result<Ssim<T>, Error> {
    let similar = ssim(image, target, shape)?;
    let n = shape.pixels().max(1);
    let apart = |(x, y): (&[T], &[T])| -> f64 {
        let counted = x.iter().zip(y).enumerate().filter(|(at, _)| shape.counts(*at));
        counted.map(|(_, (x, y))| (x.to_f64_exact() - y.to_f64_exact()).abs()).sum()
    };
    let sums: Vec<f64> =
        (image.par_chunks_exact(n), target.par_chunks_exact(n)).into_par_iter().map(apart).collect();
    let apart = sums.iter().sum::<f64>() / shape.counted().max(1) as f64;
    let lambda = lambda.to_f64_exact();
    let loss = (1.0 - lambda) * apart + lambda * (1.0 - similar.mean.to_f64_exact());
    Ok(Ssim { mean: T::from_f64_lossy(loss), ..similar })
}

/// Gradient of the loss of [`photometric`] with respect to `image`, `[planes,H,W]`, times `grad`. Where image and target are
/// equal, the derivative of the absolute value is taken as 0.
///
/// # Errors
/// As [`ssim`].
pub fn photometric_backward<T: Real>(
    image: &[T],
    target: &[T],
    partials: &[T],
    shape: SsimShape,
    lambda: T,
    grad: T,
    grad_map: Option<&[T]>,
) -> Result<Vec<T>, Error> {
    let mut out = ssim_backward(image, target, partials, shape, -(lambda * grad), grad_map)?;
    let share = (1.0 - lambda.to_f64_exact()) * grad.to_f64_exact() / shape.counted().max(1) as f64;
    let (n, share) = (shape.pixels().max(1), T::from_f64_lossy(share));
    let planes = (out.par_chunks_exact_mut(n), image.par_chunks_exact(n), target.par_chunks_exact(n));
    planes.into_par_iter().for_each(|(out, x, y)| {
        for (at, out) in out.iter_mut().enumerate().filter(|(at, _)| shape.counts(*at)) {
            if x[at] > y[at] {
                *out += share;
            } else if x[at] < y[at] {
                *out -= share;
            }
        }
    });
    Ok(out)
}

/// One plane of what [`ssim`] writes and reads.
type Plane<'a, T> = (&'a mut [T], &'a mut [T], &'a mut [T], &'a mut [T], &'a [T], &'a [T]);

/// Gradient with respect to `image`, `[planes,H,W]`, from the upstream gradients for the mean and for the map.
///
/// # Errors
/// As [`ssim`].
pub fn ssim_backward<T: Real>(
    image: &[T],
    target: &[T],
    partials: &[T],
    shape: SsimShape,
    grad_mean: T,
    grad_map: Option<&[T]>,
) -> Result<Vec<T>, Error> {
    shape.check(&[("image", image, 1), ("target", target, 1), ("partials", partials, 3)])?;
    if let Some(grad) = grad_map {
        shape.check(&[("grad_map", grad, 1)])?;
    }
    let n = shape.pixels();
    let mut out = vec![T::zero(); image.len()];
    let each = T::from_f64_lossy(grad_mean.to_f64_exact() / shape.counted().max(1) as f64);
    out.par_chunks_exact_mut(n.max(1)).enumerate().for_each(|(plane, out)| {
        let range = plane * n..(plane + 1) * n;
        let (x, y) = (&image[range.clone()], &target[range.clone()]);
        let upstream = |i: usize| {
            let mean = if shape.counts(i) { each } else { T::zero() };
            mean + grad_map.map_or(T::zero(), |g| g[plane * n + i])
        };
        let window = Window::new(shape);
        let of = |k: usize| {
            let own = &partials[k * image.len()..][range.clone()];
            window.blur(|i| upstream(i) * own[i])
        };
        let (mean, square, cross) = (of(0), of(1), of(2));
        let two = T::from_f64_lossy(2.0);
        for i in 0..n {
            out[i] = mean[i] + two * x[i] * square[i] + y[i] * cross[i];
        }
    });
    Ok(out)
}

/// The Gaussian window over a plane.
struct Window<T> {
    shape: SsimShape,
    taps: [T; 2 * RADIUS + 1],
}

impl<T: Real> Window<T> {
    fn new(shape: SsimShape) -> Self {
        let weight = |k: usize| (-(k as f64 - RADIUS as f64).powi(2) / (2.0 * SIGMA * SIGMA)).exp();
        let total: f64 = (0..=2 * RADIUS).map(weight).sum();
        Self { shape, taps: std::array::from_fn(|k| T::from_f64_lossy(weight(k) / total)) }
    }

    /// The window's mean of `value` around every pixel: along rows, then along columns.
    fn blur(&self, value: impl Fn(usize) -> T) -> Vec<T> {
        let (w, h) = (self.shape.width, self.shape.height);
        let mut across = vec![T::zero(); w * h];
        let mut padded = vec![T::zero(); w + 2 * RADIUS];
        for y in 0..h {
            for x in 0..w {
                padded[x + RADIUS] = value(y * w + x);
            }
            for (k, tap) in self.taps.iter().enumerate() {
                let row = &mut across[y * w..(y + 1) * w];
                for (to, from) in row.iter_mut().zip(&padded[k..]) {
                    *to += *tap * *from;
                }
            }
        }
        let mut out = vec![T::zero(); w * h];
        for (y, row) in out.chunks_exact_mut(w).enumerate() {
            for (k, tap) in self.taps.iter().enumerate() {
                let Some(from) = (y + k).checked_sub(RADIUS).filter(|from| *from < h) else { continue };
                for (to, from) in row.iter_mut().zip(&across[from * w..(from + 1) * w]) {
                    *to += *tap * *from;
                }
            }
        }
        out
    }
}
