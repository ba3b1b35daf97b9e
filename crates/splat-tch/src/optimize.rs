//! What training needs besides rendering: the mean SSIM, the photometric loss and a fused Adam step by the same engines, and
//! gradients without a change of threads.

use splat_engine::{Features, SharedEngine};
use tch::{Device, Kind, Tensor};

use crate::check::{kind, same_device};
use crate::ffi::{self, OneThread, SsimFrame};
use crate::{EngineChoice, Error, engines};

/// One parameter tensor of [`adam_step`]: four dense `Float32` tensors of one shape `[P, ...]`, and the constants of
/// this step (Kingma and Ba 2015, algorithm 1).
#[derive(Debug, Clone, Copy)]
pub struct AdamGroup<'a> {
    /// Updated in place.
    pub param: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// First moment, updated in place.
    pub exp_avg: &'a Tensor,
    /// Second moment, updated in place.
    pub exp_avg_sq: &'a Tensor,
    /// Number of this update, from 1.
    pub step: i64,
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Beside the root.
    pub eps: f32,
}

/// Gradients of the scalar `loss` for each of `leaves`, undefined where the loss does not depend on one; nothing is added up
/// in the leaves' `grad`. The graph is freed.
///
/// The graph runs on the calling thread. `backward()` gives the part of it that is on a GPU to another thread and waits: in
/// a step of a millisecond the two handovers are a third of its time.
///
/// # Errors
/// What the graph's operations refuse, with their text.
pub fn gradients(loss: &Tensor, leaves: &[&Tensor]) -> Result<Vec<Tensor>, Error> {
    let _here = OneThread::enter();
    Ok(Tensor::f_run_backward(&[loss], leaves, false, false)?)
}

/// Updates one to eight parameter tensors of the same `P` rows in one call. With `visible` (`[P]` `Int`, such as the
/// radii of a render) rows with 0 are left alone, moments too.
///
/// # Errors
/// [`Error`] for tensors that do not agree; an engine without optimiser.
pub fn adam_step(
    groups: &[AdamGroup<'_>],
    visible: Option<&Tensor>,
    engine: &EngineChoice,
) -> Result<(), Error> {
    let Some(first) = groups.first() else { return Ok(()) };
    if groups.len() > 8 {
        return Err(Error::Settings(format!(
            "{} Adam groups are given, but a step takes 1 to 8",
            groups.len()
        )));
    }
    let device = first.param.device();
    let rows = first.param.size().first().copied().unwrap_or(0);
    for g in groups {
        let shape = g.param.size();
        if shape.first() != Some(&rows) {
            let needed = format!("the first group has {rows} rows: [{rows}, ...]");
            return Err(Error::Shape { input: "param", found: shape, needed });
        }
        let tensors =
            [("param", g.param), ("grad", g.grad), ("exp_avg", g.exp_avg), ("exp_avg_sq", g.exp_avg_sq)];
        for (name, t) in tensors {
            kind(name, t)?;
            same_device(name, t.device(), device)?;
            if t.size() != shape {
                let needed = format!("its `param` has {shape:?}");
                return Err(Error::Shape { input: name, found: t.size(), needed });
            }
            if !t.is_contiguous() {
                return Err(Error::Settings(format!(
                    "`{name}` is not contiguous, but Adam changes its memory; hint: .contiguous()"
                )));
            }
        }
    }
    if let Some(visible) = visible {
        same_device("visible", visible.device(), device)?;
        if visible.size() != [rows] || visible.f_kind()? != Kind::Int || !visible.is_contiguous() {
            return Err(Error::Settings(format!(
                "`visible` is {:?} of shape {:?}, but must be Int32 of shape [{rows}], contiguous",
                visible.f_kind()?,
                visible.size()
            )));
        }
    }
    let engine = optimizer(engine, device, "`param`")?;
    ffi::adam(&engine, device, rows, groups, visible)
}

/// Mean structural similarity of two images `[..., H, W]`, a scalar that is differentiable in `image`, once: the
/// window is 11x11 Gaussian of sigma 1.5 over zeros outside (Wang et al. 2004). With `valid` the mean is over the
/// pixels at least 5 from every border, where the window sees no such zeros.
///
/// # Errors
/// [`Error`] for tensors that do not agree, or a target that requires a gradient; an engine without it.
pub fn ssim(image: &Tensor, target: &Tensor, valid: bool, engine: &EngineChoice) -> Result<Tensor, Error> {
    compare("ssim", image, target, valid, 0.0, engine)
}

/// `(1 - lambda) mean |image - target| + lambda (1 - mean SSIM)` (Kerbl et al. 2023, equation 7) of two images
/// `[..., H, W]`, a scalar that is differentiable in `image`, once; [`ssim`] tells of which similarity. `lambda` is over 0
/// and up to 1.
///
/// # Errors
/// As [`ssim`]; a `lambda` out of range.
pub fn photometric(
    image: &Tensor,
    target: &Tensor,
    lambda: f32,
    engine: &EngineChoice,
) -> Result<Tensor, Error> {
    if lambda > 0.0 && lambda <= 1.0 {
        return compare("photometric", image, target, false, lambda, engine);
    }
    Err(Error::Settings(format!("`lambda` is {lambda}, but must be over 0 and up to 1")))
}

fn compare(
    operation: &str,
    image: &Tensor,
    target: &Tensor,
    valid: bool,
    lambda: f32,
    engine: &EngineChoice,
) -> Result<Tensor, Error> {
    kind("image", image)?;
    kind("target", target)?;
    same_device("target", target.device(), image.device())?;
    let shape = image.size();
    if target.size() != shape {
        let needed = format!("`image` has {shape:?}");
        return Err(Error::Shape { input: "target", found: target.size(), needed });
    }
    let graph = ffi::grad_enabled();
    if graph && target.requires_grad() {
        return Err(Error::Settings(format!(
            "`target` requires a gradient, but {operation}() gives one to `image` alone; hint: .detach()"
        )));
    }
    let side = |n: i64| i32::try_from(n).ok().filter(|n| *n > 0);
    let [planes @ .., height, width] = shape.as_slice() else {
        return Err(Error::Shape { input: "image", found: shape, needed: "images need [..., H, W]".into() });
    };
    let (Some(height), Some(width)) = (side(*height), side(*width)) else {
        return Err(Error::Shape { input: "image", found: shape, needed: "a side is 1 to 2^31 - 1".into() });
    };
    let device = image.device();
    let frame = SsimFrame {
        engine: optimizer(engine, device, "`image`")?,
        device,
        planes: planes.iter().product(),
        width,
        height,
        valid,
        lambda,
    };
    ffi::ssim(frame, image, target, graph && image.requires_grad())
}

/// An engine for tensors of `device` that has Adam and SSIM.
fn optimizer(choice: &EngineChoice, device: Device, input: &str) -> Result<SharedEngine, Error> {
    let engine = engines::choose(choice, device, input)?;
    let capabilities = engine.capabilities();
    if capabilities.features.contains(Features::OPTIMIZE) {
        return Ok(engine);
    }
    Err(Error::Settings(format!(
        "engine `{}` has neither Adam nor SSIM; hint: cargo xtask build --engines cpu,cuda",
        capabilities.name
    )))
}
