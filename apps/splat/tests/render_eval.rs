//! `splat render`, `splat eval` and `splat edit` from outside, on a scene and photographs made here: files, values, refusals.
#![expect(clippy::print_stdout, reason = "a test says on stdout that it was skipped, and what it measured")]

mod edit;
mod small;

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use small::{SIZE, at, dataset, fails, json, place, scene, splat, text, works};
use splat_scene::{Gaussians, Photo, ply, save_png};
use tch::{CModule, Device, Kind, Tensor};

#[test]
fn a_scene_scores_as_its_photographs_say() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let data = data.to_str().unwrap();
    let [good, dull, net, out] = ["good.ply", "dull.ply", "net.pt", "out"].map(|name| at(dir.path(), name));
    ply::write_gaussians(&good, &scene(1.0)).unwrap();
    ply::write_gaussians(&dull, &scene(0.5)).unwrap();
    // Stands for the network: the mean absolute difference of images in -1 to 1.
    let inputs = [
        Tensor::zeros([1, 3, 8, 8], (Kind::Float, Device::Cpu)),
        Tensor::zeros([1, 3, 8, 8], (Kind::Float, Device::Cpu)),
    ];
    let mut distance = |t: &[Tensor]| vec![(&t[0] - &t[1]).abs().mean(Kind::Float)];
    CModule::create_by_tracing("Net", "forward", &inputs, &mut distance).unwrap().save(&net).unwrap();

    let all = ["--data", data, "--split", "all", "--engine", "cpu"];
    let printed = works(&[&["eval", &good, "-o", &out, "--lpips", &net][..], &all].concat());
    assert!(printed.contains("mean of 5") && printed.contains("LPIPS"), "{printed}");
    let stats = json(dir.path().join("out/stats.json"));
    let mean = |stats: &Value, key: &str| stats["mean"][key].as_f64().unwrap();
    // The photographs are the scene itself but for the rounding to 8 bits, which is some 59 dB.
    assert!(mean(&stats, "psnr") > 55.0 && mean(&stats, "ssim") > 0.999, "{}", stats["mean"]);
    let lpips = mean(&stats, "lpips");
    assert!(lpips > 0.0 && lpips < 2.0 * 0.5 / 255.0, "{lpips}");
    assert_eq!((stats["gaussians"].as_u64(), stats["data"]["views"].as_u64()), (Some(63), Some(5)));
    let csv = fs_err::read_to_string(dir.path().join("out/views.csv")).unwrap();
    assert_eq!((csv.lines().count(), csv.lines().nth(3).unwrap().split(',').next()), (6, Some("v2.png")));
    let both = Photo::read(dir.path().join("out/views/v3.png")).unwrap();
    assert_eq!((both.width, both.height), (3 * SIZE.0, SIZE.1), "photograph, render and error");

    // A dull copy is worse by all measures; without -o, the figures come on stdout. The default is the test split.
    let stats: Value = serde_json::from_str(&works(&[
        "eval", &dull, "--data", data, "--engine", "cpu", "--json", "--lpips", &net,
    ]))
    .unwrap();
    assert_eq!(stats["views"].as_array().unwrap().len(), 1);
    assert!(mean(&stats, "psnr") < 30.0 && mean(&stats, "lpips") > 10.0 * lpips, "{}", stats["mean"]);
    // By hand, from two pictures: the scene's PSNR is that of the files.
    let folder = at(dir.path(), "dull");
    works(&["render", &dull, "-o", &folder, "--data", data, "--split", "test", "--engine", "cpu", "--quiet"]);
    let bytes = |path: PathBuf| Photo::read(&path).unwrap().pixels;
    let (a, b) = (bytes(dir.path().join("dull/v0.png")), bytes(dir.path().join("data/images/v0.png")));
    let squares: f64 = a.iter().zip(&b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum();
    let psnr = -10.0 * (squares / a.len() as f64 / 255.0 / 255.0).log10();
    assert!((psnr - mean(&stats, "psnr")).abs() < 0.05, "{psnr} {}", stats["mean"]);
}

