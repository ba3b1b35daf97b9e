//! Comparing images: the mean SSIM and the photometric loss, by the same engines that render.

use tch::Tensor;

use crate::check::{kind, same_device};
use crate::ffi::{self, Comparison, Measure};
use crate::{Backend, Error};

/// Mean structural similarity of two images `[..., H, W]` (Wang et al. 2004): an 11x11 Gaussian window of sigma 1.5 with zeros
/// outside the image. A scalar, differentiable in `image` (first derivatives only). With `valid` the mean is over the pixels at
/// least 5 away from every border, where the window sees no such zeros.
///
/// # Errors
/// [`Error`] for tensors that do not agree, a target that requires a gradient, or an engine without it.
pub fn ssim(backend: &Backend, image: &Tensor, target: &Tensor, valid: bool) -> Result<Tensor, Error> {
    compare(backend, image, target, Measure::Ssim { valid })
}

/// The photometric loss `(1 - lambda) mean |image - target| + lambda (1 - mean SSIM)` (Kerbl et al. 2023, equation 7) of two
/// images `[..., H, W]`; see [`ssim`] for the SSIM used. A scalar, differentiable in `image` (first derivatives only). `lambda` is
/// 0 to 1.
///
/// # Errors
/// As [`ssim`], and for a `lambda` out of range.
pub fn photometric(backend: &Backend, image: &Tensor, target: &Tensor, lambda: f32) -> Result<Tensor, Error> {
    if (0.0..=1.0).contains(&lambda) {
        return compare(backend, image, target, Measure::Photometric { lambda });
    }
    Err(Error::Settings(format!("`lambda` is {lambda}, but must be 0 to 1")))
}

fn compare(backend: &Backend, image: &Tensor, target: &Tensor, measure: Measure) -> Result<Tensor, Error> {
    kind("image", image)?;
    kind("target", target)?;
    backend.check_holds("image", image.device())?;
    same_device("target", target.device(), "image", image.device())?;
    let shape = image.size();
    if target.size() != shape {
        let needed = format!("`image` has {shape:?}");
        return Err(Error::Shape { input: "target", found: target.size(), needed });
    }
    let graph = ffi::grad_enabled();
    if graph && target.requires_grad() {
        return Err(Error::Settings(format!(
            "`target` requires a gradient, but {} gives one to `image` alone; hint: .detach()",
            measure.name()
        )));
    }
    let side = |n: i64| i32::try_from(n).ok().filter(|n| *n > 0);
    let [planes @ .., height, width] = shape.as_slice() else {
        return Err(Error::Shape { input: "image", found: shape, needed: "images need [..., H, W]".into() });
    };
    let (Some(height), Some(width)) = (side(*height), side(*width)) else {
        return Err(Error::Shape { input: "image", found: shape, needed: "a side is 1 to 2^31 - 1".into() });
    };
    let engine = backend.capabilities();
    if !engine.image {
        return Err(Error::Settings(format!(
            "engine `{}` does not offer {}; hint: use a backend with engine `cuda` or `cpu`",
            engine.name,
            measure.name()
        )));
    }
    let planes = planes.iter().product();
    let comparison = Comparison { backend: backend.clone(), planes, width, height, measure };
    ffi::compare(comparison, image, target, graph && image.requires_grad())
}
