//! Renders by an engine on tensors: forward with the node that remembers it, backward, mark_visible.
//!
//! Pointers are of the tensors' device.
#![expect(unsafe_code, reason = "hands tensors to an engine as pointers")]

use splat_engine::{SharedEngine, abi};
use tch::{Kind, Tensor};

use super::call::{Call, Kept, attach, guarded};
use super::frame::{Frame, Inputs, KEPT, PROJ};
use super::memory::Arena;
use super::scope::Scope;
use crate::{Counts, Error, Workspace};

/// What the autograd node keeps of a render, beside tensors.
pub(super) struct RenderCall {
    frame: Frame,
    /// Which of [`Inputs::kept`] there are.
    present: [bool; KEPT],
    saved: abi::Saved,
}

// SAFETY: `saved` holds addresses of buffers that the node's tensors own; they are dereferenced in `backward`
// alone, where those tensors are at hand, and the engine is Send + Sync.
unsafe impl Send for RenderCall {}
// SAFETY: as above; nothing in a RenderCall changes after it was made.
unsafe impl Sync for RenderCall {}

/// What a forward gives.
pub(crate) struct Picture {
    pub(crate) color: Tensor,
    pub(crate) radii: Tensor,
    pub(crate) inv_depth: Tensor,
    pub(crate) depth: Option<Tensor>,
    pub(crate) alpha: Option<Tensor>,
    pub(crate) features: Option<Tensor>,
    pub(crate) counts: Counts,
}

/// Renders, and with `graph` links the outputs to the inputs. `cameras` is `[C,35]`: view, proj and campos.
pub(crate) fn forward(
    mut frame: Frame,
    inputs: Inputs<'_>,
    cameras: &Tensor,
    graph: bool,
    workspace: Option<&Workspace>,
) -> Result<Picture, Error> {
    if !graph {
        frame.flags |= abi::FORWARD_ONLY;
    }
    let (device, p) = (frame.device, frame.count);
    let (h, w) = (i64::from(frame.height), i64::from(frame.width));
    let image = |channels: i64| Tensor::f_empty(frame.per_camera(&[channels, h, w]), (Kind::Float, device));
    let radii = Tensor::f_empty(frame.per_camera(&[p]), (Kind::Int, device))?;
    let mut outputs = vec![image(3)?, radii, image(1)?];
    for _ in 0..usize::from(frame.depth) + usize::from(frame.alpha) {
        outputs.push(image(1)?);
    }
    if frame.channels > 0 {
        outputs.push(image(frame.channels)?);
    }
    let places = frame.places();
    let at = |i: usize| outputs[i].data_ptr().cast::<f32>();
    let or_null = |i: Option<usize>| i.map_or(std::ptr::null_mut(), at);

    let lent = frame.lend(&inputs)?;
    let arena = Arena::new(device);
    let scope = Scope::enter(device)?;
    let mut state = workspace.map(Workspace::lock);
    let views = frame.cameras(cameras);
    let mut args = abi::ForwardArgs {
        context: scope.context(&arena),
        camera_count: views.len() as u32,
        cameras: views.as_ptr(),
        gaussians: frame.gaussians(&lent, cameras),
        settings: frame.settings(inputs.background),
        color: at(0),
        // Torch has no address for an empty tensor, and an engine may insist on one.
        radii: if p == 0 { cameras.data_ptr().cast() } else { at(1).cast() },
        inv_depth: at(2),
        depth: or_null(places.depth),
        alpha: or_null(places.alpha),
        features: or_null(places.features),
        ..abi::ForwardArgs::EMPTY
    };
    if let Some(state) = &mut state {
        args.context.workspace = state.raw.as_ptr();
    }
    // SAFETY: every pointer is of a tensor on the engine's device whose shape was checked and which lives
    // past the call (`lent`, `cameras`, the background, `outputs`, `arena`); outputs are fresh; the workspace is of
    // this engine, locked.
    let done = guarded(&frame.engine, || unsafe { frame.engine.forward(&mut args) });
    let saved = args.saved;
    let known = |n: i64| (n >= 0).then_some(n);
    let counts =
        Counts { pairs: known(saved.rendered), rejected: known(saved.rejected), ticket: saved.ticket };
    if let Some(state) = &mut state {
        state.last = (done.is_ok() && saved.ticket >= 0).then_some(counts).or(state.last);
    }
    drop(state);
    drop(scope);
    drop(lent);
    let (buffers, failure) = arena.finish();
    done.map_err(|e| Error::engine(&frame.engine, e, failure))?;

    if graph {
        // Inputs are kept as they were given, not as lent: a copy made for this call dies with it, and an in-place
        // change of the original is noticed.
        let present = inputs.kept().map(|t| t.is_some());
        let mut kept: Vec<&Tensor> = inputs.kept().into_iter().flatten().collect();
        kept.extend([cameras, &outputs[1]]);
        kept.extend(&buffers);
        let call = Call::Render(RenderCall { frame, present, saved });
        outputs = attach(call, &inputs.nodes(), &outputs, &[1], &kept)?;
    }
    let mut outputs = outputs.into_iter();
    let mut next = || outputs.next().ok_or_else(|| Error::Torch("the autograd node lost an output".into()));
    Ok(Picture {
        color: next()?,
        radii: next()?,
        inv_depth: next()?,
        depth: places.depth.map(|_| next()).transpose()?,
        alpha: places.alpha.map(|_| next()).transpose()?,
        features: places.features.map(|_| next()).transpose()?,
        counts,
    })
}

