//! PLY and `.splat`: what is written is read back exactly, every variant of the layout reads the same, and malicious files
//! are refused without a large allocation.

use std::path::Path;

use proptest::prelude::*;
use splat_scene::{Error, Gaussians, Rows as _, SH_C0, ply, splat_file};

fn path() -> &'static Path {
    Path::new("some/scene.ply")
}

fn parse(bytes: &[u8]) -> Result<Gaussians, Error> {
    ply::parse_gaussians(path(), bytes, bytes.len() as u64)
}

/// `p` Gaussians with numbers that all differ.
fn sample(p: usize, coeffs: usize) -> Gaussians {
    let mut next = 0.0f32;
    let mut take = |n: usize| -> Vec<f32> {
        (0..n)
            .map(|_| {
                next += 0.37;
                next.sin() * 10.0
            })
            .collect()
    };
    Gaussians {
        means: take(3 * p),
        sh: take(3 * coeffs * p),
        coeffs,
        opacity_logits: take(p),
        log_scales: take(3 * p),
        rotations: take(4 * p),
        ..Gaussians::default()
    }
}

fn bytes_of(g: &Gaussians) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.ply");
    ply::write_gaussians(&file, g).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no partial file is left");
    std::fs::read(file).unwrap()
}

#[test]
fn every_degree_round_trips_exactly() {
    for coeffs in [1, 4, 9, 16] {
        for p in [0, 1, 17] {
            let mut g = sample(p, coeffs);
            if p > 1 {
                g.means[1] = f32::NAN;
                g.log_scales[0] = f32::NEG_INFINITY;
            }
            let back = parse(&bytes_of(&g)).unwrap();
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            for (a, b) in [
                (&back.means, &g.means),
                (&back.sh, &g.sh),
                (&back.opacity_logits, &g.opacity_logits),
                (&back.log_scales, &g.log_scales),
                (&back.rotations, &g.rotations),
            ] {
                assert_eq!(bits(a), bits(b));
            }
            assert_eq!((back.coeffs, back.sh_degree()), (coeffs, coeffs.isqrt() as u32 - 1));
            assert_eq!(back.check().is_ok(), p < 2, "check finds NaN and infinity");
        }
    }
}

/// A scene that stays in its file: the rows that are asked for, as from memory; what is unusable is left out or made finite.
#[test]
fn rows_are_read_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ply");
    let mut g = sample(300, 9);
    g.means[3 * 7] = f32::NAN;
    g.opacity_logits[8] = f32::INFINITY;
    ply::write_gaussians(&path, &g).unwrap();
    let mut file = ply::File::open(&path).unwrap().expect("binary, near the origin");
    let repair = g.repair().unwrap();
    assert_eq!((file.repair(), file.len(), file.coeffs()), (repair, 299, 9));
    let rows = [298, 0, 1, 2, 2, 7, 100];
    assert_eq!(file.pick(&rows).unwrap(), g.select(&rows));
    file.reduce_sh_degree(1);
    let mut less = g.select(&rows);
    less.reduce_sh_degree(1);
    assert_eq!((file.coeffs(), file.pick(&rows).unwrap()), (4, less));
    g.reduce_sh_degree(0);
    assert_eq!(file.without_harmonics().unwrap(), g);

    // Cut off behind its back.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(9000).unwrap();
    let e = file.pick(&[298]).unwrap_err();
    assert!(matches!(&e, Error::Truncated { path: at, .. } if *at == path), "{e}");
    assert!(matches!(ply::File::open(&path), Err(Error::Count { .. })));

    g.origin = splat_scene::Origin { offset: [1e6, 0.0, 0.0] };
    for world in [false, true] {
        ply::write_as(&path, &g, ply::Options { world, ..ply::Options::default() }).unwrap();
        assert!(ply::File::open(&path).unwrap().is_none(), "an origin, or positions of 64 bits");
    }
    std::fs::write(&path, "ply\nformat ascii 1.0\nelement vertex 0\nend_header\n").unwrap();
    assert!(ply::File::open(&path).is_err(), "no Gaussians");
}

