//! Trainings as a person meets them again: stopped, resumed, made longer, two at once; and what other commands know of a run.
#![expect(clippy::print_stdout, reason = "a test says on stdout that it was skipped")]

mod small;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use small::{at, dataset, fails, json, scene, splat, text, works};
use splat_scene::{Gaussians, ply};

/// The arguments of `splat train` on the CPU.
fn arguments<'a>(data: &'a Path, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", data.to_str().unwrap(), "-o", out, "--engine", "cpu"], more].concat()
}

/// `splat train` on the CPU, for some steps.
fn train(data: &Path, out: &str, more: &[&str]) -> Output {
    splat(&arguments(data, out, more))
}

fn started(data: &Path, out: &str, more: &[&str]) -> Child {
    Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")))
        .args(arguments(data, out, more))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Longer than other programs need to begin.
const LONG: &[&str] = &["--overwrite", "--iterations", "200000"];

/// Waits for `path` to exist while `child` runs.
fn wait_for(path: &Path, child: &mut Child) {
    while !path.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// `--resume` needs no settings, refuses others by name, and makes a finished run longer: to the bit what a longer run is,
/// where the schedule does not follow the number of steps.
#[test]
fn a_run_goes_on_with_its_own_settings() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let [whole, out] = ["whole", "out"].map(|name| at(dir.path(), name));
    let settings = [
        "--sh-degree",
        "1",
        "--test-every",
        "3",
        "--seed",
        "4",
        "--init",
        "random",
        "--init-count",
        "200",
        "--preset",
        "published",
    ];
    let run = train(&data, &whole, &[&settings[..], &["--iterations", "12", "--eval-every", "0"]].concat());
    assert!(run.status.success(), "{}", text(&run.stderr));
    let run = train(&data, &out, &[&settings[..], &["--iterations", "7", "--eval-every", "0"]].concat());
    assert!(run.status.success(), "{}", text(&run.stderr));

    let other = train(&data, &out, &["--resume", "--sh-degree", "2", "--test-every", "2", "--seed", "4"]);
    let message = text(&other.stderr);
    assert!(!other.status.success(), "{message}");
    for said in
        ["--sh-degree 1, but this command says --sh-degree 2", "used --test-every 3", "hint: leave these"]
    {
        assert!(message.contains(said), "{said}: {message}");
    }
    assert!(!message.contains("--seed"), "the same seed is no difference: {message}");

    let again = train(&data, &out, &["--resume"]);
    let message = text(&again.stderr);
    assert!(again.status.success() && message.contains("after step 7; all its steps are done"), "{message}");
    let longer = train(&data, &out, &["--resume", "--iterations", "12"]);
    assert!(longer.status.success(), "{}", text(&longer.stderr));
    let stats = json(dir.path().join("out/stats.json"));
    assert_eq!((stats["steps"].as_u64(), stats["config"]["sh_degree"].as_u64()), (Some(12), Some(1)));
    assert_eq!(stats["data"]["test"].as_array().unwrap().len(), 2);
    let bytes = |out: &str| fs_err::read(Path::new(out).join("point_cloud.ply")).unwrap();
    assert!(bytes(&whole) == bytes(&out), "bit for bit");
    let csv = fs_err::read_to_string(dir.path().join("out/views.csv")).unwrap();
    let milliseconds: f64 = csv.lines().nth(1).unwrap().split(',').nth(4).unwrap().parse().unwrap();
    assert!(milliseconds > 0.0, "{csv}");
}

/// Ctrl-C saves, says how to go on, and has an exit code of its own.
#[test]
#[cfg(unix)]
fn a_stopped_run_says_so_to_programs_too() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let out = at(dir.path(), "out");
    let mut child = started(&data, &out, &["--checkpoint-every", "5"]);
    wait_for(&dir.path().join("out/checkpoint.safetensors"), &mut child);
    interrupt(&child);
    let ended = child.wait_with_output().unwrap();
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("Stopped after") && said.contains("same command with --resume"), "{said}");
    assert!(dir.path().join("out/point_cloud.ply").exists());
    assert_eq!(json(dir.path().join("out/stats.json"))["stopped_early"].as_bool(), Some(true));
}

