//! One step after the other: densification, the next view, forward, loss, backward, Adam. Written on this crate's own
//! pieces only. A step queues work on the device and reads nothing back, but for the refinements of the strategy.
//!
//! The loop around it, with reports, evaluations and checkpoints, is `run.rs`.

use std::collections::BTreeMap;

use splat_scene::{Dataset, cameras_json};
use splat_tch::{Background, Camera, EngineChoice, Mark, Settings, Workspace};
use tch::{Device, Tensor};

use crate::checkpoint::{Checkpoint, Header};
use crate::profile::{Phase, Profile};
use crate::{
    Change, ColorMap, Config, Densify, Error, Exposures, Gaussians, Init, Observation, Optimizer, Order,
    PhaseTimes, Photographed, Poses, Result, Start, Target, Views, gradients, loss,
};

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

/// The settings of renders by `engine` on `device`, as far as the engine can: parameters as stored, no waiting for the
/// device unless `deterministic`.
///
/// # Errors
/// An engine that is not in this program.
pub fn render_settings(engine: &str, device: Device, deterministic: bool) -> Result<Settings> {
    let handle = splat_tch::engine(engine)?;
    let has = |feature| handle.capabilities().features.contains(feature);
    let raw = has(splat_engine::Features::RAW) && has(splat_engine::Features::SPLIT_SH);
    // A workspace's guess may be too small for a step, whose picture then lacks the farthest splats: that would depend
    // on what ran before.
    let workspace = if device.is_cuda() && !deterministic && has(splat_engine::Features::WORKSPACE) {
        Some(Workspace::new(&EngineChoice::Named(engine.into()), device)?)
    } else {
        None
    };
    Ok(Settings { raw, workspace, reproducible: deterministic, ..Settings::with_engine(handle) })
}

/// A scene being trained.
#[derive(Debug)]
pub struct Trainer {
    pub(crate) config: Config,
    pub(crate) device: Device,
    pub(crate) engine: String,
    /// [`Dataset::fingerprint`].
    pub(crate) dataset: String,
    pub(crate) views: Views,
    pub(crate) train: Vec<usize>,
    pub(crate) test: Vec<usize>,
    extent: f64,
    gaussians: Gaussians,
    optimizer: Optimizer,
    densify: Box<dyn Densify>,
    exposures: Option<Exposures>,
    poses: Option<Poses>,
    settings: Settings,
    /// `[3]`, of the device.
    pub(crate) background: Tensor,
    /// `[iterations,3]`, where each step has another.
    backgrounds: Option<Tensor>,
    order: Order,
    pub(crate) steps: u64,
    pub(crate) profile: Option<Profile>,
    /// How the first points were found, if they were.
    pub(crate) start: Option<Start>,
    /// What ran before a checkpoint was resumed from.
    pub(crate) before: crate::Outcome,
}

/// What a step leaves on the device.
#[derive(Debug)]
pub(crate) struct StepResult {
    pub(crate) loss: Tensor,
    /// `[3,H,W]`, as the view was exposed.
    pub(crate) image: Tensor,
    pub(crate) target: Target,
    pub(crate) change: Option<Change>,
}

impl Trainer {
    /// Finds the first points, puts Gaussians there and loads the photographs.
    ///
    /// # Errors
    /// A photograph that cannot be read; no points; settings out of range; a device without room.
    pub fn new(dataset: &Dataset, config: Config, device: Device, engine: &str) -> Result<Self> {
        config.check()?;
        let init = Init { source: config.init, count: config.init_count, seed: config.seed };
        let start = splat_init::first_points(dataset, &init)?;
        let host = splat_init::initial(&start.points, config.max_points, config.sh_degree, config.seed)?;
        let mut trainer = Self::with_gaussians(dataset, &host, config, device, engine)?;
        trainer.start = Some(start);
        Ok(trainer)
    }

