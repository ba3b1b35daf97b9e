//! Training on several ranks, as real processes on the CPU: the numbers are those of one rank with the same views per step, and
//! a run goes on with another number of ranks.
//!
//! Each rank is this program again, told by `ROLE` what to do.
#![expect(clippy::print_stdout, reason = "a rank says how it ended")]

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use splat_scene::{Dataset, OpenOptions, save_png};
use splat_train::{
    AdcConfig, Backend, Change, Checkpoint, Config, Densify, Error, Gaussians, GuidedConfig, McmcConfig,
    Optimizer, Outcome, Ranks, Rendezvous, Rows, RunOptions, Strategy, Trainer, checkpoint_path,
};
use tch::{Device, Kind, Tensor};

/// Nine cameras before a bumpy wall of coloured points; the first of them looks away from it.
fn scene(folder: &Path) -> Dataset {
    let sparse = folder.join("sparse/0");
    std::fs::create_dir_all(&sparse).unwrap();
    std::fs::create_dir_all(folder.join("images")).unwrap();
    std::fs::write(sparse.join("cameras.txt"), "1 PINHOLE 24 16 20 20 12 8\n").unwrap();
    let (mut images, mut points) = (String::new(), String::new());
    for i in 0..9 {
        let turned = if i == 1 { "0 0 1 0" } else { "1 0 0 0" };
        writeln!(images, "{i} {turned} {} 0 0 1 {i}.png\n", -0.1 * f64::from(i - 4)).unwrap();
        let pixel =
            |k: i32| [(40 + k * 7 % 90) as u8, (200 - k * 3 % 80) as u8, (60 + (k * k + i) % 50) as u8];
        let pixels: Vec<u8> = (0..24 * 16).flat_map(pixel).collect();
        save_png(folder.join(format!("images/{i}.png")), 24, 16, &pixels).unwrap();
    }
    for i in 0..64 {
        let (x, y) = (f64::from(i % 8) / 3.5 - 1.0, f64::from(i / 8) / 3.5 - 1.0);
        let z = 2.0 + 0.1 * f64::from(i * 5 % 7);
        writeln!(points, "{i} {x} {y} {z} {} {} 128 0", 40 + 3 * i, 200 - 2 * i).unwrap();
    }
    std::fs::write(sparse.join("images.txt"), images).unwrap();
    std::fs::write(sparse.join("points3D.txt"), points).unwrap();
    Dataset::open(folder, &OpenOptions::default()).unwrap()
}

fn config(strategy: Strategy, iterations: u64) -> Config {
    let published = splat_train::Preset::Published.config();
    let deterministic = true;
    Config {
        iterations,
        batch: 3,
        eval_every: 0,
        strategy,
        sh_degree: 1,
        sh_every: 5,
        deterministic,
        ..published
    }
}

fn guided() -> Strategy {
    let guided = GuidedConfig {
        cap: Some(150),
        from: 4,
        grow_until: 12,
        until: 20,
        every: 4,
        surveys: 3,
        prune_after: 3,
        ..GuidedConfig::default()
    };
    Strategy::Guided(guided)
}

fn adc() -> Strategy {
    let adc = AdcConfig {
        from: 2,
        until: 20,
        every: 4,
        gradient: 1e-6,
        reset_every: 10,
        prune_scale: 10.0,
        max_gaussians: Some(120),
        ..AdcConfig::default()
    };
    Strategy::Adc(adc)
}

fn mcmc() -> Strategy {
    Strategy::Mcmc(McmcConfig { cap: 130, from: 2, until: 20, every: 4, ..McmcConfig::default() })
}

/// Removes every third row after step 3: of three ranks one loses all it has.
#[derive(Debug)]
struct EveryThird;

impl Densify for EveryThird {
    fn works_on_shares(&self) -> bool {
        true
    }

