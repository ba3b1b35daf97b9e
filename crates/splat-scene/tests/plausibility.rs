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
