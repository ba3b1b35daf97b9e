//! Losses: how far a render is from its photograph. Images are `[3,H,W]`, 0 to 1; every loss is a scalar tensor.
//! Parameter regularisers build no graph; they add their gradient directly.

use splat_tch::Backend;
use tch::{Kind, Reduction, Tensor};

use crate::{Error, Gaussians, Result};

/// What a step compares.
#[derive(Debug)]
#[non_exhaustive]
pub struct Comparison<'a> {
    /// The render with the exposure of its view and the response of its camera, `[3,H,W]`; not clamped. It has a graph.
    pub image: &'a Tensor,
    /// The photograph, `[3,H,W]`, 0 to 1, over the background where it is transparent.
    pub target: &'a Tensor,
    /// The weight of each pixel, `[1,H,W]`, 0 to 1, if the view has a mask.
    pub mask: Option<&'a Tensor>,
    /// The step, counted from 1.
    pub step: u64,
    /// Where and by what to compute.
    pub backend: &'a Backend,
}

/// A loss for [`Trainer`](crate::Trainer).
///
/// ```
/// use splat_train::{Comparison, Loss, Result};
/// use tch::{Kind, Tensor};
///
/// #[derive(Debug)]
/// struct SquaredError;
///
/// impl Loss for SquaredError {
///     fn loss(&self, of: &Comparison<'_>) -> Result<Tensor> {
///         Ok((of.image - of.target).square().mean(Kind::Float))
///     }
/// }
/// ```
pub trait Loss: std::fmt::Debug + Send {
    /// The loss, a scalar with a graph back to `of.image`.
    ///
    /// # Errors
    /// Torch's, for example for shapes that differ.
    fn loss(&self, of: &Comparison<'_>) -> Result<Tensor>;
}

/// The loss of the published method: [`photometric`], with the mask on both images if there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Photometric {
    /// Weight of D-SSIM against L1, 0 to 1.
    pub lambda: f64,
}

impl Default for Photometric {
    /// The published weight, 0.2.
    fn default() -> Self {
        Self { lambda: 0.2 }
    }
}

impl Loss for Photometric {
    fn loss(&self, of: &Comparison<'_>) -> Result<Tensor> {
        match of.mask {
            None => photometric(of.backend, of.image, of.target, self.lambda),
            Some(mask) => {
                photometric(of.backend, &of.image.f_mul(mask)?, &of.target.f_mul(mask)?, self.lambda)
            }
        }
    }
}

/// `(1 - lambda) L1 + lambda (1 - SSIM)` (Kerbl et al. 2023, equation 7) of two images `[3,H,W]`; the window of SSIM sees
/// zeros outside the images.
///
/// # Errors
/// [`Error::Render`] for shapes that differ, or a backend without the loss.
pub fn photometric(backend: &Backend, image: &Tensor, target: &Tensor, lambda: f64) -> Result<Tensor> {
    if lambda == 0.0 {
        return Ok(image.f_sub(target)?.f_abs()?.f_mean(Kind::Float)?);
    }
    // One call of the engine: for images of this size, launching torch's operations takes longer than running them.
    Ok(splat_tch::photometric(backend, image, target, lambda as f32)?)
}

/// Mean over all pixels of the absolute difference of two inverse depths `[1,H,W]`; 0 where `target` is 0, which means
/// unknown.
///
/// # Errors
/// Torch's, for example for shapes that differ.
pub fn inverse_depth(rendered: &Tensor, target: &Tensor) -> Result<Tensor> {
    let known = target.f_gt(0.0)?;
    Ok(rendered.f_sub(target)?.f_mul(&known)?.f_abs()?.f_mean(Kind::Float)?)
}

/// Adds to `gradients`, in the order of [`PARAMETERS`](crate::PARAMETERS), those of `opacity` x mean opacity + `scale` x mean
/// standard deviation (Kheradmand et al. 2024): Gaussians that no photograph needs fade and shrink.
///
/// With `o` the sigmoid of a logit and `s` the exponential of a log-scale of `P` Gaussians the gradients are
/// `opacity o (1 - o) / P` and `scale s / 3P`. They are added in place and without a graph, because this runs in every step.
///
/// # Errors
/// [`Error::Settings`] unless there are six gradients; torch's.
pub fn regularize(gaussians: &Gaussians, gradients: &mut [Tensor], opacity: f64, scale: f64) -> Result<()> {
    let _guard = tch::no_grad_guard();
    let count = gaussians.total().max(1) as f64;
    let [_, _, _, of_opacity, of_scales, _] = gradients else {
        let found = gradients.len();
        return Err(Error::Settings(format!("{found} gradients are given, but Gaussians have 6 parameters")));
    };
    let add = |gradient: &mut Tensor, term: Tensor| -> Result<()> {
        if gradient.defined() {
            let _ = gradient.f_add_(&term)?;
        } else {
            *gradient = term;
        }
        Ok(())
    };
    if opacity > 0.0 {
        let o = gaussians.opacities()?;
        let term = o.f_sub(&o.f_square()?)?.f_mul_scalar_(opacity / count)?;
        add(of_opacity, term)?;
    }
    if scale > 0.0 {
        add(of_scales, gaussians.scales()?.f_mul_scalar_(scale / (3.0 * count))?)?;
    }
    Ok(())
}

