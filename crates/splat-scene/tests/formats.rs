//! The formats of Gaussians: what is written is read back within the precision of the format, also for the shared scenes,
//! and files that PlayCanvas' splat-transform wrote are read as the scene they were made from.

mod common;

use std::path::PathBuf;

use common::{Tolerance, assert_near, matched, scene};
use splat_scene::spz::Version;
use splat_scene::{Error, GaussianFormat, Gaussians, Origin, sog, splat_file, usd};
use splat_testdata::shared;

fn silent() -> impl FnMut(u64, u64) + Send {
    |_, _| {}
}

/// Writes `g` to `name`, checks that no other file was left, and reads it back.
fn there_and_back(g: &Gaussians, name: &str, format: Option<GaussianFormat>) -> Gaussians {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    match format {
        None => g.write(&path).unwrap(),
        Some(format) => g.write_as(&path, format, &mut silent()).unwrap(),
    }
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_string_lossy().contains("partial"), "{name:?} is left");
    }
    Gaussians::read(&path).unwrap()
}

/// The largest steps of chunks of 256 in the Morton order of `g`.
fn compressed_tolerance(g: &Gaussians) -> Tolerance {
    let extent = |values: &[f32], each: usize| -> f32 {
        let chunks = values.chunks(256 * each);
        let axis = |c: &[f32], k: usize| {
            let of = c.iter().skip(k).step_by(each);
            of.clone().copied().fold(f32::MIN, f32::max) - of.copied().fold(f32::MAX, f32::min)
        };
        chunks.flat_map(|c| (0..3).map(move |k| axis(c, k))).fold(0.0, f32::max)
    };
    Tolerance::compressed(extent(&g.means, 3), extent(&g.log_scales, 3), extent(&g.sh, 3 * g.coeffs))
}

/// 65535 steps of `sign(x) ln(1 + |x|)`; 256 entries for each codebook, whose steps depend on the values.
fn sog_tolerance(g: &Gaussians, log_scale: f32, dc: f32, sh: f32) -> Tolerance {
    let farthest = g.means.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    let step = 2.0 * farthest.ln_1p() / 65_535.0;
    Tolerance {
        mean: (0.51 * step + 1e-6, 0.51 * step + 1e-6),
        log_scale,
        opacity: 0.502 / 255.0,
        rotation: 0.009,
        dc,
        sh: [sh; 3],
    }
}

/// Every format and degree. PLY is exact; `.splat` sorts, so its Gaussians are matched; SOG and compressed PLY use Morton
/// order.
#[test]
fn every_format_comes_back_within_its_steps() {
    for coeffs in [1, 4, 9, 16] {
        let g = scene(700, coeffs);
        assert_eq!(there_and_back(&g, "a.ply", None), g);

        let mut flat = g.clone();
        flat.reduce_sh_degree(0);
        let back = matched(&flat, &there_and_back(&g, "a.splat", None));
        assert_near(".splat", &flat, &back, Tolerance::SPLAT);
        assert_eq!(back.means, flat.means, "positions are exact");

        let back = there_and_back(&g, "a.glb", None);
        assert_near("glTF", &g, &back, Tolerance::EXACT);
        assert_eq!((&back.means, &back.sh), (&g.means, &g.sh), "positions and harmonics are exact");

        assert_near("SPZ 3", &g, &there_and_back(&g, "a.spz", None), Tolerance::SPZ);
        let v2 = there_and_back(&g, "a.spz", Some(GaussianFormat::Spz(Version::V2)));
        assert_near("SPZ 2", &g, &v2, Tolerance { rotation: 0.13, ..Tolerance::SPZ });
        let v4 = there_and_back(&g, "a.spz", Some(GaussianFormat::Spz(Version::V4)));
        assert_near("SPZ 4", &g, &v4, Tolerance::SPZ);
        assert_eq!(v4, there_and_back(&g, "a.spz", None), "the versions hold the same numbers");

        let sorted = g.select(&g.morton_order());
        let back = there_and_back(&g, "a.compressed.ply", None);
        assert_near("compressed PLY", &sorted, &back, compressed_tolerance(&sorted));

        let steps = sog_tolerance(&g, 0.1, 0.03, 0.02);
        let back = there_and_back(&g, "a.sog", None);
        assert_near("SOG", &sorted, &back, steps);
        assert_eq!(there_and_back(&g, "meta.json", None), back, "a folder holds what a bundle does");
        assert_eq!(there_and_back(&g, "folder/", None), back, "a folder is known by its separator");
    }
}

