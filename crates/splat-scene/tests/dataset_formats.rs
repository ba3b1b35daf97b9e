//! The formats other than COLMAP, written here by hand: poses, intrinsics, splits, masks, depth maps, missing files.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use splat_scene::{Dataset, Error, OpenOptions, Result, View, save_png};

fn photo(path: &Path, width: u32, height: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let rgb: Vec<u8> = (0..width * height).flat_map(|i| [(i % 256) as u8, 7, 200]).collect();
    save_png(path, width, height, &rgb).unwrap();
}

fn write(path: &Path, value: &Value) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, value.to_string()).unwrap();
}

fn open(root: &Path) -> Result<Dataset> {
    Dataset::open(root, &OpenOptions::default())
}

/// OpenGL camera-to-world at (x, 2, 3), looking along world -z with y up.
fn gl(x: f64) -> Value {
    json!([[1, 0, 0, x], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
}

/// The projection of a world point in pixels.
fn pixel(view: &View, p: [f64; 3]) -> [f64; 2] {
    let c = &view.camera;
    let row = |r: usize| {
        (0..3).map(|k| f64::from(c.proj[4 * k + r]) * p[k]).sum::<f64>() + f64::from(c.proj[12 + r])
    };
    let to = |ndc: f64, n: u32| (ndc + 1.0) * 0.5 * f64::from(n);
    assert!(row(3) > 0.0, "behind the camera");
    [to(row(0) / row(3), c.width), to(row(1) / row(3), c.height)]
}

#[test]
fn transforms_are_opengl_camera_to_world() {
    let dir = tempfile::tempdir().unwrap();
    let frames: Vec<Value> = (0..3)
        .map(|i| json!({"file_path": format!("./images/{i}.png"), "transform_matrix": gl(f64::from(i))}))
        .collect();
    let mut file =
        json!({"fl_x": 50.0, "fl_y": 60.0, "cx": 21.0, "cy": 9.0, "w": 40.0, "h": 20, "frames": frames});
    write(&dir.path().join("transforms.json"), &file);
    (0..3).for_each(|i| photo(&dir.path().join(format!("images/{i}.png")), 40, 20));
    let d = open(dir.path()).unwrap();
    assert_eq!(
        (d.source.as_str(), d.views.len(), d.warnings.len()),
        ("nerfstudio / instant-ngp, transforms.json", 3, 0)
    );
    assert_eq!((d.views[1].name.as_str(), d.views[1].center), ("1.png", [1.0, 2.0, 3.0]));
    // Ten in front, one to the right, one up: right of and above the principal point.
    let [u, v] = pixel(&d.views[1], [2.0, 3.0, -7.0]);
    assert!((u - 26.0).abs() < 1e-4 && (v - 3.0).abs() < 1e-4, "{u} {v}");
    // The file itself may be given; intrinsics may be given per frame, and they follow smaller photographs.
    file["frames"][2]["fl_x"] = json!(100.0);
    write(&dir.path().join("other.json"), &file);
    fs::rename(dir.path().join("images"), dir.path().join("gone")).unwrap();
    (0..3).for_each(|i| photo(&dir.path().join(format!("images_2/{i}.png")), 20, 10));
    let d = open(&dir.path().join("other.json")).unwrap();
    assert_eq!(d.views.iter().map(|v| v.camera.focal()[0]).collect::<Vec<_>>(), [25.0, 25.0, 50.0]);
    assert_eq!(d.views[0].camera.focal()[1], 30.0);
}

#[test]
fn transforms_carry_distortion_masks_depths_points_and_splits() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let frames: Vec<Value> = (0..4)
        .map(|i| {
            json!({"file_path": format!("images/{i}.png"), "transform_matrix": gl(f64::from(i)),
                   "mask_path": format!("m/{i}.png"), "depth_file_path": format!("d/{i}.png")})
        })
        .collect();
    let mut file = json!({
        "camera_model": "OPENCV", "fl_x": 50.0, "fl_y": 50.0, "cx": 20.0, "cy": 10.0, "w": 40, "h": 20,
        "k1": -0.4, "k2": 0.01, "p1": 0.001, "p2": 0.0, "ply_file_path": "sparse_pc.ply",
        "applied_transform": [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]],
        "train_filenames": ["images/0.png", "images/1.png"], "test_filenames": ["images/3.png"],
        "frames": frames,
    });
    let store = |file: &Value| write(&root.join("transforms.json"), file);
    store(&file);
    fs::write(
        root.join("sparse_pc.ply"),
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n\
         property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n\
         1 2 -7 255 0 0\nnan 0 0 1 2 3\n0 inf 0 1 2 3\n",
    )
    .unwrap();
    for i in 0..4 {
        photo(&root.join(format!("images/{i}.png")), 40, 20);
        photo(&root.join(format!("m/{i}.png")), 80, 40);
        let map = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(10, 5, vec![4000u16; 50]).unwrap();
        fs::create_dir_all(root.join("d")).unwrap();
        map.save(root.join(format!("d/{i}.png"))).unwrap();
    }
    let d = open(root).unwrap();
    assert_eq!(d.views.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["0.png", "1.png", "3.png"]);
    assert_eq!((d.train.as_slice(), d.test.as_slice()), (&[0, 1][..], &[2][..]));
    assert_eq!(
        (d.points.len(), d.points[0].position),
        (1, [1.0, 2.0, -7.0]),
        "points stay in the poses' frame"
    );
    assert_eq!(d.warnings.len(), 2, "{:?}", d.warnings);
    assert!(
        d.warnings[0].contains("1 of 4 views") && d.warnings[1].contains("2 of 3 points"),
        "{:?}",
        d.warnings
    );
    assert_eq!(d.views[0].lens(), "OPENCV");
    assert_ne!(d.views[0].camera.width, 40, "undistorted, so another size");
    let picture = d.views[0].load().unwrap();
    assert!(picture.inv_depth.unwrap().iter().all(|&x| (x - 0.25).abs() < 1e-6), "4000 thousandths");
    assert_eq!(picture.mask.unwrap().len(), (picture.photo.width * picture.photo.height) as usize);

    // A fisheye lens, by either of its names.
    file["camera_model"] = json!("OPENCV_FISHEYE");
    store(&file);
    assert_eq!(open(root).unwrap().views[0].lens(), "OPENCV_FISHEYE");
    file.as_object_mut().unwrap().remove("camera_model");
    file["is_fisheye"] = json!(true);
    store(&file);
    assert_eq!(open(root).unwrap().views[0].lens(), "OPENCV_FISHEYE");
    file["camera_model"] = json!("EQUIRECTANGULAR");
    file["is_fisheye"] = json!(false);
    store(&file);
    let error = open(root).unwrap_err();
    assert!(error.to_string().contains("EQUIRECTANGULAR") && error.hint().is_some(), "{error}");
    file["camera_model"] = json!("OPENCV");
    store(&file);

    // A mask with another aspect ratio is found when the dataset is opened, such a NumPy depth map when it is loaded.
    photo(&root.join("m/1.png"), 40, 40);
    let error = Dataset::open(root, &OpenOptions { strict: true, ..OpenOptions::default() });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("m/1.png") && error.contains("40x40") && error.contains("40x20"), "{error}");
    fs::remove_file(root.join("m/1.png")).unwrap();
    photo(&root.join("m/0.png"), 40, 20);
    let d = open(root).unwrap();
    assert!(
        d.warnings.iter().any(|w| w.contains("1 masks or depth maps") && w.contains("m/1.png")),
        "{:?}",
        d.warnings
    );
    image::ImageBuffer::<image::Luma<u16>, _>::from_raw(5, 10, vec![1u16; 50])
        .unwrap()
        .save(root.join("d/0.png"))
        .unwrap();
    let error = d.views[0].load().unwrap_err();
    assert!(matches!(&error, Error::Companion { what: "depth map", size: (5, 10), .. }), "{error}");
}