/// The search for first points hears Ctrl-C too.
#[test]
#[cfg(unix)]
fn the_search_for_points_can_be_stopped() {
    let Some(data) = splat_testdata::shared("fox") else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = at(dir.path(), "out");
    let mut child = started(&data, &out, &["--init", "sweep", "--downscale", "2"]);
    wait_for(Path::new(&out), &mut child);
    std::thread::sleep(Duration::from_millis(300));
    interrupt(&child);
    let ended = child.wait_with_output().unwrap();
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("stopped before the first step"), "{said}");
    assert_eq!(fs_err::read_dir(&out).unwrap().count(), 0);
}

/// Of three trainings that start into one folder, one writes and the others say why they do not.
#[test]
fn one_folder_has_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let out = at(dir.path(), "out");
    let mut first = started(&data, &out, LONG);
    wait_for(Path::new(&out), &mut first);
    std::thread::sleep(Duration::from_millis(200));
    for more in [&["--overwrite"][..], &[]] {
        let second = train(&data, &out, &[more, &["--iterations", "2"]].concat());
        let said = text(&second.stderr);
        assert!(!second.status.success() && said.contains("another program is writing"), "{said}");
        assert!(said.contains("hint: wait until it has finished"), "{said}");
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let after = train(&data, &out, &["--overwrite", "--iterations", "2"]);
    assert!(after.status.success(), "the lock of a killed run is gone: {}", text(&after.stderr));
}