impl RenderCall {
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
        let [_, _, _, has_rest, _, has_rotations, has_features, _] = self.present;
        let inputs = Inputs {
            means3d: kept.next()?,
            means2d: None,
            means2d_abs: None,
            opacities: kept.next()?,
            color: kept.next()?,
            sh_rest: kept.next_if(has_rest)?,
            shape: kept.next()?,
            rotations: kept.next_if(has_rotations)?,
            features: kept.next_if(has_features)?,
            background: kept.next()?,
            poses: None,
        };
        let (cameras, radii) = (kept.next()?, kept.next()?);

        let lent = frame.lend(&inputs)?;
        let (p, views) = (frame.count, frame.cameras(cameras));
        let c = views.len() as i64;
        let sizes = [
            Some(vec![p, 3]),
            Some(frame.per_camera(&[p, 3])),
            Some(frame.per_camera(&[p, 2])),
            Some(inputs.opacities.size()),
            Some(inputs.color.size()),
            inputs.sh_rest.map(Tensor::size),
            Some(inputs.shape.size()),
            inputs.rotations.map(Tensor::size),
            inputs.features.map(Tensor::size),
            Some(vec![3]),
            Some(vec![c, 16]),
        ];
        let mut gradients: Vec<Option<Tensor>> = Vec::with_capacity(sizes.len());
        for (size, wanted) in sizes.into_iter().zip(wanted) {
            let size = size.filter(|_| *wanted);
            gradients.push(size.map(|s| Tensor::f_empty(s, (Kind::Float, frame.device))).transpose()?);
        }
        let pointer = |i: usize| {
            gradients[i].as_ref().map_or(std::ptr::null_mut(), |t: &Tensor| t.data_ptr().cast::<f32>())
        };
        let only = |yes: bool, i: usize| if yes { pointer(i) } else { std::ptr::null_mut() };

        // Upstream gradients come in the order of the outputs; radii have none.
        let places = frame.places();
        let upstream = |i: Option<usize>| i.and_then(|i| upstream.get(i)?.as_ref());
        let upstream = [Some(0), Some(2), places.depth, places.alpha, places.features]
            .map(|i| upstream(i).map(|t| t.f_detach()?.f_contiguous()).transpose());
        let [color, inv_depth, depth, alpha, features] = upstream;
        let upstream = [color?, inv_depth?, depth?, alpha?, features?];
        let [grad_color, grad_inv_depth, grad_depth, grad_alpha, grad_features] = upstream
            .each_ref()
            .map(|t| t.as_ref().map_or(std::ptr::null(), |t| t.data_ptr().cast::<f32>().cast_const()));

        let sh = frame.sh_coeffs.is_some();
        let arena = Arena::new(frame.device);
        let scope = Scope::enter(frame.device)?;
        let mut args = abi::BackwardArgs {
            context: scope.context(&arena),
            camera_count: views.len() as u32,
            cameras: views.as_ptr(),
            gaussians: frame.gaussians(&lent, cameras),
            settings: frame.settings(inputs.background),
            saved: self.saved,
            radii: if p == 0 { cameras.data_ptr().cast() } else { radii.data_ptr().cast() },
            grad_color,
            grad_inv_depth,
            grad_depth,
            grad_alpha,
            grad_features,
            means3d: pointer(0),
            means2d: pointer(1),
            means2d_abs: pointer(2),
            opacities: pointer(3),
            sh: only(sh, 4),
            sh_rest: pointer(5),
            colors: only(!sh, 4),
            scales: only(has_rotations, 6),
            rotations: pointer(7),
            cov3d: only(!has_rotations, 6),
            features: only(frame.channels > 0, 8),
            background: pointer(9),
            view: pointer(10),
            ..abi::BackwardArgs::EMPTY
        };
        // SAFETY: as in `forward`; the node kept inputs and buffers alive, and torch's version counters have
        // told that they are unchanged. Gradients are fresh and of their inputs' sizes.
        let done = guarded(&frame.engine, || unsafe { frame.engine.backward(&mut args) });
        drop(scope);
        done.map_err(|e| Error::engine(&frame.engine, e, arena.finish().1))?;
        Ok(gradients)
    }
}

/// Which of `means3d` `[P,3]` lie in front of the camera, 35 numbers: `[P]` Bool.
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
        context: scope.context(&arena),
        count,
        means3d: abi::In::contiguous(means3d.data_ptr().cast(), &[count, 3]),
        view: matrices,
        proj: matrices.wrapping_add(PROJ),
        visible: visible.data_ptr().cast(),
        ..abi::MarkVisibleArgs::EMPTY
    };
    // SAFETY: pointers of living tensors on the engine's device, of checked shapes; a Bool is one byte.
    let done = guarded(engine, || unsafe { engine.mark_visible(&mut args) });
    drop(scope);
    done.map_err(|e| Error::engine(engine, e, arena.finish().1))?;
    Ok(visible)
}