/// 0 and 1 Gaussians; one more and one fewer than a chunk or a row of pixels.
#[test]
fn odd_numbers_of_gaussians_come_back() {
    for p in [0, 1, 2, 16, 17, 255, 256, 257] {
        for coeffs in [1, 4] {
            let g = scene(p, coeffs);
            for name in ["a.ply", "a.splat", "a.spz", "a.compressed.ply", "a.sog"] {
                assert_eq!(there_and_back(&g, name, None).len(), p, "{name}");
            }
            if p > 0 {
                assert_eq!(there_and_back(&g, "a.glb", None).len(), p);
            }
        }
    }
}

/// Streamed SOG: the finest level is the scene; coarser ones have half the Gaussians each; parts, runs and bounds are what the
/// tree says.
#[test]
fn streamed_sog_holds_the_scene_and_its_levels() {
    use serde_json::Value;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scene/lod-meta.json");
    std::fs::create_dir(dir.path().join("scene")).unwrap();
    let mut g = scene(70_000, 4);
    g.origin = Origin { offset: [1e6, 0.0, 2e6] };
    let division = sog::Division { levels: Some(3), part: 40_000 };
    let mut heard = Vec::new();
    sog::write_streamed(&path, &g, division, &mut |done, of| heard.push((done, of))).unwrap();
    assert_eq!(heard.last(), Some(&(70_000, 70_000)));

    let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((&json["version"], &json["lodLevels"]), (&Value::from(1), &Value::from(3)));
    let counts: Vec<u64> = serde_json::from_value(json["counts"].clone()).unwrap();
    assert_eq!((counts[0], json["count"].as_u64()), (70_000, Some(counts.iter().sum())));
    let names: Vec<String> = serde_json::from_value(json["filenames"].clone()).unwrap();
    let parts: Vec<Gaussians> =
        names.iter().map(|name| Gaussians::read(path.with_file_name(name)).unwrap()).collect();
    // How much of each part the places name.
    let mut named = vec![0; parts.len()];
    let mut open = vec![json["tree"].clone()];
    let mut leaves = 0;
    while let Some(place) = open.pop() {
        let bound: [[f32; 3]; 2] =
            ["min", "max"].map(|end| serde_json::from_value(place["bound"][end].clone()).unwrap());
        if let Some(children) = place["children"].as_array() {
            assert_eq!((children.len(), &place["lods"]), (2, &Value::Null));
            open.extend(children.iter().rev().cloned());
            continue;
        }
        leaves += 1;
        let lods = place["lods"].as_object().unwrap();
        assert_eq!(lods.len(), 3);
        let mut before: usize = 2 * 70_000;
        for (level, run) in lods {
            let at = |key: &str| run[key].as_u64().unwrap() as usize;
            let (file, offset, count) = (at("file"), at("offset"), at("count"));
            assert!(names[file].starts_with(&format!("{level}_")), "a part has one level");
            assert!(count == before.div_ceil(2) || level == "0", "half of {before}: {count}");
            before = count;
            assert_eq!(offset, named[file], "runs follow each other in the order of the tree");
            named[file] += count;
            for mean in parts[file].means[3 * offset..3 * (offset + count)].chunks_exact(3) {
                assert!((0..3).all(|k| (bound[0][k] - 0.01..=bound[1][k] + 0.01).contains(&mean[k])));
            }
        }
    }
    assert_eq!((leaves, named), (4, parts.iter().map(Gaussians::len).collect::<Vec<_>>()));
    assert!(parts.iter().all(|part| part.len() <= 40_000) && parts.len() == 2 + 1 + 1);

    let back = Gaussians::load(&path).unwrap();
    assert!(back.warnings.join(" ").contains("the finest of 3 levels"), "{:?}", back.warnings);
    assert_eq!((back.gaussians.origin, back.gaussians.len()), (g.origin, 70_000));
    assert_eq!(Gaussians::read(path.parent().unwrap()).unwrap(), back.gaussians, "by its folder");
    // The order is that of the tree, so that each Gaussian is looked for at its place.
    let points: Vec<[f32; 3]> = back.gaussians.means.chunks_exact(3).map(|m| [m[0], m[1], m[2]]).collect();
    let tree: kiddo::ImmutableKdTree<f32, 3> = kiddo::ImmutableKdTree::new_from_slice(&points).unwrap();
    let one = std::num::NonZero::new(1).unwrap();
    let nearest = |m: &[f32]| {
        tree.query(&[m[0], m[1], m[2]]).nearest_n::<kiddo::SquaredEuclidean<f32>>(one).execute()[0].item
            as u32
    };
    let order: Vec<u32> = g.means.chunks_exact(3).map(nearest).collect();
    let steps = sog_tolerance(&g, 0.1, 0.03, 0.02);
    assert_near("streamed SOG", &g, &back.gaussians.select(&order), steps);

    // A part that cannot be written leaves an older scene as it was.
    scene(50, 1).write(&path).unwrap();
    std::fs::rename(path.with_file_name("0_0"), path.with_file_name("aside")).unwrap();
    std::fs::write(path.with_file_name("0_0"), b"a file in the way").unwrap();
    let e = sog::write_streamed(&path, &g, division, &mut silent()).unwrap_err();
    assert!(matches!(&e, Error::Write { path, .. } if path.ends_with("0_0")), "{e}");
    std::fs::remove_file(path.with_file_name("0_0")).unwrap();
    std::fs::rename(path.with_file_name("aside"), path.with_file_name("0_0")).unwrap();
    assert_eq!(Gaussians::read(&path).unwrap().len(), 50);
    let left = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("partial")));
    assert_eq!(
        there_and_back(&Gaussians { coeffs: 1, ..Gaussians::default() }, "lod-meta.json", None).len(),
        0
    );
}

