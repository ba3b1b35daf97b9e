//! COLMAP parsing: the contents of the three files are returned exactly, and no input causes a panic or a large
//! allocation.

use std::path::Path;

use proptest::prelude::*;
use splat_scene::colmap::{self, Tracks};
use splat_scene::{Error, Place};

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
    assert_eq!((c[&7].width, c[&7].height, c[&7].intrinsics), (640, 480, [500.0, 501.0, 320.0, 240.0]));
    let c = colmap::parse_cameras(path(), &cameras(1, 0, &[500.0, 320.0, 240.0])).unwrap();
    assert_eq!(c[&7].intrinsics, [500.0, 500.0, 320.0, 240.0]);

    let kept = colmap::parse_images(path(), &images(2), Tracks::Keep).unwrap();
    assert_eq!(kept[0].rotation, [1.0, 0.0, 0.0, 0.0], "quaternions are normalised");
    assert_eq!((kept[0].name.as_str(), kept[0].camera), ("sub/a b.jpg", 7));
    assert_eq!(kept[0].observations, [(0.0, 1.5, 5), (1.0, 1.5, 5)]);
    assert_eq!(kept[0].center(), [-0.1, -0.2, -0.3]);
    assert!(colmap::parse_images(path(), &images(2), Tracks::Skip).unwrap()[0].observations.is_empty());
    assert!(colmap::parse_images(path(), &images(0), Tracks::Keep).unwrap()[0].observations.is_empty());

    let kept = colmap::parse_points(path(), &points(2), Tracks::Keep).unwrap();
    assert_eq!((kept[0].position, kept[0].color), ([1.0, 2.0, 3.0], [10, 20, 30]));
    assert_eq!(kept[0].track, [(3, 0), (3, 1)]);
    assert!(colmap::parse_points(path(), &points(0), Tracks::Skip).unwrap()[0].track.is_empty());
}

#[test]
fn text_says_the_same_as_binary() {
    let text = "# list\n7 PINHOLE 640 480 500 501 320 240\n\n";
    let binary = cameras(1, 1, &[500.0, 501.0, 320.0, 240.0]);
    assert_eq!(
        colmap::parse_cameras_text(path(), text).unwrap(),
        colmap::parse_cameras(path(), &binary).unwrap()
    );
    let text = "# two lines each\n3 2 0 0 0 0.1 0.2 0.3 7 sub/a b.jpg\n0 1.5 5 1 1.5 5\n";
    assert_eq!(
        colmap::parse_images_text(path(), text, Tracks::Keep).unwrap(),
        colmap::parse_images(path(), &images(2), Tracks::Keep).unwrap()
    );
    let text = "5 1 2 3 10 20 30 -1 3 0 3 1\n";
    assert_eq!(
        colmap::parse_points_text(path(), text, Tracks::Keep).unwrap(),
        colmap::parse_points(path(), &points(2), Tracks::Keep).unwrap()
    );
}

/// An image without observations still has its second line, which is blank.
#[test]
fn blank_observation_lines_are_counted() {
    let text = "1 1 0 0 0 0 0 0 1 a.jpg\n\n2 1 0 0 0 0 0 0 1 b.jpg\n\n3 1 0 0 0 0 0 0 1 c.jpg";
    let images = colmap::parse_images_text(path(), text, Tracks::Keep).unwrap();
    assert_eq!(images.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["a.jpg", "b.jpg", "c.jpg"]);
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
        assert_eq!(colmap::parse_cameras_text(path(), &text).unwrap(), binary, "{name}");
        assert_eq!(binary[&7].lens.map(|l| l.name()), Some(name).filter(|n| !n.ends_with("PINHOLE")));
        let short = colmap::parse_cameras(path(), &cameras(1, id, &numbers[1..])).unwrap_err();
        assert!(matches!(short, Error::Truncated { .. } | Error::Count { .. }), "{name}: {short}");
    }
}

