//! The default strategy on a small made-up scene: it beats the published schedule on views that were held out, keeps its
//! budget, and takes what is degenerate.

use std::fmt::Write as _;
use std::path::Path;

use splat_scene::{Dataset, OpenOptions, save_png};
use splat_tch::{Background, Camera, CameraModel, Settings};
use splat_train::{
    Backend, Config, Event, Gaussians, PointSource, Preset, Probe, RunOptions, Strategy, Trainer,
    render_settings,
};
use tch::Device;

const SIZE: [u32; 2] = [48, 36];
const FOCAL: f64 = 48.0;
const VIEWS: usize = 24;
/// Steps, and what the default must be better by on held-out views. Measured: 3.9 and 4.1.
const STEPS: u64 = 300;
const MARGIN_DB: f64 = 2.0;

/// What a photograph shows besides the scene.
#[derive(Clone, Copy, PartialEq)]
enum Photos {
    Noisy,
    Black,
    /// As noisy, but every other mask ignores everything.
    Masked,
}

/// Blobs before a camera that moves sideways, photographed with noise; 40 grey points for 150 blobs.
fn scene(folder: &Path, views: usize, photos: Photos, away: bool) -> Dataset {
    let mut rng = fastrand::Rng::with_seed(5);
    let count = 150;
    let mut blobs = splat_scene::Gaussians {
        means: Vec::new(),
        coeffs: 1,
        sh: Vec::new(),
        opacity_logits: vec![3.0; count],
        log_scales: Vec::new(),
        rotations: [1.0, 0.0, 0.0, 0.0].repeat(count),
        origin: Default::default(),
    };
    for _ in 0..count {
        blobs.means.extend([2.4 * rng.f32() - 1.2, 1.8 * rng.f32() - 0.9, 3.0 + rng.f32()]);
        blobs.sh.extend([0; 3].map(|_| 3.0 * rng.f32() - 1.5));
        blobs.log_scales.extend([0; 3].map(|_| (0.03 + 0.15 * rng.f32()).ln()));
    }
    let truth = Gaussians::upload(&blobs, Device::Cpu).unwrap();
    let settings = Settings {
        sh_degree: 0,
        background: Background::Rgb([0.2; 3]),
        ..render_settings(&Backend::cpu(), true).unwrap()
    };
    let sparse = folder.join("sparse/0");
    std::fs::create_dir_all(&sparse).unwrap();
    std::fs::create_dir_all(folder.join("images")).unwrap();
    if photos == Photos::Masked {
        std::fs::create_dir_all(folder.join("masks")).unwrap();
    }
    let [w, h] = SIZE;
    std::fs::write(sparse.join("cameras.txt"), format!("1 PINHOLE {w} {h} {FOCAL} {FOCAL} 24 18\n")).unwrap();
    let mut images = String::new();
    let _guard = tch::no_grad_guard();
    for i in 0..views {
        let at = [0.05 * (i as f64 - 12.0), 0.2 * (i % 5) as f64 - 0.4, 0.0];
        let away = if away { "0 0 1 0" } else { "1 0 0 0" };
        writeln!(images, "{i} {away} {} {} 0 1 {i:02}.png\n", -at[0], -at[1]).unwrap();
        let eye = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let model = CameraModel::from_pinhole(w, h, [FOCAL, FOCAL, 24.0, 18.0], eye, [-at[0], -at[1], 0.0]);
        let camera = Camera::new(model, Device::Cpu).unwrap();
        let image = truth.render(&camera, &settings, &Probe::default()).unwrap().color;
        let values: Vec<f32> = Vec::try_from(image.permute([1, 2, 0]).contiguous().view(-1)).unwrap();
        let mut noisy = |x: f32| ((x + 0.08 * (rng.f32() - 0.5)).clamp(0.0, 1.0) * 255.0) as u8;
        let mut pixels: Vec<u8> = values.iter().map(|&x| noisy(x)).collect();
        if photos == Photos::Black {
            pixels.fill(0);
        }
        save_png(folder.join(format!("images/{i:02}.png")), w, h, &pixels).unwrap();
        if photos == Photos::Masked {
            let mask = vec![if i % 2 == 0 { 0 } else { 255 }; pixels.len()];
            save_png(folder.join(format!("masks/{i:02}.png")), w, h, &mask).unwrap();
        }
    }
    let mut points = String::new();
    for i in 0..40 {
        let [x, y, z] = [0, 1, 2].map(|k| blobs.means[3 * i + k]);
        writeln!(points, "{i} {x} {y} {z} 128 128 128 0").unwrap();
    }
    std::fs::write(sparse.join("images.txt"), images).unwrap();
    std::fs::write(sparse.join("points3D.txt"), points).unwrap();
    Dataset::open(folder, &OpenOptions::default()).unwrap()
}

