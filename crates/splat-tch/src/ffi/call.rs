//! What an autograd node remembers of an engine's call, and the node's way back into Rust.
//!
//! Nothing here keeps a lock or a thread-local across a call, since backward may run on another thread, and inside
//! another backward.
#![expect(unsafe_code, reason = "takes tensors from C++")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use splat_engine::{Engine, EngineError};
use tch::Tensor;

use super::bridge::cpp;
use super::image::ImageCall;
use super::render::RenderCall;
use super::tensors::{borrow, clone_ref, give, take};
use crate::{Backend, Error};

/// What the autograd node keeps of a forward pass besides tensors.
#[expect(clippy::large_enum_variant, reason = "there is one per node, in a box")]
pub(super) enum Call {
    Render(RenderCall),
    Image(ImageCall),
}

impl Call {
    /// The operation's name, for errors.
    pub(super) fn operation(&self) -> &str {
        match self {
            Self::Render(_) => "render()",
            Self::Image(call) => call.operation(),
        }
    }
}

/// Links `outputs` to `inputs` by a node that remembers `call` and `kept`. `without_gradient` are the places of the outputs that
/// are not differentiable. If there is no gradient to record, the outputs come back as they are.
pub(super) fn attach(
    call: Call,
    inputs: &[&Tensor],
    outputs: &[Tensor],
    without_gradient: &[usize],
    kept: &[&Tensor],
) -> Result<Vec<Tensor>, Error> {
    let linked = cpp::attach(
        Box::new(call),
        &inputs.iter().map(|t| borrow(t)).collect::<Vec<_>>(),
        &outputs.iter().map(borrow).collect::<Vec<_>>(),
        without_gradient,
        &kept.iter().map(|t| borrow(t)).collect::<Vec<_>>(),
    )
    .map_err(|e| Error::Torch(e.what().to_owned()))?;
    linked
        .into_iter()
        .map(|t| take(t).ok_or_else(|| Error::Torch("an output came back undefined".into())))
        .collect()
}

/// The autograd node's way back into Rust. `saved` is the `kept` of [`attach`], `upstream` the gradients of
/// its outputs, `wanted` says which of its inputs need one. Returns as many gradients as there are inputs, or fewer.
///
/// # Safety
/// The references are null or point to tensors that live through the call.
pub(super) unsafe fn backward(
    call: &Call,
    saved: &[cpp::TensorRef],
    upstream: &[cpp::TensorRef],
    wanted: &[bool],
) -> Result<Vec<cpp::OwnedTensor>, String> {
    // SAFETY: by the caller's word.
    let clone = |r: &cpp::TensorRef| unsafe { clone_ref(r) };
    let result = catch_unwind(AssertUnwindSafe(|| {
        let saved: Vec<_> = saved.iter().map(clone).collect();
        let upstream: Vec<_> = upstream.iter().map(clone).collect();
        let mut saved = Kept(saved.iter());
        match call {
            Call::Render(call) => call.backward(&mut saved, &upstream, wanted),
            Call::Image(call) => call.backward(&mut saved, &upstream, wanted),
        }
    }));
    match result {
        Ok(Ok(gradients)) => Ok(gradients.into_iter().map(give).collect()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(panic) => Err(format!("backward of {} panicked: {}", call.operation(), panic_text(&*panic))),
    }
}

/// The kept tensors, one by one.
pub(super) struct Kept<'a>(std::slice::Iter<'a, Option<Tensor>>);

impl<'a> Kept<'a> {
    pub(super) fn next(&mut self) -> Result<&'a Tensor, Error> {
        let tensor = self.0.next().and_then(Option::as_ref);
        tensor.ok_or_else(|| Error::Torch("the autograd node lost a saved tensor".into()))
    }
}

/// Runs a call of the backend's engine. A panic in it becomes an error.
pub(super) fn guarded(
    backend: &Backend,
    call: impl FnOnce(&dyn Engine) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let engine = &**backend.engine();
    catch_unwind(AssertUnwindSafe(|| call(engine))).unwrap_or_else(|panic| {
        let name = backend.name();
        Err(EngineError::Internal(format!("engine `{name}` panicked: {}", panic_text(&*panic))))
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_call_may_move_to_the_thread_that_runs_backward() {
        fn crosses_threads<T: Send + Sync + 'static>() {}
        crosses_threads::<Call>();
    }
}