/// What a mask leaves out does not count, and transparent photographs lie over the background, from the files on.
#[test]
fn masks_and_transparency_are_respected() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let photo = |i: usize| data.join(format!("images/v{i}.png"));
    let (w, h) = SIZE;
    // The first photograph loses its left half, the second its lower half.
    let mut left = Photo::read(photo(0)).unwrap().pixels;
    left.chunks_exact_mut(3 * w as usize).for_each(|row| row[..3 * w as usize / 2].fill(255));
    save_png(photo(0), w, h, &left).unwrap();
    fs_err::create_dir_all(data.join("masks")).unwrap();
    let mask: Vec<u8> = (0..w * h).flat_map(|i| [if i % w < w / 2 { 0 } else { 255 }; 3]).collect();
    save_png(data.join("masks/v0.png"), w, h, &mask).unwrap();
    let clear = Photo::read(photo(1)).unwrap().pixels;
    let row = |i: usize| i / w as usize;
    let rgba = clear
        .chunks_exact(3)
        .enumerate()
        .flat_map(|(i, p)| [p[0], p[1], p[2], if row(i) < 15 { 255 } else { 0 }]);
    let rgba = image::RgbaImage::from_raw(w, h, rgba.collect()).unwrap();
    rgba.save(photo(1)).unwrap();

    let good = at(dir.path(), "good.ply");
    ply::write_gaussians(&good, &scene(1.0)).unwrap();
    let data = data.to_str().unwrap();
    let scores = |background: &str| -> Vec<f64> {
        let run = [
            "eval",
            &good,
            "--data",
            data,
            "--split",
            "all",
            "--engine",
            "cpu",
            "--json",
            "--background",
            background,
        ];
        let stats: Value = serde_json::from_str(&works(&run)).unwrap();
        stats["views"].as_array().unwrap().iter().map(|v| v["psnr"].as_f64().unwrap()).collect()
    };
    let (black, green) = (scores("black"), scores("0,1,0"));
    assert!(black[0] > 55.0 && black[2] > 55.0, "the spoilt half is left out: {black:?}");
    // Under the transparent half the photograph is the background, which the wall is not: neither what the file hides
    // there (59 dB) nor black whatever is asked for (the same twice).
    assert!(black[1] < 12.0 && green[1] < 12.0 && (black[1] - green[1]).abs() > 0.5, "{black:?} {green:?}");
}

#[test]
fn a_datasets_cameras_give_its_photographs_depth_and_opacity() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let data = data.to_str().unwrap();
    let [ply_file, out, again, clear] = ["s.ply", "out", "again", "clear"].map(|name| at(dir.path(), name));
    ply::write_gaussians(&ply_file, &scene(1.0)).unwrap();
    works(&[
        "render", &ply_file, "-o", &out, "--data", data, "--engine", "cpu", "--depth", "--alpha", "--quiet",
    ]);
    let out_file = |name: &str| dir.path().join("out").join(name);
    for i in 0..5 {
        let (made, photo) =
            (out_file(&format!("v{i}.png")), dir.path().join(format!("data/images/v{i}.png")));
        assert_eq!(Photo::read(&made).unwrap(), Photo::read(&photo).unwrap(), "view {i}");
    }
    let sidecar = json(out_file("depth/depth.json"));
    let unit = sidecar["units_per_value"].as_f64().unwrap();
    let depth = image::open(out_file("depth/v2.png")).unwrap().into_luma16();
    // The wall stands 4 units before the cameras.
    let middle = f64::from(depth.get_pixel(20, 15).0[0]) * unit;
    assert!((middle - 4.0).abs() < 0.05, "{middle}");
    assert_eq!(sidecar["frames"][2]["file"], "v2.png");
    let alpha = image::open(out_file("alpha/v2.png")).unwrap().into_luma8();
    assert!(alpha.get_pixel(20, 15).0[0] > 240);

    // The trajectory that stands beside the pictures makes them again.
    let way = out_file("trajectory.json");
    works(&[
        "render",
        &ply_file,
        "-o",
        &again,
        "--trajectory",
        way.to_str().unwrap(),
        "--engine",
        "cpu",
        "--quiet",
    ]);
    for i in 0..5 {
        let [one, two] =
            ["out", "again"].map(|f| Photo::read(dir.path().join(format!("{f}/v{i}.png"))).unwrap());
        let most = one.pixels.iter().zip(&two.pixels).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(most <= Some(1), "view {i}: {most:?}");
    }

    // Pictures of nothing are made, and it is said.
    let away = r#"{"width": 8, "fov_y": 60, "height": 6, "frames": [{"world_to_camera":
        [[-1,0,0,0],[0,1,0,0],[0,0,-1,-4],[0,0,0,1]]}]}"#;
    fs_err::write(dir.path().join("away.json"), away).unwrap();
    let (away, dark) = (at(dir.path(), "away.json"), at(dir.path(), "dark"));
    let run = splat(&["render", &ply_file, "-o", &dark, "--trajectory", &away, "--engine", "cpu", "--quiet"]);
    let warning = text(&run.stderr);
    assert!(
        run.status.success() && warning.contains("warning: no Gaussian of") && warning.contains("s.ply"),
        "{warning}"
    );

    // From far away there is nothing at the border; over white the RGBA picture is the one over white.
    let far = r#"{"width": 40, "fov_y": 60, "height": 30, "fps": 5, "frames": [{"name": "far",
        "camera_to_world": [[1,0,0,0.2],[0,1,0,0],[0,0,1,-12],[0,0,0,1]]}]}"#;
    fs_err::write(dir.path().join("far.json"), far).unwrap();
    let far = at(dir.path(), "far.json");
    let white = at(dir.path(), "white");
    works(&[
        "render",
        &ply_file,
        "-o",
        &clear,
        "--trajectory",
        &far,
        "--engine",
        "cpu",
        "--transparent",
        "--quiet",
    ]);
    works(&[
        "render",
        &ply_file,
        "-o",
        &white,
        "--trajectory",
        &far,
        "--engine",
        "cpu",
        "--background",
        "white",
        "--quiet",
    ]);
    let rgba = Photo::read(dir.path().join("clear/far.png")).unwrap();
    assert_eq!((rgba.channels, rgba.pixels[3]), (4, 0));
    let white = Photo::read(dir.path().join("white/far.png")).unwrap();
    let most = rgba.into_rgb([1.0; 3]).iter().zip(&white.pixels).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(most <= Some(2), "{most:?}");
}