#[test]
fn nerf_synthetic_has_its_own_test_views_and_no_extensions() {
    let dir = tempfile::tempdir().unwrap();
    let file = |split: &str, n: usize| {
        let frames: Vec<Value> = (0..n)
            .map(|i| json!({"file_path": format!("./{split}/r_{i}"), "transform_matrix": gl(i as f64)}))
            .collect();
        write(
            &dir.path().join(format!("transforms_{split}.json")),
            &json!({"camera_angle_x": 2.0 * (0.5f64).atan(), "frames": frames}),
        );
        (0..n).for_each(|i| photo(&dir.path().join(format!("{split}/r_{i}.png")), 32, 24));
    };
    file("train", 9);
    let d = open(dir.path()).unwrap();
    assert_eq!((d.views.len(), d.test.as_slice()), (9, &[0, 8][..]), "without test views every 8th");
    // 16 pixels are half the width and tan 0.5.
    assert_eq!((d.views[0].camera.focal(), d.views[0].name.as_str()), ([32.0, 32.0], "train/r_0"));
    file("test", 3);
    file("val", 2);
    let d = open(dir.path()).unwrap();
    let held: Vec<_> = d.test.iter().map(|&i| d.views[i].name.as_str()).collect();
    assert_eq!((held.as_slice(), d.train.len()), (&["test/r_0", "test/r_1", "test/r_2"][..], 9));
    assert_eq!(d.source, "NeRF-synthetic, transforms_train.json + transforms_test.json");
}

