//! Updates of parameters by the same engines that render: a fused Adam step.

use splat_engine::abi;
use tch::{Kind, Tensor};

use crate::check::{kind, same_device};
use crate::{Backend, Error, ffi};

/// One parameter tensor of [`adam_step`]: four dense `Float32` tensors of one shape `[P, ...]`, and the constants of
/// this step (Kingma and Ba 2015, algorithm 1, with bias correction).
#[derive(Debug, Clone, Copy)]
pub struct AdamGroup<'a> {
    /// Updated in place.
    pub param: &'a Tensor,
    /// Its gradient.
    pub grad: &'a Tensor,
    /// First moment, updated in place.
    pub exp_avg: &'a Tensor,
    /// Second moment, updated in place.
    pub exp_avg_sq: &'a Tensor,
    /// Number of this update, from 1.
    pub step: i64,
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Epsilon added to the denominator, `sqrt(v) + eps`.
    pub eps: f32,
}

impl<'a> AdamGroup<'a> {
    /// A group with betas 0.9 and 0.999 and epsilon 1e-15, as training of Gaussians usually has them. `step` counts from 1.
    #[must_use]
    pub fn new(
        param: &'a Tensor,
        grad: &'a Tensor,
        exp_avg: &'a Tensor,
        exp_avg_sq: &'a Tensor,
        step: i64,
        lr: f32,
    ) -> Self {
        Self { param, grad, exp_avg, exp_avg_sq, step, lr, beta1: 0.9, beta2: 0.999, eps: 1e-15 }
    }

    /// With these decays of the moments.
    #[must_use]
    pub fn betas(self, beta1: f32, beta2: f32) -> Self {
        Self { beta1, beta2, ..self }
    }

    /// With this epsilon.
    #[must_use]
    pub fn eps(self, eps: f32) -> Self {
        Self { eps, ..self }
    }
}

/// Updates one to [`MAX_ADAM_GROUPS`](abi::MAX_ADAM_GROUPS) parameter tensors of the same `P` rows in one call. With `visible` (`[P]` `Int`, such as the
/// radii of a render) rows with 0 are left alone, including their moments.
///
/// # Errors
/// [`Error`] for tensors that do not agree, a step before 1, or an engine without Adam. Nothing is changed then.
pub fn adam_step(backend: &Backend, groups: &[AdamGroup<'_>], visible: Option<&Tensor>) -> Result<(), Error> {
    let Some(first) = groups.first() else { return Ok(()) };
    if groups.len() > abi::MAX_ADAM_GROUPS as usize {
        return Err(Error::Settings(format!(
            "{} Adam groups are given, but a step takes 1 to {}",
            groups.len(),
            abi::MAX_ADAM_GROUPS
        )));
    }
    let engine = backend.capabilities();
    if !engine.optimize {
        return Err(Error::Settings(format!(
            "engine `{}` does not offer Adam; hint: use a backend with engine `cuda` or `cpu`",
            engine.name
        )));
    }
    backend.check_holds("param", first.param.device())?;
    let device = first.param.device();
    let rows = first.param.size().first().copied().unwrap_or(0);
    for g in groups {
        kind("param", g.param)?;
        if g.step < 1 {
            return Err(Error::Settings(format!("`step` is {}, but steps are counted from 1", g.step)));
        }
        let shape = g.param.size();
        if shape.first() != Some(&rows) {
            let needed = format!("the first group has {rows} rows: [{rows}, ...]");
            return Err(Error::Shape { input: "param", found: shape, needed });
        }
        let tensors =
            [("param", g.param), ("grad", g.grad), ("exp_avg", g.exp_avg), ("exp_avg_sq", g.exp_avg_sq)];
        for (name, t) in tensors {
            kind(name, t)?;
            same_device(name, t.device(), "param", device)?;
            if t.size() != shape {
                let needed = format!("its `param` has {shape:?}");
                return Err(Error::Shape { input: name, found: t.size(), needed });
            }
            if !t.is_contiguous() {
                return Err(Error::Settings(format!(
                    "`{name}` is not contiguous, but Adam changes its memory; hint: .contiguous()"
                )));
            }
        }
    }
    if let Some(visible) = visible {
        same_device("visible", visible.device(), "param", device)?;
        if visible.size() != [rows] || visible.f_kind()? != Kind::Int || !visible.is_contiguous() {
            return Err(Error::Settings(format!(
                "`visible` is {:?} of shape {:?}, but must be Int32 of shape [{rows}], contiguous",
                visible.f_kind()?,
                visible.size()
            )));
        }
    }
    ffi::adam(backend, rows, groups, visible)
}
