//! A COLMAP model as a dataset: its images, with the photographs in `images` or `images_N` beside the model.

use std::path::Path;

use super::{Point3d, Tracks};
use crate::dataset::capture::{Capture, Intrinsics, Posed};
use crate::dataset::poses::Pose;
use crate::dataset::{companions, photos};
use crate::{Error, OpenOptions, Point, Result};

/// Reads the model in `folder`, which was found in the dataset's folder `path`.
pub(crate) fn read(path: &Path, folder: &Path, options: &OpenOptions) -> Result<Capture> {
    let model = super::read(folder, Tracks::Skip)?;
    if model.images.is_empty() {
        return Err(Error::NotADataset {
            path: folder.into(),
            message: "a COLMAP model without images: nothing was registered".into(),
            hint: "look at the largest model that COLMAP made: sparse/0, sparse/1, ...",
        });
    }
    let photos = match &options.images {
        Some(given) => photos::Folder { path: given.clone(), reduction: 1 },
        None => photo_folder(path, folder, options.downscale)?,
    };
    let posed = model.images.iter().map(|image| {
        let camera = model.cameras[&image.camera];
        Posed {
            name: photos::in_folder(&photos.path, &image.name),
            intrinsics: Intrinsics::known((camera.width, camera.height), camera.intrinsics),
            lens: camera.lens,
            pose: Pose { rotation: image.rotation_matrix(), translation: image.translation },
            held_out: None,
            mask: None,
            depth: None,
        }
    });
    let point = |p: &Point3d| Point { position: p.position.map(|x| x as f32), color: p.color };
    let inside = folder.strip_prefix(path).unwrap_or(folder).display().to_string();
    let mut warnings = Vec::new();
    if !super::file(folder, "points3D").is_file() {
        warnings.push(format!("{} has neither points3D.bin nor points3D.txt: no points", folder.display()));
    }
    Ok(Capture {
        source: if inside.is_empty() { "COLMAP".into() } else { format!("COLMAP, {inside}") },
        // The folder of the model itself may have been given, below the photographs.
        root: photos.path.parent().filter(|_| options.images.is_none()).unwrap_or(path).into(),
        file: super::file(folder, "images"),
        posed: posed.collect(),
        points: model.points.iter().map(point).collect(),
        photos,
        depth: companions::UNDECLARED,
        warnings,
    })
}

/// `images*` in the dataset's folder, or above the model if the folder of the model itself was given.
fn photo_folder(path: &Path, model: &Path, downscale: Option<u32>) -> Result<photos::Folder> {
    let first = photos::choose(path, downscale);
    if first.is_ok() || model != path {
        return first;
    }
    // Canonical, so that `.` and `a/..` have parents.
    let full = fs_err::canonicalize(path)?;
    full.ancestors().skip(1).take(2).find_map(|up| photos::choose(up, downscale).ok()).map_or(first, Ok)
}
