//! Datasets as their exporters really leave them, after public reports: what each rightly means, or how it is refused.

mod ring;

use std::fs;
use std::path::Path;

use ring::*;
use serde_json::{Value, json};
use splat_scene::{Error, Remedy, View, save_png};

const NOWHERE: [f64; 3] = [0.0; 3];

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Georeferenced coordinates lose nothing to `f32`: metres north and east of UTM, text and binary, poses both ways.
#[test]
fn georeferenced_data_is_the_local_data_elsewhere() {
    let utm = [448_262.4, 4_582_015.3, 172.6];
    let dir = folder();
    for (file, bytes) in BINARY.iter().zip(colmap_binary(utm)) {
        put(dir.path().join("sparse/0").join(file), bytes);
    }
    photos(&dir.path().join("images"));
    let d = open(dir.path()).unwrap();
    assert_same(&d, &[], utm);
    assert!(d.views.iter().all(|v| v.center.iter().all(|x| x.abs() < 10.0)), "{:?}", d.origin);
    assert!((d.scene_extent - plain().scene_extent).abs() < 1e-6);
    assert_ne!(d.fingerprint(), plain().fingerprint(), "it is another place in the world");
    assert_eq!(d.fingerprint(), open(dir.path()).unwrap().fingerprint());
    assert!(d.warnings.is_empty(), "{:?}", d.warnings);

    let dir = folder();
    for (file, text) in TEXT.iter().zip(colmap_text(utm)) {
        put(dir.path().join("sparse/0").join(file), text);
    }
    photos(&dir.path().join("images"));
    assert_same(&open(dir.path()).unwrap(), &[], utm);

    let dir = folder();
    changed(dir.path(), |t| {
        t["applied_transform"] = json!([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]);
        for frame in t["frames"].as_array_mut().unwrap() {
            for (k, x) in utm.iter().enumerate() {
                let at = &mut frame["transform_matrix"][k][3];
                *at = json!(at.as_f64().unwrap() + x);
            }
        }
    });
    put(dir.path().join("sparse_pc.ply"), ply(utm));
    assert_same(&open(dir.path()).unwrap(), &[], utm);
    fs::remove_file(dir.path().join("sparse_pc.ply")).unwrap();
    let model = dir.path().join("colmap/sparse/0");
    for (file, text) in TEXT.iter().zip(colmap_text(utm)) {
        put(model.join(file), text);
    }
    assert_same(&open(dir.path()).unwrap(), &[], utm);
    // A single stray point does not keep the scene where it is.
    put(model.join("points3D.txt"), format!("{}401 0 0 0 1 2 3 0.5\n", colmap_text(utm)[2]));
    assert!(!open(dir.path()).unwrap().origin.is_zero());
    // Nor does a camera at the world's origin, as failed registrations leave it.
    let images = colmap_text(utm)[1].lines().skip(2).map(|line| format!("{line}\n")).collect::<String>();
    put(dir.path().join("sparse/0/images.txt"), format!("99 1 0 0 0 0 0 0 1 {}\n\n{images}", name(0)));
    [0, 2].iter().for_each(|&k| put(dir.path().join("sparse/0").join(TEXT[k]), &colmap_text(utm)[k]));
    let d = open(dir.path()).unwrap();
    assert_eq!(d.source, "COLMAP, sparse/0");
    assert!(!d.origin.is_zero() && d.views[5].center.iter().all(|x| x.abs() < 10.0), "{:?}", d.origin);
}

