//! The loop on a tiny made-up scene: what it reports, when it stops, that it learns, and that it can be gone on from.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use splat_scene::{Dataset, OpenOptions, save_png};
use splat_train::{
    AdcConfig, Backend, Change, Checkpoint, Comparison, Config, Densify, Error, Event, Gaussians,
    GuidedConfig, Loss, McmcConfig, Observation, Optimizer, Outcome, Precision, Regularization, RunOptions,
    Strategy, Trainer, Wants, checkpoint_path,
};
use tch::{Device, Kind, Tensor};

/// Nine cameras in a row before a wall of grey points; every photograph is plain green with a red stripe.
fn scene(folder: &Path) -> Dataset {
    let sparse = folder.join("sparse/0");
    std::fs::create_dir_all(&sparse).unwrap();
    std::fs::create_dir_all(folder.join("images")).unwrap();
    std::fs::write(sparse.join("cameras.txt"), "1 PINHOLE 24 16 20 20 12 8\n").unwrap();
    let (mut images, mut points) = (String::new(), String::new());
    for i in 0..9 {
        writeln!(images, "{i} 1 0 0 0 {} 0 0 1 {i}.png\n", -0.1 * f64::from(i - 4)).unwrap();
        save_png(folder.join(format!("images/{i}.png")), 24, 16, &[40, 200, 60].repeat(24 * 16)).unwrap();
    }
    for i in 0..64 {
        let (x, y) = (f64::from(i % 8) / 3.5 - 1.0, f64::from(i / 8) / 3.5 - 1.0);
        writeln!(points, "{i} {x} {y} 2 128 128 128 0").unwrap();
    }
    std::fs::write(sparse.join("images.txt"), images).unwrap();
    std::fs::write(sparse.join("points3D.txt"), points).unwrap();
    Dataset::open(folder, &OpenOptions::default()).unwrap()
}

fn trainer(dataset: &Dataset, config: Config) -> Trainer {
    Trainer::builder(dataset).config(config).backend(Backend::cpu()).build().unwrap()
}

fn run(trainer: &mut Trainer) -> Outcome {
    trainer.run(&RunOptions::default(), |_, _| {}).unwrap()
}

/// Everything the published schedule does in 15,000 steps, in 60. The scene is large against its cameras' distances, so
/// that no scale counts as huge.
fn brisk() -> AdcConfig {
    let published = AdcConfig::default();
    AdcConfig {
        from: 10,
        until: 50,
        every: 10,
        gradient: 1e-6,
        reset_every: 30,
        prune_scale: 10.0,
        ..published
    }
}

/// The same for growth by error, with the last removal.
fn guided() -> GuidedConfig {
    GuidedConfig {
        cap: Some(150),
        from: 10,
        grow_until: 30,
        until: 50,
        every: 10,
        surveys: 8,
        prune_after: 5,
        ..GuidedConfig::default()
    }
}

/// A strategy that leaves nothing ends the run with a sentence, not with NaN.
#[test]
fn a_scene_that_is_pruned_away_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let strategy = Strategy::Adc(AdcConfig { prune_scale: 1e-6, ..brisk() });
    let mut trainer =
        trainer(&dataset, Config { iterations: 60, eval_every: 0, strategy, ..Config::default() });
    let error = trainer.run(&RunOptions::default(), |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::Emptied { step: 40 }) && error.remedy().is_some(), "{error}");
}

#[test]
fn a_plain_wall_is_learnt_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let mut trainer = trainer(&dataset, Config { iterations: 50, eval_every: 20, ..Config::default() });
    let mut events = Vec::new();
    let outcome = trainer.run(&RunOptions::default(), |_, e| events.push(e.clone())).unwrap();
    assert!(matches!(&events[0], Event::Placed { points: 64, guessed: 0, .. }));
    assert!(matches!(events[1], Event::Ready { train_views: 7, test_views: 2, gaussians: 64, step: 0, .. }));
    let at: Vec<u64> = outcome.evaluations.iter().map(|e| e.step).collect();
    assert_eq!(at, [0, 20, 40, 50], "at the start, every 20 steps, and at the end");
    // Faint grey on black turns towards opaque green: little in 50 steps, but steadily. Measured 9.3 to 9.8 dB.
    for pair in outcome.evaluations.windows(2) {
        assert!(pair[1].psnr > pair[0].psnr && pair[1].ssim > pair[0].ssim, "{pair:?}");
    }
    assert!(outcome.evaluations[3].psnr > outcome.evaluations[0].psnr + 0.3);
    assert_eq!((outcome.steps, outcome.stopped_early, trainer.steps()), (50, false, 50));
    assert!(outcome.train_seconds <= outcome.wall_seconds);
    assert_eq!(outcome.curve.last().unwrap().step, 50);
    trainer.gaussians().download().unwrap().check().unwrap();
}

