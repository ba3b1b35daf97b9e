//! Files of Gaussians from other trainers and exporters: what nobody needs is stepped over, siblings of the layout are read
//! with a warning, and what holds no Gaussians is named.

mod common;

use std::path::PathBuf;

use common::ply_file::{Element, PlyFile, Values};
use common::{Tolerance, assert_near, scene};
use splat_scene::{Error, Gaussians, SH_C0, ply};

fn parse(file: &PlyFile) -> Result<Gaussians, Error> {
    let bytes = file.bytes();
    ply::parse_gaussians("some/scene.ply".as_ref(), bytes.as_slice(), bytes.len() as u64)
}

/// What `Gaussians::load` makes of `bytes` in a file of this name.
fn load(name: &str, bytes: &[u8]) -> (Result<Gaussians, Error>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    match Gaussians::load(&path) {
        Ok(loaded) => (Ok(loaded.gaussians), loaded.warnings),
        Err(e) => (Err(e), Vec::new()),
    }
}

const FORMATS: [&str; 3] = ["ascii", "binary_little_endian", "binary_big_endian"];

fn faces(name: &str, rows: usize) -> Element {
    let lists = (0..rows).map(|i| (0..i % 4).map(|k| k as f64).collect()).collect();
    let quality = (0..rows).map(|i| i as f64).collect();
    Element {
        name: name.into(),
        rows,
        columns: vec![
            ("vertex_indices".into(), Values::Lists("uchar", "int", lists)),
            ("quality".into(), Values::Numbers("double", quality)),
        ],
    }
}

/// Lists before, in and after the vertices, empty ones too; elements without rows or without properties.
#[test]
fn lists_and_foreign_elements_are_stepped_over() {
    let g = scene(9, 4);
    for format in FORMATS {
        for line_end in ["\n", "\r\n", "\r"] {
            let mut file = PlyFile { format, line_end, ..PlyFile::of(&g) };
            let lists = (0..9).map(|i| vec![1.5; i % 3]).collect();
            file.vertex().columns.insert(4, ("extra".into(), Values::Lists("ushort", "float", lists)));
            file.vertex().columns.push(("tail".into(), Values::Lists("int", "uchar", vec![vec![7.0]; 9])));
            file.elements.insert(0, faces("face", 6));
            file.elements.insert(1, faces("none", 0));
            file.elements.insert(2, Element { name: "camera".into(), rows: 3, columns: Vec::new() });
            file.elements.push(faces("tristrips", 2));
            assert_eq!(parse(&file).unwrap(), g, "{format} {line_end:?}");
        }
    }
}

/// A list that claims more items than the file has, or fewer than none, ends in an error at once.
#[test]
fn lists_with_absurd_counts_are_refused() {
    let g = scene(3, 1);
    for (count, item, kind) in [(4e9, "double", "uint"), (-1.0, "int", "int")] {
        let mut file = PlyFile::of(&g);
        let mut bytes = {
            file.elements.insert(0, faces("face", 1));
            let list = Values::Lists(kind, item, vec![Vec::new()]);
            file.elements[0].columns = vec![("list".into(), list)];
            file.bytes()
        };
        let at = bytes.windows(11).position(|w| w == b"end_header\n").unwrap() + 11;
        let word = if count < 0.0 { (count as i32).to_le_bytes() } else { (count as u32).to_le_bytes() };
        bytes[at..at + 4].copy_from_slice(&word);
        let e = ply::parse_gaussians("some/scene.ply".as_ref(), bytes.as_slice(), bytes.len() as u64);
        let e = e.unwrap_err().to_string();
        assert!(e.contains("row 0 of face") && e.contains("scene.ply"), "{e}");
    }
    let mut file = PlyFile { format: "ascii", ..PlyFile::of(&g) };
    let lists = Values::Lists("int", "int", vec![vec![1.0]; 3]);
    file.vertex().columns.insert(0, ("list".into(), lists));
    let text = String::from_utf8(file.bytes()).unwrap().replacen("1 1 ", "18446744073709551615 1 ", 1);
    let e = load("a.ply", text.as_bytes()).0.unwrap_err().to_string();
    assert!(e.contains("vertex 0 has"), "{e}");
}