/// Each dialect has its own key for its own unit.
#[test]
fn depth_maps_are_in_the_unit_of_their_dialect() {
    let unit = 10.0 / 65535.0;
    let depth = |change: &dyn Fn(&mut Value), key: &str| {
        let dir = folder();
        changed(dir.path(), |t| {
            for (i, frame) in t["frames"].as_array_mut().unwrap().iter_mut().enumerate() {
                frame[key] = json!(format!("depth/{i}.png"));
            }
            change(t);
        });
        fs::create_dir_all(dir.path().join("depth")).unwrap();
        for i in 0..CAMERAS {
            let map =
                image::ImageBuffer::<image::Luma<u16>, _>::from_raw(64, 48, vec![6553u16; 64 * 48]).unwrap();
            map.save(dir.path().join(format!("depth/{i}.png"))).unwrap();
        }
        let d = open(dir.path()).unwrap();
        let at = d.views[3].load().unwrap().inv_depth.map(|map| 1.0 / map[100]);
        (at, d.warnings.join("; "))
    };
    let near = |found: (Option<f32>, String), expected: f64| {
        let at = f64::from(found.0.unwrap());
        assert!((at - expected).abs() < 1e-4 * expected, "{at}, expected {expected}");
        assert_eq!(found.1, "");
    };
    near(depth(&|t| t["integer_depth_scale"] = json!(unit), "depth_path"), 6553.0 * unit);
    near(depth(&|t| t["depth_unit_scale_factor"] = json!(unit), "depth_path"), 6553.0 * unit);
    near(depth(&|t| t["depth_unit_scale_factor"] = json!(unit), "depth_file_path"), 6553.0 * unit);
    near(depth(&|_| (), "depth_file_path"), 6.553);
    let both = |t: &mut Value| {
        (t["integer_depth_scale"], t["depth_unit_scale_factor"]) = (json!(0.5), json!(0.25));
    };
    near(depth(&both, "depth_path"), 6553.0 * 0.5);
    near(depth(&both, "depth_file_path"), 6553.0 * 0.25);
    let (at, warnings) = depth(&|_| (), "depth_path");
    assert!((at.unwrap() - 6.553).abs() < 1e-3 && warnings.contains("integer_depth_scale"), "{warnings}");
    let off = depth(
        &|t| (t["integer_depth_scale"], t["enable_depth_loading"]) = (json!(1), json!(false)),
        "depth_path",
    );
    assert_eq!(off.0, None);
}

/// What a dialect can say and is not applied is named, once; what has no influence is not.
#[test]
fn keys_that_change_the_result_are_named() {
    let dir = folder();
    changed(dir.path(), |t| {
        (t["aabb_scale"], t["scale"], t["offset"]) = (json!(16), json!(0.3), json!([0.5, 0.5, 0.5]));
        (t["applied_transform"], t["orientation_override"]) = (json!([[1, 0, 0, 0]]), json!("none"));
        (t["rolling_shutter"], t["lens_serial"]) = (json!([0.0, 0.5, 0.0]), json!("x"));
        t["frames"][2]["sharpness"] = json!(27.5);
    });
    let d = open(dir.path()).unwrap();
    assert_same(&d, &[], NOWHERE);
    assert_eq!(d.warnings.len(), 2, "{:?}", d.warnings);
    assert_warns(&d, &["not applied", "`rolling_shutter`"]);
    assert_warns(&d, &["no known program", "`lens_serial`"]);
}

