//! `splat edit`: what is removed, kept, moved and reported.

use std::path::Path;

use serde_json::Value;
use splat_scene::{Gaussians, Origin, cameras_json, ply};

use crate::small::{at, dataset, fails, scene, splat, text, works};

/// The wall of [`scene`], and what a training leaves around it: one of each kind of floater, in this order: a faint
/// Gaussian, a huge one, a lonely one, one that the wall hides from all cameras.
fn littered() -> Gaussians {
    let mut g = scene(1.0);
    let mut litter = |at: [f32; 3], logit: f32, log_scale: f32| {
        g.means.extend(at);
        g.sh.extend([0.5; 3]);
        g.opacity_logits.push(logit);
        g.log_scales.extend([log_scale; 3]);
        g.rotations.extend([1.0, 0.0, 0.0, 0.0]);
    };
    litter([0.1, 0.1, -0.1], -7.0, -3.0);
    litter([0.1, 0.1, 9.0], 0.0, 2.5);
    litter([14.0, 0.0, 0.0], 2.0, -3.0);
    litter([0.0, 0.0, 0.3], 2.0, -3.0);
    g
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&works(arguments)).unwrap()
}

fn removed(report: &Value) -> Vec<(String, u64)> {
    let all = report["removed"].as_array().unwrap();
    all.iter().map(|r| (r["why"].as_str().unwrap().into(), r["gaussians"].as_u64().unwrap())).collect()
}

#[test]
fn boxes_and_spheres_crop() {
    let dir = tempfile::tempdir().unwrap();
    let [wall, out] = ["wall.ply", "out.ply"].map(|name| at(dir.path(), name));
    scene(1.0).write(&wall).unwrap();
    // Columns are 0.7 apart: three of nine, and all seven rows.
    let run = splat(&["edit", &wall, &out, "--box", "0.8,-9,-1,-0.8,9,1"]);
    let said = text(&run.stderr);
    assert!(run.status.success() && said.contains("removed 42 of 63: outside of the box"), "{said}");
    assert!(said.contains("out.ply: 21 of 63 Gaussians, PLY "), "{said}");
    let kept = Gaussians::read(&out).unwrap();
    assert_eq!(kept.len(), 21);
    assert!(kept.means.chunks_exact(3).all(|m| m[0].abs() < 0.8));
    // What stands there stays.
    let said = fails(&["edit", &wall, &out, "--box", "0,0,0,1,1,1"]);
    assert!(said.contains("out.ply already exists") && said.contains("hint: use --overwrite"), "{said}");
    assert_eq!(Gaussians::read(&out).unwrap(), kept);
    let report = json(&["edit", &wall, &out, "--sphere", "0,0,0,0.8", "--outside", "--overwrite", "--json"]);
    assert_eq!(removed(&report), [("inside of the sphere".into(), 5)]);
    assert_eq!((report["before"].as_u64(), report["after"].as_u64()), (Some(63), Some(58)));
    assert_eq!(Gaussians::read(&out).unwrap().len(), 58);
    // In place: read before it is replaced; and an empty result is an error.
    works(&["edit", &out, &out, "--sphere", "0,0,0,1.2", "--overwrite", "--quiet"]);
    let left = Gaussians::read(&out).unwrap();
    let said = fails(&["edit", &out, &out, "--box", "50,50,50,60,60,60", "--overwrite"]);
    assert!(said.contains(&format!("nothing is left of {} Gaussians", left.len())), "{said}");
    assert!(said.contains("outside of the box") && said.contains("hint: "), "{said}");
    assert_eq!(Gaussians::read(&out).unwrap(), left);
    let said = fails(&["edit", &wall, &at(dir.path(), "new.ply")]);
    assert!(said.contains("no edit was asked for") && said.contains("hint: "), "{said}");
}