#[test]
fn circles_and_paths_have_the_size_and_number_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let data = data.to_str().unwrap();
    let [ply_file, circle, path] = ["s.ply", "circle", "path"].map(|name| at(dir.path(), name));
    ply::write_gaussians(&ply_file, &scene(1.0)).unwrap();
    let run = [
        "render", &ply_file, "-o", &circle, "--orbit", "5", "--width", "48", "--height", "36", "--engine",
        "cpu",
    ];
    works(&[&run[..], &["--elevation", "-20", "--up", "0,-1,0"]].concat());
    let way = json(dir.path().join("circle/trajectory.json"));
    assert_eq!(way["frames"].as_array().unwrap().len(), 5);
    let first = Photo::read(dir.path().join("circle/frame_00000.png")).unwrap();
    assert_eq!((first.width, first.height), (48, 36));
    let middle = first.pixels[3 * (18 * 48 + 24)..][..3].to_vec();
    assert!(middle.iter().any(|c| *c > 60), "the scene is in the middle: {middle:?}");
    // 20 degrees below the centre; y points down.
    let view = &way["frames"][0]["world_to_camera"];
    let number = |r: usize, c: usize| view[r][c].as_f64().unwrap();
    let center: Vec<f64> =
        (0..3).map(|c| -(0..3).map(|r| number(r, c) * number(r, 3)).sum::<f64>()).collect();
    assert!(
        center[1] > 0.0 && (center[1] / center[0].hypot(center[2]) - 20f64.to_radians().tan()).abs() < 0.05,
        "{center:?}"
    );

    works(&[
        "render", &ply_file, "-o", &path, "--path", "--frames", "7", "--data", data, "--engine", "cpu",
        "--quiet",
    ]);
    let way = json(dir.path().join("path/trajectory.json"));
    let frames = way["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 7);
    let x: Vec<f64> = frames.iter().map(|f| -f["world_to_camera"][0][3].as_f64().unwrap()).collect();
    assert!((x[0] - place(0)[0]).abs() < 1e-4 && (x[6] - place(4)[0]).abs() < 1e-4, "{x:?}");
    assert!(x.windows(2).all(|w| w[1] > w[0]), "{x:?}");
}

