//! `splat convert` from outside: formats by name, several inputs, refusals and warnings.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use splat_scene::{GaussianFormat, Gaussians, Origin, ply, spz};

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
    let names = ["a.ply", "b.splat", "c.spz", "d.compressed.ply", "e.sog", "f/meta.json", "g.ply", "h.glb"];
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

/// Levels of detail: as asked for, only where the format has them, and an older scene is not replaced unasked.
#[test]
fn levels_of_detail_are_written() {
    let (_dir, paths) = files(&["a.ply", "b/lod-meta.json", "c.sog", "d.ply"]);
    scene(1000, 4).write(&paths[0]).unwrap();
    let convert = |to: &PathBuf, options: &[&str], works| said(&splat(&[&paths[0], to], options), works);
    let text = convert(&paths[1], &["--lod-levels", "3"], true);
    assert!(text.contains("streamed SOG rounds positions") && text.contains("-> streamed SOG "), "{text}");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&paths[1]).unwrap()).unwrap();
    assert_eq!(json["counts"], serde_json::json!([1000, 500, 250]));
    let text = said(&splat(&[paths[1].parent().unwrap(), &paths[3]], &[]), true);
    assert!(text.contains("the finest of 3 levels") && text.contains("; streamed SOG "), "{text}");
    assert_eq!(Gaussians::read(&paths[3]).unwrap().len(), 1000);
    assert!(convert(&paths[1], &[], false).contains("already exists"));
    let text = convert(&paths[2], &["--lod-chunk-count", "64"], false);
    assert!(text.contains("levels of detail do not fit") && text.contains("lod-meta.json"), "{text}");
}

/// A large PLY is converted from its file: to the same bytes as from memory, with what cannot be used left out.
#[test]
fn a_large_ply_is_converted_without_holding_it() {
    use std::io::{Seek, SeekFrom, Write};
    let (dir, paths) = files(&["large.ply", "far.ply"]);
    // 272,000 Gaussians of 248 bytes.
    let mut g = scene(272_000, 16);
    let mut far = g.clone();
    ply::write_gaussians(&paths[0], &g).unwrap();
    let header = std::fs::metadata(&paths[0]).unwrap().len() - 248 * 272_000;
    let mut file = std::fs::OpenOptions::new().write(true).open(&paths[0]).unwrap();
    for (row, value) in [(3u64, f32::NAN), (271_999, f32::INFINITY)] {
        file.seek(SeekFrom::Start(header + 248 * row)).unwrap();
        file.write_all(&value.to_le_bytes()).unwrap();
    }
    drop(file);
    let keep: Vec<u32> = (0..271_999).filter(|&i| i != 3).collect();
    g = g.select(&keep);
    g.reduce_sh_degree(1);
    for to in ["ply", "splat", "compressed.ply", "glb", "spz"] {
        let out = dir.path().join(format!("out.{to}"));
        let text = said(&splat(&[&paths[0], &out], &["--sh-degree", "1"]), true);
        assert!(text.contains("2 of 272000 Gaussians have invalid values"), "{text}");
        let expected = dir.path().join(format!("expected.{to}"));
        g.write(&expected).unwrap();
        assert!(std::fs::read(&out).unwrap() == std::fs::read(&expected).unwrap(), "{to} differs");
    }
    // Far positions get an origin, which is chosen in memory.
    far.means.iter_mut().for_each(|x| *x += 1e5);
    ply::write_gaussians(&paths[1], &far).unwrap();
    assert!(std::fs::metadata(&paths[1]).unwrap().len() > 64 << 20);
    let text = said(&splat(&[&paths[1], &dir.path().join("far.spz")], &["--sh-degree", "0"]), true);
    assert!(text.contains("far.spz.origin.json says"), "{text}");
}

