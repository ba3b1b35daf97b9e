//! `splat train --rerun-save` read back: what is where on which timeline, and that cameras, photographs and points are in
//! one frame. Only with the feature `rerun`.
#![cfg(feature = "rerun")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use re_log_encoding::DecoderApp;
use re_sdk::log::{Chunk, LogMsg};
use re_sdk::{Component, ComponentDescriptor};
use re_sdk_types::archetypes::{EncodedImage, Pinhole, Points3D, Scalars, Transform3D, ViewCoordinates};
use re_sdk_types::components;
use splat_scene::save_png;

/// Fewer pixels are shown: half of them each way.
const SIZE: [u32; 2] = [512, 320];
/// fx, fy, cx, cy: anamorphic and off centre.
const LENS: [f64; 4] = [400.0, 430.0, 230.0, 180.0];
/// A white dot is at this place of the world in every photograph.
const DOT: [f64; 3] = [0.3, -0.2, 3.0];
const VIEWS: usize = 9;
/// Text of the first image's name: needs escaping in a path of rerun's.
const FOLDER: &str = "cam 1";

/// World to camera of view `i`: a turn about y by the angle, then a shift.
fn view(i: usize) -> (f64, [f64; 3]) {
    let k = i as f64 - 4.0;
    (0.05 * k, [0.1 * k, 0.04 * k, 0.02 * k])
}

/// Where the dot is in photograph `i`, in pixels from its corner: the textbook's formula on COLMAP's numbers.
fn dot(i: usize) -> [f64; 2] {
    let (angle, shift) = view(i);
    let (sin, cos) = angle.sin_cos();
    let turned = [cos * DOT[0] + sin * DOT[2], DOT[1], -sin * DOT[0] + cos * DOT[2]];
    let [x, y, z] = std::array::from_fn(|k| turned[k] + shift[k]);
    [LENS[0] * x / z + LENS[2], LENS[1] * y / z + LENS[3]]
}

/// Dark photographs with the dot, COLMAP's text, 64 points.
fn dataset(folder: &Path) {
    let sparse = folder.join("sparse/0");
    fs_err::create_dir_all(&sparse).unwrap();
    fs_err::create_dir_all(folder.join("images").join(FOLDER)).unwrap();
    let lens = LENS.map(|x| x.to_string()).join(" ");
    fs_err::write(sparse.join("cameras.txt"), format!("1 PINHOLE {} {} {lens}\n", SIZE[0], SIZE[1])).unwrap();
    let (mut images, mut points) = (String::new(), String::new());
    for i in 0..VIEWS {
        let (angle, [x, y, z]) = view(i);
        let (sin, cos) = (angle / 2.0).sin_cos();
        writeln!(images, "{i} {cos} 0 {sin} 0 {x} {y} {z} 1 {FOLDER}/{i}.png\n").unwrap();
        let place = dot(i);
        let mut pixels = Vec::new();
        for v in 0..SIZE[1] {
            for u in 0..SIZE[0] {
                let away = (f64::from(u) + 0.5 - place[0]).hypot(f64::from(v) + 0.5 - place[1]);
                pixels.extend([if away < 8.0 { 255 } else { 20 }; 3]);
            }
        }
        let path = folder.join("images").join(FOLDER).join(format!("{i}.png"));
        save_png(&path, SIZE[0], SIZE[1], &pixels).unwrap();
    }
    for i in 0..64 {
        let (x, y) = (f64::from(i % 8) / 3.5 - 1.0, f64::from(i / 8) / 3.5 - 1.0);
        writeln!(points, "{i} {x} {y} 3 10 20 30 0").unwrap();
    }
    fs_err::write(sparse.join("images.txt"), images).unwrap();
    fs_err::write(sparse.join("points3D.txt"), points).unwrap();
}

