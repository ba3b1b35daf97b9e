//! Sound files in other clothes, and slightly broken ones: each gives the same Gaussians, a warning that names the
//! difference, or an error that names the file and what is wrong with it. Never another scene in silence.

mod common;

use common::packed::{files, gunzip, gzip, unzip, zip};
use common::ply_file::{Element, PlyFile, Values};
use common::scene;
use proptest::prelude::*;
use splat_scene::spz::Version;
use splat_scene::{GaussianFormat, Gaussians};

/// What a change must lead to.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    Same,
    /// A warning with this word.
    Warning(&'static str),
    /// An error with this word.
    Error(String),
}

/// A change to a PLY file.
#[derive(Debug, Clone)]
enum Change {
    Encoding(&'static str),
    LineEnd(&'static str),
    Doubles,
    Order(u64),
    ForeignProperty(usize, bool),
    ForeignElement(bool),
    Comment(Vec<u8>),
    /// Normals, which everyone writes and nobody reads.
    Normals,
    /// A property in capital letters.
    Capital(usize),
    Missing(usize),
    /// A row without its last number, or with a word in place of one; in text.
    BrokenRow(usize, bool),
    /// The end of the file is missing.
    Cut(usize),
    /// More rows are claimed than there are.
    Count,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        prop::sample::select(vec!["ascii", "binary_big_endian"]).prop_map(Change::Encoding),
        prop::sample::select(vec!["\r\n", "\r"]).prop_map(Change::LineEnd),
        Just(Change::Doubles),
        any::<u64>().prop_map(Change::Order),
        (0usize..10, any::<bool>()).prop_map(|(at, list)| Change::ForeignProperty(at, list)),
        any::<bool>().prop_map(Change::ForeignElement),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Change::Comment),
        Just(Change::Normals),
    ];
    let breaking = prop_oneof![
        (0usize..23).prop_map(Change::Capital),
        (0usize..23).prop_map(Change::Missing),
        (0usize..9, any::<bool>()).prop_map(|(row, word)| Change::BrokenRow(row, word)),
        (1usize..200).prop_map(Change::Cut),
        Just(Change::Count),
    ];
    (prop::collection::vec(change, 0..6), prop::option::of(breaking))
        .prop_map(|(changes, last)| changes.into_iter().chain(last).collect())
}

