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

/// `convert` and `edit`: what their hints name.
#[test]
fn hints_about_scenes_help() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| at(dir.path(), name);
    let [from, to] = ["s.ply", "t.ply"].map(at);
    ply::write_gaussians(&from, &scene(1.0)).unwrap();
    let cured = |wrong: &[&str], says: &str, right: &[&str]| {
        let message = fails(wrong);
        assert!(hint(&message).contains(says), "{says}: {message}");
        works(right);
    };
    works(&["convert", &from, &to]);
    let before = fs_err::read(&to).unwrap();
    cured(&["convert", &from, &to], "--overwrite", &["convert", &from, &to, "--overwrite"]);
    assert!(fs_err::read(&to).unwrap() == before, "the same scene again");
    cured(&["edit", &from, &at("e.ply")], "--box", &["edit", &from, &at("e.ply"), "--box", "-9,-9,-9,9,9,9"]);
    let spz = |name: &str| ["convert", &from, name, "--spz-version", "4"].map(String::from);
    let [wrong, right] = [at("v.ply"), at("v.spz")].map(|name| spz(&name));
    cured(&wrong.each_ref().map(String::as_str), "ends in .spz", &right.each_ref().map(String::as_str));
    let levels = |name: &str| ["convert", &from, name, "--lod-levels", "2"].map(String::from);
    let [wrong, right] = [at("l.ply"), at("lod/lod-meta.json")].map(|name| levels(&name));
    cured(&wrong.each_ref().map(String::as_str), "lod-meta.json", &right.each_ref().map(String::as_str));
    // A point cloud is what a training may begin with.
    let data = dataset(dir.path());
    let Some(clouds) = case("38-point-cloud", dir.path()) else { return };
    let cloud = format!("{clouds}/cloud.ply");
    assert!(hint(&fails(&["info", &cloud])).contains("beside the camera poses as points3D.ply"));
    fs_err::remove_file(data.join("sparse/0/points3D.txt")).unwrap();
    fs_err::copy(&cloud, data.join("sparse/0/points3D.ply")).unwrap();
    let said = works(&["info", data.to_str().unwrap(), "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&said).unwrap()["points"], 400);
}

/// Quaternions in another order than COLMAP's are told before the first step, and in the right one the model trains.
#[test]
fn quaternions_written_the_other_way_round_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let centres: Vec<[f64; 3]> =
        scene(1.0).means.chunks(3).map(|c| [0, 1, 2].map(|k| f64::from(c[k]))).collect();
    let points: String = centres
        .iter()
        .enumerate()
        .map(|(id, [x, y, z])| format!("{id} {x} {y} {z} 128 128 128 0.5\n"))
        .collect();
    fs_err::write(data.join("sparse/0/points3D.txt"), points).unwrap();
    let write = |quaternion: &str| {
        let image = |i: usize| {
            let at = small::place(i);
            let seen: String = (centres.iter().enumerate())
                .map(|(id, p)| {
                    let [x, y, z] = [0, 1, 2].map(|k| p[k] - at[k]);
                    let (u, v) = (small::FOCAL * x / z + 20.0, small::FOCAL * y / z + 15.0);
                    format!("{u} {v} {id} ")
                })
                .collect();
            let [x, y, z] = at.map(|c| -c);
            format!("{i} {quaternion} {x} {y} {z} 1 v{i}.png\n{seen}\n")
        };
        let images: String = (0..5).map(image).collect();
        fs_err::write(data.join("sparse/0/images.txt"), images).unwrap();
    };
    let out = at(dir.path(), "out");
    let train =
        ["train", data.to_str().unwrap(), "-o", &out, "--engine", "cpu", "--iterations", "1", "--quiet"];
    write("0 0 0 1");
    let message = fails(&train);
    assert!(message.contains("with quaternions read as x y z w it would be 0.0"), "{message}");
    assert!(hint(&message).contains("in the order w x y z"), "{message}");
    write("1 0 0 0");
    works(&train);
}

#[test]
fn commands_in_hints_lose_nothing_and_help() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let data = data.to_str().unwrap();
    // A folder that is not there is made.
    let top = at(dir.path(), "no/such/top.png");
    let message = fails(&["info", data, "-o", &top]);
    let folder = hint(&message).split_once("make the folder first: '").unwrap().1.trim_end_matches('\'');
    fs_err::create_dir_all(folder).unwrap();
    works(&["info", data, "-o", &top]);
    // What is broken is to be corrected in a copy.
    let broken = dir.path().join("json");
    fs_err::create_dir_all(&broken).unwrap();
    fs_err::write(broken.join("transforms.json"), "{\"frames\": [}").unwrap();
    fs_err::write(broken.join("scene.bin"), "what is this").unwrap();
    let before = contents(&broken);
    assert!(hint(&fails(&["info", broken.to_str().unwrap()])).contains("a copy of the file"));
    let message = fails(&["render", &at(&broken, "scene.bin"), "-o", &at(dir.path(), "o")]);
    assert!(hint(&message).contains("extension"), "{message}");
    assert!(contents(&broken) == before);
}

