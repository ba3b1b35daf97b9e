//! A captured scene, ready to train on: views with cameras at the size they are read at, and points.
//!
//! World coordinates and units are the dataset's. Photographs are found and measured here but decoded
//! only by [`View::load`].

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use splat_core::Camera;

use crate::{Error, Result, colmap, images, photo};

/// How to open a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Train at 1/N of the size the poses were computed at. None: the largest photographs there are.
    pub downscale: Option<u32>,
    /// The folder of photographs, where it is not `images` or `images_N` beside the poses.
    pub images: Option<PathBuf>,
    /// The folder of masks, where it is not `masks` or named by the dataset.
    pub masks: Option<PathBuf>,
    /// The folder of depth maps, where it is not `depths` or named by the dataset.
    pub depths: Option<PathBuf>,
    /// Every N-th view, by name, is held out where the dataset has no split of its own; 0 holds out none.
    pub test_every: u32,
    /// The names of the views to hold out, with or without extension; decides alone where given.
    pub test_list: Option<Vec<String>>,
    /// Whether missing photographs are an error instead of a warning.
    pub strict: bool,
}

impl Default for Options {
    /// The largest photographs, every 8th view held out, missing photographs warned about.
    fn default() -> Self {
        Self {
            downscale: None,
            images: None,
            masks: None,
            depths: None,
            test_every: 8,
            test_list: None,
            strict: false,
        }
    }
}

/// One photograph and its camera.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Its name in the dataset.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The camera, at the size that [`View::load`] returns.
    pub camera: Camera,
    /// Camera centre, world coordinates.
    pub center: [f64; 3],
    /// The file of its mask: black where the photograph is to be ignored.
    pub mask: Option<PathBuf>,
    /// The file of its depth map.
    pub depth: Option<PathBuf>,
    /// The file's own size, before any reduction.
    pub(crate) file_size: (u32, u32),
}

/// A coloured point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// World coordinates.
    pub position: [f32; 3],
    /// RGB.
    pub color: [u8; 3],
}

/// Views, points and what training needs to know about them.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The format and where in the folder it was found: `COLMAP, sparse/0`.
    pub source: String,
    /// Sorted by name.
    pub views: Vec<View>,
    /// Indices of the views to train on.
    pub train: Vec<usize>,
    /// Indices of the views held out.
    pub test: Vec<usize>,
    /// The sparse reconstruction.
    pub points: Vec<Point>,
    /// 1.1 x the largest distance of a training camera's centre from the mean of them; 1 if all coincide.
    pub scene_extent: f64,
    /// What was left out or done differently from what was asked, one sentence each.
    pub warnings: Vec<String>,
}

/// What a format gives before the photographs are looked for.
struct Posed {
    name: String,
    size: (u64, u64),
    intrinsics: [f64; 4],
    rotation: [[f64; 3]; 3],
    translation: [f64; 3],
    center: [f64; 3],
}

