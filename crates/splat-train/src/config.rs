//! The settings of a run. The defaults are those of [`Preset::Best`](crate::Preset::Best).

use serde::{Deserialize, Serialize};
use splat_core::MAX_SH_DEGREE;

use crate::{
    AdcConfig, Error, Exponential, PointSource, Rates, Regularization, Result, Strategy, rates::finite,
};

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Number of steps, each on [`Config::batch`] views.
    pub iterations: u64,
    /// Views per step. A step follows the mean of their losses; learning rates grow with the square root of this number, and
    /// Adam's decays are taken to its power, so that its moments reach back over as many views as before (Zhao et al. 2024,
    /// Grendel-GS).
    pub batch: usize,
    /// Highest SH degree, 0 to 3.
    pub sh_degree: u32,
    /// Steps after which the active SH degree rises by one; it starts at 0.
    pub sh_every: u64,
    /// Share of the Gaussians that a step leaves out at random, 0 to 0.9; see [`Dropout`](crate::Dropout).
    pub dropout: f64,
    /// No Gaussians are left out after this step, so that the last steps train the scene that is saved.
    pub dropout_until: u64,
    /// The run ends with the mean of the parameters over the last steps, this share of them, 0 to 1; see
    /// [`Average`](crate::Average).
    pub average: f64,
    /// Weight of D-SSIM against L1 in the default loss, 0 to 1.
    pub lambda_dssim: f64,
    /// The background colour, RGB 0 to 1: behind the Gaussians and behind transparent photographs.
    pub background: [f32; 3],
    /// Use a random background in each training step (`background` for evaluation), so that empty space learns to be
    /// transparent.
    pub random_background: bool,
    /// Compensate opacities for the dilation by 0.3 pixels of the rasterizer.
    pub antialiasing: bool,
    /// How the number of Gaussians changes.
    pub strategy: Strategy,
    /// Weight of the mean opacity in the loss; `None`: as the strategy is made for.
    pub opacity_reg: Option<f64>,
    /// Weight of the mean standard deviation (world units) in the loss; `None`: as the strategy is made for.
    pub scale_reg: Option<f64>,
    /// Weight of the loss of inverse depths in views with a depth map; `None`: depth maps are not used.
    pub depth: Option<Exponential>,
    /// Learn the exposure of each training view, an affine map of its colours.
    pub exposure: bool,
    /// Learn the vignetting and the response of each camera, see [`Responses`](crate::Responses).
    pub response: bool,
    /// Learn a correction of the pose of each training view.
    pub poses: bool,
    /// Train at a quarter of the image size for this many steps, at half for as many more, then at full size. 0: always at
    /// full size.
    pub coarse_steps: u64,
    /// Steps between evaluations of the held-out views; 0: only at the start and the end.
    pub eval_every: u64,
    /// Additional steps after which to evaluate.
    pub eval_at: Vec<u64>,
    /// Where the first points come from.
    pub init: PointSource,
    /// How many first points to aim for, unless they are the dataset's own.
    pub init_count: usize,
    /// Start from at most this many of the points, chosen by `seed`.
    pub max_points: Option<usize>,
    /// Seed for the order of views, the choice of points and what strategies draw.
    pub seed: u64,
    /// Make results bit-identical for the same seed on a GPU too, where it costs time. On the CPU they always are. On several
    /// ranks, Gaussians of exactly the same depth then also lie as on one.
    pub deterministic: bool,
    /// Memory budget in bytes for photographs on the device; the host cache may use as much again.
    pub image_cache: u64,
    /// How the state of training is stored.
    pub precision: Precision,
    /// Learning rates of Adam.
    pub rates: Rates,
}

/// How parameters and moments are stored while they are trained. Files and checkpoints mean the same in both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// All of it in 32 bits: 708 bytes per Gaussian of SH degree 3.
    #[default]
    Fp32,
    /// SH after the constant term in 16 bits with moments in 8, moments of everything else in 16 bits, all rounded at random by
    /// the seed, the step and the row: 312 bytes per Gaussian of SH degree 3. It needs an engine that can
    /// [step](splat_engine::Abilities::STEP).
    Compact,
}

impl Default for Config {
    fn default() -> Self {
        crate::Preset::Best.config()
    }
}

impl Config {
    /// The published schedule of 30,000 steps: [`Preset::Published`](crate::Preset::Published).
    pub(crate) fn published() -> Self {
        Self {
            iterations: 30_000,
            batch: 1,
            sh_degree: MAX_SH_DEGREE,
            sh_every: 1000,
            dropout: 0.0,
            dropout_until: 0,
            average: 0.0,
            lambda_dssim: 0.2,
            background: [0.0; 3],
            random_background: false,
            antialiasing: false,
            strategy: Strategy::Adc(AdcConfig::default()),
            opacity_reg: None,
            scale_reg: None,
            depth: None,
            exposure: false,
            response: false,
            poses: false,
            coarse_steps: 0,
            eval_every: 1000,
            eval_at: Vec::new(),
            init: PointSource::Auto,
            init_count: 100_000,
            max_points: None,
            seed: 0,
            deterministic: false,
            image_cache: 4 << 30,
            precision: Precision::Fp32,
            rates: Rates::default(),
        }
    }
}

/// The published weights of the depth loss, for [`Config::depth`].
pub const DEPTH_WEIGHT: Exponential = Exponential { from: 1.0, to: 0.01, steps: 30_000 };

