//! Files of Gaussians that are cut off, altered or malicious: an error names the file, nothing panics, and memory stays in
//! proportion to the size of the file.

mod common;

use common::packed::{files, gunzip, gzip, parse, refused, unzip, zip};
use common::scene;
use proptest::prelude::*;
use splat_scene::spz::Version;
use splat_scene::{Error, GaussianFormat, Gaussians};

/// Whatever the bytes, the result is an error that names the file, or consistent Gaussians.
fn survives(format: GaussianFormat, data: &[u8]) {
    match parse(format, data) {
        Ok(g) => {
            g.check_lengths().unwrap();
            assert!(format == GaussianFormat::Ply || g.check().is_ok(), "{format}: numbers are finite");
            assert!(g.len() <= 64 * data.len() + (64 << 20));
        }
        Err(e) => {
            let text = e.to_string();
            assert!(matches!(e, Error::Read(_)) || text.contains("some/scene"), "{format}: {text}");
        }
    }
}

/// Alters some bytes and may cut off the end; of the file, or inside its checksums, of the packed data.
fn alter(format: GaussianFormat, data: &[u8], edits: &[(f32, u8)], cut: f32, inside: bool) -> Vec<u8> {
    let edit = |data: &mut Vec<u8>| {
        for &(at, value) in edits {
            let n = data.len();
            if n > 0 {
                // Most of what matters is at the beginning.
                let k = ((at * at) * n as f32) as usize;
                data[k.min(n - 1)] = value;
            }
        }
        data.truncate((2.0 * cut * data.len() as f32) as usize);
    };
    match format {
        GaussianFormat::Spz(Version::V3) if inside => {
            let mut payload = gunzip(data);
            edit(&mut payload);
            gzip(&payload)
        }
        GaussianFormat::Sog if inside => {
            let mut entries = unzip(data);
            let k = ((cut * 1e4) as usize) % entries.len();
            edit(&mut entries[k].1);
            zip(&entries, zip::CompressionMethod::Stored)
        }
        _ => {
            let mut data = data.to_vec();
            edit(&mut data);
            data
        }
    }
}

proptest! {
    // A failing case prints its input; no regression files are written beside the tests.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn altered_files_never_panic(
        edits in prop::collection::vec((0.0f32..1.0, any::<u8>()), 0..6),
        cut in 0.0f32..1.0,
        inside in any::<bool>(),
    ) {
        for (format, data) in files() {
            survives(format, &alter(format, &data, &edits, cut, inside));
        }
    }
}

/// A prefix of a file is never accepted, except of `.splat`, which cannot tell at whole records and is read up to the last one with a warning.
#[test]
fn every_truncation_is_an_error() {
    for (format, data) in files() {
        for n in 0..data.len() {
            if format == GaussianFormat::Splat && (n == 0 || n >= 32) {
                continue;
            }
            let e = parse(format, &data[..n]).expect_err("truncated").to_string();
            assert!(e.contains("some/scene"), "{format}, {n} bytes: {e}");
        }
    }
}