/// A stop that comes during an evaluation: one more step, then all is saved, counted and evaluated.
#[test]
fn stopping_keeps_what_was_learnt() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let mut trainer = trainer(&dataset, Config { iterations: 100_000, eval_every: 20, ..Config::default() });
    let stop = AtomicBool::new(false);
    let path = checkpoint_path(dir.path());
    let options = RunOptions {
        stop: &stop,
        checkpoint: Some(path.clone()),
        checkpoint_every: 0,
        ..RunOptions::default()
    };
    let outcome = trainer
        .run(&options, |_, e| {
            if matches!(e, Event::Evaluated(e) if e.step == 20) {
                stop.store(true, Ordering::Relaxed);
            }
        })
        .unwrap();
    assert!(outcome.stopped_early);
    assert_eq!((outcome.steps, trainer.steps()), (21, 21));
    assert_eq!(outcome.evaluations.last().unwrap().step, 21);
    assert_eq!(Checkpoint::read(&path).unwrap().header.steps, 21);
}

/// Runs to the end at once, and in two parts through a file: every number is the same, for every strategy.
#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let mcmc = McmcConfig { cap: 200, from: 10, until: 50, every: 10, ..McmcConfig::default() };
    let strategies =
        [Strategy::Fixed, Strategy::Adc(brisk()), Strategy::Mcmc(mcmc), Strategy::Guided(guided())];
    let whole = strategies.iter().map(|strategy| (strategy, Precision::Fp32));
    let compact = strategies[2..].iter().map(|strategy| (strategy, Precision::Compact));
    for (k, (strategy, precision)) in whole.chain(compact).enumerate() {
        let config = |iterations| Config {
            iterations,
            eval_every: 0,
            strategy: strategy.clone(),
            precision,
            random_background: k == 0,
            dropout: 0.1,
            dropout_until: 50,
            exposure: true,
            response: true,
            poses: true,
            sh_every: 20,
            opacity_reg: Some(0.01),
            ..Config::default()
        };
        let mut whole = trainer(&dataset, config(60));
        run(&mut whole);

        // In the middle of what a refinement gathers, and right before one.
        for at in [34, 40] {
            let path = checkpoint_path(dir.path());
            let mut first = trainer(&dataset, config(60));
            let options =
                RunOptions { checkpoint: Some(path.clone()), checkpoint_every: at, ..RunOptions::default() };
            let mut saved = Vec::new();
            first
                .run(&options, |_, e| {
                    if matches!(e, Event::Saved { .. }) {
                        saved.push(std::fs::read(&path).unwrap());
                    }
                })
                .unwrap();
            std::fs::write(&path, &saved[0]).unwrap();
            let checkpoint = Checkpoint::read(&path).unwrap();
            assert_eq!(checkpoint.header.steps, at);
            checkpoint.fits(&path, &dataset.fingerprint(), &config(60), "cpu").unwrap();
            let mut second = Trainer::builder(&dataset)
                .config(config(60))
                .backend(Backend::cpu())
                .resume(&checkpoint)
                .build()
                .unwrap();
            let outcome = run(&mut second);
            let (a, b) = (whole.gaussians().download().unwrap(), second.gaussians().download().unwrap());
            assert!(a == b, "{strategy:?}, {precision:?} from step {at}");
            assert_eq!(whole.exposures().unwrap(), second.exposures().unwrap());
            assert_eq!(whole.cameras().unwrap(), second.cameras().unwrap());
            assert_eq!(outcome.evaluations.first().unwrap().step, 0, "what was reported before is kept");
        }
    }
}

