//! The CPU engine against the recorded results of the original CUDA rasterizer.
//!
//! Seven cases are in `crates/splat-verify/data/golden`, with their provenance; further `.npz` files of the same kind are read from
//! `$SPLAT_GOLDEN`, by default `../shared/golden` beside the repository.
#![allow(clippy::print_stdout, reason = "measured figures and skips are shown with --show-output")]

use std::path::{Path, PathBuf};

use crate::golden_case::Golden;
use splat_core::{Channel, Lanes, Tuning, Upstream, Wanted, backward_with, forward_with};

/// Largest difference of an image.
const FORWARD: f32 = 1e-5;
/// Largest relative difference (Euclidean) of a gradient.
const GRADIENT: f64 = 1e-4;
/// A pixel whose alpha or transmittance is this close to a threshold may fall on its other side.
const UNDECIDED_SHARE: f64 = 1e-3;

/// Every `.npz` of a folder, by name.
fn cases(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|f| f.expect("a folder entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "npz"));
    files.sort();
    files
}

fn relative_l2(ours: &[f32], theirs: &[f32]) -> f64 {
    let sum = |f: &dyn Fn(usize) -> f64| (0..theirs.len()).map(|i| f(i).powi(2)).sum::<f64>();
    let difference = sum(&|i| f64::from(ours[i]) - f64::from(theirs[i]));
    let norm = sum(&|i| f64::from(theirs[i]));
    if norm == 0.0 { difference.sqrt() } else { (difference / norm).sqrt() }
}

/// Largest difference, and how many numbers differ by more than the tolerance.
fn compare(name: &str, ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len(), "{name}: sizes");
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    let over = differences.clone().filter(|d| d.is_nan() || *d > FORWARD).count();
    let worst = differences.fold(0.0, f32::max);
    assert!(
        over as f64 <= UNDECIDED_SHARE * theirs.len() as f64,
        "{name}: {over} of {} numbers differ by more than {FORWARD:e}, the most by {worst:e}",
        theirs.len()
    );
    worst
}

fn check(path: &Path, lanes: Lanes) {
    let mut case = Golden::open(path);
    let name = case.name.clone();
    let tuning = Tuning { lanes, ..Tuning::default() };
    let (camera, settings) = (case.camera.clone(), case.settings);
    let out = forward_with(&case.scene(), &camera, &settings, &Wanted::images(), &tuning).expect("forward");
    let color = compare(&format!("{name} color"), &out.outputs[Channel::Color], &case.color);
    let inv_depth = compare(&format!("{name} invdepth"), &out.outputs[Channel::InvDepth], &case.inv_depth);
    let wrong = out.radii.iter().zip(&case.radii).filter(|(a, b)| a != b).count();
    assert_eq!(wrong, 0, "{name}: {wrong} of {} radii differ", case.radii.len());

    let whole = Tuning { cull_tiles: false, ..tuning };
    let squares =
        forward_with(&case.scene(), &camera, &settings, &Wanted::images(), &whole).expect("forward");
    assert_eq!(
        squares.saved.rendered(),
        case.num_rendered,
        "{name}: intersections of the squares with tiles"
    );

    let upstream = Upstream {
        color: Some(&case.grad_color),
        inv_depth: Some(&case.grad_inv_depth),
        ..Upstream::default()
    };
    let saved = out.saved.as_ref();
    let grad = backward_with(&case.scene(), &camera, &settings, saved, &out.radii, &upstream, &tuning)
        .expect("backward");
    let mut line = format!("{name} {lanes:?}: color {color:.1e}, invdepth {inv_depth:.1e}, radii exact");
    for (key, ours) in [
        ("d_means2D", &grad.means2d),
        ("d_means3D", &grad.means3d),
        ("d_opacities", &grad.opacities),
        ("d_shs", &grad.sh),
        ("d_colors_precomp", &grad.colors),
        ("d_scales", &grad.scales),
        ("d_rotations", &grad.rotations),
        ("d_cov3D_precomp", &grad.cov3d),
    ] {
        let Some(theirs) = case.gradient(key) else { continue };
        assert_eq!(ours.len(), theirs.len(), "{name} {key}: sizes");
        let difference = relative_l2(ours, &theirs);
        assert!(difference <= GRADIENT, "{name} {key}: relative difference {difference:e} over {GRADIENT:e}");
        line += &format!(", {key} {difference:.1e}");
    }
    println!("{line}");
}

/// Images, radii, numbers of intersections and every gradient of the seven recorded cases, with vectors and without.
#[test]
fn agrees_with_the_original_on_the_recorded_cases() {
    let files = cases(&splat_testdata::committed("crates/splat-verify/data/golden"));
    assert_eq!(files.len(), 7, "crates/splat-verify/data/golden holds seven cases");
    for file in &files {
        check(file, Lanes::Auto);
        check(file, Lanes::Scalar);
    }
}

/// The same for whatever cases `$SPLAT_GOLDEN` holds.
#[test]
fn agrees_with_the_original_on_shared_cases() {
    let folder = std::env::var_os("SPLAT_GOLDEN")
        .map_or_else(|| splat_testdata::committed("../shared/golden"), PathBuf::from);
    if !folder.is_dir() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{} not found", folder.display());
        println!("skipped: {} not found", folder.display());
        return;
    }
    let files = cases(&folder);
    assert!(!files.is_empty(), "{} holds no .npz", folder.display());
    for file in &files {
        check(file, Lanes::Auto);
    }
}