impl Dataset {
    /// Opens the dataset in the folder `path`. Known: COLMAP, in `sparse/0`, `sparse` or `path` itself,
    /// with photographs in `images` or `images_N` in `path` (or up to two folders above the model).
    ///
    /// # Errors
    /// No known dataset; a damaged file; a camera with distortion; a photograph of another shape than its
    /// camera; missing photographs, if all are missing or `options.strict`.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        if !path.is_dir() {
            return Err(Error::NotADataset {
                path: path.into(),
                message: if path.exists() { "not a folder" } else { "there is no such folder" }.into(),
                hint: "give the folder that holds `sparse` and `images`",
            });
        }
        let Some(folder) = colmap::find(path) else { return Err(unknown(path)) };
        let model = colmap::read(&folder, colmap::Tracks::Skip)?;
        if model.images.is_empty() {
            return Err(Error::NotADataset {
                path: folder,
                message: "a COLMAP model without images: nothing was registered".into(),
                hint: "look at the largest model that COLMAP made: sparse/0, sparse/1, ...",
            });
        }
        let posed = model
            .images
            .iter()
            .map(|image| {
                let camera = model.cameras[&image.camera];
                Posed {
                    name: image.name.clone(),
                    size: (camera.width, camera.height),
                    intrinsics: camera.intrinsics,
                    rotation: image.rotation_matrix(),
                    translation: image.translation,
                    center: image.center(),
                }
            })
            .collect();
        let points = model
            .points
            .iter()
            .map(|p| Point { position: p.position.map(|x| x as f32), color: p.color })
            .collect();
        let photos = match &options.images {
            Some(given) => images::Folder { path: given.clone(), reduction: 1 },
            None => photo_folder(path, &folder, options.downscale)?,
        };
        let source = match folder.strip_prefix(path) {
            Ok(below) if below.as_os_str().is_empty() => "COLMAP".into(),
            Ok(below) => format!("COLMAP, {}", below.display()),
            Err(_) => format!("COLMAP, {}", folder.display()),
        };
        assemble(source, posed, points, &photos, options)
    }

    /// 32 hexadecimal digits of a hash of what a trained scene depends on: the names, cameras and split of
    /// the views. Not of the photographs, nor of where they lie.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for view in &self.views {
            hash.update((view.name.len() as u64).to_le_bytes());
            hash.update(&view.name);
            hash.update(view.camera.width.to_le_bytes());
            hash.update(view.camera.height.to_le_bytes());
            view.camera.view.iter().chain(&view.camera.proj).for_each(|x| hash.update(x.to_le_bytes()));
        }
        for split in [&self.train, &self.test] {
            hash.update((split.len() as u64).to_le_bytes());
            split.iter().for_each(|&i| hash.update((i as u64).to_le_bytes()));
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// `images*` beside the poses: in the dataset's folder, or above the model when that was given itself.
fn photo_folder(path: &Path, model: &Path, downscale: Option<u32>) -> Result<images::Folder> {
    let first = images::choose(path, downscale);
    if first.is_ok() || model != path {
        return first;
    }
    // Canonical, so that `.` and `a/..` have parents.
    let full = fs_err::canonicalize(path)?;
    full.ancestors().skip(1).take(2).find_map(|up| images::choose(up, downscale).ok()).map_or(first, Ok)
}

fn assemble(
    source: String,
    mut posed: Vec<Posed>,
    points: Vec<Point>,
    photos: &images::Folder,
    options: &Options,
) -> Result<Dataset> {
    posed.sort_by(|a, b| a.name.cmp(&b.name));
    let total = posed.len();
    let mut warnings = Vec::new();
    if let Some(wanted) = options.downscale
        && photos.reduction > wanted
    {
        warnings.push(format!(
            "1/{wanted} of the full size was asked for, but {} is the largest folder there is",
            photos.path.display()
        ));
    }
    let (mut views, mut missing) = (Vec::with_capacity(total), Vec::new());
    for p in posed {
        let Some(path) = images::locate(&photos.path, &p.name) else {
            missing.push(p.name);
            continue;
        };
        let file_size = photo::size(&path)?;
        if !images::same_aspect(file_size, p.size) {
            return Err(Error::Aspect { path, image: file_size, camera: p.size });
        }
        let (width, height) = images::target(file_size, p.size, options.downscale);
        let scale = [f64::from(width) / p.size.0 as f64, f64::from(height) / p.size.1 as f64];
        let intrinsics = std::array::from_fn(|k| p.intrinsics[k] * scale[k % 2]);
        let camera = Camera::from_pinhole(width, height, intrinsics, p.rotation, p.translation);
        views.push(View { name: p.name, path, camera, center: p.center, mask: None, depth: None, file_size });
    }
    if !missing.is_empty() || views.is_empty() {
        let first = missing.first().cloned().unwrap_or_default();
        let error =
            Error::MissingImages { folder: photos.path.clone(), missing: missing.len(), total, first };
        if options.strict || views.is_empty() {
            return Err(error);
        }
        warnings.push(format!("{error}; training goes on without them"));
    }
    let (train, test) = split(&views, options, &mut warnings);
    if train.is_empty() {
        return Err(Error::NotADataset {
            path: photos.path.clone(),
            message: format!("{} views, and all of them are held out", views.len()),
            hint: "hold out none: --test-every 0",
        });
    }
    let scene_extent = extent(train.iter().map(|&i| views[i].center));
    Ok(Dataset { source, views, train, test, points, scene_extent, warnings })
}

/// Training and held-out views.
fn split(views: &[View], options: &Options, warnings: &mut Vec<String>) -> (Vec<usize>, Vec<usize>) {
    if let Some(list) = &options.test_list {
        let stem = |name: &str| Path::new(name).with_extension("");
        let is = |view: &View, name: &str| view.name == name || stem(&view.name) == Path::new(name);
        let unknown: Vec<_> = list.iter().filter(|n| !views.iter().any(|v| is(v, n))).collect();
        if let Some(first) = unknown.first() {
            warnings.push(format!(
                "{} of {} names in the list of held-out views are no view's; the first is {first}",
                unknown.len(),
                list.len()
            ));
        }
        return (0..views.len()).partition(|&i| !list.iter().any(|n| is(&views[i], n)));
    }
    let held_out = |i: &usize| options.test_every > 0 && i.is_multiple_of(options.test_every as usize);
    (0..views.len()).partition(|i| !held_out(i))
}

/// 1.1 x the largest distance from the mean; 1 where that is 0 (a single camera), so that learning rates
/// scaled by it do not vanish.
fn extent(centers: impl Iterator<Item = [f64; 3]> + Clone) -> f64 {
    let n = centers.clone().count() as f64;
    let mean = centers.clone().fold([0.0; 3], |m, c| std::array::from_fn(|k| m[k] + c[k] / n));
    let distance = |c: [f64; 3]| (0..3).map(|k| (c[k] - mean[k]).powi(2)).sum::<f64>().sqrt();
    let largest = centers.map(distance).fold(0.0, f64::max);
    if largest > 1e-9 { 1.1 * largest } else { 1.0 }
}

fn unknown(path: &Path) -> Error {
    let here = |name: &str| path.join(name).exists();
    let (message, hint) = if here("transforms.json") || here("transforms_train.json") {
        ("a transforms.json dataset, which is not read yet", "convert its poses to COLMAP with its own tool")
    } else if here("database.db") {
        ("a COLMAP database without a reconstruction", "reconstruct first: colmap automatic_reconstructor")
    } else {
        (
            "no dataset: neither sparse/0, sparse nor the folder itself holds cameras.bin or cameras.txt",
            "give the folder that holds `sparse` and `images`; COLMAP makes one from photographs",
        )
    };
    Error::NotADataset { path: path.into(), message: message.into(), hint }
}