fn preset(preset: Preset, views: usize, seed: u64) -> Config {
    let config = preset.fitted(preset.config(), views);
    let config =
        if preset == Preset::Published { Config { iterations: STEPS, ..config } } else { config.over(STEPS) };
    Config { eval_every: 0, sh_degree: 1, seed, ..config }
}

/// The trainer after the run, and the largest number of Gaussians on the way.
fn trained(dataset: &Dataset, config: Config) -> (Trainer, usize) {
    let mut trainer = Trainer::builder(dataset).config(config).backend(Backend::cpu()).build().unwrap();
    let mut most = trainer.gaussians().len();
    trainer
        .run(&RunOptions::default(), |_, event| {
            if let Event::Densified { gaussians, .. } = event {
                most = most.max(*gaussians);
            }
        })
        .unwrap();
    trainer.gaussians().download().unwrap().check().unwrap();
    (trainer, most)
}

fn psnr(trainer: &Trainer) -> f64 {
    trainer.evaluate().unwrap().mean().unwrap().psnr
}

#[test]
fn the_default_beats_the_published_schedule() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path(), VIEWS, Photos::Noisy, false);
    for seed in 0..2 {
        let of = |name| psnr(&trained(&dataset, preset(name, VIEWS, seed)).0);
        let (best, published) = (of(Preset::Best), of(Preset::Published));
        assert!(best > published + MARGIN_DB, "seed {seed}: {best:.2} against {published:.2} dB");
    }
}

#[test]
fn budgets_are_reached_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = scene(dir.path(), VIEWS, Photos::Noisy, false);
    let with_cap = |cap| {
        let mut config = preset(Preset::Best, VIEWS, 0);
        let Strategy::Guided(guided) = &mut config.strategy else { panic!("{config:?}") };
        guided.cap = cap;
        trained(&dataset, config)
    };
    let (trainer, most) = with_cap(Some(90));
    assert_eq!((most, trainer.budget()), (90, None));
    assert!(trainer.gaussians().len() <= 90);
    // Fewer than there are points: some of the points.
    let (trainer, most) = with_cap(Some(25));
    assert!(most == 25 && trainer.gaussians().len() <= 25, "{most}");
    let chosen = with_cap(None).0.budget().unwrap();
    assert!(chosen.detail > 0.0 && chosen.share > 0.5 && chosen.cap >= 1000, "{chosen:?}");
}

/// All black, one photograph, masks that ignore it, cameras that look away, no points: the run ends with finite numbers.
#[test]
fn degenerate_scenes_do_not_break_it() {
    let cases = [
        ("black", VIEWS, Photos::Black, false, PointSource::Auto),
        ("one view besides the one that is held out", 2, Photos::Noisy, false, PointSource::Auto),
        ("masks", 8, Photos::Masked, false, PointSource::Auto),
        ("nothing visible", 8, Photos::Noisy, true, PointSource::Auto),
        ("no points", 8, Photos::Noisy, false, PointSource::Random),
    ];
    for (name, views, photos, away, init) in cases {
        let dir = tempfile::tempdir().unwrap();
        let dataset = scene(dir.path(), views, photos, away);
        let mut config = Config { init, init_count: 60, ..preset(Preset::Best, views, 0).over(60) };
        let Strategy::Guided(guided) = &mut config.strategy else { panic!("{config:?}") };
        guided.cap = Some(80);
        let (trainer, most) = trained(&dataset, config);
        assert!(most <= 80 && !trainer.gaussians().is_empty(), "{name}: {most}");
    }
}
