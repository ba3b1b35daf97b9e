//! The photometric loss and the metrics: L1, SSIM (Wang et al. 2004), PSNR. Images `[3,H,W]`, 0 to 1.

use tch::{Device, Kind, Reduction, Tensor};

use crate::Result;

const RADIUS: i64 = 5;
const SIGMA: f64 = 1.5;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// Structural similarity with an 11x11 Gaussian window of sigma 1.5 and zeros beyond the border, averaged
/// over pixels and channels. The window is separable: two passes of 11 weights.
///
/// Depth-wise convolutions: on CUDA, torch computes those of floats in full precision, while others may be
/// rounded to TF32, whose 10 bits are too few for a variance of nearly equal colours.
#[derive(Debug)]
pub struct Ssim {
    /// `[9,1,1,11]` and `[9,1,11,1]`: room for three images of three channels.
    across: Tensor,
    down: Tensor,
}

impl Ssim {
    /// Puts the window on `device`.
    ///
    /// # Errors
    /// Torch's.
    pub fn new(device: Device) -> Result<Self> {
        let weight = |x: i64| (-(x * x) as f64 / (2.0 * SIGMA * SIGMA)).exp();
        let sum: f64 = (-RADIUS..=RADIUS).map(weight).sum();
        let window: Vec<f32> = (-RADIUS..=RADIUS).map(|x| (weight(x) / sum) as f32).collect();
        let window = Tensor::f_from_slice(&window.repeat(9))?.f_to_device(device)?;
        let size = 2 * RADIUS + 1;
        Ok(Self { across: window.f_view([9, 1, 1, size])?, down: window.f_view([9, 1, size, 1])? })
    }

    /// Windowed mean of each channel of images `[3,H,W]`, up to three of them, joined: `[C,H,W]`.
    fn blur(&self, images: &[&Tensor]) -> Result<Tensor> {
        let none: Option<&Tensor> = None;
        let joined = Tensor::f_cat(images, 0)?;
        let channels = joined.size()[0];
        let pass = |t: &Tensor, window: &Tensor, padding: [i64; 2]| {
            t.f_conv2d(&window.f_narrow(0, 0, channels)?, none, [1, 1], padding, [1, 1], channels)
        };
        let across = pass(&joined.f_unsqueeze(0)?, &self.across, [0, RADIUS])?;
        Ok(pass(&across, &self.down, [RADIUS, 0])?.f_squeeze_dim(0)?)
    }

    /// SSIM of two images `[3,H,W]`, a scalar; differentiable in `image` alone.
    ///
    /// # Errors
    /// Torch's, such as for shapes that differ.
    pub fn compare(&self, image: &Tensor, target: &Tensor) -> Result<Tensor> {
        let target = &target.f_detach()?;
        let of_image = self.blur(&[image, &image.f_square()?, &image.f_mul(target)?])?;
        let of_target = self.blur(&[target, &target.f_square()?])?;
        let part = |t: &Tensor, k: i64| t.f_narrow(0, 3 * k, 3);
        let (mean_a, mean_b) = (part(&of_image, 0)?, part(&of_target, 0)?);
        let mean_ab = mean_a.f_mul(&mean_b)?;
        let means = mean_a.f_square()?.f_add(&mean_b.f_square()?)?;
        let covariance = part(&of_image, 2)?.f_sub(&mean_ab)?;
        let variances = part(&of_image, 1)?.f_add(&part(&of_target, 1)?)?.f_sub(&means)?;
        let twice_plus = |t: &Tensor, c: f64| t.f_mul_scalar(2.0)?.f_add_scalar(c);
        let above = twice_plus(&mean_ab, C1)?.f_mul(&twice_plus(&covariance, C2)?)?;
        let below = means.f_add_scalar(C1)?.f_mul(&variances.f_add_scalar(C2)?)?;
        Ok(above.f_div(&below)?.f_mean(Kind::Float)?)
    }
}

/// `(1 - lambda) L1 + lambda (1 - SSIM)`, a scalar.
///
/// # Errors
/// Torch's, such as for shapes that differ.
pub fn photometric(ssim: &Ssim, image: &Tensor, target: &Tensor, lambda: f64) -> Result<Tensor> {
    let l1 = image.f_sub(target)?.f_abs()?.f_mean(Kind::Float)?.f_mul_scalar(1.0 - lambda)?;
    let similarity = ssim.compare(image, target)?.f_mul_scalar(-lambda)?;
    Ok(l1.f_add(&similarity)?.f_add_scalar(lambda)?)
}