#[test]
fn models_that_are_no_perspective_are_named_with_a_way_out() {
    for error in [
        colmap::parse_cameras(path(), &cameras(1, 17, &[640.0, 480.0])).unwrap_err(),
        colmap::parse_cameras_text(path(), "7 EQUIRECTANGULAR 640 480 640 480").unwrap_err(),
    ] {
        assert!(error.to_string().contains("camera 7 has the model EQUIRECTANGULAR"), "{error}");
        assert!(error.hint().unwrap().contains("perspective views"));
    }
    let error = colmap::parse_cameras(path(), &cameras(1, -3, &[1.0; 8])).unwrap_err();
    assert!(error.to_string().contains("model number -3"), "{error}");
    assert!(error.hint().unwrap().contains("colmap image_undistorter"));
}

/// A file cut off anywhere gives an error that names it and a position in it.
#[test]
fn every_truncation_names_file_and_offset() {
    let check = |whole: &[u8], parse: &dyn Fn(&[u8]) -> Option<Error>| {
        assert!(parse(whole).is_none());
        for n in 0..whole.len() {
            match parse(&whole[..n]).unwrap_or_else(|| panic!("{n} of {} bytes were accepted", whole.len())) {
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
        let error = parse(&longer).expect("a byte too many").to_string();
        assert!(error.contains("1 bytes are left over"), "{error}");
    };
    check(&cameras(1, 1, &[500.0, 501.0, 320.0, 240.0]), &|b| colmap::parse_cameras(path(), b).err());
    check(&images(2), &|b| colmap::parse_images(path(), b, Tracks::Keep).err());
    check(&points(2), &|b| colmap::parse_points(path(), b, Tracks::Keep).err());
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
fn impossible_numbers_are_refused() {
    for numbers in [[0.0, 1.0, 1.0, 1.0], [f64::NAN, 1.0, 1.0, 1.0], [1.0, 1.0, f64::INFINITY, 1.0]] {
        assert!(matches!(
            colmap::parse_cameras(path(), &cameras(1, 1, &numbers)),
            Err(Error::Malformed { place: Place::Byte(64), .. })
        ));
    }
}

/// A pose that is none belongs to one image, and the model keeps the numbers as they are.
#[test]
fn unusable_poses_do_not_spoil_a_model() {
    let mut zero_rotation = images(0);
    zero_rotation[12..20].fill(0);
    let read = colmap::parse_images(path(), &zero_rotation, Tracks::Skip).unwrap();
    assert_eq!(read[0].rotation[0], 0.0);
    let mut far = images(0);
    far[44..52].copy_from_slice(&1e300f64.to_le_bytes());
    assert_eq!(colmap::parse_images(path(), &far, Tracks::Skip).unwrap()[0].translation[0], 1e300);
}

#[test]
fn text_errors_name_the_line() {
    let error = |r: Result<_, Error>| r.err().unwrap().to_string();
    let e = error(colmap::parse_cameras_text(path(), "# c\n1 PINHOLE 640 480 500 501 320").map(drop));
    assert!(e.contains("line 2") && e.contains("one of 4 intrinsics"), "{e}");
    let e = error(colmap::parse_images_text(path(), "1 1 0 0 zero 0 0 0 1 a.jpg", Tracks::Skip).map(drop));
    assert!(e.contains("line 1") && e.contains("\"zero\""), "{e}");
    let e = error(colmap::parse_images_text(path(), "1 1 0 0 0 0 0 0 1 a.jpg\n4 5", Tracks::Skip).map(drop));
    assert!(e.contains("line 2") && e.contains("point id"), "{e}");
    let e = error(colmap::parse_points_text(path(), "1 0 0 0 1 2 300 0", Tracks::Skip).map(drop));
    assert!(e.contains("\"300\""), "{e}");
}

#[test]
fn a_model_must_be_whole_and_consistent() {
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
    let mut other_camera = images(0);
    other_camera[68..72].copy_from_slice(&8u32.to_le_bytes());
    write("images.bin", &other_camera);
    let error = colmap::read(dir.path(), Tracks::Skip).unwrap_err().to_string();
    assert!(error.contains("names camera 8"), "{error}");
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
        let _ = colmap::parse_cameras_text(path(), &text);
        let _ = colmap::parse_images_text(path(), &text, Tracks::Keep);
        let _ = colmap::parse_points_text(path(), &text, Tracks::Keep);
    }
}
