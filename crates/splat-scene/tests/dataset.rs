//! Opening a dataset: sizes, the split, missing and unusual photographs; and files that are written completely or not at
//! all.

use std::fs;
use std::path::Path;

use splat_scene::{
    Dataset, Error, OpenOptions, Origin, Photo, Remedy, cameras_json, save_png, write_atomically,
};

/// A COLMAP text dataset: a 40x20 camera and `names`, each moved along x.
fn colmap(root: &Path, names: &[&str]) {
    let sparse = root.join("sparse/0");
    fs::create_dir_all(&sparse).unwrap();
    fs::write(sparse.join("cameras.txt"), "1 PINHOLE 40 20 30 32 20 10\n").unwrap();
    let images: String = names
        .iter()
        .enumerate()
        .map(|(i, name)| format!("{} 1 0 0 0 {} 0 0 1 {name}\n\n", i + 1, -(i as f64)))
        .collect();
    fs::write(sparse.join("images.txt"), images).unwrap();
    fs::write(sparse.join("points3D.txt"), "1 0 0 5 255 0 0 0.5\n").unwrap();
}

fn photo(path: &Path, width: u32, height: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let rgb: Vec<u8> = (0..width * height).flat_map(|i| [(i % 256) as u8, 7, 200]).collect();
    save_png(path, width, height, &rgb).unwrap();
}

fn open(root: &Path, downscale: Option<u32>) -> Result<Dataset, Error> {
    Dataset::open(root, &OpenOptions { downscale, ..OpenOptions::default() })
}

#[test]
fn intrinsics_follow_the_image_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    colmap(dir.path(), &["a.png", "b.png"]);
    ["a.png", "b.png"].into_iter().for_each(|n| photo(&dir.path().join("images_2").join(n), 20, 10));
    // The size asked for, the one found in the folder and the largest one are all 20x10.
    for downscale in [None, Some(1), Some(2)] {
        let d = open(dir.path(), downscale).unwrap();
        let camera = &d.views[0].camera;
        assert_eq!((camera.width, camera.height), (20, 10));
        assert_eq!(camera.focal(), [15.0, 16.0]);
        let photo = d.views[0].load().unwrap().photo;
        assert_eq!((photo.width, photo.height, photo.channels), (20, 10, 3));
        assert_eq!(d.warnings.len(), usize::from(downscale == Some(1)), "{:?}", d.warnings);
    }
    // Reduced further, from the folder of the nearest size.
    ["a.png", "b.png"].into_iter().for_each(|n| photo(&dir.path().join("images").join(n), 40, 20));
    let d = open(dir.path(), Some(4)).unwrap();
    assert!(d.views[0].path.to_str().unwrap().contains("images_2"));
    let photo = d.views[0].load().unwrap().photo;
    assert_eq!((photo.width, photo.height), (10, 5));
    assert_eq!(d.views[0].camera.focal(), [7.5, 8.0]);
    assert!(open(dir.path(), None).unwrap().views[0].path.parent().unwrap().ends_with("images"));
}

/// Models made on another machine, on Windows, or with the parent folder as COLMAP's image folder.
#[test]
fn photographs_of_a_model_that_was_moved_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let names = [
        "/data/u/data/images/cam 1/a.png",
        "C:\\data\\images\\b.png",
        "cam 1\\c.png",
        "images/d.png",
        "../e.png",
    ];
    colmap(dir.path(), &names);
    for at in ["images/cam 1/a.png", "images/b.png", "images/cam 1/c.png", "images/d.png", "e.png"] {
        photo(&dir.path().join(at), 40, 20);
    }
    let d = open(dir.path(), None).unwrap();
    let names: Vec<&str> = d.views.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(
        names,
        ["b.png", "cam 1/a.png", "cam 1/c.png", "d.png"],
        "and nothing outside of the folder is read"
    );
    assert!(d.warnings[0].contains("1 of 5") && d.warnings[0].contains("../e.png"), "{:?}", d.warnings);
}

/// Byte order marks, points so far out that their distances overflow, and a model without a file of points.
#[test]
fn odd_text_models_are_read() {
    let dir = tempfile::tempdir().unwrap();
    colmap(dir.path(), &["a.png"]);
    photo(&dir.path().join("images/a.png"), 40, 20);
    let sparse = dir.path().join("sparse/0");
    for name in ["cameras.txt", "images.txt"] {
        let text = fs::read_to_string(sparse.join(name)).unwrap();
        fs::write(sparse.join(name), format!("\u{feff}# comment\n{text}")).unwrap();
    }
    fs::write(sparse.join("points3D.txt"), "1 0 0 5 255 0 0 0.5\n2 1e30 0 5 255 0 0 0.5\n").unwrap();
    let d = open(dir.path(), None).unwrap();
    assert_eq!(d.points.len(), 1);
    assert!(d.warnings.iter().any(|w| w.contains("1 of 2 points")), "{:?}", d.warnings);
    fs::remove_file(sparse.join("points3D.txt")).unwrap();
    let d = open(dir.path(), None).unwrap();
    assert!(d.points.is_empty() && d.warnings.iter().any(|w| w.contains("no points")), "{:?}", d.warnings);
}

