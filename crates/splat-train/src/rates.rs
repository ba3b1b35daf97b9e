//! Adam's learning rates: their defaults, ranges and schedules.

use serde::{Deserialize, Serialize};

use crate::{Error, Exponential, Result};

/// Adam's learning rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    /// Positions, in units of the scene's extent.
    pub position: Exponential,
    /// SH coefficients of degree 0.
    #[serde(alias = "feature")]
    pub sh: f64,
    /// SH coefficients of degrees 1 to 3.
    #[serde(alias = "feature_rest")]
    pub sh_rest: f64,
    /// Logits of opacities.
    pub opacity: f64,
    /// Logarithms of scales.
    pub scaling: f64,
    /// Quaternions.
    pub rotation: f64,
    /// Exposures, at each update of one view; the decay ends with the run if that is shorter.
    pub exposure: Exponential,
    /// Decay of exposures towards the identity per update, as a fraction of the learning rate.
    pub exposure_decay: f64,
    /// Vignetting and responses of cameras, at each update of one; scheduled like exposures.
    pub response: Exponential,
    /// Their decay towards storing light as it comes, per update, as a fraction of the learning rate.
    pub response_decay: f64,
    /// Corrections of poses, in radians and in units of the scene's extent; scheduled like exposures.
    pub pose: Exponential,
    /// Decay of corrections towards zero per update, as a fraction of the learning rate.
    pub pose_decay: f64,
}

/// As published.
impl Default for Rates {
    fn default() -> Self {
        Self {
            position: Exponential { from: 1.6e-4, to: 1.6e-6, steps: 30_000 },
            sh: 2.5e-3,
            sh_rest: 2.5e-3 / 20.0,
            opacity: 0.025,
            scaling: 5e-3,
            rotation: 1e-3,
            exposure: Exponential { from: 0.02, to: 0.0002, steps: 30_000 },
            exposure_decay: 0.1,
            response: Exponential { from: 2e-3, to: 2e-5, steps: 30_000 },
            response_decay: 0.1,
            pose: Exponential { from: 1e-3, to: 1e-5, steps: 30_000 },
            pose_decay: 1e-2,
        }
    }
}

impl Rates {
    /// Checks that all rates are in range.
    pub(crate) fn check(&self) -> Result<()> {
        finite("rates.sh", self.sh)?;
        finite("rates.sh_rest", self.sh_rest)?;
        finite("rates.opacity", self.opacity)?;
        finite("rates.scaling", self.scaling)?;
        finite("rates.rotation", self.rotation)?;
        finite("rates.exposure_decay", self.exposure_decay)?;
        finite("rates.response_decay", self.response_decay)?;
        finite("rates.pose_decay", self.pose_decay)?;
        let decaying = [
            ("position", &self.position),
            ("exposure", &self.exposure),
            ("response", &self.response),
            ("pose", &self.pose),
        ];
        for (name, rate) in decaying {
            for value in [rate.from, rate.to] {
                if !(value.is_finite() && value > 0.0) {
                    let what = format!("the rate of `{name}` is {value} at one end, expected more than 0");
                    return Err(Error::Settings(what));
                }
            }
        }
        Ok(())
    }

    /// The learning rates of [`PARAMETERS`](crate::PARAMETERS) at step `iteration` for a scene of this extent in world units.
    #[must_use]
    pub fn at(&self, iteration: u64, extent: f64) -> [f64; 6] {
        let position = self.position.at(iteration) * extent;
        [position, self.sh, self.sh_rest, self.opacity, self.scaling, self.rotation]
    }
}

/// Refuses what would make every parameter NaN.
pub(crate) fn finite(name: &str, number: f64) -> Result<()> {
    if number.is_finite() && number >= 0.0 {
        return Ok(());
    }
    Err(Error::Settings(format!("`{name}` is {number}, expected a finite number, 0 or more")))
}
