//! Adam over groups of parameters, with state that follows densification, and exponential learning rates.
//!
//! A group is one tensor; densification moves the rows of its first dimension. The engine updates all groups in one call
//! (`splat_tch::adam_step`), and nothing is read back. `torch::optim` does not serve, because tch cannot reach its moments,
//! and they must be reordered together with the rows.

use serde::{Deserialize, Serialize};
use splat_tch::{AdamGroup, Backend, Pass, StepGroup, StepOptions, Stepped, Stored, Target, Upstream};
use tch::{Kind, Tensor};

use crate::gaussians::PARAMETERS;
use crate::{Error, Gaussians, Rates, Regularization, Result};

/// A rearrangement of rows, such as a refinement makes: row `i` afterwards is a copy of row `index[i]` before.
#[derive(Debug)]
pub struct Rows {
    /// `[P']` `Int64`.
    pub index: Tensor,
    /// Rows from this one on are new Gaussians: their moments start at zero.
    pub fresh_from: i64,
}

/// The learning rate and the moments of one parameter.
#[derive(Debug)]
#[non_exhaustive]
pub struct Group {
    /// The parameter's name, for messages and checkpoints.
    pub name: String,
    /// Learning rate; a group with rate 0 is not updated.
    pub rate: f64,
    /// Running mean of the gradient, in the parameter's shape. Of compact Gaussians it is `BFloat16`, or for `sh_rest` `Int8` in
    /// the row's unit.
    pub exp_avg: Tensor,
    /// Running mean of the squared gradient, in the parameter's shape. Of compact Gaussians it is the square root, `BFloat16`, or
    /// for `sh_rest` `Uint8` in the row's unit.
    pub exp_avg_sq: Tensor,
    /// `[P,2]`: the units of the two, if they have some.
    pub units: Option<Tensor>,
}

/// Adam (Kingma and Ba 2015, with bias correction).
#[derive(Debug)]
#[non_exhaustive]
pub struct Optimizer {
    /// In the order of the parameters that [`Optimizer::step`] gets.
    pub groups: Vec<Group>,
    /// Updates so far.
    pub steps: i64,
    /// Decays of the first and second moments: 0.9 and 0.999 unless set.
    pub betas: [f32; 2],
    /// Epsilon added to the denominator, `sqrt(v) + eps`: 1e-15 unless set.
    pub eps: f32,
    backend: Backend,
}

/// Exponential decay from `from` at step 0 to `to` at step `steps` and later: `exp(ln(from) (1-t) + ln(to) t)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Exponential {
    /// The value at step 0.
    pub from: f64,
    /// The value at step `steps` and later.
    pub to: f64,
    /// Steps from the one to the other.
    pub steps: u64,
}

