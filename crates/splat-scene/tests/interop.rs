//! Exchange with another program in both directions: PlayCanvas' splat-transform (npm package `@playcanvas/splat-transform`), with
//! its command in `$SPLAT_TRANSFORM`:
//!
//!     SPLAT_TRANSFORM="node .../splat-transform/bin/cli.mjs" \
//!     STREAMED_READER="node .ci/steps/formats.d/lod.mjs .../node_modules" \
//!         cargo test --release -p splat-scene --test interop -- --ignored --nocapture
#![expect(clippy::print_stdout, reason = "the figures are what these tests are run for")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Tolerance, assert_near, matched, scene};
use splat_scene::{GaussianFormat, Gaussians, Similarity, ply, spz};
use splat_testdata::shared;

/// Runs splat-transform on the CPU, where its results are reproducible.
fn transform(args: &[&Path], options: &[&str]) {
    let command =
        std::env::var("SPLAT_TRANSFORM").expect("SPLAT_TRANSFORM holds the command of splat-transform");
    let mut words = command.split_whitespace();
    let out = Command::new(words.next().expect("a program"))
        .args(words)
        .args(["-w", "-q", "-g", "cpu"])
        .args(options)
        .args(args)
        .output()
        .expect("splat-transform starts");
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// The largest difference of each kind of number.
fn figures(what: &str, a: &Gaussians, b: &Gaussians) {
    let most = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
    let opacity = |g: &Gaussians| g.opacity_logits.iter().map(|&x| common::sigmoid(x)).collect::<Vec<_>>();
    println!(
        "{what}: {} Gaussians, largest differences: means {:.1e}, log scales {:.1e}, opacities {:.1e}, sh {:.1e}",
        a.len(),
        most(&a.means, &b.means),
        most(&a.log_scales, &b.log_scales),
        most(&opacity(a), &opacity(b)),
        most(&a.sh, &b.sh)
    );
}

/// Reads `file` with this crate and with splat-transform, which keeps the order.
fn both_read(what: &str, file: &Path, t: Tolerance) {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("read.ply");
    transform(&[file, &plain], &[]);
    let mut theirs = ply::read_gaussians(&plain).unwrap();
    theirs.repair().unwrap();
    let ours = Gaussians::read(file).unwrap();
    figures(what, &ours, &theirs);
    assert_near(what, &ours, &theirs, t);
}

/// `.splat`: it divides bytes of a quaternion by 127.5, others by 128. Where opacities are bytes, we keep 0 and
/// 255 a quarter of a step inside.
fn reading(format: &str) -> Tolerance {
    let byte = Tolerance { opacity: 0.26 / 255.0, ..Tolerance::EXACT };
    match format {
        "splat" => Tolerance { rotation: 0.01, ..byte },
        "ply" => Tolerance::EXACT,
        // The fourth component is a square root of what is left.
        "v2.spz" => Tolerance { mean: (1e-6, 2e-6), rotation: 1e-5, ..byte },
        _ => Tolerance { mean: (1e-6, 2e-6), ..byte },
    }
}

#[test]
#[ignore = "needs splat-transform"]
fn our_files_read_alike() {
    let dir = tempfile::tempdir().unwrap();
    for (name, g) in scenes() {
        for kind in ["ply", "splat", "spz", "v2.spz", "v4.spz", "compressed.ply", "sog", "folder/meta.json"] {
            let path = dir.path().join(format!("{name}.{kind}"));
            match kind {
                "v2.spz" => g.write_as(&path, GaussianFormat::Spz(spz::Version::V2), &mut |_, _| {}).unwrap(),
                "v4.spz" => g.write_as(&path, GaussianFormat::Spz(spz::Version::V4), &mut |_, _| {}).unwrap(),
                _ => g.write(&path).unwrap(),
            }
            both_read(&format!("{name}, {kind} of ours"), &path, reading(kind));
        }
    }
}

/// Streamed SOG: every part is a scene that splat-transform reads, and PlayCanvas' engine takes the tree, with the command that
/// reads it in `$STREAMED_READER` (`.ci/steps/formats.d/lod.mjs`).
#[test]
#[ignore = "needs splat-transform"]
fn our_streamed_sog_reads_alike() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lod-meta.json");
    scene(70_000, 9).write(&path).unwrap();
    let mut parts: Vec<PathBuf> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    parts.retain(|part| part.is_dir());
    assert_eq!(parts.len(), 2, "two levels");
    for part in parts {
        both_read("a part of ours", &part.join("meta.json"), reading("sog"));
    }
    let command = std::env::var("STREAMED_READER").expect("STREAMED_READER holds the command of lod.mjs");
    let mut words = command.split_whitespace();
    let mut engine = Command::new(words.next().expect("a program"));
    let out = engine.args(words).arg(&path).output().expect("it starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    print!("{}", String::from_utf8_lossy(&out.stdout));
}

#[test]
#[ignore = "needs splat-transform"]
fn their_files_read_alike() {
    let dir = tempfile::tempdir().unwrap();
    for (name, g) in scenes() {
        let source = dir.path().join(format!("{name}.ply"));
        g.write(&source).unwrap();
        for (kind, options) in [
            ("copy.ply", &[][..]),
            ("v3.spz", &["--spz-version", "3"]),
            ("v4.spz", &["--spz-version", "4"]),
            ("compressed.ply", &[]),
            ("sog", &["-i", "2"]),
            ("folder/meta.json", &["-i", "2"]),
        ] {
            let path = dir.path().join(format!("{name}.{kind}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            transform(&[&source, &path], options);
            both_read(&format!("{name}, {kind} of theirs"), &path, reading(kind));
        }
    }
}

/// It turns a PLY by half a turn about z to have y up in glTF, and we by one about x: half a turn about y is between them.
#[test]
#[ignore = "needs splat-transform"]
fn their_gltf_reads_as_the_scene_turned() {
    let dir = tempfile::tempdir().unwrap();
    for (name, mut g) in scenes() {
        let [source, path] = ["ply", "glb"].map(|kind| dir.path().join(format!("{name}.{kind}")));
        g.write(&source).unwrap();
        transform(&[&source, &path], &[]);
        g.transform(&Similarity { rotation: [0.0, 0.0, 1.0, 0.0], ..Similarity::default() });
        let mut ours = Gaussians::read(&path).unwrap();
        figures(&format!("{name}, glb of theirs"), &ours, &g);
        // Half a turn about an axis of its own changes a quaternion, but not the Gaussian.
        for (i, (a, b)) in covariances(&ours).iter().zip(covariances(&g)).enumerate() {
            let most = a.iter().flatten().fold(0.0f64, |m, x| m.max(x.abs()));
            let apart = a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| (x - y).abs());
            assert!(apart.fold(0.0, f64::max) <= 1e-5 * most, "{name}: covariance {i}: {a:?} and {b:?}");
        }
        ours.rotations.clone_from(&g.rotations);
        assert_near(name, &ours, &g, Tolerance { sh: [1e-5; 3], ..Tolerance::EXACT });
    }
}

fn covariances(g: &Gaussians) -> Vec<[[f64; 3]; 3]> {
    let rows = g.rotations.chunks_exact(4).zip(g.log_scales.chunks_exact(3));
    rows.map(|(q, s)| {
        let rotation = [0, 1, 2, 3].map(|k| f64::from(q[k]));
        let r = Similarity { rotation, ..Similarity::default() }.matrix();
        let square = |k: usize| (2.0 * f64::from(s[k])).exp();
        r.map(|a| r.map(|b| (0..3).map(|k| a[k] * b[k] * square(k)).sum()))
    })
    .collect()
}

/// The shared scenes as they are: SOG of both versions, SPZ 4, compressed PLY, `.splat`.
#[test]
#[ignore = "needs splat-transform"]
fn shared_files_read_alike() {
    for (name, kind) in [
        ("scenes/playbot-500k/meta.json", "sog"),
        ("scenes/street-765k/3_1/meta.json", "sog"),
        ("scenes/blocks-186k-sh3/meta.json", "sog 1"),
        ("scenes/arkit/scene.splat", "splat"),
        ("scenes/playcanvas/biker.spz", "spz"),
        ("scenes/playcanvas/biker.compressed.ply", "compressed.ply"),
    ] {
        let Some(path) = shared(name) else { return };
        both_read(name, &path, reading(kind));
    }
}

/// The sizes of the files that both programs write from the same scene.
#[test]
#[ignore = "needs splat-transform"]
fn sizes_beside_theirs() {
    let dir = tempfile::tempdir().unwrap();
    for (name, g) in scenes() {
        let source = dir.path().join(format!("{name}.ply"));
        g.write(&source).unwrap();
        for kind in ["spz", "compressed.ply", "sog"] {
            let [ours, theirs] =
                ["ours", "theirs"].map(|who| dir.path().join(format!("{name}-{who}.{kind}")));
            let start = std::time::Instant::now();
            g.write(&ours).unwrap();
            let own = start.elapsed();
            transform(&[&source, &theirs], &["--spz-version", "3"]);
            let size = |p: &Path| std::fs::metadata(p).unwrap().len();
            println!("{name}, {kind}: ours {} bytes in {own:.1?}, theirs {}", size(&ours), size(&theirs));
            let error = |p: &Path| {
                let back =
                    if g.len() > 5000 { return None } else { matched(&g, &Gaussians::read(p).unwrap()) };
                let squares: f64 = g.sh.iter().zip(&back.sh).map(|(x, y)| f64::from(x - y).powi(2)).sum();
                Some((squares / g.sh.len() as f64).sqrt())
            };
            println!("  rms of coefficients: {:?}, theirs {:?}", error(&ours), error(&theirs));
        }
    }
}

/// A synthetic scene, and a part of a real one if it is available.
fn scenes() -> Vec<(&'static str, Gaussians)> {
    let mut all = vec![("degree3", scene(1000, 16)), ("degree1", scene(300, 4)), ("degree0", scene(300, 1))];
    if let Some(path) = shared("scenes/blocks-186k-sh3") {
        let g = Gaussians::read(path).unwrap();
        all.push(("blocks", g.select(&(0..g.len() as u32).step_by(50).collect::<Vec<_>>())));
    }
    all
}

/// Writes the files of `tests/data` to `$FIXTURES` again.
#[test]
#[ignore = "needs splat-transform"]
fn make_fixtures() {
    let Some(out) = std::env::var_os("FIXTURES").map(PathBuf::from) else {
        println!("skipped: FIXTURES names no folder");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    for (name, coeffs) in [("degree3", 16), ("degree0", 1)] {
        let source = dir.path().join("scene.ply");
        scene(200, coeffs).write(&source).unwrap();
        for (kind, options) in [
            ("compressed.ply", &[][..]),
            ("sog", &[]),
            ("v3.spz", &["--spz-version", "3"]),
            ("v4.spz", &["--spz-version", "4"]),
        ] {
            transform(&[&source, &out.join(format!("{name}.{kind}"))], options);
        }
    }
}