#[test]
fn every_eighth_view_by_name_is_held_out() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..17).map(|i| format!("{:02}.png", 16 - i)).collect();
    colmap(dir.path(), &names.iter().map(String::as_str).collect::<Vec<_>>());
    names.iter().for_each(|n| photo(&dir.path().join("images").join(n), 40, 20));
    let d = open(dir.path(), None).unwrap();
    let held: Vec<_> = d.test.iter().map(|&i| d.views[i].name.as_str()).collect();
    assert_eq!(held, ["00.png", "08.png", "16.png"]);
    assert_eq!(d.train.len(), 14);
    // Centres 16 - i for name i; the training ones are 1..=15 without 8, mean 8.
    assert!((d.scene_extent - 1.1 * 7.0).abs() < 1e-9, "{}", d.scene_extent);
    let all = Dataset::open(dir.path(), &OpenOptions { test_every: 0, ..OpenOptions::default() }).unwrap();
    assert_eq!((all.test.len(), all.train.len()), (0, 17));
    let none = Dataset::open(dir.path(), &OpenOptions { test_every: 1, ..OpenOptions::default() });
    let none = none.unwrap_err();
    assert!(none.to_string().contains("17 views, and all of them are held out"), "{none}");
    assert_eq!(none.remedy(), Some(Remedy::ZeroTestEvery));
}

/// Errors that an option of the call cures name that option, and never the flag of a program.
#[test]
fn remedies_are_options_of_the_call() {
    let dir = tempfile::tempdir().unwrap();
    colmap(dir.path(), &["a.png", "b.png"]);
    let refused = |options: &OpenOptions| {
        let error = Dataset::open(dir.path(), options).unwrap_err();
        let hint = error.hint().unwrap();
        assert!(hint.contains("`OpenOptions::") && !hint.contains("--"), "{error}: {hint}");
        error.remedy()
    };
    let default = OpenOptions::default();
    assert_eq!(refused(&default), Some(Remedy::SetImages), "no folder of photographs");
    photo(&dir.path().join("images/a.png"), 40, 20);
    assert_eq!(refused(&OpenOptions { strict: true, ..default.clone() }), Some(Remedy::ClearStrict));
    let nowhere = Some(dir.path().join("nowhere"));
    assert_eq!(refused(&OpenOptions { masks: nowhere.clone(), ..default.clone() }), Some(Remedy::SetMasks));
    assert_eq!(refused(&OpenOptions { depths: nowhere, ..default.clone() }), Some(Remedy::SetDepths));
    let list = Some(vec!["a".into()]);
    assert_eq!(refused(&OpenOptions { test_list: list, ..default }), Some(Remedy::EmptyTestList));
}

#[test]
fn missing_photographs_are_one_warning_or_an_error() {
    let dir = tempfile::tempdir().unwrap();
    colmap(dir.path(), &["a.JPG", "b.JPG", "c.JPG", "../../escape.png"]);
    photo(&dir.path().join("escape.png"), 40, 20);
    fs::create_dir_all(dir.path().join("images")).unwrap();
    let error = open(dir.path(), None).unwrap_err();
    assert!(error.to_string().contains("4 of 4 photographs are missing"), "{error}");
    assert_eq!(error.remedy(), Some(Remedy::SetImages));
    assert!(error.hint().unwrap().contains("OpenOptions::images"));
    // A file with the same stem and another extension is that photograph.
    photo(&dir.path().join("images/a.png"), 40, 20);
    photo(&dir.path().join("images/b.JPG"), 40, 20);
    let d = open(dir.path(), None).unwrap();
    assert_eq!(d.views.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["a.JPG", "b.JPG"]);
    assert_eq!(d.warnings.len(), 1);
    assert!(
        d.warnings[0].contains("2 of 4") && d.warnings[0].contains("../../escape.png"),
        "{:?}",
        d.warnings
    );
    assert_eq!(d.views[1].load().unwrap().photo.width, 40, "PNG data under a .JPG name decodes");
    let strict = Dataset::open(dir.path(), &OpenOptions { strict: true, ..OpenOptions::default() });
    assert!(matches!(strict, Err(Error::MissingImages { missing: 2, total: 4, .. })));
}