/// The last step is saved too, with what the caller noted, and the run goes on from there as if it had been longer.
#[test]
fn a_finished_run_can_be_extended() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let config =
        |iterations| Config { iterations, eval_every: 0, random_background: true, ..Config::default() };
    let mut whole = trainer(&dataset, config(40));
    run(&mut whole);
    let path = checkpoint_path(dir.path());
    let options = RunOptions {
        checkpoint: Some(path.clone()),
        checkpoint_every: 0,
        note: "how it was opened".into(),
        ..RunOptions::default()
    };
    trainer(&dataset, config(25)).run(&options, |_, _| {}).unwrap();
    let checkpoint = Checkpoint::read(&path).unwrap();
    let head = &checkpoint.header;
    assert_eq!((head.steps, head.note.as_str()), (25, Some("how it was opened")));
    assert_eq!(head.outcome.evaluations.last().map(|e| e.step), Some(25), "the last evaluation is kept");
    let mut longer = Trainer::builder(&dataset)
        .config(config(40))
        .backend(Backend::cpu())
        .resume(&checkpoint)
        .build()
        .unwrap();
    let outcome = run(&mut longer);
    assert_eq!((outcome.steps, outcome.stopped_early), (40, false));
    assert!(whole.gaussians().download().unwrap() == longer.gaussians().download().unwrap());
}

/// A checkpoint that cannot be written is a warning that says what there is to resume from.
#[test]
fn a_checkpoint_that_fails_says_what_stands() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let config = Config { iterations: 2, eval_every: 0, ..Config::default() };
    let warnings = |path: std::path::PathBuf| {
        let options = RunOptions { checkpoint: Some(path), ..RunOptions::default() };
        let mut texts = Vec::new();
        trainer(&dataset, config.clone())
            .run(&options, |_, e| {
                if let Event::Warning { text } = e {
                    texts.push(text.clone());
                }
            })
            .unwrap();
        texts.join("\n")
    };
    let none = warnings(dir.path().join("no/such/checkpoint"));
    assert!(none.contains("cannot write") && none.contains("there is no earlier checkpoint"), "{none}");
    // A folder in its place cannot be replaced by a file.
    let before = warnings(dir.path().into());
    assert!(before.contains("the checkpoint before it is kept"), "{before}");
}

/// Held-out views have the dataset's poses and no exposure; the others' are handed out by name.
#[test]
fn exposures_and_poses_are_of_the_views_that_are_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let config = Config {
        iterations: 30,
        eval_every: 0,
        exposure: true,
        response: true,
        poses: true,
        ..Config::default()
    };
    let mut trainer = trainer(&dataset, config);
    run(&mut trainer);
    let exposures = trainer.exposures().unwrap().unwrap();
    let names: Vec<&str> = dataset.train.iter().map(|&i| dataset.views[i].name.as_str()).collect();
    assert_eq!(exposures.keys().copied().collect::<Vec<_>>(), names);
    let mean: f32 = exposures.values().map(|map| map[1][1]).sum::<f32>() / exposures.len() as f32;
    assert!((mean - 1.0).abs() < 1e-5 && exposures.values().any(|map| map[1][1] != 1.0), "{exposures:?}");
    let moved: Vec<usize> = trainer
        .cameras()
        .unwrap()
        .iter()
        .enumerate()
        .filter(|(i, entry)| {
            let given = &dataset.views[*i].camera.view;
            entry.camera.view.iter().zip(given).any(|(a, b)| (a - b).abs() > 1e-6)
        })
        .map(|(i, _)| i)
        .collect();
    assert_eq!(moved, dataset.train);
}

