//! One call of an engine on tensors: forward with the node that remembers it, backward, mark_visible.
//!
//! Pointers are of the tensors' device. Nothing here keeps a lock or a thread-local across a call, since
//! backward may run on another thread, and inside another backward.
#![expect(unsafe_code, reason = "hands tensors to an engine and to C++ as pointers")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use splat_engine::{EngineError, SharedEngine, abi};
use tch::{Kind, Tensor};

use super::bridge::cpp;
use super::frame::{Frame, Inputs, PROJ};
use super::memory::Arena;
use super::scope::Scope;
use super::tensors::{borrow, clone_ref, give, take};
use crate::Error;

/// What the autograd node keeps of a forward, beside tensors.
pub(super) struct Call {
    frame: Frame,
    has_rotations: bool,
    saved: abi::Saved,
}

// SAFETY: `saved` holds addresses of buffers that the node's tensors own; they are dereferenced in `backward`
// alone, where those tensors are at hand, and the engine is Send + Sync.
unsafe impl Send for Call {}
// SAFETY: as above; nothing in a Call changes after it was made.
unsafe impl Sync for Call {}

/// Renders and links the outputs to the inputs. `camera` holds view, proj and campos (35 numbers),
/// `background` three, both contiguous. Returns color, radii, inv_depth, then depth and alpha if asked for.
pub(crate) fn forward(
    frame: Frame,
    inputs: Inputs<'_>,
    camera: &Tensor,
    background: &Tensor,
) -> Result<Vec<Tensor>, Error> {
    let (device, p) = (frame.device, frame.count);
    let (h, w) = (i64::from(frame.height), i64::from(frame.width));
    let image = |channels: i64| Tensor::f_empty([channels, h, w], (Kind::Float, device));
    let mut outputs = vec![image(3)?, Tensor::f_empty([p], (Kind::Int, device))?, image(1)?];
    for _ in 0..usize::from(frame.depth) + usize::from(frame.alpha) {
        outputs.push(image(1)?);
    }
    let at = |i: usize| outputs[i].data_ptr().cast::<f32>();
    let (depth, alpha) = (frame.depth.then_some(3), frame.alpha.then_some(3 + usize::from(frame.depth)));
    let or_null = |i: Option<usize>| i.map_or(std::ptr::null_mut(), at);

    let lent = frame.lend(&inputs)?;
    let arena = Arena::new(device);
    let scope = Scope::enter(device)?;
    let view = frame.camera(camera);
    let mut args = abi::ForwardArgs {
        context: scope.context(&arena),
        camera_count: 1,
        cameras: &raw const view,
        gaussians: frame.gaussians(&lent, camera),
        settings: frame.settings(background),
        color: at(0),
        // Torch has no address for an empty tensor, and an engine may insist on one.
        radii: if p == 0 { camera.data_ptr().cast() } else { at(1).cast() },
        inv_depth: at(2),
        depth: or_null(depth),
        alpha: or_null(alpha),
        ..abi::ForwardArgs::EMPTY
    };
    // SAFETY: every pointer is of a tensor on the engine's device whose shape was checked and which lives
    // past the call (`lent`, `camera`, `background`, `outputs`, `arena`); outputs are fresh.
    let done = guarded(&frame.engine, || unsafe { frame.engine.forward(&mut args) });
    let saved = args.saved;
    drop(scope);
    drop(lent);
    let (buffers, failure) = arena.finish();
    done.map_err(|e| Error::engine(&frame.engine, e, failure))?;

    let nodes = [
        Some(inputs.means3d),
        inputs.means2d,
        Some(inputs.opacities),
        Some(inputs.color),
        Some(inputs.shape),
        inputs.rotations,
    ];
    // The order in which `backward` finds them. Inputs are kept as they were given, not as lent: a copy made
    // for this call dies with it, and an in-place change of the original is noticed.
    let mut kept = vec![inputs.means3d, inputs.opacities, inputs.color, inputs.shape];
    kept.extend(inputs.rotations);
    kept.extend([camera, background, &outputs[1]]);
    kept.extend(&buffers);
    let call = Box::new(Call { frame, has_rotations: inputs.rotations.is_some(), saved });
    let linked = cpp::attach(
        call,
        &nodes.map(|t| borrow(t)),
        &outputs.iter().map(|t| borrow(Some(t))).collect::<Vec<_>>(),
        &kept.iter().map(|t| borrow(Some(t))).collect::<Vec<_>>(),
    )
    .map_err(|e| Error::Torch(e.what().to_owned()))?;
    linked
        .into_iter()
        .map(|t| take(t).ok_or_else(|| Error::Torch("an output came back undefined".into())))
        .collect()
}

/// The autograd node's way back into Rust. `saved` is the `kept` of [`forward`], `upstream` the gradients of
/// its outputs, `wanted` says which of the six inputs need one; returns six gradients or fewer.
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
        call.backward(&saved, &upstream, wanted)
    }));
    match result {
        Ok(Ok(gradients)) => Ok(gradients.into_iter().map(give).collect()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(panic) => Err(format!("backward of render() panicked: {}", panic_text(&*panic))),
    }
}