/// `.splat` shows the largest first: volume times opacity.
#[test]
fn splats_are_sorted_by_size_and_opacity() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.splat");
    splat_file::write(&path, &scene(300, 1)).unwrap();
    let back = splat_file::read(&path).unwrap();
    let weight = |i: usize| {
        back.log_scales[3 * i..3 * i + 3].iter().sum::<f32>() + common::sigmoid(back.opacity_logits[i]).ln()
    };
    // A byte of opacity is up to a factor of two at the bottom.
    assert!((1..300).all(|i| weight(i) < weight(i - 1) + 0.7));
    assert!(weight(0) > weight(299) + 5.0);
}

/// Extreme values that do not fit in a format are clamped or refused; they never wrap around.
#[test]
fn numbers_beyond_a_format_are_clamped_or_refused() {
    let mut g = scene(4, 4);
    g.opacity_logits = vec![-80.0, 80.0, -20.0, 20.0];
    g.log_scales[0] = -50.0;
    g.log_scales[1] = 50.0;
    g.sh[0] = 1e6;
    g.sh[1] = -1e6;
    g.sh[4] = 30.0;
    g.means[0] = 100_000.0;
    for name in ["a.splat", "a.spz", "a.compressed.ply", "a.sog", "a.glb"] {
        let back = matched(&g, &there_and_back(&g, name, None));
        back.check().unwrap();
        let opacity: Vec<f32> = back.opacity_logits.iter().map(|&x| common::sigmoid(x)).collect();
        assert!(
            opacity[0] < 0.002 && opacity[1] > 0.998 && opacity[2] < 0.002 && opacity[3] > 0.998,
            "{name}"
        );
        assert!((back.means[0] - 100_000.0).abs() < 100.0, "{name}: {}", back.means[0]);
        assert!(back.log_scales[0] < -8.0 && back.log_scales[1] > 5.0, "{name}: {:?}", &back.log_scales[..2]);
        assert!(back.sh[0] > 1.0 && back.sh[1] < -1.0, "{name}: {:?}", &back.sh[..2]);
    }
    // SPZ gives up fractional bits for large scenes, until it has none left.
    g.means[0] = 9e6;
    let dir = tempfile::tempdir().unwrap();
    let e = g.write(dir.path().join("a.spz")).unwrap_err();
    assert!(matches!(&e, Error::Unwritable { .. }) && e.to_string().contains("9000000"), "{e}");
    g.means[0] = f32::NAN;
    for name in ["a.splat", "a.spz", "a.compressed.ply", "a.sog", "a.glb"] {
        let e = g.write(dir.path().join(name)).unwrap_err().to_string();
        assert!(e.contains("NaN"), "{name}: {e}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "a refusal writes nothing");
}

#[test]
fn repair_keeps_what_can_be_meant() {
    let mut g = scene(6, 4);
    let whole = g.clone();
    g.opacity_logits[0] = f32::INFINITY;
    g.log_scales[3] = f32::NEG_INFINITY;
    g.means[6] = f32::NAN;
    g.sh[40] = f32::INFINITY;
    g.log_scales[12] = f32::INFINITY;
    let done = g.repair().unwrap();
    assert_eq!((done.dropped, done.clamped, g.len()), (3, 2, 3));
    g.check().unwrap();
    assert!(common::sigmoid(g.opacity_logits[0]) > 0.999_999);
    assert_eq!(g.select(&[2]), whole.select(&[5]));
    assert_eq!(g.repair().unwrap(), splat_scene::Repair::default());
}

#[test]
fn scenes_of_two_degrees_append() {
    let (low, high) = (scene(3, 1), scene(2, 9));
    let mut both = low.clone();
    both.append(&high).unwrap();
    both.check().unwrap();
    assert_eq!((both.len(), both.coeffs), (5, 9));
    assert_eq!(both.select(&[3, 4]), high);
    assert_eq!((&both.sh[..3], &both.sh[3..27]), (&low.sh[..3], &[0.0; 24][..]));
    let mut lowered = both.clone();
    lowered.reduce_sh_degree(0);
    lowered.append(&high).unwrap();
    assert_eq!(lowered.coeffs, 9);
    both.reduce_sh_degree(3);
    assert_eq!(both.coeffs, 9, "a lower degree stays");
}

#[test]
fn formats_are_told_by_content_and_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let g = scene(20, 4);
    let cases = [
        ("a.ply", GaussianFormat::Ply),
        ("b.Compressed.PLY", GaussianFormat::CompressedPly),
        ("c.splat", GaussianFormat::Splat),
        ("d.spz", GaussianFormat::Spz(Version::V3)),
        ("e.sog", GaussianFormat::Sog),
        ("f/meta.json", GaussianFormat::SogFolder),
        ("h/lod-meta.json", GaussianFormat::SogStreamed),
        ("g.GLB", GaussianFormat::Gltf),
    ];
    for (name, format) in cases {
        let path = dir.path().join(name);
        assert_eq!(GaussianFormat::from_name(&path).unwrap(), format);
        g.write(&path).unwrap();
        assert_eq!(GaussianFormat::detect(&path).unwrap(), format);
        if matches!(format, GaussianFormat::SogFolder | GaussianFormat::SogStreamed) {
            assert_eq!(GaussianFormat::detect(path.parent().unwrap()).unwrap(), format);
        } else if format != GaussianFormat::Splat {
            let renamed = path.with_extension("bin");
            std::fs::rename(&path, &renamed).unwrap();
            assert_eq!(GaussianFormat::detect(&renamed).unwrap(), format, "{name}: the name does not matter");
        }
    }
    assert_eq!(
        Gaussians::read(dir.path().join("f")).unwrap(),
        Gaussians::read(dir.path().join("f/meta.json")).unwrap()
    );

    let message = |e: Error| e.to_string();
    for (name, bytes) in [("x.bin", &b"hello"[..]), ("z.glb", b"glT")] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let e = message(Gaussians::read(&path).unwrap_err());
        assert!(e.contains(name) && e.contains(".compressed.ply") && e.contains(".spz"), "{e}");
    }
    std::fs::write(dir.path().join("y.ply"), b"").unwrap();
    let e = message(Gaussians::read(dir.path().join("y.ply")).unwrap_err());
    assert!(e.contains("y.ply") && e.contains("an empty file"), "{e}");
    for name in ["x.obj", "x", "x.json"] {
        let e = message(g.write(dir.path().join(name)).unwrap_err());
        assert!(e.contains("unknown output format") && e.contains("SOG"), "{e}");
    }
    let e = message(Gaussians::read(dir.path()).unwrap_err());
    assert!(e.contains("no meta.json"), "{e}");
    let e = message(Gaussians::read(dir.path().join("absent.ply")).unwrap_err());
    assert!(e.contains("absent.ply"), "{e}");
}