#[test]
fn strategies_change_the_number_and_keep_the_scene() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let config = |strategy, precision| Config {
        iterations: 60,
        eval_every: 0,
        strategy,
        precision,
        ..Config::default()
    };
    let with = |strategy, precision| {
        let mut trainer = trainer(&dataset, config(strategy, precision));
        let mut changes = 0;
        trainer
            .run(&RunOptions::default(), |_, e| changes += usize::from(matches!(e, Event::Densified { .. })))
            .unwrap();
        trainer.gaussians().download().unwrap().check().unwrap();
        (trainer.gaussians().len(), changes)
    };
    let count = |strategy| with(strategy, Precision::Fp32);
    let (grown, changes) = count(Strategy::Adc(brisk()));
    assert!(grown > 64 && changes == 3, "{grown} after {changes} refinements");
    let (capped, _) = count(Strategy::Adc(AdcConfig { max_gaussians: Some(100), ..brisk() }));
    assert!(capped > 64 && capped <= 100, "{capped}");
    let absolute = AdcConfig { absolute: true, near: 0.5, prune_radius: Some(50.0), ..brisk() };
    assert!(count(Strategy::Adc(absolute)).0 > 64);
    let mcmc = McmcConfig { cap: 70, from: 10, until: 50, every: 10, ..McmcConfig::default() };
    for precision in [Precision::Fp32, Precision::Compact] {
        let mcmc = with(Strategy::Mcmc(mcmc.clone()), precision).0;
        assert_eq!(mcmc, 70, "{precision:?}: up to the cap and no further");
        let (grown, changes) = with(Strategy::Guided(guided()), precision);
        assert!(grown > 64 && grown <= 150 && changes == 4, "{grown} after {changes} refinements");
    }
    assert_eq!(count(Strategy::Fixed), (64, 0));
}

/// With few bits the same is learnt, and the run of one seed is always the same.
#[test]
fn compact_training_learns_what_whole_numbers_do() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let learnt = |precision, seed| {
        let config = Config { iterations: 80, sh_every: 10, seed, precision, ..Config::default() };
        let mut trainer = trainer(&dataset, Config { eval_every: 0, strategy: Strategy::Fixed, ..config });
        let outcome = run(&mut trainer);
        assert_eq!(trainer.gaussians().is_compact(), precision == Precision::Compact);
        let gain = outcome.evaluations.last().unwrap().psnr - outcome.evaluations[0].psnr;
        (gain, trainer.gaussians().download().unwrap())
    };
    let ((whole, _), (compact, scene)) = (learnt(Precision::Fp32, 3), learnt(Precision::Compact, 3));
    assert!(whole > 0.3 && (compact - whole).abs() < 0.2, "fp32 gains {whole} dB, compact {compact} dB");
    assert!(scene.sh[3..48].iter().any(|x| *x != 0.0), "higher terms moved");
    assert!(learnt(Precision::Compact, 3).1 == scene);
}

/// A photograph that does not fit the budget is decoded when its step comes: the result is the same.
#[test]
fn photographs_that_do_not_fit_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let config = |image_cache| Config { iterations: 30, eval_every: 0, image_cache, ..Config::default() };
    let result = |bytes| {
        let mut trainer = trainer(&dataset, config(bytes));
        run(&mut trainer);
        trainer.gaussians().download().unwrap()
    };
    assert!(result(1 << 30) == result(3000));
}

#[test]
fn sizes_grow_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let mut trainer =
        trainer(&dataset, Config { iterations: 30, coarse_steps: 10, eval_every: 0, ..Config::default() });
    let outcome = run(&mut trainer);
    assert!(outcome.evaluations[1].psnr > outcome.evaluations[0].psnr, "{:?}", outcome.evaluations);
}

#[test]
fn settings_out_of_range_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut dataset = scene(dir.path());
    let build = |dataset: &Dataset, config: Config| {
        Trainer::builder(dataset).config(config).backend(Backend::cpu()).build().expect_err("refused")
    };
    let refused = |config: Config| build(&dataset, config).to_string();
    assert!(refused(Config { sh_degree: 4, ..Config::default() }).contains("SH degree is 4"));
    assert!(refused(Config { max_points: Some(0), ..Config::default() }).contains("0 points"));
    let host =
        trainer(&dataset, Config { sh_degree: 1, ..Config::default() }).gaussians().download().unwrap();
    let other = Trainer::builder(&dataset).backend(Backend::cpu()).gaussians(&host).build().unwrap_err();
    assert!(other.to_string().contains("SH degree 1, but the settings say 3"), "{other}");
    dataset.points.clear();
    let only = Config { init: splat_train::PointSource::Points, ..Config::default() };
    let none = build(&dataset, only);
    assert!(matches!(none, Error::Init(splat_init::Error::NoPoints)) && none.remedy().is_some());
}

