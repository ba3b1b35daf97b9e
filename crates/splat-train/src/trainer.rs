//! The loop: one view a step, forward, loss, backward, Adam. Emits events, prints nothing.
//!
//! A step only queues work on the device. Numbers are read back, which waits for it, about ten times a
//! second, and there a loss that is no number ends the run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use splat_scene::Dataset;
use splat_tch::{Background, Settings};
use tch::{Device, Kind, Tensor};

use crate::frames::{self, Frame};
use crate::gaussians::all_finite;
use crate::{Adam, Config, Error, Evaluation, Event, Gaussians, Group, Outcome, Result, Ssim, init, loss};

/// Seconds between reports.
const REPORT_EVERY: f64 = 0.1;

/// The device and engine that `--engine NAME` means: `cpu`, a CUDA engine by name, or `auto`, which takes
/// the GPU if there is one and an engine for it.
///
/// # Errors
/// An engine that is not in this program; a CUDA engine without a CUDA device.
pub fn device_for(engine: &str) -> Result<(Device, String)> {
    let usable = |name: &str| splat_tch::engine(name).map(|_| (Device::Cuda(0), name.to_owned()));
    match engine {
        "auto" if tch::Cuda::is_available() => Ok(["cuda", "inria"]
            .into_iter()
            .find_map(|n| usable(n).ok())
            .unwrap_or((Device::Cpu, "cpu".into()))),
        "auto" | "cpu" => Ok((Device::Cpu, "cpu".into())),
        name => {
            let found = usable(name)?;
            if tch::Cuda::is_available() {
                return Ok(found);
            }
            Err(Error::Settings(format!(
                "engine `{name}` needs a CUDA device, and torch finds none; --engine cpu needs none"
            )))
        }
    }
}

/// A scene being trained.
#[derive(Debug)]
pub struct Trainer {
    config: Config,
    device: Device,
    frames: Vec<Frame>,
    train: Vec<usize>,
    test: Vec<usize>,
    scene_extent: f64,
    gaussians: Gaussians,
    adam: Adam,
    ssim: Ssim,
    settings: Settings,
    /// Views of this epoch that are still to come.
    order: Vec<usize>,
    rng: fastrand::Rng,
    steps: u64,
}

/// What a step leaves on the device.
#[derive(Debug)]
struct StepResult {
    loss: Tensor,
    image: Tensor,
    frame: usize,
}

impl Trainer {
    /// Loads every photograph and puts Gaussians at the points.
    ///
    /// # Errors
    /// A photograph that cannot be read; no points; settings out of range; a device without room.
    pub fn new(dataset: &Dataset, config: Config, device: Device, engine: &str) -> Result<Self> {
        config.check()?;
        let host = init::initial(&dataset.points, config.max_points, config.sh_degree, config.seed)?;
        let gaussians = Gaussians::upload(&host, device)?;
        let frames = frames::load(dataset, config.background, device)?;
        let settings = Settings {
            background: Background::Tensor(Tensor::f_from_slice(&config.background)?.f_to_device(device)?),
            sh_degree: 0,
            antialiasing: config.antialiasing,
            ..Settings::with_engine(splat_tch::engine(engine)?)
        };
        let scene_extent = dataset.scene_extent;
        Ok(Self {
            adam: optimiser(&gaussians, &config, scene_extent)?,
            ssim: Ssim::new(device)?,
            train: dataset.train.clone(),
            test: dataset.test.clone(),
            rng: fastrand::Rng::with_seed(config.seed),
            order: Vec::new(),
            steps: 0,
            config,
            device,
            frames,
            scene_extent,
            gaussians,
            settings,
        })
    }

    /// The parameters.
    #[must_use]
    pub fn gaussians(&self) -> &Gaussians {
        &self.gaussians
    }

    /// Steps taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The settings of the run.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Trains until the last step, or until the end of the step in which `stop` becomes true. Evaluates
    /// the held-out views before the first step, every `eval_every` steps, and after the last.
    ///
    /// # Errors
    /// [`Error::Diverged`]; what the rasterizer or torch refuse.
    pub fn run(&mut self, stop: &AtomicBool, listen: &mut dyn FnMut(&Event)) -> Result<Outcome> {
        let first = self.frames[self.train[0]].camera.core();
        listen(&Event::Ready {
            train_views: self.train.len(),
            test_views: self.test.len(),
            gaussians: self.gaussians.len(),
            width: first.width,
            height: first.height,
            device: format!("{:?}", self.device),
        });
        let begin = Instant::now();
        let mut outcome = Outcome {
            steps: self.steps,
            stopped_early: false,
            loss: None,
            evaluations: Vec::new(),
            train_seconds: 0.0,
            wall_seconds: 0.0,
        };
        self.evaluate_into(&mut outcome, listen)?;
        let mut reported = (Instant::now(), self.steps);
        let mut losses = Tensor::f_zeros([1], (Kind::Float, self.device))?;
        while self.steps < self.config.iterations && !stop.load(Ordering::Relaxed) {
            let result = self.step()?;
            {
                let _guard = tch::no_grad_guard();
                let _ = losses.f_add_(&result.loss)?;
            }
            let last = self.steps == self.config.iterations || stop.load(Ordering::Relaxed);
            let evaluate =
                last || (self.config.eval_every > 0 && self.steps.is_multiple_of(self.config.eval_every));
            if evaluate || reported.0.elapsed().as_secs_f64() > REPORT_EVERY {
                let count = (self.steps - reported.1) as f64;
                let psnr =
                    loss::psnr(&result.image, &self.frames[result.frame].target()?)?.f_double_value(&[])?;
                let mean = losses.f_double_value(&[0])? / count;
                // The device has caught up: only now does the clock tell what the steps took.
                let seconds = reported.0.elapsed().as_secs_f64();
                outcome.train_seconds += seconds;
                outcome.steps = self.steps;
                if !mean.is_finite() {
                    return Err(Error::Diverged { step: self.steps, loss: mean });
                }
                outcome.loss = Some(mean);
                listen(&Event::Step {
                    step: self.steps,
                    iterations: self.config.iterations,
                    loss: mean,
                    psnr,
                    gaussians: self.gaussians.len(),
                    sh_degree: self.settings.sh_degree,
                    steps_per_second: count / seconds,
                });
                let _ = losses.f_zero_()?;
                if evaluate {
                    self.evaluate_into(&mut outcome, listen)?;
                }
                reported = (Instant::now(), self.steps);
            }
        }
        outcome.stopped_early = self.steps < self.config.iterations;
        outcome.wall_seconds = begin.elapsed().as_secs_f64();
        Ok(outcome)
    }