/// Three programs started at once into one folder: one trains, two are told who holds it.
#[test]
fn of_three_trainings_at_once_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let out = at(dir.path(), "out");
    let mut all: Vec<_> = (0..3).map(|_| started(&data, &out, LONG)).collect();
    let mut ended = Vec::new();
    while ended.len() < 2 {
        for (k, program) in all.iter_mut().enumerate() {
            if !ended.contains(&k) && program.try_wait().unwrap().is_some() {
                ended.push(k);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let winner = (0..3).find(|k| !ended.contains(k)).unwrap();
    assert!(all[winner].try_wait().unwrap().is_none(), "one goes on");
    all[winner].kill().unwrap();
    for (k, program) in all.into_iter().enumerate() {
        let output = program.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert!(
            k == winner || !output.status.success() && said.contains("another program is writing"),
            "{said}"
        );
    }
}

/// A run knows its dataset and its cameras: eval, render and info take the folder alone.
#[test]
fn the_folder_of_a_run_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let [out, circle, way] = ["out", "circle", "way"].map(|name| at(dir.path(), name));
    let run = train(&data, &out, &["--iterations", "4", "--test-every", "2", "--background", "white"]);
    assert!(run.status.success(), "{}", text(&run.stderr));

    // The split of the training, not the default one.
    let printed = works(&["eval", &out, "--engine", "cpu", "--quiet"]);
    assert!(printed.contains("mean of 3"), "{printed}");
    let said = |arguments: &[&str]| {
        let run = splat(&[&["eval", &out, "--engine", "cpu", "--quiet"], arguments].concat());
        assert!(run.status.success(), "{}", text(&run.stderr));
        text(&run.stderr)
    };
    assert_eq!(said(&[]), "");
    assert_eq!(said(&["--downscale", "2"]), "", "another size is the same dataset");
    let split = said(&["--test-every", "3"]);
    assert!(split.contains("1 of 2 held-out views were trained on"), "{split}");
    let other = dir.path().join("other");
    fs_err::create_dir_all(&other).unwrap();
    let other = dataset(&other);
    let images = fs_err::read_to_string(other.join("sparse/0/images.txt")).unwrap();
    fs_err::write(other.join("sparse/0/images.txt"), images.replace(" 4 1 v", " 5 1 v")).unwrap();
    let strange = said(&["--data", other.to_str().unwrap()]);
    assert!(
        strange.contains("1 of 1 views are not among those that this scene was trained with"),
        "{strange}"
    );

    // The circle stands upright as the cameras do and around what they look at.
    works(&["render", &out, "-o", &circle, "--orbit", "4", "--width", "16", "--engine", "cpu", "--quiet"]);
    let first = json(dir.path().join("circle/trajectory.json"))["frames"][0].clone();
    assert_eq!(
        (first["width"].as_u64(), first["height"].as_u64()),
        (Some(16), Some(12)),
        "the cameras' shape"
    );
    assert!((first["fx"].as_f64().unwrap() - small::FOCAL * 16.0 / 40.0).abs() < 1e-3, "and lens: {first}");
    works(&["render", &out, "-o", &way, "--path", "--frames", "3", "--engine", "cpu", "--quiet"]);
    let frames = json(dir.path().join("way/trajectory.json"))["frames"].clone();
    let x: Vec<f64> = [0, 2].map(|i| -frames[i]["world_to_camera"][0][3].as_f64().unwrap()).into();
    assert!((x[0] - small::place(0)[0]).abs() < 1e-4 && (x[1] - small::place(4)[0]).abs() < 1e-4, "{x:?}");

    let table = works(&["info", &out]);
    for fact in ["Gaussians", "SH degree", "4 steps", "data", "PLY"] {
        assert!(table.contains(fact), "{fact}: {table}");
    }
    let told: serde_json::Value =
        serde_json::from_str(&works(&["info", &format!("{out}/point_cloud.ply"), "--json"])).unwrap();
    assert_eq!((told["gaussians"].as_u64(), told["steps"].as_u64()), (Some(1), Some(4)));
}

/// The wall lies on its side in the world; the circle of its cameras has their up, not the default one.
#[test]
fn a_circle_has_the_up_of_the_cameras() {
    let dir = tempfile::tempdir().unwrap();
    let [ply_file, circle] = ["point_cloud.ply", "circle"].map(|name| at(dir.path(), name));
    ply::write_gaussians(&ply_file, &scene(1.0)).unwrap();
    // Cameras whose up is +x: right is +y, down is -x.
    let camera = |i: usize| {
        let y = 0.5 * i as f64 - 1.0;
        let name = format!("c{i}");
        serde_json::json!({"img_name": name, "width": 40, "height": 30, "fx": 36.0, "fy": 36.0,
            "position": [0.1, y, -4.0], "rotation": [[0, -1, 0], [1, 0, 0], [0, 0, 1]]})
    };
    let cameras: Vec<_> = (0..5).map(camera).collect();
    fs_err::write(dir.path().join("cameras.json"), serde_json::to_string(&cameras).unwrap()).unwrap();
    works(&["render", &ply_file, "-o", &circle, "--orbit", "3", "--engine", "cpu", "--quiet"]);
    for frame in json(dir.path().join("circle/trajectory.json"))["frames"].as_array().unwrap() {
        let down: Vec<f64> = (0..3).map(|c| frame["world_to_camera"][1][c].as_f64().unwrap()).collect();
        assert!(down[0] < -0.9, "{down:?}");
    }
}

/// Names of foreign origin do not reach the terminal as they are.
#[test]
fn names_cannot_drive_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let list = data.join("sparse/0/images.txt");
    let images = fs_err::read_to_string(&list).unwrap();
    let evil = "\u{1b}]0;owned\u{7}\u{9b}2J.png";
    fs_err::write(&list, format!("{images}9 1 0 0 0 0 0 4 1 {evil}\n\n")).unwrap();
    let run = splat(&["info", data.to_str().unwrap()]);
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains(r"\u{1b}]0;owned\u{7}\u{9b}2J.png"), "{said}");
    assert!(!said.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{said:?}");
}