    fn refine(
        &mut self,
        step: u64,
        gaussians: &mut Gaussians,
        optimizer: &mut Optimizer,
    ) -> Result<Option<Change>, Error> {
        if step != 3 {
            return Ok(None);
        }
        let before = gaussians.total();
        let kept: Vec<i64> = (0..before as i64).filter(|place| place % 3 != 1).collect();
        let index = Tensor::from_slice(&kept);
        gaussians.rearrange(optimizer, &Rows { fresh_from: kept.len() as i64, index })?;
        Ok(Some(Change { pruned: before - kept.len(), ..Change::default() }))
    }
}

/// What the process of a rank is to do.
#[derive(serde::Serialize, serde::Deserialize)]
struct Task {
    data: PathBuf,
    out: PathBuf,
    config: Config,
    resume: bool,
    /// [`EveryThird`] instead of the strategy of the settings.
    lopsided: bool,
    /// The rank that has other settings, and the one that ends as if it had been killed, after some steps.
    differs: Option<usize>,
    dies: Option<(usize, u64)>,
}

impl Task {
    fn new(data: &Path, out: &Path, config: Config) -> Self {
        std::fs::create_dir_all(out).unwrap();
        let (data, out) = (data.to_owned(), out.to_owned());
        Self { data, out, config, resume: false, lopsided: false, differs: None, dies: None }
    }

    /// Trains here, and saves what it ends with as `out/checkpoint.safetensors`.
    fn run(&self, group: Option<Ranks>) -> Result<Outcome, Error> {
        let dataset = Dataset::open(&self.data, &OpenOptions::default())?;
        let path = checkpoint_path(&self.out);
        let checkpoint = if self.resume { Some(Checkpoint::read(&path)?) } else { None };
        let mut config = self.config.clone();
        let rank = group.as_ref().map(Ranks::rank);
        if rank.is_some() && rank == self.differs {
            config.seed += 1;
        }
        let mut builder = Trainer::builder(&dataset).config(config).backend(Backend::cpu());
        if let Some(group) = &group {
            builder = builder.group(group.clone());
        }
        if self.lopsided {
            builder = builder.densify(Box::new(EveryThird));
        }
        if let Some(checkpoint) = &checkpoint {
            builder = builder.resume(checkpoint);
        }
        let mut trainer = builder.build()?;
        if let Some((dies, after)) = self.dies
            && Some(dies) == rank
        {
            for _ in 0..after {
                trainer.step()?;
            }
            std::process::abort();
        }
        let options = RunOptions { checkpoint: Some(path), ..RunOptions::default() };
        let outcome = trainer.run(&options, |_, _| {})?;
        if let Some(group) = group {
            let shares = group.all_gather(trainer.gaussians().len() as i64)?;
            let (most, least) = (shares.iter().max().unwrap(), shares.iter().min().unwrap());
            assert!(most - least <= 1 + trainer.gaussians().total() as i64 / 20, "{shares:?}");
            group.leave(None)?;
        }
        Ok(outcome)
    }

    /// Trains on `world` ranks; gives what each said in the end.
    fn ranks(&self, world: usize) -> Vec<String> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let task = serde_json::to_string(self).unwrap();
        let start = |rank: usize| {
            Command::new(std::env::current_exe().unwrap())
                .args(["plays_a_rank", "--exact", "--nocapture"])
                .envs([("ROLE", task.as_str()), ("MASTER_ADDR", "127.0.0.1"), ("OMP_NUM_THREADS", "1")])
                .env("RANK", rank.to_string())
                .env("WORLD_SIZE", world.to_string())
                .env("MASTER_PORT", port.to_string())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let children: Vec<_> = (0..world).map(start).collect();
        let end = |child: std::process::Child| {
            let out = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&out.stdout).into_owned();
            let said = said.lines().find_map(|line| line.split_once("> ").map(|(_, text)| text.to_owned()));
            said.unwrap_or_else(|| String::from_utf8_lossy(&out.stderr).into_owned())
        };
        children.into_iter().map(end).collect()
    }

    fn fine(&self, world: usize) {
        assert_eq!(self.ranks(world), vec!["fine"; world]);
    }

    /// The files that the ranks wrote beside the checkpoint.
    fn parts(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(&self.out).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.to_str().unwrap().ends_with(".part.safetensors")).collect()
    }

    fn saved(&self) -> Checkpoint {
        Checkpoint::read(&checkpoint_path(&self.out)).unwrap()
    }
}