/// 4 billion Gaussians in a few bytes are refused because of the size of the file, before anything is expanded.
#[test]
fn absurd_counts_are_refused() {
    for (format, mut data) in files() {
        match format {
            GaussianFormat::Spz(Version::V3) => {
                let mut payload = gunzip(&data);
                payload[8..12].copy_from_slice(&[0xff; 4]);
                refused(format, &gzip(&payload), &["would unpack to"]);
            }
            GaussianFormat::Spz(Version::V4) => {
                data[8..12].copy_from_slice(&[0xff; 4]);
                refused(format, &data, &["expected 38654705655 for 4294967295 Gaussians"]);
                for (at, size) in [(40, 9), (56, 1), (72, 3), (88, 3), (104, 4), (120, 9)] {
                    data[at..at + 8].copy_from_slice(&(size * 0xffff_ffffu64).to_le_bytes());
                }
                refused(format, &data, &["would unpack to"]);
            }
            GaussianFormat::Sog => {
                for count in ["5000000000", "4294967295", "-1", "1e30", "\"20\""] {
                    let mut entries = unzip(&data);
                    let meta = entries.iter_mut().find(|(n, _)| n == "meta.json").unwrap();
                    let text = String::from_utf8(meta.1.clone()).unwrap();
                    meta.1 =
                        text.replace("\"count\":20,\"means", &format!("\"count\":{count},\"means")).into();
                    assert_ne!(meta.1, text.as_bytes());
                    refused(format, &zip(&entries, zip::CompressionMethod::Stored), &[]);
                }
            }
            GaussianFormat::CompressedPly => {
                let end = data.windows(10).position(|w| w == b"end_header").unwrap();
                let text = String::from_utf8(data[..end].to_vec()).unwrap();
                for (from, to, word) in [
                    ("vertex 20", "vertex 4294967295", "claims 4294967295"),
                    ("vertex 20", "vertex 18446744073709551615", "claims 18446744073709551615"),
                    ("chunk 1", "chunk 0", "0 chunks of 256 for 20"),
                    ("vertex 20", "vertex 19", "rows of sh for 19"),
                    ("chunk 1", "chunk 2", "claims 20 rows"),
                    ("float min_x", "uint min_x", "no property min_x"),
                    ("uint packed_rotation", "float packed_rotation", "no property packed_rotation"),
                    ("uchar f_rest_8", "uchar f_rest_9", "no property f_rest_8"),
                    ("element sh", "element chunks", ""),
                    ("binary_little_endian", "ascii", "binary_little_endian"),
                ] {
                    let mut header = text.replacen(from, to, 1).into_bytes();
                    assert_ne!(header, text.as_bytes(), "{from}");
                    header.extend(&data[end..]);
                    match word {
                        // Elements with other names are ignored.
                        "" => assert_eq!(parse(format, &header).unwrap().coeffs, 1),
                        word => refused(format, &header, &[word]),
                    }
                }
            }
            GaussianFormat::Gltf => {
                for count in ["21", "4294967295", "-1", "1e30", "18446744073709551615"] {
                    refused(format, &described(&data, "\"count\":20", &format!("\"count\":{count}")), &[]);
                }
            }
            GaussianFormat::Ply | GaussianFormat::Splat | GaussianFormat::SogFolder => {}
            other => panic!("{other} has no hostile files yet"),
        }
    }
}

/// A `.glb` with each `from` in its description replaced by `to`.
fn described(glb: &[u8], from: &str, to: &str) -> Vec<u8> {
    let size = u32::from_le_bytes(glb[12..16].try_into().unwrap()) as usize;
    let text = std::str::from_utf8(&glb[20..20 + size]).unwrap();
    assert!(text.contains(from), "{from}: {text}");
    let text = text.replace(from, to);
    let total = (glb.len() - size + text.len()) as u32;
    let sizes = [total.to_le_bytes(), (text.len() as u32).to_le_bytes()];
    [&glb[..8], &sizes[0], &sizes[1], &glb[16..20], text.as_bytes(), &glb[20 + size..]].concat()
}