#[test]
fn what_cannot_be_done_is_refused_with_a_way_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let [photos, out, ply_file] = ["photos", "out", "s.ply"].map(|name| at(dir.path(), name));
    ply::write_gaussians(&ply_file, &scene(1.0)).unwrap();
    let many = fails(&[
        "train",
        data.to_str().unwrap(),
        "-o",
        &out,
        "--init",
        "random",
        "--init-count",
        "1000000000",
    ]);
    assert!(many.contains("--init-count") && many.contains("50000000"), "{many}");
    // Points that no camera sees: training would be black to the end.
    if let Some(apart) = splat_testdata::shared("../cases/45d-points-elsewhere") {
        let apart = apart.to_str().unwrap();
        let refused = fails(&["train", apart, "-o", &out, "--engine", "cpu", "--iterations", "2"]);
        assert!(refused.contains("do not belong together") && refused.contains("--init sweep"), "{refused}");
        let told = splat(&["info", apart]);
        assert!(text(&told.stderr).contains("do not belong together"), "{}", text(&told.stderr));
        let random = ["--init", "random", "--init-count", "50", "--iterations", "2", "--test-every", "0"];
        let begun = splat(&[&["train", apart, "-o", &out, "--engine", "cpu"], &random[..]].concat());
        assert!(begun.status.success(), "with points of its own: {}", text(&begun.stderr));
        fs_err::remove_dir_all(&out).unwrap();
    }
    // Pictures alone: poses are looked for, which one picture has not got; other commands name the command that does it.
    fs_err::create_dir_all(&photos).unwrap();
    fs_err::copy(data.join("images/v0.png"), Path::new(&photos).join("a.png")).unwrap();
    let too_few = fails(&["train", &photos, "-o", &out]);
    assert!(too_few.contains("1 photograph can be used, and poses need at least 3"), "{too_few}");
    let unposed = fails(&["info", &photos]);
    assert!(unposed.contains("photos: pictures, but no camera poses"), "{unposed}");
    assert!(unposed.contains("hint: ") && unposed.contains("splat reconstruct"), "{unposed}");
}

/// Pictures that would end the program where memory ends are refused before.
#[test]
#[cfg(target_os = "linux")]
fn pictures_larger_than_the_memory_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [ply_file, out] = ["s.ply", "out"].map(|name| at(dir.path(), name));
    ply::write_gaussians(&ply_file, &scene(1.0)).unwrap();
    let program = splat_testdata::program(env!("CARGO_BIN_EXE_splat"));
    let limited = |side: &str| {
        Command::new("sh")
            .args(["-c", "ulimit -v 16000000; exec \"$0\" \"$@\"", program.to_str().unwrap()])
            .args(["render", &ply_file, "-o", &out, "--orbit", "1", "--engine", "cpu", "--overwrite"])
            .args(["--width", side, "--height", side])
            .output()
            .unwrap()
    };
    let refused = limited("16384");
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("16384x16384 need about") && said.contains("are free"), "{said}");
    let width = said.split("--width ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(width.parse::<u32>().unwrap() > 1000, "a size that fits: {said}");
    assert!(limited("64").status.success());
}

/// A video on a full disk is a failure: ffmpeg itself says so, but ends with success.
#[test]
#[cfg(unix)]
fn a_video_on_a_full_disk_is_no_success() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let [ply_file, video] = ["s.ply", "r.mp4"].map(|name| at(dir.path(), name));
    ply::write_gaussians(&ply_file, &scene(1.0)).unwrap();
    let render = |path: &std::ffi::OsStr, output: &str| {
        Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")))
            .args([
                "render", &ply_file, "--orbit", "4", "--width", "640", "--height", "480", "--engine", "cpu",
                "-o", output,
            ])
            .env("PATH", path)
            .output()
            .unwrap()
    };
    // As ffmpeg does it, and one that writes nothing and does not even complain.
    let complains = "echo 'av_interleaved_write_frame(): No space left on device' >&2";
    for (words, expected) in [(complains, "No space left on device"), ("true", "ffmpeg wrote nothing")] {
        let program = dir.path().join("bin/ffmpeg");
        fs_err::create_dir_all(dir.path().join("bin")).unwrap();
        fs_err::write(&program, format!("#!/bin/sh\n/bin/cat >/dev/null\n{words}\nexit 0\n")).unwrap();
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let run = render(dir.path().join("bin").as_os_str(), &video);
        let said = text(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{said}");
        assert!(
            said.contains("cannot write") && said.contains(expected) && !said.contains("wrote /"),
            "{said}"
        );
        assert!(!Path::new(&video).exists() && !dir.path().join(".partial.r.mp4").exists());
    }
    // The real one, on a real full disk.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let disk = dir.path().join("disk");
    fs_err::create_dir_all(&disk).unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=8k", "tmpfs", disk.to_str().unwrap()];
    let mounted = Command::new("mount").args(mount).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    if !mounted || Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: no ffmpeg, or cannot mount a tmpfs");
        return;
    }
    let run = render(&path, disk.join("r.mp4").to_str().unwrap());
    let left: Vec<_> = fs_err::read_dir(&disk).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write") && said.contains("hint: "), "{said}");
    assert!(left.is_empty(), "{left:?}");
}

