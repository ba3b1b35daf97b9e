//! COLMAP's models: the contents of the three files are returned exactly, no input causes a panic or a large allocation,
//! and what is broken or spelt differently in them costs no more than it describes.

mod ring;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use ring::*;
use splat_scene::colmap::{self, BadCamera, Tracks};
use splat_scene::{Error, Remedy};

const P: &str = "some/cameras.bin";

fn path() -> &'static Path {
    Path::new(P)
}

fn cameras(count: u64, model: i32, numbers: &[f64]) -> Vec<u8> {
    let mut b = count.to_le_bytes().to_vec();
    b.extend(7u32.to_le_bytes());
    b.extend(model.to_le_bytes());
    b.extend(640u64.to_le_bytes());
    b.extend(480u64.to_le_bytes());
    numbers.iter().for_each(|x| b.extend(x.to_le_bytes()));
    b
}

/// One image with `n` observations of point 5.
fn images(n: u64) -> Vec<u8> {
    let mut b = 1u64.to_le_bytes().to_vec();
    b.extend(3u32.to_le_bytes());
    [2.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.3f64].iter().for_each(|x| b.extend(x.to_le_bytes()));
    b.extend(7u32.to_le_bytes());
    b.extend(b"sub/a b.jpg\0");
    b.extend(n.to_le_bytes());
    for i in 0..n {
        b.extend((i as f64).to_le_bytes());
        b.extend(1.5f64.to_le_bytes());
        b.extend(5i64.to_le_bytes());
    }
    b
}

/// One point with a track of `n`.
fn points(n: u64) -> Vec<u8> {
    let mut b = 1u64.to_le_bytes().to_vec();
    b.extend(5u64.to_le_bytes());
    [1.0, 2.0, 3.0f64].iter().for_each(|x| b.extend(x.to_le_bytes()));
    b.extend([10, 20, 30]);
    b.extend((-1.0f64).to_le_bytes());
    b.extend(n.to_le_bytes());
    (0..n).for_each(|i| b.extend([3u32.to_le_bytes(), (i as u32).to_le_bytes()].concat()));
    b
}

#[test]
fn binary_records_come_back_as_written() {
    let c = colmap::parse_cameras(path(), &cameras(1, 1, &[500.0, 501.0, 320.0, 240.0])).unwrap();
    let c = c.records[&7].clone().unwrap();
    assert_eq!((c.width, c.height, c.intrinsics), (640, 480, [500.0, 501.0, 320.0, 240.0]));
    let c = colmap::parse_cameras(path(), &cameras(1, 0, &[500.0, 320.0, 240.0])).unwrap();
    assert_eq!(c.records[&7].as_ref().unwrap().intrinsics, [500.0, 500.0, 320.0, 240.0]);

    let kept = colmap::parse_images(path(), &images(2), Tracks::Keep).unwrap().records;
    assert_eq!(kept[0].rotation, [1.0, 0.0, 0.0, 0.0], "quaternions are normalised");
    assert_eq!((kept[0].name.as_str(), kept[0].camera), ("sub/a b.jpg", 7));
    assert_eq!(kept[0].observations, [(0.0, 1.5, 5), (1.0, 1.5, 5)]);
    assert_eq!(kept[0].center(), [-0.1, -0.2, -0.3]);
    assert!(
        colmap::parse_images(path(), &images(2), Tracks::Skip).unwrap().records[0].observations.is_empty()
    );
    assert!(
        colmap::parse_images(path(), &images(0), Tracks::Keep).unwrap().records[0].observations.is_empty()
    );

    let kept = colmap::parse_points(path(), &points(2), Tracks::Keep).unwrap().records;
    assert_eq!((kept[0].position, kept[0].color), ([1.0, 2.0, 3.0], [10, 20, 30]));
    assert_eq!(kept[0].track, [(3, 0), (3, 1)]);
    assert!(colmap::parse_points(path(), &points(0), Tracks::Skip).unwrap().records[0].track.is_empty());
}

