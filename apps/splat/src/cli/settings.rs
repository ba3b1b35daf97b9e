//! Arguments that say how to train, and the settings they mean.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bytesize::ByteSize;
use splat_train::{AdcConfig, Config, DEPTH_WEIGHT, McmcConfig, PointSource, Strategy};

use super::common::{Color, color};

/// How to train. What is not given is as in --config, or as published.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainArgs {
    /// Settings as JSON, as --print-config prints them; arguments overrule them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Steps, one photograph each [default: 30000]
    #[arg(long, value_name = "N")]
    iterations: Option<u64>,
    /// How the number of Gaussians changes [default: adc]
    #[arg(long, value_name = "NAME")]
    strategy: Option<StrategyName>,
    /// Never more Gaussians than this [default: no bound; mcmc: 1000000]
    #[arg(long, value_name = "N")]
    max_gaussians: Option<usize>,
    /// adc: densify by absolute gradients (threshold .0008)
    #[arg(long)]
    absgrad: bool,
    /// adc: mean gradient, in NDC units, above which Gaussians are densified [default: .0002]
    #[arg(long, value_name = "X")]
    grad_threshold: Option<f64>,
    /// Highest degree of the spherical harmonics; in use after as many thousand steps [default: 3]
    #[arg(long, value_name = "0-3", value_parser = clap::value_parser!(u32).range(0..=3))]
    sh_degree: Option<u32>,
    /// Colour behind everything: black, white, #rrggbb, or three numbers 0 to 1 as r,g,b [default: black]
    #[arg(long, value_name = "COLOR", value_parser = color)]
    background: Option<Color>,
    /// Another background each step, so that what should be empty becomes transparent
    #[arg(long)]
    random_background: bool,
    /// Compensate opacity for the rasterizer's dilation
    #[arg(long)]
    antialiasing: bool,
    /// Learn each photograph's exposure
    #[arg(long)]
    exposure: bool,
    /// Learn corrections of the poses
    #[arg(long)]
    poses: bool,
    /// Train at a quarter of the size for N steps, at half for N more [default: 0]
    #[arg(long, value_name = "N")]
    coarse_steps: Option<u64>,
    /// Weight of the mean opacity in the loss [default: 0; mcmc: .01]
    #[arg(long, value_name = "X")]
    opacity_reg: Option<f64>,
    /// Weight of the mean scale in the loss [default: 0; mcmc: .01]
    #[arg(long, value_name = "X")]
    scale_reg: Option<f64>,
    /// Learning rate of opacities [default: .025]
    #[arg(long, value_name = "X")]
    opacity_lr: Option<f64>,
    /// Where the first points come from [default: auto]
    #[arg(long, value_name = "SOURCE")]
    init: Option<InitName>,
    /// How many points to aim at where the dataset brings none [default: 100000]
    #[arg(long, value_name = "N")]
    init_count: Option<usize>,
    /// Begin from at most N of the points
    #[arg(long, value_name = "N")]
    max_points: Option<usize>,
    /// Render the held-out views every N steps, and at the start and end; 0: only then [default: a tenth of the steps]
    #[arg(long, value_name = "N")]
    eval_every: Option<u64>,
    /// Render the held-out views after these steps too
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    eval_at: Vec<u64>,
    /// Photographs kept on the device, and again on the host, such as 4GB [default: 4GiB]
    #[arg(long, value_name = "SIZE")]
    image_cache: Option<ByteSize>,
    /// Decides the order of photographs, the choice of points and what strategies draw [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The same numbers, bit for bit, from run to run, also on a GPU
    #[arg(long)]
    deterministic: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StrategyName {
    /// Adaptive density control, the published schedule
    Adc,
    /// 3DGS as Markov chain Monte Carlo
    Mcmc,
    /// The number of Gaussians stays
    Fixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum InitName {
    /// The dataset's points; without any, what photographs and masks tell
    Auto,
    /// The dataset's points alone
    Points,
    /// Depth by comparing photographs
    Sweep,
    /// The surface of the visual hull of alphas or masks
    Hull,
    /// By chance, where many cameras look
    Random,
}

impl TrainArgs {
    /// The settings: of the file or as published, overruled by what is given.
    pub(crate) fn config(&self, depths: bool) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => {
                let text = fs_err::read_to_string(path).context("cannot read the settings")?;
                serde_json::from_str(&text).with_context(|| format!("{}: not settings", path.display()))?
            }
            None => Config { eval_every: 0, ..Config::default() },
        };
        let given = self.config.is_some();
        set(&mut config.iterations, self.iterations);
        set(&mut config.sh_degree, self.sh_degree);
        set(&mut config.background, self.background);
        set(&mut config.coarse_steps, self.coarse_steps);
        set(&mut config.rates.opacity, self.opacity_lr);
        set(&mut config.seed, self.seed);
        set(&mut config.init_count, self.init_count);
        let source = self.init.map(|name| match name {
            InitName::Auto => PointSource::Auto,
            InitName::Points => PointSource::Points,
            InitName::Sweep => PointSource::Sweep,
            InitName::Hull => PointSource::Hull,
            InitName::Random => PointSource::Random,
        });
        set(&mut config.init, source);
        set(&mut config.image_cache, self.image_cache.map(|size| size.as_u64()));
        config.random_background |= self.random_background;
        config.antialiasing |= self.antialiasing;
        config.exposure |= self.exposure;
        config.poses |= self.poses;
        config.deterministic |= self.deterministic;
        if let Some(n) = self.max_points {
            config.max_points = Some(n);
        }
        self.strategy(&mut config);
        set(&mut config.opacity_reg, self.opacity_reg);
        set(&mut config.scale_reg, self.scale_reg);
        if depths && config.depth.is_none() {
            config.depth = Some(DEPTH_WEIGHT);
        }
        let default_every = if given { config.eval_every } else { config.iterations.div_ceil(10) };
        config.eval_every = self.eval_every.unwrap_or(default_every);
        config.eval_at.extend(&self.eval_at);
        Ok(config)
    }

    fn strategy(&self, config: &mut Config) {
        match self.strategy {
            None => {}
            Some(StrategyName::Adc) => config.strategy = Strategy::Adc(AdcConfig::default()),
            Some(StrategyName::Fixed) => config.strategy = Strategy::Fixed,
            Some(StrategyName::Mcmc) => {
                config.strategy = Strategy::Mcmc(McmcConfig::default());
                // The published weights: without them no Gaussian dies.
                (config.opacity_reg, config.scale_reg) = (0.01, 0.01);
            }
        }
        match &mut config.strategy {
            Strategy::Fixed => {}
            Strategy::Mcmc(mcmc) => set(&mut mcmc.cap, self.max_gaussians),
            Strategy::Adc(adc) => {
                if self.absgrad {
                    (adc.absolute, adc.gradient) = (true, 8e-4);
                }
                set(&mut adc.gradient, self.grad_threshold);
                if self.max_gaussians.is_some() {
                    adc.max_gaussians = self.max_gaussians;
                }
            }
        }
    }
}

fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *place = value;
    }
}