impl Exponential {
    /// The same, but at `to` after `most` steps at the latest.
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
    /// An optimiser for `parameters`, each with a name and a learning rate. All moments are zero.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn new<'a>(
        backend: &Backend,
        parameters: impl IntoIterator<Item = (&'a str, &'a Tensor, f64)>,
    ) -> Result<Self> {
        let mut groups = Vec::new();
        for (name, param, rate) in parameters {
            let zeros = || param.f_detach()?.f_zeros_like();
            groups.push(Group {
                name: name.into(),
                rate,
                exp_avg: zeros()?,
                exp_avg_sq: zeros()?,
                units: None,
            });
        }
        Ok(Self { groups, steps: 0, betas: [0.9, 0.999], eps: 1e-15, backend: backend.clone() })
    }

    /// An optimiser for [`Gaussians::parameters`] with the rates of step 0 for a scene of this extent in world units.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn for_gaussians(
        backend: &Backend,
        gaussians: &Gaussians,
        rates: &Rates,
        extent: f64,
    ) -> Result<Self> {
        let each = PARAMETERS.iter().zip(gaussians.parameters()).zip(rates.at(0, extent));
        let mut groups = Vec::with_capacity(PARAMETERS.len());
        for ((name, param), rate) in each {
            groups.push(Group::new(name, param, rate, gaussians.is_compact())?);
        }
        Ok(Self { groups, ..Self::new(backend, [])? })
    }

    /// Updates each parameter by its gradient, in the order of the groups. A group with an undefined gradient or a rate of 0
    /// is left alone.
    ///
    /// # Errors
    /// [`Error::Settings`] unless there are as many parameters and gradients as groups; [`Error::Render`] for shapes or
    /// devices that differ, or a backend without Adam.
    pub fn step(&mut self, parameters: &[&Tensor], gradients: &[Tensor]) -> Result<()> {
        self.step_rows(parameters, gradients, None)
    }

    /// As [`Optimizer::step`], but only for the rows where `rows` (`[P]` `Int`) is not 0; of the others the moments stay as
    /// they are, too.
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    pub fn step_rows(
        &mut self,
        parameters: &[&Tensor],
        gradients: &[Tensor],
        rows: Option<&Tensor>,
    ) -> Result<()> {
        let (n, p, g) = (self.groups.len(), parameters.len(), gradients.len());
        if (p, g) != (n, n) {
            let text =
                format!("{p} parameters and {g} gradients are given, but the optimizer has {n} groups");
            return Err(Error::Settings(text));
        }
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
                let (first, second) = (&group.exp_avg, &group.exp_avg_sq);
                let group = AdamGroup::new(param, grad, first, second, self.steps, group.rate as f32);
                Some(group.betas(self.betas[0], self.betas[1]).eps(self.eps))
            })
            .collect();
        Ok(splat_tch::adam_step(&self.backend, &groups, rows)?)
    }

    /// The backward pass of a render of `gaussians`, from the gradients of its images to the updated parameters: what
    /// [`Optimizer::step`] does with the gradients of a graph to which [`loss::regularize`](crate::loss::regularize) has added
    /// those of `pull`. Groups with a rate of 0 are left alone.
    ///
    /// # Errors
    /// [`Error::Settings`] unless the groups are those of [`Optimizer::for_gaussians`]; [`Error::Render`].
    pub fn step_pass(
        &mut self,
        pass: Pass,
        gaussians: &Gaussians,
        upstream: &Upstream<'_>,
        pull: Regularization,
        options: &StepOptions,
    ) -> Result<Stepped> {
        let n = self.groups.len();
        if n != PARAMETERS.len() {
            return Err(Error::Settings(format!(
                "the optimizer has {n} groups, but Gaussians have 6 parameters"
            )));
        }
        let count = gaussians.len().max(1) as f64;
        let steps = self.steps + 1;
        let targets = [
            Target::Means3d,
            Target::Sh,
            Target::ShRest,
            Target::Opacities,
            Target::Scales,
            Target::Rotations,
        ];
        let all = self.groups.iter().zip(gaussians.parameters()).zip(targets);
        let moving = all.filter(|((group, param), _)| group.rate != 0.0 && param.numel() > 0);
        let groups: Vec<StepGroup<'_>> = moving
            .map(|((group, param), target)| StepGroup {
                target,
                stored: group.stored(param),
                pull: match target {
                    Target::Opacities => (pull.opacity / count) as f32,
                    Target::Scales => (pull.scale / (3.0 * count)) as f32,
                    _ => 0.0,
                },
                step: steps,
                lr: group.rate as f32,
                betas: self.betas,
                eps: self.eps,
            })
            .collect();
        let stepped = pass.step(upstream, &groups, options)?;
        self.steps = steps;
        Ok(stepped)
    }

    /// Rearranges the moments; those of new rows are zero.
    ///
    /// # Errors
    /// A row that does not exist; out of device memory.
    pub fn select(&mut self, rows: &Rows) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let count = rows.index.size()[0];
        for group in &mut self.groups {
            for moment in group.moments_mut() {
                *moment = moment.f_index_select(0, &rows.index)?;
                if rows.fresh_from < count {
                    let _ = moment.f_narrow(0, rows.fresh_from, count - rows.fresh_from)?.f_zero_()?;
                }
            }
        }
        Ok(())
    }

    /// Decays and epsilon for steps on `batch` views each, in place of the defaults: `beta^batch` and `eps / sqrt(batch)` (Zhao
    /// et al. 2024, Grendel-GS). The rates, which grow by `sqrt(batch)`, are the caller's to set.
    #[must_use]
    pub fn for_batch(self, batch: usize) -> Self {
        let views = batch as f32;
        let betas = self.betas.map(|beta| if batch == 1 { beta } else { beta.powf(views) });
        Self { betas, eps: self.eps / views.sqrt(), ..self }
    }

    /// Everything that has a row per Gaussian.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.groups.iter_mut().flat_map(|group| [&mut group.exp_avg, &mut group.exp_avg_sq])
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
    /// A group without moments yet, for a parameter of compact Gaussians or of others.
    fn new(name: &str, param: &Tensor, rate: f64, compact: bool) -> Result<Self> {
        let zeros = |kind| param.f_detach()?.f_to_kind(kind)?.f_zeros_like();
        let (first, second) = match (compact, param.f_kind()?) {
            (false, kind) => (kind, kind),
            (true, Kind::Half) => (Kind::Int8, Kind::Uint8),
            (true, _) => (Kind::BFloat16, Kind::BFloat16),
        };
        let units = (first == Kind::Int8)
            .then(|| Tensor::f_zeros([param.size()[0], 2], (Kind::Float, param.device())))
            .transpose()?;
        Ok(Self { name: name.into(), rate, exp_avg: zeros(first)?, exp_avg_sq: zeros(second)?, units })
    }

    /// The tensors whose rows are those of the parameter.
    pub(crate) fn moments_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        [&mut self.exp_avg, &mut self.exp_avg_sq].into_iter().chain(&mut self.units)
    }

    fn stored<'a>(&'a self, param: &'a Tensor) -> Stored<'a> {
        let exp_avg = &self.exp_avg;
        match (&self.units, exp_avg.kind()) {
            (Some(units), _) => Stored::Compact { param, exp_avg, root: &self.exp_avg_sq, units },
            (None, Kind::BFloat16) => Stored::Half { param, exp_avg, root: &self.exp_avg_sq },
            (None, _) => Stored::Full { param, exp_avg, exp_avg_sq: &self.exp_avg_sq },
        }
    }

    /// Names in checkpoints and tensors of [`Group::moments_mut`], in the same order.
    pub(crate) fn moments(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        ["exp_avg", "exp_avg_sq", "units"]
            .into_iter()
            .zip([&self.exp_avg, &self.exp_avg_sq].into_iter().chain(&self.units))
    }

    /// Sets the moments to zero, in the rows where `rows` (`[P]` `Bool`) is true or in all.
    ///
    /// # Errors
    /// Torch's, for example for another number of rows.
    pub fn forget(&mut self, rows: Option<&Tensor>) -> Result<()> {
        for moment in self.moments_mut() {
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
    use tch::Device;

    use super::*;

    fn values(t: &Tensor) -> Vec<f64> {
        Vec::try_from(t.detach().to_kind(Kind::Double).view(-1)).unwrap()
    }

    /// Against the formulas in f64, over steps of gradients that change sign and are zero.
    #[test]
    fn updates_are_those_of_the_formulas() {
        let start = [0.5f32, -1.0, 2.0];
        let param = Tensor::from_slice(&start).set_requires_grad(true);
        let mut adam = Optimizer::new(&Backend::cpu(), [("x", &param, 0.01)]).unwrap();
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
        let mut adam = Optimizer::new(&Backend::cpu(), [("x", &param, 0.1)]).unwrap();
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

    /// Other decays and another epsilon are those of the formulas: one step of sign descent without memory.
    #[test]
    fn betas_and_epsilon_can_be_set() {
        let param = Tensor::from_slice(&[1.0f32]);
        let mut adam = Optimizer::new(&Backend::cpu(), [("x", &param, 0.5)]).unwrap();
        (adam.betas, adam.eps) = ([0.0, 0.0], 3.0);
        adam.step(&[&param], &[Tensor::from_slice(&[1.0f32])]).unwrap();
        assert!((values(&param)[0] - (1.0 - 0.5 / 4.0)).abs() < 1e-6);
    }

    #[test]
    fn a_gradient_too_few_is_an_error() {
        let param = Tensor::from_slice(&[1.0f32]);
        let mut adam = Optimizer::new(&Backend::cpu(), [("x", &param, 0.5)]).unwrap();
        let error = adam.step(&[&param], &[]).unwrap_err().to_string();
        assert!(error.contains("0 gradients") && error.contains("1 groups"), "{error}");
        assert_eq!(adam.steps, 0);
    }

    /// A group with rate 0 and one with an undefined gradient stay; underflow does not divide by zero.
    #[test]
    fn groups_without_rate_or_gradient_stay() {
        let (a, b) = (Tensor::from_slice(&[1.0f32]), Tensor::from_slice(&[1.0f32]));
        let mut adam = Optimizer::new(&Backend::cpu(), [("a", &a, 0.0), ("b", &b, 1e-4)]).unwrap();
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
