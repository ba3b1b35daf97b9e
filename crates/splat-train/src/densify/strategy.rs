//! The strategies of this crate as a setting.

use serde::{Deserialize, Serialize};

use super::{
    Adc, AdcConfig, Budget, Change, Densify, Guided, GuidedConfig, Mcmc, McmcConfig, Regularization,
};
use crate::{Error, Gaussians, Optimizer, Result};

/// A strategy of this crate with its numbers. Your own goes to
/// [`TrainerBuilder::densify`](crate::TrainerBuilder::densify).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Strategy {
    /// The number of Gaussians does not change.
    Fixed,
    /// Adaptive density control with the published schedule.
    Adc(AdcConfig),
    /// 3DGS as Markov chain Monte Carlo.
    Mcmc(McmcConfig),
    /// Growth where the error is, up to a budget that follows from the photographs.
    Guided(GuidedConfig),
}

impl Default for Strategy {
    fn default() -> Self {
        Self::Guided(GuidedConfig::default())
    }
}

impl Strategy {
    /// Creates the strategy for a scene of this extent in world units ([`splat_scene::Dataset::scene_extent`]). `budget` is
    /// for [`Strategy::Guided`], which does not grow without it unless it has a number of its own.
    #[must_use]
    pub fn start(&self, extent: f64, budget: Option<Budget>, seed: u64) -> Box<dyn Densify> {
        match self {
            Self::Fixed => Box::new(Fixed),
            Self::Adc(config) => Box::new(Adc::new(config.clone(), extent, seed)),
            Self::Mcmc(config) => Box::new(Mcmc::new(config.clone(), seed)),
            Self::Guided(config) => Box::new(Guided::new(config.clone(), budget, seed)),
        }
    }

    /// Checks the numbers that every strategy has.
    pub(crate) fn check(&self) -> Result<()> {
        let (every, most) = match self {
            Self::Fixed => (1, None),
            Self::Adc(adc) => (adc.every, adc.max_gaussians),
            Self::Mcmc(mcmc) => (mcmc.every, Some(mcmc.cap)),
            Self::Guided(guided) => (guided.every, guided.cap),
        };
        let refuse = |text: &str| Err(Error::Settings(text.into()));
        if every == 0 {
            return refuse("the strategy refines every 0 steps, expected 1 or more");
        }
        if most == Some(0) {
            return refuse("at most 0 Gaussians are allowed, expected 1 or more");
        }
        Ok(())
    }

    /// The most Gaussians to start from, if the strategy limits that.
    pub(crate) fn most(&self) -> Option<usize> {
        match self {
            Self::Guided(guided) => guided.cap,
            _ => None,
        }
    }

    /// [`Densify::regularization`] of the strategy.
    #[must_use]
    pub fn regularization(&self) -> Regularization {
        self.start(1.0, None, 0).regularization()
    }
}

/// Leaves the number of Gaussians as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fixed;

impl Densify for Fixed {
    fn works_on_shares(&self) -> bool {
        true
    }

    fn refine(&mut self, _: u64, _: &mut Gaussians, _: &mut Optimizer) -> Result<Option<Change>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the published regularisation no Gaussian of MCMC dies; it must not take a setting to get it.
    #[test]
    fn mcmc_brings_its_regularization() {
        let of = |strategy: Strategy| strategy.regularization();
        let published = Regularization { opacity: 0.01, scale: 0.01 };
        assert_eq!(of(Strategy::Mcmc(McmcConfig::default())), published);
        assert_eq!(of(Strategy::Adc(AdcConfig::default())), Regularization::default());
        assert_eq!(of(Strategy::Fixed), Regularization::default());
    }
}
