//! One Adam step of a parameter tensor (Kingma and Ba 2015, algorithm 1, with bias correction).
//!
//! `m = b1 m + (1-b1) g`, `v = b2 v + (1-b2) g^2`, `p -= lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)`, element by
//! element. Bias corrections are computed in f64. Rows can be left alone; what they stand for is not known here.

use rayon::prelude::*;

use crate::{Error, Real, check};

/// Numbers that one task updates.
const CHUNK: usize = 1 << 14;

/// Parameters of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam<T = f32> {
    /// Number of this update, counted from 1.
    pub step: u64,
    /// Learning rate.
    pub lr: T,
    /// Decay of the first moment.
    pub beta1: T,
    /// Decay of the second moment.
    pub beta2: T,
    /// Added to the denominator, `sqrt(v) + eps`.
    pub eps: T,
}

/// A tensor `[P,width]`, its gradient and its moments, contiguous.
#[derive(Debug)]
pub struct AdamTensor<'a, T = f32> {
    /// Updated.
    pub param: &'a mut [T],
    /// Its gradient.
    pub grad: &'a [T],
    /// First moment, updated.
    pub exp_avg: &'a mut [T],
    /// Second moment, updated.
    pub exp_avg_sq: &'a mut [T],
    /// Numbers per row.
    pub width: usize,
}

/// Updates `tensor`. Rows whose `visible` is 0 or less are left alone, moments too; without `visible`, `[P]`, every row is
/// updated.
///
/// # Errors
/// [`Error`] for lengths that do not agree, and for step 0 or over 2^31 - 1.
pub fn adam<T: Real>(
    tensor: AdamTensor<'_, T>,
    visible: Option<&[i32]>,
    with: &Adam<T>,
) -> Result<(), Error> {
    let AdamTensor { param, grad, exp_avg, exp_avg_sq, width } = tensor;
    let n = param.len();
    for (name, found) in [("grad", grad.len()), ("exp_avg", exp_avg.len()), ("exp_avg_sq", exp_avg_sq.len())]
    {
        check::length(name, found, n, || "as many as `param` has".into())?;
    }
    if let Some(visible) = visible {
        check::length("param", n, visible.len() * width, || format!("{} rows of {width}", visible.len()))?;
    }
    let update = Update::new(with, steps(with.step)?);
    if n == 0 || width == 0 {
        return Ok(());
    }
    let rows = (CHUNK / width).max(1);
    let parts = (
        param.par_chunks_mut(rows * width),
        grad.par_chunks(rows * width),
        exp_avg.par_chunks_mut(rows * width),
        exp_avg_sq.par_chunks_mut(rows * width),
    );
    parts.into_par_iter().enumerate().for_each(|(task, (p, g, m, v))| {
        for row in 0..p.len() / width {
            if visible.is_some_and(|visible| visible[task * rows + row] <= 0) {
                continue;
            }
            for k in row * width..(row + 1) * width {
                update.apply(&mut p[k], g[k], &mut m[k], &mut v[k]);
            }
        }
    });
    Ok(())
}

/// The number of an update as the exponent of the bias corrections.
pub(crate) fn steps(step: u64) -> Result<i32, Error> {
    if step == 0 {
        return Err(Error::Settings("`step` is 0, but the first is 1".into()));
    }
    i32::try_from(step).map_err(|_| Error::Settings(format!("`step` is {step}, the most is {}", i32::MAX)))
}

/// The update of one number.
pub(crate) struct Update<T> {
    with: Adam<T>,
    first: T,
    second: T,
}

impl<T: Real> Update<T> {
    pub(crate) fn new(with: &Adam<T>, step: i32) -> Self {
        let correction = |beta: T| T::from_f64_lossy(1.0 - beta.to_f64_exact().powi(step));
        Self { with: *with, first: correction(with.beta1), second: correction(with.beta2) }
    }

    pub(crate) fn apply(&self, p: &mut T, g: T, m: &mut T, v: &mut T) {
        let (with, one) = (&self.with, T::one());
        *m = with.beta1 * *m + (one - with.beta1) * g;
        *v = with.beta2 * *v + (one - with.beta2) * g * g;
        *p -= with.lr * (*m / self.first) / ((*v / self.second).sqrt() + with.eps);
    }
}