/// The layout that other programs expect: the order of properties, and `f_rest` channel by channel.
#[test]
fn the_written_layout_is_the_published_one() {
    let mut g = sample(1, 4);
    g.sh = (0..12).map(|x| x as f32).collect();
    let bytes = bytes_of(&g);
    let end = bytes.windows(11).position(|w| w == b"end_header\n").unwrap() + 11;
    let header = std::str::from_utf8(&bytes[..end]).unwrap();
    let names: Vec<_> = header.lines().filter_map(|l| l.strip_prefix("property float ")).collect();
    let expected = "x y z nx ny nz f_dc_0 f_dc_1 f_dc_2 f_rest_0 f_rest_1 f_rest_2 f_rest_3 f_rest_4 f_rest_5 \
                    f_rest_6 f_rest_7 f_rest_8 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3";
    assert_eq!(names.join(" "), expected);
    let row: Vec<f32> =
        bytes[end..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    // Coefficient m of channel c is sh[3 m + c]: dc 0 1 2; red 3 6 9, green 4 7 10, blue 5 8 11.
    assert_eq!(row[6..18], [0.0, 1.0, 2.0, 3.0, 6.0, 9.0, 4.0, 7.0, 10.0, 5.0, 8.0, 11.0]);
}

/// `g` in another encoding and another order of properties, between other elements.
fn variant(g: &Gaussians, format: &str, reverse: bool, kind: &str) -> Vec<u8> {
    let per_channel = g.coeffs - 1;
    type Column<'a> = (String, Box<dyn Fn(usize) -> f32 + 'a>);
    let mut columns: Vec<Column<'_>> = Vec::new();
    for (k, name) in ["x", "y", "z"].into_iter().enumerate() {
        columns.push((name.into(), Box::new(move |i| g.means[3 * i + k])));
    }
    for c in 0..3 {
        columns.push((format!("f_dc_{c}"), Box::new(move |i| g.sh[3 * g.coeffs * i + c])));
        for m in 0..per_channel {
            let name = format!("f_rest_{}", c * per_channel + m);
            columns.push((name, Box::new(move |i| g.sh[3 * (g.coeffs * i + m + 1) + c])));
        }
        columns.push((format!("scale_{c}"), Box::new(move |i| g.log_scales[3 * i + c])));
    }
    columns.push(("opacity".into(), Box::new(|i| g.opacity_logits[i])));
    for k in 0..4 {
        columns.push((format!("rot_{k}"), Box::new(move |i| g.rotations[4 * i + k])));
    }
    if reverse {
        columns.reverse();
    }
    let mut header = format!("ply\r\nformat {format} 1.0\ncomment x\nelement camera 2\nproperty short a\n");
    header += &format!("element vertex {}\n", g.len());
    columns.iter().for_each(|(name, _)| header += &format!("property {kind} {name}\n"));
    header += "element face 1\nproperty list uchar int vertex_indices\nend_header\n";
    let mut out = header.into_bytes();
    match format {
        "ascii" => out.extend(b"1\n2\n"),
        _ => out.extend([0; 4]),
    }
    for i in 0..g.len() {
        for (_, value) in &columns {
            let x = value(i);
            match (format, kind) {
                ("ascii", _) => out.extend(format!("{x} ").into_bytes()),
                ("binary_little_endian", "double") => out.extend(f64::from(x).to_le_bytes()),
                ("binary_big_endian", "double") => out.extend(f64::from(x).to_be_bytes()),
                ("binary_big_endian", _) => out.extend(x.to_be_bytes()),
                _ => out.extend(x.to_le_bytes()),
            }
        }
        if format == "ascii" {
            out.push(b'\n');
        }
    }
    out.extend(b"\x03whatever follows");
    out
}

#[test]
fn every_encoding_and_order_reads_the_same() {
    for coeffs in [1, 9] {
        let g = sample(5, coeffs);
        for format in ["ascii", "binary_little_endian", "binary_big_endian"] {
            for reverse in [false, true] {
                for kind in ["float", "double"] {
                    let bytes = variant(&g, format, reverse, kind);
                    assert_eq!(parse(&bytes).unwrap(), g, "{format} {reverse} {kind}");
                }
            }
        }
    }
}

fn edited(g: &Gaussians, from: &str, to: &str) -> Result<Gaussians, Error> {
    let bytes = bytes_of(g);
    let end = bytes.windows(11).position(|w| w == b"end_header\n").unwrap();
    let header = std::str::from_utf8(&bytes[..end]).unwrap();
    assert!(header.contains(from));
    let mut new = header.replacen(from, to, 1).into_bytes();
    new.extend(&bytes[end..]);
    parse(&new)
}