#[test]
fn videos_have_their_frames() {
    let dir = tempfile::tempdir().unwrap();
    let [ply_file, video, odd] = ["s.ply", "way.mp4", "odd.mp4"].map(|name| at(dir.path(), name));
    ply::write_gaussians(&ply_file, &scene(1.0)).unwrap();
    let render = ["render", &ply_file, "--orbit", "6", "--engine", "cpu", "--fps", "12", "--quiet"];

    // Without ffmpeg nothing is rendered, and the error says what to do.
    let bare = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")))
        .args(render)
        .args(["-o", &video])
        .env("PATH", "")
        .output()
        .unwrap();
    let message = text(&bare.stderr);
    assert!(!bare.status.success() && message.contains("way.mp4: ffmpeg does not start"), "{message}");
    assert!(message.contains("hint: install ffmpeg"), "{message}");
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");

    if Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: no ffmpeg");
        return;
    }
    works(&[&render[..], &["-o", &video, "--width", "64", "--height", "48", "--depth", "--alpha"]].concat());
    works(&[&render[..], &["-o", &odd, "--width", "33", "--height", "25"]].concat());
    let decoded = |name: &str| {
        let raw = Command::new("ffmpeg")
            .args([
                "-loglevel",
                "error",
                "-i",
                &at(dir.path(), name),
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
                "-",
            ])
            .output()
            .unwrap();
        raw.stdout
    };
    for name in ["way.mp4", "way.depth.mp4", "way.alpha.mp4"] {
        let frames = decoded(name);
        assert_eq!(frames.len(), 6 * 64 * 48 * 3, "{name}");
        assert!(frames.iter().any(|x| *x > 100) && frames.iter().any(|x| *x < 30), "{name} shows something");
    }
    assert_eq!(decoded("odd.mp4").len(), 6 * 34 * 26 * 3, "sides are made even");
    let refused = fails(&[&render[..], &["-o", &video]].concat());
    assert!(
        refused.contains("way.mp4 already exists") && refused.contains("hint: use --overwrite to replace it"),
        "{refused}"
    );
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 5, "the partial files are gone");
}

#[test]
fn refusals_name_the_file_and_a_way_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let data = data.to_str().unwrap();
    let [ply_file, out, full, bad] = ["s.ply", "out", "full", "bad.json"].map(|name| at(dir.path(), name));
    ply::write_gaussians(&ply_file, &scene(1.0)).unwrap();
    fs_err::create_dir_all(dir.path().join("full")).unwrap();
    fs_err::write(dir.path().join("full/mine.txt"), "keep").unwrap();
    fs_err::write(dir.path().join("bad.json"), r#"{"frames": [{}]}"#).unwrap();
    let nowhere = at(dir.path(), "nowhere.ply");
    let (animated, empty, net) =
        (at(dir.path(), "a.gif"), at(dir.path(), "empty.ply"), at(dir.path(), "bad.json"));
    ply::write_gaussians(&empty, &Gaussians { coeffs: 1, ..Gaussians::default() }).unwrap();
    let cases: [(&[&str], &[&str]); 15] = [
        (&["render", &nowhere, "-o", &out], &["nowhere.ply"]),
        (&["render", &empty, "-o", &out], &["empty.ply: there are no Gaussians", "hint:"]),
        (&["render", &ply_file, "-o", &full], &["full is not empty", "hint:", "--overwrite"]),
        (&["render", &ply_file, "-o", &animated], &["a.gif", "hint:"]),
        (
            &["render", &ply_file, "-o", &out, "--device", "tpu"],
            &["`tpu` is not a device", "hint:", "cuda:N"],
        ),
        (&["render", &ply_file, "-o", &out, "--engine", "cpu", "--device", "cuda:99"], &["hint:"]),
        (&["render", &ply_file, "-o", &out, "--engine", "vulkan"], &["vulkan"]),
        (&["render", &ply_file, "-o", &out, "--path"], &["--path needs cameras", "hint:", "--data"]),
        (&["render", &ply_file, "-o", &out, "--orbit", "3", "--up", "0,0,0"], &["must not be 0,0,0"]),
        (
            &["render", &ply_file, "-o", &out, "--trajectory", &bad],
            &["bad.json: at line 1: frame 0: it has no width"],
        ),
        (&["render", &ply_file, "-o", &out, "--orbit", "3", "--path"], &["cannot be used with"]),
        (&["eval", &ply_file, "--data", &full], &["full", "hint:"]),
        (&["eval", &ply_file], &["no stats.json", "hint: name the dataset: --data"]),
        (
            &["eval", &ply_file, "--data", data, "--test-every", "0"],
            &["no view is in the split `test`", "hint:", "--split all"],
        ),
        (
            &["eval", &ply_file, "--data", data, "--engine", "cpu", "--lpips", &net],
            &["bad.json", "TorchScript", "hint:", "lpips"],
        ),
    ];
    for (arguments, parts) in cases {
        let message = fails(arguments);
        assert!(
            message.starts_with("error: ") && parts.iter().all(|p| message.contains(p)),
            "{arguments:?}: {message}"
        );
    }
    assert_eq!(fs_err::read_to_string(dir.path().join("full/mine.txt")).unwrap(), "keep");
    let written = [
        "render",
        &ply_file,
        "-o",
        &full,
        "--orbit",
        "1",
        "--width",
        "8",
        "--overwrite",
        "--quiet",
        "--engine",
        "cpu",
    ];
    works(&written);
    assert!(dir.path().join("full/mine.txt").exists() && dir.path().join("full/frame_00000.png").exists());
}