/// Squared error, whatever the mask.
#[derive(Debug)]
struct Squared;

impl Loss for Squared {
    fn loss(&self, of: &Comparison<'_>) -> splat_train::Result<Tensor> {
        Ok((of.image - of.target).square().mean(Kind::Float))
    }
}

/// Counts what it sees in a tensor that goes through checkpoints, and removes one Gaussian in every tenth step.
#[derive(Debug)]
struct Dwindle {
    seen: Tensor,
}

impl Dwindle {
    fn boxed() -> Box<dyn Densify> {
        Box::new(Self { seen: Tensor::zeros([1], (Kind::Float, Device::Cpu)) })
    }
}

impl Densify for Dwindle {
    fn wants(&self, step: u64) -> Wants {
        if step.is_multiple_of(2) { Wants::default().absolute().weights() } else { Wants::default().signed() }
    }

    fn regularization(&self) -> Regularization {
        Regularization { opacity: 0.1, scale: 0.0 }
    }

    fn observe(&mut self, step: u64, seen: &Observation<'_>) -> splat_train::Result<()> {
        let even = step.is_multiple_of(2);
        assert_eq!(
            [seen.means2d.is_some(), seen.means2d_abs.is_some(), seen.weight_sum.is_some()],
            [!even, even, even]
        );
        let weights = seen.weight_sum.zip(seen.weight_max);
        assert!(weights.is_none_or(|(sum, max)| sum.ge_tensor(max).all().int64_value(&[]) == 1));
        let _ = self.seen.f_add_scalar_(1.0)?;
        Ok(())
    }

    fn refine(
        &mut self,
        step: u64,
        gaussians: &mut Gaussians,
        optimizer: &mut Optimizer,
    ) -> splat_train::Result<Option<Change>> {
        if step == 0 || !step.is_multiple_of(10) {
            return Ok(None);
        }
        assert_eq!(self.seen.double_value(&[0]), step as f64, "what was seen before a checkpoint counts");
        let index = Tensor::arange(gaussians.len() as i64 - 1, (Kind::Int64, gaussians.device()));
        let rows = splat_train::Rows { fresh_from: index.size()[0], index };
        gaussians.select(&rows)?;
        optimizer.select(&rows)?;
        Ok(Some(Change { pruned: 1, ..Change::default() }))
    }

    fn state(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("seen", &self.seen)]
    }

    fn restore(
        &mut self,
        state: &mut dyn FnMut(&str) -> splat_train::Result<Option<Tensor>>,
    ) -> splat_train::Result<()> {
        self.seen = state("seen")?.expect("it was saved");
        Ok(())
    }
}

/// A loss and a strategy of one's own take part like ours, step by step and through a checkpoint.
#[test]
fn own_loss_and_strategy_plug_in() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let builder = || {
        Trainer::builder(&dataset)
            .config(Config { iterations: 40, eval_every: 0, ..Config::default() })
            .backend(Backend::cpu())
            .loss(Box::new(Squared))
            .densify(Dwindle::boxed())
    };
    let mut whole = builder().build().unwrap();
    let mut losses = Vec::new();
    for step in 1..=40 {
        let result = whole.step().unwrap();
        losses.push(result.loss.double_value(&[]));
        let expected = (&result.image - &result.target.color).square().mean(Kind::Float).double_value(&[]);
        assert!((losses[losses.len() - 1] - expected).abs() < 1e-7, "no loss but the given one");
        assert!(dataset.train.contains(&result.view));
        assert_eq!(result.change.is_some(), step > 10 && step % 10 == 1);
    }
    assert_eq!((whole.steps(), whole.gaussians().len()), (40, 61));
    assert!(losses[39] < losses[0], "{losses:?}");

    let mut first = builder().build().unwrap();
    (0..17).for_each(|_| drop(first.step().unwrap()));
    let checkpoint = first.checkpoint(Outcome::default()).unwrap();
    let mut second = builder().resume(&checkpoint).build().unwrap();
    (17..40).for_each(|_| drop(second.step().unwrap()));
    assert!(whole.gaussians().download().unwrap() == second.gaussians().download().unwrap());
}

