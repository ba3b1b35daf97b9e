//! The settings of a run, with the defaults of the published 30,000 step schedule.

use serde::Serialize;

use crate::{Error, Result};

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    /// Steps; one view each.
    pub iterations: u64,
    /// Highest SH degree, 0 to 3.
    pub sh_degree: u32,
    /// Steps after which the active SH degree rises by one, from 0.
    pub sh_every: u64,
    /// Weight of D-SSIM against L1 in the loss.
    pub lambda_dssim: f64,
    /// Behind everything, and under transparent photographs.
    pub background: [f32; 3],
    /// Compensate opacity for the rasterizer's dilation.
    pub antialiasing: bool,
    /// Steps between evaluations of the held-out views; 0 evaluates only at the start and the end.
    pub eval_every: u64,
    /// Begin from at most so many points, chosen by `seed`.
    pub max_points: Option<usize>,
    /// Decides the order of views and the choice of points.
    pub seed: u64,
    /// Learning rates.
    pub rates: Rates,
}

/// Adam's learning rates.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rates {
    /// Positions at the first step; times the scene's extent.
    pub position: f64,
    /// Positions at and after `position_steps`; times the scene's extent.
    pub position_final: f64,
    /// Steps over which the rate of positions falls, exponentially.
    pub position_steps: u64,
    /// SH coefficients of degree 0.
    pub feature: f64,
    /// SH coefficients of higher degree.
    pub feature_rest: f64,
    /// Opacity logits.
    pub opacity: f64,
    /// Log-scales.
    pub scaling: f64,
    /// Quaternions.
    pub rotation: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            iterations: 30_000,
            sh_degree: 3,
            sh_every: 1000,
            lambda_dssim: 0.2,
            background: [0.0; 3],
            antialiasing: false,
            eval_every: 1000,
            max_points: None,
            seed: 0,
            rates: Rates::default(),
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            position: 1.6e-4,
            position_final: 1.6e-6,
            position_steps: 30_000,
            feature: 2.5e-3,
            feature_rest: 2.5e-3 / 20.0,
            opacity: 0.025,
            scaling: 5e-3,
            rotation: 1e-3,
        }
    }
}

impl Config {
    /// Whether the numbers are in range.
    ///
    /// # Errors
    /// [`Error::Settings`], naming the first that is not.
    pub fn check(&self) -> Result<()> {
        let refuse = |text: String| Err(Error::Settings(text));
        if self.sh_degree > 3 {
            return refuse(format!("the SH degree is {}, expected 0 to 3", self.sh_degree));
        }
        if self.max_points == Some(0) {
            return refuse("at most 0 points were asked for, expected 1 or more".into());
        }
        if !(0.0..=1.0).contains(&self.lambda_dssim) {
            return refuse(format!("the weight of D-SSIM is {}, expected 0 to 1", self.lambda_dssim));
        }
        if self.sh_every == 0 || self.rates.position_steps == 0 {
            return refuse("sh_every and position_steps must be 1 or more".into());
        }
        Ok(())
    }

    /// SH degree in use at step `iteration`, counted from 1.
    #[must_use]
    pub fn active_degree(&self, iteration: u64) -> u32 {
        u32::try_from(iteration / self.sh_every).unwrap_or(u32::MAX).min(self.sh_degree)
    }
}

impl Rates {
    /// The rate of positions at step `iteration`, counted from 1, before the scene's extent:
    /// `exp(ln(a) (1-t) + ln(b) t)`.
    #[must_use]
    pub fn position_at(&self, iteration: u64) -> f64 {
        let t = (iteration as f64 / self.position_steps as f64).min(1.0);
        (self.position.ln() * (1.0 - t) + self.position_final.ln() * t).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_slow_down_exponentially() {
        let rates = Rates::default();
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
        close(rates.position_at(0), 1.6e-4);
        close(rates.position_at(15_000), 1.6e-5);
        close(rates.position_at(30_000), 1.6e-6);
        close(rates.position_at(90_000), 1.6e-6);
    }

    #[test]
    fn sh_degrees_come_one_by_one() {
        let config = Config::default();
        let degrees = [1, 999, 1000, 2500, 3000, 30_000].map(|i| config.active_degree(i));
        assert_eq!(degrees, [0, 0, 1, 2, 3, 3]);
        assert_eq!(Config { sh_degree: 1, ..config }.active_degree(30_000), 1);
    }
}
