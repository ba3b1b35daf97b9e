//! Every hint that is printed here is followed, and then the command works, with everything the user had still there.
#![expect(clippy::print_stdout, reason = "a test says on stdout that a program is missing")]

mod small;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use small::{at, dataset, fails, scene, works};
use splat_scene::ply;

/// The line after `hint: `.
fn hint(message: &str) -> &str {
    message
        .lines()
        .find_map(|line| line.strip_prefix("hint: "))
        .unwrap_or_else(|| panic!("no hint: {message}"))
}

/// The command after `what: ` in a hint, run by a shell. Commands of programs that this machine lacks are told, not run.
fn follow(hint: &str, what: &str) {
    let command = hint.split_once(what).unwrap_or_else(|| panic!("{what}: {hint}")).1;
    let program = command.split_whitespace().next().unwrap();
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
    if !there.status.success() {
        println!("skipped: no {program}");
        return;
    }
    let run = Command::new("sh").args(["-c", command]).output().unwrap();
    println!("{command}: {}", run.status);
}

/// All files below `folder` with their contents.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs_err::read(&path).unwrap());
        }
    }
    found
}

/// A copy of a folder of the shared cases.
fn case(name: &str, to: &Path) -> Option<String> {
    let from = splat_testdata::shared(&format!("../cases/{name}"))?;
    for (path, bytes) in contents(&from) {
        let there = to.join(name).join(path.strip_prefix(&from).unwrap());
        fs_err::create_dir_all(there.parent().unwrap()).unwrap();
        fs_err::write(there, bytes).unwrap();
    }
    Some(at(to, name))
}

#[test]
fn options_that_hints_name_help() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let at = |name: &str| at(dir.path(), name);
    let data = data.to_str().unwrap();
    let scene_file = at("s.ply");
    ply::write_gaussians(&scene_file, &scene(1.0)).unwrap();
    let train = |more: &[&str]| -> Vec<String> {
        let common = ["train", data, "--engine", "cpu", "--iterations", "2", "--quiet"];
        common.iter().chain(more).map(|s| (*s).to_owned()).collect()
    };
    let run = |list: Vec<String>, cured: Vec<String>, says: &str| {
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let message = fails(&list);
        assert!(hint(&message).contains(says), "{says}: {message}");
        let cured: Vec<&str> = cured.iter().map(String::as_str).collect();
        works(&cured);
    };
    let out = at("out");
    // A run that is not there yet, then one that is.
    run(train(&["-o", &out, "--resume"]), train(&["-o", &out]), "without --resume");
    run(train(&["-o", &out]), train(&["-o", &out, "--resume"]), "--resume");
    run(train(&["-o", &out]), train(&["-o", &out, "--overwrite"]), "--overwrite");
    run(
        train(&["-o", &out, "--resume", "--seed", "7"]),
        train(&["-o", &out, "--resume"]),
        "leave these arguments out",
    );
    let all = at("all.txt");
    fs_err::write(&all, (0..5).map(|i| format!("v{i}.png\n")).collect::<String>()).unwrap();
    run(
        train(&["-o", &at("b"), "--test-list", &all]),
        train(&["-o", &at("b"), "--test-every", "0"]),
        "--test-every 0 instead of --test-list",
    );
    run(
        train(&["-o", &at("c"), "--test-every", "1"]),
        train(&["-o", &at("c"), "--test-every", "0"]),
        "--test-every 0",
    );
    let args = |text: &str| -> Vec<String> {
        text.split(' ')
            .map(|w| {
                w.replace("DATA", data)
                    .replace("SCENE", &scene_file)
                    .replace("DIR", dir.path().to_str().unwrap())
            })
            .collect()
    };
    run(args("eval SCENE"), args("eval SCENE --data DATA --engine cpu"), "--data FOLDER");
    run(
        args("eval SCENE --data DATA --test-every 0"),
        args("eval SCENE --data DATA --test-every 0 --split all --engine cpu"),
        "--split all",
    );
    run(
        args("render SCENE -o DIR/p --path"),
        args("render SCENE -o DIR/p --path --data DATA --frames 2 --engine cpu"),
        "--data FOLDER",
    );
    run(
        args("render SCENE -o DIR/p --orbit 1"),
        args("render SCENE -o DIR/p --orbit 1 --overwrite --engine cpu"),
        "--overwrite",
    );
    run(
        args("render SCENE -o DIR/x.gif --orbit 1"),
        args("render SCENE -o DIR/x --orbit 1 --engine cpu"),
        "a folder for PNGs",
    );
    run(args("info SCENE -o DIR/t.png"), args("info SCENE"), "leave out -o");
    // A photograph that is missing, and a folder that is elsewhere.
    fs_err::rename(dir.path().join("data/images/v4.png"), dir.path().join("v4.png")).unwrap();
    run(args("info DATA --strict"), args("info DATA"), "leave out --strict");
    fs_err::rename(dir.path().join("data/images"), dir.path().join("data/pictures")).unwrap();
    works(&["info", data]);
}

#[test]
fn commands_in_hints_lose_nothing_and_help() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let data = data.to_str().unwrap();
    // A folder that is not there is made.
    let top = at(dir.path(), "no/such/top.png");
    let message = fails(&["info", data, "-o", &top]);
    follow(hint(&message), "make the folder: ");
    works(&["info", data, "-o", &top]);
    // What is only to be looked at is not changed.
    let broken = dir.path().join("json");
    fs_err::create_dir_all(&broken).unwrap();
    fs_err::write(broken.join("transforms.json"), "{\"frames\": [}").unwrap();
    fs_err::write(broken.join("scene.bin"), "what is this").unwrap();
    let before = contents(&broken);
    follow(hint(&fails(&["info", broken.to_str().unwrap()])), "look at it with: ");
    follow(
        hint(&fails(&["render", &at(&broken, "scene.bin"), "-o", &at(dir.path(), "o")])),
        "find out what it is: ",
    );
    assert!(contents(&broken) == before);
}

/// A photograph of another kind than its name says: whatever the hint does, its bytes are still there.
#[test]
fn a_misnamed_photograph_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let Some(data) = case("20d-heic-named-png", dir.path()) else { return };
    let before = contents(Path::new(&data));
    let message = fails(&["train", &data, "-o", &at(dir.path(), "out"), "--engine", "cpu"]);
    let said = message
        .lines()
        .find_map(|line| line.strip_prefix("hint: ").and_then(|h| h.split_once("convert it: ")));
    if let Some((_, command)) = said {
        let run = Command::new("sh").args(["-c", command]).output().unwrap();
        println!("{command}: {}", run.status);
    }
    let after = contents(Path::new(&data));
    for (path, bytes) in &before {
        assert!(after.values().any(|kept| kept == bytes), "the bytes of {} are gone", path.display());
    }
    assert!(!message.contains("rm "), "{message}");
}
