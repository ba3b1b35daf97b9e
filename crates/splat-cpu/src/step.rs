//! A backward pass that ends in Adam, on host memory. Unlike a GPU's, it has all gradients at once on the way.
#![expect(unsafe_code, reason = "turns the ABI's pointers into slices")]

use splat_core as core;
use splat_core::{Draws, Pull, Stored};
use splat_engine::{EngineError, abi};

use crate::memory::{required, slice_mut};
use crate::raster::Total;
use crate::{invalid, raster, refused, stages};

/// # Safety
/// As [`splat_engine::Engine::backward_step`].
pub(crate) unsafe fn backward_step(args: &abi::StepArgs) -> Result<(), EngineError> {
    let given = [!args.backward.is_null(), !args.project_backward.is_null()];
    if given[0] == given[1] {
        let given = if given[0] { "both are" } else { "none is" };
        return invalid(format!(
            "exactly one of `backward` and `project_backward` is needed, but {given} given"
        ));
    }
    if args.group_count > abi::STEP_TARGETS {
        return invalid(format!(
            "`group_count` is {}, but must be 0 to {}",
            args.group_count,
            abi::STEP_TARGETS
        ));
    }
    let groups = match args.group_count {
        0 => Vec::new(),
        // SAFETY: so many groups, as the caller guarantees.
        count => unsafe { abi::read_array(args.groups, count, "groups")? },
    };
    for (i, group) in groups.iter().enumerate() {
        if groups[..i].iter().any(|other| other.target == group.target) {
            return invalid(format!("`groups[{i}].target` is {}, which is listed twice", group.target));
        }
    }
    // SAFETY: the caller vouches for every pointer in `args`.
    let total = unsafe {
        if given[0] {
            let backward = abi::read(args.backward, "backward")?;
            no_parameters(&abi::read(backward.gradients, "gradients")?)?;
            raster::total(&backward)?
        } else {
            let backward = abi::read(args.project_backward, "project_backward")?;
            no_parameters(&abi::read(backward.gradients, "gradients")?)?;
            stages::project_total(&backward)?
        }
    };
    // Everything is checked before the first group changes.
    let checked = groups.iter().enumerate().map(|(i, group)| Group::read(i, group, &total));
    for group in checked.collect::<Result<Vec<_>, _>>()? {
        // SAFETY: forwarded from the caller.
        unsafe { group.step(args, &total)? };
    }
    Ok(())
}

fn no_parameters(gradients: &abi::Gradients) -> Result<(), EngineError> {
    let g = gradients;
    let all = [
        ("means3d", g.means3d),
        ("opacities", g.opacities),
        ("sh", g.sh),
        ("sh_rest", g.sh_rest),
        ("colors", g.colors),
        ("scales", g.scales),
        ("rotations", g.rotations),
        ("cov3d", g.cov3d),
    ];
    match all.iter().find(|(_, to)| !to.is_null()) {
        Some((name, _)) => {
            invalid(format!("`gradients.{name}` must be NULL: no gradient of a parameter is written"))
        }
        None => Ok(()),
    }
}

struct Group<'a> {
    from: &'a abi::StepGroup,
    grad: &'a [f32],
    width: usize,
    pull: Pull,
}

impl<'a> Group<'a> {
    fn read(i: usize, from: &'a abi::StepGroup, total: &'a Total) -> Result<Self, EngineError> {
        let sum = &total.sum;
        let (grad, width) = match from.target {
            abi::STEP_MEANS3D => (&sum.means3d, 3),
            abi::STEP_SH => (&sum.sh, total.sh_widths[0]),
            abi::STEP_SH_REST => (&sum.sh_rest, total.sh_widths[1]),
            abi::STEP_OPACITIES => (&sum.opacities, 1),
            abi::STEP_SCALES => (&sum.scales, 3),
            abi::STEP_ROTATIONS => (&sum.rotations, 4),
            other => return invalid(format!("`groups[{i}].target` is {other}, but there are 0 to 5")),
        };
        if from.target == abi::STEP_SH && width > 3 {
            return invalid(format!(
                "`groups[{i}]` updates `sh` of {width} numbers per row, but SH must be split"
            ));
        }
        let pull = match from.target {
            _ if from.pull == 0.0 => Pull::None,
            abi::STEP_OPACITIES if total.raw => Pull::Opacity(from.pull),
            abi::STEP_SCALES if total.raw => Pull::Scale(from.pull),
            _ => {
                return invalid(format!(
                    "`groups[{i}].pull` is {}, but must be 0 for target {} unless that is raw opacities or scales",
                    from.pull, from.target
                ));
            }
        };
        let compact = from.storage == abi::STORE_COMPACT;
        if from.storage > abi::STORE_COMPACT || compact && from.target != abi::STEP_SH_REST {
            return invalid(format!(
                "`groups[{i}].storage` is {}, which target {} has not",
                from.storage, from.target
            ));
        }
        if !grad.is_empty() {
            required("param", from.param)?;
            required("exp_avg", from.exp_avg)?;
            required("exp_avg_sq", from.exp_avg_sq)?;
            if compact {
                required("units", from.units)?;
            }
        }
        Ok(Self { from, grad, width, pull })
    }

    /// # Safety
    /// The group's memory has the sizes that its storage needs, and nothing else reads or writes there.
    unsafe fn step(&self, args: &abi::StepArgs, total: &Total) -> Result<(), EngineError> {
        let Self { from, grad, width, pull } = *self;
        let (p, n) = (total.radii.len(), grad.len());
        let columns = p * core::compact_columns(width);
        let step = u64::try_from(from.step).unwrap_or(0);
        let with = core::Adam { step, lr: from.lr, beta1: from.beta1, beta2: from.beta2, eps: from.eps };
        // SAFETY: forwarded from the caller.
        let stored = unsafe {
            match from.storage {
                abi::STORE_FULL => Stored::Full {
                    param: slice_mut(from.param.cast(), n),
                    exp_avg: slice_mut(from.exp_avg.cast(), n),
                    exp_avg_sq: slice_mut(from.exp_avg_sq.cast(), n),
                },
                abi::STORE_HALF => Stored::Half {
                    param: slice_mut(from.param.cast(), n),
                    exp_avg: slice_mut(from.exp_avg.cast(), n),
                    root: slice_mut(from.exp_avg_sq.cast(), n),
                },
                _ => Stored::Compact {
                    param: slice_mut(from.param.cast(), columns),
                    exp_avg: slice_mut(from.exp_avg.cast(), columns),
                    root: slice_mut(from.exp_avg_sq.cast(), columns),
                    units: slice_mut(from.units, 2 * p),
                },
            }
        };
        let visible = (args.visible_only != 0).then_some(total.radii.as_slice());
        let draws = Draws::new(args.seed, from.target, step);
        core::step(stored, grad, width, visible, pull, &with, draws).map_err(refused)
    }
}
