//! Adam over groups of parameters, with state that follows densification, and exponential learning rates.
//!
//! A group is one tensor whose first dimension is the row that densification moves. The engine updates all groups in one
//! call (`splat_tch::adam_step`); nothing is read back. `torch::optim` hides its moments from tch, and they must be
//! reordered with the rows.

use serde::{Deserialize, Serialize};
use splat_tch::{AdamGroup, EngineChoice};
use tch::Tensor;

use crate::gaussians::PARAMETERS;
use crate::{Gaussians, Rates, Result};

/// Decay of the first and second moments, and what stands beside the root: those of the published schedule.
const BETAS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-15;

/// The new rows in terms of the old: `index[i]` is where row `i` comes from.
#[derive(Debug)]
pub struct Rows {
    /// `[P']` `Int64`.
    pub index: Tensor,
    /// Rows from here on are new: their moments are zero.
    pub fresh_from: i64,
}

/// A tensor's learning rate and moments.
#[derive(Debug)]
pub struct Group {
    /// What it is, for messages and checkpoints.
    pub name: String,
    /// Learning rate; with 0 the group rests.
    pub rate: f64,
    /// Mean of the gradient, of the parameter's shape.
    pub exp_avg: Tensor,
    /// Mean of its square, of the parameter's shape.
    pub exp_avg_sq: Tensor,
}

/// Adam (Kingma and Ba 2015, with bias correction).
#[derive(Debug)]
pub struct Optimizer {
    /// In the order of the parameters that [`Optimizer::step`] gets.
    pub groups: Vec<Group>,
    /// Updates so far.
    pub steps: i64,
}

/// `from` at step 0, `to` at step `steps` and after, exponential between: `exp(ln(from) (1-t) + ln(to) t)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Exponential {
    /// At step 0.
    pub from: f64,
    /// At step `steps` and after.
    pub to: f64,
    /// Steps between them.
    pub steps: u64,
}

impl Exponential {
    /// The same, but at `b` after `most` steps at the latest.
    #[must_use]
    pub fn within(self, most: u64) -> Self {
        Self { steps: self.steps.min(most), ..self }
    }

    /// The value at step `iteration`.
    #[must_use]
    pub fn at(&self, iteration: u64) -> f64 {
        let t = (iteration as f64 / self.steps.max(1) as f64).min(1.0);
        (self.from.ln() * (1.0 - t) + self.to.ln() * t).exp()
    }
}

impl Optimizer {
    /// For `parameters` with a name and rate each; moments are zero.
    ///
    /// # Errors
    /// A device without room.
    pub fn new<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a Tensor, f64)>) -> Result<Self> {
        let mut groups = Vec::new();
        for (name, param, rate) in parameters {
            let zeros = || param.f_detach()?.f_zeros_like();
            groups.push(Group { name: name.into(), rate, exp_avg: zeros()?, exp_avg_sq: zeros()? });
        }
        Ok(Self { groups, steps: 0 })
    }

    /// For [`Gaussians::parameters`]; rates as at the first step.
    ///
    /// # Errors
    /// A device without room.
    pub fn for_gaussians(gaussians: &Gaussians, rates: &Rates, extent: f64) -> Result<Self> {
        let each = PARAMETERS.iter().zip(gaussians.parameters()).zip(rates.at(0, extent));
        Self::new(each.map(|((name, param), rate)| (*name, param, rate)))
    }

    /// Updates each parameter by its gradient, in the order of the groups. An undefined gradient leaves its group as it
    /// is, and so does a rate of 0.
    ///
    /// # Errors
    /// Shapes that differ; an engine without optimiser.
    pub fn step(&mut self, parameters: &[&Tensor], gradients: &[Tensor]) -> Result<()> {
        self.step_rows(parameters, gradients, None)
    }

    /// As [`Optimizer::step`], for the rows alone where `rows` (`[P]` `Int`) is not 0: of the others the moments rest too.
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    pub fn step_rows(
        &mut self,
        parameters: &[&Tensor],
        gradients: &[Tensor],
        rows: Option<&Tensor>,
    ) -> Result<()> {
        assert_eq!(parameters.len(), self.groups.len(), "one parameter for each group");
        assert_eq!(gradients.len(), self.groups.len(), "one gradient for each group");
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        let mut dense = Vec::with_capacity(gradients.len());
        for gradient in gradients {
            dense.push(gradient.defined().then(|| gradient.f_contiguous()).transpose()?);
        }
        let moved = self.groups.iter().zip(parameters).zip(&dense);
        let groups: Vec<AdamGroup<'_>> = moved
            .filter_map(|((group, param), grad)| {
                let grad = grad.as_ref().filter(|_| group.rate != 0.0 && param.numel() > 0)?;
                Some(AdamGroup {
                    param,
                    grad,
                    exp_avg: &group.exp_avg,
                    exp_avg_sq: &group.exp_avg_sq,
                    step: self.steps,
                    lr: group.rate as f32,
                    beta1: BETAS[0],
                    beta2: BETAS[1],
                    eps: EPSILON,
                })
            })
            .collect();
        Ok(splat_tch::adam_step(&groups, rows, &EngineChoice::Auto)?)
    }

    /// Takes the rows `rows` names, in its order; new rows begin with moments of zero.
    ///
    /// # Errors
    /// A row that is not there; a device without room.
    pub fn select(&mut self, rows: &Rows) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let count = rows.index.size()[0];
        for group in &mut self.groups {
            for moment in [&mut group.exp_avg, &mut group.exp_avg_sq] {
                *moment = moment.f_index_select(0, &rows.index)?;
                if rows.fresh_from < count {
                    let _ = moment.f_narrow(0, rows.fresh_from, count - rows.fresh_from)?.f_zero_()?;
                }
            }
        }
        Ok(())
    }

    /// Sets the rates of all groups, in their order.
    pub fn set_rates(&mut self, rates: impl IntoIterator<Item = f64>) {
        for (group, rate) in self.groups.iter_mut().zip(rates) {
            group.rate = rate;
        }
    }

    /// The group `name`.
    ///
    /// # Panics
    /// If there is none.
    pub fn group_mut(&mut self, name: &str) -> &mut Group {
        self.groups.iter_mut().find(|g| g.name == name).unwrap_or_else(|| panic!("no group {name}"))
    }
}