/// nerfstudio's converter of RealityCapture writes distortion as text, instant-ngp knows angles in degrees.
#[test]
fn the_numbers_of_other_dialects_read() {
    let dir = folder();
    changed(dir.path(), |t| {
        (t["k1"], t["k2"], t["p1"]) = (json!("-0.1"), json!("0.0"), json!("0"));
    });
    assert_eq!(open(dir.path()).unwrap().views[0].lens(), "OPENCV");
    let fov = |t: &mut Value| {
        ["fl_x", "fl_y"].iter().for_each(|key| drop(object(t).remove(*key)));
        t["x_fov"] = json!(2.0 * (32.0f64 / 60.0).atan().to_degrees());
    };
    changed(dir.path(), fov);
    let focal = open(dir.path()).unwrap().views[0].camera.focal();
    assert!((focal[0] - 60.0).abs() < 1e-4 && (focal[1] - 60.0).abs() < 1e-4, "{focal:?}");
    let lens = |change: fn(&mut Value)| {
        changed(dir.path(), change);
        open(dir.path()).map(|d| d.views[0].lens())
    };
    let aria = |t: &mut Value| {
        t["camera_model"] = json!("FISHEYE624");
        t["distortion_params"] = json!([0.01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    };
    assert_eq!(lens(aria).unwrap(), "RAD_TAN_THIN_PRISM_FISHEYE");
    let rational = |t: &mut Value| (t["camera_model"], t["k5"]) = (json!("FULL_OPENCV"), json!(0.01));
    assert_eq!(lens(rational).unwrap(), "FULL_OPENCV");
    for (refused, word) in [
        ((|t: &mut Value| t["k5"] = json!(0.01)) as fn(&mut Value), "k5"),
        (|t| t["latlong"] = json!(true), "EQUIRECTANGULAR"),
        (|t| t["ftheta_p0"] = json!(0.1), "theta"),
    ] {
        let error = lens(refused).unwrap_err();
        assert!(error.to_string().contains(word) && error.hint().is_some(), "{error}");
    }
    // Comments, as instant-ngp allows them, and another case of the file's name.
    let text = transforms().to_string().replacen("\"w\"", "// the width\n/* in pixels */ \"w\"", 1);
    fs::remove_file(dir.path().join("transforms.json")).unwrap();
    put(dir.path().join("Transforms.JSON"), text);
    let d = open(dir.path()).unwrap();
    assert_same(&d, &[], NOWHERE);
    assert_warns(&d, &["Transforms.JSON"]);
}

/// Of several models the largest is read and named; photographs without a pose are counted.
#[test]
fn the_largest_model_is_read() {
    let dir = folder();
    let [cameras, images, points] = colmap_text(NOWHERE);
    let few: String = images.lines().take(4).map(|line| format!("{line}\n")).collect();
    for (model, images) in [("0", &few), ("1", &images), ("2", &few)] {
        for (file, text) in TEXT.iter().zip([&cameras, images, &points]) {
            put(dir.path().join("sparse").join(model).join(file), text);
        }
    }
    photos(&dir.path().join("images"));
    let d = open(dir.path()).unwrap();
    assert_same(&d, &[], NOWHERE);
    assert_eq!(d.source, "COLMAP, sparse/1");
    assert_warns(
        &d,
        &["3 COLMAP models", "sparse/1 (10 images)", "sparse/0 (2 images)", "sparse/2 (2 images)"],
    );
    let d = open(&dir.path().join("sparse/0")).unwrap();
    assert_eq!(d.views.len(), 2);
    assert_warns(&d, &["8 photographs have no pose", "frame_002.png"]);
    // Binary models are counted by their headers.
    for (file, bytes) in BINARY.iter().zip(colmap_binary(NOWHERE)) {
        put(dir.path().join("sparse/7").join(file), bytes);
    }
    fs::remove_dir_all(dir.path().join("sparse/1")).unwrap();
    assert_eq!(open(dir.path()).unwrap().source, "COLMAP, sparse/7");
}

/// Windows and macOS do not distinguish what Linux does.
#[test]
fn names_differ_in_case_and_unicode_form() {
    let dir = folder();
    for (file, text) in ["Cameras.txt", "Images.txt", "Points3D.txt"].iter().zip(colmap_text(NOWHERE)) {
        put(dir.path().join("Sparse/0").join(file), text);
    }
    photos(&dir.path().join("Images"));
    let d = open(dir.path()).unwrap();
    assert_same(&d, &[], NOWHERE);
    assert_warns(&d, &["Images.txt", "capitals"]);

    let dir = folder();
    let [cameras, images, points] = colmap_text(NOWHERE);
    // The model lists NFC in capitals, the files are NFD in small letters.
    let images = images.replace("frame_", "K\u{dc}CHE_").replace(".png", ".PNG");
    for (file, text) in TEXT.iter().zip([cameras, images, points]) {
        put(dir.path().join("sparse/0").join(file), text);
    }
    let folder = dir.path().join("images");
    photos(&folder);
    for i in 0..CAMERAS {
        fs::rename(folder.join(name(i)), folder.join(name(i).replace("frame_", "ku\u{308}che_"))).unwrap();
    }
    let d = open(dir.path()).unwrap();
    assert_same(&d, &[], NOWHERE);
    assert_warns(
        &d,
        &["10 photographs", "case, Unicode form or encoding", "K\u{dc}CHE_000.PNG", "ku\u{308}che_000.png"],
    );
}

/// A frame that is broken is left out by its name, and `strict` refuses it.
#[test]
fn one_broken_frame_does_not_refuse_all() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 8] = [
        (|f| f["transform_matrix"][0][3] = json!("-Infinity"), "-inf"),
        (|f| f["transform_matrix"][1][1] = Value::Null, "NaN"),
        (|f| f["transform_matrix"][2][3] = json!(1e300), "1e300"),
        (
            |f| f["transform_matrix"] = json!([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
            "expected a rotation",
        ),
        (|f| f["transform_matrix"] = json!([[1, 2], [3, 4]]), "expected 4x4"),
        (|f| drop(object(f).remove("transform_matrix")), "no `transform_matrix`"),
        (|f| f["fl_x"] = json!(0), "focal lengths"),
        (|f| f["cx"] = json!("centre"), "`cx`"),
    ];
    for (change, says) in cases {
        let dir = folder();
        changed(dir.path(), |t| change(&mut t["frames"][3]));
        // Python writes these numbers bare.
        let path = dir.path().join("transforms.json");
        let text = fs::read_to_string(&path).unwrap().replace("\"-Infinity\"", "-Infinity");
        fs::write(&path, text).unwrap();
        let d = open(dir.path()).unwrap_or_else(|e| panic!("{says}: {e}"));
        assert_same(&d, &[3], NOWHERE);
        assert_warns(&d, &["1 of 10 frames", "frame_003.png", says]);
        assert_eq!(d.warnings.len(), 1, "{:?}", d.warnings);
        let error = strict(dir.path()).unwrap_err();
        assert!(matches!(error, Error::BrokenFrames { broken: 1, total: 10, .. }), "{error}");
        assert_eq!(error.remedy(), Some(Remedy::ClearStrict));
    }
    // COLMAP, as text and as bytes.
    for number in ["nan", "-nan", "inf", "-nan(ind)", "1.#QNAN"] {
        let dir = folder();
        write_colmap(dir.path());
        let images = colmap_text(NOWHERE)[1].clone();
        let line = images.lines().nth(6).unwrap();
        let broken: Vec<&str> =
            line.split(' ').enumerate().map(|(k, word)| if k == 2 { number } else { word }).collect();
        put(dir.path().join("sparse/0/images.txt"), images.replace(line, &broken.join(" ")));
        let d = open(dir.path()).unwrap_or_else(|e| panic!("{number}: {e}"));
        assert_same(&d, &[3], NOWHERE);
        assert_warns(&d, &["frame_003.png", "quaternion"]);
        assert!(strict(dir.path()).is_err());
    }
    // All broken: the first says why.
    let dir = folder();
    changed(dir.path(), |t| t["fl_x"] = json!(-1));
    let error = open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("10 of 10 frames") && error.remedy().is_none(), "{error}");
    assert!(error.hint().is_some());
}

/// A scale in the rotation is taken out; what is no rotation is refused with its numbers.
#[test]
fn scaled_poses_are_normalised() {
    let dir = folder();
    let scale = |t: &mut Value, of: [f64; 3]| {
        for frame in t["frames"].as_array_mut().unwrap() {
            for (k, factor) in of.iter().enumerate() {
                (0..3).for_each(|c| {
                    let x = &mut frame["transform_matrix"][k][c];
                    *x = json!(x.as_f64().unwrap() * factor);
                });
            }
        }
    };
    changed(dir.path(), |t| scale(t, [0.33; 3]));
    let d = open(dir.path()).unwrap();
    assert_same(&d, &[], NOWHERE);
    assert_warns(&d, &["10 poses", "0.3300", "frame_000.png"]);
    for of in [[0.33, 0.33, 0.66], [1.0, 1.0, -1.0], [1.0, 1.1, 1.0]] {
        changed(dir.path(), |t| scale(t, of));
        let error = open(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Camera { .. }), "{of:?}: {error}");
        assert!(error.to_string().contains("expected a rotation"), "{error}");
    }
    assert!(open(dir.path()).unwrap_err().to_string().contains("1.1000"), "the lengths are named");
}