/// USD is written for others: its text has the units of the schema, a zip holds it unpacked and aligned, and neither is read.
#[test]
fn usd_is_written_in_the_units_of_its_schema() {
    let dir = tempfile::tempdir().unwrap();
    let g = Gaussians {
        means: vec![1.0, 2.0, 3.0, 1e-7, 0.1, -8.0],
        sh: (0..24).map(|k| 0.5 * k as f32).collect(),
        coeffs: 4,
        opacity_logits: vec![0.0, 20.0],
        log_scales: vec![0.0, 2.0f32.ln(), 0.0, 0.0, 0.0, 0.0],
        rotations: vec![0.5, -0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0],
        ..Gaussians::default()
    };
    let [plain, packed] = ["a.usda", "b.USDZ"].map(|name| dir.path().join(name));
    g.write(&plain).unwrap();
    g.write(&packed).unwrap();
    let text = std::fs::read_to_string(&plain).unwrap();
    for line in [
        "upAxis = \"Y\"",
        "def ParticleField3DGaussianSplat \"Scene\"",
        "point3f[] positions = [(1.0, -2.0, -3.0), (1e-7, -0.1, 8.0)]",
        "quatf[] orientations = [(0.5, -0.5, -0.5, -0.5), (1.0, 0.0, -0.0, -0.0)]",
        "float3[] scales = [(1.0, 2.0, 1.0), (1.0, 1.0, 1.0)]",
        "float[] opacities = [0.5, 1.0]",
        "uniform int radiance:sphericalHarmonicsDegree = 1",
        "[(0.0, 0.5, 1.0), (-1.5, -2.0, -2.5), (-3.0, -3.5, -4.0), (4.5, 5.0, 5.5), (6.0, ",
        "float3[] extent = [(-5.0, -8.0, -9.0), (7.0, 4.0, 11.0)]",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let bytes = std::fs::read(&packed).unwrap();
    let at = bytes.windows(text.len()).position(|w| w == text.as_bytes()).expect("stored as it is");
    assert_eq!(at % 64, 0, "USD reads it in place");
    for (path, kind) in [(&plain, usd::Packaging::Text), (&packed, usd::Packaging::Zip)] {
        assert_eq!(GaussianFormat::detect(path).unwrap(), GaussianFormat::Usd(kind));
        let e = Gaussians::read(path).unwrap_err().to_string();
        assert!(e.contains("written but not read"), "{e}");
    }
}

/// A write that fails half way leaves the old file or folder unchanged.
#[test]
fn a_failed_write_leaves_the_old_scene() {
    let dir = tempfile::tempdir().unwrap();
    let g = scene(20, 4);
    let meta = dir.path().join("meta.json");
    g.write(&meta).unwrap();
    let before = Gaussians::read(&meta).unwrap();
    // A folder has the name of a partial file, so that texture cannot be written.
    let obstacle = dir.path().join(format!(".sh0.webp.{}.partial", std::process::id()));
    std::fs::create_dir(&obstacle).unwrap();
    let e = scene(30, 1).write(&meta).unwrap_err().to_string();
    assert!(e.contains("sh0.webp"), "{e}");
    assert_eq!(Gaussians::read(&meta).unwrap(), before);
    std::fs::remove_dir(obstacle).unwrap();
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().contains("partial")), "{left:?}");
}