/// Not a test: what a rank does.
#[test]
fn plays_a_rank() {
    let Ok(task) = std::env::var("ROLE") else { return };
    let task: Task = serde_json::from_str(&task).unwrap();
    let rendezvous = Rendezvous::from_env().unwrap().unwrap();
    let run = || {
        let group = Ranks::join(&rendezvous, Device::Cpu, Duration::from_secs(20))?;
        task.run(Some(group))
    };
    match run() {
        Ok(_) => println!("\n> fine"),
        Err(error) => println!("\n> {error}"),
    }
}

/// The largest difference of a tensor between two checkpoints, relative to its largest number.
fn apart(a: &Checkpoint, b: &Checkpoint, name: &str) -> f64 {
    let (a, b) = (a.tensor(name, Device::Cpu).unwrap(), b.tensor(name, Device::Cpu).unwrap());
    assert_eq!(a.size(), b.size(), "{name}");
    if a.numel() == 0 {
        return 0.0;
    }
    let most = |t: &Tensor| t.abs().max().to_kind(Kind::Double).double_value(&[]);
    most(&(&a - &b)) / most(&a).max(1e-30)
}

const NAMES: [&str; 6] = ["means", "sh_first", "sh_rest", "opacity_logits", "log_scales", "rotations"];

/// One step: whatever is learned moves alike on one, two and three ranks, moments included.
#[test]
fn a_step_is_the_same_on_any_number_of_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), |name: &str| dir.path().join(name));
    scene(&data);
    let config = Config {
        exposure: true,
        response: true,
        poses: true,
        opacity_reg: Some(0.01),
        ..config(Strategy::Fixed, 1)
    };
    let one = Task::new(&data, &out("one"), config.clone());
    one.run(None).unwrap();
    for world in [2, 3] {
        let several = Task::new(&data, &out(&format!("ranks{world}")), config.clone());
        several.fine(world);
        let (a, b) = (one.saved(), several.saved());
        for name in NAMES {
            let far = apart(&a, &b, &format!("adam/{name}/exp_avg"));
            println!("{world} ranks: {name}: {far:e}");
        }
        for name in NAMES {
            let far = apart(&a, &b, &format!("adam/{name}/exp_avg"));
            assert!(far < 1e-6, "{world} ranks: {name}: {far}");
        }
        for name in ["exposures", "responses", "poses"] {
            let far = apart(&a, &b, &format!("adam/{name}/exp_avg"));
            assert!(far < 1e-5, "{world} ranks: {name}: {far}");
        }
        let (one, other) = (&a.header.outcome.evaluations, &b.header.outcome.evaluations);
        assert_eq!((one.len(), other.len()), (2, 2), "before the first step and after the last");
        for (a, b) in one.iter().zip(other) {
            assert!((a.psnr - b.psnr).abs() < 1e-4 && (a.ssim - b.ssim).abs() < 1e-5, "{a:?} {b:?}");
        }
        assert_eq!((a.header.coming, a.header.rng), (b.header.coming, b.header.rng));
    }
}

/// With refinements: the same rows in the same places.
#[test]
fn strategies_decide_for_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    scene(&data);
    for (name, strategy) in [("guided", guided()), ("adc", adc()), ("mcmc", mcmc())] {
        let config = config(strategy, 24);
        let one = Task::new(&data, &dir.path().join(name), config.clone());
        one.run(None).unwrap();
        let several = Task::new(&data, &dir.path().join(format!("{name}3")), config);
        several.fine(3);
        let (a, b) = (one.saved(), several.saved());
        for parameter in NAMES {
            let far = apart(&a, &b, &format!("gaussians/{parameter}"));
            println!("{name}: {parameter} {far:e}");
            assert!(far < 2e-5, "{name}: {parameter}: {far}");
        }
    }
}