#[test]
fn opencv_cameras_are_world_to_camera() {
    let dir = tempfile::tempdir().unwrap();
    let frames: Vec<Value> = (0..2)
        .map(|i| {
            json!({"w": 40, "h": 20, "fx": 50.0, "fy": 60.0, "cx": 21.0, "cy": 9.0, "file_path": format!("images/{i}.png"),
                   "w2c": [[1, 0, 0, -i], [0, -1, 0, 2], [0, 0, -1, 3], [0, 0, 0, 1]]})
        })
        .collect();
    write(&dir.path().join("opencv_cameras.json"), &json!({"id": "x", "frames": frames}));
    (0..2).for_each(|i| photo(&dir.path().join(format!("images/{i}.png")), 40, 20));
    let d = open(dir.path()).unwrap();
    assert_eq!(d.views[1].center, [1.0, 2.0, 3.0]);
    let [u, v] = pixel(&d.views[1], [2.0, 3.0, -7.0]);
    assert!((u - 26.0).abs() < 1e-4 && (v - 3.0).abs() < 1e-4, "{u} {v}");
}

#[test]
fn polycams_raw_data_reads_with_its_depths() {
    let dir = tempfile::tempdir().unwrap();
    let frames = dir.path().join("keyframes");
    for i in 0..2 {
        write(
            &frames.join(format!("cameras/{i}.json")),
            &json!({"fx": 50.0, "fy": 60.0, "cx": 21.0, "cy": 9.0, "width": 40, "height": 20, "blur_score": 1.0,
                    "t_00": 1, "t_01": 0, "t_02": 0, "t_03": i, "t_10": 0, "t_11": 1, "t_12": 0, "t_13": 2,
                    "t_20": 0, "t_21": 0, "t_22": 1, "t_23": 3}),
        );
        photo(&frames.join(format!("images/{i}.jpg")), 40, 20);
        let map = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(8, 4, vec![500u16; 32]).unwrap();
        fs::create_dir_all(frames.join("depth")).unwrap();
        map.save(frames.join(format!("depth/{i}.png"))).unwrap();
    }
    let d = open(dir.path()).unwrap();
    assert_eq!((d.source.as_str(), d.views[1].center), ("Polycam, keyframes/cameras", [1.0, 2.0, 3.0]));
    assert_eq!(d.views[1].load().unwrap().inv_depth.unwrap(), [2.0; 800]);
}