fn fixture(name: &str) -> PathBuf {
    splat_testdata::committed("crates/splat-scene/tests/data").join(name)
}

/// Files written by splat-transform (see `tests/data/README.md`) from `scene(200, 16)` and `scene(200, 1)`.
#[test]
fn files_of_another_program_read_as_their_scene() {
    for (name, coeffs) in [("degree3", 16), ("degree0", 1)] {
        let g = scene(200, coeffs);
        let read = |kind: &str| matched(&g, &Gaussians::read(fixture(&format!("{name}.{kind}"))).unwrap());
        // One chunk: its extent is that of the scene.
        assert_near("compressed PLY", &g, &read("compressed.ply"), compressed_tolerance(&g));
        // Its harmonics are rounded twice: to 1/128, and that to their step.
        let twice = Tolerance { sh: Tolerance::SPZ.sh.map(|x| x + 0.501 / 128.0), ..Tolerance::SPZ };
        assert_near("SPZ 3", &g, &read("v3.spz"), twice);
        assert_near("SPZ 4", &g, &read("v4.spz"), twice);
        // It truncates positions, quaternions and opacities where others round, which doubles the step.
        let steps = sog_tolerance(&g, 0.1, 0.05, 0.02);
        let cut = Tolerance {
            mean: (2.0 * steps.mean.0, 2.0 * steps.mean.1),
            opacity: 1.01 / 255.0,
            rotation: 0.018,
            ..steps
        };
        assert_near("SOG", &g, &read("sog"), cut);
    }
}