/// Peak signal-to-noise ratio in decibels of `image`, clamped to 0 to 1; a scalar tensor, infinite for
/// equal images.
///
/// # Errors
/// Torch's, such as for shapes that differ.
pub fn psnr(image: &Tensor, target: &Tensor) -> Result<Tensor> {
    let mse = image.f_detach()?.f_clamp(0.0, 1.0)?.f_mse_loss(target, Reduction::Mean)?;
    Ok(mse.f_log10()?.f_mul_scalar(-10.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [(usize, usize); 4] = [(23, 17), (11, 11), (4, 30), (1, 1)];

    fn image(h: usize, w: usize, seed: u64) -> (Vec<f32>, Tensor) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut level = 0.5;
        let values: Vec<f32> = (0..3 * h * w)
            .map(|_| {
                level = (level + rng.f32() * 0.3 - 0.15f32).clamp(0.0, 1.0);
                level
            })
            .collect();
        let t = Tensor::from_slice(&values).view([3, h as i64, w as i64]);
        (values, t)
    }

    /// SSIM by its definition: a 2D window at every pixel, in f64.
    fn reference(a: &[f32], b: &[f32], h: usize, w: usize) -> f64 {
        let g = |x: i64| (-(x * x) as f64 / 4.5).exp();
        let norm: f64 = (-5..=5).flat_map(|y| (-5..=5).map(move |x| g(x) * g(y))).sum();
        let mut total = 0.0;
        for c in 0..3 {
            for y in 0..h as i64 {
                for x in 0..w as i64 {
                    let [mut ma, mut mb, mut aa, mut bb, mut ab] = [0.0; 5];
                    for dy in -5..=5i64 {
                        for dx in -5..=5i64 {
                            let (v, u) = (y + dy, x + dx);
                            if v < 0 || u < 0 || v >= h as i64 || u >= w as i64 {
                                continue;
                            }
                            let i = c * h * w + v as usize * w + u as usize;
                            let (p, q, k) = (f64::from(a[i]), f64::from(b[i]), g(dx) * g(dy) / norm);
                            ma += k * p;
                            mb += k * q;
                            aa += k * p * p;
                            bb += k * q * q;
                            ab += k * p * q;
                        }
                    }
                    let (va, vb, cov) = (aa - ma * ma, bb - mb * mb, ab - ma * mb);
                    total += (2.0 * ma * mb + 1e-4) * (2.0 * cov + 9e-4)
                        / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4));
                }
            }
        }
        total / (3 * h * w) as f64
    }

    #[test]
    fn ssim_is_its_definition() {
        let ssim = Ssim::new(Device::Cpu).unwrap();
        for (h, w) in SIZES {
            let ((a, ta), (b, tb)) = (image(h, w, 1), image(h, w, 2));
            let ours = ssim.compare(&ta, &tb).unwrap().double_value(&[]);
            let expected = reference(&a, &b, h, w);
            assert!((ours - expected).abs() < 2e-5, "{h}x{w}: {ours} {expected}");
            let same = ssim.compare(&ta, &ta).unwrap().double_value(&[]);
            assert!((same - 1.0).abs() < 1e-5);
        }
    }

    /// The gradient against central differences of the f64 definition.
    #[test]
    fn the_loss_descends_where_its_gradient_says() {
        let (h, w) = (9, 8);
        let ssim = Ssim::new(Device::Cpu).unwrap();
        let ((a, ta), (b, tb)) = (image(h, w, 3), image(h, w, 4));
        let leaf = ta.copy().set_requires_grad(true);
        let loss = photometric(&ssim, &leaf, &tb, 0.2).unwrap();
        let gradient = &Tensor::run_backward(&[&loss], &[&leaf], false, false)[0];
        let at = |values: &[f32]| {
            let l1: f64 = values.iter().zip(&b).map(|(x, y)| f64::from((x - y).abs())).sum();
            0.8 * l1 / values.len() as f64 + 0.2 * (1.0 - reference(values, &b, h, w))
        };
        assert!((loss.double_value(&[]) - at(&a)).abs() < 1e-5);
        for i in (0..3 * h * w).step_by(7) {
            if (a[i] - b[i]).abs() < 2e-3 {
                continue; // L1 has a corner here.
            }
            let moved = |d: f32| {
                let mut v = a.clone();
                v[i] += d;
                at(&v)
            };
            let numeric = (moved(1e-3) - moved(-1e-3)) / 2e-3;
            let ours = gradient.view(-1).double_value(&[i as i64]);
            assert!((ours - numeric).abs() < 2e-5, "{i}: {ours} {numeric}");
        }
    }

    #[test]
    fn psnr_counts_clamped_values() {
        let floats = (Kind::Float, Device::Cpu);
        let target = Tensor::full([3, 4, 4], 1.0, floats);
        let value = |x: f64| psnr(&Tensor::full([3, 4, 4], x, floats), &target).unwrap().double_value(&[]);
        assert!((value(0.9) - 20.0).abs() < 1e-4);
        assert_eq!(value(5.0), f64::INFINITY);
        assert!(psnr(&Tensor::zeros([3, 2, 2], floats), &target).is_err());
    }
}
