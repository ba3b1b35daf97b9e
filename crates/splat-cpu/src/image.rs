//! SSIM and the photometric loss on host memory.
#![expect(unsafe_code, reason = "turns the ABI's pointers into slices")]

use splat_core as core;
use splat_engine::{EngineError, abi};

use crate::memory::{extent, optional, required, slice, write};
use crate::{invalid, refused};

/// The image and the target of a call, and their extent.
struct Images<'a> {
    shape: core::SsimShape,
    image: &'a [f32],
    target: &'a [f32],
}

impl Images<'_> {
    /// # Safety
    /// `image` and `target` are null or `[planes,H,W]` and outlive the result.
    unsafe fn read(
        planes: i64,
        [width, height]: [i32; 2],
        valid: u32,
        image: *const f32,
        target: *const f32,
    ) -> Result<Self, EngineError> {
        let planes = extent("planes", planes)?;
        let side = |n: i32| usize::try_from(n).ok().filter(|n| *n > 0);
        let (Some(w), Some(h)) = (side(width), side(height)) else {
            return invalid(format!(
                "the image is {width}x{height} pixels, but both sides must be at least 1"
            ));
        };
        let Some(len) = w.checked_mul(h).and_then(|n| n.checked_mul(planes)) else {
            return invalid(format!(
                "{planes} planes of {width}x{height} pixels are more than memory can hold"
            ));
        };
        if len > 0 {
            required("image", image)?;
            required("target", target)?;
        }
        let shape = core::SsimShape { planes, width: w, height: h, valid: valid != 0 };
        // SAFETY: as the caller guarantees.
        Ok(unsafe { Self { shape, image: slice(image, len), target: slice(target, len) } })
    }

    /// What forward kept, and whether there is a place for the gradient.
    ///
    /// # Safety
    /// `partials` is null or `[3,planes,H,W]` and outlives `'a`.
    unsafe fn partials<'a>(
        &self,
        partials: *const f32,
        grad_image: *mut f32,
    ) -> Result<&'a [f32], EngineError> {
        if !self.image.is_empty() {
            required("partials", partials)?;
            required("grad_image", grad_image)?;
        }
        // SAFETY: as the caller guarantees.
        Ok(unsafe { slice(partials, 3 * self.image.len()) })
    }
}

/// # Safety
/// As [`splat_engine::Engine::ssim`].
pub(crate) unsafe fn ssim(args: &abi::SsimArgs) -> Result<(), EngineError> {
    // SAFETY: the caller vouches for every pointer in `args`; outputs are null or of the extents of the header.
    unsafe {
        let call = ssim_images(args)?;
        let out = core::ssim(call.image, call.target, call.shape).map_err(refused)?;
        write(args.map, 0, &out.map);
        write(args.mean, 0, &[out.mean]);
        write(args.partials, 0, &out.partials);
    }
    Ok(())
}

/// # Safety
/// As [`splat_engine::Engine::ssim_backward`].
pub(crate) unsafe fn ssim_backward(args: &abi::SsimArgs) -> Result<(), EngineError> {
    // SAFETY: as in `ssim`.
    unsafe {
        let call = ssim_images(args)?;
        let partials = call.partials(args.partials, args.grad_image)?;
        let grad_mean = optional(args.grad_mean, 0, 1).map_or(0.0, |g| g[0]);
        let grad_map = optional(args.grad_map, 0, call.image.len());
        let out = core::ssim_backward(call.image, call.target, partials, call.shape, grad_mean, grad_map);
        write(args.grad_image, 0, &out.map_err(refused)?);
    }
    Ok(())
}

/// # Safety
/// As [`splat_engine::Engine::photometric`].
pub(crate) unsafe fn photometric(args: &abi::PhotometricArgs) -> Result<(), EngineError> {
    required("loss", args.loss)?;
    // SAFETY: as in `ssim`.
    unsafe {
        let call = photometric_images(args)?;
        let out = core::photometric(call.image, call.target, call.shape, args.lambda_dssim);
        let out = out.map_err(refused)?;
        write(args.loss, 0, &[out.mean]);
        write(args.partials, 0, &out.partials);
    }
    Ok(())
}

/// # Safety
/// As [`splat_engine::Engine::photometric_backward`].
pub(crate) unsafe fn photometric_backward(args: &abi::PhotometricArgs) -> Result<(), EngineError> {
    required("grad_loss", args.grad_loss)?;
    // SAFETY: as in `ssim`; `grad_loss` is not null.
    unsafe {
        let call = photometric_images(args)?;
        let partials = call.partials(args.partials, args.grad_image)?;
        let (lambda, grad) = (args.lambda_dssim, *args.grad_loss);
        let out =
            core::photometric_backward(call.image, call.target, partials, call.shape, lambda, grad, None);
        write(args.grad_image, 0, &out.map_err(refused)?);
    }
    Ok(())
}

/// # Safety
/// As [`splat_engine::Engine::ssim`].
unsafe fn ssim_images<'a>(args: &abi::SsimArgs) -> Result<Images<'a>, EngineError> {
    // SAFETY: forwarded from the caller.
    unsafe {
        abi::read(args.context, "context")?;
        Images::read(args.planes, [args.width, args.height], args.valid, args.image, args.target)
    }
}

/// # Safety
/// As [`splat_engine::Engine::photometric`].
unsafe fn photometric_images<'a>(args: &abi::PhotometricArgs) -> Result<Images<'a>, EngineError> {
    if !(0.0..=1.0).contains(&args.lambda_dssim) {
        return invalid(format!("`lambda_dssim` is {}, but must be 0 to 1", args.lambda_dssim));
    }
    // SAFETY: forwarded from the caller.
    unsafe {
        abi::read(args.context, "context")?;
        Images::read(args.planes, [args.width, args.height], args.valid, args.image, args.target)
    }
}