/// What a glTF can get wrong or what is not read; each error names what it is about.
#[test]
fn wrong_gltf_is_refused() {
    let (format, glb) = files().swap_remove(6);
    assert_eq!(format, GaussianFormat::Gltf);
    let cases = [
        ("\"version\":\"2.0\"", "\"version\":\"1.0\"", "glTF version \"1.0\", expected 2"),
        ("\"mode\":0", "\"mode\":4", "a primitive of mode 4, expected 0"),
        ("KHR_gaussian_splatting:SCALE", "SCALE", "KHR_gaussian_splatting:SCALE: the primitive has no such"),
        ("SH_DEGREE_1_COEF_2", "SH_DEGREE_1_COEF_7", "SH_DEGREE_1_COEF_2: the primitive has no such"),
        ("\"SCALAR\"", "\"VEC2\"", "OPACITY: the type is \"VEC2\", expected SCALAR"),
        ("\"componentType\":5126", "\"componentType\":5125", "the component type is 5125"),
        ("\"byteOffset\":0,", "\"byteOffset\":99999,", "POSITION: 20 values of 12 bytes, 12 apart, leave"),
        ("\"buffer\":0,", "\"buffer\":7,", "POSITION: its buffer does not exist"),
        (
            "\"byteOffset\":0,",
            "\"byteOffset\":0,\"extensions\":{\"EXT_meshopt_compression\":{}},",
            "that EXT_meshopt",
        ),
        (
            "\"kernel\":",
            "\"extensions\":{\"KHR_x_spz\":{}},\"kernel\":",
            "compressed or changed by KHR_x_spz",
        ),
        ("{\"KHR_gaussian_splatting\"", "{\"KHR_other\"", "a glTF without KHR_gaussian_splatting"),
        ("{\"mesh\":0}", "{\"mesh\":0,\"children\":[0]}", "or nodes contain each other"),
        ("{\"mesh\":0}", "{\"mesh\":0,\"scale\":[1,-1,1]}", "scales by 1, -1, 1: mirrored"),
        ("{\"mesh\":0}", "{\"mesh\":0,\"rotation\":[0,0,0,0]}", "a rotation without length"),
        (
            "{\"mesh\":0}",
            "{\"mesh\":0,\"matrix\":[1,0,0,0,0,1,0,0,0,0.5,1,0,0,0,0,1]}",
            "node 0 has a matrix that mirrors, stretches or shears",
        ),
    ];
    for (from, to, words) in cases {
        refused(format, &described(&glb, from, to), &[words]);
    }
    // A thousand primitives of the same data.
    let size = u32::from_le_bytes(glb[12..16].try_into().unwrap()) as usize;
    let text = std::str::from_utf8(&glb[20..20 + size]).unwrap();
    let primitive = text.split("\"primitives\":[").nth(1).unwrap().split("]}]").next().unwrap();
    let many = vec![primitive; 200_000].join(",");
    refused(format, &described(&glb, primitive, &many), &["would unpack to"]);
    for uri in ["../scene.bin", "/etc/passwd", "http://host/scene.bin", "a\\\\b", ""] {
        let with = format!("\"buffers\":[{{\"uri\":\"{uri}\",");
        refused(format, &described(&glb, "\"buffers\":[{", &with), &["which is not beside it"]);
    }
    let with = "\"buffers\":[{\"uri\":\"data:application/octet-stream;base64,AAAA\",";
    refused(format, &described(&glb, "\"buffers\":[{", with), &["`data:`"]);
}