/// One picture that cannot be used costs its view; all of them, or strictness, the dataset.
#[test]
fn another_aspect_is_named_with_both_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a.png", "b.png", "c.png"];
    colmap(dir.path(), &names);
    names.iter().for_each(|n| photo(&dir.path().join("images").join(n), 40, 20));
    let strict =
        || Dataset::open(dir.path(), &OpenOptions { strict: true, ..OpenOptions::default() }).unwrap_err();
    photo(&dir.path().join("images/b.png"), 20, 40);
    let d = open(dir.path(), None).unwrap();
    let names: Vec<&str> = d.views.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["a.png", "c.png"]);
    let error = strict();
    for text in [error.to_string(), d.warnings[0].clone()] {
        assert!(text.contains("b.png") && text.contains("20x40") && text.contains("40x20"), "{text}");
    }
    assert_eq!(d.warnings.len(), 1, "{:?}", d.warnings);
    assert!(error.hint().unwrap().contains("rotated"));
    fs::write(dir.path().join("images/b.png"), b"not an image").unwrap();
    assert_eq!(open(dir.path(), None).unwrap().views.len(), 2);
    assert!(matches!(strict(), Error::Decode { .. }));
    fs::write(dir.path().join("images/c.png"), b"not an image").unwrap();
    assert!(matches!(open(dir.path(), None), Err(Error::Decode { .. })), "most of them");
}

#[test]
fn a_photograph_that_changes_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    colmap(dir.path(), &["a.png", "b.png"]);
    ["a.png", "b.png"].into_iter().for_each(|n| photo(&dir.path().join("images").join(n), 40, 20));
    let d = open(dir.path(), None).unwrap();
    photo(&dir.path().join("images/a.png"), 20, 10);
    assert!(matches!(d.views[0].load(), Err(Error::Changed { now: (20, 10), then: (40, 20), .. })));
}

#[test]
fn the_model_folder_itself_will_do() {
    let dir = tempfile::tempdir().unwrap();
    colmap(dir.path(), &["a.png", "b.png"]);
    ["a.png", "b.png"].into_iter().for_each(|n| photo(&dir.path().join("images").join(n), 40, 20));
    assert_eq!(open(&dir.path().join("sparse/0"), None).unwrap().views.len(), 2);
}

#[test]
fn what_is_not_a_dataset_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let text = |path: &Path| {
        let e = open(path, None).unwrap_err();
        assert!(e.hint().is_some(), "{e}");
        e.to_string()
    };
    assert!(text(&dir.path().join("nowhere")).contains("no such folder"));
    assert!(text(dir.path()).contains("sparse/0"));
    colmap(dir.path(), &["a.png"]);
    assert!(text(dir.path()).contains("no folder `images`"));
    colmap(dir.path(), &[]);
    assert!(text(dir.path()).contains("without images"));
}

