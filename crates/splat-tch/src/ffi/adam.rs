//! An Adam step by an engine on tensors, in place.
//!
//! Pointers are of the tensors' device.
#![expect(unsafe_code, reason = "hands tensors to an engine as pointers")]

use splat_engine::{SharedEngine, abi};
use tch::{Device, Tensor};

use super::bridge::cpp;
use super::call::guarded;
use super::memory::Arena;
use super::scope::Scope;
use super::tensors::borrow;
use crate::{AdamGroup, Error};

/// Updates every group; tensors are `[rows, ...]`, dense, of `device`, and distinct.
pub(crate) fn adam(
    engine: &SharedEngine,
    device: Device,
    rows: i64,
    groups: &[AdamGroup<'_>],
    visible: Option<&Tensor>,
) -> Result<(), Error> {
    let pointer = |t: &Tensor| t.data_ptr().cast::<f32>();
    let raw: Vec<abi::AdamGroup> = groups
        .iter()
        .map(|g| abi::AdamGroup {
            param: pointer(g.param),
            grad: pointer(g.grad),
            exp_avg: pointer(g.exp_avg),
            exp_avg_sq: pointer(g.exp_avg_sq),
            width: g.param.size().iter().skip(1).product(),
            step: g.step,
            lr: g.lr,
            beta1: g.beta1,
            beta2: g.beta2,
            eps: g.eps,
        })
        .collect();
    let arena = Arena::new(device);
    let scope = Scope::enter(device)?;
    let mut args = abi::AdamArgs {
        context: scope.context(&arena),
        rows,
        visible: visible.map_or(std::ptr::null(), |t| t.data_ptr().cast_const().cast()),
        group_count: raw.len() as u32,
        groups: raw.as_ptr(),
        ..abi::AdamArgs::EMPTY
    };
    // SAFETY: pointers of living tensors on the engine's device, of checked shapes.
    let done = guarded(engine, || unsafe { engine.adam(&mut args) });
    drop(scope);
    done.map_err(|e| Error::engine(engine, e, arena.finish().1))?;
    // Torch did not see the change: graphs that kept these tensors must.
    let changed: Vec<_> =
        groups.iter().flat_map(|g| [g.param, g.exp_avg, g.exp_avg_sq]).map(|t| borrow(Some(t))).collect();
    cpp::changed_in_place(&changed).map_err(|e| Error::Torch(e.what().to_owned()))
}
