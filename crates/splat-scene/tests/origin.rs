//! Georeferenced scenes: positions in `f64`, shifted to an origin of their own, and the way back to the world.

mod common;

use common::ply_file::{PlyFile, Values};
use common::{matched, scene};
use splat_scene::{GaussianFormat, Gaussians, Origin, ply, spz};

/// Somewhere in UTM zone 31.
const UTM: [f64; 3] = [448_271.4, 4_582_033.7, 185.2];

/// A scene of 16 units.
fn small(p: usize) -> Gaussians {
    let mut g = scene(p, 4);
    g.means.iter_mut().for_each(|x| *x = x.clamp(-8.0, 8.0));
    g
}

/// `g` about `center`, with world positions of the type `kind`.
fn georeferenced(g: &Gaussians, center: [f64; 3], kind: &'static str) -> (PlyFile, Vec<[f64; 3]>) {
    let world: Vec<[f64; 3]> =
        g.means.chunks_exact(3).map(|m| std::array::from_fn(|k| f64::from(m[k]) + center[k])).collect();
    let mut file = PlyFile::of(g);
    for k in 0..3 {
        file.vertex().columns[k].1 = Values::Numbers(kind, world.iter().map(|x| x[k]).collect());
    }
    (file, world)
}

#[track_caller]
fn assert_at(g: &Gaussians, world: &[[f64; 3]], most: f64) {
    assert_eq!(g.len(), world.len());
    for (a, b) in g.world_means().zip(world) {
        assert!((0..3).all(|k| (a[k] - b[k]).abs() <= most), "{a:?} and {b:?}");
    }
}

#[test]
fn doubles_are_read_in_64_bits_and_shifted() {
    let g = small(200);
    for format in ["ascii", "binary_little_endian", "binary_big_endian"] {
        let (file, world) = georeferenced(&g, UTM, "double");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("utm.ply");
        std::fs::write(&path, PlyFile { format, ..file }.bytes()).unwrap();
        let loaded = Gaussians::load(&path).unwrap();
        assert!(loaded.world && loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let read = loaded.gaussians;
        assert!(!read.origin.is_zero() && read.origin.offset.iter().all(|x| x.fract() == 0.0));
        assert!(read.means.iter().all(|x| x.abs() < 32.0));
        assert_at(&read, &world, 1e-6);
        assert_eq!((&read.sh, &read.log_scales, &read.rotations), (&g.sh, &g.log_scales, &g.rotations));
    }
    // Doubles near the origin are not moved.
    let (file, _) = georeferenced(&g, [0.0; 3], "double");
    let bytes = file.bytes();
    let read = ply::parse_gaussians("a.ply".as_ref(), bytes.as_slice(), bytes.len() as u64).unwrap();
    assert_eq!(read, g);
}

/// What comes back from each format is where it was, within the steps that the format says it has.
#[test]
fn every_format_leads_back_to_the_world() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("utm.ply");
    let (file, world) = georeferenced(&small(700), UTM, "double");
    std::fs::write(&input, file.bytes()).unwrap();
    let g = Gaussians::read(&input).unwrap();
    for name in ["a.ply", "b.splat", "c.spz", "d.compressed.ply", "e.sog", "f/meta.json", "4.spz"] {
        let path = dir.path().join(name);
        let format = match name {
            "4.spz" => GaussianFormat::Spz(spz::Version::V4),
            _ => GaussianFormat::from_name(&path).unwrap(),
        };
        g.write_as(&path, format, &mut |_, _| {}).unwrap();
        let precision = format.precision(&g).unwrap();
        // Few Gaussians make large chunks.
        let chunks = format == GaussianFormat::CompressedPly;
        assert_eq!(precision.is_coarse(), chunks, "{name}: {precision}");
        let back = Gaussians::load(&path).unwrap();
        assert_eq!((back.gaussians.origin, back.world), (g.origin, false), "{name}");
        assert_at(&matched(&g, &back.gaussians), &world, 0.51 * precision.step + 1e-6);
        assert_eq!(Origin::read_sidecar(&path).unwrap(), Some(g.origin), "{name}");
        // A scene near the world's origin leaves no sidecar of an earlier one.
        small(5).write_as(&path, format, &mut |_, _| {}).unwrap();
        assert!(!Origin::sidecar(&path).exists() && Gaussians::read(&path).unwrap().origin.is_zero());
    }
    assert_eq!(Gaussians::read(dir.path().join("f")).unwrap().len(), 5);
}