/// Real photographs: the scores are of the held-out views.
#[test]
fn real_photographs_give_scores() {
    let Some(data) = splat_testdata::shared("snowmiku") else { return };
    let options = splat_scene::OpenOptions { downscale: Some(8), ..splat_scene::OpenOptions::default() };
    let set = splat_scene::Dataset::open(&data, &options).unwrap();
    // Points as small opaque blobs: no trained scene, but one that the photographs agree with more than with nothing.
    let mut g = Gaussians { coeffs: 1, ..Gaussians::default() };
    for p in &set.points {
        g.means.extend(p.position);
        g.sh.extend(p.color.map(|c| (f32::from(c) / 255.0 - 0.5) / splat_scene::SH_C0));
        g.opacity_logits.push(2.0);
        g.log_scales.extend([(0.01 * set.scene_extent as f32).ln(); 3]);
        g.rotations.extend([1.0, 0.0, 0.0, 0.0]);
    }
    let dir = tempfile::tempdir().unwrap();
    let ply_file = at(dir.path(), "points.ply");
    ply::write_gaussians(&ply_file, &g).unwrap();
    let data = data.to_str().unwrap();
    let stats: Value = serde_json::from_str(&works(&[
        "eval",
        &ply_file,
        "--data",
        data,
        "--downscale",
        "8",
        "--engine",
        "cpu",
        "--json",
        "--background",
        "0.5,0.5,0.5",
    ]))
    .unwrap();
    let names: Vec<&str> =
        stats["views"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
    let held_out: Vec<&str> = set.test.iter().map(|&i| set.views[i].name.as_str()).collect();
    assert_eq!(names, held_out);
    println!("points as blobs: {}", stats["mean"]);
    assert!(stats["mean"]["psnr"].as_f64().unwrap() > 11.0, "{}", stats["mean"]);
}

/// One JSON object per line and nothing else; the last one is the end.
fn events(arguments: &[&str]) -> Vec<Value> {
    let printed = works(&[arguments, &["--json-events", "--quiet"]].concat());
    printed.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{printed}"))).collect()
}

#[test]
fn every_long_command_tells_programs_its_progress_and_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let data = data.to_str().unwrap();
    let [good, dull, frames, small, sog] =
        ["good.ply", "dull.ply", "frames", "small.ply", "small.sog"].map(|name| at(dir.path(), name));
    ply::write_gaussians(&good, &scene(1.0)).unwrap();
    ply::write_gaussians(&dull, &scene(0.5)).unwrap();
    let all = ["--data", data, "--split", "all", "--engine", "cpu"];
    let commands: [(&[&str], &str, u64); 5] = [
        (&[&["render", &good, "-o", &frames][..], &all].concat(), "render", 5),
        (&[&["eval", &good][..], &all].concat(), "evaluate", 5),
        (&[&["compare", &good, &dull][..], &all].concat(), "compare", 5),
        (
            &["edit", &good, &small, "--max-gaussians", "40", "--data", data, "--engine", "cpu"],
            "contributions",
            5,
        ),
        (&["convert", &good, &sog], "clustering harmonics", 0),
    ];
    for (arguments, stage, of) in commands {
        let told = events(arguments);
        let (end, before) = told.split_last().unwrap();
        assert_eq!((&end["event"], &end["command"]), (&"done".into(), &arguments[0].into()), "{end}");
        assert!(before.iter().all(|event| event["event"] == "progress"), "{before:?}");
        let done: Vec<u64> = before
            .iter()
            .filter(|event| event["stage"] == stage && (of == 0 || event["of"] == of))
            .map(|event| event["done"].as_u64().unwrap())
            .collect();
        assert!(done.is_sorted(), "{before:?}");
        // A scene without harmonics has nothing to cluster.
        assert!(of == 0 || done.last() == Some(&of), "{stage}: {before:?}");
    }
    let told = events(&[&["compare", &good, &dull][..], &all].concat());
    let mean = |scene: &str| told.last().unwrap()["mean"][scene]["psnr"].as_f64().unwrap();
    assert!(mean("a") > 55.0 && mean("b") < 30.0, "{told:?}");
    let refused = fails(&[&["eval", &good, "--json", "--json-events"][..], &all].concat());
    assert!(refused.contains("--json-events"), "{refused}");
}
