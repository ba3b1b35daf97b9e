//! The whole path on real photographs, small: held-out quality rises by a stated margin, and every output
//! exists and parses.
#![expect(clippy::print_stdout, reason = "a test says on stdout that what it measured")]

use std::path::Path;
use std::process::Command;

use splat_scene::ply;
use splat_testdata::shared;

/// Steps, and what they must gain on the held-out views. Measured: 10.6 to 17.4 dB, SSIM .30 to .69.
const STEPS: u64 = 150;
const GAIN_DB: f64 = 5.0;
const GAIN_SSIM: f64 = 0.25;

fn splat(arguments: &[&str]) -> std::process::Output {
    Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat"))).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn held_out_quality_rises_and_outputs_parse() {
    let Some(path) = shared("snowmiku") else { return };
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let steps = STEPS.to_string();
    let run = splat(&[
        "train",
        path.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
        "--engine",
        "cpu",
        "--downscale",
        "16",
        "--max-points",
        "8000",
        "--iterations",
        &steps,
        "--eval-every",
        "50",
        "--json-events",
    ]);
    assert!(run.status.success(), "{}", text(&run.stderr));

    let stats = json(&out.join("stats.json"));
    let evaluations = stats["evaluations"].as_array().unwrap();
    let at: Vec<u64> = evaluations.iter().map(|e| e["step"].as_u64().unwrap()).collect();
    assert_eq!(at, [0, 50, 100, 150]);
    let curve = |key: &str| evaluations.iter().map(|e| e[key].as_f64().unwrap()).collect::<Vec<_>>();
    let (psnr, ssim) = (curve("psnr"), curve("ssim"));
    println!("held-out PSNR {psnr:.2?}, SSIM {ssim:.3?}, {} steps/s", stats["steps_per_second"]);
    assert!(psnr[3] - psnr[0] > GAIN_DB, "{psnr:?}");
    assert!(ssim[3] - ssim[0] > GAIN_SSIM, "{ssim:?}");
    // It begins with 8000 for 7252 pixels; what shows below .02 in every view is removed in the end. Measured 5601.
    let left = stats["gaussians"].as_u64().unwrap() as usize;
    assert!((5000..7000).contains(&left), "{left}");
    assert_eq!(stats["stopped_early"].as_bool(), Some(false));
    assert_eq!((stats["data"]["width"].as_u64(), stats["data"]["height"].as_u64()), (Some(98), Some(74)));

    let gaussians = ply::read_gaussians(out.join("point_cloud.ply")).unwrap();
    assert_eq!((gaussians.len(), gaussians.sh_degree()), (left, 3));
    gaussians.check().unwrap();

    let mut views: Vec<_> =
        std::fs::read_dir(out.join("views")).unwrap().map(|e| e.unwrap().path()).collect();
    views.sort();
    assert_eq!(views.len(), 13);
    assert!(views[0].file_name().unwrap().to_str().unwrap().starts_with("00150_20240212_"));
    let view = splat_scene::Photo::read(&views[0]).unwrap();
    assert_eq!((view.width, view.height), (3 * 98, 74), "photograph, render and error side by side");

    let events: Vec<serde_json::Value> =
        text(&run.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let count = |kind: &str| events.iter().filter(|e| e["event"] == kind).count();
    assert_eq!((count("ready"), count("evaluated"), count("saved")), (1, 4, 7));
    let last = events.iter().rfind(|e| e["event"] == "step").unwrap();
    assert_eq!(last["step"].as_u64(), Some(STEPS), "the last step is reported");
}

/// The same seed gives the same Gaussians, bit for bit, on the CPU; another seed does not.
#[test]
fn a_seed_decides_everything() {
    let Some(path) = shared("snowmiku") else { return };
    let dir = tempfile::tempdir().unwrap();
    let train = |name: &str, seed: &str| {
        let out = dir.path().join(name);
        let run = splat(&[
            "train",
            path.to_str().unwrap(),
            "-o",
            out.to_str().unwrap(),
            "--engine=cpu",
            "--downscale=32",
            "--max-points=500",
            "--iterations=10",
            "--test-every=0",
            "--quiet",
            "--seed",
            seed,
        ]);
        assert!(run.status.success(), "{}", text(&run.stderr));
        assert!(run.stdout.is_empty() && run.stderr.is_empty(), "--quiet is quiet");
        assert!(json(&out.join("stats.json"))["final"].is_null(), "no view is held out");
        std::fs::read(out.join("point_cloud.ply")).unwrap()
    };
    let first = train("a", "1");
    assert!(first == train("b", "1"));
    assert!(first != train("c", "2"));
}

#[test]
fn errors_name_the_file_and_a_way_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let fails = |arguments: &[&str]| {
        let run = splat(arguments);
        assert!(!run.status.success());
        let message = text(&run.stderr);
        assert!(message.starts_with("error: "), "{message}");
        message
    };
    let nowhere = dir.path().join("nowhere");
    let (nowhere, out) = (nowhere.to_str().unwrap(), out.to_str().unwrap());
    let message = fails(&["train", nowhere, "-o", out]);
    assert!(message.contains("nowhere") && message.contains("\nhint: "), "{message}");

    let sparse = dir.path().join("data/sparse/0");
    std::fs::create_dir_all(&sparse).unwrap();
    std::fs::write(sparse.join("cameras.bin"), [1, 0, 0]).unwrap();
    std::fs::write(sparse.join("images.bin"), []).unwrap();
    std::fs::write(sparse.join("points3D.bin"), []).unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir_all(out).unwrap();
    let out_file = std::path::Path::new(out).join("point_cloud.ply");
    let message = fails(&["train", data.to_str().unwrap(), "-o", out]);
    assert!(
        message.contains("cameras.bin") && message.contains("byte 0") && message.contains("hint:"),
        "{message}"
    );

    std::fs::write(&out_file, "mine").unwrap();
    let message = fails(&["train", data.to_str().unwrap(), "-o", out]);
    assert!(message.contains("not empty") || message.contains("byte 0"), "{message}");
    if !cfg!(feature = "rerun") {
        let message = fails(&["train", data.to_str().unwrap(), "-o", out, "--rerun"]);
        assert!(message.contains("hint: ") && message.contains("--features rerun"), "{message}");
    }
    let message = fails(&["train", data.to_str().unwrap(), "-o", out, "--grad-threshold", "x"]);
    assert!(message.contains("--grad-threshold"), "{message}");
    assert_eq!(std::fs::read_to_string(&out_file).unwrap(), "mine", "nothing is lost");
}