/// A dataset that was moved keeps the absolute paths of another machine.
#[test]
fn paths_of_elsewhere_are_found_below_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    for path in
        ["/elsewhere/scan/images/a.png", "../scan/images/a.png", "C:\\scan\\images\\a.png", "images\\a.png"]
    {
        let frames = json!([{"file_path": path, "transform_matrix": gl(0.0)}]);
        write(&dir.path().join("transforms.json"), &json!({"fl_x": 50.0, "frames": frames}));
        photo(&dir.path().join("images/a.png"), 40, 20);
        let d = open(dir.path()).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(d.views[0].path.ends_with("images/a.png"), "{path}: {}", d.views[0].path.display());
    }
}

#[test]
fn frames_that_cannot_be_are_named() {
    let dir = tempfile::tempdir().unwrap();
    photo(&dir.path().join("images/a.png"), 40, 20);
    photo(&dir.path().join("images/b.png"), 40, 20);
    let attempt = |change: &dyn Fn(&mut Value)| {
        let frame = |n: &str| json!({"file_path": format!("images/{n}.png"), "transform_matrix": gl(0.0)});
        let mut file = json!({"fl_x": 50.0, "w": 40, "h": 20, "frames": [frame("a"), frame("b")]});
        change(&mut file);
        write(&dir.path().join("transforms.json"), &file);
        open(dir.path())
    };
    assert!(attempt(&|_| ()).is_ok());
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 9] = [
        (|f| f["frames"][1]["transform_matrix"][0][0] = json!(3.0), "images/b.png: its 3x3 part"),
        (|f| f["frames"][1]["transform_matrix"][0][0] = json!(-1), "reflection"),
        (|f| f["fl_x"] = json!(0), "focal lengths are 0"),
        (|f| f["fl_x"] = json!(1e300), "too large"),
        (|f| f["w"] = json!(1e18), "a side of the image"),
        (|f| (f["fl_x"], f["camera_angle_x"]) = (Value::Null, json!(4.0)), "angle of view"),
        (|f| f["fl_x"] = Value::Null, "neither a focal length"),
        (|f| f["k1"] = json!(-1e12), "turns back"),
        (|f| f["frames"] = json!([]), "no frames"),
    ];
    for (change, says) in cases {
        let error = attempt(&change).unwrap_err().to_string();
        assert!(error.contains("transforms.json") && error.contains(says), "{says}: {error}");
    }
    for (text, says) in [
        ("", "line "),
        ("{", "line "),
        ("[]", "line "),
        ("{\"frames\": 3}", "line "),
        ("{\"frames\": [{\"file_path\": 3}]}", "frame 0"),
        ("{\"frames\":[NaN]}", "frame 0"),
    ] {
        fs::write(dir.path().join("transforms.json"), text).unwrap();
        let error = open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("transforms.json") && error.contains(says), "{text}: {error}");
    }
    // What is not fatal is warned about.
    let d = attempt(&|f| f["frames"][1]["file_path"] = json!("images/a.png")).unwrap();
    assert!(d.warnings[0].contains("1 photographs more than once"), "{:?}", d.warnings);
    assert_eq!((d.views.len(), d.test.len()), (1, 0), "a single view is trained on");
    let far = |f: &mut Value| {
        let many: Vec<Value> = (0..9)
            .map(|i| json!({"file_path": format!("images/{i}.png"), "transform_matrix": gl(if i == 8 { 1e9 } else { f64::from(i) })}))
            .collect();
        f["frames"] = json!(many);
    };
    (0..9).for_each(|i| photo(&dir.path().join(format!("images/{i}.png")), 40, 20));
    let d = attempt(&far).unwrap();
    let far_out = |w: &String| w.contains("1000 times farther") && w.contains("8.png");
    assert!(d.warnings.iter().any(far_out), "{:?}", d.warnings);
    assert!(d.scene_extent < 10.0, "a camera at infinity does not decide the extent: {}", d.scene_extent);
    let d = attempt(&|f| f["camera_angle_x"] = json!(0.0)).unwrap();
    assert!(
        (d.views[0].camera.focal()[0] - 50.0).abs() < 1e-3,
        "an angle beside a focal length is not needed"
    );
    let text = fs::read_to_string(dir.path().join("transforms.json")).unwrap();
    fs::write(dir.path().join("transforms.json"), format!("\u{feff}{text}")).unwrap();
    open(dir.path()).unwrap();
}

