//! The mean of the parameters over the last steps of a run (Polyak and Juditsky 1992). A step sees one photograph, so at full
//! learning rates the parameters wander around what suits all of them; their mean does not, and smaller rates, which would
//! calm them too, learn less in the same number of steps.
//!
//! The mean is kept beside the parameters, which go on as if it were not there, and takes their place at the end of the run.
//! Their last values are kept then, so that a run which is extended goes on from them.
//!
//! What is stored in 16 bits has no mean: the steps that one could resolve are smaller than its roundings. That is SH after the
//! constant term of compact Gaussians, whose rate is the smallest.

use tch::{Device, Kind, Tensor};

use crate::gaussians::PARAMETERS;
use crate::{Gaussians, Result};

/// Steps between two of the values that are averaged: those of neighbouring steps hardly differ.
const EVERY: u64 = 5;

/// A running mean of [`Gaussians::parameters`].
#[derive(Debug)]
pub struct Average {
    from: u64,
    until: u64,
    /// `[P,..]` in the order of the parameters that have one: the mean, or after the last step the values that it replaced. None before
    /// the first value.
    kept: Vec<Tensor>,
    /// Their names.
    names: Vec<&'static str>,
    /// `[1]`: how many values the mean is of; 0 after the last step.
    values: Tensor,
}

impl Average {
    /// The mean over the last steps of `steps`, this share of them (0 to 1), of every fifth. With 0 nothing is averaged.
    #[must_use]
    pub fn new(share: f64, steps: u64) -> Self {
        let last = (steps as f64 * share).round() as u64;
        let values = Tensor::zeros([1], (Kind::Float, Device::Cpu));
        Self { from: steps.saturating_sub(last), until: steps, kept: Vec::new(), names: Vec::new(), values }
    }

    /// Takes note of the parameters after step `step`; after the last one the mean replaces them.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn follow(&mut self, step: u64, gaussians: &Gaussians) -> Result<()> {
        if step <= self.from || step > self.until || !(self.until - step).is_multiple_of(EVERY) {
            return Ok(());
        }
        let _guard = tch::no_grad_guard();
        let _ = self.values.f_add_scalar_(1.0)?;
        let share = 1.0 / self.values.f_double_value(&[0])?;
        if self.kept.is_empty() {
            self.kept = copies(gaussians)?;
            self.names = averaged(gaussians).map(|(name, _)| name).collect();
        } else {
            for (mean, value) in self.kept.iter_mut().zip(averaged(gaussians).map(|(_, t)| t)) {
                let _ = mean.f_lerp_(&value.f_detach()?, share)?;
            }
        }
        if step == self.until {
            let mean = std::mem::replace(&mut self.kept, copies(gaussians)?);
            replace(gaussians, &mean)?;
            let _ = self.values.f_zero_()?;
        }
        Ok(())
    }

    /// Begins anew, because the rows of the parameters have changed.
    ///
    /// # Errors
    /// Torch's.
    pub fn forget(&mut self) -> Result<()> {
        self.kept.clear();
        let _ = self.values.f_zero_()?;
        Ok(())
    }

    /// The tensors to save, by name; none before the first value.
    #[must_use]
    pub fn state(&self) -> Vec<(&'static str, &Tensor)> {
        if self.kept.is_empty() {
            return Vec::new();
        }
        let mut state = vec![("values", &self.values)];
        state.extend(self.names.iter().copied().zip(&self.kept));
        state
    }

    /// Restores what [`Average::state`] named after step `step`; `tensor` gives `None` for what was not saved. If that step
    /// was the last of a run which has become longer since, `gaussians` get back the values that the mean replaced.
    ///
    /// # Errors
    /// What `tensor` returns; torch's.
    pub fn restore(
        &mut self,
        step: u64,
        gaussians: &Gaussians,
        tensor: &mut dyn FnMut(&str) -> Result<Option<Tensor>>,
    ) -> Result<()> {
        let Some(values) = tensor("values")? else { return Ok(()) };
        let names: Vec<_> = averaged(gaussians).map(|(name, _)| name).collect();
        let kept: Vec<Tensor> =
            names.iter().filter_map(|name| tensor(name).transpose()).collect::<Result<_>>()?;
        let ended = values.f_double_value(&[0])? == 0.0;
        if ended && step < self.until {
            let _guard = tch::no_grad_guard();
            replace(gaussians, &kept)?;
        } else if step > self.from {
            (self.kept, self.names, self.values) = (kept, names, values.f_to_device(Device::Cpu)?);
        }
        Ok(())
    }
}

