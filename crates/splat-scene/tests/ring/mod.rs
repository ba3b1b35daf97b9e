//! A small dataset for tests, written in several formats: ten cameras on a ring look at 400 points on the ground.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use splat_scene::{Dataset, OpenOptions, Result, save_png};

pub(crate) const CAMERAS: usize = 10;
pub(crate) const SIZE: (u32, u32) = (64, 48);

pub(crate) fn put(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

pub(crate) fn open(root: &Path) -> Result<Dataset> {
    Dataset::open(root, &OpenOptions::default())
}

pub(crate) fn strict(root: &Path) -> Result<Dataset> {
    Dataset::open(root, &OpenOptions { strict: true, ..OpenOptions::default() })
}

/// The name of photograph `i`.
pub(crate) fn name(i: usize) -> String {
    format!("frame_{i:03}.png")
}

/// Camera-to-world of camera `i`, OpenGL axes, z up.
pub(crate) fn camera_to_world(i: usize) -> [[f64; 4]; 3] {
    let angle = std::f64::consts::TAU * i as f64 / CAMERAS as f64;
    let center = [3.2 * angle.cos(), 3.2 * angle.sin(), 1.5 + 0.1 * i as f64];
    let unit = |v: [f64; 3]| {
        let n = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        v.map(|x| x / n)
    };
    let back = unit(center);
    let right = unit([-back[1], back[0], 0.0]);
    let up = [
        back[1] * right[2] - back[2] * right[1],
        back[2] * right[0] - back[0] * right[2],
        back[0] * right[1] - back[1] * right[0],
    ];
    std::array::from_fn(|k| [right[k], up[k], back[k], center[k]])
}

pub(crate) fn points() -> Vec<[f64; 3]> {
    (0..400).map(|i| [f64::from(i % 20) * 0.1 - 0.95, f64::from(i / 20) * 0.1 - 0.95, 0.0]).collect()
}

fn color(i: usize) -> [u8; 3] {
    [(i % 256) as u8, 120, (i / 2 % 256) as u8]
}

pub(crate) fn photos(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for i in 0..CAMERAS {
        let rgb: Vec<u8> = (0..SIZE.0 * SIZE.1).flat_map(|p| [(p % 256) as u8, i as u8, 9]).collect();
        save_png(folder.join(name(i)), SIZE.0, SIZE.1, &rgb).unwrap();
    }
}

pub(crate) fn matrix(m: [[f64; 4]; 3]) -> Value {
    json!([m[0], m[1], m[2], [0.0, 0.0, 0.0, 1.0]])
}

/// The whole `transforms.json`.
pub(crate) fn transforms() -> Value {
    let frame = |i| json!({"file_path": format!("images/{}", name(i)), "transform_matrix": matrix(camera_to_world(i))});
    let frames: Vec<Value> = (0..CAMERAS).map(frame).collect();
    json!({"w": SIZE.0, "h": SIZE.1, "fl_x": 60.0, "fl_y": 60.0, "cx": 32.0, "cy": 24.0, "frames": frames})
}

pub(crate) fn object(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().unwrap()
}

/// An ASCII PLY file of the points, moved by `offset`.
pub(crate) fn ply(offset: [f64; 3]) -> String {
    let mut text = "ply\nformat ascii 1.0\nelement vertex 400\nproperty double x\nproperty double y\nproperty double z\n\
                    property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
        .to_owned();
    for (i, p) in points().iter().enumerate() {
        let [r, g, b] = color(i);
        let [x, y, z] = std::array::from_fn(|k| p[k] + offset[k]);
        text += &format!("{x} {y} {z} {r} {g} {b}\n");
    }
    text
}

/// A dataset with `transforms.json`, the photographs and the points.
pub(crate) fn write_transforms(root: &Path, value: &Value) {
    put(root.join("transforms.json"), value.to_string());
    put(root.join("sparse_pc.ply"), ply([0.0; 3]));
    photos(&root.join("images"));
}

/// The same after a change.
pub(crate) fn changed(root: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = transforms();
    change(&mut value);
    write_transforms(root, &value);
}

/// World-to-camera of camera `i` moved by `offset`, as quaternion wxyz and translation, OpenCV axes.
pub(crate) fn world_to_camera(i: usize, offset: [f64; 3]) -> ([f64; 4], [f64; 3]) {
    let m = camera_to_world(i);
    let r: [[f64; 3]; 3] =
        [[m[0][0], m[1][0], m[2][0]], [-m[0][1], -m[1][1], -m[2][1]], [-m[0][2], -m[1][2], -m[2][2]]];
    let t = r.map(|row| -(0..3).map(|k| row[k] * (m[k][3] + offset[k])).sum::<f64>());
    // The largest component first, which is numerically safe.
    let trace = r[0][0] + r[1][1] + r[2][2];
    let squares =
        [trace, r[0][0] * 2.0 - trace, r[1][1] * 2.0 - trace, r[2][2] * 2.0 - trace].map(|s| 1.0 + s);
    let k = (0..4).max_by(|&a, &b| squares[a].total_cmp(&squares[b])).unwrap();
    let s = 2.0 * squares[k].sqrt();
    let (a, b, c) = (r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]);
    let (d, e, f) = (r[0][1] + r[1][0], r[0][2] + r[2][0], r[1][2] + r[2][1]);
    let q = match k {
        0 => [s / 4.0, a / s, b / s, c / s],
        1 => [a / s, s / 4.0, d / s, e / s],
        2 => [b / s, d / s, s / 4.0, f / s],
        _ => [c / s, e / s, f / s, s / 4.0],
    };
    (q, t)
}