/// GBK, Latin-1 and UTF-8 in comments and `obj_info`: bytes that nobody decodes.
#[test]
fn comments_are_bytes() {
    let g = scene(9, 4);
    let comments: [&[u8]; 4] = [
        b"comment C:/\xd3\xc3\xbb\xa7/\xc9\xa8\xc3\xe8",
        b"obj_info D:\\Aufnahmen\\K\xf6ln",
        "comment 点云".as_bytes(),
        b"comment",
    ];
    for format in FORMATS {
        let comments = comments.iter().map(|c| c.to_vec()).collect();
        assert_eq!(parse(&PlyFile { format, comments, ..PlyFile::of(&g) }).unwrap(), g);
    }
}

fn without(g: &Gaussians, names: &[&str]) -> PlyFile {
    let mut file = PlyFile::of(g);
    file.vertex().columns.retain(|(name, _)| !names.iter().any(|n| name.starts_with(n)));
    file
}

/// nerfstudio's export with `red green blue`: degree 0, from bytes or from fractions.
#[test]
fn colours_in_place_of_harmonics_are_degree_0() {
    let g = scene(9, 1);
    for (kind, full) in [("uchar", 255.0), ("ushort", 65_535.0), ("float", 1.0)] {
        let mut file = without(&g, &["f_dc_"]);
        for (c, name) in ["red", "green", "blue"].into_iter().enumerate() {
            let value = |i: usize| f64::from((0.5 + SH_C0 * g.sh[3 * i + c]).clamp(0.0, 1.0)) * full;
            let round = |x: f64| if kind == "float" { x } else { x.round() };
            let values = (0..9).map(|i| round(value(i))).collect();
            file.vertex().columns.push((name.into(), Values::Numbers(kind, values)));
        }
        let (read, warnings) = load("a.ply", &file.bytes());
        let dc = 0.51 / full as f32 / SH_C0 + 1e-5;
        assert_near(kind, &g, &read.unwrap(), Tolerance { dc, ..Tolerance::EXACT });
        assert!(warnings.len() == 1 && warnings[0].contains("SH degree 0"), "{warnings:?}");
    }
}

/// 2D Gaussian Splatting: two scales become flat Gaussians.
#[test]
fn two_scales_are_flat_gaussians() {
    let g = scene(9, 9);
    let (read, warnings) = load("a.ply", &without(&g, &["scale_2"]).bytes());
    let flat = read.unwrap();
    flat.check().unwrap();
    for (a, b) in flat.log_scales.chunks_exact(3).zip(g.log_scales.chunks_exact(3)) {
        assert_eq!(a[..2], b[..2]);
        assert!(a[2] < a[0].min(a[1]) - 9.0, "{a:?}");
    }
    assert_eq!((&flat.means, &flat.sh, &flat.rotations), (&g.means, &g.sh, &g.rotations));
    assert!(warnings.len() == 1 && warnings[0].contains("scale_2"), "{warnings:?}");
}

/// Mip-Splatting's checkpoints hold the 3D filter beside the parameters: without it, a scene looks wrong.
#[test]
fn the_filter_of_mip_splatting_is_applied() {
    let g = scene(9, 1);
    let mut file = PlyFile::of(&g);
    file.vertex().columns.push(("filter_3D".into(), Values::Numbers("float", vec![0.01; 9])));
    let (read, warnings) = load("a.ply", &file.bytes());
    let read = read.unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("filter_3D"), "{warnings:?}");
    for i in 0..9 {
        let (mut mass, logit) = (1.0, f64::from(g.opacity_logits[i]));
        for k in 0..3 {
            let before = f64::from(g.log_scales[3 * i + k]).exp();
            let after = before.hypot(0.01);
            mass *= before / after;
            assert!((f64::from(read.log_scales[3 * i + k]) - after.ln()).abs() < 1e-5);
        }
        let opacity = f64::from(common::sigmoid(read.opacity_logits[i]));
        assert!((opacity - mass / (1.0 + (-logit).exp())).abs() < 1e-6, "{i}");
    }
    // No filter is no change.
    file.vertex().columns.last_mut().unwrap().1 = Values::Numbers("float", vec![0.0; 9]);
    assert_near("no filter", &g, &parse(&file).unwrap(), Tolerance::EXACT);
}