/// An EXIF rotation is applied if the camera has the rotated shape, and only then.
#[test]
fn exif_orientation_follows_the_camera() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("images")).unwrap();
    let mut jpeg = Vec::new();
    // The left half is bright, so that a rotation shows.
    let rgb: Vec<u8> = (0..40 * 20).flat_map(|i| [if i % 40 < 20 { 240u8 } else { 10 }; 3]).collect();
    image::codecs::jpeg::JpegEncoder::new(&mut jpeg)
        .encode(&rgb, 40, 20, image::ExtendedColorType::Rgb8)
        .unwrap();
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let turned = [&jpeg[..2], &[0xFF, 0xE1], &length, exif, &jpeg[2..]].concat();
    fs::write(root.join("images/a.JPG"), turned).unwrap();
    let camera = |w: u32, h: u32| {
        let frames = json!([{"file_path": "images/a.JPG", "transform_matrix": gl(0.0)}]);
        write(&root.join("transforms.json"), &json!({"fl_x": 50.0, "w": w, "h": h, "frames": frames}));
        open(root).unwrap()
    };
    let stored = camera(40, 20);
    assert!(stored.warnings.iter().any(|w| w.contains("EXIF orientation")), "{:?}", stored.warnings);
    assert_eq!(stored.views[0].load().unwrap().photo.width, 40);
    let upright = camera(20, 40);
    assert!(!upright.warnings.iter().any(|w| w.contains("EXIF")), "{:?}", upright.warnings);
    let photo = upright.views[0].load().unwrap().photo;
    assert_eq!((photo.width, photo.height), (20, 40));
    // Clockwise by 90 degrees: left becomes top.
    let row = |y: usize| photo.pixels[(y * 20 + 10) * 3];
    assert!(row(3) > 200 && row(36) < 50, "{} {}", row(3), row(36));
}

/// `depth_params.json` turns numbers into inverse depths; a scale far off the others is not used.
#[test]
fn inverse_depths_follow_their_parameters() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let frames: Vec<Value> = (0..4)
        .map(|i| json!({"file_path": format!("images/{i}.png"), "transform_matrix": gl(f64::from(i))}))
        .collect();
    write(&root.join("transforms.json"), &json!({"fl_x": 50.0, "frames": frames}));
    fs::create_dir_all(root.join("depths")).unwrap();
    for i in 0..4 {
        photo(&root.join(format!("images/{i}.png")), 40, 20);
        let map = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(40, 20, vec![32768u16; 800]).unwrap();
        map.save(root.join(format!("depths/{i}.png"))).unwrap();
    }
    write(
        &root.join("sparse/0/depth_params.json"),
        &json!({"0": {"scale": 1.0, "offset": 0.25}, "1": {"scale": 1.2, "offset": 0.0}, "2": {"scale": 90.0, "offset": 0.0}}),
    );
    let d = open(root).unwrap();
    assert_eq!(d.views[0].load().unwrap().inv_depth.unwrap(), [0.75; 800]);
    assert_eq!(d.views.iter().map(|v| v.depth.is_some()).collect::<Vec<_>>(), [true, true, false, false]);
    assert!(
        d.warnings.iter().any(|w| w.contains("2 of 4 views have no usable depth map")),
        "{:?}",
        d.warnings
    );
    fs::write(root.join("sparse/0/depth_params.json"), "[").unwrap();
    assert!(open(root).unwrap_err().to_string().contains("depth_params.json"));
    fs::remove_file(root.join("sparse/0/depth_params.json")).unwrap();
    let plain = open(root).unwrap();
    assert!((plain.views[0].load().unwrap().inv_depth.unwrap()[0] - 1.0 / 32.768).abs() < 1e-6);
}