/// A run that is killed at any moment goes on from its last checkpoint and ends as the one that was not; a folder with a
/// run in it is not written over, and a checkpoint of other settings is refused.
#[test]
fn a_killed_run_goes_on() {
    let Some(path) = shared("snowmiku") else { return };
    let dir = tempfile::tempdir().unwrap();
    let arguments = |out: &Path, more: &[&str]| -> Vec<String> {
        let common = "train DATA -o OUT --engine cpu --downscale 32 --max-points 400 --iterations 60 --test-every 0 \
                      --checkpoint-every 10 --quiet";
        let named = common.split(' ').map(|word| match word {
            "DATA" => path.to_str().unwrap().to_owned(),
            "OUT" => out.to_str().unwrap().to_owned(),
            word => word.to_owned(),
        });
        named.chain(more.iter().map(|s| (*s).to_owned())).collect()
    };
    let run = |out: &Path, more: &[&str]| {
        Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")))
            .args(arguments(out, more))
            .output()
            .unwrap()
    };
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    assert!(run(&whole, &[]).status.success());
    let expected = std::fs::read(whole.join("point_cloud.ply")).unwrap();

    let checkpoint = killed.join("checkpoint.safetensors");
    let mut child = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")))
        .args(arguments(&killed, &[]))
        .spawn()
        .unwrap();
    while !checkpoint.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    // SIGKILL, whatever it is doing, which may be the next checkpoint.
    child.kill().unwrap();
    child.wait().unwrap();

    let refused = run(&killed, &[]);
    assert!(!refused.status.success());
    let message = text(&refused.stderr);
    assert!(message.contains("not empty") && message.contains("--resume"), "{message}");
    let refused = run(&killed, &["--resume", "--sh-degree", "1"]);
    let message = text(&refused.stderr);
    assert!(
        !refused.status.success()
            && message.contains("--sh-degree 3, but this command says --sh-degree 1")
            && message.contains("hint:"),
        "{message}"
    );

    let resumed = run(&killed, &["--resume"]);
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
    assert!(std::fs::read(killed.join("point_cloud.ply")).unwrap() == expected, "bit for bit");
}
