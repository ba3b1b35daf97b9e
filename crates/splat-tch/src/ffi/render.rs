//! Renders by an engine on tensors: the forward pass with the node that remembers it, the backward pass, mark_visible.
//!
//! Pointers point into the memory of the tensors' device.
#![expect(unsafe_code, reason = "hands tensors to an engine as pointers")]

use splat_engine::abi;
use tch::{Kind, Tensor};

use super::call::{Call, Kept, attach, guarded};
use super::frame::{Frame, PROJ, address};
use super::scope::Scope;
use super::step::Pass;
use crate::input::PerInput;
use crate::workspace::counted;
use crate::{Backend, Counts, Error, Workspace};

/// What the autograd node keeps of a render besides tensors.
pub(super) struct RenderCall {
    frame: Frame,
    /// The inputs that there were.
    present: PerInput<bool>,
    saved: abi::Saved,
}

// SAFETY: `saved` holds addresses of buffers that the node's tensors own, and the frame's tensor is only read; both are used
// in `backward` alone, where those tensors are at hand, and the engine is Send + Sync.
unsafe impl Send for RenderCall {}
// SAFETY: as above; nothing in a RenderCall changes after it was made.
unsafe impl Sync for RenderCall {}

/// What comes after a forward pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follows {
    Nothing,
    /// The backward pass of torch's graph.
    Graph,
    /// [`Pass::step`].
    Pass,
}

/// The outputs of a forward pass.
pub(crate) struct Images {
    /// By the channel's number in the header.
    channels: Vec<(u32, Tensor)>,
    pub(crate) radii: Tensor,
    pub(crate) counts: Counts,
    pub(crate) pass: Option<Pass>,
}

impl Images {
    /// The channel with this number, if it was rendered and not taken yet.
    pub(crate) fn take(&mut self, source: u32) -> Option<Tensor> {
        let i = self.channels.iter().position(|(s, _)| *s == source)?;
        Some(self.channels.swap_remove(i).1)
    }
}

/// Renders, and for torch's graph links the outputs to the inputs. `cameras` is `[C,35]`: view, projection and centre.
pub(crate) fn forward(
    mut frame: Frame,
    inputs: &PerInput<Option<&Tensor>>,
    cameras: &Tensor,
    follows: Follows,
    workspace: Option<&Workspace>,
) -> Result<Images, Error> {
    if follows == Follows::Nothing {
        frame.flags |= abi::FORWARD_ONLY;
    }
    let mut outputs = frame.channels.iter().map(|c| frame.output(c)).collect::<Result<Vec<_>, _>>()?;
    let radii = Tensor::f_empty(frame.per_camera(&[frame.count]), (Kind::Int, frame.backend.device()))?;

    let lent = frame.lend(inputs)?;
    let mut scope = Scope::enter(&frame.backend)?;
    let mut state = workspace.map(Workspace::lock);
    if let Some(state) = &mut state {
        scope.set_workspace(state.raw.as_ptr());
    }
    let structs = frame.structs(&lent, cameras);
    let channels = frame.channels(|i| address(&outputs[i], cameras), |_| std::ptr::null());
    let context = scope.context();
    let mut saved = abi::Saved::EMPTY;
    let args = abi::ForwardArgs {
        context: &raw const context,
        camera_count: structs.cameras.len() as u32,
        cameras: structs.cameras.as_ptr(),
        gaussians: &raw const structs.gaussians,
        settings: &raw const structs.settings,
        channel_count: channels.len() as u32,
        channels: channels.as_ptr(),
        radii: address(&radii, cameras),
        saved: &raw mut saved,
        ..abi::ForwardArgs::EMPTY
    };
    // SAFETY: the structs are on this stack. Every pointer in them is of a tensor on the engine's device whose shape was
    // checked and which lives past the call (`lent`, `cameras`, `outputs`, `radii`, the frame's); outputs are fresh; the
    // workspace is of this engine, locked.
    let done = guarded(&frame.backend, |engine| unsafe { engine.forward(&args) });
    let counts = counted(&saved, done.is_ok(), state);
    let buffers = scope.finish(&frame.backend, done)?;

    let sources: Vec<u32> = frame.channels.iter().map(|channel| channel.source).collect();
    if follows == Follows::Pass {
        let (cameras, kept) = (cameras.shallow_clone(), radii.shallow_clone());
        let pass = Pass { frame, lent, cameras, radii: kept, saved, _buffers: buffers };
        let channels = sources.into_iter().zip(outputs).collect();
        return Ok(Images { channels, radii, counts, pass: Some(pass) });
    }
    drop(lent);
    outputs.push(radii);
    if follows == Follows::Graph {
        let gradient = |i: &usize| frame.channels.get(*i).is_some_and(|channel| channel.has_gradient());
        let without: Vec<usize> = (0..outputs.len()).filter(|i| !gradient(i)).collect();
        // Inputs are kept as they were given, not as lent: a copy made for this call dies with it, and an in-place change of
        // the original is noticed.
        let read = inputs.iter().filter(|(input, _)| input.is_read());
        let mut kept: Vec<&Tensor> = read.filter_map(|(_, tensor)| *tensor).collect();
        kept.extend([cameras, &outputs[outputs.len() - 1]]);
        kept.extend(&buffers);
        let present = inputs.map(|_, tensor| tensor.is_some());
        let nodes: Vec<&Tensor> = inputs.iter().filter_map(|(_, tensor)| *tensor).collect();
        let call = Call::Render(RenderCall { frame, present, saved });
        outputs = attach(call, &nodes, &outputs, &without, &kept)?;
    }
    let radii = outputs.pop().ok_or_else(|| Error::Torch("the autograd node lost an output".into()))?;
    Ok(Images { channels: sources.into_iter().zip(outputs).collect(), radii, counts, pass: None })
}