fn train(data: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")));
    command.arg("train").arg(data).arg("-o").arg(out);
    command.args(["--engine=cpu", "--iterations=6", "--eval-every=3", "--json-events", "--quiet"]).args(more);
    command.env_remove("RERUN").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The chunks of a recording by the entity's path.
fn read(path: &Path) -> BTreeMap<String, Vec<Chunk>> {
    let file = std::io::BufReader::new(fs_err::File::open(path).unwrap());
    let mut found = BTreeMap::<String, Vec<Chunk>>::new();
    for message in DecoderApp::decode_eager(file).unwrap() {
        if let LogMsg::ArrowMsg(store, arrow) = message.unwrap()
            && !store.is_blueprint()
        {
            let chunk = Chunk::from_arrow_msg(&arrow).unwrap();
            found.entry(chunk.entity_path().to_string()).or_default().push(chunk);
        }
    }
    found
}

/// Values of a component at each step, in order.
fn at_steps<C: Component>(chunks: &[Chunk], what: &ComponentDescriptor) -> Vec<(i64, Vec<C>)> {
    let mut found = Vec::new();
    for chunk in chunks {
        let steps =
            chunk.timelines().iter().find(|(name, _)| name.as_str() == "step").map(|(_, column)| column);
        let values = chunk.iter_component::<C>(what.component).map(|row| row.as_slice().to_vec());
        if let Some(steps) = steps {
            found.extend(steps.times_raw().iter().copied().zip(values));
        }
    }
    found.sort_by_key(|(step, _)| *step);
    found
}

/// The one value of a component that stays.
fn fixed<C: Component>(chunks: &[Chunk], what: &ComponentDescriptor) -> Vec<C> {
    let rows = chunks.iter().filter(|chunk| chunk.is_static());
    let mut rows = rows.flat_map(|chunk| chunk.iter_component::<C>(what.component));
    let row = rows.next().unwrap_or_else(|| panic!("{what:?} is not there"));
    assert!(rows.next().is_none(), "{what:?} is there twice");
    row.as_slice().to_vec()
}

fn picture(chunks: &[Chunk]) -> image::RgbImage {
    let blob: Vec<components::Blob> = fixed(chunks, &EncodedImage::descriptor_blob());
    image::load_from_memory(&blob[0].0).unwrap().into_rgb8()
}

#[test]
fn a_recording_has_the_curves_and_the_scene_in_one_frame() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    dataset(&at("data"));
    let file = at("run.rrd");
    let save = format!("--rerun-save={}", file.display());
    let run = train(&at("data"), &at("out"), &[&save, "--rerun-every=3"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert!(run.stderr.is_empty(), "--quiet is quiet, and nothing was left out: {}", text(&run.stderr));
    let events: Vec<serde_json::Value> =
        text(&run.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let found = read(&file);
    let steps_of = |path: &str, what: &ComponentDescriptor| -> Vec<i64> {
        at_steps::<components::Scalar>(&found[path], what).iter().map(|(step, _)| *step).collect()
    };
    // The curves are the events.
    let scalars = Scalars::descriptor_scalars();
    for (path, event, key) in [
        ("/train/loss", "step", "loss"),
        ("/train/psnr", "step", "psnr"),
        ("/train/gaussians", "step", "gaussians"),
        ("/train/steps_per_second", "step", "steps_per_second"),
        ("/train/memory_mib", "step", "memory_mib"),
        ("/held_out/psnr", "evaluated", "psnr"),
        ("/held_out/ssim", "evaluated", "ssim"),
    ] {
        let told = events.iter().filter(|e| e["event"] == event);
        let told: Vec<(i64, f64)> =
            told.filter_map(|e| Some((e["step"].as_i64()?, e[key].as_f64()?))).collect();
        let shown = at_steps::<components::Scalar>(&found[path], &scalars);
        let shown: Vec<(i64, f64)> = shown.iter().map(|(step, x)| (*step, x[0].0.0)).collect();
        // JSON's numbers are read to the last digit but one.
        let same = |a: &(i64, f64), b: &(i64, f64)| a.0 == b.0 && (a.1 - b.1).abs() <= 1e-12 * b.1.abs();
        assert!(
            shown.len() == told.len() && shown.iter().zip(&told).all(|(a, b)| same(a, b)),
            "{path}: {shown:?}"
        );
        assert!(told.ends_with(&[(6, told[told.len() - 1].1)]) && told.iter().any(|x| x.0 == 3), "{told:?}");
    }
    assert_eq!(steps_of("/held_out/psnr", &scalars), [0, 3, 6]);

    // The Gaussians begin as the points, with their colours, and move.
    let positions = Points3D::descriptor_positions();
    let first: Vec<components::Position3D> = fixed(&found["/world/first_points"], &positions);
    let clouds = at_steps::<components::Position3D>(&found["/world/gaussians"], &positions);
    assert_eq!(
        clouds.iter().map(|(step, c)| (*step, c.len())).collect::<Vec<_>>(),
        [(0, 64), (3, 64), (6, 64)]
    );
    assert!(clouds[0].1 == first && clouds[2].1 != first);
    assert!(first.iter().all(|p| (p.0.0[2] - 3.0).abs() < 1e-6), "world coordinates");
    let colors = at_steps::<components::Color>(&found["/world/gaussians"], &Points3D::descriptor_colors());
    assert_eq!(colors[0].1[0].to_array(), [10, 20, 30, 26], "opacity .1");
    let radii = at_steps::<components::Radius>(&found["/world/gaussians"], &Points3D::descriptor_radii());
    assert!(radii[2].1.len() == 64 && radii[2].1.iter().all(|r| r.scene_units().is_some_and(|r| r > 0.0)));

    // Every camera puts the dot where its photograph has it.
    let axes: Vec<components::ViewCoordinates> = fixed(&found["/world"], &ViewCoordinates::descriptor_xyz());
    assert_eq!(axes[0].describe_short(), "RDF", "the cameras are upright: y is down");
    for i in 0..VIEWS {
        let split = if i % 8 == 0 { "held_out" } else { "train" };
        let path = format!(r"/world/cameras/{split}/cam\ 1\/{i}.png");
        let chunks = found.get(&path).unwrap_or_else(|| panic!("no {path} in {:?}", found.keys()));
        let turn: Vec<components::TransformMat3x3> = fixed(chunks, &Transform3D::descriptor_mat3x3());
        let place: Vec<components::Translation3D> = fixed(chunks, &Transform3D::descriptor_translation());
        let lens: Vec<components::PinholeProjection> =
            fixed(chunks, &Pinhole::descriptor_image_from_camera());
        let size: Vec<components::Resolution> = fixed(chunks, &Pinhole::descriptor_resolution());
        let (turn, place, lens) = (turn[0].0, place[0].0.0, lens[0].0);
        // Rerun's transforms go from the child to the parent: the inverse of a rotation is its transpose.
        let offset: [f64; 3] = std::array::from_fn(|k| DOT[k] - f64::from(place[k]));
        let camera: [f64; 3] =
            std::array::from_fn(|c| (0..3).map(|r| f64::from(turn.get(r, c)) * offset[r]).sum());
        let image: [f64; 3] =
            std::array::from_fn(|r| (0..3).map(|c| f64::from(lens.get(r, c)) * camera[c]).sum());
        let pixel = [image[0] / image[2], image[1] / image[2]];
        let expected = dot(i).map(|x| x / 2.0);
        assert!(camera[2] > 0.0, "before the camera");
        assert!((0..2).all(|k| (pixel[k] - expected[k]).abs() < 1e-3), "view {i}: {pixel:?}, {expected:?}");
        let photo = picture(chunks);
        assert_eq!(
            ([photo.width() as f32, photo.height() as f32], (256, 160)),
            (size[0].0.0, photo.dimensions())
        );
        let value = |x: f64, y: f64| photo.get_pixel(x as u32, y as u32).0[1];
        assert!(value(pixel[0], pixel[1]) > 230, "view {i}: the dot");
        for (x, y) in [(7.0, 0.0), (-7.0, 0.0), (0.0, 7.0), (0.0, -7.0)] {
            assert!(value(pixel[0] + x, pixel[1] + y) < 60, "view {i}: beside the dot");
        }
    }

    // The held-out view that is compared: the photograph once, a render of its size at each look.
    assert_eq!(picture(&found["/held_out/photograph"]).dimensions(), (SIZE[0], SIZE[1]));
    let renders = at_steps::<components::Blob>(&found["/held_out/render"], &EncodedImage::descriptor_blob());
    assert_eq!(renders.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [0, 3, 6]);
    let render = image::load_from_memory(&renders[2].1[0].0).unwrap();
    assert_eq!((render.width(), render.height()), (SIZE[0], SIZE[1]));

    // Who watches changes nothing.
    let alone = train(&at("data"), &at("alone"), &[]);
    assert!(alone.status.success(), "{}", text(&alone.stderr));
    let ply = |name: &str| fs_err::read(at(name).join("point_cloud.ply")).unwrap();
    assert!(ply("out") == ply("alone"), "bit for bit");

    let again = train(&at("data"), &at("other"), &[&save]);
    let message = text(&again.stderr);
    assert!(!again.status.success() && message.contains("run.rrd exists already"), "{message}");
    assert!(message.contains("hint: "), "{message}");
}

#[test]
fn a_viewer_that_is_not_there_is_told_before_the_training() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    dataset(&data);
    let fails = |argument: &str| {
        let run = train(&data, &dir.path().join("out"), &[argument, "--overwrite"]);
        let message = text(&run.stderr);
        assert!(!run.status.success() && run.stdout.is_empty() && message.contains("\nhint: "), "{message}");
        message
    };
    // A port that was free just now.
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let message = fails(&format!("--rerun=rerun+http://{place}/proxy"));
    assert!(message.contains(&format!("no viewer answers at {place}")), "{message}");
    let message = fails("--rerun=nonsense://here");
    assert!(message.contains("nonsense://here") && message.contains("rerun+http://"), "{message}");
}
