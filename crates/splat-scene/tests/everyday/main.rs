//! Datasets as programs and people leave them: each reads as the sound one does, with a warning where something was guessed.

mod metashape;
mod pictures;
#[path = "../ring/mod.rs"]
mod ring;

use std::fs;
use std::path::Path;

use ring::*;
use serde_json::{Value, json};
use splat_scene::Finding;

fn rename(folder: &Path, name: impl Fn(&str) -> String) {
    for i in 0..CAMERAS {
        let to = folder.join(name(&self::name(i)));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(folder.join(self::name(i)), to).unwrap();
    }
}

fn each_frame(value: &mut Value, change: impl Fn(&mut Value)) {
    value["frames"].as_array_mut().unwrap().iter_mut().for_each(change);
}

fn matrix_of(frame: &Value) -> Vec<Vec<f64>> {
    serde_json::from_value(frame["transform_matrix"].clone()).unwrap()
}

fn transposed(m: &[Vec<f64>]) -> Vec<Vec<f64>> {
    (0..4).map(|c| m.iter().map(|row| row[c]).collect()).collect()
}

/// A change to the text of a `transforms.json`, what else to do to the folder, and a word of the warning that says so.
type Case = (&'static str, fn(&mut Value), fn(&Path), Option<&'static str>);

#[test]
fn transforms_json_of_other_writers_reads() {
    let nothing: fn(&Path) = |_| {};
    let same: fn(&mut Value) = |_| {};
    let cases: [Case; 9] = [
        (
            "one row of 16 numbers",
            |t| each_frame(t, |f| f["transform_matrix"] = json!(matrix_of(f).concat())),
            nothing,
            None,
        ),
        (
            "columns",
            |t| each_frame(t, |f| f["transform_matrix"] = json!(transposed(&matrix_of(f)))),
            nothing,
            Some("column by column"),
        ),
        (
            "16 numbers by columns",
            |t| each_frame(t, |f| f["transform_matrix"] = json!(transposed(&matrix_of(f)).concat())),
            nothing,
            Some("column by column"),
        ),
        (
            "percent signs",
            |t| {
                each_frame(t, |f| {
                    f["file_path"] = json!(f["file_path"].as_str().unwrap().replace('_', "%20%C3%BC_"))
                })
            },
            |root| rename(&root.join("images"), |n| n.replace('_', " \u{fc}_")),
            Some("encoding"),
        ),
        (
            "a percent sign in the name itself",
            |t| {
                each_frame(t, |f| {
                    f["file_path"] = json!(f["file_path"].as_str().unwrap().replace('_', "%20"))
                })
            },
            |root| rename(&root.join("images"), |n| n.replace('_', "%20")),
            None,
        ),
        ("another folder", same, |root| fs::rename(root.join("images"), root.join("input")).unwrap(), None),
        (
            "folders below",
            same,
            |root| rename(&root.join("images"), |n| format!("left/{n}")),
            Some("other folders"),
        ),
        (
            "points by another name",
            same,
            |root| fs::rename(root.join("sparse_pc.ply"), root.join("scan.ply")).unwrap(),
            Some("scan.ply, the only point cloud"),
        ),
        (
            "trailing commas",
            same,
            |root| {
                let path = root.join("transforms.json");
                let text = fs::read_to_string(&path).unwrap().replace("]}", "],}").replace("}]", "},\n]");
                put(path, text);
            },
            None,
        ),
    ];
    for (what, change, then, warns) in cases {
        let dir = tempfile::tempdir().unwrap();
        changed(dir.path(), change);
        then(dir.path());
        let mut d = open(dir.path()).unwrap_or_else(|e| panic!("{what}: {e}"));
        d.views.sort_by(|a, b| a.name.cmp(&b.name));
        assert_same(&d, &[], [0.0; 3]);
        match warns {
            Some(word) => assert_warns(&d, &[word]),
            None => assert!(d.warnings.is_empty(), "{what}: {:?}", d.warnings),
        }
    }
}

