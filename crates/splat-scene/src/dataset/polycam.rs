//! Polycam's raw data (its developer mode): `keyframes/images/N.jpg` with `keyframes/cameras/N.json`, and
//! `keyframes/depth/N.png` in millimetres.
//!
//! `corrected_cameras` and `corrected_images` are preferred; they exist where Polycam's own bundle adjustment ran, and
//! their cameras do not state the size of the photographs. Poses are camera-to-world with OpenGL axes, in metres, y up,
//! as ARKit gives them. The format has no points.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::capture::{Broken, Capture, Intrinsics, Posed};
use super::find::Finder;
use super::poses::{Fault, Pose};
use super::text::{number, read_json};
use super::{companions, keys, photos};
use crate::image::depth::Meaning;
use crate::image::photo;
use crate::{Error, OpenOptions, Result};

/// The folder `keyframes`, if it holds cameras.
pub(crate) fn find(root: &Path) -> Option<PathBuf> {
    let finder = Finder::default();
    let folder = finder.folder(root, "keyframes")?;
    ["corrected_cameras", "cameras"].iter().any(|c| finder.folder(&folder, c).is_some()).then_some(folder)
}

pub(crate) fn read(root: &Path, folder: &Path, options: &OpenOptions) -> Result<Capture> {
    let finder = Finder::default();
    let pair = |prefix: &str| {
        let part = |name: &str| finder.folder(folder, &format!("{prefix}{name}"));
        Some((part("cameras")?, part("images")?))
    };
    let corrected = pair("corrected_");
    let kind = if corrected.is_some() { "corrected_cameras" } else { "cameras" };
    let (cameras, photos) =
        corrected.or_else(|| pair("")).unwrap_or_else(|| (folder.join("cameras"), folder.join("images")));
    let photos = options.images.clone().unwrap_or(photos);
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs_err::read_dir(&cameras)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Error::NotADataset {
            path: cameras,
            message: "the folder has no camera files".into(),
            hint: "export Polycam's raw data again",
        });
    }
    let (mut posed, mut broken, mut objects) = (Vec::new(), Vec::new(), Vec::new());
    for path in &files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let object = match read_json(path, "Polycam camera") {
            Ok(Value::Object(object)) => object,
            Ok(_) => Map::new(),
            // The file of one frame.
            Err(Error::Malformed { message, .. }) => {
                broken.push(Broken::new(name, message));
                continue;
            }
            Err(error) => return Err(error),
        };
        match view(&finder, folder, &photos, &name, &object) {
            Ok(view) => posed.push(view),
            Err(Fault::Broken(message)) => broken.push(Broken::new(name, message)),
            Err(Fault::Contradiction(message)) => {
                return Err(Error::Camera { path: path.clone(), camera: name, message });
            }
        }
        objects.push(object);
    }
    let frames: Vec<&Map<String, Value>> = objects.iter().collect();
    let mut warnings = keys::warnings(keys::POLYCAM, kind, &Map::new(), &frames);
    Ok(Capture {
        source: format!("Polycam, keyframes/{kind}"),
        root: root.into(),
        file: cameras,
        posed,
        broken,
        unused: Vec::new(),
        points: companions::cloud(&finder, &[root, folder], &mut warnings)?.unwrap_or_default(),
        photos: photos::Folder { path: photos, reduction: 1 },
        warnings,
        reprojection: None,
    })
}

/// The frame `name` from its camera file.
fn view(
    finder: &Finder,
    folder: &Path,
    photos: &Path,
    name: &str,
    camera: &Map<String, Value>,
) -> Result<Posed, Fault> {
    let get = |key: &str| {
        camera.get(key).and_then(number).ok_or_else(|| Fault::Broken(format!("it has no number `{key}`")))
    };
    let [fx, fy, cx, cy] = [get("fx")?, get("fy")?, get("cx")?, get("cy")?];
    let mut matrix = vec![vec![0.0; 4]; 3];
    for (r, row) in matrix.iter_mut().enumerate() {
        for (c, x) in row.iter_mut().enumerate() {
            *x = get(&format!("t_{r}{c}"))?;
        }
    }
    let size = match size(camera)? {
        Some(size) => Some(size),
        None => sibling_size(finder, folder, photos, name),
    };
    let depth = finder.below(folder, &format!("depth/{name}.png"));
    let intrinsics = Intrinsics { size, ..Intrinsics::known((1, 1), [fx, fy, cx, cy]) };
    Ok(Posed {
        depth: depth.map(|path| (path, Meaning::Depth { png: 1e-3, npy: 1.0 })),
        ..Posed::new(name.into(), intrinsics, Pose::opengl_to_world(&matrix)?)
    })
}

fn size(camera: &Map<String, Value>) -> Result<Option<(u64, u64)>, Fault> {
    match (camera.get("width").and_then(number), camera.get("height").and_then(number)) {
        (Some(w), Some(h)) if w >= 1.0 && h >= 1.0 && w.max(h) <= 1048576.0 => Ok(Some((w as u64, h as u64))),
        (Some(w), Some(h)) => Err(Fault::Broken(format!("the image is {w}x{h}, expected 1 to 1048576"))),
        _ => Ok(None),
    }
}

/// The size that the uncorrected camera states, if the corrected photograph has its shape: it may have been reduced since.
/// Otherwise the intrinsics are for the photograph as it is.
fn sibling_size(finder: &Finder, folder: &Path, photos: &Path, name: &str) -> Option<(u64, u64)> {
    let sibling =
        read_json(&finder.below(folder, &format!("cameras/{name}.json"))?, "Polycam camera").ok()?;
    let stated = size(sibling.as_object()?).ok()??;
    let file = photo::header(&finder.photo(photos, name)?).ok()?.size;
    photos::same_aspect(file, stated).then_some(stated)
}