#[test]
fn floaters_go_and_the_wall_stays() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let data = data.to_str().unwrap();
    let [all, out] = ["all.ply", "out.ply"].map(|name| at(dir.path(), name));
    littered().write(&all).unwrap();
    let clean = |arguments: &[&str]| {
        let fixed = ["edit", &all, &out, "--overwrite", "--json", "--engine", "cpu"];
        let report = json(&[&fixed[..], arguments].concat());
        (removed(&report), Gaussians::read(&out).unwrap())
    };
    let counts = |removed: &[(String, u64)]| removed.iter().map(|(_, n)| *n).collect::<Vec<_>>();
    let (why, kept) = clean(&["--floaters", "--huge=0.5"]);
    assert_eq!(counts(&why), [1, 1, 1], "{why:?}");
    assert!(why[0].0.contains("opacity") && why[2].0.contains("isolated"), "{why:?}");
    assert_eq!(kept.len(), 64, "without cameras nothing is hidden");
    let (why, kept) = clean(&["--floaters", "--huge=0.5", "--data", data]);
    assert_eq!(counts(&why), [1, 1, 1, 1], "{why:?}");
    assert_eq!(kept, scene(1.0));
    // A backdrop is huge too, so huge Gaussians stay unless they are named.
    let (why, _) = clean(&["--floaters"]);
    assert_eq!(counts(&why), [1, 1], "{why:?}");
    // One at a time, with values of one's own.
    let (why, _) = clean(&["--min-opacity", "0.6"]);
    assert_eq!(counts(&why), [2]);
    let (why, _) = clean(&["--huge=0.7"]);
    assert_eq!(counts(&why), [1], "{why:?}");
    let (why, _) = clean(&["--isolated=100"]);
    assert_eq!(counts(&why), [0]);
    // The hidden and the lonely one are in no view; the outer columns are not in all of them.
    let (why, kept) = clean(&["--min-views", "1", "--data", data]);
    assert!(why[0].1 >= 2 && kept.len() >= 60, "{why:?}");
    let (why, _) = clean(&["--min-views", "5", "--data", data]);
    assert!(why[0].1 > 2 && why[0].1 < 40, "{why:?}");
    let said = fails(&["edit", &all, &out, "--overwrite", "--min-views", "2"]);
    assert!(said.contains("--data"), "{said}");
}

#[test]
fn thinning_out_says_what_it_costs() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let data = data.to_str().unwrap();
    let [all, out] = ["all.ply", "out.ply"].map(|name| at(dir.path(), name));
    littered().write(&all).unwrap();
    let thin = |arguments: &[&str]| {
        let fixed = ["edit", &all, &out, "--overwrite", "--json", "--engine", "cpu", "--max-gaussians"];
        let report = json(&[&fixed[..], arguments].concat());
        (report["thinned_out"].clone(), Gaussians::read(&out).unwrap())
    };
    let (told, kept) = thin(&["63", "--data", data]);
    assert_eq!((told["from"].as_u64(), told["to"].as_u64(), kept.len()), (Some(67), Some(63), 63));
    assert_eq!(
        (&told["by"], &told["cost"]["split"]),
        (&"contribution to the views".into(), &"held-out".into())
    );
    assert!(kept.means.chunks_exact(3).all(|m| m[0] < 13.0 && m[2] != 0.3), "what no view shows goes first");
    let psnr = |told: &Value| ["psnr_before", "psnr_after"].map(|k| told["cost"][k].as_f64().unwrap());
    let [before, after] = psnr(&told);
    assert!((before - after).abs() < 6.0 && after > 30.0, "{told}");
    let (told, kept) = thin(&["40%", "--data", data]);
    let [before, after] = psnr(&told);
    assert!(kept.len() == 27 && after < before - 3.0, "{told}");
    // Without views: by size, which keeps the huge one.
    let (told, kept) = thin(&["10"]);
    assert_eq!((&told["by"], &told["cost"]), (&"opacity times volume".into(), &Value::Null));
    assert!(kept.log_scales.contains(&2.5));
    let run = splat(&["edit", &all, &out, "--overwrite", "--max-gaussians", "9"]);
    assert!(text(&run.stderr).contains("kept 9 of 67 by opacity times volume"), "{}", text(&run.stderr));
    assert!(text(&run.stderr).contains("name a dataset with --data"), "{}", text(&run.stderr));
}