#[test]
fn text_says_the_same_as_binary() {
    let text = "# list\n7 PINHOLE 640 480 500 501 320 240\n\n";
    let binary = cameras(1, 1, &[500.0, 501.0, 320.0, 240.0]);
    assert_eq!(colmap::parse_cameras_text(text), colmap::parse_cameras(path(), &binary).unwrap());
    let text = "# two lines each\n3 2 0 0 0 0.1 0.2 0.3 7 sub/a b.jpg\n0 1.5 5 1 1.5 5\n";
    assert_eq!(
        colmap::parse_images_text(text, Tracks::Keep),
        colmap::parse_images(path(), &images(2), Tracks::Keep).unwrap()
    );
    let text = "5 1 2 3 10 20 30 -1 3 0 3 1\n";
    assert_eq!(
        colmap::parse_points_text(text, Tracks::Keep),
        colmap::parse_points(path(), &points(2), Tracks::Keep).unwrap()
    );
}

/// An image without observations still has its second line, which is blank.
#[test]
fn blank_observation_lines_are_counted() {
    let text = "1 1 0 0 0 0 0 0 1 a.jpg\n\n2 1 0 0 0 0 0 0 1 b.jpg\n\n3 1 0 0 0 0 0 0 1 c.jpg";
    let images = colmap::parse_images_text(text, Tracks::Keep);
    assert_eq!(
        images.records.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(),
        ["a.jpg", "b.jpg", "c.jpg"]
    );
}

/// Every model has its own number of parameters; binary and text files agree on each.
#[test]
fn every_camera_model_reads_from_both_kinds_of_file() {
    let models = [
        ("SIMPLE_PINHOLE", 0, 3),
        ("PINHOLE", 1, 4),
        ("SIMPLE_RADIAL", 2, 4),
        ("RADIAL", 3, 5),
        ("OPENCV", 4, 8),
        ("OPENCV_FISHEYE", 5, 8),
        ("FULL_OPENCV", 6, 12),
        ("FOV", 7, 5),
        ("SIMPLE_RADIAL_FISHEYE", 8, 4),
        ("RADIAL_FISHEYE", 9, 5),
        ("THIN_PRISM_FISHEYE", 10, 12),
        ("RAD_TAN_THIN_PRISM_FISHEYE", 11, 16),
        ("SIMPLE_DIVISION", 12, 4),
        ("DIVISION", 13, 5),
        ("SIMPLE_FISHEYE", 14, 3),
        ("FISHEYE", 15, 4),
        ("EUCM", 16, 6),
    ];
    for (name, id, n) in models {
        let numbers: Vec<f64> = (0..n).map(|i| if i < 3 { 400.0 } else { 0.01 * f64::from(i) }).collect();
        let binary = colmap::parse_cameras(path(), &cameras(1, id, &numbers)).unwrap();
        let words: Vec<String> = numbers.iter().map(f64::to_string).collect();
        let text = format!("7 {name} 640 480 {}", words.join(" "));
        assert_eq!(colmap::parse_cameras_text(&text), binary, "{name}");
        assert_eq!(
            binary.records[&7].as_ref().unwrap().lens.map(|l| l.name()),
            Some(name).filter(|n| !n.ends_with("PINHOLE"))
        );
        let short = colmap::parse_cameras(path(), &cameras(1, id, &numbers[1..])).unwrap_err();
        assert!(matches!(short, Error::Truncated { .. } | Error::Count { .. }), "{name}: {short}");
    }
}

/// Cameras of models that cannot be undistorted are kept as such, and the records after them are read.
#[test]
fn models_that_are_no_perspective_are_kept_as_such() {
    let model = |name: &str| Err(BadCamera::Model(name.into()));
    for cameras in [
        colmap::parse_cameras(path(), &cameras(1, 17, &[640.0, 480.0])).unwrap(),
        colmap::parse_cameras_text("7 EQUIRECTANGULAR 640 480 640 480"),
    ] {
        assert_eq!(cameras.records[&7], model("EQUIRECTANGULAR"));
        assert!(cameras.warnings.is_empty(), "{:?}", cameras.warnings);
    }
    let join = |first: Vec<u8>, mut second: Vec<u8>| {
        second[8] = 8;
        [2u64.to_le_bytes().as_slice(), &first[8..], &second[8..]].concat()
    };
    for n in [0, 3, 9, 16] {
        let strange = cameras(1, 99, &vec![1.0; n]);
        let both = join(strange.clone(), cameras(1, 1, &[500.0, 501.0, 320.0, 240.0]));
        let read = colmap::parse_cameras(path(), &both).unwrap().records;
        assert_eq!(read[&7], model("number 99"));
        assert_eq!(read[&8].as_ref().unwrap().intrinsics, [500.0, 501.0, 320.0, 240.0], "{n} numbers");
    }
    let unclear = join(cameras(1, -3, &[1.0; 2]), cameras(1, 99, &[1.0; 3]));
    let error = colmap::parse_cameras(path(), &unclear).unwrap_err();
    assert!(error.to_string().contains("camera 7 has the model number -3"), "{error}");
    assert!(error.hint().unwrap().contains("colmap image_undistorter"));
}