/// Where camera `i` sees some of the points, in pixels, and their ids.
pub(crate) fn observations(i: usize) -> impl Iterator<Item = ([f64; 2], u64)> {
    let m = camera_to_world(i);
    points().into_iter().enumerate().step_by(7).map(move |(at, p)| {
        let along = |k: usize| (0..3).map(|r| m[r][k] * (p[r] - m[r][3])).sum::<f64>();
        let depth = -along(2);
        ([32.0 + 60.0 * along(0) / depth, 24.0 - 60.0 * along(1) / depth], at as u64 + 1)
    })
}

/// The texts of a COLMAP model, `cameras`, `images` and `points3D`, whose world is moved by `offset`.
pub(crate) fn colmap_text(offset: [f64; 3]) -> [String; 3] {
    let image = |i: usize| {
        let ([w, x, y, z], [a, b, c]) = world_to_camera(i, offset);
        let seen = observations(i).map(|([u, v], id)| format!(" {u} {v} {id}")).collect::<String>();
        format!("{} {w} {x} {y} {z} {a} {b} {c} 1 {}\n10.5 20.5 -1{seen}\n", i + 1, name(i))
    };
    let point = |(i, p): (usize, &[f64; 3])| {
        let [x, y, z]: [f64; 3] = std::array::from_fn(|k| p[k] + offset[k]);
        let [r, g, b] = color(i);
        let at = observations(0).position(|(_, id)| id == i as u64 + 1);
        let track = |at| (1..=CAMERAS).map(|image| format!(" {image} {}", at + 1)).collect::<String>();
        format!("{} {x} {y} {z} {r} {g} {b} 0.5{}\n", i + 1, at.map(track).unwrap_or_default())
    };
    [
        format!("# Camera list\n1 PINHOLE {} {} 60 60 32 24\n", SIZE.0, SIZE.1),
        (0..CAMERAS).map(image).collect(),
        points().iter().enumerate().map(point).collect(),
    ]
}

