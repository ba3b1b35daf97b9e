//! Datasets whose files are sound and whose numbers make no sense: points that no camera sees, angles that no lens has,
//! cameras that do not move. Real datasets raise no alarm: `real_data.rs`.

mod ring;

use std::fs;

use ring::*;
use serde_json::json;
use splat_scene::Finding;

const NOWHERE: [f64; 3] = [0.0; 3];

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Points that no camera sees are found before anything is trained on them.
#[test]
fn points_elsewhere_are_found() {
    let dir = folder();
    write_colmap(dir.path());
    let sound = open(dir.path()).unwrap().plausibility();
    assert!(sound.findings.is_empty(), "{sound:?}");
    assert_eq!((sound.points_seen, sound.cameras_seeing), (Some(1.0), Some(1.0)));
    assert!((sound.field_of_view[0] - 56.14).abs() < 0.1 && sound.depth.unwrap() > 2.0, "{sound:?}");
    let [_, _, elsewhere] = colmap_text([1000.0, 1000.0, 1000.0]);
    put(dir.path().join("sparse/0/points3D.txt"), elsewhere);
    let found = open(dir.path()).unwrap().plausibility();
    let finding = &found.findings[0];
    assert!(
        matches!(finding, Finding::PointsElsewhere { points_seen, .. } if *points_seen == 0.0),
        "{found:?}"
    );
    assert!(finding.is_severe() && !finding.remedy().is_empty());
    let text = finding.to_string();
    assert!(
        text.contains("0.0 % of the points") && text.contains("50 %") && text.contains("(1000."),
        "{text}"
    );
    // The world upside down: the cameras look away.
    let away: String = colmap_text(NOWHERE)[2].replace(" 0 ", " 90 ");
    put(dir.path().join("sparse/0/points3D.txt"), away);
    assert!(open(dir.path()).unwrap().plausibility().findings[0].is_severe());
    // A scene within the near plane.
    changed(dir.path(), |t| {
        for frame in t["frames"].as_array_mut().unwrap() {
            (0..3).for_each(|k| {
                let at = &mut frame["transform_matrix"][k][3];
                *at = json!(at.as_f64().unwrap() * 0.01);
            });
        }
    });
    fs::remove_dir_all(dir.path().join("sparse")).unwrap();
    let small = ply(NOWHERE).lines().enumerate().fold(String::new(), |out, (i, line)| {
        let numbers: Vec<f64> = line.split(' ').filter_map(|x| x.parse().ok()).collect();
        let scaled = |x: f64| x * 0.01;
        match numbers[..] {
            [x, y, z, r, g, b] if i > 8 => {
                out + &format!("{} {} {} {r} {g} {b}\n", scaled(x), scaled(y), scaled(z))
            }
            _ => out + line + "\n",
        }
    });
    put(dir.path().join("sparse_pc.ply"), small);
    let found = open(dir.path()).unwrap().plausibility();
    assert!(matches!(found.findings[0], Finding::TooSmall { .. }), "{found:?}");
}

/// The texts of the model with `change` applied to the numbers of each line of one of its files that begins with an id and
/// has more than `least` words.
fn rewritten(file: usize, least: usize, change: impl Fn(&mut [f64])) -> [String; 3] {
    let mut texts = colmap_text(NOWHERE);
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let whole = words.len() > least && words[0].parse::<u32>().is_ok() && words.last() != Some(&"-1");
        if !whole {
            return format!("{line}\n");
        }
        let mut numbers: Vec<f64> = words.iter().map(|w| w.parse().unwrap_or(f64::NAN)).collect();
        change(&mut numbers);
        let word = |(x, word): (&f64, &&str)| if x.is_nan() { (*word).to_owned() } else { x.to_string() };
        numbers.iter().zip(&words).map(word).collect::<Vec<_>>().join(" ") + "\n"
    };
    texts[file] = texts[file].lines().map(line).collect();
    texts
}

