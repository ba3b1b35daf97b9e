//! Trajectories as JSON, of this program's own kind: poses as 4x4 matrices, with intrinsics.
//!
//! ```json
//! { "width": 1280, "height": 720, "fov_y": 50,
//!   "frames": [
//!     { "name": "first", "world_to_camera": [[1,0,0,0], [0,1,0,0], [0,0,1,4], [0,0,0,1]] },
//!     { "camera_to_world": [[1,0,0,0], [0,1,0,0], [0,0,1,-3], [0,0,0,1]], "fov_y": 40 } ] }
//! ```
//! Matrices are lists of rows; one of the two per frame. Intrinsics are `fov_y` (vertical, degrees) or `fx`, and
//! `fy`, `cx`, `cy` where they are not `fx` and the centre, in pixels; they stand at the top for all frames, or in
//! a frame. `axes` is `opencv` (default: the camera looks along +z, y down) or `opengl` (along -z, y up). `fps` is
//! for videos. Unknown keys are errors.

use std::path::Path;

use serde::Deserialize;
use splat_core::Camera;
use splat_scene::{Origin, Place};

use super::{LONGEST_SIDE, Pose, Shot, focal, intrinsics};
use anyhow::Result;
use splat_init::linear::{apply, cross, dot, transposed};

/// A file's shots and its speed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trajectory {
    /// In the order of the file; `frame_00000` and so on where they have no names.
    pub(crate) shots: Vec<Shot>,
    /// Frames a second, if the file says.
    pub(crate) fps: Option<f64>,
    /// Where the shots' coordinates lie in the world.
    pub(crate) origin: Origin,
}

// The lens stands in both structs: serde cannot flatten a common one into structs that refuse unknown keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    fps: Option<f64>,
    #[serde(default)]
    axes: Axes,
    width: Option<u32>,
    height: Option<u32>,
    fx: Option<f64>,
    fy: Option<f64>,
    cx: Option<f64>,
    cy: Option<f64>,
    fov_y: Option<f64>,
    frames: Vec<Frame>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Axes {
    #[default]
    Opencv,
    Opengl,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame {
    name: Option<String>,
    world_to_camera: Option<[[f64; 4]; 4]>,
    camera_to_world: Option<[[f64; 4]; 4]>,
    width: Option<u32>,
    height: Option<u32>,
    fx: Option<f64>,
    fy: Option<f64>,
    cx: Option<f64>,
    cy: Option<f64>,
    fov_y: Option<f64>,
}

impl Trajectory {
    /// Reads a trajectory file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &splat_scene::read_file(path)?)
    }

    /// The trajectory in `json`; `path` only names the file in errors.
    pub(crate) fn parse(path: &Path, json: &[u8]) -> Result<Self> {
        let malformed = |place, message| splat_scene::Error::Malformed { path: path.into(), place, message };
        let file: File = serde_json::from_slice(json)
            .map_err(|e| malformed(Place::Line(e.line() as u64), format!("no trajectory: {e}")))?;
        if file.frames.is_empty() {
            return Err(malformed(Place::Line(1), "`frames` is empty".into()).into());
        }
        if let Some(fps) = file.fps.filter(|fps| !(*fps > 0.0 && fps.is_finite())) {
            return Err(malformed(Place::Line(1), format!("fps is {fps}, expected a number over 0")).into());
        }
        let mut lenses = Vec::with_capacity(file.frames.len());
        for (i, frame) in file.frames.iter().enumerate() {
            lenses.push(
                lens_and_pose(&file, frame)
                    .map_err(|message| malformed(Place::Line(1), format!("frame {i}: {message}")))?,
            );
        }
        let origin = Origin::choose(lenses.iter().map(|(.., pose)| pose.center()));
        let shot = |(i, ([width, height], inner, pose)): (usize, ([u32; 2], [f64; 4], Pose))| {
            let name = file.frames[i].name.clone().unwrap_or_else(|| format!("frame_{i:05}"));
            let shift = apply(&pose.rotation, origin.offset);
            let local = std::array::from_fn(|k| pose.translation[k] + shift[k]);
            Shot { name, camera: Camera::from_pinhole(width, height, inner, pose.rotation, local) }
        };
        let shots = lenses.into_iter().enumerate().map(shot).collect();
        Ok(Self { shots, fps: file.fps, origin })
    }
}