#[test]
fn hostile_and_damaged_headers_are_refused() {
    let g = sample(3, 4);
    for count in ["4", "1000000", "9223372036854775808", "18446744073709551615"] {
        let e = edited(&g, "vertex 3", &format!("vertex {count}")).unwrap_err();
        assert!(matches!(&e, Error::Count { count: c, .. } if c.to_string() == count), "{e}");
    }
    let text = |from: &str, to: &str| edited(&g, from, to).unwrap_err().to_string();
    let cases = [
        ("vertex 3", "vertex 99999999999999999999", "expected a number"),
        ("vertex 3", "vertex -1", "expected a number"),
        ("element vertex", "element points", "no element vertex"),
        ("float opacity", "float opaque", "the vertices have no opacity"),
        ("float rot_3", "float rot_2", "the property rot_2 appears twice"),
        ("float f_rest_8", "float g_rest_8", "8 properties f_rest_*"),
        ("float f_rest_8", "float f_rest_9", "have no f_rest_8"),
        ("float nx", "quad nx", "unknown type \"quad\""),
        ("float x", "list uchar int x", "x is a list"),
        ("float nx", "list float int nx", "counted in fractions"),
        ("float nx", "list uchar quad nx", "unknown type \"quad\""),
        ("binary_little_endian", "binary_middle_endian", "unknown format"),
        ("format binary_little_endian 1.0\n", "", "no format line"),
        ("ply\n", "plx\n", "does not begin with"),
    ];
    for (from, to, message) in cases {
        let e = text(from, to);
        assert!(e.contains(message) && e.contains("scene.ply"), "{from} -> {to}: {e}");
    }
    let endless = [b"ply\ncomment ".to_vec(), vec![b'x'; 1 << 20]].concat();
    let e = parse(&endless).unwrap_err().to_string();
    assert!(e.contains("no end_header within"), "{e}");
    let empty_rows = b"ply\nformat ascii 1.0\nelement vertex 9223372036854775808\nend_header\n";
    let e = parse(empty_rows).unwrap_err().to_string();
    assert!(e.contains("the vertices have no x, y, z"), "{e}");
    let skipped = b"ply\nformat binary_little_endian 1.0\nelement a 9223372036854775808\nproperty double x\n\
                    element vertex 1\nproperty float x\nend_header\n";
    assert!(matches!(parse(skipped), Err(Error::Count { .. })));
}

#[test]
fn every_truncation_is_an_error() {
    let g = sample(2, 1);
    for bytes in [bytes_of(&g), variant(&g, "ascii", false, "float")] {
        let whole = parse(&bytes).unwrap();
        assert_eq!(whole, g);
        // In text, a cut inside the last number leaves a shorter number, which cannot be detected.
        let data_end = if bytes.ends_with(b"follows") { bytes.len() - 32 } else { bytes.len() };
        for n in 0..data_end {
            let e = parse(&bytes[..n]).expect_err("truncated").to_string();
            assert!(e.contains("scene.ply"), "{n}: {e}");
        }
    }
}

#[test]
fn compressed_ply_is_recognised() {
    let header = b"ply\nformat binary_little_endian 1.0\nelement vertex 0\nproperty uint packed_position\nend_header\n";
    let e = parse(header).unwrap_err().to_string();
    assert!(e.contains("PlayCanvas"), "{e}");
}

#[test]
fn point_clouds_read() {
    let header = "ply\nformat ascii 1.0\nelement vertex 2\nproperty double x\nproperty float y\nproperty float z\n\
                  property KIND red\nproperty KIND green\nproperty KIND blue\nend_header\n";
    let read = |kind: &str, rows: &str| {
        let text = header.replace("KIND", kind) + rows;
        ply::parse_points(path(), text.as_bytes(), text.len() as u64)
    };
    let bytes = read("uchar", "1 2 3 255 0 128\n4 5 6 1 2 3\n").unwrap();
    assert_eq!(
        (bytes[0].position, bytes[0].color, bytes[1].color),
        ([1.0, 2.0, 3.0], [255, 0, 128], [1, 2, 3])
    );
    assert_eq!(read("float", "1 2 3 1 0 0.5\n4 5 6 0 0 0\n").unwrap()[0].color, [255, 0, 128]);
    assert!(read("uchar", "1 2 nan 1 1 1\n4 5 6 1 2 3\n").unwrap()[0].position[2].is_nan(), "as found");
    assert!(
        read("uchar", "10 20 30 1 1\n4 5 6 1 2 3\n")
            .unwrap_err()
            .to_string()
            .contains("5 numbers, expected 6")
    );
    let e =
        parse((header.replace("KIND", "uchar") + "1 2 3 255 0 128\n4 5 6 1 2 3\n").as_bytes()).unwrap_err();
    assert!(
        e.to_string().contains("a point cloud, no Gaussians: 2 vertices with x, y, z, red, green, blue"),
        "{e}"
    );
}