/// A file cut off anywhere gives an error that names it and a position in it.
#[test]
fn every_truncation_names_file_and_offset() {
    type Parse<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<String>, Error>;
    let check = |whole: &[u8], parse: Parse<'_>| {
        assert!(parse(whole).unwrap().is_empty());
        for n in 0..whole.len() {
            match parse(&whole[..n]).expect_err("a whole file") {
                Error::Truncated { path, offset, expected, left } => {
                    assert_eq!((path.to_str().unwrap(), offset + left), (P, n as u64));
                    assert!(!expected.is_empty());
                }
                Error::Count { path, offset, left, .. } => {
                    assert_eq!((path.to_str().unwrap(), offset + left), (P, n as u64));
                }
                other => panic!("{n} bytes: {other}"),
            }
        }
        let mut longer = whole.to_vec();
        longer.push(0);
        let warnings = parse(&longer).unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains("1 byte is left over"), "{warnings:?}");
    };
    check(&cameras(1, 1, &[500.0, 501.0, 320.0, 240.0]), &|b| Ok(colmap::parse_cameras(path(), b)?.warnings));
    check(&images(2), &|b| Ok(colmap::parse_images(path(), b, Tracks::Keep)?.warnings));
    check(&points(2), &|b| Ok(colmap::parse_points(path(), b, Tracks::Keep)?.warnings));
}

#[test]
fn hostile_counts_are_refused_before_allocation() {
    for count in [2, 1 << 31, 1 << 63, u64::MAX] {
        let error =
            colmap::parse_cameras(path(), &cameras(count, 1, &[500.0, 501.0, 320.0, 240.0])).unwrap_err();
        assert!(matches!(error, Error::Count { count: c, offset: 8, left: 56, .. } if c == count), "{error}");
        // The inner counts: observations and tracks.
        let (mut i, mut p) = (images(0), points(0));
        let (ni, np) = (i.len(), p.len());
        i[ni - 8..].copy_from_slice(&count.to_le_bytes());
        p[np - 8..].copy_from_slice(&count.to_le_bytes());
        for error in [
            colmap::parse_images(path(), &i, Tracks::Skip).unwrap_err(),
            colmap::parse_points(path(), &p, Tracks::Skip).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Count { count: c, left: 0, .. } if c == count), "{error}");
        }
    }
}

#[test]
fn impossible_numbers_cost_one_camera() {
    for numbers in [[0.0, 1.0, 1.0, 1.0], [f64::NAN, 1.0, 1.0, 1.0], [1.0, 1.0, f64::INFINITY, 1.0]] {
        let words = numbers.map(|x| x.to_string()).join(" ");
        let text = format!("7 PINHOLE 640 480 {words}\n8 PINHOLE 640 480 500 501 320 240");
        let text = colmap::parse_cameras_text(&text).records;
        assert!(text[&8].is_ok());
        let binary = colmap::parse_cameras(path(), &cameras(1, 1, &numbers)).unwrap().records;
        assert!(matches!(&binary[&7], Err(BadCamera::Numbers(m)) if m.contains("expected finite")));
        assert_eq!(text[&7], binary[&7]);
    }
    let twice = "7 PINHOLE 640 480 500 501 320 240\n";
    assert!(colmap::parse_cameras_text(&twice.repeat(2)).records[&7].is_ok());
    let other = format!("{twice}{}", twice.replace("500", "600"));
    assert!(
        matches!(&colmap::parse_cameras_text(&other).records[&7], Err(BadCamera::Numbers(m)) if m.contains("twice"))
    );
}

