//! Poses from photographs: against given ones, and whatever can go wrong. COLMAP's package is brought into the cache as for a
//! user; what happens around it is tested with a program in its place.
#![expect(clippy::print_stdout, reason = "a test says on stdout what it measured")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use splat_scene::{Dataset, OpenOptions, save_png};
use splat_testdata::shared;

/// Bounds of the poses' errors after alignment: degrees, and shares of the scene's extent. Measured: see the test's output.
const TURNED: f64 = 1.0;
const MOVED: f64 = 0.01;
/// How much a training with found poses may fall behind one with the given ones on the held-out views.
const LOSS_DB: f64 = 0.3;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")));
    command.args(arguments);
    command
}

#[track_caller]
fn works(arguments: &[&str]) -> String {
    let run = command(arguments).output().unwrap();
    assert!(run.status.success(), "{arguments:?}: {}", said(&run));
    said(&run)
}

fn said(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Copies every `step`-th photograph of a folder, `count` at most, with `prefix` before their names.
fn copy(from: &Path, step: usize, count: usize, prefix: &str, to: &Path) {
    let mut names: Vec<_> = fs_err::read_dir(from).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    fs_err::create_dir_all(to).unwrap();
    for name in names.iter().step_by(step).take(count) {
        fs_err::copy(from.join(name), to.join(format!("{prefix}{}", name.to_str().unwrap()))).unwrap();
    }
}

type Rows = [[f64; 3]; 3];

/// Name, rotation from world to camera, centre.
fn poses(dataset: &Dataset) -> Vec<(String, Rows, [f64; 3])> {
    let rotation =
        |view: &[f32; 16]| std::array::from_fn(|r| std::array::from_fn(|k| f64::from(view[4 * k + r])));
    dataset.views.iter().map(|v| (v.name.clone(), rotation(&v.camera.view), v.center)).collect()
}

fn product(a: &Rows, b: &Rows) -> Rows {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

fn transposed(a: &Rows) -> Rows {
    std::array::from_fn(|i| std::array::from_fn(|j| a[j][i]))
}

fn apply(a: &Rows, x: [f64; 3]) -> [f64; 3] {
    a.map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum())
}

fn mean(points: &[[f64; 3]]) -> [f64; 3] {
    std::array::from_fn(|k| points.iter().map(|p| p[k]).sum::<f64>() / points.len() as f64)
}

/// The similarity that takes `from` to `to` with the least squares: scale, rotation, shift. S. Umeyama, "Least-squares estimation of
/// transformation parameters between two point patterns" (1991); the rotation as the quaternion of B. Horn (1987), by power iteration.
fn similarity(from: &[[f64; 3]], to: &[[f64; 3]]) -> (f64, Rows, [f64; 3]) {
    let (a, b) = (mean(from), mean(to));
    let less = |p: &[f64; 3], m: [f64; 3]| -> [f64; 3] { std::array::from_fn(|k| p[k] - m[k]) };
    let pairs: Vec<_> = from.iter().zip(to).map(|(p, q)| (less(p, a), less(q, b))).collect();
    let s = |i: usize, j: usize| pairs.iter().map(|(p, q)| p[i] * q[j]).sum::<f64>();
    let size = |points: &[[f64; 3]], m| points.iter().flat_map(|p| less(p, m)).map(|x| x * x).sum::<f64>();
    let n = [
        [s(0, 0) + s(1, 1) + s(2, 2), s(1, 2) - s(2, 1), s(2, 0) - s(0, 2), s(0, 1) - s(1, 0)],
        [s(1, 2) - s(2, 1), s(0, 0) - s(1, 1) - s(2, 2), s(0, 1) + s(1, 0), s(2, 0) + s(0, 2)],
        [s(2, 0) - s(0, 2), s(0, 1) + s(1, 0), s(1, 1) - s(0, 0) - s(2, 2), s(1, 2) + s(2, 1)],
        [s(0, 1) - s(1, 0), s(2, 0) + s(0, 2), s(1, 2) + s(2, 1), s(2, 2) - s(0, 0) - s(1, 1)],
    ];
    // No eigenvalue is below minus this.
    let shift = (size(from, a) * size(to, b)).sqrt();
    let mut q = [0.6, 0.5, 0.4, 0.3];
    for _ in 0..10_000 {
        let next: [f64; 4] =
            std::array::from_fn(|i| shift * q[i] + (0..4).map(|j| n[i][j] * q[j]).sum::<f64>());
        let length = next.iter().map(|x| x * x).sum::<f64>().sqrt();
        q = next.map(|x| x / length);
    }
    let [w, x, y, z] = q;
    let rotation = [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ];
    let along: f64 =
        pairs.iter().map(|(p, q)| apply(&rotation, *p).iter().zip(q).map(|(r, q)| r * q).sum::<f64>()).sum();
    let scale = along / size(from, a);
    let turned = apply(&rotation, a);
    (scale, rotation, std::array::from_fn(|k| b[k] - scale * turned[k]))
}

#[test]
fn found_poses_are_as_good_as_given_ones() {
    let Some(fox) = shared("fox-colmap") else { return };
    let dir = tempfile::tempdir().unwrap();
    let [photos, found, given_run] = ["photos", "found", "given"].map(|name| dir.path().join(name));
    copy(&fox.join("images_2"), 3, 17, "", &photos);
    // First points are found in the photographs both times, with found poses unasked: a model of 17 photographs has fewer points
    // than that of all fifty, and poses are what is compared.
    let all = [
        "--engine",
        "cpu",
        "--preset",
        "published",
        "--sh-degree",
        "1",
        "--iterations",
        "300",
        "--eval-every",
        "0",
    ];
    let start = ["--test-every", "4", "--init-count", "2000", "--quiet"];
    let train = |data: &Path, more: &[&str], out: &Path| {
        works(&[&["train", text(data), "-o", text(out)], &all[..], &start[..], more].concat());
        json(&out.join("stats.json"))["final"]["psnr"].as_f64().unwrap()
    };
    let with_found = train(&photos, &["--sfm", "pycolmap", "--downscale", "4"], &found);
    let folder = found.join("reconstruction");
    let report = json(&folder.join("reconstruction.json"));
    assert_eq!((report["placed"].as_u64(), report["photographs"].as_u64()), (Some(17), Some(17)), "{report}");
    assert!(folder.join("cameras.png").is_file() && !folder.join(".work").exists());

    let options = OpenOptions { images: Some(photos.clone()), test_every: 0, ..OpenOptions::default() };
    let (reconstructed, given) =
        (Dataset::open(&folder, &options).unwrap(), Dataset::open(&fox, &options).unwrap());
    let theirs = poses(&given);
    let pairs: Vec<_> = poses(&reconstructed)
        .into_iter()
        .map(|own| (theirs.iter().find(|pose| pose.0 == own.0).unwrap_or_else(|| panic!("{}", own.0)), own))
        .collect();
    let centers = |pick: &dyn Fn(usize) -> [f64; 3]| (0..pairs.len()).map(pick).collect::<Vec<_>>();
    let (scale, rotation, shift) = similarity(&centers(&|i| pairs[i].1.2), &centers(&|i| pairs[i].0.2));
    let (mut turned, mut moved) = (Vec::new(), Vec::new());
    for (given_pose, own) in &pairs {
        // From the given world into ours, then into the camera: should be the given rotation.
        let difference = product(&product(&own.1, &transposed(&rotation)), &transposed(&given_pose.1));
        let trace: f64 = (0..3).map(|k| difference[k][k]).sum();
        turned.push(((trace - 1.0) / 2.0).clamp(-1.0, 1.0).acos().to_degrees());
        let there = apply(&rotation, own.2);
        let apart =
            (0..3).map(|k| (scale * there[k] + shift[k] - given_pose.2[k]).powi(2)).sum::<f64>().sqrt();
        moved.push(apart / given.scene_extent);
    }
    let most = |of: &[f64]| of.iter().copied().fold(0.0, f64::max);
    let average = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    println!(
        "turned {:.3} degrees on average, {:.3} at most; moved {:.5} of the extent on average, {:.5} at most",
        average(&turned),
        most(&turned),
        average(&moved),
        most(&moved)
    );
    assert!(most(&turned) < TURNED && most(&moved) < MOVED, "{turned:?} {moved:?}");

    // Their cameras are for photographs of twice the size.
    let with_given =
        train(&fox, &["--images", text(&photos), "--downscale", "8", "--init", "sweep"], &given_run);
    let stats = json(&found.join("stats.json"));
    assert_eq!(stats["config"]["init"], "sweep", "{}", stats["config"]);
    println!("held-out PSNR {with_found:.2} dB with found poses, {with_given:.2} dB with given ones");
    assert!(with_found > with_given - LOSS_DB, "{with_found} {with_given}");

    // The same photographs again: nothing is computed anew, and a changed one is noticed.
    let again = works(&["reconstruct", text(&photos), "-o", text(&found), "--sfm", "pycolmap"]);
    assert!(again.contains("as nothing has changed") && !again.contains("looking for features"), "{again}");
}

/// Makes a JPEG file say in EXIF that its pixels are to be turned by a quarter. COLMAP and the trainer both take them as they are.
fn say_turned(path: &Path) {
    let jpeg = fs_err::read(path).unwrap();
    let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = (2 + 6 + tiff.len()) as u16;
    let parts: [&[u8]; 5] = [&[0xff, 0xd8, 0xff, 0xe1], &length.to_be_bytes(), b"Exif\0\0", tiff, &jpeg[2..]];
    fs_err::write(path, parts.concat()).unwrap();
}

#[test]
fn two_scenes_in_one_folder_are_told_apart() {
    let (Some(fox), Some(miku)) = (shared("fox-colmap/images_2"), shared("snowmiku/images_2")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let [photos, out] = ["photös", "out"].map(|name| dir.path().join(name));
    copy(&fox, 2, 6, "fuchs 狐 ", &photos);
    copy(&miku, 1, 4, "miku", &photos);
    say_turned(&photos.join("fuchs 狐 0001.jpg"));
    save_png(photos.join("BLANK.PNG"), 64, 48, &[120; 64 * 48 * 3]).unwrap();
    fs_err::write(photos.join("broken.JPG"), b"no picture").unwrap();
    let said = works(&["reconstruct", text(&photos), "-o", text(&out), "--sfm", "pycolmap"]);
    let report = json(&out.join("reconstruction/reconstruction.json"));
    // The turned one is among them.
    assert_eq!(report["placed"], 6, "{said}");
    assert!(report["models"].as_array().unwrap().len() > 1, "{report}");
    assert!(said.contains("left out 4 photographs (miku") && said.contains("a group of its own"), "{said}");
    assert!(said.contains("(BLANK.PNG): few details") && said.contains("(broken.JPG): "), "{said}");
}

/// A folder of three pictures, whose content nobody looks at.
fn pictures(dir: &Path) -> PathBuf {
    let folder = dir.join("photos");
    fs_err::create_dir_all(&folder).unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        save_png(folder.join(name), 40, 30, &[90; 3600]).unwrap();
    }
    folder
}

#[test]
fn what_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (photos, out, home) = (pictures(dir.path()), dir.path().join("out"), dir.path().join("home"));
    let fails = |data: &Path, more: &[&str], path: &str| {
        let mut run = command(&[&["reconstruct", text(data), "-o", text(&out)], more].concat());
        // No pyenv, no conda: nothing but what PATH has.
        for name in ["PYENV_ROOT", "CONDA_PREFIX", "VIRTUAL_ENV", "PIP_NO_INDEX"] {
            run.env_remove(name);
        }
        let run = run
            .env("PATH", path)
            .env("HOME", &home)
            .env("SPLATWRIGHT_HOME", home.join("cache"))
            .output()
            .unwrap();
        assert!(!run.status.success());
        said(&run)
    };
    let path = std::env::var("PATH").unwrap();
    let none = fails(&photos, &["--sfm", "pycolmap"], "/nowhere");
    assert!(
        none.contains("`pycolmap` needs Python from 3.10") && none.contains("hint: install one"),
        "{none}"
    );
    let offline = fails(&photos, &["--sfm", "pycolmap", "--offline"], &path);
    // A machine whose Pythons are all outside PATH fails one check earlier.
    assert!(offline.contains("--offline") || offline.contains("needs Python"), "{offline}");
    let absent = fails(&photos, &["--sfm", "glomap"], "/nowhere");
    assert!(absent.contains("there is no `glomap` on PATH"), "{absent}");
    let empty = dir.path().join("empty");
    fs_err::create_dir_all(&empty).unwrap();
    assert!(fails(&empty, &[], &path).contains("holds no photographs"));
    fs_err::write(empty.join("IMG_1.HEIC"), b"heic").unwrap();
    let foreign = fails(&empty, &[], &path);
    assert!(
        foreign.contains("0 photographs can be used") && foreign.contains("save it as JPEG or PNG"),
        "{foreign}"
    );
    let own = dir.path().join("own/reconstruction");
    fs_err::create_dir_all(&own).unwrap();
    fs_err::write(own.join("mine.txt"), b"mine").unwrap();
    let foreign =
        command(&["reconstruct", text(&photos), "-o", text(own.parent().unwrap())]).output().unwrap();
    assert!(said(&foreign).contains("holds something else") && own.join("mine.txt").exists());
}