/// The corrected cameras of newer Polycam versions do not state the size of their photographs.
#[test]
fn polycams_corrected_cameras_take_the_size_of_the_picture() {
    let camera = |i: usize, sized: bool| {
        let m = camera_to_world(i);
        let mut value =
            json!({"fx": 60.0, "fy": 60.0, "cx": 32.0, "cy": 24.0, "timestamp": 7, "blur_score": 9.5});
        for (r, row) in m.iter().enumerate() {
            row.iter().enumerate().for_each(|(c, x)| value[format!("t_{r}{c}")] = json!(x));
        }
        if sized {
            (value["width"], value["height"]) = (json!(64), json!(48));
        }
        value.to_string()
    };
    let write = |root: &Path, sizes: bool| {
        let frames = root.join("keyframes");
        for i in 0..CAMERAS {
            let name = name(i).replace("png", "json");
            put(frames.join("corrected_cameras").join(&name), camera(i, false));
            if sizes {
                put(frames.join("cameras").join(&name), camera(i, true));
            }
        }
        photos(&frames.join("corrected_images"));
        put(root.join("pointcloud.ply"), ply(NOWHERE));
    };
    for sizes in [false, true] {
        let dir = folder();
        write(dir.path(), sizes);
        let d = open(dir.path()).unwrap();
        assert_eq!(d.source, "Polycam, keyframes/corrected_cameras");
        assert_same(&d, &[], NOWHERE);
    }
    // Photographs that were reduced since: the sibling knows the size that the intrinsics are for.
    let dir = folder();
    write(dir.path(), true);
    for i in 0..CAMERAS {
        let path = dir.path().join("keyframes/corrected_images").join(name(i));
        save_png(path, 32, 24, &[9; 32 * 24 * 3]).unwrap();
    }
    let focal = open(dir.path()).unwrap().views[0].camera.focal();
    assert!(focal.iter().all(|f| (f - 30.0).abs() < 1e-4), "{focal:?}");
    // One damaged camera file is one frame.
    put(dir.path().join("keyframes/corrected_cameras/frame_004.json"), "{\"fx\": 60");
    assert_warns(&open(dir.path()).unwrap(), &["1 of 10 frames", "frame_004"]);
}