impl RenderCall {
    /// `upstream` is in the order of the frame's channels; `wanted` and the gradients are in that of the inputs that are present.
    pub(super) fn backward(
        &self,
        kept: &mut Kept<'_>,
        upstream: &[Option<Tensor>],
        wanted: &[bool],
    ) -> Result<Vec<Option<Tensor>>, Error> {
        let frame = &self.frame;
        if upstream.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let inputs = self.present.try_map(|input, present| {
            if *present && input.is_read() { kept.next().map(Some) } else { Ok(None) }
        })?;
        let (cameras, radii) = (kept.next()?, kept.next()?);
        let lent = frame.lend(&inputs)?;
        let structs = frame.structs(&lent, cameras);

        let mut flags = wanted.iter();
        let wanted = self.present.map(|_, present| *present && flags.next().is_some_and(|flag| *flag));
        let gradients = frame.gradients(&lent, &wanted)?;
        let targets = frame.targets(&gradients);

        let plain = |t: &Option<Tensor>| t.as_ref().map(|t| t.f_detach()?.f_contiguous()).transpose();
        let upstream = upstream.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
        let of =
            |i: usize| match frame.channels[i].has_gradient().then(|| upstream.get(i)?.as_ref()).flatten() {
                Some(gradient) => gradient.data_ptr().cast_const().cast(),
                None => std::ptr::null(),
            };
        let channels = frame.channels(|_| std::ptr::null_mut(), of);
        let scope = Scope::enter(&frame.backend)?;
        let context = scope.context();
        let args = abi::BackwardArgs {
            radii: address::<i32>(radii, cameras),
            ..structs.backward(&context, &channels, &self.saved, &targets)
        };
        // SAFETY: as in `forward`; the node kept inputs and buffers alive, and torch's version counters have shown that they
        // are unchanged. Gradients are fresh and have the sizes of their inputs.
        let done = guarded(&frame.backend, |engine| unsafe { engine.backward(&args) });
        scope.finish(&frame.backend, done)?;
        let present = self.present.into_values();
        Ok(gradients.into_values().zip(present).filter_map(|(g, present)| present.then_some(g)).collect())
    }
}

/// Which of `means3d` `[P,3]` lie in front of the camera, 35 numbers: `[P]` Bool.
pub(crate) fn mark_visible(backend: &Backend, means3d: &Tensor, camera: &Tensor) -> Result<Tensor, Error> {
    let count = means3d.size()[0];
    let visible = Tensor::f_empty([count], (Kind::Bool, means3d.device()))?;
    if count == 0 {
        return Ok(visible);
    }
    let means3d = means3d.f_detach()?.f_contiguous()?;
    let matrices = camera.data_ptr().cast::<f32>().cast_const();
    let scope = Scope::enter(backend)?;
    let context = scope.context();
    let args = abi::MarkVisibleArgs {
        context: &raw const context,
        count,
        means3d: abi::In::contiguous(means3d.data_ptr().cast(), &[count, 3]),
        view: matrices,
        proj: matrices.wrapping_add(PROJ),
        visible: visible.data_ptr().cast(),
        ..abi::MarkVisibleArgs::EMPTY
    };
    // SAFETY: pointers of living tensors on the engine's device, of checked shapes; a Bool is one byte.
    let done = guarded(backend, |engine| unsafe { engine.mark_visible(&args) });
    scope.finish(backend, done)?;
    Ok(visible)
}
