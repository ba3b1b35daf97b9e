//! The arguments for training, and the settings that follow from them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytesize::ByteSize;
use splat_train::{
    AdcConfig, Config, DEPTH_WEIGHT, GuidedConfig, McmcConfig, PointSource, Precision, Preset, Strategy,
};

use super::Hinted;
use super::common::{option_named, text_of};
use super::scene::{Color, color};
use super::start::InitArg;

/// How to train. What is not given is taken from --config, or from --preset.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainArgs {
    /// Settings as JSON, as printed by --print-config; arguments override them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to start from; arguments override it [default: best; with --strategy adc, mcmc or fixed: published]
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    preset: Option<PresetName>,
    /// Number of steps; the schedule of best and fast follows [default: 14000 and
    /// 80 per photograph, at most 30000; fast: 25 per photograph, 4300 to 6000; published: 30000]
    #[arg(long, value_name = "N")]
    iterations: Option<u64>,
    /// Photographs per step; learning rates follow its square root, and the number of steps of best and fast is divided by it
    /// [default: 1, on several GPUs one for each]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: Option<u16>,
    /// How the number of Gaussians changes [default: guided]
    #[arg(long, value_name = "NAME")]
    strategy: Option<StrategyName>,
    /// Maximum number of Gaussians [default: guided: as the photographs have detail; mcmc: 1000000; adc: no limit]
    #[arg(long, value_name = "N")]
    max_gaussians: Option<usize>,
    /// adc: densify by absolute gradients, with a threshold of .0008
    #[arg(long)]
    absgrad: bool,
    /// adc: mean gradient, in NDC units, above which Gaussians are densified [default: .0002]
    #[arg(long, value_name = "X")]
    grad_threshold: Option<f64>,
    /// Highest degree of the spherical harmonics; degree N is active after N thousand steps [default: 3]
    #[arg(long, value_name = "0-3", value_parser = clap::value_parser!(u32).range(0..=3))]
    sh_degree: Option<u32>,
    /// Background colour: black, white, #rrggbb, or three numbers 0 to 1 as r,g,b [default: black]
    #[arg(long, value_name = "COLOR", value_parser = color)]
    background: Option<Color>,
    /// Use a random background in each step, so that empty space learns to be transparent
    #[arg(long)]
    random_background: bool,
    /// Compensate opacities for the dilation by the rasterizer
    #[arg(long)]
    antialiasing: bool,
    /// Learn the exposure of each photograph
    #[arg(long)]
    exposure: bool,
    /// Learn the vignetting and the response of each camera; the scene is without them, the evaluation of the run with them
    #[arg(long)]
    response: bool,
    /// Learn corrections of the camera poses
    #[arg(long)]
    poses: bool,
    /// Train at a quarter of the image size for N steps and at half for N more [default: 0]
    #[arg(long, value_name = "N")]
    coarse_steps: Option<u64>,
    /// Weight of the mean opacity in the loss [default: 0; guided, mcmc: .01]
    #[arg(long, value_name = "X")]
    opacity_reg: Option<f64>,
    /// Weight of the mean scale in the loss [default: 0; mcmc: .01]
    #[arg(long, value_name = "X")]
    scale_reg: Option<f64>,
    /// Share of the Gaussians that a step leaves out at random [default: best: 6 / photographs, at most .2; otherwise 0]
    #[arg(long, value_name = "X")]
    dropout: Option<f64>,
    /// Learning rate of opacities [default: .025]
    #[arg(long, value_name = "X")]
    opacity_lr: Option<f64>,
    /// What to begin with: auto (the dataset's points; if it has none, points found in the photographs and masks), points (only
    /// the dataset's), sweep (depth by comparing photographs), hull (the surface of the visual hull of alphas or masks), random
    /// (where many cameras look); or a file in the dataset's coordinates, with Gaussians (PLY, SPZ, SOG and others) or points (PLY,
    /// LAS, LAZ) [default: auto]
    #[arg(long, value_name = "SOURCE|FILE")]
    init: Option<InitArg>,
    /// How many points to aim for if the dataset has none, at most 50 million [default: 100000]
    #[arg(long, value_name = "N", value_parser = init_count)]
    init_count: Option<usize>,
    /// Start from at most N of the points
    #[arg(long, value_name = "N")]
    max_points: Option<usize>,
    /// Evaluate the held-out views every N steps; 0: only at the start and the end [default: a tenth of the steps]
    #[arg(long, value_name = "N")]
    eval_every: Option<u64>,
    /// Also evaluate the held-out views after these steps
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    eval_at: Vec<u64>,
    /// Memory for photographs on the device, for example 4GB; the host may use as much again [default: 4GiB]
    #[arg(long, value_name = "SIZE")]
    image_cache: Option<ByteSize>,
    /// Seed for the order of photographs, the choice of points and what strategies draw [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Make results bit-identical from run to run on a GPU too
    #[arg(long)]
    deterministic: bool,
    /// How parameters and Adam's moments are stored while they are trained; what is written is the same [default: fp32]
    #[arg(long, value_name = "NAME")]
    precision: Option<PrecisionName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PrecisionName {
    /// In 32 bits
    Fp32,
    /// In 8 and 16 bits but for positions, shapes and constant colours: about half the GPU memory with millions
    Compact,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PresetName {
    /// The best held-out views with few Gaussians
    Best,
    /// Nearly as good in a fifth of the time
    Fast,
    /// The published schedule, for comparisons
    Published,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum StrategyName {
    /// Growth where the error is, up to a budget that follows from the photographs
    Guided,
    /// Adaptive density control with the published schedule
    Adc,
    /// 3DGS as Markov chain Monte Carlo
    Mcmc,
    /// The number of Gaussians does not change
    Fixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum InitName {
    /// The dataset's points; if it has none, points found in the photographs and masks
    Auto,
    /// Only the dataset's points
    Points,
    /// Depth by comparing photographs
    Sweep,
    /// The surface of the visual hull of alphas or masks
    Hull,
    /// Random points where many cameras look
    Random,
}

impl TrainArgs {
    /// The preset, unless there is a file.
    pub(crate) fn preset(&self) -> Option<Preset> {
        let own = |name: StrategyName| name != StrategyName::Guided;
        match (&self.config, self.preset) {
            (Some(_), _) => None,
            (None, Some(PresetName::Best)) => Some(Preset::Best),
            (None, Some(PresetName::Fast)) => Some(Preset::Fast),
            (None, Some(PresetName::Published)) => Some(Preset::Published),
            (None, None) if self.strategy.is_some_and(own) || self.thresholds() => Some(Preset::Published),
            (None, None) => Some(Preset::Best),
        }
    }

    /// The file to begin with, if it is one.
    pub(crate) fn init_file(&self) -> Option<&Path> {
        match &self.init {
            Some(InitArg::File(path)) => Some(path),
            _ => None,
        }
    }

    /// Whether there are options that belong to strategy adc.
    fn thresholds(&self) -> bool {
        self.absgrad || self.grad_threshold.is_some()
    }

    /// The settings of the file, of the run that is resumed, or of the preset for this number of training views, overridden
    /// by the arguments. `ranks` is how many GPUs train together.
    pub(crate) fn config(
        &self,
        resumed: Option<&Config>,
        depths: bool,
        views: Option<usize>,
        ranks: usize,
    ) -> Result<Config> {
        let preset = if resumed.is_some() { None } else { self.preset() };
        let mut config = match (&self.config, resumed) {
            (Some(path), _) => {
                let text = text_of(path).context("cannot read the settings")?;
                serde_json::from_str(&text)
                    .with_context(|| format!("{}: these are not settings", path.display()))?
            }
            (None, Some(resumed)) => resumed.clone(),
            (None, None) => {
                let preset = preset.unwrap_or_default();
                let config = Config { eval_every: 0, ..preset.config() };
                match views {
                    Some(views) => preset.fitted(config, views),
                    None => config,
                }
            }
        };
        let given = self.config.is_some() || resumed.is_some();
        // A run goes on with the photographs per step that it has; what begins has at least one for each GPU.
        let few = resumed.is_none() && config.batch < ranks;
        set(&mut config.batch, self.batch.map(usize::from).or(few.then_some(ranks)));
        // The number of photographs seen in all stays the same, so there are fewer steps.
        let shorter = config.iterations.div_ceil(config.batch as u64);
        match (self.iterations, preset) {
            (Some(n), Some(Preset::Best | Preset::Fast)) => config = config.over(n),
            (None, Some(Preset::Best | Preset::Fast)) if config.batch > 1 => config = config.over(shorter),
            (n, _) => set(&mut config.iterations, n),
        }
        set(&mut config.dropout, self.dropout);
        set(&mut config.sh_degree, self.sh_degree);
        set(&mut config.background, self.background);
        set(&mut config.coarse_steps, self.coarse_steps);
        set(&mut config.rates.opacity, self.opacity_lr);
        set(&mut config.seed, self.seed);
        set(&mut config.init_count, self.init_count);
        let source = self.init.as_ref().and_then(|init| match init {
            InitArg::File(_) => None,
            InitArg::Named(InitName::Auto) => Some(PointSource::Auto),
            InitArg::Named(InitName::Points) => Some(PointSource::Points),
            InitArg::Named(InitName::Sweep) => Some(PointSource::Sweep),
            InitArg::Named(InitName::Hull) => Some(PointSource::Hull),
            InitArg::Named(InitName::Random) => Some(PointSource::Random),
        });
        set(&mut config.init, source);
        set(&mut config.image_cache, self.image_cache.map(|size| size.as_u64()));
        config.random_background |= self.random_background;
        config.antialiasing |= self.antialiasing;
        config.exposure |= self.exposure;
        config.response |= self.response;
        config.poses |= self.poses;
        config.deterministic |= self.deterministic;
        let precision = self.precision.map(|name| match name {
            PrecisionName::Fp32 => Precision::Fp32,
            PrecisionName::Compact => Precision::Compact,
        });
        set(&mut config.precision, precision);
        if let Some(n) = self.max_points {
            config.max_points = Some(n);
        }
        self.strategy(&mut config);
        if self.thresholds() && !matches!(config.strategy, Strategy::Adc(_)) {
            let message = "--absgrad and --grad-threshold belong to strategy adc, but another one is chosen";
            return Err(Hinted::error(message.into(), "add --strategy adc, or leave them out"));
        }
        config.opacity_reg = self.opacity_reg.or(config.opacity_reg);
        config.scale_reg = self.scale_reg.or(config.scale_reg);
        if depths && config.depth.is_none() {
            config.depth = Some(DEPTH_WEIGHT);
        }
        let default_every = if given { config.eval_every } else { config.iterations.div_ceil(10) };
        config.eval_every = self.eval_every.unwrap_or(default_every);
        config.eval_at.extend(&self.eval_at);
        config.eval_at.dedup();
        Ok(config)
    }

    fn strategy(&self, config: &mut Config) {
        // The numbers of a file or of an earlier run stay if they are of this strategy.
        match (self.strategy, &config.strategy) {
            (Some(StrategyName::Adc), Strategy::Adc(_)) | (Some(StrategyName::Mcmc), Strategy::Mcmc(_)) => {}
            (Some(StrategyName::Guided), Strategy::Guided(_)) | (None, _) => {}
            (Some(StrategyName::Guided), _) => config.strategy = Strategy::Guided(GuidedConfig::default()),
            (Some(StrategyName::Adc), _) => config.strategy = Strategy::Adc(AdcConfig::default()),
            (Some(StrategyName::Fixed), _) => config.strategy = Strategy::Fixed,
            (Some(StrategyName::Mcmc), _) => config.strategy = Strategy::Mcmc(McmcConfig::default()),
        }
        match &mut config.strategy {
            Strategy::Mcmc(mcmc) => set(&mut mcmc.cap, self.max_gaussians),
            Strategy::Guided(guided) => guided.cap = self.max_gaussians.or(guided.cap),
            Strategy::Adc(adc) => {
                if self.absgrad {
                    (adc.absolute, adc.gradient) = (true, 8e-4);
                }
                set(&mut adc.gradient, self.grad_threshold);
                if self.max_gaussians.is_some() {
                    adc.max_gaussians = self.max_gaussians;
                }
            }
            _ => {}
        }
    }
}

/// The option that sets the setting `name`, such as `strategy.cap`.
pub(crate) fn option_of(name: &str) -> String {
    match name {
        "strategy.name" => "--strategy".into(),
        "strategy.cap" | "strategy.max_gaussians" => "--max-gaussians".into(),
        "strategy.gradient" => "--grad-threshold".into(),
        "strategy.absolute" => "--absgrad".into(),
        "rates.opacity" => "--opacity-lr".into(),
        name if name.starts_with("depth") => "--depths".into(),
        // What has no option of its own comes from a file of settings.
        name if name.contains('.') => format!("`{name}` in --config"),
        name => option_named(name),
    }
}

/// 1 to [`splat_train::MOST_POINTS`].
fn init_count(text: &str) -> Result<usize, String> {
    let wanted = 1..=splat_train::MOST_POINTS;
    let range = || format!("expected 1 to {}", splat_train::MOST_POINTS);
    text.parse().ok().filter(|n| wanted.contains(n)).ok_or_else(range)
}

fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *place = value;
    }
}
