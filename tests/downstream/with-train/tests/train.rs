//! A tiny made-up dataset, trained on the CPU with the loss and the densification of this crate.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use splat_scene::{Dataset, OpenOptions, save_png};
use splat_train::{Backend, Config, Event, RunOptions, Trainer};
use with_train::{Charbonnier, CopyTheBusy};

const STEPS: u64 = 40;

/// Nine cameras in a row before a wall of grey points; every photograph is plain green. COLMAP's text format.
fn dataset(name: &str) -> (PathBuf, Dataset) {
    let folder = std::env::temp_dir().join(format!("with-train-{}-{name}", std::process::id()));
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
    let opened = Dataset::open(folder.as_path() as &Path, &OpenOptions::default()).unwrap();
    (folder, opened)
}

fn trainer(dataset: &Dataset) -> Trainer {
    Trainer::builder(dataset)
        .config(Config { iterations: STEPS, eval_every: 0, ..Config::default() })
        .backend(Backend::cpu())
        .loss(Box::new(Charbonnier))
        .densify(Box::new(CopyTheBusy::default()))
        .build()
        .unwrap()
}

#[test]
fn an_own_loss_and_an_own_densification_train_in_the_loop_of_splat_train() {
    let (folder, dataset) = dataset("run");
    let mut trainer = trainer(&dataset);
    let (mut grown, mut quality) = (0, Vec::new());
    trainer
        .run(&RunOptions::default(), |_, event| match event {
            Event::Densified { change, .. } => grown += change.cloned,
            Event::Evaluated(e) => quality.push(e.psnr),
            _ => {}
        })
        .unwrap();
    assert!(grown > 0 && trainer.gaussians().len() == 64 + grown, "{grown}");
    assert!(quality.last() > quality.first(), "PSNR {quality:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_own_loop_takes_single_steps_in_another_thread() {
    let (folder, dataset) = dataset("steps");
    let mut trainer = trainer(&dataset);
    let losses = std::thread::spawn(move || {
        (0..STEPS).map(|_| trainer.step().unwrap().loss.double_value(&[])).collect::<Vec<_>>()
    });
    let losses = losses.join().unwrap();
    assert!(losses.last() < losses.first(), "{losses:?}");
    std::fs::remove_dir_all(folder).unwrap();
}
