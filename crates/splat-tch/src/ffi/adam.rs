//! An Adam step by an engine on tensors, in place.
//!
//! Pointers point into the memory of the tensors' device.
#![expect(unsafe_code, reason = "hands tensors to an engine as pointers")]

use splat_engine::abi;
use tch::Tensor;

use super::bridge::cpp;
use super::call::guarded;
use super::scope::Scope;
use super::tensors::borrow;
use crate::{AdamGroup, Backend, Error};

/// Updates every group. Tensors are `[rows, ...]`, dense, on the backend's device, and distinct.
pub(crate) fn adam(
    backend: &Backend,
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
            ..abi::AdamGroup::EMPTY
        })
        .collect();
    let scope = Scope::enter(backend)?;
    let context = scope.context();
    let args = abi::AdamArgs {
        context: &raw const context,
        rows,
        visible: visible.map_or(std::ptr::null(), |t| t.data_ptr().cast_const().cast()),
        group_count: raw.len() as u32,
        groups: raw.as_ptr(),
        ..abi::AdamArgs::EMPTY
    };
    // SAFETY: pointers of living tensors on the engine's device, of checked shapes.
    let done = guarded(backend, |engine| unsafe { engine.adam(&args) });
    scope.finish(backend, done)?;
    // Torch did not see the change, but graphs that kept these tensors must notice it.
    let changed: Vec<_> =
        groups.iter().flat_map(|g| [g.param, g.exp_avg, g.exp_avg_sq]).map(borrow).collect();
    cpp::changed_in_place(&changed).map_err(|e| Error::Torch(e.what().to_owned()))
}