/// A rank that loses all its rows gets some of the others', and the numbers are those of one rank.
#[test]
fn uneven_shares_are_evened_out() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    scene(&data);
    let at = |name: &str| {
        let task = Task::new(&data, &dir.path().join(name), config(Strategy::Fixed, 6));
        Task { lopsided: true, ..task }
    };
    at("one").run(None).unwrap();
    at("three").fine(3);
    let (a, b) = (at("one").saved(), at("three").saved());
    assert_eq!(a.tensor("gaussians/means", Device::Cpu).unwrap().size(), [43, 3]);
    for name in NAMES {
        let far = apart(&a, &b, &format!("gaussians/{name}"));
        assert!(far < 2e-5, "{name}: {far}");
    }
}

/// Twice the same, bit for bit; and from 3 ranks to 2 to 1 as 3 all the way.
#[test]
fn runs_repeat_and_go_on_with_fewer_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    scene(&data);
    let at =
        |name: &str, iterations: u64| Task::new(&data, &dir.path().join(name), config(guided(), iterations));
    at("a", 18).fine(3);
    at("b", 18).fine(3);
    let (a, b) = (at("a", 18).saved(), at("b", 18).saved());
    for name in NAMES {
        assert_eq!(apart(&a, &b, &format!("gaussians/{name}")), 0.0, "{name}");
    }
    at("c", 7).fine(3);
    assert_eq!(at("c", 7).parts().len(), 3);
    Task { resume: true, ..at("c", 13) }.fine(2);
    assert_eq!(at("c", 13).parts().len(), 2, "older parts are removed");
    Task { resume: true, ..at("c", 18) }.run(None).unwrap();
    assert_eq!(at("c", 18).parts().len(), 0);
    let c = at("c", 18).saved();
    assert_eq!(c.header.steps, 18);
    for name in NAMES {
        let far = apart(&a, &c, &format!("gaussians/{name}"));
        println!("resumed: {name} {far:e}");
        assert!(far < 2e-5, "{name}: {far}");
    }
}

#[test]
fn ranks_with_other_settings_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    scene(&data);
    let task = Task { differs: Some(1), ..Task::new(&data, dir.path(), config(guided(), 5)) };
    for said in task.ranks(2) {
        assert!(said.contains("the setting seed of rank 1 on ") && said.contains("`1`"), "{said}");
        assert!(said.contains("that of rank 0 is `0`"), "{said}");
    }
    let few = Task::new(&data, dir.path(), Config { batch: 1, ..config(guided(), 5) });
    for said in few.ranks(2) {
        assert!(said.contains("on 1 views, fewer than the 2 ranks"), "{said}");
    }
}

/// The others end and name it; what was saved before stands, and fewer go on from it.
#[test]
fn a_rank_that_dies_ends_the_run_and_fewer_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    scene(&data);
    let at = |iterations| Task::new(&data, dir.path(), config(guided(), iterations));
    at(6).fine(3);
    let died = Task { resume: true, dies: Some((2, 3)), ..at(18) };
    let said = died.ranks(3);
    for rank in [0, 1] {
        assert!(said[rank].contains("rank 2 on ") && said[rank].contains("no sign of life"), "{said:?}");
    }
    assert_eq!(at(6).saved().header.steps, 6);
    Task { resume: true, ..at(9) }.fine(2);
    assert_eq!(at(9).saved().header.steps, 9);
    let lost = at(9).parts().pop().unwrap();
    std::fs::remove_file(&lost).unwrap();
    let error = Checkpoint::read(&checkpoint_path(dir.path())).unwrap_err().to_string();
    assert!(error.contains(lost.file_name().unwrap().to_str().unwrap()), "{error}");
}
