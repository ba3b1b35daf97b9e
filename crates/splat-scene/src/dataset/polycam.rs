//! Polycam's raw data (its developer mode): `keyframes/images/N.jpg` with `keyframes/cameras/N.json`, and
//! `keyframes/depth/N.png` in millimetres.
//!
//! `corrected_cameras` and `corrected_images` are preferred; they exist where Polycam's own bundle adjustment ran. Poses
//! are camera-to-world with OpenGL axes, in metres, y up, as ARKit gives them. The format has no points.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::capture::{Capture, Intrinsics, Posed};
use super::photos;
use super::poses::Pose;
use crate::files::json;
use crate::image::depth::Meaning;
use crate::{Error, OpenOptions, Result};

#[derive(Deserialize)]
struct Camera {
    fx: f64,
    fy: f64,
    cx: f64,
    cy: f64,
    width: u32,
    height: u32,
    t_00: f64,
    t_01: f64,
    t_02: f64,
    t_03: f64,
    t_10: f64,
    t_11: f64,
    t_12: f64,
    t_13: f64,
    t_20: f64,
    t_21: f64,
    t_22: f64,
    t_23: f64,
}

/// `keyframes`, if it holds cameras.
pub(crate) fn find(root: &Path) -> Option<PathBuf> {
    let folder = root.join("keyframes");
    ["corrected_cameras", "cameras"].iter().any(|c| folder.join(c).is_dir()).then_some(folder)
}

pub(crate) fn read(root: &Path, folder: &Path, options: &OpenOptions) -> Result<Capture> {
    let corrected = folder.join("corrected_cameras").is_dir();
    let [cameras, photos] = ["cameras", "images"]
        .map(|name| folder.join(if corrected { format!("corrected_{name}") } else { name.to_owned() }));
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs_err::read_dir(&cameras)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            files.push(path);
        }
    }
    files.sort();
    let posed = files.iter().map(|path| view(path, folder)).collect::<Result<Vec<_>>>()?;
    if posed.is_empty() {
        return Err(Error::NotADataset {
            path: cameras,
            message: "the folder has no camera files".into(),
            hint: "export Polycam's raw data again",
        });
    }
    let photos = options.images.clone().unwrap_or(photos);
    Ok(Capture {
        source: format!("Polycam, keyframes/{}", if corrected { "corrected_cameras" } else { "cameras" }),
        root: root.into(),
        file: cameras,
        posed,
        points: Vec::new(),
        photos: photos::Folder { path: photos, reduction: 1 },
        depth: Meaning::Depth { png: 1e-3, npy: 1.0 },
        warnings: Vec::new(),
    })
}

fn view(path: &Path, folder: &Path) -> Result<Posed> {
    let c: Camera = json::parse(path, &fs_err::read(path)?, "Polycam camera")?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let wrong = |message| Error::Camera { path: path.into(), camera: name.clone(), message };
    if c.width == 0 || c.height == 0 {
        return Err(wrong(format!("the image is {}x{}", c.width, c.height)));
    }
    let matrix = [
        [c.t_00, c.t_01, c.t_02, c.t_03],
        [c.t_10, c.t_11, c.t_12, c.t_13],
        [c.t_20, c.t_21, c.t_22, c.t_23],
    ];
    let pose = Pose::opengl_to_world(&matrix.map(Vec::from)).map_err(wrong)?;
    let depth = folder.join("depth").join(format!("{name}.png"));
    Ok(Posed {
        intrinsics: Intrinsics::known((c.width.into(), c.height.into()), [c.fx, c.fy, c.cx, c.cy]),
        lens: None,
        pose,
        held_out: None,
        mask: None,
        depth: depth.is_file().then_some(depth),
        name,
    })
}