impl Group {
    /// Forgets the moments of the rows where `rows` (`[P]` `Bool`) is true, or of all.
    ///
    /// # Errors
    /// Torch's.
    pub fn forget(&mut self, rows: Option<&Tensor>) -> Result<()> {
        for moment in [&mut self.exp_avg, &mut self.exp_avg_sq] {
            match rows {
                None => drop(moment.f_zero_()?),
                Some(rows) => {
                    let shape: Vec<i64> =
                        moment.size().iter().enumerate().map(|(i, &n)| if i == 0 { n } else { 1 }).collect();
                    let _ = moment.f_masked_fill_(&rows.f_view(shape.as_slice())?, 0.0)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn values(t: &Tensor) -> Vec<f64> {
        Vec::try_from(t.detach().to_kind(Kind::Double).view(-1)).unwrap()
    }

    /// Against the formulas in f64, over steps of gradients that change sign and are zero.
    #[test]
    fn updates_are_those_of_the_formulas() {
        let start = [0.5f32, -1.0, 2.0];
        let param = Tensor::from_slice(&start).set_requires_grad(true);
        let mut adam = Optimizer::new([("x", &param, 0.01)]).unwrap();
        let (mut p, mut m, mut v) = (start.map(f64::from), [0.0f64; 3], [0.0f64; 3]);
        for t in 1..=20 {
            let g = [1e-3 * f64::from(t), if t % 2 == 0 { -2.0 } else { 1.0 }, 0.0];
            adam.step(&[&param], &[Tensor::from_slice(&g.map(|x| x as f32))]).unwrap();
            for k in 0..3 {
                m[k] = 0.9 * m[k] + 0.1 * g[k];
                v[k] = 0.999 * v[k] + 0.001 * g[k] * g[k];
                let (mh, vh) = (m[k] / (1.0 - 0.9f64.powi(t)), v[k] / (1.0 - 0.999f64.powi(t)));
                p[k] -= 0.01 * mh / (vh.sqrt() + 1e-15);
            }
            for (a, b) in values(&param).into_iter().zip(p) {
                assert!((a - b).abs() < 1e-6, "step {t}: {a} {b}");
            }
        }
        assert_eq!(values(&param)[2], 2.0, "no gradient, no movement");
        assert!(param.requires_grad() && param.is_leaf());
    }

    /// A row that moves takes its moments along; a new row has none.
    #[test]
    fn moments_follow_their_rows() {
        let param = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let mut adam = Optimizer::new([("x", &param, 0.1)]).unwrap();
        adam.step(&[&param], &[Tensor::from_slice(&[1.0f32, 1., 2., 2., 3., 3.]).view([3, 2])]).unwrap();
        let rows = Rows { index: Tensor::from_slice(&[2i64, 0, 2]), fresh_from: 2 };
        adam.select(&rows).unwrap();
        let mean = values(&adam.groups[0].exp_avg);
        for (a, b) in mean.into_iter().zip([0.3, 0.3, 0.1, 0.1, 0.0, 0.0]) {
            assert!((a - b).abs() < 1e-6);
        }
        adam.groups[0].forget(Some(&Tensor::from_slice(&[true, false, false]))).unwrap();
        let left = values(&adam.groups[0].exp_avg_sq);
        assert_eq!(left[..2], [0.0, 0.0]);
        assert!(left[2] > 0.0);
    }

    /// A group at rest and an undefined gradient move nothing; underflow does not divide by zero.
    #[test]
    fn what_rests_and_what_is_tiny() {
        let (a, b) = (Tensor::from_slice(&[1.0f32]), Tensor::from_slice(&[1.0f32]));
        let mut adam = Optimizer::new([("a", &a, 0.0), ("b", &b, 1e-4)]).unwrap();
        adam.step(&[&a, &b], &[Tensor::from_slice(&[1.0f32]), Tensor::new()]).unwrap();
        assert_eq!((values(&a), values(&b)), (vec![1.0], vec![1.0]));
        for g in [1e-30f32, 1e-38, 0.0] {
            adam.step(&[&a, &b], &[Tensor::new(), Tensor::from_slice(&[g])]).unwrap();
            assert!(values(&b)[0].is_finite());
        }
    }

    #[test]
    fn rates_fall_exponentially() {
        let rate = Exponential { from: 1.6e-4, to: 1.6e-6, steps: 30_000 };
        for (step, expected) in [(0, 1.6e-4), (15_000, 1.6e-5), (30_000, 1.6e-6), (90_000, 1.6e-6)] {
            assert!((rate.at(step) / expected - 1.0).abs() < 1e-9);
        }
    }
}