/// What is found in a model of these texts.
fn found_in(texts: &[String; 3]) -> Vec<Finding> {
    let dir = folder();
    write_colmap(dir.path());
    for (name, text) in TEXT.iter().zip(texts) {
        put(dir.path().join("sparse/0").join(name), text);
    }
    open(dir.path()).unwrap().plausibility().findings
}

fn turned_about_z(degrees: f64) -> impl Fn(&mut [f64]) {
    let (sin, cos) = degrees.to_radians().sin_cos();
    move |p| (p[1], p[2]) = (cos * p[1] - sin * p[2], sin * p[1] + cos * p[2])
}

/// Cameras and points that each make sense, but not together, are told by the observations; and where another reading of the
/// numbers makes them fit, that reading is named.
#[test]
fn a_model_that_contradicts_its_observations_is_found() {
    type Change = Box<dyn Fn(&mut [f64])>;
    let image = |change: Change| {
        rewritten(1, 9, move |n| {
            if n.len() == 10 {
                change(n)
            }
        })
    };
    let point = |change: Change| rewritten(2, 7, change);
    let camera = |change: Change| rewritten(0, 7, change);
    let inverse = |n: &mut [f64]| {
        let center = |i: usize| camera_to_world(i).map(|row| row[3]);
        let id = n[0] as usize - 1;
        n[2..5].iter_mut().for_each(|x| *x = -*x);
        n[5..8].copy_from_slice(&center(id));
    };
    // (w + x i) q has the axes of OpenGL where x is a half turn about the camera's x axis.
    let opengl = |n: &mut [f64]| {
        let [w, x, y, z] = [n[1], n[2], n[3], n[4]];
        n[1..5].copy_from_slice(&[-x, w, -z, y]);
        (n[6], n[7]) = (-n[6], -n[7]);
    };
    let resized = |n: &mut [f64]| n[4..8].iter_mut().for_each(|x| *x *= 1.5);
    let cases: [(&str, [String; 3], &str, &str); 8] = [
        ("xyzw", image(Box::new(|n| n[1..5].rotate_left(1))), "quaternions read as x y z w", "w x y z"),
        ("inverse", image(Box::new(inverse)), "poses read as camera to world", "inverse"),
        ("OpenGL", image(Box::new(opengl)), "cameras read as those of OpenGL", "negate the y and z axes"),
        ("intrinsics", camera(Box::new(resized)), "intrinsics of another image size", "width and height"),
        ("focal", camera(Box::new(|n| (n[4], n[5]) = (90.0, 90.0))), "", "focal lengths"),
        ("a quarter turn", point(Box::new(turned_about_z(90.0))), "", "turned"),
        ("half a turn", point(Box::new(turned_about_z(180.0))), "", "turned"),
        ("scale", point(Box::new(|n| n[1..4].iter_mut().for_each(|x| *x *= 2.0))), "", "scaled"),
    ];
    for (name, texts, reading, remedy) in &cases {
        let found = found_in(texts);
        let Some(finding @ Finding::Contradiction(error)) = found.first() else {
            panic!("{name}: {found:?}");
        };
        let text = finding.to_string();
        assert!(text.contains("expected up to 1.3 pixels") && text.contains(reading), "{name}: {text}");
        assert_eq!(text.contains("it would be 0.0"), !reading.is_empty(), "{name}: {text}");
        assert!(finding.remedy().contains(remedy), "{name}: {}", finding.remedy());
        assert!(finding.is_severe(), "{name}: {error:?}");
        assert_eq!(finding.is_about_points(), reading.is_empty(), "{name}");
    }
    // Tracks that the points name and the images do not.
    let [cameras, images, points] = &cases[5].1;
    let unnamed = |line: &str| {
        let words = line.split(' ').enumerate();
        let word = |(k, word): (usize, &str)| if k % 3 == 2 { " -1".into() } else { format!(" {word}") };
        if line.starts_with("10.5") { words.map(word).collect() } else { line.to_owned() }
    };
    let alone: String = images.lines().map(|line| unnamed(line) + "\n").collect();
    let found = found_in(&[cameras.clone(), alone, points.clone()]);
    assert!(matches!(found.first(), Some(Finding::Contradiction(_))), "{found:?}");
    // Points without tracks may have replaced those that were observed: that is said, and they may be trained from.
    let short = |line: &str| line.split(' ').take(8).collect::<Vec<_>>().join(" ") + "\n";
    let found = found_in(&[cameras.clone(), images.clone(), points.lines().map(short).collect()]);
    let finding = found.first().unwrap();
    assert!(matches!(finding, Finding::Contradiction(r) if !r.tracked) && !finding.is_severe(), "{found:?}");
    assert!(finding.remedy().contains("replaced"), "{}", finding.remedy());
}

