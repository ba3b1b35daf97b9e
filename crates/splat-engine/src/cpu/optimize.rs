//! Adam and SSIM on host memory, behind the ABI's structs.
#![expect(unsafe_code, reason = "turns the ABI's pointers into slices")]

use splat_core as core;

use super::memory::{check_size, extent, optional, required, slice, slice_mut, write};
use super::refused;
use crate::abi;
use crate::engine::EngineError;

/// # Safety
/// As [`crate::Engine::adam`].
pub(super) unsafe fn adam(args: &mut abi::AdamArgs) -> Result<(), EngineError> {
    check_size("splat_adam_args", args.struct_size, abi::size::<abi::AdamArgs>())?;
    let rows = extent("rows", args.rows)?;
    if !(1..=abi::MAX_ADAM_GROUPS).contains(&args.group_count) {
        return Err(EngineError::InvalidArgument(format!(
            "`group_count` is {}, but must be 1 to {}",
            args.group_count,
            abi::MAX_ADAM_GROUPS
        )));
    }
    required("groups", args.groups)?;
    // SAFETY: not null, of that many groups; `visible` is null or has a number a row, by the caller's word.
    let (groups, visible) = unsafe {
        let visible = (!args.visible.is_null()).then(|| slice(args.visible, rows));
        (slice(args.groups, args.group_count as usize), visible)
    };
    for g in groups {
        let width = extent("width", g.width)?;
        let step = u64::try_from(g.step).unwrap_or(0);
        let with = core::Adam { step, lr: g.lr, beta1: g.beta1, beta2: g.beta2, eps: g.eps };
        let len = rows * width;
        if len > 0 {
            required("param", g.param)?;
            required("grad", g.grad)?;
            required("exp_avg", g.exp_avg)?;
            required("exp_avg_sq", g.exp_avg_sq)?;
        }
        // SAFETY: four distinct tensors `[rows, width]`, by the caller's word.
        let tensor = unsafe {
            core::AdamTensor {
                param: slice_mut(g.param, len),
                grad: slice(g.grad, len),
                exp_avg: slice_mut(g.exp_avg, len),
                exp_avg_sq: slice_mut(g.exp_avg_sq, len),
                width,
            }
        };
        core::adam(tensor, visible, &with).map_err(refused)?;
    }
    Ok(())
}

/// # Safety
/// As [`crate::Engine::ssim_forward`].
pub(super) unsafe fn ssim_forward(args: &mut abi::SsimArgs) -> Result<(), EngineError> {
    let (shape, len) = ssim_shape(args)?;
    // SAFETY: `[planes,H,W]`, by the caller's word.
    let (image, target) = unsafe { (slice(args.image, len), slice(args.target, len)) };
    let out = match args.lambda_dssim {
        0.0 => core::ssim(image, target, shape),
        lambda => core::photometric(image, target, shape, lambda),
    };
    let out = out.map_err(refused)?;
    // SAFETY: outputs are null or of the extents that the header states.
    unsafe {
        write(args.map, 0, &out.map);
        write(args.mean, 0, &[out.mean]);
        write(args.partials, 0, &out.partials);
    }
    Ok(())
}

/// # Safety
/// As [`crate::Engine::ssim_backward`].
pub(super) unsafe fn ssim_backward(args: &mut abi::SsimArgs) -> Result<(), EngineError> {
    let (shape, len) = ssim_shape(args)?;
    if len > 0 {
        required("partials", args.partials)?;
        required("grad_image", args.grad_image)?;
    }
    // SAFETY: of the extents that the header states, by the caller's word.
    let (image, target, partials, grad_mean, grad_map) = unsafe {
        let grad_mean = optional(args.grad_mean, 0, 1).map_or(0.0, |g| g[0]);
        let (image, target) = (slice(args.image, len), slice(args.target, len));
        (image, target, slice(args.partials, 3 * len), grad_mean, optional(args.grad_map, 0, len))
    };
    let out = match args.lambda_dssim {
        0.0 => core::ssim_backward(image, target, partials, shape, grad_mean, grad_map),
        l => core::photometric_backward(image, target, partials, shape, l, grad_mean, grad_map),
    };
    let out = out.map_err(refused)?;
    // SAFETY: `[planes,H,W]`, by the caller's word.
    unsafe { write(args.grad_image, 0, &out) };
    Ok(())
}

/// The extent of a call, and of one of its images.
fn ssim_shape(args: &abi::SsimArgs) -> Result<(core::SsimShape, usize), EngineError> {
    check_size("splat_ssim_args", args.struct_size, abi::size::<abi::SsimArgs>())?;
    let planes = extent("planes", args.planes)?;
    if !(0.0..=1.0).contains(&args.lambda_dssim) {
        return Err(EngineError::InvalidArgument(format!(
            "`lambda_dssim` is {}, but must be 0 to 1",
            args.lambda_dssim
        )));
    }
    let side = |n: i32| usize::try_from(n).ok().filter(|n| *n > 0);
    let (Some(width), Some(height)) = (side(args.width), side(args.height)) else {
        return Err(EngineError::InvalidArgument(format!(
            "the image is {}x{} pixels, but both sides must be at least 1",
            args.width, args.height
        )));
    };
    let len = planes * width * height;
    if len > 0 {
        required("image", args.image)?;
        required("target", args.target)?;
    }
    Ok((core::SsimShape { planes, width, height, valid: args.valid != 0 }, len))
}