/// Streams that expand a thousandfold are cut off at the size in their header, or refused if that size is absurd.
#[test]
fn bombs_are_defused() {
    // gzip: a header for 20 Gaussians, then 64 MiB of zeros.
    let (format, data) = files().swap_remove(3);
    let mut payload = gunzip(&data);
    payload.resize(payload.len() + (64 << 20), 0);
    let bomb = gzip(&payload);
    assert!(bomb.len() < 1 << 20);
    refused(format, &bomb, &["left over"]);
    // zstd: a stream of positions that goes on after 20 Gaussians.
    let (format, data) = files().swap_remove(4);
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let endless = ruzstd::encoding::compress_to_vec(vec![0; 64 << 20].as_slice(), level);
    let at = |k: usize| u64::from_le_bytes(data[k..k + 8].try_into().unwrap()) as usize;
    let (table, first) = (32, at(32));
    let start = table + 6 * 16;
    let mut bomb = data[..start].to_vec();
    bomb[table..table + 8].copy_from_slice(&(endless.len() as u64).to_le_bytes());
    bomb.extend(&endless);
    bomb.extend(&data[start + first..]);
    refused(format, &bomb, &["positions", "more than the 180 bytes expected"]);
    // WebP: 16383 x 16383 pixels of one colour in a few bytes.
    let (format, data) = files().swap_remove(5);
    let mut picture = Vec::new();
    let (w, h) = (16_383u32, 6_000);
    image_webp::WebPEncoder::new(&mut picture)
        .encode(&vec![7; (w * h) as usize], w, h, image_webp::ColorType::L8)
        .unwrap();
    assert!(picture.len() < 1 << 20, "{}", picture.len());
    let mut entries = unzip(&data);
    entries.iter_mut().filter(|(n, _)| n.starts_with("means")).for_each(|(_, d)| *d = picture.clone());
    refused(format, &zip(&entries, zip::CompressionMethod::Stored), &["means_l.webp", "would unpack to"]);
    // zip: an entry that deflates a thousandfold.
    let mut entries = unzip(&data);
    entries.iter_mut().find(|(n, _)| n == "meta.json").unwrap().1 = vec![b' '; 160 << 20];
    let bomb = zip(&entries, zip::CompressionMethod::Deflated);
    assert!(bomb.len() < 1 << 20);
    refused(format, &bomb, &["meta.json", "would unpack to"]);
}

/// What a bundle can lack or get wrong; each error names the file in question.
#[test]
fn wrong_sog_parts_are_named() {
    let (format, data) = files().swap_remove(5);
    let whole = unzip(&data);
    let stored = zip::CompressionMethod::Stored;
    for (name, _) in &whole {
        let rest: Vec<_> = whole.iter().filter(|(n, _)| n != name).cloned().collect();
        refused(format, &zip(&rest, stored), &[name]);
        let cut: Vec<_> = whole
            .iter()
            .map(|(n, d)| (n.clone(), d[..d.len() / if n == name { 2 } else { 1 }].to_vec()))
            .collect();
        refused(format, &zip(&cut, stored), &[name]);
    }
    let with = |name: &str, data: Vec<u8>| {
        let mut entries = whole.clone();
        entries.iter_mut().find(|(n, _)| n == name).unwrap().1 = data;
        zip(&entries, stored)
    };
    let tiny = |pixels: &[u8], w: u32| {
        let mut out = Vec::new();
        let h = (pixels.len() / 4) as u32 / w;
        image_webp::WebPEncoder::new(&mut out).encode(pixels, w, h, image_webp::ColorType::Rgba8).unwrap();
        out
    };
    for name in ["means_l.webp", "means_u.webp", "quats.webp", "scales.webp", "sh0.webp", "shN_labels.webp"] {
        refused(format, &with(name, tiny(&[0; 64], 4)), &[name, "4x4, which is 16 pixels for 20 Gaussians"]);
    }
    refused(format, &with("shN_centroids.webp", tiny(&[0; 4 * 64], 64)), &["64 pixels wide, expected 192"]);
    let label = tiny(&[200u8, 0, 0, 255].repeat(64), 8);
    refused(format, &with("shN_labels.webp", label), &["shN_labels.webp", "entry 200 of the palette"]);

    let meta = String::from_utf8(whole.iter().find(|(n, _)| n == "meta.json").unwrap().1.clone()).unwrap();
    let said = |from: &str, to: &str| {
        assert!(meta.contains(from), "{from}");
        with("meta.json", meta.replacen(from, to, 1).into_bytes())
    };
    let first = |key: &str| {
        let at = meta.find(key).unwrap();
        let start = at + meta[at..].find('[').unwrap();
        meta[start..start + meta[start..].find(']').unwrap() + 1].to_owned()
    };
    for (from, to, words) in [
        ("\"version\":2", "\"version\":3", "SOG version 3"),
        ("\"means_l.webp\"", "\"../means_l.webp\"", "not beside it"),
        ("\"means_l.webp\"", "\"/etc/passwd\"", "not beside it"),
        ("\"means_l.webp\",", "", "names 1 files"),
        ("\"bands\":1", "\"bands\":2", "192 pixels wide, expected 512"),
        ("\"bands\":1", "\"bands\":7", "7 bands"),
        ("\"bands\":1", "\"bands\":-1", "not a SOG description"),
        (&first("\"mins\""), "[0,0]", "2 mins"),
        (&first("\"mins\""), "[0,0,1e300]", "unusable numbers"),
        (&first("\"codebook\""), "[]", "codebook of scales, which has 0"),
    ] {
        refused(format, &said(from, to), &[words]);
    }
    refused(format, &with("meta.json", b"[1, 2".to_vec()), &["meta.json", "not a SOG description"]);

    // Names inside a folder of the zip, and deflated entries, are fine.
    let moved: Vec<_> = whole.iter().map(|(n, d)| (format!("inner/{n}"), d.clone())).collect();
    let g = parse(format, &zip(&moved, zip::CompressionMethod::Deflated)).unwrap();
    assert_eq!(g, parse(format, &data).unwrap());
}