/// A pose that is none belongs to one image, and the model keeps the numbers as they are.
#[test]
fn unusable_poses_do_not_spoil_a_model() {
    let mut zero_rotation = images(0);
    zero_rotation[12..20].fill(0);
    let read = colmap::parse_images(path(), &zero_rotation, Tracks::Skip).unwrap();
    assert_eq!(read.records[0].rotation[0], 0.0);
    let mut far = images(0);
    far[44..52].copy_from_slice(&1e300f64.to_le_bytes());
    assert_eq!(colmap::parse_images(path(), &far, Tracks::Skip).unwrap().records[0].translation[0], 1e300);
}

#[test]
fn a_broken_line_costs_its_record_and_is_named() {
    let cameras =
        colmap::parse_cameras_text("# c\n1 PINHOLE 640 480 500 501 320\nx\n2 PINHOLE 64 48 1 1 1 1");
    assert!(
        matches!(&cameras.records[&1], Err(BadCamera::Numbers(m)) if m.contains("line 2: the line ends"))
    );
    assert!(cameras.records[&2].is_ok());
    assert_eq!(cameras.left_out, [("line 3".into(), "the camera's id is \"x\", expected a number".into())]);

    let good = |name: &str| format!("1 1 0 0 0 0 0 0 1 {name}\n");
    let text = [
        good("a.jpg"),
        "4 5\n".into(),
        "2 1 0 0 zero 0 0 0 1 my b.jpg\n10 20 -1\n".into(),
        good("c.jpg"),
        "1 2 x 4 5 6\n".into(),
        "what\n".into(),
        good("d.jpg"),
        "\n\n1.5 2.5 7\n".into(),
    ]
    .concat();
    let images = colmap::parse_images_text(&text, Tracks::Keep);
    assert_eq!(images.records.iter().map(|i| &*i.name).collect::<Vec<_>>(), ["a.jpg", "c.jpg", "d.jpg"]);
    assert_eq!(images.records[2].observations, [(1.5, 2.5, 7)]);
    let names: Vec<&str> = images.left_out.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["my b.jpg", "line 7"]);
    assert!(images.left_out[0].1.contains("line 3: one of 4 quaternion numbers is \"zero\""));
    assert!(images.warnings.len() == 2 && images.warnings[0].contains("line 2: the line ends"), "{images:?}");

    let points = "1 0 0 0 1 2 300 0\n2 0 0 0 1 2.0 3\n3 0 0 zero 1 2 3 0\n4 0 0 0 1 2 3 0 1 x\n";
    let points = colmap::parse_points_text(points, Tracks::Keep);
    assert_eq!(
        points.records.iter().map(|p| (p.id, p.color)).collect::<Vec<_>>(),
        [(2, [1, 2, 3]), (4, [1, 2, 3])]
    );
    assert!(points.left_out[0].1.contains("300") && points.left_out[1].0 == "line 3", "{points:?}");
    assert!(points.warnings[0].contains("line 4") && points.warnings[0].contains("\"x\""), "{points:?}");
}

#[test]
fn a_model_must_be_whole() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    write("cameras.bin", &cameras(1, 1, &[500.0, 501.0, 320.0, 240.0]));
    let error = colmap::read(dir.path(), Tracks::Skip).unwrap_err().to_string();
    assert!(error.contains("without images.bin"), "{error}");
    write("images.bin", &images(0));
    assert!(colmap::read(dir.path(), Tracks::Skip).unwrap().points.is_empty(), "points can be found anew");
    write("points3D.bin", &points(0));
    write("rigs.bin", b"anything");
    assert_eq!(colmap::read(dir.path(), Tracks::Skip).unwrap().points.len(), 1);
}