/// The bytes of `g` after `changes`, and what they must lead to.
fn changed(g: &Gaussians, changes: &[Change]) -> (Vec<u8>, Outcome) {
    let mut file = PlyFile::of(g);
    let mut outcome = Outcome::Same;
    let mut cut = 0;
    for (k, change) in changes.iter().enumerate() {
        let rows = file.vertex().rows;
        let columns = &mut file.vertex().columns;
        match change {
            Change::Encoding(format) => file.format = format,
            Change::LineEnd(end) => file.line_end = end,
            Change::Doubles => {
                for (_, values) in columns {
                    if let Values::Numbers(kind @ "float", _) = values {
                        *kind = "double";
                    }
                }
            }
            Change::Order(seed) => {
                let mut rng = common::Rng(*seed);
                for i in (1..columns.len()).rev() {
                    columns.swap(i, (rng.next() * (i + 1) as f32) as usize % (i + 1));
                }
            }
            Change::ForeignProperty(at, list) => {
                let values = match list {
                    true => Values::Lists("uchar", "short", (0..rows).map(|i| vec![3.0; i % 3]).collect()),
                    false => Values::Numbers("int", vec![-7.0; rows]),
                };
                columns.insert(*at, (format!("foreign_{k}"), values));
            }
            Change::ForeignElement(before) => {
                let lists = Values::Lists("uchar", "int", vec![vec![1.0, 2.0, 3.0]; 2]);
                let element =
                    Element { name: format!("foreign_{k}"), rows: 2, columns: vec![("list".into(), lists)] };
                file.elements.insert(if *before { 0 } else { file.elements.len() }, element);
            }
            Change::Comment(bytes) => {
                let clean = bytes.iter().copied().filter(|b| !b"\r\n".contains(b));
                file.comments.push(b"comment ".iter().copied().chain(clean).collect());
            }
            Change::Normals => {
                for n in ["nx", "ny", "nz"].map(|n| format!("{n}{}", if k == 0 { "" } else { "_again" })) {
                    if columns.iter().all(|(name, _)| *name != n) {
                        columns.push((n, Values::Numbers("float", vec![0.0; rows])));
                    }
                }
            }
            Change::Capital(at) | Change::Missing(at) => {
                let needed: Vec<usize> =
                    (0..columns.len()).filter(|&i| !columns[i].0.starts_with(['n', 'f'])).collect();
                let at = needed[at % needed.len()];
                let name = columns[at].0.clone();
                outcome = match name.as_str() {
                    "scale_2" => Outcome::Warning("scale_2"),
                    _ => Outcome::Error(format!("no {name}")),
                };
                match change {
                    Change::Capital(_) => columns[at].0 = name.to_uppercase(),
                    _ => drop(columns.remove(at)),
                }
            }
            Change::BrokenRow(..) => file.format = "ascii",
            Change::Cut(n) => {
                cut = *n;
                outcome = Outcome::Error(String::new());
            }
            Change::Count => outcome = Outcome::Error(String::new()),
        }
    }
    if cut > 0 || matches!(changes.last(), Some(Change::Count)) {
        // Only the vertices may be missing, and not a digit of their last number.
        file.elements.retain(|e| e.name == "vertex");
        file.format = "binary_little_endian";
    }
    let mut bytes = file.bytes();
    match changes.last() {
        Some(Change::BrokenRow(row, word)) => {
            // Without foreign elements before, rows of the vertices follow the header.
            file.elements.retain(|e| e.name == "vertex");
            let end = file.line_end;
            let text = file.bytes();
            let start = text.windows(10).position(|w| w == b"end_header").unwrap() + 10 + end.len();
            let mut lines: Vec<Vec<u8>> =
                text[start..].split(|b| end.as_bytes().last() == Some(b)).map(<[u8]>::to_vec).collect();
            let line = String::from_utf8(lines[*row].clone()).unwrap();
            let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
            words.pop();
            if *word {
                words.push("1,5");
                words.push("more");
            }
            lines[*row] = words.join(" ").into_bytes();
            bytes = [&text[..start], &lines.join(&end.as_bytes()[end.len() - 1..])].concat();
            outcome = Outcome::Error(format!("vertex {row} "));
        }
        Some(Change::Count) => {
            let at = bytes.windows(8).position(|w| w == b"vertex 9").unwrap() + 7;
            bytes[at..=at].copy_from_slice(b"8");
            bytes.insert(at, b'9');
        }
        _ => bytes.truncate(bytes.len() - cut),
    }
    (bytes, outcome)
}

proptest! {
    // A failing case prints its input; no regression files are written beside the tests.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_ply_is_the_same_or_says_why_not(list in changes()) {
        let g = scene(9, 4);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("scene.ply");
        let (bytes, outcome) = changed(&g, &list);
        std::fs::write(&path, &bytes).unwrap();
        match (Gaussians::load(&path), outcome) {
            (Ok(loaded), Outcome::Same) => {
                prop_assert_eq!(&loaded.gaussians, &g);
                prop_assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
            }
            (Ok(loaded), Outcome::Warning(word)) => {
                prop_assert!(loaded.warnings.iter().any(|w| w.contains(word)), "{:?}", loaded.warnings);
                prop_assert_eq!(&loaded.gaussians.means, &g.means);
            }
            (Err(e), Outcome::Error(word)) => {
                let e = e.to_string();
                prop_assert!(e.contains("scene.ply") && e.contains(&word), "{e}");
            }
            (result, outcome) => prop_assert!(false, "{result:?}, expected {outcome:?}"),
        }
    }
}

fn read(name: &str, bytes: &[u8]) -> Result<Gaussians, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    Gaussians::read(&path).map_err(|e| e.to_string())
}

fn sound(format: GaussianFormat) -> (Vec<u8>, Gaussians) {
    let bytes = files().into_iter().find(|(f, _)| *f == format).unwrap().1;
    let g = common::packed::parse(format, &bytes).unwrap();
    (bytes, g)
}