/// Views for validation are held out where there are none for testing, and are no photographs without a pose otherwise.
#[test]
fn validation_views_stand_in_for_test_views() {
    let dir = tempfile::tempdir().unwrap();
    let put = |split: &str, names: &[&str]| {
        let frame = |n: &&str| json!({"file_path": format!("images/{n}.png"), "transform_matrix": gl(0.0)});
        let frames: Vec<Value> = names.iter().map(frame).collect();
        let file = dir.path().join(format!("transforms_{split}.json"));
        write(&file, &json!({"fl_x": 50.0, "frames": frames}));
        names.iter().for_each(|n| photo(&dir.path().join(format!("images/{n}.png")), 40, 20));
    };
    put("train", &["a", "b"]);
    put("val", &["c"]);
    let d = open(dir.path()).unwrap();
    assert_eq!((d.views.len(), d.test.as_slice(), d.warnings.len()), (3, &[2][..], 0), "{:?}", d.warnings);
    put("test", &["d"]);
    let d = open(dir.path()).unwrap();
    let names: Vec<&str> = d.views.iter().map(|v| v.name.as_str()).collect();
    assert_eq!((names.as_slice(), d.test.as_slice()), (&["a.png", "b.png", "d.png"][..], &[2][..]));
    assert!(d.warnings.is_empty(), "{:?}", d.warnings);
}

/// A file that lists bare names, with the photographs in a folder beside it; empty texts for numbers that a table lacked.
#[test]
fn bare_names_are_found_in_a_folder_beside_the_file() {
    for folder in ["images", "images_2", "input", "rgb"] {
        let dir = tempfile::tempdir().unwrap();
        photo(&dir.path().join(folder).join("a.png"), 40, 20);
        let frames =
            json!([{"file_path": "a.png", "transform_matrix": gl(0.0), "k1": "", "k2": "0.0", "k3": null}]);
        write(&dir.path().join("transforms.json"), &json!({"fl_x": 50.0, "frames": frames}));
        let d = open(dir.path()).unwrap_or_else(|e| panic!("{folder}: {e}"));
        assert!(d.views[0].path.ends_with(Path::new(folder).join("a.png")));
        assert_eq!(d.views[0].lens(), "PINHOLE");
    }
}

/// What is no dataset is named as what it is, with the way to one.
#[test]
fn what_is_near_a_dataset_is_named() {
    let error = |files: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), text).unwrap();
        }
        let error = open(dir.path()).unwrap_err();
        (error.to_string(), error.hint().unwrap())
    };
    let poses = r#"{"frames": [{"transform_matrix": []}]}"#;
    for (name, found) in [
        ("dense/0/sparse/cameras.txt", "dense/0"),
        ("sfm/cameras.bin", "sfm"),
        ("scan 1/transforms.json", "scan 1"),
        ("my_transforms.JSON", "my_transforms.JSON"),
    ] {
        let (text, hint) = error(&[(name, poses), ("other/readme", "")]);
        assert!(text.contains(&format!("there is one in {found}")), "{name}: {text}");
        assert!(hint.starts_with("give its path: '") && hint.ends_with(&format!("{found}'")), "{hint}");
    }
    let (text, hint) = error(&[("a.csv", "#name,x,y,alt\na.jpg,1,2,3\n")]);
    assert!(text.contains("a.csv is not read (a table of RealityScan without angles"), "{text}");
    assert!(hint.contains("Internal/External camera parameters"), "{hint}");
    assert!(error(&[("Bundle.out", "")]).0.contains("Bundle.out is not read (Bundler)"));
    assert!(error(&[("scan.zip", "PK")]).0.contains("an archive, scan.zip, to be unpacked"));
}
