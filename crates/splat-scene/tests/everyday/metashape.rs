//! Metashape's cameras: poses through the transforms of component and chunk, calibrations, and what is left out.

use std::path::Path;

use serde_json::{Value, json};
use splat_scene::Dataset;

use crate::ring::*;

/// A turn about z by a right angle, a scale and a translation: `world = 2 R x + t`.
const TRANSFORM: &str = "<transform><rotation locked=\"false\">0 -1 0 1 0 0 0 0 1</rotation>\
                         <translation>10 20 30</translation><scale>2</scale></transform>";

/// The `<transform>` of camera `i` in coordinates that [`TRANSFORM`] leads to the world, if `placed`, or else in those of the
/// world.
fn matrix_of(i: usize, placed: bool) -> String {
    let world = camera_to_world(i);
    let back = |v: [f64; 3]| if placed { [v[1], -v[0], v[2]] } else { v };
    let column = |k: usize| back([0, 1, 2].map(|r| world[r][k]));
    let negated = |v: [f64; 3]| v.map(|x| -x);
    // OpenCV's axes.
    let axes = [column(0), negated(column(1)), negated(column(2))];
    let [x, y, z] = [0, 1, 2].map(|r| world[r][3]);
    let center = if placed { back([x - 10.0, y - 20.0, z - 30.0]).map(|x| x / 2.0) } else { [x, y, z] };
    let row = |r: usize| format!("{} {} {} {} ", axes[0][r], axes[1][r], axes[2][r], center[r]);
    format!("<transform>{}0 0 0 1</transform>", [0, 1, 2].map(row).concat())
}

fn sensor(kind: &str, numbers: &str) -> String {
    format!(
        "<sensors><sensor id=\"0\" type=\"{kind}\"><resolution width=\"64\" height=\"48\"/>\
         <calibration type=\"{kind}\" class=\"initial\"><f>1</f></calibration>\
         <calibration type=\"{kind}\" class=\"adjusted\"><resolution width=\"64\" height=\"48\"/><f>60</f>{numbers}\
         </calibration></sensor></sensors>"
    )
}

fn camera(i: usize, transform: &str) -> String {
    let name = name(i);
    let label = name.trim_end_matches(".png");
    format!("<camera id=\"{i}\" sensor_id=\"0\" component_id=\"0\" label=\"{label}\">{transform}</camera>")
}

fn cameras(placed: bool) -> String {
    (0..CAMERAS).map(|i| camera(i, &matrix_of(i, placed))).collect()
}

fn write(root: &Path, inside: &str) {
    put(
        root.join("My Project.xml"),
        format!("\u{feff}<?xml version=\"1.0\"?>\n<document><chunk>{inside}</chunk></document>"),
    );
    put(root.join("points3D.ply"), ply([0.0; 3]));
    photos(&root.join("images"));
}

fn opened(inside: &str) -> Dataset {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), inside);
    open(dir.path()).unwrap()
}

#[test]
fn poses_go_through_component_and_chunk() {
    let sensors = sensor("frame", "<cx>0</cx><cy>0</cy><k1>0</k1>");
    let components = format!("<components><component id=\"0\">{TRANSFORM}</component></components>");
    let (placed, plain) = (cameras(true), cameras(false));
    for inside in [
        format!("{sensors}<cameras>{plain}</cameras>"),
        format!("{sensors}{components}<cameras>{placed}</cameras>"),
        format!("{sensors}<cameras><group id=\"1\">{placed}</group></cameras>{TRANSFORM}"),
    ] {
        let d = opened(&inside);
        assert_same(&d, &[], [0.0; 3]);
        assert!(d.warnings.is_empty() && d.source == "Metashape, My Project.xml", "{:?}", d.warnings);
    }
}