#[test]
fn record3d_captures_read() {
    let dir = folder();
    let pose = |i: usize| {
        let ([w, x, y, z], _) = world_to_camera(i, NOWHERE);
        // From world-to-camera with OpenCV axes to camera-to-world with OpenGL axes: the conjugate, times a half turn
        // about x.
        let center = camera_to_world(i).map(|row| row[3]);
        json!([w, -z, y, x, center[0], center[1], center[2]])
    };
    let metadata = json!({"w": 64, "h": 48, "K": [60.0, 0, 0, 0, 60.0, 0, 32.0, 24.0, 1], "fps": 30, "dw": 192, "dh": 256,
                          "poses": (0..CAMERAS).map(pose).collect::<Vec<_>>()});
    put(dir.path().join("metadata"), metadata.to_string());
    let photos_at = dir.path().join("rgbd");
    photos(&photos_at);
    (0..CAMERAS)
        .for_each(|i| fs::rename(photos_at.join(name(i)), photos_at.join(format!("{i}.png"))).unwrap());
    put(dir.path().join("sparse_pc.ply"), ply(NOWHERE));
    let d = open(dir.path()).unwrap();
    assert_eq!(d.source, "Record3D, metadata");
    assert_same(&d, &[], NOWHERE);
    assert!(d.warnings.is_empty(), "{:?}", d.warnings);
}