/// Trainers of one process do not disturb each other, and can be made in one thread and run in another.
#[test]
fn two_trainers_at_once_do_what_each_does_alone() {
    fn sendable<T: Send>(t: T) -> T {
        t
    }
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let mcmc = McmcConfig { cap: 200, from: 10, until: 50, every: 10, ..McmcConfig::default() };
    let make = |k: usize| {
        let strategy = [Strategy::Adc(brisk()), Strategy::Mcmc(mcmc.clone())][k].clone();
        let config = Config { iterations: 60, eval_every: 0, seed: k as u64, strategy, ..Config::default() };
        sendable(trainer(&dataset, config))
    };
    let finish = |mut trainer: Trainer| {
        run(&mut trainer);
        trainer.gaussians().download().unwrap()
    };
    let alone = [0, 1].map(|k| finish(make(k)));
    let together = std::thread::scope(|scope| {
        [0, 1]
            .map(|k| {
                scope.spawn({
                    let trainer = make(k);
                    move || finish(trainer)
                })
            })
            .map(|t| t.join().unwrap())
    });
    assert!(alone == together);
}

/// Torch's generators are the process's: no step of any strategy seeds or uses them.
#[test]
fn the_global_generator_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let draw = || Vec::<f32>::try_from(Tensor::rand([4], (Kind::Float, Device::Cpu))).unwrap();
    tch::manual_seed(7);
    let expected = [draw(), draw()];
    let mcmc = McmcConfig { cap: 200, from: 10, until: 50, every: 10, ..McmcConfig::default() };
    for strategy in [Strategy::Adc(brisk()), Strategy::Mcmc(mcmc)] {
        tch::manual_seed(7);
        let before = draw();
        run(&mut trainer(&dataset, Config { iterations: 25, eval_every: 0, strategy, ..Config::default() }));
        assert_eq!([before, draw()], expected);
    }
}

/// Whoever trains with MCMC from the library gets the regularisation without which no Gaussian dies.
#[test]
fn mcmc_regularizes_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    let opacity = |opacity_reg, scale_reg| {
        let strategy = Strategy::Mcmc(McmcConfig::default());
        let config =
            Config { iterations: 5, eval_every: 0, strategy, opacity_reg, scale_reg, ..Config::default() };
        let mut trainer = trainer(&dataset, config);
        run(&mut trainer);
        trainer.gaussians().download().unwrap()
    };
    let default = opacity(None, None);
    assert!(default == opacity(Some(0.01), Some(0.01)));
    assert!(default != opacity(Some(0.0), Some(0.0)));
}

/// A step on two views follows the mean of their gradients, with Adam's decays squared.
#[test]
fn a_batch_follows_the_mean_of_its_views() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path());
    // So small that nothing moves: both steps of one view are at the same parameters.
    let mut rates = splat_train::Rates { sh: 1e-30, opacity: 1e-30, ..Default::default() };
    (rates.sh_rest, rates.scaling, rates.rotation) = (1e-30, 1e-30, 1e-30);
    (rates.position.from, rates.position.to) = (1e-30, 1e-30);
    let first = Config { strategy: Strategy::Fixed, iterations: 9, dropout: 0.0, rates, ..Config::default() };
    let moment = |batch: usize, steps: u64| {
        let mut trainer = trainer(&dataset, Config { batch, ..first.clone() });
        (0..steps).for_each(|_| drop(trainer.step().unwrap()));
        let saved = trainer.checkpoint(Outcome::default()).unwrap();
        saved.tensor("adam/sh_first/exp_avg", Device::Cpu).unwrap().to_kind(Kind::Double)
    };
    let (one, two, both) = (moment(1, 1), moment(1, 2), moment(2, 1));
    let (a, b) = (&one / 0.1, (&two - &one * 0.9) / 0.1);
    let expected = (a + b) * 0.5 * (1.0 - 0.9 * 0.9);
    let far = (&both - &expected).abs().max().double_value(&[]);
    let most = expected.abs().max().double_value(&[]);
    assert!(most > 0.0 && far < 1e-5 * most, "{far} of {most}");
}