/// Harmonics of degree 4 (gsplat) are cut to degree 3, channel by channel.
#[test]
fn degree_4_is_cut() {
    let g = scene(5, 16);
    let mut file = PlyFile::of(&g);
    let columns = &mut file.vertex().columns;
    for (name, _) in columns.iter_mut() {
        if let Some(k) = name.strip_prefix("f_rest_").map(|k| k.parse::<usize>().unwrap()) {
            *name = format!("f_rest_{}", k / 15 * 24 + k % 15);
        }
    }
    for c in 0..3 {
        for m in 15..24 {
            columns.push((format!("f_rest_{}", c * 24 + m), Values::Numbers("float", vec![9.0; 5])));
        }
    }
    let (read, warnings) = load("a.ply", &file.bytes());
    assert_eq!(read.unwrap(), g);
    assert!(warnings.len() == 1 && warnings[0].contains("degree 4"), "{warnings:?}");
}

/// Properties that other programs add change nothing.
#[test]
fn further_properties_are_ignored() {
    let g = scene(9, 4);
    let mut file = PlyFile::of(&g);
    for (k, (name, kind)) in
        [("nxx", "float"), ("segment_id", "int"), ("confidence", "double"), ("red", "uchar")]
            .into_iter()
            .enumerate()
    {
        file.vertex().columns.insert(5 * k, (name.into(), Values::Numbers(kind, vec![3.0; 9])));
    }
    let (read, warnings) = load("a.ply", &file.bytes());
    assert_eq!((read.unwrap(), warnings), (g, Vec::new()));
}

#[test]
fn what_holds_no_gaussians_is_named() {
    let g = scene(9, 1);
    let cloud = without(&g, &["f_", "opacity", "scale", "rot"]);
    let mut mesh = cloud.clone();
    mesh.elements.push(faces("face", 3));
    let mut anchors = PlyFile::of(&g);
    anchors.vertex().columns.push(("f_offset_0".into(), Values::Numbers("float", vec![0.0; 9])));
    for (file, words) in [
        (cloud, "a point cloud, no Gaussians: 9 vertices with x, y, z"),
        (mesh, "a mesh, no Gaussians: 9 vertices"),
        (anchors, "anchors of Scaffold-GS"),
    ] {
        let e = load("a.ply", &file.bytes()).0.unwrap_err();
        assert!(matches!(&e, Error::NotGaussians { .. }) && e.to_string().contains(words), "{e}");
        assert!(e.hint().is_some());
    }
    // Gaussians that lack a property are not taken for something else.
    let e = parse(&without(&g, &["rot_2", "opacity"])).unwrap_err().to_string();
    assert!(e.contains("the vertices have no opacity, rot_2"), "{e}");
}