/// Points in a PLY file beside the model or the poses, under any of the usual names.
#[test]
fn points_are_found_in_ply_files() {
    for (file, binary) in
        [("points3D.ply", true), ("points3d.ply", false), ("sparse_pc.ply", true), ("pointcloud.ply", false)]
    {
        let dir = folder();
        write_colmap(dir.path());
        let sparse = dir.path().join("sparse/0");
        fs::remove_file(sparse.join("points3D.txt")).unwrap();
        if binary {
            TEXT.iter().take(2).for_each(|f| fs::remove_file(sparse.join(f)).unwrap());
            for (file, bytes) in BINARY.iter().zip(colmap_binary(NOWHERE)).take(2) {
                put(sparse.join(file), bytes);
            }
        }
        put(sparse.join(file), ply(NOWHERE));
        let d = open(dir.path()).unwrap();
        assert_same(&d, &[], NOWHERE);
        assert!(d.warnings.is_empty(), "{file}: {:?}", d.warnings);
    }
    // nerfstudio's poses with the COLMAP model that they were made from, in COLMAP's frame.
    let dir = folder();
    changed(dir.path(), |t| t["applied_transform"] = json!([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]]));
    fs::remove_file(dir.path().join("sparse_pc.ply")).unwrap();
    let [cameras, images, points] = colmap_text(NOWHERE);
    let swapped: String = points
        .lines()
        .map(|line| {
            let w: Vec<&str> = line.split(' ').collect();
            format!("{} {} {} -{} {} {} {} {}\n", w[0], w[2], w[1], w[3], w[4], w[5], w[6], w[7])
        })
        .collect();
    for (file, text) in TEXT.iter().zip([cameras, images, swapped]) {
        put(dir.path().join("colmap/sparse/0").join(file), text);
    }
    assert_same(&open(dir.path()).unwrap(), &[], NOWHERE);
}

/// Masks of RealityScan and Metashape, in a folder or beside the photographs, and instant-ngp's inverted ones.
#[test]
fn masks_of_exporters_are_applied() {
    let masked = |folder_of: &str, named: &dyn Fn(usize) -> String, bright: u8| {
        let dir = folder();
        write_colmap(dir.path());
        let at = dir.path().join(folder_of);
        fs::create_dir_all(&at).unwrap();
        for i in 0..CAMERAS {
            // The left half is bright.
            let half: Vec<u8> =
                (0..64 * 48).flat_map(|p| [if p % 64 < 32 { bright } else { 255 - bright }; 3]).collect();
            save_png(at.join(named(i)), 64, 48, &half).unwrap();
        }
        let d = open(dir.path()).unwrap();
        assert!(d.warnings.is_empty(), "{:?}", d.warnings);
        let mask = |v: &View| v.load().unwrap().mask.unwrap_or_else(|| panic!("{} has no mask", v.name));
        assert!(d.views.iter().all(|v| (mask(v)[0], mask(v)[63]) == (255, 0)), "{folder_of}");
    };
    masked("masks", &|i| format!("{}.mask.png", name(i)), 255);
    masked("Masks", &|i| format!("FRAME_{i:03}_mask.PNG"), 255);
    masked("mask", &|i| format!("{}.png", name(i)), 255);
    masked("masks", &|i| format!("frame_{i:03}.mask.png"), 255);
    masked("images", &|i| format!("{}.mask.png", name(i)), 255);
    masked("images", &|i| format!("frame_{i:03}_mask.png"), 255);
    masked("images", &|i| format!("dynamic_mask_frame_{i:03}.png"), 0);
}