/// A program in place of COLMAP and of GLOMAP: it does what `mapper` says, knows the other stages, and notes in the file `calls`
/// how it was called.
#[cfg(unix)]
fn stand_in(dir: &Path, mapper: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let folder = dir.join("bin");
    fs_err::create_dir_all(&folder).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"${{0##*/}} $*\" >> {calls}\nwhile [ $# -gt 0 ]; do case $1 in --output_path) out=$2;; mapper) stage=mapper;; help) echo 'COLMAP 9.9 --';; esac; shift; done\n\
         [ \"$stage\" = mapper ] || exit 0\n{mapper}\n",
        calls = dir.join("calls").display()
    );
    for name in ["colmap", "glomap"] {
        fs_err::write(folder.join(name), &script).unwrap();
        fs_err::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

/// Writes a model of the three pictures.
#[cfg(unix)]
const MODEL: &str = r#"
mkdir -p $out/0
echo '1 PINHOLE 40 30 36 36 20 15' > $out/0/cameras.txt
printf '1 1 0 0 0 0 0 1 1 a.png\n\n2 1 0 0 0 -1 0 1 1 b.png\n\n3 1 0 0 0 0 1 1 1 c.png\n\n' > $out/0/images.txt
echo '1 0 0 3 128 128 128 0' > $out/0/points3D.txt
"#;

#[cfg(unix)]
#[test]
fn a_run_that_ends_early_leaves_nothing_that_is_taken_for_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (photos, out) = (pictures(dir.path()), dir.path().join("out"));
    let arguments = ["reconstruct", text(&photos), "-o", text(&out), "--sfm", "colmap"];
    let run = |mapper: &str| command(&arguments).env("PATH", stand_in(dir.path(), mapper)).output().unwrap();
    let report = || json(&out.join("reconstruction/reconstruction.json"));

    let failed = run("echo 'F20261130 bundle.cc:7] Check failed' >&2; exit 134");
    let text = said(&failed);
    assert!(
        text.contains("the search for poses by") && text.contains("Check failed") && text.contains("hint: "),
        "{text}"
    );
    assert_eq!(report()["fingerprint"], "");

    // The user stops, by a signal to this program alone: the other one is ended too.
    let pid = dir.path().join("pid");
    let mapper = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", pid.display());
    let path = stand_in(dir.path(), &mapper);
    let mut child =
        command(&arguments).env("PATH", &path).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let started = || -> String {
        loop {
            if let Ok(number) = fs_err::read_to_string(&pid) {
                return number.trim().to_owned();
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    let number = started();
    let signal = |what: &str, to: &str| Command::new("kill").args([what, to]).status().unwrap();
    assert!(signal("-INT", &child.id().to_string()).success());
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(!Path::new("/proc").join(&number).exists() || cfg!(not(target_os = "linux")));

    // Killed half-way.
    fs_err::remove_file(&pid).unwrap();
    let mut child =
        command(&arguments).env("PATH", &path).stderr(std::process::Stdio::null()).spawn().unwrap();
    let number = started();
    child.kill().unwrap();
    child.wait().unwrap();
    signal("-KILL", &number);
    assert!(out.join("reconstruction/.work").exists() && !out.join("reconstruction/sparse").exists());
    assert_eq!(report()["fingerprint"], "");

    // The next run starts over, and is whole; the one after that has nothing to do.
    let whole = run(MODEL);
    assert!(whole.status.success() && said(&whole).contains("3 of 3 photographs placed"), "{}", said(&whole));
    assert!(!out.join("reconstruction/.work").exists());
    let again = run("exit 1");
    assert!(again.status.success() && said(&again).contains("as nothing has changed"), "{}", said(&again));
    // Another photograph is another reconstruction, which replaces the first only when it is there.
    save_png(photos.join("d.png"), 40, 30, &[91; 3600]).unwrap();
    let fourth = run(MODEL);
    assert!(said(&fourth).contains("left out 1 photograph (d.png)"), "{}", said(&fourth));
    let nothing = run("exit 0");
    assert!(said(&nothing).contains("as nothing has changed"), "{}", said(&nothing));
}

/// GLOMAP places the cameras after COLMAP's features, which leave out what masks cover; many photographs are not all compared.
#[cfg(unix)]
#[test]
fn every_stage_is_given_to_the_right_program() {
    let dir = tempfile::tempdir().unwrap();
    let (photos, out) = (pictures(dir.path()), dir.path().join("out"));
    let path = stand_in(dir.path(), MODEL);
    let calls = |more: &[&str]| -> Vec<String> {
        let _ = fs_err::remove_file(dir.path().join("calls"));
        let arguments = [&["reconstruct", text(&photos), "-o", text(&out)], more].concat();
        let run = command(&arguments).env("PATH", &path).output().unwrap();
        assert!(run.status.success(), "{}", said(&run));
        fs_err::read_to_string(dir.path().join("calls")).unwrap().lines().map(str::to_owned).collect()
    };
    let programs = |calls: &[String]| -> Vec<String> {
        let words = calls.iter().map(|call| call.split(' ').take(2).collect::<Vec<_>>().join(" "));
        words.filter(|call| !call.ends_with("help") && !call.ends_with("--help")).collect()
    };
    let found = calls(&["--sfm", "glomap"]);
    let stages = programs(&found);
    // Its first word is what COLMAP is asked about its options.
    assert_eq!(
        stages[1..],
        ["colmap feature_extractor", "colmap exhaustive_matcher", "glomap mapper"],
        "{found:?}"
    );
    assert!(!found.iter().any(|call| call.contains("mask_path")), "{found:?}");
    assert!(
        json(&out.join("reconstruction/reconstruction.json"))["tool"].as_str().unwrap().contains("glomap")
    );

    // Masks beside the photographs, and masks elsewhere, which is another reconstruction.
    fs_err::create_dir_all(photos.join("masks")).unwrap();
    save_png(photos.join("masks/a.png"), 40, 30, &[0; 3600]).unwrap();
    let found = calls(&["--sfm", "colmap"]);
    assert!(
        found
            .iter()
            .any(|call| call.contains("feature_extractor") && call.contains("--ImageReader.mask_path"))
    );
    let report = json(&out.join("reconstruction/reconstruction.json"));
    assert!(report["masks"].as_str().unwrap().ends_with("photos/masks"), "{report}");

    for i in 0..300 {
        fs_err::copy(photos.join("a.png"), photos.join(format!("more{i:03}.png"))).unwrap();
    }
    let found = calls(&["--sfm", "colmap"]);
    assert_eq!(
        programs(&found)[2..],
        ["colmap sequential_matcher", "colmap spatial_matcher", "colmap matches_importer", "colmap mapper"],
        "{found:?}"
    );
}

/// A training of photographs goes on where they have been reconstructed, and `eval` finds the photographs again.
#[cfg(unix)]
#[test]
fn a_training_begins_with_photographs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (photos, out) = (pictures(dir.path()), dir.path().join("out"));
    let path = stand_in(dir.path(), MODEL);
    let train = |more: &[&str]| {
        let common = [
            "train",
            text(&photos),
            "-o",
            text(&out),
            "--engine",
            "cpu",
            "--iterations",
            "2",
            "--test-every",
            "3",
        ];
        let run = command(&[&common, more].concat()).env("PATH", &path).output().unwrap();
        (run.status.success(), said(&run))
    };
    let (done, text) = train(&[]);
    assert!(done && text.contains("3 of 3 photographs placed"), "{text}");
    let stats = json(&out.join("stats.json"));
    assert_eq!(stats["data"]["views"], 3);
    assert!(stats["run"]["data"].as_str().unwrap().ends_with("out/reconstruction"), "{}", stats["run"]);
    let (done, text) = train(&[]);
    assert!(!done && text.contains("--overwrite"), "{text}");
    let (done, text) = train(&["--overwrite"]);
    assert!(done && text.contains("as nothing has changed"), "{text}");
    works(&["eval", out.to_str().unwrap(), "--engine", "cpu"]);
}