/// Area averages keep the mean, also at fractional ratios, and weight colours by alpha.
#[test]
fn reduction_is_an_area_average() {
    let grey: Vec<u8> = (0..35 * 21).flat_map(|i| [((i * 7) % 251) as u8; 3]).collect();
    let mean = |p: &[u8]| p.iter().map(|&x| f64::from(x)).sum::<f64>() / p.len() as f64;
    let photo = Photo { width: 35, height: 21, channels: 3, pixels: grey.clone() };
    for (w, h) in [(1, 1), (5, 3), (13, 8), (35, 21)] {
        let small = photo.reduced(w, h);
        assert_eq!(small.pixels.len(), (w * h * 3) as usize);
        assert!((mean(&small.pixels) - mean(&grey)).abs() < 0.5, "{w}x{h}");
    }
    assert_eq!(photo.reduced(35, 21), photo);
    let pixels = vec![200, 0, 0, 255, 0, 255, 0, 0];
    let rgba = Photo { width: 2, height: 1, channels: 4, pixels };
    assert_eq!(rgba.reduced(1, 1).pixels, [200, 0, 0, 128], "the transparent green does not bleed in");
    assert_eq!(rgba.into_rgb([1.0, 1.0, 1.0]), [200, 0, 0, 255, 255, 255]);
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_partial_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ply");
    fs::write(&path, "old").unwrap();
    let error = write_atomically(&path, |out| {
        out.write_all(b"half of the new")?;
        Err(std::io::ErrorKind::StorageFull.into())
    })
    .unwrap_err()
    .to_string();
    assert!(error.contains("a.ply") && error.contains("no storage space"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    write_atomically(&path, |out| out.write_all(b"new")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    let error = write_atomically(dir.path().join("no/such/b.ply"), |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("b.ply"), "{error}");
    assert!(save_png(dir.path().join("c.png"), 2, 2, &[0; 5]).unwrap_err().to_string().contains("needs 12"));
}

#[test]
fn cameras_json_is_camera_to_world() {
    // Looking along +x from (1, 2, 3): the camera's z axis (third column) is +x.
    let json = br#"[{"id":0,"img_name":"a","width":100,"height":50,"position":[1,2,3],
        "rotation":[[0,0,1],[-1,0,0],[0,-1,0]],"fy":40,"fx":50}]"#;
    let camera = &cameras_json::parse(Path::new("cameras.json"), json).unwrap()[0].camera;
    assert_eq!((camera.campos, camera.focal()), ([1.0, 2.0, 3.0], [50.0, 40.0]));
    // (11, 2, 3) is 10 in front: camera z = 10, x = y = 0.
    let z = |row: usize, p: [f32; 3]| {
        (0..3).map(|c| camera.view[4 * c + row] * p[c]).sum::<f32>() + camera.view[12 + row]
    };
    assert_eq!([0, 1, 2].map(|r| z(r, [11.0, 2.0, 3.0])), [0.0, 0.0, 10.0]);
    for bad in [&b"{"[..], b"[{}]", b"", &json[..100]] {
        assert!(cameras_json::parse(Path::new("cameras.json"), bad).is_err());
    }
    let skewed = String::from_utf8(json.to_vec()).unwrap().replace("[-1,0,0]", "[-1,0,1]");
    let e = cameras_json::parse(Path::new("cameras.json"), skewed.as_bytes()).unwrap_err().to_string();
    assert!(e.contains("orthonormal"), "{e}");
}

/// What is written is read back unchanged, including the principal point.
#[test]
fn cameras_json_survives_writing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cameras.json");
    let rotation = [[0.6, 0.0, -0.8], [0.0, 1.0, 0.0], [0.8, 0.0, 0.6]];
    let camera =
        splat_core::Camera::from_pinhole(96, 64, [70.0, 75.0, 40.0, 33.5], rotation, [0.5, -1.0, 2.0]);
    cameras_json::write(
        &path,
        &[cameras_json::Entry { name: "a/b.png".into(), camera: camera.clone(), origin: Origin::default() }],
    )
    .unwrap();
    let read = cameras_json::read(&path).unwrap();
    assert_eq!((read.len(), read[0].name.as_str()), (1, "a/b.png"));
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    let back = &read[0].camera;
    assert!(near(&back.view, &camera.view) && near(&back.proj, &camera.proj), "{back:?} {camera:?}");
    assert_eq!((back.width, back.height), (96, 64));
}

/// The fingerprint changes with names, cameras and split, and with nothing else.
#[test]
fn the_fingerprint_is_of_names_cameras_and_split() {
    let dir = tempfile::tempdir().unwrap();
    colmap(dir.path(), &["a.png", "b.png", "c.png"]);
    ["a.png", "b.png", "c.png"].into_iter().for_each(|n| photo(&dir.path().join("images").join(n), 40, 20));
    let first = open(dir.path(), None).unwrap();
    assert_eq!(first.source, "COLMAP, sparse/0");
    assert_eq!(
        (first.fingerprint().len(), first.fingerprint()),
        (32, open(dir.path(), None).unwrap().fingerprint())
    );
    let listed =
        OpenOptions { test_list: Some(vec!["b".into(), "none.png".into()]), ..OpenOptions::default() };
    let listed = Dataset::open(dir.path(), &listed).unwrap();
    assert_eq!((listed.test.as_slice(), listed.train.as_slice()), (&[1][..], &[0, 2][..]));
    assert!(
        listed.warnings[0].contains("1 of 2") && listed.warnings[0].contains("none.png"),
        "{:?}",
        listed.warnings
    );
    let smaller = open(dir.path(), Some(2)).unwrap();
    let mut renamed = first.clone();
    renamed.views[0].name = "A.png".into();
    let mut without_points = first.clone();
    without_points.points.clear();
    assert_eq!(without_points.fingerprint(), first.fingerprint());
    for other in [listed, smaller, renamed] {
        assert_ne!(other.fingerprint(), first.fingerprint());
    }
}

#[test]
fn up_is_the_mean_of_the_cameras() {
    let dir = tempfile::tempdir().unwrap();
    colmap(dir.path(), &["a.png", "b.png"]);
    ["a.png", "b.png"].iter().for_each(|n| photo(&dir.path().join("images").join(n), 40, 20));
    let d = open(dir.path(), None).unwrap();
    assert_eq!(d.up(), [0.0, -1.0, 0.0]);
    let mut turned = d.clone();
    // The camera's y axis along the world's -z, and for one of the two along z: they cancel out.
    for (view, z) in turned.views.iter_mut().zip([-1.0, 1.0]) {
        (0..3).for_each(|k| view.camera.view[4 * k + 1] = if k == 2 { z } else { 0.0 });
    }
    assert_eq!(turned.up(), [0.0, -1.0, 0.0]);
    turned.views.pop();
    assert_eq!(turned.up(), [0.0, 0.0, 1.0]);
}
