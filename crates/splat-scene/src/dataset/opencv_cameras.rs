//! `opencv_cameras.json`: frames with `w h fx fy cx cy`, a world-to-camera matrix `w2c` (OpenCV axes) and the
//! `file_path` of the photograph. The format has no distortion and no points.

use std::path::Path;

use serde::Deserialize;

use super::capture::{Capture, Intrinsics, Posed};
use super::poses::Pose;
use super::{companions, photos};
use crate::files::json;
use crate::{Error, OpenOptions, Result};

#[derive(Deserialize)]
struct File {
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    w: u32,
    h: u32,
    fx: f64,
    fy: f64,
    cx: f64,
    cy: f64,
    w2c: Vec<Vec<f64>>,
    file_path: String,
}

pub(crate) fn read(root: &Path, path: &Path, options: &OpenOptions) -> Result<Capture> {
    let file: File = json::parse(path, &fs_err::read(path)?, "list of cameras")?;
    if file.frames.is_empty() {
        return Err(Error::NotADataset {
            path: path.into(),
            message: "the file has no frames".into(),
            hint: "export the cameras again: the list `frames` is empty",
        });
    }
    let posed = |frame: &Frame| {
        let wrong = |message| Error::Camera { path: path.into(), camera: frame.file_path.clone(), message };
        if frame.w == 0 || frame.h == 0 {
            return Err(wrong(format!("the image is {}x{}", frame.w, frame.h)));
        }
        let size = (frame.w.into(), frame.h.into());
        Ok(Posed {
            name: photos::below(root, &frame.file_path),
            intrinsics: Intrinsics::known(size, [frame.fx, frame.fy, frame.cx, frame.cy]),
            lens: None,
            pose: Pose::world_to_camera(&frame.w2c).map_err(wrong)?,
            held_out: None,
            mask: None,
            depth: None,
        })
    };
    Ok(Capture {
        source: "OpenCV cameras, opencv_cameras.json".into(),
        root: root.into(),
        file: path.into(),
        posed: file.frames.iter().map(posed).collect::<Result<_>>()?,
        points: Vec::new(),
        photos: photos::Folder { path: options.images.clone().unwrap_or_else(|| root.into()), reduction: 1 },
        depth: companions::UNDECLARED,
        warnings: Vec::new(),
    })
}