#[test]
fn what_cannot_be_used_is_left_out_by_name() {
    let sensors = sensor("frame", "");
    let with = |third: &str| {
        let cameras: String = (0..CAMERAS)
            .map(|i| if i == 3 { third.to_owned() } else { camera(i, &matrix_of(i, false)) })
            .collect();
        opened(&format!("{sensors}<cameras>{cameras}</cameras>"))
    };
    let good = camera(3, &matrix_of(3, false));
    for (third, says) in [
        (camera(3, ""), "1 cameras of My Project.xml are not aligned"),
        (camera(3, "").replace("<camera ", "<camera master_id=\"2\" "), "1 of them follow others"),
        (camera(3, "<transform>1 2 3</transform>"), "expected 16 finite numbers"),
        (good.replace("sensor_id=\"0\"", "sensor_id=\"7\""), "its sensor is not in the file"),
        (good.replace("component_id=\"0\"", "component_id=\"1\""), "aligned by itself"),
    ] {
        let d = with(&third);
        assert_same(&d, &[3], [0.0; 3]);
        assert_warns(&d, &[says]);
        assert_eq!(d.warnings.len(), 1, "{:?}", d.warnings);
    }
    let d = with(&good.replace("<camera ", "<camera enabled=\"false\" "));
    assert_same(&d, &[3], [0.0; 3]);
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &format!("{}<cameras>{}</cameras>", sensor("spherical", ""), cameras(false)));
    let error = open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("EQUIRECTANGULAR"), "{error}");
    // Checked before the parser, which would take minutes.
    let attributes: String = (0..200_000).map(|i| format!(" a{i}=\"\"")).collect();
    let crowded = format!("<document><chunk{attributes}/></document>");
    for (text, says) in [
        ("<document><chunk></document>", "line 1"),
        ("<document><chunk/></document>", "no camera"),
        (&crowded, "more than 1000"),
    ] {
        put(dir.path().join("My Project.xml"), text);
        let error = open(dir.path()).unwrap_err();
        assert!(error.to_string().contains(says) && error.hint().is_some(), "{error}");
    }
}

/// Distortion is what the same numbers are in nerfstudio's file, with p1 and p2 in OpenCV's order there.
#[test]
fn calibrations_are_those_of_opencv_with_p1_and_p2_exchanged() {
    let picture = |d: &Dataset| (d.views[4].lens(), d.views[4].camera.clone(), d.views[4].load().unwrap());
    let near = |calibration: &str, kind: &str, numbers: Value| {
        let dir = tempfile::tempdir().unwrap();
        changed(dir.path(), |t| object(t).extend(numbers.as_object().unwrap().clone()));
        let b = tempfile::tempdir().unwrap();
        write(b.path(), &format!("{}<cameras>{}</cameras>", sensor(kind, calibration), cameras(false)));
        let (a, b) = (open(dir.path()).unwrap(), open(b.path()).unwrap());
        let (a, b) = (picture(&a), picture(&b));
        ((a.1.width, a.1.tan_fovx, a.2) == (b.1.width, b.1.tan_fovx, b.2), a.0, b.0)
    };
    let calibration =
        "<cx>1.5</cx><cy>-2</cy><k1>-.1</k1><k2>.02</k2><k3>.003</k3><k4>.001</k4><p1>.02</p1><p2>-.01</p2>";
    let numbers = |p1: f64, p2: f64| json!({"cx": 33.5, "cy": 22.0, "k1": -0.1, "k2": 0.02, "k3": 0.003, "k4": 0.001, "p1": p1, "p2": p2});
    assert!(near(calibration, "frame", numbers(-0.01, 0.02)).0);
    assert!(!near(calibration, "frame", numbers(0.02, -0.01)).0);
    let fisheye = json!({"camera_model": "OPENCV_FISHEYE", "k1": 0.05, "k2": 0.01, "k3": 0.002, "k4": 0.0});
    let (same, a, b) = near("<k1>.05</k1><k2>.01</k2><k3>.002</k3>", "fisheye", fisheye);
    assert!(same, "{a} {b}");
    // An affine f is applied; skew and rolling shutter are named.
    assert!(near("<b1>3</b1>", "frame", json!({"fl_x": 63.0})).0);
    let d =
        opened(&format!("{}<cameras>{}</cameras>", sensor("frame", "<b2>.5</b2><p3>0</p3>"), cameras(false)));
    assert_warns(&d, &["not applied", "`b2`"]);
    assert!(!d.warnings[0].contains("p3"), "{:?}", d.warnings);
}