fn copies(gaussians: &Gaussians) -> Result<Vec<Tensor>> {
    averaged(gaussians).map(|(_, p)| Ok(p.f_detach()?.f_mul_scalar(1.0)?)).collect()
}

/// The parameters that have a mean, by name.
fn averaged(gaussians: &Gaussians) -> impl Iterator<Item = (&'static str, &Tensor)> {
    let all = PARAMETERS.into_iter().zip(gaussians.parameters());
    all.filter(|(_, parameter)| parameter.kind() == Kind::Float)
}

fn replace(gaussians: &Gaussians, values: &[Tensor]) -> Result<()> {
    for ((_, parameter), value) in averaged(gaussians).zip(values) {
        parameter.f_detach()?.f_copy_(value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaussians(value: f64) -> Gaussians {
        let shapes: [&[i64]; 6] = [&[2, 3], &[2, 1, 3], &[2, 0, 3], &[2, 1], &[2, 3], &[2, 4]];
        let floats = (Kind::Float, Device::Cpu);
        Gaussians::from_parameters(shapes.map(|s| Tensor::full(s, value, floats))).unwrap()
    }

    /// The parameters after the last of `steps`, each with its own number as their value.
    fn follow(average: &mut Average, steps: std::ops::RangeInclusive<u64>) -> Gaussians {
        let mut last = gaussians(0.0);
        for step in steps {
            last = gaussians(step as f64);
            average.follow(step, &last).unwrap();
        }
        last
    }

    fn value(gaussians: &Gaussians) -> f64 {
        let all = gaussians.parameters().map(|p| p.view(-1));
        let all = Tensor::cat(&all, 0);
        assert!((all.max() - all.min()).double_value(&[]) < 1e-6, "{all}");
        all.double_value(&[0])
    }

    /// Restores into another average, over `share` of `steps`, what `average` has after step `step`.
    fn restored(average: &Average, step: u64, (share, steps): (f64, u64), into: &Gaussians) -> Average {
        let saved: Vec<_> = average.state().into_iter().map(|(name, t)| (name, t.copy())).collect();
        let mut find = |name: &str| Ok(saved.iter().find(|(n, _)| *n == name).map(|(_, t)| t.copy()));
        let mut other = Average::new(share, steps);
        other.restore(step, into, &mut find).unwrap();
        other
    }

    /// Of the steps 1 to 20 the last half has 15 and 20.
    #[test]
    fn the_run_ends_with_the_mean_of_its_last_steps() {
        assert_eq!(value(&follow(&mut Average::new(0.5, 20), 1..=20)), 17.5);
        assert_eq!(value(&follow(&mut Average::new(0.0, 20), 1..=20)), 20.0);
    }

    #[test]
    fn a_saved_mean_goes_on() {
        let mut first = Average::new(1.0, 20);
        let half = follow(&mut first, 1..=13);
        let mut second = restored(&first, 13, (1.0, 20), &half);
        assert_eq!(value(&follow(&mut first, 14..=20)), 12.5);
        assert_eq!(value(&follow(&mut second, 14..=20)), 12.5);
    }

    #[test]
    fn a_run_that_is_extended_goes_on_from_its_last_values() {
        let mut first = Average::new(1.0, 20);
        let ended = follow(&mut first, 1..=20);
        assert!(restored(&first, 20, (0.5, 40), &ended).state().is_empty());
        assert_eq!(value(&ended), 20.0);
        // One that had not ended has the values it had; its mean counts only if the last steps have begun.
        let mut second = Average::new(1.0, 20);
        let half = follow(&mut second, 1..=13);
        assert!(restored(&second, 13, (0.5, 40), &half).state().is_empty());
        assert_eq!(value(&half), 13.0);
    }

    #[test]
    fn other_rows_begin_a_new_mean() {
        let mut average = Average::new(1.0, 20);
        follow(&mut average, 1..=12);
        average.forget().unwrap();
        assert!(average.state().is_empty());
        assert_eq!(value(&follow(&mut average, 13..=20)), 17.5);
    }
}