/// A grey GIF file of the size of the photographs.
fn gif() -> Vec<u8> {
    let (w, h) = small::SIZE;
    let size = [(w as u16).to_le_bytes(), (h as u16).to_le_bytes()].concat();
    let mut bytes = [&b"GIF89a"[..], &size, &[0xf6, 0, 0]].concat();
    bytes.extend((0..128u8).flat_map(|i| [2 * i; 3]));
    bytes.extend([&[0x2c, 0, 0, 0, 0][..], &size, &[0, 7]].concat());
    // Codes stay 8 bits wide if the table is cleared (128) before it has grown that far.
    for row in vec![77u8; (w * h) as usize].chunks(100) {
        bytes.extend([row.len() as u8 + 1, 128]);
        bytes.extend(row);
    }
    bytes.extend([1, 129, 0, 0x3b]);
    bytes
}

/// Photographs of another kind than their names say: following the hint gives a dataset that works, and nothing is lost.
#[test]
fn misnamed_photographs_are_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    (0..5).for_each(|i| fs_err::write(data.join(format!("images/v{i}.png")), gif()).unwrap());
    let before = contents(&data);
    let message = fails(&["info", data.to_str().unwrap()]);
    assert!(message.contains("a GIF file, which is not read"), "{message}");
    let said = hint(&message);
    let command = &said[said.find("mkdir ").unwrap()..];
    let run = || Command::new("sh").args(["-c", command]).output().unwrap();
    let first = run();
    assert!(
        before.iter().all(|(path, bytes)| contents(&data).get(path) == Some(bytes)),
        "all is still there"
    );
    assert!(!run().status.success(), "what is there is not overwritten");
    if said.contains("install imagemagick") {
        println!("skipped: no ImageMagick, which the hint says: {said}");
    } else {
        assert!(first.status.success(), "{command}: {}", small::text(&first.stderr));
        let images = said.split_once("--images ").unwrap().1.split_once(": ").unwrap().0;
        works(&["info", data.to_str().unwrap(), "--images", images, "--decode"]);
    }
    // The case: its photograph is left out by name, and strictness says what it is.
    let Some(case) = case("20d-heic-named-png", dir.path()) else { return };
    let before = contents(Path::new(&case));
    let message = fails(&["info", &case, "--strict"]);
    assert!(message.contains("a HEIC file, which is not read") && !message.contains("rm "), "{message}");
    assert!(contents(Path::new(&case)) == before);
}

/// Every case that ends in an error or a warning, with its hint: what it says to leave out or to add makes it work.
#[test]
fn hints_on_the_cases_cure_them() {
    let dir = tempfile::tempdir().unwrap();
    let Some(elsewhere) = case("45d-points-elsewhere", dir.path()) else { return };
    let out = at(dir.path(), "out");
    let train = |data: &str, more: &[&str]| -> Vec<String> {
        let common = ["train", data, "-o", &out, "--engine", "cpu", "--iterations", "1", "--quiet"];
        common.iter().chain(more).map(|s| (*s).to_owned()).collect()
    };
    let words = |list: &'static [&'static str]| train(&elsewhere, list);
    let message = fails(&words(&[]).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(hint(&message).contains("--init sweep"), "{message}");
    works(&words(&["--init", "sweep"]).iter().map(String::as_str).collect::<Vec<_>>());
    for name in ["11-infinite-pose", "20d-heic-named-png"] {
        let Some(data) = case(name, dir.path()) else { return };
        let message = fails(&["info", &data, "--strict"]);
        if name == "11-infinite-pose" {
            assert!(hint(&message).contains("leave out --strict"), "{message}");
        }
        works(&["info", &data]);
    }
    // A dataset one folder down, and one under another name.
    let Some(flat) = case("03-flat", &dir.path().join("above/it")) else { return };
    let above = at(dir.path(), "above");
    let message = fails(&["info", &above]);
    let path = hint(&message).split_once("give its path: '").unwrap().1.trim_end_matches('\'');
    assert_eq!(path, flat);
    works(&["info", path]);
    let Some(scaled) = case("12-scaled-pose", dir.path()) else { return };
    fs_err::rename(Path::new(&scaled).join("transforms.json"), Path::new(&scaled).join("my_poses.json"))
        .unwrap();
    let message = fails(&["info", &scaled]);
    let path = hint(&message).split_once("give its path: '").unwrap().1.trim_end_matches('\'');
    works(&["info", path]);
}