impl Config {
    /// Checks that all numbers are in range.
    ///
    /// # Errors
    /// [`Error::Settings`], naming the first number that is not.
    pub fn check(&self) -> Result<()> {
        let refuse = |text: String| Err(Error::Settings(text));
        if self.sh_degree > MAX_SH_DEGREE {
            return refuse(format!("the SH degree is {}, expected 0 to {MAX_SH_DEGREE}", self.sh_degree));
        }
        if self.max_points == Some(0) || self.init_count == 0 {
            return refuse("0 points were asked for, expected 1 or more".into());
        }
        if self.batch == 0 {
            return refuse("a step is on 0 views, expected 1 or more".into());
        }
        if !(0.0..=1.0).contains(&self.lambda_dssim) {
            return refuse(format!("the weight of D-SSIM is {}, expected 0 to 1", self.lambda_dssim));
        }
        if !(0.0..=0.9).contains(&self.dropout) {
            return refuse(format!(
                "a share of {} of the Gaussians is left out, expected 0 to 0.9",
                self.dropout
            ));
        }
        if !(0.0..=1.0).contains(&self.average) {
            return refuse(format!(
                "the mean is over a share of {} of the steps, expected 0 to 1",
                self.average
            ));
        }
        if self.sh_every == 0 {
            return refuse("sh_every is 0, expected 1 or more".into());
        }
        finite("opacity_reg", self.opacity_reg.unwrap_or(0.0))?;
        finite("scale_reg", self.scale_reg.unwrap_or(0.0))?;
        self.strategy.check()?;
        self.rates.check()
    }

    /// The weights of the regularisation: as set, or as the strategy is made for.
    #[must_use]
    pub fn regularization(&self) -> Regularization {
        self.regularization_over(self.strategy.regularization())
    }

    /// The weights of the regularisation for a strategy made for `default`.
    pub(crate) fn regularization_over(&self, default: Regularization) -> Regularization {
        Regularization {
            opacity: self.opacity_reg.unwrap_or(default.opacity),
            scale: self.scale_reg.unwrap_or(default.scale),
        }
    }

    /// The active SH degree at step `iteration`, counted from 1.
    #[must_use]
    pub fn active_degree(&self, iteration: u64) -> u32 {
        u32::try_from(iteration / self.sh_every).unwrap_or(u32::MAX).min(self.sh_degree)
    }

    /// The image downscale factor at step `iteration`: 4, 2 or 1.
    #[must_use]
    pub fn reduction(&self, iteration: u64) -> u32 {
        match iteration.checked_div(self.coarse_steps) {
            Some(0) => 4,
            Some(1) => 2,
            _ => 1,
        }
    }

    /// Whether the held-out views are evaluated after step `step`.
    #[must_use]
    pub fn evaluates_at(&self, step: u64) -> bool {
        self.eval_at.contains(&step) || self.eval_every > 0 && step.is_multiple_of(self.eval_every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sh_degrees_come_one_by_one() {
        let config = Config::default();
        let degrees = [1, 999, 1000, 2500, 3000, 30_000].map(|i| config.active_degree(i));
        assert_eq!(degrees, [0, 0, 1, 2, 3, 3]);
        assert_eq!(Config { sh_degree: 1, ..config }.active_degree(30_000), 1);
    }

    #[test]
    fn sizes_double_until_they_are_full() {
        let config = Config { coarse_steps: 100, ..Config::default() };
        assert_eq!([1, 99, 100, 199, 200, 9999].map(|i| config.reduction(i)), [4, 4, 2, 2, 1, 1]);
        assert_eq!(Config::default().reduction(1), 1);
    }

    /// They would make every parameter NaN.
    #[test]
    fn rates_that_are_not_finite_are_refused() {
        let with = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(with(&|c| c.rates.opacity = f64::NAN).contains("`rates.opacity` is NaN"));
        assert!(with(&|c| c.scale_reg = Some(f64::INFINITY)).contains("`scale_reg` is inf"));
        assert!(with(&|c| c.rates.scaling = -1.0).contains("-1"));
        assert!(with(&|c| c.rates.exposure_decay = f64::NAN).contains("`rates.exposure_decay` is NaN"));
        assert!(with(&|c| c.rates.position.from = f64::NAN).contains("`position` is NaN"));
        Config::default().check().unwrap();
    }

    /// Settings survive a checkpoint unchanged.
    #[test]
    fn settings_survive_json() {
        let mcmc = Strategy::Mcmc(crate::McmcConfig::default());
        for strategy in [Strategy::default(), Strategy::Fixed, mcmc] {
            let config = Config { strategy, depth: Some(DEPTH_WEIGHT), ..Config::default() };
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
        }
    }

    /// Settings of earlier versions, by the names that fields had then.
    #[test]
    fn old_settings_are_read() {
        let old = r#"{"opacity_reg": 0.0, "rates": {"feature": 0.5, "feature_rest": 0.25}}"#;
        let config: Config = serde_json::from_str(old).unwrap();
        assert_eq!((config.rates.sh, config.rates.sh_rest), (0.5, 0.25));
        assert_eq!((config.opacity_reg, config.scale_reg), (Some(0.0), None));
    }

    #[test]
    fn the_strategy_decides_on_regularization_unless_it_is_set() {
        let strategy = Strategy::Mcmc(crate::McmcConfig::default());
        let config = Config { strategy, scale_reg: Some(0.0), ..Config::default() };
        assert_eq!(config.regularization(), Regularization { opacity: 0.01, scale: 0.0 });
    }

    #[test]
    fn senseless_settings_are_refused() {
        let refused = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().expect_err("refused").to_string()
        };
        assert!(refused(&|c| c.sh_degree = 4).contains("SH degree is 4"));
        assert!(refused(&|c| c.max_points = Some(0)).contains("0 points"));
        assert!(refused(&|c| c.rates.position.to = 0.0).contains("position"));
        assert!(
            refused(&|c| c.strategy =
                Strategy::Adc(crate::AdcConfig { max_gaussians: Some(0), ..Default::default() }))
            .contains("0 Gaussians")
        );
        Config::default().check().unwrap();
    }
}