/// One camera that cannot be, one row that cannot be read, and bytes after the end cost no more than what they describe.
#[test]
fn one_broken_record_does_not_refuse_a_model() {
    let cameras = [
        ("2 PINHOLE 64 48 0 60 32 24", "focal lengths are 0 and 60"),
        ("2 PINHOLE 64 48 nan 60 32 24", "focal lengths are NaN"),
        ("2 ORTHOGRAPHIC 64 48 60 60 32 24", "the model ORTHOGRAPHIC"),
        ("2 PINHOLE 64 48 60 60", "the line ends"),
        ("2 PINHOLE 64 48 60 60 32 24 0.1", "1 further numbers"),
        ("# none", "camera 2, which is not among the 1"),
    ];
    for (camera, says) in cameras {
        let dir = tempfile::tempdir().unwrap();
        write_colmap(dir.path());
        let [text, images, _] = colmap_text([0.0; 3]);
        put(dir.path().join("sparse/0/cameras.txt"), format!("{camera}\n{text}"));
        put(dir.path().join("sparse/0/images.txt"), images.replace(" 1 frame_003", " 2 frame_003"));
        let d = open(dir.path()).unwrap_or_else(|e| panic!("{camera}: {e}"));
        assert_same(&d, &[3], [0.0; 3]);
        assert_warns(&d, &["1 of 10 frames", "frame_003.png", says]);
        assert_eq!(d.warnings.len(), 1, "{:?}", d.warnings);
        assert_eq!(strict(dir.path()).unwrap_err().remedy(), Some(Remedy::ClearStrict));
    }
    let dir = tempfile::tempdir().unwrap();
    write_colmap(dir.path());
    let [_, images, points] = colmap_text([0.0; 3]);
    put(dir.path().join("sparse/0/images.txt"), images.replace(" 1 frame_003", " one frame_003"));
    put(
        dir.path().join("sparse/0/points3D.txt"),
        format!("7 what 0 0\n{}", points.replace(" 0.5\n", " 0.5 x\n")),
    );
    let d = open(dir.path()).unwrap();
    assert_same(&d, &[3], [0.0; 3]);
    assert_warns(&d, &["frame_003.png", "line 7", "\"one\""]);
    assert_warns(&d, &["1 points cannot be read", "line 1", "\"what\""]);

    let dir = tempfile::tempdir().unwrap();
    for (file, bytes) in BINARY.iter().zip(colmap_binary([0.0; 3])) {
        put(dir.path().join("sparse/0").join(file), [&bytes[..], b"xyz"].concat());
    }
    photos(&dir.path().join("images"));
    let d = open(dir.path()).unwrap();
    assert_same(&d, &[], [0.0; 3]);
    for file in BINARY {
        assert_warns(&d, &[file, "3 bytes are left over"]);
    }
}