/// Cameras that were scaled with the photographs and observations that were not still belong together.
#[test]
fn observations_of_another_size_and_dummies_are_no_contradiction() {
    let half = |n: &mut [f64]| n[2..8].iter_mut().for_each(|x| *x *= 0.5);
    let [cameras, images, points] = rewritten(0, 7, half);
    assert!(cameras.contains("32 24 30 30 16 12"), "{cameras}");
    assert_eq!(found_in(&[cameras, images, points]), []);
    // A few observations that stand for nothing.
    let [cameras, images, points] = colmap_text(NOWHERE);
    let line = |line: &str| if line.starts_with("10.5") { "1 2 3\n".into() } else { format!("{line}\n") };
    assert_eq!(found_in(&[cameras, images.lines().map(line).collect(), points]), []);
}

#[test]
fn implausible_angles_and_baselines_are_found() {
    let dir = folder();
    changed(dir.path(), |t| {
        ["fl_x", "fl_y", "w", "h", "cx", "cy"].iter().for_each(|key| drop(object(t).remove(*key)));
        t["camera_angle_x"] = json!(5.86e-6);
    });
    let found = open(dir.path()).unwrap().plausibility();
    let narrow = found.findings.iter().find(|f| matches!(f, Finding::FieldOfView { views: 10, .. })).unwrap();
    let text = narrow.to_string();
    assert!(text.contains("3.358e-4 degrees") && text.contains("frame_000.png"), "{text}");
    changed(dir.path(), |t| {
        for (i, frame) in t["frames"].as_array_mut().unwrap().iter_mut().enumerate() {
            (0..3).for_each(|k| {
                frame["transform_matrix"][k][3] = json!(camera_to_world(0)[k][3] + 1e-5 * i as f64)
            });
        }
    });
    let found = open(dir.path()).unwrap().plausibility();
    assert!(found.findings.iter().any(|f| matches!(f, Finding::NoBaseline { .. })), "{found:?}");
}

/// Intrinsics of the full size beside reduced photographs, in a file that does not state the size.
#[test]
fn principal_points_outside_of_the_image_are_found() {
    let dir = folder();
    changed(dir.path(), |t| {
        ["w", "h"].iter().for_each(|key| drop(object(t).remove(*key)));
        (t["cx"], t["cy"]) = (json!(128.0), json!(96.0));
    });
    let found = open(dir.path()).unwrap().plausibility();
    let odd = found.findings.iter().find(|f| matches!(f, Finding::PrincipalPoint { views: 10, .. })).unwrap();
    assert!(odd.to_string().contains("(128.0, 96.0) in 64x48 pixels"), "{odd}");
}

/// Georeferenced data is as plausible as the same data at the origin.
#[test]
fn georeferenced_data_is_plausible() {
    let dir = folder();
    for (file, text) in TEXT.iter().zip(colmap_text([448_262.4, 4_582_015.3, 172.6])) {
        put(dir.path().join("sparse/0").join(file), text);
    }
    photos(&dir.path().join("images"));
    let found = open(dir.path()).unwrap().plausibility();
    assert!(found.findings.is_empty() && found.reach < 10.0, "{found:?}");
}
