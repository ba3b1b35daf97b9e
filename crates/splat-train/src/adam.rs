//! Adam over named parameter tensors, state beside its parameter so that both can be reordered together.
//!
//! `torch::optim` hides its state from tch; densification will need to grow and shrink it.
//! Seven element-wise kernels a parameter, nothing is read back.

use tch::Tensor;

use crate::Result;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-15;

/// A parameter and its two moments, all of one shape.
#[derive(Debug)]
pub struct Group {
    /// What it is, for messages.
    pub name: &'static str,
    /// A leaf that requires gradients; shared with the model, updated in place.
    pub param: Tensor,
    /// Learning rate.
    pub rate: f64,
    /// Multiplies the rate, broadcast over the parameter; None is 1.
    pub relative_rate: Option<Tensor>,
    /// Mean of the gradient.
    pub mean: Tensor,
    /// Mean of its square.
    pub square: Tensor,
}

/// The optimiser (Kingma and Ba 2015, with bias correction).
#[derive(Debug)]
pub struct Adam {
    /// In the order of [`Adam::step`]'s gradients.
    pub groups: Vec<Group>,
    steps: i32,
}

impl Group {
    /// With moments of zero.
    ///
    /// # Errors
    /// Torch's.
    pub fn new(name: &'static str, param: &Tensor, rate: f64) -> Result<Self> {
        let zeros = || param.f_detach()?.f_zeros_like();
        Ok(Self {
            name,
            param: param.shallow_clone(),
            rate,
            relative_rate: None,
            mean: zeros()?,
            square: zeros()?,
        })
    }
}

impl Adam {
    /// Before the first step.
    #[must_use]
    pub fn new(groups: Vec<Group>) -> Self {
        Self { groups, steps: 0 }
    }

    /// Updates each group's parameter by its gradient, in the order of the groups. An undefined gradient
    /// leaves its group as it is.
    ///
    /// # Errors
    /// Torch's, such as for shapes that differ.
    pub fn step(&mut self, gradients: &[Tensor]) -> Result<()> {
        assert_eq!(gradients.len(), self.groups.len(), "one gradient for each group");
        let _guard = tch::no_grad_guard();
        self.steps = self.steps.saturating_add(1);
        let correction1 = 1.0 - BETA1.powi(self.steps);
        let correction2 = 1.0 - BETA2.powi(self.steps);
        for (group, gradient) in self.groups.iter_mut().zip(gradients) {
            if !gradient.defined() || group.rate == 0.0 {
                continue;
            }
            // param -= rate / c1 * mean / (sqrt(square / c2) + eps), the factors gathered below the bar:
            // addcdiv has no factor of its own here.
            let below = -correction1 / group.rate;
            let _ = group.mean.f_lerp_(gradient, 1.0 - BETA1)?;
            let _ = group.square.f_lerp_(&gradient.f_square()?, 1.0 - BETA2)?;
            let mut denominator = group.square.f_sqrt()?;
            let _ = denominator.f_mul_scalar_(below / correction2.sqrt())?.f_add_scalar_(below * EPSILON)?;
            if let Some(relative) = &group.relative_rate {
                let _ = denominator.f_div_(relative)?;
            }
            let _ = group.param.f_addcdiv_(&group.mean, &denominator)?;
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
        let mut adam = Adam::new(vec![Group::new("x", &param, 0.01).unwrap()]);
        let (mut p, mut m, mut v) = (start.map(f64::from), [0.0f64; 3], [0.0f64; 3]);
        for t in 1..=20 {
            let g = [1e-3 * f64::from(t), if t % 2 == 0 { -2.0 } else { 1.0 }, 0.0];
            adam.step(&[Tensor::from_slice(&g.map(|x| x as f32))]).unwrap();
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

    /// The first step moves by the rate, whatever the gradient's size.
    #[test]
    fn relative_rates_scale_rows() {
        let param = Tensor::zeros([2, 3, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let mut group = Group::new("sh", &param, 0.1).unwrap();
        group.relative_rate = Some(Tensor::from_slice(&[1.0f32, 0.05, 0.05]).view([1, 3, 1]));
        let mut adam = Adam::new(vec![group]);
        adam.step(&[Tensor::full([2, 3, 3], 7.0, (Kind::Float, Device::Cpu))]).unwrap();
        for (i, x) in values(&param).into_iter().enumerate() {
            let expected = if (i / 3) % 3 == 0 { -0.1 } else { -0.005 };
            assert!((x - expected).abs() < 1e-7, "{i}: {x}");
        }
    }

    /// Underflow of a squared gradient must not divide by zero.
    #[test]
    fn tiny_gradients_stay_finite() {
        let param = Tensor::from_slice(&[1.0f32]).set_requires_grad(true);
        let mut adam = Adam::new(vec![Group::new("x", &param, 1e-4).unwrap()]);
        for g in [1e-30f32, 1e-38, 0.0] {
            adam.step(&[Tensor::from_slice(&[g])]).unwrap();
            assert!(values(&param)[0].is_finite());
        }
    }
}