    /// One step on the next view; returns its loss, which may still be in the making on the device.
    fn step(&mut self) -> Result<StepResult> {
        let frame = self.next_frame();
        let iteration = self.steps + 1;
        self.settings.sh_degree = self.config.active_degree(iteration);
        self.adam.groups[0].rate = self.config.rates.position_at(iteration) * self.scene_extent;
        let target = self.frames[frame].target()?;
        let activated = self.gaussians.activate()?;
        let image = splat_tch::render(&activated.scene(), &self.frames[frame].camera, &self.settings)?.color;
        let loss = loss::photometric(&self.ssim, &image, &target, self.config.lambda_dssim)?;
        let leaves: Vec<&Tensor> = self.adam.groups.iter().map(|g| &g.param).collect();
        let gradients = Tensor::f_run_backward(&[&loss], &leaves, false, false)?;
        self.adam.step(&gradients)?;
        self.steps = iteration;
        Ok(StepResult { loss: loss.f_detach()?, image: image.f_detach()?, frame })
    }

    /// Views in random order, each once before any comes again.
    fn next_frame(&mut self) -> usize {
        if self.order.is_empty() {
            self.order.clone_from(&self.train);
            self.rng.shuffle(&mut self.order);
        }
        self.order.pop().expect("a dataset has a view to train on")
    }

    /// Renders frame `frame` with the SH degree in use: `[3,H,W]`, no graph, not clamped.
    pub(crate) fn render(&self, frame: usize) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let activated = self.gaussians.activate()?;
        Ok(splat_tch::render(&activated.scene(), &self.frames[frame].camera, &self.settings)?.color)
    }

    /// The held-out views: name, photograph and render, `[3,H,W]`.
    pub(crate) fn held_out(&self) -> impl Iterator<Item = Result<(&str, Tensor, Tensor)>> {
        self.test
            .iter()
            .map(|&i| Ok((self.frames[i].name.as_str(), self.frames[i].target()?, self.render(i)?)))
    }

    /// Mean PSNR and SSIM over the held-out views; None where there is none.
    ///
    /// # Errors
    /// What the rasterizer or torch refuse; [`Error::Diverged`] if a render holds NaN.
    pub fn evaluate(&self) -> Result<Option<(f64, f64)>> {
        let _guard = tch::no_grad_guard();
        let (mut psnr, mut ssim) = (0.0, 0.0);
        for view in self.held_out() {
            let (_, photo, image) = view?;
            if !all_finite(&image)? {
                return Err(Error::Diverged { step: self.steps, loss: f64::NAN });
            }
            let image = image.f_clamp(0.0, 1.0)?;
            psnr += loss::psnr(&image, &photo)?.f_double_value(&[])?;
            ssim += self.ssim.compare(&image, &photo)?.f_double_value(&[])?;
        }
        let n = self.test.len() as f64;
        Ok((!self.test.is_empty()).then(|| (psnr / n, ssim / n)))
    }

    fn evaluate_into(&self, outcome: &mut Outcome, listen: &mut dyn FnMut(&Event)) -> Result<()> {
        let Some((psnr, ssim)) = self.evaluate()? else { return Ok(()) };
        let evaluation = Evaluation {
            step: self.steps,
            psnr,
            ssim,
            gaussians: self.gaussians.len(),
            train_seconds: outcome.train_seconds,
        };
        outcome.evaluations.push(evaluation);
        listen(&Event::Evaluated(evaluation));
        Ok(())
    }
}

/// Groups in the order means (whose rate the loop changes), SH, opacities, scales, rotations.
fn optimiser(g: &Gaussians, config: &Config, scene_extent: f64) -> Result<Adam> {
    let rates = &config.rates;
    let mut sh = Group::new("sh", &g.sh, rates.feature)?;
    // One tensor for all degrees, so that no step has to join two: the rate differs by coefficient.
    let mut relative = vec![(rates.feature_rest / rates.feature) as f32; g.sh.size()[1] as usize];
    relative[0] = 1.0;
    sh.relative_rate = Some(Tensor::f_from_slice(&relative)?.f_to_device(g.sh.device())?.f_view([1, -1, 1])?);
    Ok(Adam::new(vec![
        Group::new("means", &g.means, rates.position_at(0) * scene_extent)?,
        sh,
        Group::new("opacity_logits", &g.opacity_logits, rates.opacity)?,
        Group::new("log_scales", &g.log_scales, rates.scaling)?,
        Group::new("rotations", &g.rotations, rates.rotation)?,
    ]))
}
