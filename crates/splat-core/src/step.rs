//! The update that a fused backward pass ends in: Adam on parameters and moments in whichever form they are stored, with the
//! pull of a regularisation added to the gradient.
//!
//! The second moment is kept as its square root where it has fewer bits, which halves the range of its exponents. Moments of 8
//! bits share a unit per row of a group: coefficients of one Gaussian have gradients of one size, those of two need not.

use rayon::prelude::*;

use crate::adam::{Update, steps};
use crate::compact::{Draws, from_bfloat, from_half, to_bfloat, to_half, to_signed, to_unsigned, unit};
use crate::{Adam, AdamTensor, Error, adam, check};

/// Rows that one task updates.
const ROWS: usize = 512;
/// Columns of a compact row are this many or a multiple.
const COLUMNS: usize = 16;

/// A parameter `[P,width]` and its moments.
#[derive(Debug)]
pub enum Stored<'a> {
    /// As [`AdamTensor`] has them.
    Full {
        /// `[P,width]`, updated, as the next two.
        param: &'a mut [f32],
        /// First moment.
        exp_avg: &'a mut [f32],
        /// Second moment.
        exp_avg_sq: &'a mut [f32],
    },
    /// Moments in 16 bits.
    Half {
        /// `[P,width]`, updated, as the next two.
        param: &'a mut [f32],
        /// First moment, bfloat16.
        exp_avg: &'a mut [u16],
        /// Square root of the second moment, bfloat16.
        root: &'a mut [u16],
    },
    /// Parameters in 16 bits, moments in 8; rows have [`compact_columns`] columns.
    Compact {
        /// `[P,S]`, binary16, updated, as the next three.
        param: &'a mut [u16],
        /// First moment, in units of the row.
        exp_avg: &'a mut [i8],
        /// Square root of the second moment, likewise.
        root: &'a mut [u8],
        /// `[P,2]`: the units of `exp_avg` and `root`.
        units: &'a mut [f32],
    },
}

/// What is added to a gradient so that the parameter shrinks; nothing to compact parameters.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Pull {
    /// Nothing.
    #[default]
    None,
    /// For logits of opacities `o`: this times `o (1 - o)`.
    Opacity(f32),
    /// For logarithms of scales `s`: this times `s`.
    Scale(f32),
}

impl Pull {
    fn of(self, param: f32) -> f32 {
        match self {
            Self::None => 0.0,
            Self::Opacity(weight) => {
                let o = 1.0 / (1.0 + (-param).exp());
                weight * (o * (1.0 - o))
            }
            Self::Scale(weight) => weight * param.exp(),
        }
    }
}

/// Columns of a compact row of `width` numbers, `S`: `width` rounded up to a multiple of 16.
#[must_use]
pub fn compact_columns(width: usize) -> usize {
    width.next_multiple_of(COLUMNS)
}

