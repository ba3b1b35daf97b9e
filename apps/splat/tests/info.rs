//! `splat info`: what it says of a small dataset, as table and JSON, and the picture from above.

use std::path::Path;
use std::process::{Command, Output};

use splat_scene::{Photo, save_png};

fn info(args: &[&str], data: &Path) -> Output {
    Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")))
        .arg("info")
        .arg(data)
        .args(args)
        .output()
        .unwrap()
}

fn dataset(root: &Path) {
    let frames: Vec<String> = (0..9)
        .map(|i| {
            format!(
                r#"{{"file_path": "images/{i}.png", "transform_matrix": [[1,0,0,{i}],[0,1,0,0],[0,0,1,0],[0,0,0,1]]}}"#
            )
        })
        .collect();
    let json = format!(r#"{{"fl_x": 40, "k1": -0.5, "w": 40, "h": 20, "frames": [{}]}}"#, frames.join(","));
    std::fs::create_dir_all(root.join("images")).unwrap();
    std::fs::write(root.join("transforms.json"), json).unwrap();
    (0..8).for_each(|i| save_png(root.join(format!("images/{i}.png")), 40, 20, &[90; 2400]).unwrap());
}

#[test]
fn the_table_and_the_json_say_what_was_understood() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let top = dir.path().join("top.png");
    let out = info(&["-o", top.to_str().unwrap(), "--decode"], dir.path());
    let (table, notes) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert!(out.status.success(), "{notes}");
    for says in ["transforms.json", "8: 7 to train on, 1 held out", "OPENCV", "40x20", "0 of 8"] {
        assert!(table.contains(says), "{says}: {table}");
    }
    assert!(notes.contains("1 of 9 photographs are missing") && notes.contains("wrote"), "{notes}");
    let picture = Photo::read(&top).unwrap();
    assert!(picture.width == 1024 && picture.height > 1024, "with the legend below");
    assert!(picture.pixels.chunks(3).any(|p| p != [255; 3]));

    let out = info(&["--json", "--test-every", "0"], dir.path());
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((json["views"].as_u64(), json["test"].as_array().unwrap().len()), (Some(8), 0));
    assert_eq!(
        (json["cameras"][0]["lens"].as_str(), json["warnings"].as_array().unwrap().len()),
        (Some("OPENCV"), 1)
    );
}

/// A photograph that is damaged inside is found by `--decode`, named, and makes the program fail; one that is cut off is left out.
#[test]
fn broken_photographs_are_named() {
    let dir = tempfile::tempdir().unwrap();
    dataset(dir.path());
    let path = dir.path().join("images/3.png");
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() - 24] ^= 0xff;
    std::fs::write(&path, &damaged).unwrap();
    assert!(info(&[], dir.path()).status.success(), "headers alone are whole");
    let out = info(&["--decode"], dir.path());
    let notes = String::from_utf8(out.stderr).unwrap();
    assert!(!out.status.success() && notes.contains("3.png") && notes.contains("1 of 8 views"), "{notes}");
    std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let out = info(&["--decode"], dir.path());
    let notes = String::from_utf8(out.stderr).unwrap();
    assert!(
        out.status.success() && notes.contains("cut off") && notes.contains("left out: 3.png"),
        "{notes}"
    );
    std::fs::write(&path, &whole).unwrap();
    let out = info(&["--strict"], dir.path());
    let notes = String::from_utf8(out.stderr).unwrap();
    assert!(!out.status.success() && notes.contains("1 of 9") && notes.contains("hint: "), "{notes}");
    let out = info(&[], &dir.path().join("nowhere"));
    assert!(String::from_utf8(out.stderr).unwrap().contains("no such folder"));
}

/// A library that is no engine is named with the reason, and the render that proves the choice was made.
#[test]
fn doctor_proves_what_will_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join(format!("libsplat_broken{}", std::env::consts::DLL_SUFFIX));
    fs_err::write(&broken, "no library").unwrap();
    let doctor = |arguments: &[&str]| {
        let mut command = std::process::Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat")));
        let run = command.arg("doctor").args(arguments).env("SPLAT_ENGINES", &broken).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (run.status.success(), text(&run.stdout), text(&run.stderr))
    };
    let (ok, said, _) = doctor(&["--device", "cpu", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(ok && report["used"]["engine"] == "cpu" && report["used"]["device"] == "Cpu", "{said}");
    assert!(report["used"]["milliseconds"].as_f64().unwrap() > 0.0, "{said}");
    let engines = report["engines"].as_array().unwrap();
    let of = |name: &str| engines.iter().find(|e| e["name"] == name).unwrap();
    assert!(of("cpu")["error"].is_null() && of("cpu")["origin"] == "linked", "{said}");
    assert!(of("broken")["error"].as_str().unwrap().contains("libsplat_broken"), "{said}");
    if cfg!(target_os = "linux") {
        let torch = report["torch"].as_str().unwrap();
        assert!(std::path::Path::new(torch).join("libtorch_cpu.so").exists(), "{torch}");
    }
    let (ok, said, _) = doctor(&["--engine", "cpu"]);
    assert!(ok && said.contains("will use") && said.contains("not usable"), "{said}");
    let (ok, _, said) = doctor(&["--engine", "absent"]);
    assert!(!ok && said.contains("`absent`") && said.contains("hint:"), "{said}");
}