/// Merged, turned up by cameras, centred, scaled, turned and shifted, in this order.
#[test]
fn scenes_are_merged_and_moved() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b, out] = ["a.ply", "b.ply", "out.ply"].map(|name| at(dir.path(), name));
    let one = |at: [f32; 3]| Gaussians {
        means: at.into(),
        sh: vec![0.2; 3],
        coeffs: 1,
        opacity_logits: vec![1.0],
        log_scales: vec![0.0; 3],
        rotations: vec![1.0, 0.0, 0.0, 0.0],
        ..Gaussians::default()
    };
    one([1.0, 2.0, 3.0]).write(&a).unwrap();
    one([1.0, 2.0, 5.0]).write(&b).unwrap();
    let moved = |arguments: &[&str]| {
        works(&[&["edit", &a, &b, &out, "--overwrite", "--quiet"], arguments].concat());
        Gaussians::read(&out).unwrap()
    };
    let near = |g: &Gaussians, expected: [f32; 6]| {
        assert!(g.means.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-5), "{:?}", g.means);
    };
    near(&moved(&[]), [1.0, 2.0, 3.0, 1.0, 2.0, 5.0]);
    // z is up: it becomes -y, so y becomes z.
    near(&moved(&["--up", "0,0,1"]), [1.0, -3.0, 2.0, 1.0, -5.0, 2.0]);
    let g = moved(&["--scale", "2", "--rotate", "0,0,90", "--translate", "1,0,0"]);
    near(&g, [-3.0, 2.0, 6.0, -3.0, 2.0, 10.0]);
    assert!(g.log_scales.iter().all(|x| (x - 2.0f32.ln()).abs() < 1e-6));
    assert!((g.rotations[0] - g.rotations[3]).abs() < 1e-6 && g.rotations[0] > 0.7, "{:?}", g.rotations);
    near(&moved(&["--recenter", "--up", "0,0,1", "--scale", "3"]), [0.0, 0.0, 0.0, 0.0, -6.0, 0.0]);
    // The cameras beside the first scene say what is up.
    let e = fails(&["edit", &a, &out, "--overwrite", "--up", "cameras"]);
    assert!(e.contains("no cameras.json is beside") && e.contains("hint: name a dataset"), "{e}");
    let data = dataset(dir.path());
    near(&moved(&["--up", "cameras", "--data", data.to_str().unwrap()]), [1.0, 2.0, 3.0, 1.0, 2.0, 5.0]);
    fs_err::write(dir.path().join("cameras.json"), "[]").unwrap();
    assert!(cameras_json::read(dir.path().join("cameras.json")).unwrap().is_empty());
    let e = fails(&["edit", &a, &out, "--overwrite", "--up", "cameras"]);
    assert!(e.contains("0 cameras do not stand upright together"), "{e}");
}

/// Boxes are in world coordinates, and a georeferenced scene stays where it is.
#[test]
fn georeferenced_scenes_are_edited_in_the_world() {
    const FAR: [f64; 3] = [448_271.0, 4_582_033.0, 185.0];
    let dir = tempfile::tempdir().unwrap();
    let [wall, out, other] = ["wall.ply", "out.ply", "out.spz"].map(|name| at(dir.path(), name));
    ply::write_as(
        &wall,
        &Gaussians { origin: Origin { offset: FAR }, ..scene(1.0) },
        ply::Options { world: true, ..ply::Options::default() },
    )
    .unwrap();
    let corners = [-0.8, -9.0, -1.0, 0.8, 9.0, 1.0];
    let corners: Vec<String> =
        corners.iter().zip(FAR.iter().cycle()).map(|(x, o)| (x + o).to_string()).collect();
    let corners = corners.join(",");
    works(&["edit", &wall, &out, "--box", &corners, "--quiet"]);
    let kept = Gaussians::load(&out).unwrap();
    assert!(kept.world && kept.gaussians.len() == 21, "64-bit world coordinates stay");
    works(&["edit", &wall, &other, "--box", &corners, "--quiet", "--translate", "10,0,0"]);
    assert!(Origin::sidecar(Path::new(&other)).exists());
    let near = |a: [f64; 3], b: [f64; 3]| (0..3).all(|k| (a[k] - b[k]).abs() < 1e-3);
    let before = kept.gaussians.world_means().next().unwrap();
    let after = Gaussians::read(&other).unwrap().world_means().next().unwrap();
    assert!(near([before[0] + 10.0, before[1], before[2]], after), "{before:?} {after:?}");
    // Brought home, it needs no origin.
    works(&["edit", &wall, &out, "--recenter", "--overwrite", "--quiet"]);
    let home = Gaussians::load(&out).unwrap();
    assert!(home.gaussians.origin.is_zero() && !home.world && home.gaussians.extent() > 5.0);
}
