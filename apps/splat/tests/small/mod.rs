//! A small scene, photographs of it from five places as a COLMAP dataset, and the program.
#![allow(dead_code, reason = "each test file uses a part")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use splat_core::Camera;
use splat_scene::{Gaussians, save_png};
use splat_train::metrics::Frozen;
use tch::{Device, Kind};

pub(crate) const SIZE: (u32, u32) = (40, 30);
pub(crate) const FOCAL: f64 = 36.0;
/// Camera `i` of [`dataset`] stands here and looks along +z.
pub(crate) fn place(i: usize) -> [f64; 3] {
    [0.2 * (i as f64 - 2.0), 0.05 * i as f64, -4.0]
}

/// A wall of coloured, nearly opaque blobs at z = 0, 9 x 7 of them, `gain` as bright as they are.
pub(crate) fn scene(gain: f32) -> Gaussians {
    let mut g = Gaussians { coeffs: 1, ..Gaussians::default() };
    for i in 0..63 {
        let (x, y) = ((i % 9) as f32 - 4.0, (i / 9) as f32 - 3.0);
        g.means.extend([0.7 * x, 0.7 * y, 0.0]);
        g.sh.extend([x, y, (x * y) % 2.0].map(|c| 0.3 * gain * c));
        g.opacity_logits.push(5.0);
        g.log_scales.extend([-0.9, -0.9, -4.0]);
        g.rotations.extend([1.0, 0.0, 0.0, 0.0]);
    }
    g
}

/// Five COLMAP cameras and, as photographs, what `scene(1)` looks like from them. Returns the folder.
pub(crate) fn dataset(dir: &Path) -> PathBuf {
    let folder = dir.join("data");
    let sparse = folder.join("sparse/0");
    fs_err::create_dir_all(&sparse).unwrap();
    fs_err::create_dir_all(folder.join("images")).unwrap();
    let (w, h) = SIZE;
    let (cx, cy) = (f64::from(w) / 2.0, f64::from(h) / 2.0);
    fs_err::write(sparse.join("cameras.txt"), format!("1 PINHOLE {w} {h} {FOCAL} {FOCAL} {cx} {cy}\n"))
        .unwrap();
    fs_err::write(sparse.join("points3D.txt"), "1 0 0 0 128 128 128 0\n").unwrap();
    let frozen = Frozen::new(&scene(1.0), &splat_train::Backend::cpu()).unwrap();
    let mut images = String::new();
    for i in 0..5 {
        let [x, y, z] = place(i).map(|c| -c);
        writeln!(images, "{i} 1 0 0 0 {x} {y} {z} 1 v{i}.png\n").unwrap();
        let upright = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let camera = Camera::from_pinhole(w, h, [FOCAL, FOCAL, cx, cy], upright, [x, y, z]);
        let camera = splat_tch::Camera::new(camera, Device::Cpu).unwrap();
        let settings = splat_tch::Settings { sh_degree: 0, ..splat_tch::Settings::default() };
        let picture = splat_tch::render(&frozen.scene(), &camera, &settings).unwrap().color;
        let pixels = (picture.clamp(0.0, 1.0) * 255.0).round().to_kind(Kind::Uint8).permute([1, 2, 0]);
        let pixels = Vec::<u8>::try_from(pixels.contiguous().view(-1)).unwrap();
        save_png(folder.join(format!("images/v{i}.png")), w, h, &pixels).unwrap();
    }
    fs_err::write(sparse.join("images.txt"), images).unwrap();
    folder
}

pub(crate) fn splat(arguments: &[&str]) -> Output {
    Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat"))).args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub(crate) fn works(arguments: &[&str]) -> String {
    let run = splat(arguments);
    assert!(run.status.success(), "{arguments:?}: {}", text(&run.stderr));
    text(&run.stdout)
}

#[track_caller]
pub(crate) fn fails(arguments: &[&str]) -> String {
    let run = splat(arguments);
    assert!(!run.status.success(), "{arguments:?}");
    text(&run.stderr)
}

pub(crate) fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

/// The path of `name` in `dir`, as an argument.
pub(crate) fn at(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}
