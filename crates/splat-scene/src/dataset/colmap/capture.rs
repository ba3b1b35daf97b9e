//! A COLMAP model as a dataset: its images, with the photographs in `images` or `images_N` beside the model, or wherever
//! they are near it; and the points of a PLY file where the model has none.

use std::path::Path;

use super::models::{models, registered};
use super::reprojection::measure;
use super::{BadCamera, Image, Point3d, Tracks};
use crate::dataset::capture::{Broken, Capture, Intrinsics, Posed, WorldPoint};
use crate::dataset::find::Finder;
use crate::dataset::poses::Pose;
use crate::dataset::{companions, photos};
use crate::{Error, OpenOptions, Result};

/// Reads the model in `folder`, which was found in the dataset's folder `path`.
pub(crate) fn read(path: &Path, folder: &Path, options: &OpenOptions) -> Result<Capture> {
    let finder = Finder::default();
    let model = super::read(folder, Tracks::Sample)?;
    let mut reprojection = measure(&model);
    // Some write what was observed into the tracks of the points alone.
    if model.images.iter().all(|image| image.observations.is_empty())
        && model.points.iter().any(|point| !point.track.is_empty())
    {
        reprojection = measure(&super::read(folder, Tracks::Keep)?);
    }
    if model.images.is_empty() && model.left_out.is_empty() {
        return Err(Error::NotADataset {
            path: folder.into(),
            message: "a COLMAP model without images: nothing was registered".into(),
            hint: "reconstruct again, from photographs that overlap more",
        });
    }
    let photos = match &options.images {
        Some(given) => photos::Folder { path: given.clone(), reduction: 1 },
        None => photo_folder(&finder, path, folder, &model.images, options.downscale)?,
    };
    let mut posed = Vec::with_capacity(model.images.len());
    let mut broken: Vec<Broken> = model.left_out.iter().map(|(name, m)| Broken::new(name, m)).collect();
    for image in &model.images {
        let name = photos::in_folder(&finder, &photos.path, &image.name);
        if let Some(message) = image.fault() {
            broken.push(Broken::new(name, message));
            continue;
        }
        let id = image.camera;
        let camera = match model.cameras.get(&id) {
            Some(Ok(camera)) => camera,
            Some(Err(BadCamera::Model(model))) => {
                broken.push(Broken::with_model(name, model.clone()));
                continue;
            }
            Some(Err(BadCamera::Numbers(message))) => {
                broken.push(Broken::new(name, format!("its camera {id}: {message}")));
                continue;
            }
            None => {
                let message = format!("it names camera {id}, which is not among the {}", model.cameras.len());
                broken.push(Broken::new(name, message));
                continue;
            }
        };
        let intrinsics = Intrinsics::known((camera.width, camera.height), camera.intrinsics);
        let pose = Pose {
            rotation: image.rotation_matrix(),
            translation: image.translation,
            scale: 1.0,
            transposed: false,
        };
        posed.push(Posed { lens: camera.lens, ..Posed::new(name, intrinsics, pose) });
    }
    let point = |p: &Point3d| WorldPoint { position: p.position, color: p.color };
    let inside = folder.strip_prefix(path).unwrap_or(folder).display().to_string();
    let mut warnings = others(path, folder);
    warnings.extend(model.warnings);
    let mut points: Vec<WorldPoint> = model.points.iter().map(point).collect();
    if points.is_empty() {
        let file = super::file(folder, "points3D");
        match companions::cloud(&finder, &[folder, path], &mut warnings)? {
            Some(cloud) => points = cloud,
            None if file.is_file() => {
                warnings.push(format!("{} holds no points that can be used", file.display()));
            }
            None => warnings.push(format!(
                "{} has none of points3D.bin, points3D.txt and points3D.ply: no points",
                folder.display()
            )),
        }
    }
    // The folder of the model itself may have been given, below the photographs.
    let root =
        photos.path.parent().filter(|_| options.images.is_none() && photos.path != path).unwrap_or(path);
    Ok(Capture {
        source: if inside.is_empty() { "COLMAP".into() } else { format!("COLMAP, {inside}") },
        root: root.into(),
        file: super::file(folder, "images"),
        posed,
        broken,
        unused: Vec::new(),
        points,
        photos,
        warnings,
        reprojection,
    })
}

/// A warning about the models that are not read.
fn others(path: &Path, folder: &Path) -> Vec<String> {
    // Where nerfstudio's tools leave the model.
    let above = [path.to_path_buf(), path.join("colmap")];
    let models = above.iter().map(|p| models(p)).find(|m| m.iter().any(|m| m == folder)).unwrap_or_default();
    if models.len() < 2 {
        return Vec::new();
    }
    let name = |m: &Path| match m.strip_prefix(path) {
        Ok(inner) if inner.as_os_str().is_empty() => "the folder itself".into(),
        Ok(inner) => inner.display().to_string(),
        Err(_) => m.display().to_string(),
    };
    let with = |m: &Path| format!("{} ({} images)", name(m), registered(m));
    let rest: Vec<String> = models.iter().filter(|m| *m != folder).map(|m| with(m)).collect();
    vec![format!(
        "there are {} COLMAP models; the one with the most images is read: {}, not {}",
        models.len(),
        with(folder),
        rest.join(", ")
    )]
}

/// `images*` in the dataset's folder, or above the model if the folder of the model itself was given, or else the folder
/// near the model that holds the photographs.
fn photo_folder(
    finder: &Finder,
    path: &Path,
    model: &Path,
    images: &[Image],
    downscale: Option<u32>,
) -> Result<photos::Folder> {
    let first = photos::choose(path, downscale);
    if first.is_ok() {
        return first;
    }
    if model == path {
        // Canonical, so that `.` and `a/..` have parents.
        let full = fs_err::canonicalize(path)?;
        let above = full.ancestors().skip(1).take(2).find_map(|up| photos::choose(up, downscale).ok());
        if let Some(above) = above {
            return Ok(above);
        }
    }
    // The layout of the original's convert.py: `input` beside `distorted`.
    let beside = fs_err::canonicalize(path)?.parent().and_then(|up| finder.folder(up, "input"));
    let inside = finder.folder(path, "input");
    if let Some(path) = inside.or(beside) {
        return Ok(photos::Folder { path, reduction: 1 });
    }
    let names: Vec<&str> = images.iter().map(|i| i.name.as_str()).collect();
    photos::search(finder, path, model, &names).map_or(first, Ok)
}
