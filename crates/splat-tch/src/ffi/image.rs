//! Comparisons of two images by an engine on tensors: SSIM and the photometric loss, forward with the node that remembers it,
//! and backward.
//!
//! Pointers point into the memory of the tensors' device.
#![expect(unsafe_code, reason = "hands tensors to an engine as pointers")]

use splat_engine::abi;
use tch::{Kind, Tensor};

use super::call::{Call, Kept, attach, guarded};
use super::scope::Scope;
use crate::{Backend, Error};

/// What is computed of two images.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Measure {
    Ssim { valid: bool },
    Photometric { lambda: f32 },
}

impl Measure {
    /// The function's name, for errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ssim { .. } => "ssim()",
            Self::Photometric { .. } => "photometric()",
        }
    }
}

/// A comparison besides its tensors.
pub(crate) struct Comparison {
    pub(crate) backend: Backend,
    pub(crate) planes: i64,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) measure: Measure,
}

/// What the autograd node keeps.
pub(super) struct ImageCall(Comparison);

/// Memory of one call of either pass; what is not used is null.
struct Buffers {
    image: *const f32,
    target: *const f32,
    result: *mut f32,
    partials: *mut f32,
    upstream: *const f32,
    gradient: *mut f32,
}

impl Buffers {
    const NONE: Self = Self {
        image: std::ptr::null(),
        target: std::ptr::null(),
        result: std::ptr::null_mut(),
        partials: std::ptr::null_mut(),
        upstream: std::ptr::null(),
        gradient: std::ptr::null_mut(),
    };
}

impl Comparison {
    /// Runs the engine: the backward pass if there is an upstream gradient.
    ///
    /// # Safety
    /// Non-null buffers are on the backend's device, have the sizes of the header and live through the call.
    unsafe fn run(&self, b: &Buffers) -> Result<(), Error> {
        let scope = Scope::enter(&self.backend)?;
        let context = scope.context();
        let backward = !b.upstream.is_null();
        let done = match self.measure {
            Measure::Ssim { valid } => {
                let args = abi::SsimArgs {
                    context: &raw const context,
                    valid: valid.into(),
                    planes: self.planes,
                    width: self.width,
                    height: self.height,
                    image: b.image,
                    target: b.target,
                    mean: b.result,
                    partials: b.partials,
                    grad_mean: b.upstream,
                    grad_image: b.gradient,
                    ..abi::SsimArgs::EMPTY
                };
                guarded(&self.backend, |engine| {
                    // SAFETY: by the caller's word.
                    unsafe { if backward { engine.ssim_backward(&args) } else { engine.ssim(&args) } }
                })
            }
            Measure::Photometric { lambda } => {
                let args = abi::PhotometricArgs {
                    context: &raw const context,
                    planes: self.planes,
                    width: self.width,
                    height: self.height,
                    lambda_dssim: lambda,
                    image: b.image,
                    target: b.target,
                    loss: b.result,
                    partials: b.partials,
                    grad_loss: b.upstream,
                    grad_image: b.gradient,
                    ..abi::PhotometricArgs::EMPTY
                };
                guarded(&self.backend, |engine| {
                    // SAFETY: by the caller's word.
                    unsafe {
                        if backward { engine.photometric_backward(&args) } else { engine.photometric(&args) }
                    }
                })
            }
        };
        scope.finish(&self.backend, done).map(|_| ())
    }
}

/// The mean similarity or the loss, a scalar; with `graph` it is linked to `image`. Both images are dense and of the size
/// that `comparison` says.
pub(crate) fn compare(
    comparison: Comparison,
    image: &Tensor,
    target: &Tensor,
    graph: bool,
) -> Result<Tensor, Error> {
    let floats = (Kind::Float, comparison.backend.device());
    let result = Tensor::f_empty([0_i64; 0], floats)?;
    let size = [3, comparison.planes, i64::from(comparison.height), i64::from(comparison.width)];
    let partials = graph.then(|| Tensor::f_empty(size, floats)).transpose()?;
    let (plain, other) = (image.f_detach()?.f_contiguous()?, target.f_detach()?.f_contiguous()?);
    let buffers = Buffers {
        image: plain.data_ptr().cast(),
        target: other.data_ptr().cast(),
        result: result.data_ptr().cast(),
        partials: partials.as_ref().map_or(std::ptr::null_mut(), |t| t.data_ptr().cast()),
        ..Buffers::NONE
    };
    // SAFETY: pointers of living tensors on the engine's device, of checked shapes; outputs are fresh.
    unsafe { comparison.run(&buffers)? };
    let Some(partials) = partials else { return Ok(result) };
    // The image as it was given, so that an in-place change is noticed.
    let kept = [image, &other, &partials];
    let mut linked = attach(Call::Image(ImageCall(comparison)), &[image], &[result], &[], &kept)?;
    linked.pop().ok_or_else(|| Error::Torch("the autograd node lost an output".into()))
}

impl ImageCall {
    pub(super) fn operation(&self) -> &'static str {
        self.0.measure.name()
    }

    pub(super) fn backward(
        &self,
        kept: &mut Kept<'_>,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>, Error> {
        let (Some(Some(upstream)), [true]) = (upstream.first(), wanted) else { return Ok(Vec::new()) };
        let (image, target, partials) =
            (kept.next()?.f_detach()?.f_contiguous()?, kept.next()?, kept.next()?);
        let upstream = upstream.f_detach()?.f_contiguous()?;
        let gradient = Tensor::f_empty(image.size(), (Kind::Float, self.0.backend.device()))?;
        let buffers = Buffers {
            image: image.data_ptr().cast(),
            target: target.data_ptr().cast(),
            partials: partials.data_ptr().cast(),
            upstream: upstream.data_ptr().cast(),
            gradient: gradient.data_ptr().cast(),
            ..Buffers::NONE
        };
        // SAFETY: as in `compare`; the node kept the tensors, and torch's version counters have shown that they are unchanged.
        unsafe { self.0.run(&buffers)? };
        Ok(vec![Some(gradient)])
    }
}