/// The files of a model in any mixture of kinds, with odd lines, numbers and names.
#[test]
fn models_in_many_spellings_are_the_same() {
    let [cameras, images, points] = colmap_text([0.0; 3]);
    let binary = colmap_binary([0.0; 3]);
    let write = |text: [&str; 3], kinds: [bool; 3]| {
        let dir = tempfile::tempdir().unwrap();
        for k in 0..3 {
            let (name, bytes) =
                if kinds[k] { (BINARY[k], binary[k].as_slice()) } else { (TEXT[k], text[k].as_bytes()) };
            put(dir.path().join("sparse/0").join(name), bytes);
        }
        photos(&dir.path().join("images"));
        dir
    };
    for k in 0..8 {
        let dir = write([&cameras, &images, &points], [k & 1 > 0, k & 2 > 0, k & 4 > 0]);
        let d = open(dir.path()).unwrap_or_else(|e| panic!("{k}: {e}"));
        assert_same(&d, &[], [0.0; 3]);
        assert!(d.warnings.is_empty(), "{k}: {:?}", d.warnings);
    }
    let comma = |text: &str| {
        let words = text.split(' ').map(|w| if w.contains("png") { w.into() } else { w.replace('.', ",") });
        words.collect::<Vec<String>>().join(" ")
    };
    type Change = fn(&str) -> String;
    let spellings: [(&str, Change); 5] = [
        ("blank lines", |text| text.replace('\n', "\n\n\n")),
        ("carriage returns", |text| text.replace('\n', "\r")),
        ("tabs", |text| text.replace(' ', "\t")),
        ("quotes", |text| text.replace("frame", "\"frame").replace(".png", ".png\"")),
        ("capitals", |text| {
            text.replace("PINHOLE 64 48 60 60 32 24", "pinhole 64.0 48.0 6.0D+01 60 32 24 0 0")
        }),
    ];
    let all = spellings.map(|(name, change)| (name, [&cameras, &images, &points].map(|text| change(text))));
    let commas = ("commas", [comma(&cameras), comma(&images), comma(&points)]);
    for (name, [cameras, images, points]) in all.into_iter().chain([commas]) {
        let dir = write([&cameras, &images, &points], [false; 3]);
        let d = open(dir.path()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_same(&d, &[], [0.0; 3]);
        assert!(d.warnings.is_empty(), "{name}: {:?}", d.warnings);
    }
    let dir = write([&cameras, &images, &points], [true, true, false]);
    fs::remove_file(dir.path().join("sparse/0/points3D.txt")).unwrap();
    put(dir.path().join("sparse/0/points3D.bin"), "");
    let d = open(dir.path()).unwrap();
    assert!(d.points.is_empty());
    assert_warns(&d, &["points3D.bin", "the file is empty"]);
}

/// Names in an old encoding, in the model or on the disk or both.
#[test]
fn names_in_old_encodings_are_found() {
    let latin = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    for (in_model, on_disk) in [(true, false), (true, true), (false, true)] {
        if on_disk && !cfg!(target_os = "linux") {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let [cameras, mut images, points] = colmap_binary([0.0; 3]);
        let at = images.windows(13).position(|w| w == b"frame_003.png").unwrap();
        let name = if in_model { latin("T\u{fc}r.png") } else { "T\u{fc}r.png".into() };
        images.splice(at..at + 13, name);
        for (file, bytes) in BINARY.iter().zip([cameras, images, points]) {
            put(dir.path().join("sparse/0").join(file), bytes);
        }
        let photographs = dir.path().join("images");
        photos(&photographs);
        #[cfg(target_os = "linux")]
        let name = if on_disk {
            use std::os::unix::ffi::OsStringExt;
            std::ffi::OsString::from_vec(latin("T\u{fc}r.png"))
        } else {
            "T\u{fc}r.png".into()
        };
        #[cfg(not(target_os = "linux"))]
        let name = "T\u{fc}r.png";
        fs::rename(photographs.join("frame_003.png"), photographs.join(name)).unwrap();
        let d = open(dir.path()).unwrap();
        assert_eq!(d.views.len(), CAMERAS, "{in_model} {on_disk}: {:?}", d.warnings);
        assert!(d.views.iter().all(|v| v.load().is_ok()));
    }
}

proptest! {
    // A failing case prints its input; no regression files are written beside the tests.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any change to any bytes gives a model or an error.
    #[test]
    fn mutated_bytes_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        which in 0..3,
    ) {
        let mut bytes = match which {
            0 => cameras(1, 1, &[500.0, 501.0, 320.0, 240.0]),
            1 => images(3),
            _ => points(3),
        };
        edits.iter().for_each(|(at, value)| { let n = bytes.len(); bytes[at.index(n)] = *value; });
        bytes.truncate(cut.index(bytes.len() + 1).max(8));
        let _ = colmap::parse_cameras(path(), &bytes);
        let _ = colmap::parse_images(path(), &bytes, Tracks::Keep);
        let _ = colmap::parse_points(path(), &bytes, Tracks::Keep);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[0-9 .#\\-a\n]{0,200}") {
        let _ = colmap::parse_cameras_text(&text);
        let _ = colmap::parse_images_text(&text, Tracks::Keep);
        let _ = colmap::parse_points_text(&text, Tracks::Keep);
    }
}

#[test]
fn a_name_of_quotation_marks_costs_its_row() {
    let text = "1 1 0 0 0 0 0 0 1 \"\"\n\n2 1 0 0 0 0 0 0 1 \"a b.png\"\n\n";
    let parsed = colmap::parse_images_text(text, Tracks::Keep);
    assert_eq!(parsed.records.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["a b.png"]);
    assert!(
        parsed.left_out.len() == 1 && parsed.left_out[0].1.contains("has no name"),
        "{:?}",
        parsed.left_out
    );
}
