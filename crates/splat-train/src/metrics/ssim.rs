//! SSIM of every pixel, which masks need; the loss computes only its mean over all pixels.

use tch::{Kind, Tensor};

use crate::Result;

const RADIUS: i64 = 5;
const SIGMA: f64 = 1.5;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// Structural similarity (Wang et al. 2004) of two images `[3,H,W]` at every pixel and channel, `[3,H,W]`: an 11x11 Gaussian
/// window of sigma 1.5 with zeros outside the images. Its mean is the SSIM of the loss.
///
/// # Errors
/// Torch's, for example for shapes that differ.
pub fn ssim_map(image: &Tensor, photo: &Tensor) -> Result<Tensor> {
    let _guard = tch::no_grad_guard();
    let weight = |x: i64| (-(x * x) as f64 / (2.0 * SIGMA * SIGMA)).exp();
    let sum: f64 = (-RADIUS..=RADIUS).map(weight).sum();
    let window: Vec<f32> = (-RADIUS..=RADIUS).map(|x| (weight(x) / sum) as f32).collect();
    let window = Tensor::f_from_slice(&window.repeat(3))?.f_to_device(image.device())?;
    let size = 2 * RADIUS + 1;
    let (across, down) = (window.f_view([3, 1, 1, size])?, window.f_view([3, 1, size, 1])?);
    let none: Option<&Tensor> = None;
    // Depth-wise, so that a GPU computes in full precision; one image at a time, so that large images fit.
    let blur = |t: &Tensor| -> Result<Tensor> {
        let rows = t.f_unsqueeze(0)?.f_conv2d(&across, none, [1, 1], [0, RADIUS], [1, 1], 3)?;
        Ok(rows.f_conv2d(&down, none, [1, 1], [RADIUS, 0], [1, 1], 3)?.f_squeeze_dim(0)?)
    };
    let (image, photo) = (image.f_to_kind(Kind::Float)?, photo.f_to_kind(Kind::Float)?);
    let (mean_a, mean_b) = (blur(&image)?, blur(&photo)?);
    let mean_ab = mean_a.f_mul(&mean_b)?;
    let means = mean_a.f_square()?.f_add(&mean_b.f_square()?)?;
    let covariance = blur(&image.f_mul(&photo)?)?.f_sub(&mean_ab)?;
    let variances = blur(&image.f_square()?.f_add(&photo.f_square()?)?)?.f_sub(&means)?;
    let twice_plus = |t: &Tensor, c: f64| t.f_mul_scalar(2.0)?.f_add_scalar(c);
    let above = twice_plus(&mean_ab, C1)?.f_mul(&twice_plus(&covariance, C2)?)?;
    Ok(above.f_div(&means.f_add_scalar(C1)?.f_mul(&variances.f_add_scalar(C2)?)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::tests::Random;

    /// The loss, the fused kernels and the evaluation agree on the definition.
    #[test]
    fn its_mean_is_the_ssim_of_the_loss() {
        let mut random = Random::new(3);
        for (h, w) in [(23, 17), (11, 11), (4, 30), (1, 1)] {
            let mut noise = || random.uniform(&[3, h, w]);
            let (a, b) = (noise(), noise());
            let near = &a * 0.8 + &b * 0.2;
            let mean = |x: &Tensor, y: &Tensor| ssim_map(x, y).unwrap().mean(Kind::Float).double_value(&[]);
            let fused = |x: &Tensor, y: &Tensor| {
                splat_tch::ssim(&splat_tch::Backend::cpu(), x, y, false).unwrap().double_value(&[])
            };
            for (x, y) in [(&a, &b), (&a, &near), (&a, &a)] {
                assert!((mean(x, y) - fused(x, y)).abs() < 2e-5, "{h}x{w}");
            }
            assert!((mean(&a, &a) - 1.0).abs() < 1e-5);
        }
    }
}