#[test]
fn activations_are_the_published_ones() {
    let g = Gaussians {
        means: vec![1.0, 2.0, 3.0],
        sh: vec![0.0; 3],
        coeffs: 1,
        opacity_logits: vec![0.0],
        log_scales: vec![0.0, 1.0, -1.0],
        rotations: vec![2.0, 0.0, 0.0, 0.0],
        ..Gaussians::default()
    };
    let a = g.activated();
    assert_eq!((a.opacities[0], a.rotations), (0.5, vec![1.0, 0.0, 0.0, 0.0]));
    assert!((a.scales[1] - std::f32::consts::E).abs() < 1e-6);
    let mut zero = g;
    zero.rotations.fill(0.0);
    assert_eq!(zero.activated().rotations, [0.0; 4], "a zero quaternion gives no NaN");
}

#[test]
fn splat_records_read() {
    let mut record = Vec::new();
    [1.0, 2.0, 3.0, 0.5, 1.0, 0.0f32].iter().for_each(|x| record.extend(x.to_le_bytes()));
    record.extend([255, 0, 128, 255, 255, 128, 128, 0]);
    let g = splat_file::parse(path(), &record).unwrap();
    g.check().unwrap();
    assert_eq!((g.means.clone(), g.len(), g.coeffs), (vec![1.0, 2.0, 3.0], 1, 1));
    assert!((g.log_scales[0].exp() - 0.5).abs() < 1e-6);
    assert!((0.5 + SH_C0 * g.sh[0] - 1.0).abs() < 1e-6 && (0.5 + SH_C0 * g.sh[1]).abs() < 1e-6);
    assert!(g.activated().opacities[0] > 0.99);
    assert_eq!(g.rotations, [127.0 / 128.0, 0.0, 0.0, -1.0]);
    record.pop();
    let e = splat_file::parse(path(), &record).unwrap_err().to_string();
    assert!(e.contains("at byte 0") && e.contains("31 bytes are left"), "{e}");
}

proptest! {
    // A failing case prints its input; no regression files are written beside the tests.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        format in prop::sample::select(vec!["ascii", "binary_little_endian", "binary_big_endian"]),
    ) {
        let mut bytes = variant(&sample(2, 4), format, false, "float");
        edits.iter().for_each(|(at, value)| { let n = bytes.len(); bytes[at.index(n)] = *value; });
        bytes.truncate(cut.index(2 * bytes.len()));
        if let Ok(g) = parse(&bytes) {
            prop_assert!(g.check_lengths().is_ok() && g.len() <= bytes.len());
        }
        let _ = ply::parse_points(path(), bytes.as_slice(), bytes.len() as u64);
        let _ = splat_file::parse(path(), &bytes);
    }
}

/// The comment that brush and splat-transform write for scenes that were trained with antialiasing.
#[test]
fn a_render_mode_is_stated_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ply");
    let g = sample(3, 1);
    for (antialiased, expected) in [(true, Some(true)), (false, None)] {
        ply::write_as(&path, &g, ply::Options { antialiased, ..ply::Options::default() }).unwrap();
        assert_eq!(ply::antialiased(&path), expected);
        assert_eq!(Gaussians::read(&path).unwrap(), g);
    }
    let whole = std::fs::read(&path).unwrap();
    for (mode, expected) in [("mip", Some(true)), ("default", Some(false)), ("3dgs", None)] {
        let mut with = b"ply\ncomment SplatRenderMode: ".to_vec();
        with.extend([mode.as_bytes(), &whole[3..]].concat());
        std::fs::write(&path, with).unwrap();
        assert_eq!(ply::antialiased(&path), expected, "{mode}");
    }
    std::fs::write(&path, "no PLY").unwrap();
    assert_eq!(ply::antialiased(&path), None);
}