/// How a scene is meant to be rendered goes with it from PLY to PLY; beside a training, from its stats.
#[test]
fn a_render_mode_is_kept() {
    let (dir, paths) = files(&["a.ply", "b.ply", "c.ply", "run/point_cloud.ply"]);
    let options = ply::Options { antialiased: true, ..ply::Options::default() };
    ply::write_as(&paths[0], &scene(5, 1), options).unwrap();
    said(&splat(&[&paths[0], &paths[1]], &[]), true);
    assert_eq!(ply::antialiased(&paths[1]), Some(true));
    std::fs::create_dir(dir.path().join("run")).unwrap();
    scene(5, 1).write(&paths[3]).unwrap();
    let stats = r#"{"config": {"antialiasing": true}}"#;
    std::fs::write(dir.path().join("run/stats.json"), stats).unwrap();
    said(&splat(&[&dir.path().join("run"), &paths[2]], &[]), true);
    assert_eq!(ply::antialiased(&paths[2]), Some(true));
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
fn spz_is_version_3_unless_another_is_asked_for() {
    let (_dir, paths) = files(&["a.ply", "b.spz", "c.sog"]);
    scene(5, 1).write(&paths[0]).unwrap();
    for (option, version) in [("--spz-version=3", spz::Version::V3), ("--spz-version=4", spz::Version::V4)] {
        said(&splat(&[&paths[0], &paths[1]], &["--overwrite", option]), true);
        assert_eq!(GaussianFormat::detect(&paths[1]).unwrap(), GaussianFormat::Spz(version));
    }
    // Both begin as a gzip stream does.
    for version in ["2", "3"] {
        said(&splat(&[&paths[0], &paths[1]], &["--overwrite", "--spz-version", version]), true);
        let mut start = [0; 8];
        let file = std::fs::File::open(&paths[1]).unwrap();
        std::io::Read::read_exact(&mut flate2::read::GzDecoder::new(file), &mut start).unwrap();
        assert_eq!(start[4].to_string(), version);
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
        assert!(text.contains(&format!("error: {} already exists", named.display())), "{text}");
        assert!(text.contains("hint: use --overwrite to replace it"), "{text}");
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
    assert!(
        text.contains("warning: 2 of 9 Gaussians have invalid values (NaN or infinity); skipped"),
        "{text}"
    );
    assert!(text.contains("warning: infinite opacities or scales of 0 were made finite in 1 of"), "{text}");
    assert_eq!(Gaussians::read(&paths[1]).unwrap().len(), 7);
}

#[test]
fn errors_name_the_file() {
    let (_dir, paths) = files(&["a.ply", "b.obj", "absent.ply", "cut.spz", "out.ply"]);
    scene(5, 1).write(&paths[0]).unwrap();
    let text = said(&splat(&[&paths[0], &paths[1]], &[]), false);
    assert!(
        text.contains("b.obj: unknown output format; supported: ") && text.contains(".compressed.ply"),
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

/// The folder that a training wrote stands for its scene, as for `view` and `render`.
#[test]
fn a_training_s_folder_is_taken() {
    let (dir, paths) = files(&["run/point_cloud.ply", "all.ply"]);
    std::fs::create_dir(dir.path().join("run")).unwrap();
    scene(5, 4).write(&paths[0]).unwrap();
    let run = dir.path().join("run");
    said(&splat(&[&run, &run, &paths[1]], &[]), true);
    assert_eq!(Gaussians::read(&paths[1]).unwrap().len(), 10);
    std::fs::remove_file(&paths[0]).unwrap();
    let text = said(&splat(&[&run, &paths[1]], &["--overwrite"]), false);
    assert!(text.contains("no scene in this folder") && text.contains("hint: "), "{text}");
    assert_eq!(Gaussians::read(&paths[1]).unwrap().len(), 10);
}

const FAR: [f64; 3] = [448_271.0, 4_582_033.0, 185.0];

/// A georeferenced scene of two units as a PLY with 64-bit world positions.
fn georeferenced(path: &Path) -> Gaussians {
    let g = Gaussians { origin: Origin { offset: FAR }, ..scene(300, 1) };
    ply::write_as(path, &g, ply::Options { world: true, ..ply::Options::default() }).unwrap();
    g
}

#[track_caller]
fn farthest_apart(a: &Gaussians, b: &Gaussians) -> f64 {
    let sorted = |g: &Gaussians| {
        let mut all: Vec<_> = g.world_means().collect();
        all.sort_by(|x, y| x.partial_cmp(y).unwrap());
        all
    };
    assert_eq!(a.len(), b.len());
    let apart = |(x, y): (&[f64; 3], &[f64; 3])| (x[0] - y[0]).abs();
    sorted(a).iter().zip(&sorted(b)).map(apart).fold(0.0, f64::max)
}

/// 64-bit positions stay in PLY, and are shifted elsewhere; the place in the world and the precision left are said.
#[test]
fn georeferenced_scenes_keep_their_place() {
    let (_dir, paths) =
        files(&["utm.ply", "same.ply", "a.splat", "b.spz", "c.compressed.ply", "d.sog", "e/meta.json"]);
    let g = georeferenced(&paths[0]);
    said(&splat(&[&paths[0], &paths[1]], &[]), true);
    let same = Gaussians::load(&paths[1]).unwrap();
    assert!(same.world && farthest_apart(&same.gaussians, &g) < 1e-6, "64 bits stay");
    assert!(!Origin::sidecar(&paths[1]).exists());
    for out in &paths[2..] {
        let text = said(&splat(&[&paths[0], out], &[]), true);
        assert!(text.contains("positions are relative to 448271, 4582033, 185, which "), "{text}");
        assert!(text.contains(&format!("{}.origin.json", out.display())), "{text}");
        assert!(
            text.contains("rounds positions to steps of ") && text.contains("across the scene's 2"),
            "{text}"
        );
        let back = Gaussians::read(out).unwrap();
        assert_eq!(back.origin.offset, FAR);
        assert!(farthest_apart(&back, &g) < 0.01, "{}", out.display());
        // And back again, into local coordinates and into those of the world.
        said(&splat(&[out, &paths[1]], &["--overwrite"]), true);
        let local = Gaussians::load(&paths[1]).unwrap();
        assert!(!local.world && Origin::sidecar(&paths[1]).exists());
        said(&splat(&[&paths[1], &paths[1]], &["--overwrite", "--coordinates=world"]), true);
        let world = Gaussians::load(&paths[1]).unwrap();
        assert!(world.world && farthest_apart(&world.gaussians, &g) < 0.01);
    }
    let text = said(&splat(&[&paths[0], &paths[1]], &["--overwrite", "--coordinates=local"]), true);
    assert!(text.contains("same.ply.origin.json"), "{text}");
    assert_eq!(Gaussians::read(&paths[1]).unwrap().origin.offset, FAR);
    let text = said(&splat(&[&paths[0], &paths[3]], &["--overwrite", "--coordinates=world"]), false);
    assert!(
        text.contains("SPZ cannot hold world coordinates of 64 bits") && text.contains("hint: "),
        "{text}"
    );
    // Merged: in the world. With a scene that has no place there: a question.
    let text = said(&splat(&[&paths[0], &paths[3], &paths[1]], &["--overwrite"]), true);
    assert!(!text.contains("warning"), "{text}");
    assert_eq!(Gaussians::read(&paths[1]).unwrap().len(), 600);
    scene(5, 1).write(&paths[3]).unwrap();
    let text = said(&splat(&[&paths[0], &paths[3], &paths[1]], &["--overwrite"]), true);
    assert!(text.contains("warning: ") && text.contains("do they belong together?"), "{text}");
}

/// Positions that were rounded to 32 bits far from the origin: said when read, and not rounded once more.
#[test]
fn what_was_rounded_before_is_not_rounded_again() {
    let (_dir, paths) = files(&["far.ply", "a.spz", "b.ply"]);
    let mut g = scene(300, 1);
    for m in g.means.chunks_exact_mut(3) {
        (0..3).for_each(|k| m[k] = 10.0 * m[k] + FAR[k] as f32);
    }
    g.write(&paths[0]).unwrap();
    let text = said(&splat(&[&paths[0], &paths[1]], &[]), true);
    assert!(
        text.contains("warning: ") && text.contains("far.ply: positions were stored in 32 bits"),
        "{text}"
    );
    assert!(text.contains("a.spz.origin.json"), "{text}");
    assert!(farthest_apart(&Gaussians::read(&paths[1]).unwrap(), &g) < 1.0 / 4096.0);
    said(&splat(&[&paths[0], &paths[2]], &[]), true);
    assert_eq!(
        std::fs::read(&paths[2]).unwrap(),
        std::fs::read(&paths[0]).unwrap(),
        "PLY keeps what it was given"
    );
    // A format that is too coarse for a small scene is warned about.
    let mut tiny = scene(300, 1);
    tiny.means.iter_mut().for_each(|x| *x *= 0.01);
    tiny.log_scales.iter_mut().for_each(|x| *x -= 8.0);
    tiny.write(&paths[0]).unwrap();
    let text = said(&splat(&[&paths[0], &paths[1]], &["--overwrite", "--quiet"]), true);
    assert!(text.contains("warning: SPZ rounds positions to steps of 0.00024"), "{text}");
}

/// What other programs wrote differently is said, with the file's name; what holds no Gaussians is named.
#[test]
fn other_layouts_are_said() {
    let (_dir, paths) = files(&["surfels.ply", "cloud.ply", "out.ply"]);
    scene(5, 1).write(&paths[0]).unwrap();
    let whole = std::fs::read(&paths[0]).unwrap();
    let end = whole.windows(11).position(|w| w == b"end_header\n").unwrap();
    let header = String::from_utf8(whole[..end].to_vec()).unwrap();
    let with = |renamed: &[&str]| {
        let renamed =
            renamed.iter().fold(header.clone(), |h, name| h.replace(name, &format!("other_{name}")));
        [renamed.as_bytes(), &whole[end..]].concat()
    };
    std::fs::write(&paths[0], with(&["scale_2"])).unwrap();
    let text = said(&splat(&[&paths[0], &paths[2]], &[]), true);
    assert!(text.contains("warning: ") && text.contains("surfels.ply: there is no scale_2"), "{text}");
    std::fs::write(&paths[1], with(&["f_dc_", "opacity", "scale_", "rot_"])).unwrap();
    let text = said(&splat(&[&paths[1], &paths[2]], &["--overwrite"]), false);
    assert!(text.contains("cloud.ply: a point cloud, no Gaussians: 5 vertices with x, y, z"), "{text}");
    assert!(text.contains("hint: a training can start from its points"), "{text}");
}

/// Every case of Gaussians that people reported, through the program: `info` and `convert`, with the right values.
#[test]
fn the_cases_people_reported_are_right() {
    let Some(cases) = splat_testdata::shared("../cases") else { return };
    let dir = tempfile::tempdir().unwrap();
    let info = |case: &str| -> serde_json::Value {
        let run = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")))
            .args(["info", "--json"])
            .arg(cases.join(case))
            .output()
            .unwrap();
        assert!(run.status.success(), "{case}: {}", String::from_utf8_lossy(&run.stderr));
        serde_json::from_slice(&run.stdout).unwrap()
    };
    let converted = |case: &str, to: &str| {
        let out = dir.path().join(to);
        let text = said(&splat(&[&cases.join(case), &out], &["--overwrite"]), true);
        let scene = Gaussians::load(&out).unwrap();
        if !case.starts_with("29") {
            assert_eq!(info(case)["gaussians"], scene.gaussians.len(), "{case}");
        }
        (scene, text)
    };
    let near = |a: &[f32], b: &[f32], most: f32| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() <= most, "{a} {b}"));
    };

    // Degree 0 from the colours, which are read as those of a point cloud here.
    let case = "31-nerfstudio-rgb/splat.ply";
    let (scene, text) = converted(case, "a.ply");
    assert!(text.contains("warning: ") && text.contains("read as SH degree 0"), "{text}");
    let points = ply::read_points(cases.join(case)).unwrap();
    let colors: Vec<f32> = points.iter().flat_map(|p| p.color.map(|c| f32::from(c) / 255.0)).collect();
    let shown: Vec<f32> = scene.gaussians.sh.iter().map(|c| 0.5 + splat_scene::SH_C0 * c).collect();
    near(&shown, &colors, 1e-5);
    near(&scene.gaussians.means, &points.iter().flat_map(|p| p.position).collect::<Vec<_>>(), 0.0);

    // Lists before, in and after the vertices: four times the same scene, without a word.
    let lists = ["before", "in_vertex", "after", "empty_before"].map(|name| {
        let (scene, text) = converted(&format!("32-list/{name}.ply"), "b.ply");
        assert!(!text.contains("warning"), "{name}: {text}");
        scene.gaussians
    });
    assert!(lists.iter().all(|g| *g == lists[0] && g.len() == 30));
    near(&lists[0].means, &scene.gaussians.means, 0.0);

    let (scene, text) = converted("33-headers/gbk_comment.ply", "c.ply");
    assert_eq!((scene.gaussians.len(), scene.gaussians.coeffs), (30, 4));
    assert!(!text.contains("warning"), "{text}");

    let (scene, text) = converted("37-2dgs/surfels.ply", "d.ply");
    assert!(text.contains("there is no scale_2"), "{text}");
    assert_eq!((scene.gaussians.len(), scene.gaussians.coeffs), (30, 16));
    for scales in scene.gaussians.log_scales.chunks_exact(3) {
        let thin = scales[0].min(scales[1]) + 1e-4f32.ln();
        assert!((scales[2] - thin).abs() < 1e-5, "{scales:?}");
    }

    let cloud = cases.join("38-point-cloud/cloud.ply");
    let out = dir.path().join("e.ply");
    let text = said(&splat(&[&cloud, &out], &[]), false);
    assert!(text.contains("a point cloud, no Gaussians: 400 vertices with x, y, z"), "{text}");
    assert!(text.contains("hint: a training can start from its points") && !out.exists(), "{text}");

    // Doubles stay doubles in a PLY, and are shifted and told about where the format has none.
    let (world, _) = converted("43-utm/utm.ply", "f.ply");
    let given = Gaussians::load(cases.join("43-utm/utm.ply")).unwrap();
    assert!(world.world && given.world && world.gaussians == given.gaussians);
    let (packed, text) = converted("43-utm/utm.ply", "f.spz");
    assert!(
        text.contains("SPZ rounds positions to steps of 0.00024, 163017 across the scene's 40"),
        "{text}"
    );
    assert!(text.contains("f.spz.origin.json says") && packed.gaussians.origin == given.gaussians.origin);
    assert!(farthest_apart(&packed.gaussians, &given.gaussians) < 0.001);

    let part = Gaussians::read(cases.join("44-lod/0_0")).unwrap();
    for case in ["44-lod", "44-lod/lod-meta.json"] {
        let (scene, text) = converted(case, "g.ply");
        assert!(text.contains("streamed SOG: the finest of 1 levels"), "{text}");
        assert_eq!(scene.gaussians, part);
    }

    // A comment in Latin-1 and GBK in the cloud that a dataset begins with.
    let set = info("29-cloudcompare-cloud");
    assert_eq!((&set["points"], &set["points_seen"]), (&serde_json::json!(400), &serde_json::json!(1.0)));
    assert_eq!(set["warnings"], serde_json::json!([]));
}

/// Names in files of strangers reach the terminal as escapes.
#[test]
#[cfg(unix)]
fn names_cannot_act_on_the_terminal() {
    let (_dir, paths) = files(&["a\u{1b}]0;x\u{7}.ply", "b\u{1b}[31m.spz", "c\u{1b}[0m.ply"]);
    scene(5, 1).write(&paths[0]).unwrap();
    let whole = std::fs::read(&paths[0]).unwrap();
    let end = whole.windows(11).position(|w| w == b"end_header\n").unwrap();
    let header = String::from_utf8(whole[..end].to_vec()).unwrap().replace("scale_2", "other");
    std::fs::write(&paths[0], [header.as_bytes(), &whole[end..]].concat()).unwrap();
    for (out, options) in [(&paths[1], &[][..]), (&paths[2], &["--quiet"])] {
        let text = said(&splat(&[&paths[0], out], options), true);
        assert!(text.contains("scale_2") && text.contains(r"a\u{1b}]0;x\u{7}.ply"), "{text:?}");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
        let text = said(&splat(&[&paths[0], out], options), false);
        assert!(text.contains("already exists") && !text.contains('\u{1b}'), "{text:?}");
    }
}