/// The same, as binary files.
pub(crate) fn colmap_binary(offset: [f64; 3]) -> [Vec<u8>; 3] {
    let mut cameras = [1u64.to_le_bytes().as_slice(), &1u32.to_le_bytes(), &1i32.to_le_bytes()].concat();
    cameras.extend([u64::from(SIZE.0).to_le_bytes(), u64::from(SIZE.1).to_le_bytes()].concat());
    [60.0, 60.0, 32.0, 24.0f64].iter().for_each(|x| cameras.extend(x.to_le_bytes()));
    let mut images = (CAMERAS as u64).to_le_bytes().to_vec();
    for i in 0..CAMERAS {
        let (q, t) = world_to_camera(i, offset);
        images.extend((i as u32 + 1).to_le_bytes());
        q.iter().chain(&t).for_each(|x| images.extend(x.to_le_bytes()));
        images.extend(1u32.to_le_bytes());
        images.extend(name(i).bytes().chain([0]));
        images.extend((observations(i).count() as u64).to_le_bytes());
        for ([u, v], id) in observations(i) {
            images.extend([u.to_le_bytes(), v.to_le_bytes(), id.to_le_bytes()].concat());
        }
    }
    let mut points = 400u64.to_le_bytes().to_vec();
    for (i, p) in self::points().iter().enumerate() {
        points.extend((i as u64 + 1).to_le_bytes());
        (0..3).for_each(|k| points.extend((p[k] + offset[k]).to_le_bytes()));
        points.extend(color(i));
        points.extend(0.5f64.to_le_bytes());
        points.extend(0u64.to_le_bytes());
    }
    [cameras, images, points]
}

pub(crate) const TEXT: [&str; 3] = ["cameras.txt", "images.txt", "points3D.txt"];
pub(crate) const BINARY: [&str; 3] = ["cameras.bin", "images.bin", "points3D.bin"];

/// A COLMAP dataset, text, in `sparse/0`.
pub(crate) fn write_colmap(root: &Path) {
    for (file, text) in TEXT.iter().zip(colmap_text([0.0; 3])) {
        put(root.join("sparse/0").join(file), text);
    }
    photos(&root.join("images"));
}

/// The sound dataset that the others are compared with.
pub(crate) fn plain() -> Dataset {
    let dir = tempfile::tempdir().unwrap();
    write_colmap(dir.path());
    let d = open(dir.path()).unwrap();
    assert!(d.warnings.is_empty() && d.origin.is_zero(), "{:?}", d.warnings);
    d
}

/// Fails unless `d` has the views (but those named in `without`) and the points of the sound dataset, at the same places
/// in the world but for `offset`.
#[track_caller]
pub(crate) fn assert_same(d: &Dataset, without: &[usize], offset: [f64; 3]) {
    let sound = plain();
    let expected: Vec<_> = (0..CAMERAS).filter(|i| !without.contains(i)).collect();
    assert_eq!(d.views.len(), expected.len(), "{:?}", d.warnings);
    let near = |what: &str, a: [f64; 3], b: [f64; 3]| {
        let apart = (0..3).map(|k| (a[k] - b[k] - offset[k]).abs()).fold(0.0, f64::max);
        assert!(apart < 2e-6, "{what}: {a:?} and {b:?} are {apart} apart, beside {offset:?}");
    };
    let world = |d: &Dataset, p: [f64; 3]| std::array::from_fn(|k| p[k] + d.origin.offset[k]);
    for (view, i) in d.views.iter().zip(expected) {
        let other = &sound.views[i];
        near(&view.name, world(d, view.center), world(&sound, other.center));
        let (a, b) = (&view.camera, &other.camera);
        assert_eq!((a.width, a.height, a.tan_fovx, a.tan_fovy), (b.width, b.height, b.tan_fovx, b.tan_fovy));
        for k in (0..12).filter(|k| k % 4 != 3) {
            assert!((a.view[k] - b.view[k]).abs() < 1e-6, "{}: rotation", view.name);
        }
    }
    assert_eq!(d.points.len(), sound.points.len());
    for (p, q) in d.points.iter().zip(&sound.points) {
        near("point", d.origin.to_world(p.position), sound.origin.to_world(q.position));
        assert_eq!(p.color, q.color);
    }
}

/// Fails unless one of the warnings has all of `words`.
#[track_caller]
pub(crate) fn assert_warns(d: &Dataset, words: &[&str]) {
    let has = |w: &&String| words.iter().all(|word| w.contains(word));
    assert!(d.warnings.iter().any(|w| has(&w)), "{words:?} in {:?}", d.warnings);
}