/// RealityScan's flat layout, `images.txt` without second lines, and text in the encodings of Windows.
#[test]
fn odd_layouts_of_colmap_read() {
    let [cameras, images, points] = colmap_text(NOWHERE);
    let flat = folder();
    for (file, text) in TEXT.iter().zip([&cameras, &images, &points]) {
        put(flat.path().join(file), text);
    }
    photos(flat.path());
    assert_same(&open(flat.path()).unwrap(), &[], NOWHERE);

    let elsewhere = folder();
    write_colmap(elsewhere.path());
    fs::rename(elsewhere.path().join("images"), elsewhere.path().join("Photos of the house")).unwrap();
    assert_same(&open(elsewhere.path()).unwrap(), &[], NOWHERE);

    for keep in [0, 1, 3] {
        let dir = folder();
        write_colmap(dir.path());
        // The second lines of some images are left out, not blank.
        let lines = images.lines().enumerate().filter(|(k, _)| k % 2 == 0 || keep > 0 && k / 2 % 4 == keep);
        put(
            dir.path().join("sparse/0/images.txt"),
            lines.map(|(_, line)| format!("{line}\n")).collect::<String>(),
        );
        let d = open(dir.path()).unwrap();
        assert_same(&d, &[], NOWHERE);
        assert!(d.warnings.is_empty(), "{:?}", d.warnings);
    }
    let utf16: Vec<u8> =
        [0xFEFF].into_iter().chain(images.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let latin = [b"# caf\xe9 \xd6\xd0\n".as_slice(), images.replace('\n', "\r\n").as_bytes()].concat();
    for bytes in [utf16, latin] {
        let dir = folder();
        write_colmap(dir.path());
        put(dir.path().join("sparse/0/images.txt"), bytes);
        assert_same(&open(dir.path()).unwrap(), &[], NOWHERE);
    }
}

/// A photograph of another kind than its name says is named as what it is, and costs its view alone.
#[test]
fn pictures_that_are_none_are_named() {
    let dir = folder();
    write_colmap(dir.path());
    let path = dir.path().join("images/frame_003.png");
    for (bytes, what, remedy) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic and more"[..], "a HEIC file", Some(Remedy::ConvertPictures)),
        (b"GIF89a and more", "a GIF file", Some(Remedy::ConvertPictures)),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "a pointer of Git LFS", None),
        (b"<!DOCTYPE html><html>", "a web page", None),
        (b"", "an empty file", None),
    ] {
        put(&path, bytes);
        let d = open(dir.path()).unwrap();
        assert_same(&d, &[3], NOWHERE);
        assert_warns(&d, &["1 of 10 frames cannot be used", "frame_003.png", what]);
        assert_eq!(d.warnings.len(), 1, "{:?}", d.warnings);
        let error = strict(dir.path()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(error.remedy(), remedy);
        assert!(error.hint().is_some_and(|hint| !hint.contains("rm ")));
    }
}

/// Names of datasets reach no terminal as commands.
#[test]
fn control_characters_are_escaped() {
    let dir = folder();
    let evil = "a\u{1b}[31m\u{202e}.png";
    changed(dir.path(), |t| t["frames"][0]["file_path"] = json!(format!("images/{evil}")));
    let d = open(dir.path()).unwrap();
    let text = d.warnings.join("\n");
    assert!(text.contains("a\\u{1b}[31m\\u{202e}.png") && !text.contains('\u{1b}'), "{text:?}");
    let error = strict(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("\\u{1b}") && !error.contains('\u{1b}') && !error.contains('\u{202e}'),
        "{error:?}"
    );
    let nowhere = open(&dir.path().join("\u{1b}]0;x\u{7}")).unwrap_err().to_string();
    assert!(!nowhere.chars().any(char::is_control), "{nowhere:?}");
}