/// Peak signal-to-noise ratio in decibels of `image`, clamped to 0 to 1, against `target`: a scalar tensor, infinite for
/// equal images.
///
/// # Errors
/// Torch's, for example for shapes that differ.
pub fn psnr(image: &Tensor, target: &Tensor) -> Result<Tensor> {
    let mse = image.f_detach()?.f_clamp(0.0, 1.0)?.f_mse_loss(target, Reduction::Mean)?;
    Ok(mse.f_log10()?.f_mul_scalar(-10.0)?)
}

#[cfg(test)]
mod tests {
    use tch::Device;

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

    fn ssim(image: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(splat_tch::ssim(&Backend::cpu(), image, target, false)?)
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
        for (h, w) in SIZES {
            let ((a, ta), (b, tb)) = (image(h, w, 1), image(h, w, 2));
            let ours = ssim(&ta, &tb).unwrap().double_value(&[]);
            let expected = reference(&a, &b, h, w);
            assert!((ours - expected).abs() < 2e-5, "{h}x{w}: {ours} {expected}");
            let same = ssim(&ta, &ta).unwrap().double_value(&[]);
            assert!((same - 1.0).abs() < 1e-5);
        }
    }

    /// The gradient against central differences of the f64 definition.
    #[test]
    fn the_loss_descends_where_its_gradient_says() {
        let (h, w) = (9, 8);
        let ((a, ta), (b, tb)) = (image(h, w, 3), image(h, w, 4));
        let leaf = ta.copy().set_requires_grad(true);
        let loss = photometric(&Backend::cpu(), &leaf, &tb, 0.2).unwrap();
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
    fn masked_pixels_do_not_count() {
        let ((_, a), (_, b)) = (image(12, 10, 1), image(12, 10, 2));
        let mask = Tensor::ones([1, 12, 10], (Kind::Float, Device::Cpu));
        let _ = mask.narrow(2, 4, 6).fill_(0.0);
        let backend = Backend::cpu();
        let loss = |target: &Tensor| {
            let of = Comparison { image: &a, target, mask: Some(&mask), step: 1, backend: &backend };
            Photometric::default().loss(&of).unwrap().double_value(&[])
        };
        let elsewhere = b.copy();
        let _ = elsewhere.narrow(2, 4, 6).fill_(0.9);
        assert!(loss(&b) > 0.0);
        assert_eq!(loss(&elsewhere), loss(&b));
    }

    /// Against the graph of the formula: added to a gradient that was there, and in place of an undefined one.
    #[test]
    fn regularizers_add_the_gradients_of_the_means() {
        let floats = (Kind::Float, Device::Cpu);
        let shapes: [&[i64]; 6] = [&[7, 3], &[7, 1, 3], &[7, 0, 3], &[7, 1], &[7, 3], &[7, 4]];
        let mut rng = fastrand::Rng::with_seed(5);
        let mut values = |s: &[i64]| {
            let n = s.iter().product::<i64>();
            Tensor::from_slice(&(0..n).map(|_| 2.0 * rng.f32() - 1.0).collect::<Vec<_>>()).view(s)
        };
        let gaussians = Gaussians::from_parameters(shapes.map(&mut values)).unwrap();
        let formula = gaussians.opacities().unwrap().mean(Kind::Float) * 0.3
            + gaussians.scales().unwrap().mean(Kind::Float) * 0.7;
        let expected = crate::gradients(&formula, &gaussians.parameters()[3..5]).unwrap();
        let mut found = shapes.map(|s| Tensor::ones(s, floats));
        found[4] = Tensor::new();
        regularize(&gaussians, &mut found, 0.3, 0.7).unwrap();
        let apart = |a: Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        assert!(apart(&found[3] - 1.0, &expected[0]) < 1e-7);
        assert!(apart(found[4].shallow_clone(), &expected[1]) < 1e-7);
        assert_eq!(apart(found[0].shallow_clone(), &Tensor::ones([7, 3], floats)), 0.0);
    }

    #[test]
    fn unknown_depths_add_no_loss() {
        let rendered = Tensor::from_slice(&[0.5f32, 0.5]).view([1, 1, 2]);
        let target = Tensor::from_slice(&[0.0f32, 0.1]).view([1, 1, 2]);
        assert!((inverse_depth(&rendered, &target).unwrap().double_value(&[]) - 0.2).abs() < 1e-7);
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