/// Width and height, `fx fy cx cy`, and the pose in the world.
fn lens_and_pose(file: &File, frame: &Frame) -> Result<([u32; 2], [f64; 4], Pose), String> {
    let side = |name: &str, own: Option<u32>, common: Option<u32>| {
        let n = own.or(common).ok_or_else(|| format!("it has no {name}"))?;
        (1..=LONGEST_SIDE)
            .contains(&n)
            .then_some(n)
            .ok_or_else(|| format!("{name} is {n}, expected 1 to {LONGEST_SIDE}"))
    };
    let width = side("width", frame.width, file.width)?;
    let height = side("height", frame.height, file.height)?;
    // A frame that says anything about its focal length says all.
    let own = frame.fx.is_some() || frame.fov_y.is_some();
    let (fx, fy, fov) =
        if own { (frame.fx, frame.fy, frame.fov_y) } else { (file.fx, frame.fy.or(file.fy), file.fov_y) };
    let fx = match (fx, fov) {
        (Some(fx), None) => fx,
        (None, Some(fov)) if fov > 0.0 && fov < 180.0 => focal(height, fov),
        (None, Some(fov)) => return Err(format!("fov_y is {fov}, expected over 0 and under 180")),
        (Some(_), Some(_)) => return Err("it has both fx and fov_y, expected one".into()),
        (None, None) => return Err("it has neither fx nor fov_y".into()),
    };
    let cx = frame.cx.or(file.cx).unwrap_or(f64::from(width) / 2.0);
    let cy = frame.cy.or(file.cy).unwrap_or(f64::from(height) / 2.0);
    let inner = [fx, fy.unwrap_or(fx), cx, cy];
    if !(inner.iter().all(|x| x.is_finite()) && inner[0] > 0.0 && inner[1] > 0.0) {
        return Err(format!("fx fy cx cy are {inner:?}, expected finite numbers, focal lengths over 0"));
    }
    let (key, m) = match (&frame.world_to_camera, &frame.camera_to_world) {
        (Some(m), None) => ("world_to_camera", m),
        (None, Some(m)) => ("camera_to_world", m),
        (Some(_), Some(_)) => {
            return Err("it has both world_to_camera and camera_to_world, expected one".into());
        }
        (None, None) => return Err("it has neither world_to_camera nor camera_to_world".into()),
    };
    let row = |r: usize| [m[r][0], m[r][1], m[r][2]];
    let (a, b, c) = (row(0), row(1), row(2));
    let third = cross(a, b);
    let near = |x: f64, y: f64| (x - y).abs() < 1e-3;
    let rigid = [a, b].iter().all(|r| near(dot(*r, *r), 1.0))
        && near(dot(a, b), 0.0)
        && (0..3).all(|k| near(third[k], c[k]))
        && (0..4).all(|k| near(m[3][k], f64::from(u8::from(k == 3))))
        && (0..3).all(|r| m[r][3].is_finite());
    if !rigid {
        return Err(format!("{key} is {m:?}, expected rotation and translation, the last row 0 0 0 1"));
    }
    let mut pose = Pose { rotation: [a, b, c], translation: [m[0][3], m[1][3], m[2][3]] };
    if key == "camera_to_world" {
        let rotation = transposed(&pose.rotation);
        pose = Pose { rotation, translation: apply(&rotation, pose.translation).map(|x| -x) };
    }
    if file.axes == Axes::Opengl {
        for k in [1, 2] {
            pose.rotation[k] = pose.rotation[k].map(|x| -x);
            pose.translation[k] = -pose.translation[k];
        }
    }
    Ok(([width, height], inner, pose))
}

