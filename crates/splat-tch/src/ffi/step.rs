//! The second half of a render that keeps no graph: the engine's backward pass that ends in a step, on tensors, in place.
//!
//! Pointers point into the memory of the tensors' device.
#![expect(unsafe_code, reason = "hands tensors to an engine as pointers")]

use splat_engine::abi;
use tch::{Device, Tensor};

use super::bridge::cpp;
use super::call::guarded;
use super::frame::{Frame, address};
use super::scope::Scope;
use super::tensors::borrow;
use crate::input::PerInput;
use crate::step::{StepGroup, StepOptions, Stepped, Stored, Upstream};
use crate::{Error, check};

/// What a forward pass left for its backward pass.
pub(crate) struct Pass {
    pub(super) frame: Frame,
    pub(super) lent: PerInput<Option<Tensor>>,
    pub(super) cameras: Tensor,
    pub(super) radii: Tensor,
    pub(super) saved: abi::Saved,
    // `saved` points into them.
    pub(super) _buffers: Vec<Tensor>,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pass of {} Gaussians at {}x{}", self.count(), self.frame.width, self.frame.height)
    }
}

impl Pass {
    /// `P`.
    pub(crate) fn count(&self) -> i64 {
        self.frame.count
    }

    /// `M`, or 0 with colours.
    pub(crate) fn coeffs(&self) -> i64 {
        self.frame.sh_coeffs
    }

    pub(crate) fn device(&self) -> Device {
        self.frame.backend.device()
    }

    /// Tensors of the groups are of the kinds and sizes that their storage needs, on the backend's device.
    pub(crate) fn step(
        self,
        upstream: &Upstream<'_>,
        groups: &[StepGroup<'_>],
        options: &StepOptions,
    ) -> Result<Stepped, Error> {
        let Self { frame, lent, cameras, radii, saved, _buffers } = self;
        let plain = |channel: &&'static crate::channel::Channel| {
            let Some(gradient) = upstream.of(channel.source) else { return Ok(None) };
            let size = [i64::from(frame.height), i64::from(frame.width)];
            let shape = frame.per_camera(&channel.shape(frame.feature_count, size, frame.count));
            check::tensor("upstream", gradient, frame.backend.device(), &[&shape], || {
                format!("its image has {shape:?}")
            })?;
            Ok::<_, Error>(Some(gradient.f_detach()?.f_contiguous()?))
        };
        let gradients = frame.channels.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
        let wanted = |on: bool, shape: Vec<i64>| on.then(|| frame.empty(&shape)).transpose();
        let out = Stepped {
            means2d: wanted(options.means2d, frame.per_camera(&[frame.count, 3]))?,
            means2d_abs: wanted(options.means2d_abs, frame.per_camera(&[frame.count, 2]))?,
            view: wanted(options.view, vec![frame.tangents.len() as i64, 16])?,
        };
        let to = |t: &Option<Tensor>| t.as_ref().map_or(std::ptr::null_mut(), |t| t.data_ptr().cast());
        let targets = abi::Gradients {
            means2d: to(&out.means2d),
            means2d_abs: to(&out.means2d_abs),
            view: to(&out.view),
            ..abi::Gradients::EMPTY
        };
        let structs = frame.structs(&lent, &cameras);
        let of =
            |i: usize| gradients[i].as_ref().map_or(std::ptr::null(), |t| t.data_ptr().cast_const().cast());
        let channels = frame.channels(|_| std::ptr::null_mut(), of);
        let raw: Vec<abi::StepGroup> = groups.iter().map(group).collect();
        let scope = Scope::enter(&frame.backend)?;
        let context = scope.context();
        let backward = abi::BackwardArgs {
            radii: address::<i32>(&radii, &cameras),
            ..structs.backward(&context, &channels, &saved, &targets)
        };
        let args = abi::StepArgs {
            group_count: raw.len() as u32,
            groups: raw.as_ptr(),
            backward: &raw const backward,
            visible_only: u32::from(options.visible_only),
            seed: options.seed,
            ..abi::StepArgs::EMPTY
        };
        // SAFETY: as in `forward`; this pass kept inputs and buffers alive. Gradients are fresh; the groups' tensors have the
        // sizes that their storage needs.
        let done = guarded(&frame.backend, |engine| unsafe { engine.backward_step(&args) });
        scope.finish(&frame.backend, done)?;
        // Torch did not see the change, but graphs that kept these tensors must notice it.
        let changed = groups.iter().flat_map(|g| g.stored.tensors()).map(|(_, t)| borrow(t));
        let changed: Vec<_> = changed.collect();
        cpp::changed_in_place(&changed).map_err(|e| Error::Torch(e.what().to_owned()))?;
        Ok(out)
    }
}

fn group(g: &StepGroup<'_>) -> abi::StepGroup {
    let (storage, param, exp_avg, second, units) = match g.stored {
        Stored::Full { param, exp_avg, exp_avg_sq } => (abi::STORE_FULL, param, exp_avg, exp_avg_sq, None),
        Stored::Half { param, exp_avg, root } => (abi::STORE_HALF, param, exp_avg, root, None),
        Stored::Compact { param, exp_avg, root, units } => {
            (abi::STORE_COMPACT, param, exp_avg, root, Some(units))
        }
    };
    abi::StepGroup {
        target: g.target as u32,
        storage,
        pull: g.pull,
        param: param.data_ptr(),
        exp_avg: exp_avg.data_ptr(),
        exp_avg_sq: second.data_ptr(),
        units: units.map_or(std::ptr::null_mut(), |t| t.data_ptr().cast()),
        step: g.step,
        lr: g.lr,
        beta1: g.betas[0],
        beta2: g.betas[1],
        eps: g.eps,
        ..abi::StepGroup::EMPTY
    }
}