/// Updates `stored` by its gradient `grad` (`[P,width]`) and `pull`. Rows whose `visible` is 0 or less are left alone,
/// moments too; without `visible`, `[P]`, every row is updated. `draws` are the random bits of this step.
///
/// # Errors
/// [`Error`] for lengths that do not agree, and as [`adam`].
pub fn step(
    stored: Stored<'_>,
    grad: &[f32],
    width: usize,
    visible: Option<&[i32]>,
    pull: Pull,
    with: &Adam<f32>,
    draws: Draws,
) -> Result<(), Error> {
    let update = Update::new(with, steps(with.step)?);
    let p = grad.len().checked_div(width).unwrap_or(0);
    if let Some(visible) = visible {
        check::length("grad", grad.len(), visible.len() * width, || {
            format!("{} rows of {width}", visible.len())
        })?;
    }
    let live = |row: usize| visible.is_none_or(|visible| visible[row] > 0);
    match stored {
        Stored::Full { param, exp_avg, exp_avg_sq } => {
            check::length("param", param.len(), grad.len(), || "as many as `grad` has".into())?;
            let pulled: Vec<f32>;
            let grad = if pull == Pull::None {
                grad
            } else {
                pulled = grad.iter().zip(&*param).map(|(g, p)| g + pull.of(*p)).collect();
                &pulled
            };
            adam(AdamTensor { param, grad, exp_avg, exp_avg_sq, width }, visible, with)
        }
        Stored::Half { param, exp_avg, root } => {
            for (name, found) in [("param", param.len()), ("exp_avg", exp_avg.len()), ("root", root.len())] {
                check::length(name, found, grad.len(), || "as many as `grad` has".into())?;
            }
            let task = (ROWS * width).max(1);
            let parts = (
                param.par_chunks_mut(task),
                grad.par_chunks(task),
                exp_avg.par_chunks_mut(task),
                root.par_chunks_mut(task),
            );
            parts.into_par_iter().enumerate().for_each(|(i, (param, grad, exp_avg, root))| {
                for k in 0..param.len() {
                    let row = i * ROWS + k / width;
                    if !live(row) {
                        continue;
                    }
                    let (mut m, r) = (from_bfloat(exp_avg[k]), from_bfloat(root[k]));
                    let mut v = r * r;
                    let gradient = grad[k] + pull.of(param[k]);
                    update.apply(&mut param[k], gradient, &mut m, &mut v);
                    let random = draws.bits(row as u32, (k % width) as u32);
                    exp_avg[k] = to_bfloat(m, random);
                    root[k] = to_bfloat(v.sqrt(), random >> 16);
                }
            });
            Ok(())
        }
        Stored::Compact { param, exp_avg, root, units } => {
            let columns = compact_columns(width);
            for (name, found) in [("param", param.len()), ("exp_avg", exp_avg.len()), ("root", root.len())] {
                check::length(name, found, p * columns, || format!("{p} rows of {columns}"))?;
            }
            check::length("units", units.len(), 2 * p, || format!("{p} rows of 2"))?;
            if width == 0 {
                return Ok(());
            }
            let parts = (
                param.par_chunks_mut(columns),
                grad.par_chunks(width),
                exp_avg.par_chunks_mut(columns),
                root.par_chunks_mut(columns),
                units.par_chunks_mut(2),
            );
            let rows = parts.into_par_iter().enumerate().with_min_len(ROWS);
            rows.for_each(|(row, (param, grad, exp_avg, root, units))| {
                if live(row) {
                    Row { param, exp_avg, root, units }.step(&update, draws, row as u32, grad);
                }
            });
            Ok(())
        }
    }
}

/// One row of compact numbers.
struct Row<'a> {
    param: &'a mut [u16],
    exp_avg: &'a mut [i8],
    root: &'a mut [u8],
    units: &'a mut [f32],
}

impl Row<'_> {
    /// Parameter and moments of a column after its update.
    fn updated(&self, update: &Update<f32>, grad: &[f32], k: usize) -> (f32, f32, f32) {
        let mut p = from_half(self.param[k]);
        let r = f32::from(self.root[k]) * self.units[1];
        let (mut m, mut v) = (f32::from(self.exp_avg[k]) * self.units[0], r * r);
        update.apply(&mut p, grad[k], &mut m, &mut v);
        (p, m, v)
    }

    /// The units are known only after all moments are, so those are computed twice.
    fn step(&mut self, update: &Update<f32>, draws: Draws, row: u32, grad: &[f32]) {
        let (mut largest, mut largest_sq) = (0.0_f32, 0.0_f32);
        for k in 0..grad.len() {
            let (_, m, v) = self.updated(update, grad, k);
            (largest, largest_sq) = (largest.max(m.abs()), largest_sq.max(v));
        }
        let new = [unit(largest, 127.0), unit(largest_sq.sqrt(), 255.0)];
        for k in 0..grad.len() {
            let (p, m, v) = self.updated(update, grad, k);
            let random = draws.bits(row, k as u32);
            self.param[k] = to_half(p, random);
            self.exp_avg[k] = to_signed(m, new[0], random >> 13);
            self.root[k] = to_unsigned(v.sqrt(), new[1], random >> 23);
        }
        self.units.copy_from_slice(&new);
    }
}