/// A folder without one of its images: the error names the image.
#[test]
fn missing_pictures_of_a_folder_are_named() {
    let dir = tempfile::tempdir().unwrap();
    scene(20, 4).write(dir.path().join("meta.json")).unwrap();
    std::fs::remove_file(dir.path().join("quats.webp")).unwrap();
    let e = Gaussians::read(dir.path()).unwrap_err().to_string();
    assert!(e.contains("quats.webp"), "{e}");
}

/// Headers that SPZ does not allow.
#[test]
fn wrong_spz_headers_are_refused() {
    let mut files = files();
    let (v3, gzipped) = files.swap_remove(3);
    let payload = gunzip(&gzipped);
    let with = |at: usize, value: u8| {
        let mut p = payload.clone();
        p[at] = value;
        gzip(&p)
    };
    refused(v3, &with(0, b'X'), &["not an SPZ file"]);
    refused(v3, &with(4, 1), &["left over"]);
    refused(v3, &with(4, 4), &["version 4, expected 1 to 3"]);
    refused(v3, &with(12, 4), &["SH degree 4"]);
    refused(v3, &with(13, 24), &["24 fractional bits"]);
    refused(v3, b"neither", &["neither"]);
    let (v4, data) = files.into_iter().find(|(f, _)| *f == GaussianFormat::Spz(Version::V4)).unwrap();
    let with = |at: usize, value: u8| {
        let mut d = data.clone();
        d[at] = value;
        d
    };
    refused(v4, &with(4, 3), &["version 3, expected 4"]);
    refused(v4, &with(15, 5), &["5 streams, expected 6"]);
    refused(v4, &with(15, 200), &["200 streams"]);
    refused(v4, &with(16, 31), &["at byte 31"]);
    refused(v4, &with(19, 255), &["table of streams is at byte"]);
    refused(v4, &with(39, 255), &["the positions"]);

    // Extensions: a frame of its own, LDB, is converted; one with another order of axes is refused.
    let extended = |code: u32| {
        let mut d = data.clone();
        d[14] |= 2;
        d[16] = 32 + 12 + 9;
        let record = [&0xadbe_0003u32.to_le_bytes()[..], &4u32.to_le_bytes(), &code.to_le_bytes()].concat();
        let unknown = [&0x1234_0001u32.to_le_bytes()[..], &1u32.to_le_bytes(), &[9]].concat();
        d.splice(32..32, unknown.into_iter().chain(record));
        d
    };
    let plain = parse(v4, &data).unwrap();
    assert_eq!(parse(v4, &extended(4)).unwrap(), plain);
    let turned = parse(v4, &extended(1)).unwrap();
    for (a, b) in turned.means.chunks_exact(3).zip(plain.means.chunks_exact(3)) {
        assert_eq!(a, [-b[0], -b[1], b[2]]);
    }
    refused(v4, &extended(9), &["coordinate system 9"]);
}