/// Streamed SOG: the finest level that each place has, and the environment; by its folder or its description.
#[test]
fn streamed_sog_is_read_at_its_finest_level() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (name, n) in [("0_0", 9), ("0_1", 7), ("1_0", 4), ("env", 3)] {
        scene(n, 1).write(at(name).join("meta.json")).unwrap();
    }
    let part = |name: &str| Gaussians::read(at(name)).unwrap();
    let files = r#""filenames": ["0_0/meta.json", "0_1/meta.json", "1_0/meta.json"]"#;
    let json = format!(
        r#"{{"version": 1, "count": 20, "lodLevels": 2, {files}, "environment": "env/meta.json",
            "tree": {{"bound": {{"min": [0, 0, 0], "max": [1, 1, 1]}}, "children": [
                {{"lods": {{"0": {{"file": 0, "offset": 2, "count": 7}}, "1": {{"file": 2, "offset": 0, "count": 4}}}}}},
                {{"children": [{{"lods": {{"0": {{"file": 1, "offset": 0, "count": 7}}}}}},
                              {{"lods": {{"1": {{"file": 2, "offset": 0, "count": 1}}}}}}]}}]}}}}"#
    );
    let write = |text: &str| std::fs::write(at("lod-meta.json"), text).unwrap();
    write(&json);
    let mut expected = part("0_0").select(&[2, 3, 4, 5, 6, 7, 8]);
    for rest in [part("0_1"), part("1_0").select(&[0]), part("env")] {
        expected.append(&rest).unwrap();
    }
    for path in [dir.path().to_path_buf(), at("lod-meta.json")] {
        let loaded = Gaussians::load(&path).unwrap();
        assert_eq!(loaded.gaussians, expected);
        let warnings = loaded.warnings.join("; ");
        assert!(
            warnings.contains("finest of 2 levels") && warnings.contains("3 Gaussians of its environment")
        );
    }
    for (from, to, says) in [
        (r#""count": 7}}}"#, r#""count": 8}}}"#, "8 Gaussians from 0 on in 0_1/meta.json, which has 7"),
        (r#""file": 1"#, r#""file": 5"#, "part 5, but 3 parts"),
        ("0_1/meta", "../0_1/meta", "not beside it"),
        ("1_0/meta.json", "lod-meta.json", "streamed SOG within another"),
        (r#""version": 1"#, r#""version": 2"#, "streamed SOG of version 2, expected 1"),
        (
            r#""file": 2, "offset": 0, "count": 1"#,
            r#""file": 0, "offset": 0, "count": 9"#,
            "9 Gaussians from 0",
        ),
    ] {
        let changed = json.replace(from, to);
        assert_ne!(changed, json);
        write(&changed);
        let e = Gaussians::read(dir.path()).unwrap_err().to_string();
        assert!(e.contains(says), "{says}: {e}");
    }
    let mut zip = zip::ZipWriter::new(std::fs::File::create(at("a.sog")).unwrap());
    zip.start_file("lod-meta.json", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(json.as_bytes()).unwrap();
    zip.finish().unwrap();
    let e = Gaussians::read(at("a.sog")).unwrap_err();
    assert!(matches!(&e, Error::NotGaussians { .. }) && e.hint().unwrap().contains("unpack"), "{e}");
    std::fs::remove_file(at("lod-meta.json")).unwrap();
    assert_eq!(Gaussians::read(at("0_0")).unwrap().len(), 9, "a part is a scene");
    // The description is the file that was named, whatever its name and whatever is beside it.
    std::fs::rename(at("0_0/meta.json"), at("0_0/other.json")).unwrap();
    std::fs::write(at("0_0/transforms.json"), r#"{"frames": []}"#).unwrap();
    assert_eq!(Gaussians::read(at("0_0/other.json")).unwrap().len(), 9);
    let e = Gaussians::read(at("0_0/transforms.json")).unwrap_err().to_string();
    assert!(e.contains("transforms.json") && e.contains("not a SOG description"), "{e}");
}

/// gzip around a PLY, SPZ of version 1, a few bytes too many.
#[test]
fn other_wrappings_are_read() {
    use std::io::Write;
    let g = scene(9, 4);
    let gzip = |bytes: &[u8]| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    };
    for name in ["a.ply", "a.ply.gz"] {
        let packed = gzip(&PlyFile::of(&g).bytes());
        assert_eq!(load(name, &packed).0.unwrap(), g);
        let cut = load(name, &packed[..packed.len() / 2]).0.unwrap_err().to_string();
        assert!(cut.contains("gzip stream"), "{cut}");
    }
    // Version 1: half floats, then a byte for each of the other numbers.
    let mut payload = [&b"NGSP"[..], &1u32.to_le_bytes(), &2u32.to_le_bytes(), &[0, 12, 0, 0]].concat();
    for half in [0x3c00u16, 0xc100, 0x0001, 0x3555, 0x7bff, 0x8000] {
        payload.extend(half.to_le_bytes());
    }
    payload.extend([128; 2 + 6 + 6 + 6]);
    let read = load("a.spz", &gzip(&[&payload[..], b"z"].concat())).0.unwrap();
    // y and z change sign with the frame.
    let expected = [1.0, 2.5, -f32::powi(2.0, -24), 0.333_251_95, -65_504.0, 0.0];
    assert_eq!((read.len(), read.means.as_slice()), (2, &expected[..]));
    assert_eq!(read.log_scales, [-2.0; 6]);
    let mut splat = Vec::new();
    for x in [1.0f32, 2.0, 3.0, 0.5, 0.5, 0.5] {
        splat.extend(x.to_le_bytes());
    }
    splat.extend([200, 200, 200, 255, 255, 128, 128, 128, 7, 7, 7]);
    let (read, warnings) = load("a.splat", &splat);
    assert_eq!(read.unwrap().means, [1.0, 2.0, 3.0]);
    assert!(warnings.len() == 1 && warnings[0].starts_with("3 bytes"), "{warnings:?}");
}

/// What people take for a scene, each named as what it is.
#[test]
fn files_of_other_kinds_are_named() {
    for (name, bytes, says) in [
        (
            "a.ply",
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"[..],
            "a pointer of Git LFS",
        ),
        ("a.ply", b"<!DOCTYPE html>", "a web page"),
        ("a.spz", b"", "an empty file"),
        ("a.ksplat", b"\0\x01\0\0", "KSplat is not read"),
    ] {
        let e = load(name, bytes).0.unwrap_err();
        assert!(matches!(&e, Error::NotGaussians { .. }) && e.to_string().contains(says), "{e}");
        assert!(e.hint().is_some());
    }
    for (inner, says) in [("archive/data.pkl", "PyTorch"), ("means.npy", "NumPy"), ("a/b.ply", "a PLY in it")]
    {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file(inner, zip::write::SimpleFileOptions::default()).unwrap();
        let e = load("a.zip", &zip.finish().unwrap().into_inner()).0.unwrap_err();
        assert!(matches!(&e, Error::NotGaussians { .. }) && e.to_string().contains(says), "{e}");
    }
}

/// In a scene's folder, a link to an endless device, a named pipe and a folder are refused rather than opened.
#[test]
#[cfg(unix)]
fn only_files_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let obstacle = |path: &std::path::Path, kind: &str| match kind {
        "a device" => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        "a folder" => std::fs::create_dir(path).unwrap(),
        _ => assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()),
    };
    for kind in ["a device", "a folder", "a named pipe"] {
        for name in ["meta.json", "means_l.webp", "sh0.webp"] {
            let folder: PathBuf = dir.path().join(format!("{kind} {name}"));
            scene(9, 1).write(folder.join("meta.json")).unwrap();
            let path = folder.join(name);
            std::fs::remove_file(&path).unwrap();
            obstacle(&path, kind);
            let e = Gaussians::read(&folder).unwrap_err().to_string();
            assert!(e.contains(name), "{e}");
            // A folder of which the description is no file has no description.
            assert!(name == "meta.json" || e.contains(&format!("this is {kind}, expected a file")), "{e}");
        }
        for name in ["a.ply", "b.splat", "c.spz", "d.sog", "e.compressed.ply"] {
            let path = dir.path().join(format!("{kind} {name}"));
            obstacle(&path, kind);
            let e = Gaussians::read(&path).unwrap_err().to_string();
            assert!(e.contains(name) && (kind == "a folder" || e.contains(kind)), "{e}");
        }
        let scene_file = dir.path().join(format!("{kind}.spz"));
        scene(9, 1).write(&scene_file).unwrap();
        obstacle(&splat_scene::Origin::sidecar(&scene_file), kind);
        let e = Gaussians::read(&scene_file).unwrap_err().to_string();
        assert!(e.contains("origin.json") && e.contains(kind), "{e}");
    }
}
