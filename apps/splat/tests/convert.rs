//! `splat convert` from outside: formats by name, several inputs, refusals and warnings.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use splat_scene::{GaussianFormat, Gaussians, spz};

fn splat(args: &[&Path], options: &[&str]) -> Output {
    Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")))
        .arg("convert")
        .args(options)
        .args(args)
        .output()
        .unwrap()
}

/// What it said; it must have ended as `success` says.
#[track_caller]
fn said(out: &Output, success: bool) -> String {
    let text = String::from_utf8(out.stderr.clone()).unwrap();
    assert_eq!(out.status.success(), success, "{text}");
    assert!(out.stdout.is_empty(), "what is said for people goes to stderr");
    text
}

fn scene(p: usize, coeffs: usize) -> Gaussians {
    let wave = |n: usize| (0..n).map(|i| (i as f32 * 0.37).sin()).collect::<Vec<f32>>();
    Gaussians {
        means: wave(3 * p),
        sh: wave(3 * coeffs * p),
        coeffs,
        opacity_logits: wave(p),
        log_scales: wave(3 * p),
        rotations: wave(4 * p).iter().map(|x| x + 0.1).collect(),
        ..Gaussians::default()
    }
}

fn files(names: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let paths = names.iter().map(|n| dir.path().join(n)).collect();
    (dir, paths)
}

#[test]
fn every_format_converts_and_the_last_line_sums_up() {
    let names = ["a.ply", "b.splat", "c.spz", "d.compressed.ply", "e.sog", "f/meta.json", "g.ply"];
    let (_dir, paths) = files(&names);
    scene(300, 4).write(&paths[0]).unwrap();
    for out in &paths[1..] {
        let text = said(&splat(&[&paths[0], out], &[]), true);
        let last = text.lines().last().unwrap();
        assert!(last.contains(&format!("{}: 300 Gaussians, SH degree", out.display())), "{last}");
        assert!(last.contains("PLY") && last.contains("KiB -> "), "{last}");
        let back = Gaussians::read(out).unwrap();
        let splat = out.ends_with("b.splat");
        assert_eq!((back.len(), back.coeffs), (300, if splat { 1 } else { 4 }));
        assert_eq!(text.contains("holds no spherical harmonics"), splat, "{text}");
    }
    assert_eq!(Gaussians::read(&paths[6]).unwrap(), Gaussians::read(&paths[0]).unwrap(), "PLY is exact");
    assert_eq!(said(&splat(&[&paths[0], &paths[6]], &["--overwrite", "--quiet"]), true), "");
}

#[test]
fn several_scenes_become_one_of_the_higher_degree() {
    let (_dir, paths) = files(&["a.ply", "b.ply", "all.ply"]);
    let (a, b) = (scene(5, 1), scene(7, 9));
    a.write(&paths[0]).unwrap();
    b.write(&paths[1]).unwrap();
    said(&splat(&[&paths[0], &paths[1], &paths[2]], &[]), true);
    let all = Gaussians::read(&paths[2]).unwrap();
    assert_eq!((all.len(), all.coeffs), (12, 9));
    assert_eq!(all.select(&(5..12).collect::<Vec<_>>()), b);
    let text = said(&splat(&[&paths[0], &paths[1], &paths[2]], &["--overwrite", "--sh-degree", "1"]), true);
    assert!(text.contains("SH degree 2 -> 1"), "{text}");
    assert_eq!(Gaussians::read(&paths[2]).unwrap().coeffs, 4);
}

#[test]
fn spz_is_version_3_unless_4_is_asked_for() {
    let (_dir, paths) = files(&["a.ply", "b.spz", "c.sog"]);
    scene(5, 1).write(&paths[0]).unwrap();
    for (option, version) in [("--spz-version=3", spz::Version::V3), ("--spz-version=4", spz::Version::V4)] {
        said(&splat(&[&paths[0], &paths[1]], &["--overwrite", option]), true);
        assert_eq!(GaussianFormat::detect(&paths[1]).unwrap(), GaussianFormat::Spz(version));
    }
    let text = said(&splat(&[&paths[0], &paths[2]], &["--spz-version=4"]), false);
    assert!(text.contains("c.sog") && text.contains("hint: choose a name that ends in .spz"), "{text}");
}

#[test]
fn what_stands_there_is_kept_without_overwrite() {
    let (_dir, paths) = files(&["a.ply", "b.spz", "folder/meta.json", "folder"]);
    scene(5, 1).write(&paths[0]).unwrap();
    scene(5, 1).write(&paths[2]).unwrap();
    std::fs::write(&paths[1], "precious").unwrap();
    for out in &paths[1..] {
        let text = said(&splat(&[&paths[0], out], &[]), false);
        let named = if out.is_dir() { &paths[2] } else { out };
        assert!(text.contains(&format!("error: {} exists already", named.display())), "{text}");
        assert!(text.contains("hint: --overwrite"), "{text}");
    }
    assert_eq!(std::fs::read(&paths[1]).unwrap(), b"precious");
    said(&splat(&[&paths[0], &paths[1]], &["--overwrite"]), true);
    assert_eq!(Gaussians::read(&paths[1]).unwrap().len(), 5);
    // In place: read before it is replaced.
    said(&splat(&[&paths[0], &paths[0]], &["--overwrite"]), true);
    assert_eq!(Gaussians::read(&paths[0]).unwrap(), scene(5, 1));
}

#[test]
fn unusable_gaussians_are_counted_and_left_out() {
    let (_dir, paths) = files(&["a.ply", "b.sog"]);
    let mut g = scene(9, 4);
    g.means[4] = f32::NAN;
    g.sh[30] = f32::INFINITY;
    g.opacity_logits[8] = f32::INFINITY;
    g.write(&paths[0]).unwrap();
    let text = said(&splat(&[&paths[0], &paths[1]], &[]), true);
    assert!(text.contains("warning: 2 of 9 Gaussians contain NaN or infinity"), "{text}");
    assert!(text.contains("warning: infinite opacities or scales of 0 were made finite in 1 of"), "{text}");
    assert_eq!(Gaussians::read(&paths[1]).unwrap().len(), 7);
}

#[test]
fn errors_name_the_file() {
    let (_dir, paths) = files(&["a.ply", "b.obj", "absent.ply", "cut.spz", "out.ply"]);
    scene(5, 1).write(&paths[0]).unwrap();
    let text = said(&splat(&[&paths[0], &paths[1]], &[]), false);
    assert!(
        text.contains("b.obj: the name does not belong to a format") && text.contains(".compressed.ply"),
        "{text}"
    );
    let text = said(&splat(&[&paths[2], &paths[4]], &[]), false);
    assert!(text.contains("absent.ply"), "{text}");
    scene(5, 1).write(&paths[3]).unwrap();
    let data = std::fs::read(&paths[3]).unwrap();
    std::fs::write(&paths[3], &data[..data.len() / 2]).unwrap();
    let text = said(&splat(&[&paths[0], &paths[3], &paths[4]], &[]), false);
    assert!(text.contains("cut.spz"), "{text}");
    assert!(!paths[4].exists(), "nothing is written");
    let text = said(&splat(&[&paths[0]], &[]), false);
    assert!(text.contains("Usage: splat convert"), "{text}");
}