impl Call {
    fn backward(
        &self,
        saved: &[Option<Tensor>],
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>, Error> {
        let frame = &self.frame;
        if upstream.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let mut saved = saved.iter();
        let mut next = || {
            saved
                .next()
                .and_then(Option::as_ref)
                .ok_or_else(|| Error::Torch("the autograd node lost a saved tensor".into()))
        };
        let inputs = Inputs {
            means3d: next()?,
            means2d: None,
            opacities: next()?,
            color: next()?,
            shape: next()?,
            rotations: if self.has_rotations { Some(next()?) } else { None },
        };
        let (camera, background, radii) = (next()?, next()?, next()?);

        let lent = frame.lend(&inputs)?;
        let gradient = |i: usize, size: Vec<i64>| {
            wanted[i].then(|| Tensor::f_empty(size, (Kind::Float, frame.device))).transpose()
        };
        let means3d = gradient(0, vec![frame.count, 3])?;
        let means2d = gradient(1, vec![frame.count, 3])?;
        let opacities = gradient(2, inputs.opacities.size())?;
        let color = gradient(3, inputs.color.size())?;
        let shape = gradient(4, inputs.shape.size())?;
        let rotations = gradient(5, vec![frame.count, 4])?;
        let pointer =
            |t: &Option<Tensor>| t.as_ref().map_or(std::ptr::null_mut(), |t| t.data_ptr().cast::<f32>());
        let only = |yes: bool, t: &Option<Tensor>| if yes { pointer(t) } else { std::ptr::null_mut() };

        // Upstream gradients come in the order of the outputs; radii have none.
        let upstream = |i: Option<usize>| i.and_then(|i| upstream.get(i)?.as_ref());
        let upstream = [
            upstream(Some(0)),
            upstream(Some(2)),
            upstream(frame.depth.then_some(3)),
            upstream(frame.alpha.then_some(3 + usize::from(frame.depth))),
        ];
        let upstream = upstream.map(|t| t.map(|t| t.f_detach()?.f_contiguous()).transpose());
        let [grad_color, grad_inv_depth, grad_depth, grad_alpha] = upstream;
        let upstream = [grad_color?, grad_inv_depth?, grad_depth?, grad_alpha?];
        let [grad_color, grad_inv_depth, grad_depth, grad_alpha] = upstream
            .each_ref()
            .map(|t| t.as_ref().map_or(std::ptr::null(), |t| t.data_ptr().cast::<f32>().cast_const()));

        let sh = frame.sh_coeffs.is_some();
        let arena = Arena::new(frame.device);
        let scope = Scope::enter(frame.device)?;
        let view = frame.camera(camera);
        let mut args = abi::BackwardArgs {
            context: scope.context(&arena),
            camera_count: 1,
            cameras: &raw const view,
            gaussians: frame.gaussians(&lent, camera),
            settings: frame.settings(background),
            saved: self.saved,
            radii: if frame.count == 0 { camera.data_ptr().cast() } else { radii.data_ptr().cast() },
            grad_color,
            grad_inv_depth,
            grad_depth,
            grad_alpha,
            means3d: pointer(&means3d),
            means2d: pointer(&means2d),
            opacities: pointer(&opacities),
            sh: only(sh, &color),
            colors: only(!sh, &color),
            scales: only(self.has_rotations, &shape),
            rotations: pointer(&rotations),
            cov3d: only(!self.has_rotations, &shape),
            ..abi::BackwardArgs::EMPTY
        };
        // SAFETY: as in `forward`; the node kept inputs and buffers alive, and torch's version counters have
        // told that they are unchanged. Gradients are fresh and of their inputs' sizes.
        let done = guarded(&frame.engine, || unsafe { frame.engine.backward(&mut args) });
        drop(scope);
        done.map_err(|e| Error::engine(&frame.engine, e, arena.finish().1))?;
        Ok(vec![means3d, means2d, opacities, color, shape, rotations])
    }
}

/// Which of `means3d` `[P,3]` lie in front of the camera: `[P]` Bool.
pub(crate) fn mark_visible(
    engine: &SharedEngine,
    means3d: &Tensor,
    camera: &Tensor,
) -> Result<Tensor, Error> {
    let device = means3d.device();
    let count = means3d.size()[0];
    let visible = Tensor::f_empty([count], (Kind::Bool, device))?;
    if count == 0 {
        return Ok(visible);
    }
    let means3d = means3d.f_detach()?.f_contiguous()?;
    let matrices = camera.data_ptr().cast::<f32>().cast_const();
    let arena = Arena::new(device);
    let scope = Scope::enter(device)?;
    let mut args = abi::MarkVisibleArgs {
        struct_size: abi::size::<abi::MarkVisibleArgs>(),
        context: scope.context(&arena),
        count,
        means3d: abi::In::contiguous(means3d.data_ptr().cast(), &[count, 3]),
        view: matrices,
        proj: matrices.wrapping_add(PROJ),
        visible: visible.data_ptr().cast(),
    };
    // SAFETY: pointers of living tensors on the engine's device, of checked shapes; a Bool is one byte.
    let done = guarded(engine, || unsafe { engine.mark_visible(&mut args) });
    drop(scope);
    done.map_err(|e| Error::engine(engine, e, arena.finish().1))?;
    Ok(visible)
}

/// Runs an engine's call; its panic becomes an error.
fn guarded(engine: &SharedEngine, call: impl FnOnce() -> Result<(), EngineError>) -> Result<(), EngineError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let name = engine.capabilities().name;
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
