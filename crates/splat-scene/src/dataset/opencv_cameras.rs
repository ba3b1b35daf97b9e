//! `opencv_cameras.json`: frames with `w h fx fy cx cy`, a world-to-camera matrix `w2c` (OpenCV axes) and the
//! `file_path` of the photograph. The format has no distortion and no points.

use std::path::Path;

use serde_json::{Map, Value};

use super::capture::{Broken, Capture, Intrinsics, Posed};
use super::find::Finder;
use super::poses::{Fault, Pose};
use super::text::{matrix, number, read_json};
use super::transforms::parts;
use super::{companions, keys, photos};
use crate::{Error, OpenOptions, Result};

pub(crate) fn read(root: &Path, path: &Path, options: &OpenOptions) -> Result<Capture> {
    let finder = Finder::default();
    let value = read_json(path, "list of cameras")?;
    let (whole, frames) = parts(path, &value)?;
    if frames.is_empty() {
        return Err(Error::NotADataset {
            path: path.into(),
            message: "the file has no frames".into(),
            hint: "export the cameras again: the list `frames` is empty",
        });
    }
    let (mut posed, mut broken) = (Vec::new(), Vec::new());
    let nothing = Map::new();
    for (k, frame) in frames.iter().enumerate() {
        let frame = frame.as_object().unwrap_or(&nothing);
        let listed = frame.get("file_path").and_then(Value::as_str).unwrap_or_default();
        let name =
            if listed.is_empty() { format!("frame {k}") } else { photos::below(&finder, root, listed) };
        match camera(frame) {
            Ok(_) if listed.is_empty() => {
                broken.push(Broken::new(name, "it has no `file_path` that names a file"));
            }
            Ok((pose, intrinsics)) => posed.push(Posed::new(name, intrinsics, pose)),
            Err(Fault::Broken(message)) => broken.push(Broken::new(name, message)),
            Err(Fault::Contradiction(message)) => {
                return Err(Error::Camera { path: path.into(), camera: name, message });
            }
        }
    }
    let objects: Vec<&Map<String, Value>> = frames.iter().filter_map(Value::as_object).collect();
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut warnings = keys::warnings(keys::OPENCV, &file, whole, &objects);
    Ok(Capture {
        source: "OpenCV cameras, opencv_cameras.json".into(),
        root: root.into(),
        file: path.into(),
        posed,
        broken,
        unused: Vec::new(),
        points: companions::cloud(&finder, &[root], &mut warnings)?.unwrap_or_default(),
        photos: photos::Folder { path: options.images.clone().unwrap_or_else(|| root.into()), reduction: 1 },
        warnings,
        reprojection: None,
    })
}

fn camera(frame: &Map<String, Value>) -> Result<(Pose, Intrinsics), Fault> {
    let get = |key: &str| frame.get(key).and_then(number);
    let need = |key: &str| get(key).ok_or_else(|| Fault::Broken(format!("it has no number `{key}`")));
    let size = match (get("w"), get("h")) {
        (Some(w), Some(h)) if w >= 1.0 && h >= 1.0 && w.max(h) <= 1048576.0 => Some((w as u64, h as u64)),
        (Some(w), Some(h)) => {
            return Err(Fault::Broken(format!("the image is {w}x{h}, expected 1 to 1048576")));
        }
        _ => None,
    };
    let known = Intrinsics::known((1, 1), [need("fx")?, need("fy")?, need("cx")?, need("cy")?]);
    let pose = Pose::world_to_camera(&matrix(frame.get("w2c").unwrap_or(&Value::Null)))?;
    Ok((pose, Intrinsics { size, ..known }))
}