/// Real scenes to every format and back; every tenth Gaussian, to stay quick.
#[test]
fn shared_scenes_come_back_within_the_steps() {
    let cases = [
        ("scenes/playbot-500k", 500_000, 2),
        ("scenes/street-765k/3_0", 526_142, 0),
        ("scenes/street-765k/3_1", 238_729, 0),
        ("scenes/blocks-186k-sh3", 185_761, 3),
        ("scenes/arkit/scene.splat", 116_906, 0),
        ("scenes/playcanvas/biker.spz", 152_746, 0),
        ("scenes/playcanvas/biker.compressed.ply", 152_746, 0),
    ];
    for (name, count, degree) in cases {
        let Some(path) = shared(name) else { return };
        let g = Gaussians::read(&path).unwrap();
        assert_eq!((g.len(), g.sh_degree()), (count, degree), "{name}");
        g.check().unwrap();
        let g = g.select(&(0..count as u32).step_by(10).collect::<Vec<_>>());
        assert_eq!(there_and_back(&g, "a.ply", None), g, "{name}");

        assert_near(name, &g, &there_and_back(&g, "a.glb", None), Tolerance::EXACT);

        // SPZ has 8 bits for harmonics within -1 to 1 and log scales within -10 to 5.9.
        let mut held = g.clone();
        held.log_scales.iter_mut().for_each(|x| *x = x.clamp(-10.0, 5.9));
        for sh in held.sh.chunks_exact_mut(3 * g.coeffs) {
            sh[..3].iter_mut().for_each(|x| *x = x.clamp(-0.5 / 0.15, 0.5 / 0.15));
            sh[3..].iter_mut().for_each(|x| *x = x.clamp(-1.0, 0.99));
        }
        assert_near(name, &held, &there_and_back(&g, "a.spz", None), Tolerance::SPZ);

        let sorted = g.select(&g.morton_order());
        let back = there_and_back(&g, "a.compressed.ply", None);
        assert_near(name, &sorted, &back, compressed_tolerance(&sorted));

        // The error of the palette is checked below as a mean; the largest steps of a codebook are at its ends.
        let back = there_and_back(&g, "a.sog", None);
        assert_near(name, &sorted, &back, sog_tolerance(&g, 1.5, 0.3, f32::INFINITY));
        let rms = |a: &[f32], b: &[f32]| {
            (a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
        };
        assert!(rms(&sorted.log_scales, &back.log_scales) < 0.02, "{name}");
        assert!(rms(&sorted.sh, &back.sh) < 0.03, "{name}: {}", rms(&sorted.sh, &back.sh));
    }
}

/// One scene in two formats, from two programs, each in its own order: after sorting, no number differs by more than the
/// sum of the steps.
#[test]
fn one_scene_in_two_formats_agrees() {
    let Some(spz) = shared("scenes/playcanvas/biker.spz") else { return };
    let a = Gaussians::read(&spz).unwrap();
    let b = Gaussians::read(spz.with_file_name("biker.compressed.ply")).unwrap();
    assert_eq!(a.len(), b.len());
    let compare = |what: &str, a: &[f32], b: &[f32], each: usize, most: f32| {
        for k in 0..each {
            let sorted = |values: &[f32]| {
                let mut v: Vec<f32> = values.iter().skip(k).step_by(each).copied().collect();
                v.sort_by(f32::total_cmp);
                v
            };
            let apart = sorted(a).iter().zip(sorted(b)).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
            assert!(apart <= most, "{what} {k}: {apart}");
        }
    };
    compare("means", &a.means, &b.means, 3, 0.01);
    // SPZ has none below -10.
    let held: Vec<f32> = b.log_scales.iter().map(|x| x.max(-10.0)).collect();
    compare("log scales", &a.log_scales, &held, 3, 0.06);
    compare("colours", &a.sh, &b.sh, 3, 0.04);
    let opacity = |g: &Gaussians| g.opacity_logits.iter().map(|&x| common::sigmoid(x)).collect::<Vec<_>>();
    compare("opacities", &opacity(&a), &opacity(&b), 1, 1.01 / 255.0);
}

/// Half a million Gaussians to every format and back; prints seconds and bytes.
#[test]
#[ignore = "figures"]
#[expect(clippy::print_stdout, reason = "the figures are what this is run for")]
fn time_of_half_a_million() {
    let Some(path) = shared("scenes/playbot-500k") else { return };
    let dir = tempfile::tempdir().unwrap();
    let clock = std::time::Instant::now();
    let g = Gaussians::read(&path).unwrap();
    println!("{} Gaussians, degree {}, read from SOG in {:.2?}", g.len(), g.sh_degree(), clock.elapsed());
    for name in ["a.ply", "a.splat", "a.spz", "4.spz", "a.compressed.ply", "a.sog"] {
        let path = dir.path().join(name);
        let clock = std::time::Instant::now();
        match name {
            "4.spz" => g.write_as(&path, GaussianFormat::Spz(Version::V4), &mut silent()).unwrap(),
            _ => g.write(&path).unwrap(),
        }
        let written = clock.elapsed();
        let clock = std::time::Instant::now();
        let back = Gaussians::read(&path).unwrap();
        let bytes = std::fs::metadata(&path).unwrap().len();
        println!("{name}: written in {written:.2?}, {bytes} bytes, read in {:.2?}", clock.elapsed());
        if name == "a.sog" {
            let sorted = g.select(&g.morton_order());
            let of_rest = |g: &Gaussians| -> Vec<f32> {
                g.sh.chunks_exact(3 * g.coeffs).flat_map(|c| &c[3..]).copied().collect()
            };
            let (a, b) = (of_rest(&sorted), of_rest(&back));
            let mean = |x: f64| (x / a.len() as f64).sqrt();
            let apart = mean(a.iter().zip(&b).map(|(x, y)| f64::from(x - y).powi(2)).sum());
            println!(
                "  rms of harmonics {apart:.5}, of {:.5}",
                mean(a.iter().map(|x| f64::from(*x).powi(2)).sum())
            );
        }
    }
}