/// The header's comment and the sidecar say the same, and each suffices.
#[test]
fn comment_and_sidecar_each_suffice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ply");
    let mut g = small(9);
    g.origin = Origin { offset: [448_271.0, -4_582_033.5, 1e-3] };
    g.write(&path).unwrap();
    assert_eq!(Gaussians::read(&path).unwrap(), g);
    let bytes = std::fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().find(|l| l.contains("offset")).unwrap();
    assert_eq!(line, "comment origin offset 448271 -4582033.5 0.001 (world = position + offset)");
    std::fs::remove_file(Origin::sidecar(&path)).unwrap();
    assert_eq!(Gaussians::read(&path).unwrap(), g, "by the comment");
    assert_eq!(ply::parse_gaussians(&path, bytes.as_slice(), bytes.len() as u64).unwrap(), g);
    // Another program keeps local positions and drops the comment.
    std::fs::write(&path, PlyFile::of(&g).bytes()).unwrap();
    g.origin.write_sidecar(&path).unwrap();
    assert_eq!(Gaussians::read(&path).unwrap(), g, "by the sidecar");
    let (file, _) = georeferenced(&g, [0.0; 3], "double");
    std::fs::write(&path, file.bytes()).unwrap();
    assert_eq!(Gaussians::read(&path).unwrap(), g, "local positions of 64 bits");
    // They disagree: the file's own comment counts, and both numbers are said.
    std::fs::write(&path, &bytes).unwrap();
    Origin { offset: [1.0, 2.0, 3.0] }.write_sidecar(&path).unwrap();
    let loaded = Gaussians::load(&path).unwrap();
    assert_eq!(loaded.gaussians, g);
    let warning = &loaded.warnings[0];
    assert!(warning.contains("448271") && warning.contains("[1.0, 2.0, 3.0]"), "{warning}");
    // World positions and a sidecar that an earlier file left.
    let (file, world) = georeferenced(&small(9), UTM, "double");
    std::fs::write(&path, file.bytes()).unwrap();
    let loaded = Gaussians::load(&path).unwrap();
    assert_at(&loaded.gaussians, &world, 1e-6);
    assert!(loaded.warnings.len() == 1 && loaded.warnings[0].contains("ignored"), "{:?}", loaded.warnings);
    // Broken statements are errors, not zeros.
    std::fs::write(Origin::sidecar(&path), "{}").unwrap();
    assert!(Gaussians::read(&path).unwrap_err().to_string().contains("origin.json"));
    let comments = vec![b"comment origin offset 1 2".to_vec()];
    std::fs::remove_file(Origin::sidecar(&path)).unwrap();
    std::fs::write(&path, PlyFile { comments, ..PlyFile::of(&g) }.bytes()).unwrap();
    assert!(Gaussians::read(&path).unwrap_err().to_string().contains("expected three numbers"));
}

/// World coordinates of 64 bits on request: other programs need no offset.
#[test]
fn world_positions_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ply");
    let mut g = small(50);
    g.origin = Origin { offset: [448_271.0, 4_582_033.0, 185.0] };
    g.write(&path).unwrap();
    ply::write_as(&path, &g, ply::Options { world: true, ..ply::Options::default() }).unwrap();
    assert!(!Origin::sidecar(&path).exists(), "the sidecar would shift them again");
    let bytes = std::fs::read(&path).unwrap();
    let head = String::from_utf8_lossy(&bytes);
    assert!(
        head.contains("property double x\nproperty double y\nproperty double z\n")
            && !head.contains("offset")
    );
    let back = Gaussians::load(&path).unwrap();
    assert!(back.world);
    assert_at(&back.gaussians, &g.world_means().collect::<Vec<_>>(), 1e-6);
}

#[test]
fn scenes_with_different_origins_merge_in_the_world() {
    let at = |offset: [f64; 3]| Gaussians { origin: Origin { offset }, ..small(20) };
    let near = [[448_271.0, 4_582_033.0, 185.0], [448_371.0, 4_582_133.0, 180.0]];
    let world = |g: &Gaussians| g.world_means().collect::<Vec<_>>();
    for (a, b, most) in [
        (at(near[0]), at(near[1]), 1e-5),
        (at(near[0]), at(near[0]), 0.0),
        // 500 km apart.
        (at(near[0]), at([948_271.0, 4_582_033.0, 0.0]), 0.04),
    ] {
        let mut both = a.clone();
        both.append(&b).unwrap();
        assert!(!both.origin.is_zero());
        assert_at(&both, &[world(&a), world(&b)].concat(), most);
    }
    let mut none = Gaussians { coeffs: 1, ..Gaussians::default() };
    none.append(&at(near[0])).unwrap();
    assert_at(&none, &world(&at(near[0])), 0.0);
    let mut moved = at(near[0]);
    moved.set_origin(Origin { offset: near[1] });
    assert_at(&moved, &world(&at(near[0])), 1e-5);
}

/// The precision that formats state: exact for SPZ, and coarse where half a metre is.
#[test]
fn precision_is_stated() {
    let g = small(300);
    let step = |g: &Gaussians, format: GaussianFormat| format.precision(g).unwrap().step;
    let spz = GaussianFormat::Spz(spz::Version::V3);
    assert_eq!(step(&g, spz), 1.0 / 4096.0);
    let text = spz.precision(&g).unwrap().to_string();
    assert!(text.starts_with("steps of 0.00024, ") && text.contains(" across the scene's 1"), "{text}");
    for format in [GaussianFormat::Ply, GaussianFormat::Splat] {
        assert!(step(&g, format) < 2e-6);
    }
    assert!(step(&g, GaussianFormat::Sog) > 1e-5 && step(&g, GaussianFormat::Sog) < 1e-3);
    assert!(step(&g, GaussianFormat::CompressedPly) > 1e-3, "chunks of 256 of 300 Gaussians are large");
    // Rounded to f32 by another program: SPZ has no bits left for fractions, and f32 none either.
    let (file, _) = georeferenced(&g, UTM, "float");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ply");
    std::fs::write(&path, file.bytes()).unwrap();
    let loaded = Gaussians::load(&path).unwrap();
    assert!(loaded.gaussians.origin.is_zero(), "stored positions are kept");
    assert!(loaded.warnings.len() == 1 && loaded.warnings[0].contains("32 bits"), "{:?}", loaded.warnings);
    assert_eq!(step(&loaded.gaussians, spz), 1.0);
    assert!(spz.precision(&loaded.gaussians).unwrap().is_coarse());
    assert!(step(&loaded.gaussians, GaussianFormat::Ply) >= 0.5);
    // An outlier is not the scene.
    let mut sky = small(300);
    sky.means[0] = 1e6;
    assert!(GaussianFormat::Ply.precision(&sky).unwrap().size < 20.0);
    assert_eq!(GaussianFormat::Ply.precision(&Gaussians { coeffs: 1, ..Gaussians::default() }), None);
}