    /// From Gaussians of the caller's; their SH must be of the degree that `config` says.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub fn with_gaussians(
        dataset: &Dataset,
        host: &splat_scene::Gaussians,
        config: Config,
        device: Device,
        engine: &str,
    ) -> Result<Self> {
        config.check()?;
        Self::assemble(dataset, Gaussians::upload(host, device)?, config, device, engine)
    }

    /// Goes on from a checkpoint of this dataset and these settings ([`Checkpoint::fits`] tells).
    ///
    /// # Errors
    /// As [`Trainer::new`]; a tensor that is missing in the checkpoint.
    pub fn resume(
        dataset: &Dataset,
        checkpoint: &Checkpoint,
        config: Config,
        device: Device,
        engine: &str,
    ) -> Result<Self> {
        config.check()?;
        let mut found = Vec::with_capacity(6);
        for name in crate::PARAMETERS {
            found.push(checkpoint.tensor(&format!("gaussians/{name}"), device)?);
        }
        let gaussians = Gaussians::from_parameters(found.try_into().expect("six names"))?;
        let mut trainer = Self::assemble(dataset, gaussians, config, device, engine)?;
        trainer.restore(checkpoint)?;
        Ok(trainer)
    }

    fn assemble(
        dataset: &Dataset,
        gaussians: Gaussians,
        config: Config,
        device: Device,
        engine: &str,
    ) -> Result<Self> {
        let extent = dataset.scene_extent;
        let mut settings = render_settings(engine, device, config.deterministic)?;
        settings.antialiasing = config.antialiasing;
        let views = Views::load(dataset, config.image_cache, device)?;
        let background = Tensor::f_from_slice(&config.background)?.f_to_device(device)?;
        let backgrounds = if config.random_background {
            let mut rng = fastrand::Rng::with_seed(config.seed ^ 0xBAC6);
            let numbers: Vec<f32> = (0..3 * config.iterations).map(|_| rng.f32()).collect();
            Some(Tensor::f_from_slice(&numbers)?.f_view([-1, 3])?.f_to_device(device)?)
        } else {
            None
        };
        let cameras: Vec<&splat_core::Camera> = (0..views.len()).map(|i| views.camera(i).core()).collect();
        let of = Photographed { cameras: &cameras, train: &dataset.train, extent };
        let (rates, most) = (&config.rates, config.iterations);
        let exposures = config
            .exposure
            .then(|| Exposures::new(of, rates.exposure.within(most), rates.exposure_decay, device))
            .transpose()?;
        let poses = config
            .poses
            .then(|| Poses::new(of, rates.pose.within(most), rates.pose_decay, device))
            .transpose()?;
        Ok(Self {
            optimizer: Optimizer::for_gaussians(&gaussians, &config.rates, extent)?,
            densify: config.strategy.start(extent, config.seed),
            order: Order::new(&dataset.train, config.seed),
            dataset: dataset.fingerprint(),
            train: dataset.train.clone(),
            test: dataset.test.clone(),
            engine: engine.into(),
            steps: 0,
            profile: None,
            start: None,
            before: crate::Outcome::default(),
            config,
            device,
            views,
            extent,
            gaussians,
            exposures,
            poses,
            settings,
            background,
            backgrounds,
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

    /// Measures the phases of steps now and then.
    pub fn profile(&mut self) {
        self.profile = Some(Profile::default());
    }

    /// Where the time of the measured steps went, over a run with this outcome; `None` if no step was measured.
    #[must_use]
    pub fn phase_times(&self, outcome: &crate::Outcome) -> Option<PhaseTimes> {
        self.profile.as_ref()?.figures(outcome.train_seconds, outcome.steps)
    }

    /// One step on the next view; its results may still be in the making on the device.
    pub(crate) fn step(&mut self) -> Result<StepResult> {
        let step = self.steps + 1;
        // What the step before saw changes the rows now, so that between steps the scene is one that was optimised: a
        // refinement costs quality that the next steps win back.
        let begin = self.profile.is_some().then(|| Mark::now(self.device)).transpose()?;
        let change = self.densify.refine(self.steps, &mut self.gaussians, &mut self.optimizer)?;
        if let (Some(profile), Some(begin), true) = (&mut self.profile, &begin, change.is_some()) {
            profile.refined(begin, self.device)?;
        }
        if change.is_some() && self.gaussians.is_empty() {
            return Err(Error::Emptied { step: self.steps });
        }
        let i = self.order.next().ok_or(Error::NoViews)?;
        self.views.announce(self.order.coming());
        let degree = self.config.active_degree(step);
        self.settings.sh_degree = degree;
        self.optimizer.set_rates(self.config.rates.at(step, self.extent));
        if degree == 0 {
            // No gradient reaches them, and Adam's moments are zero: resting is the same, for less.
            self.optimizer.group_mut("sh_rest").rate = 0.0;
        }
        if let Some(profile) = &mut self.profile {
            profile.begin(step, self.device)?;
        }
        let background = match &self.backgrounds {
            Some(all) => all.f_select(0, (step - 1).min(all.size()[0] as u64 - 1) as i64)?,
            None => self.background.shallow_clone(),
        };
        self.settings.background = Background::Tensor(background.shallow_clone());
        let target = self.views.target(i, &background)?;
        let (camera, target) = self.seen(i, step, target)?;
        let camera = camera.as_ref().unwrap_or_else(|| self.views.camera(i));
        mark(&mut self.profile, Phase::Data, self.device)?;

        let probe = self.densify.probe(step, &self.gaussians)?;
        let picture = self.gaussians.render(camera, &self.settings, &probe)?;
        mark(&mut self.profile, Phase::Render, self.device)?;

        let image = match &self.exposures {
            Some(exposures) => exposures.apply(i, &picture.color)?,
            None => picture.color,
        };
        let mut total = loss::masked(&image, &target, self.config.lambda_dssim)?;
        if let (Some(weight), Some(depth)) = (&self.config.depth, &target.inv_depth) {
            let depth = loss::inverse_depth(&picture.inv_depth, depth)?;
            total = total.f_add(&depth.f_mul_scalar(weight.at(step))?)?;
        }
        mark(&mut self.profile, Phase::Loss, self.device)?;

        let mut leaves: Vec<&Tensor> = self.gaussians.parameters().to_vec();
        leaves.extend(probe.leaves());
        leaves.extend(self.exposures.iter().map(|e| &e.maps));
        leaves.extend(self.poses.iter().map(|p| &p.corrections));
        let mut found = gradients(&total, &leaves)?.into_iter();
        let mut of_gaussians: Vec<Tensor> = found.by_ref().take(6).collect();
        let (opacity, scale) = (self.config.opacity_reg, self.config.scale_reg);
        loss::regularize(&self.gaussians, &mut of_gaussians, opacity, scale)?;
        let means2d = probe.means2d.is_some().then(|| found.next()).flatten();
        let means2d_abs = probe.means2d_abs.is_some().then(|| found.next()).flatten();
        mark(&mut self.profile, Phase::Backward, self.device)?;

        self.optimizer.step(&self.gaussians.parameters(), &of_gaussians)?;
        drop(of_gaussians);
        if let (Some(exposures), Some(gradient)) =
            (&mut self.exposures, self.config.exposure.then(|| found.next()).flatten())
        {
            exposures.step(step, i, gradient)?;
        }
        if let (Some(poses), Some(gradient)) = (&mut self.poses, found.next()) {
            poses.step(step, i, gradient)?;
        }
        mark(&mut self.profile, Phase::Optimizer, self.device)?;

        self.densify.observe(
            step,
            &Observation {
                camera: self.views.camera(i),
                means: &self.gaussians.means.f_detach()?,
                radii: &picture.radii,
                means2d: means2d.as_ref(),
                means2d_abs: means2d_abs.as_ref(),
            },
        )?;
        mark(&mut self.profile, Phase::Densify, self.device)?;
        self.steps = step;
        Ok(StepResult { loss: total.f_detach()?, image: image.f_detach()?, target, change })
    }

    /// The camera of view `i` where it is not the dataset's (smaller, or corrected), and the target at its size.
    fn seen(&self, i: usize, step: u64, target: Target) -> Result<(Option<Camera>, Target)> {
        let reduction = self.config.reduction(step);
        if reduction == 1 && self.poses.is_none() {
            return Ok((None, target));
        }
        let mut core = self.views.camera(i).core().clone();
        let mut target = target;
        if reduction > 1 {
            core.width = (core.width / reduction).max(1);
            core.height = (core.height / reduction).max(1);
            target = target.reduced(i64::from(core.height), i64::from(core.width))?;
        }
        let camera = match &self.poses {
            Some(poses) => poses.camera(&core, i)?,
            None => Camera::new(core, self.device)?,
        };
        Ok((Some(camera), target))
    }

    /// Renders view `i` from its dataset's pose with the SH degree in use: `[3,H,W]`, no graph, not clamped.
    ///
    /// # Errors
    /// What the rasterizer or torch refuse.
    pub fn render(&self, i: usize) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let settings = Settings {
            sh_degree: self.config.active_degree(self.steps),
            background: Background::Tensor(self.background.shallow_clone()),
            // Looked at, so it must be whole.
            workspace: None,
            ..self.settings.clone()
        };
        Ok(self.gaussians.render(self.views.camera(i), &settings, &crate::Probe::default())?.color)
    }

    /// Whether parameters and moments are of the same rows, which they are not where a refinement ended half way.
    pub(crate) fn is_whole(&self) -> bool {
        let rows = self.gaussians.len() as i64;
        let mut all = self.optimizer.groups.iter().flat_map(|g| [&g.exp_avg, &g.exp_avg_sq]);
        all.all(|moment| moment.size()[0] == rows)
            && self.gaussians.parameters().iter().all(|p| p.size()[0] == rows)
    }

    /// All views of the dataset with their cameras, at the corrected poses where poses are learned; waits for the device.
    ///
    /// # Errors
    /// Torch's.
    pub fn cameras(&self) -> Result<Vec<cameras_json::Entry>> {
        let entry = |i: usize| {
            let core = self.views.camera(i).core();
            let camera = match &self.poses {
                Some(poses) => poses.corrected(core, i)?,
                None => core.clone(),
            };
            Ok(cameras_json::Entry { name: self.views.name(i).into(), camera })
        };
        (0..self.views.len()).map(entry).collect()
    }

    /// Of the views that are trained on, by name; waits for the device. None where exposures are not learned.
    ///
    /// # Errors
    /// Torch's.
    pub fn exposures(&self) -> Result<Option<BTreeMap<&str, ColorMap>>> {
        let Some(exposures) = &self.exposures else { return Ok(None) };
        let named = |&i: &usize| Ok((self.views.name(i), exposures.map(i)?));
        self.train.iter().map(named).collect::<Result<_>>().map(Some)
    }

    /// Everything there is, on the host; waits for the device. `outcome` is what was reported so far.
    pub(crate) fn checkpoint(&self, outcome: crate::Outcome) -> Result<Checkpoint> {
        let (coming, rng) = self.order.state();
        let header = Header {
            steps: self.steps,
            coming,
            rng,
            outcome,
            ..Header::new(self.dataset.clone(), self.config.clone(), self.engine.clone())
        };
        let mut tensors: Vec<(String, &Tensor)> = Vec::new();
        let names = crate::PARAMETERS.iter().zip(self.gaussians.parameters());
        tensors.extend(names.map(|(name, t)| (format!("gaussians/{name}"), t)));
        let mut optimizers = vec![&self.optimizer];
        if let Some(e) = &self.exposures {
            tensors.push(("exposures".into(), &e.maps));
            tensors.push(("exposures/updates".into(), &e.updates));
            optimizers.push(&e.optimizer);
        }
        if let Some(p) = &self.poses {
            tensors.push(("poses".into(), &p.corrections));
            tensors.push(("poses/updates".into(), &p.updates));
            optimizers.push(&p.optimizer);
        }
        for group in optimizers.into_iter().flat_map(|o| &o.groups) {
            tensors.push((format!("adam/{}/exp_avg", group.name), &group.exp_avg));
            tensors.push((format!("adam/{}/exp_avg_sq", group.name), &group.exp_avg_sq));
        }
        tensors.extend(self.densify.state().into_iter().map(|(name, t)| (format!("densify/{name}"), t)));
        Checkpoint::new(header, tensors)
    }

    /// Everything of a checkpoint but the parameters.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let device = self.device;
        let head = &checkpoint.header;
        let adam = |optimizer: &mut Optimizer| -> Result<()> {
            for group in &mut optimizer.groups {
                group.exp_avg = checkpoint.tensor(&format!("adam/{}/exp_avg", group.name), device)?;
                group.exp_avg_sq = checkpoint.tensor(&format!("adam/{}/exp_avg_sq", group.name), device)?;
            }
            optimizer.steps = head.steps as i64;
            Ok(())
        };
        adam(&mut self.optimizer)?;
        // The strategy looks at the rates of the step before.
        self.optimizer.set_rates(self.config.rates.at(head.steps, self.extent));
        if let Some(e) = &mut self.exposures {
            e.maps = checkpoint.tensor("exposures", device)?.f_set_requires_grad(true)?;
            e.updates = checkpoint.tensor("exposures/updates", Device::Cpu)?;
            adam(&mut e.optimizer)?;
        }
        if let Some(p) = &mut self.poses {
            p.corrections = checkpoint.tensor("poses", device)?.f_set_requires_grad(true)?;
            p.updates = checkpoint.tensor("poses/updates", Device::Cpu)?;
            adam(&mut p.optimizer)?;
        }
        self.densify.restore(&mut |name| {
            let name = format!("densify/{name}");
            checkpoint.has(&name).then(|| checkpoint.tensor(&name, device)).transpose()
        })?;
        self.order.restore((head.coming.clone(), head.rng));
        self.steps = head.steps;
        self.before = head.outcome.clone();
        Ok(())
    }
}

fn mark(profile: &mut Option<Profile>, phase: Phase, device: Device) -> Result<()> {
    match profile {
        Some(profile) => profile.end(phase, device),
        None => Ok(()),
    }
}
