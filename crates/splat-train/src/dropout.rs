//! Steps that leave out a random share of the Gaussians, so that a few cannot explain a photograph together in a way that no
//! other view confirms (dropout, Srivastava et al. 2014; for Gaussians Park et al. 2025). What is rendered for evaluation
//! has all of them; the last steps of a run train it as it is.

use tch::{Kind, Tensor};

use crate::random::Noise;
use crate::{Gaussians, Result};

/// Added to the logit of a Gaussian that is left out: its opacity is below what any engine blends.
const GONE: f64 = -40.0;

/// Leaves out Gaussians at random.
#[derive(Debug)]
pub struct Dropout {
    share: f64,
    until: u64,
    noise: Noise,
}

impl Dropout {
    /// Leaves out the share `share` (below 1) of the Gaussians in the steps up to `until`.
    #[must_use]
    pub fn new(share: f64, until: u64, seed: u64) -> Self {
        Self { share, until, noise: Noise::new(seed ^ 0xD209) }
    }

    /// The Gaussians of step `step`, with a graph back to the leaves of `gaussians`; `None` if they are all there.
    ///
    /// # Errors
    /// Out of device memory.
    pub fn thin(&mut self, step: u64, gaussians: &Gaussians) -> Result<Option<Gaussians>> {
        if self.share <= 0.0 || step > self.until {
            return Ok(None);
        }
        // Half the squared length of two normal numbers is below x with probability 1 - exp(-x).
        let normal = gaussians.own(&self.noise.at(step, gaussians.total() as i64, gaussians.device())?)?;
        let normal = normal.f_narrow(1, 0, 2)?;
        let length = normal.f_square()?.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float)?;
        let gone = length.f_lt(-2.0 * (1.0 - self.share).ln())?.f_to_kind(Kind::Float)?;
        let [means, sh_first, sh_rest, logits, log_scales, rotations] =
            gaussians.parameters().map(Tensor::shallow_clone);
        let opacity_logits = logits.f_add(&gone.f_mul_scalar(GONE)?)?;
        Ok(Some(Gaussians {
            means,
            sh_first,
            sh_rest,
            opacity_logits,
            log_scales,
            rotations,
            origin: gaussians.origin,
            shares: gaussians.shares.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share that was asked for is gone, other ones in each step; gradients reach the leaves; afterwards nothing is gone.
    #[test]
    fn a_share_is_left_out() {
        let floats = (Kind::Float, tch::Device::Cpu);
        let shapes: [&[i64]; 6] =
            [&[4000, 3], &[4000, 1, 3], &[4000, 0, 3], &[4000, 1], &[4000, 3], &[4000, 4]];
        let gaussians = Gaussians::from_parameters(shapes.map(|s| Tensor::zeros(s, floats))).unwrap();
        let mut dropout = Dropout::new(0.2, 10, 1);
        let mut gone = |step| dropout.thin(step, &gaussians).unwrap().map(|g| g.opacity_logits.lt(-20.0));
        let (first, second) = (gone(1).unwrap(), gone(2).unwrap());
        // 800 expected, standard deviation 25.
        let count = first.sum(Kind::Int64).int64_value(&[]);
        assert!((700..900).contains(&count), "{count}");
        assert_ne!(first.logical_and(&second).sum(Kind::Int64).int64_value(&[]), count);
        assert!(gone(11).is_none());
        let thinned = dropout.thin(1, &gaussians).unwrap().unwrap();
        let total = thinned.opacities().unwrap().sum(Kind::Float);
        let found = crate::gradients(&total, &gaussians.parameters()[3..4]).unwrap();
        let moved = found[0].gt(0.1).sum(Kind::Int64).int64_value(&[]);
        assert_eq!(moved, 4000 - count, "those that are left out learn nothing");
    }
}