/// `shots` as such a file, which [`Trajectory::parse`] reads: in world coordinates.
#[must_use]
pub(crate) fn json(shots: &[Shot], fps: Option<f64>, origin: Origin) -> serde_json::Value {
    let frame = |shot: &Shot| {
        let c = &shot.camera;
        // All digits of the rotation: far from the world's origin, each moves the camera.
        let mut rows: [[f64; 4]; 4] =
            std::array::from_fn(|r| std::array::from_fn(|k| f64::from(c.view[4 * k + r])));
        let shift = apply(&Pose::of(c).rotation, origin.offset);
        (0..3).for_each(|r| rows[r][3] -= shift[r]);
        let [fx, fy, cx, cy] = intrinsics(c);
        serde_json::json!({
            "name": shot.name, "width": c.width, "height": c.height,
            "fx": fx, "fy": fy, "cx": cx, "cy": cy, "world_to_camera": rows,
        })
    };
    let mut file = serde_json::json!({ "frames": shots.iter().map(frame).collect::<Vec<_>>() });
    if let Some(fps) = fps {
        file["fps"] = fps.into();
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Trajectory> {
        Trajectory::parse("path.json".as_ref(), json.as_bytes())
    }

    const POSE: &str = r#""world_to_camera": [[0,0,-1,1], [0,1,0,2], [1,0,0,3], [0,0,0,1]]"#;

    #[test]
    fn both_directions_and_both_axes_are_one_camera() {
        let lens = r#""width": 64, "height": 48, "fov_y": 50"#;
        let file =
            |rest: &str, pose: &str| parse(&format!("{{{lens}, {rest} \"frames\": [{{{pose}}}]}}")).unwrap();
        let first = file("", POSE);
        let inverse = r#""camera_to_world": [[0,0,1,-3], [0,1,0,-2], [-1,0,0,1], [0,0,0,1]]"#;
        assert_eq!(file("", inverse), first);
        let opengl = r#""camera_to_world": [[0,0,-1,-3], [0,-1,0,-2], [-1,0,0,1], [0,0,0,1]]"#;
        assert_eq!(file(r#""axes": "opengl","#, opengl), first);
        assert_eq!(first.shots[0].name, "frame_00000");
        assert_eq!(first.shots[0].camera.view[12..15], [1.0, 2.0, 3.0]);
        assert!((first.shots[0].camera.tan_fovy - 25f32.to_radians().tan()).abs() < 1e-6);
    }

    #[test]
    fn frames_may_have_their_own_lens_and_files_come_back() {
        let text = format!(
            r#"{{"width": 64, "height": 48, "fx": 40, "fps": 24, "frames": [{{{POSE}, "name": "a/b"}},
            {{{POSE}, "width": 32, "fov_y": 60, "cx": 10}}]}}"#
        );
        let read = parse(&text).unwrap();
        let [a, b] = read.shots.as_slice() else { panic!("{read:?}") };
        let inner = |s: &Shot| intrinsics(&s.camera).map(|x| (x * 100.0).round() / 100.0);
        assert_eq!((inner(a), inner(b)), ([40.0, 40.0, 32.0, 24.0], [41.57, 41.57, 10.0, 24.0]));
        assert_eq!((a.name.as_str(), b.camera.width, read.fps), ("a/b", 32, Some(24.0)));
        let again = parse(&json(&read.shots, read.fps, read.origin).to_string()).unwrap();
        assert_eq!(
            (again.fps, &again.shots[1].name, again.shots[0].camera.view),
            (read.fps, &b.name, a.camera.view)
        );
        for (x, y) in read.shots.iter().zip(&again.shots) {
            x.camera.proj.iter().zip(y.camera.proj).for_each(|(p, q)| assert!((p - q).abs() < 1e-5));
        }
    }

    /// Far from the world's origin, poses come back to a fraction of a millimetre of where they were.
    #[test]
    fn georeferenced_ways_come_back() {
        let far = Origin { offset: [431_000.0, 5_413_000.0, 300.0] };
        let eye = [1.25, -2.5, 0.125];
        let camera = Camera::look_at(64, 48, 50.0, eye, [3.0, 1.0, 7.0], [0.0, -1.0, 0.0]);
        let shots = [Shot { name: "a".into(), camera }];
        let read = parse(&json(&shots, None, far).to_string()).unwrap();
        let there = Pose::of(&read.shots[0].camera).center();
        let apart = |k: usize| there[k] + read.origin.offset[k] - eye[k] - far.offset[k];
        assert!(
            !read.origin.is_zero() && (0..3).all(|k| apart(k).abs() < 1e-4),
            "{:?}",
            [0, 1, 2].map(apart)
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_frame() {
        let lens = r#""width": 64, "height": 48, "fov_y": 50"#;
        for (json, message) in [
            (r#"{"frames": []}"#.into(), "`frames` is empty"),
            ("[1]".into(), "no trajectory"),
            (format!("{{{lens}, \"speed\": 1, \"frames\": [{{{POSE}}}]}}"), "unknown field `speed`"),
            (format!("{{\"height\": 4, \"fx\": 1, \"frames\": [{{{POSE}}}]}}"), "frame 0: it has no width"),
            (
                format!("{{{lens}, \"frames\": [{{{POSE}}}, {{}}]}}"),
                "frame 1: it has neither world_to_camera",
            ),
            (format!("{{{lens}, \"fx\": 3, \"frames\": [{{{POSE}}}]}}"), "both fx and fov_y"),
            (format!("{{{lens}, \"frames\": [{{{POSE}, \"width\": 70000}}]}}"), "width is 70000"),
            (format!("{{{lens}, \"frames\": [{{{POSE}, \"fov_y\": 180}}]}}"), "fov_y is 180"),
            (format!("{{{lens}, \"fps\": 0, \"frames\": [{{{POSE}}}]}}"), "fps is 0"),
            (
                format!("{{{lens}, \"frames\": [{{{}}}]}}", POSE.replace("[0,1,0,2]", "[0,-1,0,2]")),
                "expected rotation",
            ),
            (format!("{{{lens}, \"frames\": [{{{}}}]}}", POSE.replace("[0,0,0,1]", "[0,0,1,1]")), "last row"),
            (format!("{{{lens}, \"frames\": [{{{}}}]}}", POSE.replace(",2]", ",2e999]")), "no trajectory"),
        ] {
            let text = parse(&json).expect_err(&json).to_string();
            assert!(text.starts_with("path.json: at line") && text.contains(message), "{json}: {text}");
        }
    }
}