/// The containers that other programs make around the same data, under names in any case.
#[test]
fn other_containers_are_the_same() {
    let (v3, g) = sound(GaussianFormat::Spz(Version::V3));
    let payload = gunzip(&v3);
    let named = {
        let mut gz = flate2::GzBuilder::new()
            .filename("scene")
            .comment("x")
            .extra("extra")
            .write(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut gz, &payload).unwrap();
        gz.finish().unwrap()
    };
    for bytes in [gzip(&payload), named] {
        for name in ["A.SPZ", "a.spz", "no extension"] {
            assert_eq!(read(name, &bytes).as_ref(), Ok(&g), "{name}");
        }
    }
    let (splat, g) = sound(GaussianFormat::Splat);
    assert_eq!(read("A.SPLAT", &splat), Ok(g));

    let (sog, g) = sound(GaussianFormat::Sog);
    let mut entries = unzip(&sog);
    entries.reverse();
    entries.push(("readme.txt".into(), b"hello".to_vec()));
    entries.push(("other/meta.json".into(), b"not it".to_vec()));
    for method in [::zip::CompressionMethod::Stored, ::zip::CompressionMethod::Deflated] {
        for name in ["A.SOG", "a.zip", "no extension"] {
            assert_eq!(read(name, &zip(&entries, method)).as_ref(), Ok(&g), "{name}");
        }
    }
}

/// The description of a SOG scene: order of keys, further keys, white space and a byte order mark change nothing; a missing
/// or a misspelt key is named.
#[test]
fn a_sog_description_may_be_written_differently() {
    let (sog, g) = sound(GaussianFormat::Sog);
    let entries = unzip(&sog);
    let meta = &entries.iter().find(|(n, _)| n == "meta.json").unwrap().1;
    let with = |meta: Vec<u8>| {
        let mut entries = entries.clone();
        entries.iter_mut().find(|(n, _)| n == "meta.json").unwrap().1 = meta;
        read("a.sog", &zip(&entries, ::zip::CompressionMethod::Stored))
    };
    let value: serde_json::Value = serde_json::from_slice(meta).unwrap();
    let mut further = value.clone();
    further["asset"] = serde_json::json!({"generator": [1, 2], "other": null});
    further["antialias"] = true.into();
    further["means"]["shape"] = serde_json::json!([20, 3]);
    for same in [
        serde_json::to_vec(&value).unwrap(),
        serde_json::to_vec_pretty(&further).unwrap(),
        [b"\xef\xbb\xbf \n\t", meta.as_slice()].concat(),
    ] {
        assert_eq!(with(same).as_ref(), Ok(&g));
    }
    let keys: Vec<&String> = value.as_object().unwrap().keys().filter(|k| *k != "asset").collect();
    for key in keys {
        for misspelt in [None, Some(key.to_uppercase())] {
            let mut less = value.clone();
            let old = less.as_object_mut().unwrap().remove(key).unwrap();
            if let Some(name) = misspelt {
                less[&name] = old;
            }
            match with(serde_json::to_vec(&less).unwrap()) {
                // Without harmonics, a scene has degree 0.
                Ok(read) if key == "shN" => assert_eq!((read.len(), read.coeffs), (g.len(), 1)),
                Ok(_) => panic!("{key} is needed"),
                Err(e) => assert!(e.contains("meta.json") && (e.contains(key) || key == "version"), "{e}"),
            }
        }
    }
}

/// The compressed PLY among foreign elements and comments in other encodings.
#[test]
fn a_compressed_ply_may_have_more() {
    let (bytes, g) = sound(GaussianFormat::CompressedPly);
    let end = bytes.windows(11).position(|w| w == b"end_header\n").unwrap();
    let header = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let with = |from: &str, to: &[u8], before: &[u8]| {
        let (head, tail) = header.split_once(from).unwrap();
        [head.as_bytes(), to, tail.as_bytes(), b"end_header\n", before, &bytes[end + 11..]].concat()
    };
    let list = b"element face 2\nproperty list uchar int i\nelement chunk";
    let rows = [&[1u8, 1, 0, 0, 0][..], &[0]].concat();
    for same in [
        bytes.clone(),
        with("comment Generated by Splatwright", b"comment \xd3\xc3\xbb\xa7\nobj_info K\xf6ln", &[]),
        with("element chunk", b"element camera 7\nelement chunk", &[]),
        with("element chunk", list, &rows),
    ] {
        for name in ["a.compressed.ply", "A.PLY", "no extension"] {
            assert_eq!(read(name, &same).as_ref(), Ok(&g), "{name}");
        }
    }
    for needed in ["packed_rotation", "min_scale_y", "float max_x"] {
        let e = read("a.ply", &with(needed, b"uchar other", &[])).unwrap_err();
        assert!(e.contains("a.ply"), "{e}");
    }
}
