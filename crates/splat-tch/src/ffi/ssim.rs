//! SSIM and the photometric loss by an engine on tensors: forward with the node that remembers it, and backward.
//!
//! Pointers are of the tensors' device.
#![expect(unsafe_code, reason = "hands tensors to an engine as pointers")]

use splat_engine::{SharedEngine, abi};
use tch::{Device, Kind, Tensor};

use super::call::{Call, Kept, attach, guarded};
use super::memory::Arena;
use super::scope::Scope;
use crate::Error;

/// One comparison besides its tensors.
#[derive(Clone)]
pub(crate) struct SsimFrame {
    pub(crate) engine: SharedEngine,
    pub(crate) device: Device,
    pub(crate) planes: i64,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) valid: bool,
    /// Of the photometric loss; 0: the mean similarity is wanted.
    pub(crate) lambda: f32,
}

/// What the autograd node keeps.
pub(super) struct SsimCall(SsimFrame);

impl SsimFrame {
    fn args(&self, image: &Tensor, target: &Tensor) -> abi::SsimArgs {
        abi::SsimArgs {
            planes: self.planes,
            width: self.width,
            height: self.height,
            valid: u32::from(self.valid),
            lambda_dssim: self.lambda,
            image: image.data_ptr().cast(),
            target: target.data_ptr().cast(),
            ..abi::SsimArgs::EMPTY
        }
    }
}

/// The mean similarity or the loss, a scalar; with `graph` linked to `image`. Both images are dense, of `frame`'s extent.
pub(crate) fn ssim(frame: SsimFrame, image: &Tensor, target: &Tensor, graph: bool) -> Result<Tensor, Error> {
    let floats = (Kind::Float, frame.device);
    let mean = Tensor::f_empty([0_i64; 0], floats)?;
    let extent = [3, frame.planes, i64::from(frame.height), i64::from(frame.width)];
    let partials = graph.then(|| Tensor::f_empty(extent, floats)).transpose()?;
    let (plain, other) = (image.f_detach()?.f_contiguous()?, target.f_detach()?.f_contiguous()?);
    let arena = Arena::new(frame.device);
    let scope = Scope::enter(frame.device)?;
    let mut args = abi::SsimArgs {
        context: scope.context(&arena),
        mean: mean.data_ptr().cast(),
        partials: partials.as_ref().map_or(std::ptr::null_mut(), |t| t.data_ptr().cast()),
        ..frame.args(&plain, &other)
    };
    // SAFETY: pointers of living tensors on the engine's device, of checked shapes; outputs are fresh.
    let done = guarded(&frame.engine, || unsafe { frame.engine.ssim_forward(&mut args) });
    drop(scope);
    done.map_err(|e| Error::engine(&frame.engine, e, arena.finish().1))?;
    let Some(partials) = partials else { return Ok(mean) };
    // The image as given, so that a change in place is noticed.
    let kept = [image, &other, &partials];
    let mut linked = attach(Call::Ssim(SsimCall(frame)), &[Some(image)], &[mean], &[], &kept)?;
    linked.pop().ok_or_else(|| Error::Torch("the autograd node lost an output".into()))
}

impl SsimCall {
    /// For errors.
    pub(super) fn operation(&self) -> &'static str {
        if self.0.lambda == 0.0 { "ssim()" } else { "photometric()" }
    }

    pub(super) fn backward(
        &self,
        kept: &mut Kept<'_>,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>, Error> {
        let Self(frame) = self;
        let (Some(Some(upstream)), [true, ..]) = (upstream.first(), wanted) else { return Ok(Vec::new()) };
        let (image, target, partials) =
            (kept.next()?.f_detach()?.f_contiguous()?, kept.next()?, kept.next()?);
        let upstream = upstream.f_detach()?.f_contiguous()?;
        let gradient = Tensor::f_empty(image.size(), (Kind::Float, frame.device))?;
        let arena = Arena::new(frame.device);
        let scope = Scope::enter(frame.device)?;
        let mut args = abi::SsimArgs {
            context: scope.context(&arena),
            partials: partials.data_ptr().cast(),
            grad_mean: upstream.data_ptr().cast(),
            grad_image: gradient.data_ptr().cast(),
            ..frame.args(&image, target)
        };
        // SAFETY: as in `ssim`; the node kept the tensors, and torch's version counters have told that they are
        // unchanged.
        let done = guarded(&frame.engine, || unsafe { frame.engine.ssim_backward(&mut args) });
        drop(scope);
        done.map_err(|e| Error::engine(&frame.engine, e, arena.finish().1))?;
        Ok(vec![Some(gradient)])
    }
}
