//! Adam on host memory.
#![expect(unsafe_code, reason = "turns the ABI's pointers into slices")]

use splat_core as core;
use splat_engine::{EngineError, abi};

use crate::memory::{extent, required, slice, slice_mut};
use crate::{invalid, refused};

/// # Safety
/// As [`splat_engine::Engine::adam`].
pub(crate) unsafe fn adam(args: &abi::AdamArgs) -> Result<(), EngineError> {
    let rows = extent("rows", args.rows)?;
    if !(1..=abi::MAX_ADAM_GROUPS).contains(&args.group_count) {
        return invalid(format!(
            "`group_count` is {}, but must be 1 to {}",
            args.group_count,
            abi::MAX_ADAM_GROUPS
        ));
    }
    // SAFETY: so many groups; `visible` is null or has a number per row, as the caller guarantees.
    let (groups, visible) = unsafe {
        abi::read(args.context, "context")?;
        let visible = (!args.visible.is_null()).then(|| slice(args.visible, rows));
        (abi::read_array(args.groups, args.group_count, "groups")?, visible)
    };
    for g in groups {
        let width = extent("width", g.width)?;
        let step = u64::try_from(g.step).unwrap_or(0);
        let with = core::Adam { step, lr: g.lr, beta1: g.beta1, beta2: g.beta2, eps: g.eps };
        let len = rows * width;
        if len > 0 {
            required("param", g.param)?;
            required("grad", g.grad)?;
            required("exp_avg", g.exp_avg)?;
            required("exp_avg_sq", g.exp_avg_sq)?;
        }
        // SAFETY: four distinct tensors `[rows, width]`, as the caller guarantees.
        let tensor = unsafe {
            core::AdamTensor {
                param: slice_mut(g.param, len),
                grad: slice(g.grad, len),
                exp_avg: slice_mut(g.exp_avg, len),
                exp_avg_sq: slice_mut(g.exp_avg_sq, len),
                width,
            }
        };
        core::adam(tensor, visible, &with).map_err(refused)?;
    }
    Ok(())
}