/// Two ranks on the CPU, started by the program itself: one result, and reports of both; then one process goes on.
#[test]
fn several_ranks_make_one_result() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let out = at(dir.path(), "out");
    let settings = ["--init", "random", "--init-count", "200", "--test-every", "3", "--sh-degree", "1"];
    let more = [&settings[..], &["--gpus", "2", "--iterations", "6", "--dist-timeout", "20"]].concat();
    let run = train(&data, &out, &more);
    let said = text(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert!(said.contains("2 ranks on ") && said.contains("2 photographs per step"), "{said}");
    assert_eq!(said.matches("Training on").count(), 1, "rank 0 alone reports: {said}");
    let stats = json(dir.path().join("out/stats.json"));
    let ranks = stats["ranks"].as_array().unwrap();
    let own: u64 = ranks.iter().map(|rank| rank["gaussians"].as_u64().unwrap()).sum();
    assert_eq!((ranks.len(), Some(own)), (2, stats["gaussians"].as_u64()));
    assert_eq!((stats["config"]["batch"].as_u64(), stats["steps"].as_u64()), (Some(2), Some(6)));
    let scene = Gaussians::read(dir.path().join("out/point_cloud.ply")).unwrap();
    assert_eq!(Some(scene.len() as u64), stats["gaussians"].as_u64());
    let run = train(&data, &out, &["--resume", "--iterations", "9"]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    assert_eq!(json(dir.path().join("out/stats.json"))["steps"].as_u64(), Some(9));
}

/// A rank that is killed: the others name it, and so does the program that started them.
#[test]
#[cfg(target_os = "linux")]
fn a_killed_rank_ends_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let out = at(dir.path(), "out");
    let settings = ["--gpus", "2", "--dist-timeout", "15", "--checkpoint-every", "20", "--init", "random"];
    let mut child = started(&data, &out, &[LONG, &settings, &["--strategy", "fixed"]].concat());
    wait_for(&dir.path().join("out/checkpoint.safetensors"), &mut child);
    let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &child.id().to_string()]).output().unwrap();
    // Rank 1 was started last.
    let last = text(&listed.stdout).split_whitespace().last().unwrap().to_owned();
    assert!(Command::new("kill").args(["-KILL", &last]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let said = text(&ended.stderr);
    assert!(!ended.status.success(), "{said}");
    assert!(said.contains("error: rank 1 on ") && said.contains("no sign of life for 15 s"), "{said}");
    assert!(said.contains("rank 1 of 2 failed first: signal: 9"), "{said}");
    let run = train(&data, &out, &["--resume", "--iterations", "1"]);
    assert!(run.status.success(), "the checkpoint stands: {}", text(&run.stderr));
}

#[test]
fn ranks_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dataset(dir.path()), at(dir.path(), "out"));
    let said = fails(&arguments(&data, &out, &["--gpus", "2", "--view"]));
    assert!(said.contains("--view does not work on several GPUs") && said.contains("hint: "), "{said}");
    let run = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")))
        .args(arguments(&data, &out, &[]))
        .envs([("RANK", "0"), ("WORLD_SIZE", "2")])
        .env_remove("MASTER_ADDR")
        .output()
        .unwrap();
    let said = text(&run.stderr);
    assert!(!run.status.success() && said.contains("MASTER_ADDR") && said.contains("hint: "), "{said}");
}