#[test]
fn photographs_are_found_in_folders_below_only_where_names_are_unique() {
    let dir = tempfile::tempdir().unwrap();
    write_colmap(dir.path());
    let images = dir.path().join("images");
    rename(&images, |n| format!("cam0/{n}"));
    let d = open(dir.path()).unwrap();
    assert_same(&d, &[], [0.0; 3]);
    assert_warns(&d, &["10 photographs lie in other folders"]);
    // A second camera with the same names: which one is meant is not known.
    photos(&images.join("cam1"));
    fs::remove_file(images.join("cam1").join(name(3))).unwrap();
    let d = open(dir.path()).unwrap();
    assert_eq!((d.views.len(), d.views[0].name.as_str()), (1, name(3).as_str()));
    // Other names: all are missing, and the error says what is there.
    fs::remove_dir_all(images.join("cam1")).unwrap();
    fs::rename(images.join("cam0"), images.join("x")).unwrap();
    for i in 0..CAMERAS {
        fs::rename(images.join("x").join(name(i)), images.join(format!("x{i}.png"))).unwrap();
    }
    let error = open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("10 of 10 photographs are missing") && error.contains("x0.png"), "{error}");
}

#[test]
fn numbers_of_another_kind_are_found_before_training() {
    let dir = tempfile::tempdir().unwrap();
    changed(dir.path(), |t| {
        t["cx"] = json!(0.5);
        t["cy"] = json!(0.5);
    });
    let found = open(dir.path()).unwrap().plausibility().findings;
    assert!(matches!(found[..], [Finding::PrincipalPoint { views: 10, .. }]), "{found:?}");
    for (change, says) in [
        ((|t| t["camera_angle_x"] = json!(56.1)) as fn(&mut Value), "`x_fov` is the key of degrees"),
        (|t| each_frame(t, |f| f["transform_matrix"][3] = json!([0.0, 0.0, 0.5, 1.0])), "expected 0 0 0 1"),
        (|t| each_frame(t, |f| f["transform_matrix"] = json!("none")), "the matrix has 1 rows"),
    ] {
        let mut value = transforms();
        let keys = object(&mut value);
        keys.remove("fl_x");
        keys.remove("fl_y");
        keys.insert("camera_angle_x".into(), json!(0.98));
        change(&mut value);
        put(dir.path().join("transforms.json"), value.to_string());
        let error = open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// The ring as RealityScan writes it: angles that lead from the matrices, and intrinsics as shares of the longer side.
#[test]
fn a_table_of_realityscan_gives_the_cameras_that_it_was_made_of() {
    let row = |i: usize| {
        // Columns right, up, back of `Rz(-heading) Rx(pitch) Ry(roll)`, solved for the angles.
        let m = camera_to_world(i);
        let heading = m[0][1].atan2(m[1][1]);
        let pitch = m[2][1].asin();
        let roll = (-m[2][0]).atan2(m[2][2]);
        let [h, p, r] = [heading, pitch, roll].map(f64::to_degrees);
        let [x, y, z] = m.map(|row| row[3]);
        format!("{},{x},{y},{z},{h},{p},{r},33.75,0,0,0,0,0,0,0,0\r\n", name(i))
    };
    let rows: String = (0..CAMERAS).map(row).collect();
    let dir = tempfile::tempdir().unwrap();
    let table =
        format!("#cameras 10\r\n#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\r\n{rows}");
    put(dir.path().join("cameras.csv"), &table);
    put(dir.path().join("cloud.ply"), ply([0.0; 3]));
    photos(&dir.path().join("images"));
    let d = open(dir.path()).unwrap();
    assert_eq!(d.source, "RealityScan, cameras.csv");
    assert_same(&d, &[], [0.0; 3]);
    assert_warns(&d, &["cloud.ply"]);
    // A principal point 3.2 pixels to the right and 6.4 below; columns that are absent say 0.
    let moved = table.replace(",33.75,0,0,", ",33.75,0.05,0.1,").replace(",k3,k4,t1,t2", ",k3,note");
    put(dir.path().join("cameras.csv"), moved.replace(",0,0,0,0,0,0\r", ",0,0,0,0\r"));
    let d = open(dir.path()).unwrap();
    let projection = d.views[0].camera.projection();
    let [x, y] = [projection[0][2] * 32.0, projection[1][2] * 24.0];
    assert!((x - 3.2).abs() < 1e-5 && (y - 6.4).abs() < 1e-5, "{x} {y}");
    assert_warns(&d, &["`note`"]);
    // Distortion that is known is taken out, and that which is not leaves its camera out.
    let bent = table.replacen(",33.75,0,0,0,0,", ",33.75,0,0,0.01,0.002,", 1);
    put(dir.path().join("cameras.csv"), bent.replacen(",33.75,0,0,0,0,", ",33.75,0,0,0.01,0,", 1));
    let d = open(dir.path()).unwrap();
    assert_eq!((d.views.len(), d.views[0].lens()), (9, "OPENCV"));
    assert_warns(&d, &["frame_001.png", "division model"]);
}

#[test]
fn poses_of_other_formats_are_named() {
    for (file, text, says) in [
        ("export.csv", "#cameras 2\n#name,x,y,alt,heading\n", "a table of RealityScan"),
        (
            "images/a.xmp",
            "<x:xmpmeta xmlns:xcr=\"http://www.capturingreality.com/ns/xcr/1.1#\"/>",
            "RealityScan's poses",
        ),
        ("block.xml", "<?xml version=\"1.0\"?><BlocksExchange>", "ContextCapture"),
        (
            "a.psx",
            "<document version=\"1.2.0\" path=\"{projectname}.files/project.zip\"/>",
            "project of Metashape",
        ),
        ("a.rsproj", "<RealityCapture>", "project of RealityScan"),
        ("poses_bounds.npy", "", "LLFF"),
        ("cameras_sphere.npz", "", "NeuS"),
        ("cams/00000000_cam.txt", "extrinsic\n1 0 0 0", "MVSNet"),
        ("pose/0.txt", "1 0 0 0", "ScanNet"),
        ("frame_00000.json", "{\"cameraPoseARFrame\": []}", "3D Scanner App"),
        ("scene.nvm", "NVM_V3\n", "VisualSFM"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        photos(&dir.path().join("images"));
        put(dir.path().join(file), text);
        let error = open(dir.path()).unwrap_err();
        let hint = error.hint().unwrap();
        assert!(
            error.to_string().contains(says) && (hint.contains("COLMAP") || hint.contains("Agisoft XML")),
            "{file}: {error}, {hint}"
        );
    }
}

#[test]
fn several_point_clouds_are_named_and_a_model_without_points_says_so() {
    let dir = tempfile::tempdir().unwrap();
    write_colmap(dir.path());
    put(dir.path().join("sparse/0/points3D.txt"), "# none\n");
    let d = open(dir.path()).unwrap();
    assert_warns(&d, &["points3D.txt holds no points"]);
    put(dir.path().join("scan.ply"), ply([0.0; 3]));
    put(
        dir.path().join("splat.ply"),
        ply([0.0; 3]).replace("property uchar red", "property uchar red\nproperty float opacity"),
    );
    put(
        dir.path().join("mesh.ply"),
        ply([0.0; 3]).replace("end_header", "element face 1\nproperty list uchar int i\nend_header"),
    );
    let d = open(dir.path()).unwrap();
    assert_same(&d, &[], [0.0; 3]);
    assert_warns(&d, &["scan.ply"]);
    put(dir.path().join("dense.ply"), ply([0.0; 3]));
    let d = open(dir.path()).unwrap();
    assert!(d.points.is_empty());
    assert_warns(&d, &["dense.ply and 1 more", "none is read"]);
}
