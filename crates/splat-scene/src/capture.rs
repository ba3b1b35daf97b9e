//! What every format gives before photographs are looked for: names, poses, intrinsics, points.
//!
//! [`open`] decides which format a folder holds; the formats' own modules read it.

use std::path::{Path, PathBuf};

use crate::depth::Meaning;
use crate::lens::Lens;
use crate::poses::Pose;
use crate::{Error, Options, Point, Result, colmap, images, opencv_cameras, polycam, transforms};

/// A photograph that a dataset lists, and its camera.
#[derive(Debug)]
pub(crate) struct Posed {
    /// Relative to [`Capture::photos`].
    pub(crate) name: String,
    pub(crate) intrinsics: Intrinsics,
    pub(crate) lens: Option<Lens>,
    pub(crate) pose: Pose,
    /// The dataset's own split, where it has one.
    pub(crate) held_out: Option<bool>,
    /// Files that the dataset names for this view.
    pub(crate) mask: Option<PathBuf>,
    pub(crate) depth: Option<PathBuf>,
}

/// Intrinsics, of which formats leave out what they can.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Intrinsics {
    /// Width and height in pixels of the image that the others are for; None: the file's.
    pub(crate) size: Option<(u64, u64)>,
    /// In pixels.
    pub(crate) focal: [Option<f64>; 2],
    /// In pixels; None: the middle.
    pub(crate) center: [Option<f64>; 2],
    /// Fields of view in radians, where there is no focal length.
    pub(crate) angle: [Option<f64>; 2],
}

impl Intrinsics {
    /// All of them known.
    pub(crate) fn known(size: (u64, u64), [fx, fy, cx, cy]: [f64; 4]) -> Self {
        Self { size: Some(size), focal: [Some(fx), Some(fy)], center: [Some(cx), Some(cy)], angle: [None; 2] }
    }

    /// The size that they are for and `fx fy cx cy` there, for a file of `file` pixels; or what is wrong.
    pub(crate) fn resolve(&self, file: (u32, u32)) -> Result<((u64, u64), [f64; 4]), String> {
        let size = self.size.unwrap_or((file.0.into(), file.1.into()));
        let sides = [size.0 as f64, size.1 as f64];
        let focal = |k: usize| {
            self.focal[k].or_else(|| self.angle[k].map(|angle| 0.5 * sides[k] / (0.5 * angle).tan()))
        };
        // Square pixels, where only one of them is given.
        let (Some(fx), Some(fy)) = (focal(0).or(focal(1)), focal(1).or(focal(0))) else {
            return Err("neither a focal length nor an angle of view is given".into());
        };
        let [cx, cy] = [0, 1].map(|k| self.center[k].unwrap_or(0.5 * sides[k]));
        if !(fx.is_finite() && fy.is_finite() && fx > 0.0 && fy > 0.0) {
            return Err(format!("the focal lengths are {fx} and {fy}, expected finite numbers above 0"));
        }
        if !(cx.is_finite() && cy.is_finite()) {
            return Err(format!("the principal point is {cx}, {cy}, expected finite numbers"));
        }
        Ok((size, [fx, fy, cx, cy]))
    }
}

/// A dataset as its files describe it.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The format, and where it was found.
    pub(crate) source: String,
    /// The folder that holds everything.
    pub(crate) root: PathBuf,
    /// The file that the poses are from, for messages.
    pub(crate) file: PathBuf,
    pub(crate) posed: Vec<Posed>,
    pub(crate) points: Vec<Point>,
    pub(crate) photos: images::Folder,
    /// What the depth maps that the dataset names hold.
    pub(crate) depth: Meaning,
    pub(crate) warnings: Vec<String>,
}

/// Reads whatever dataset is in the folder `path`, or in the JSON file `path`.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Capture> {
    if path.is_file() && path.extension().is_some_and(|e| e == "json") {
        let root = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return transforms::open(root, &[path], options);
    }
    if !path.is_dir() {
        return Err(Error::NotADataset {
            path: path.into(),
            message: if path.exists() { "not a folder" } else { "there is no such folder" }.into(),
            hint: "give the folder that holds `sparse` and `images`, or transforms.json",
        });
    }
    if let Some(model) = colmap::find(path) {
        return from_colmap(path, &model, options);
    }
    let file = |name: &str| Some(path.join(name)).filter(|p| p.is_file());
    if let Some(json) = file("transforms.json") {
        return transforms::open(path, &[&json], options);
    }
    if let Some(train) = file("transforms_train.json") {
        let files = [Some(train), file("transforms_test.json")].into_iter().flatten().collect::<Vec<_>>();
        return transforms::open(path, &files.iter().map(PathBuf::as_path).collect::<Vec<_>>(), options);
    }
    if let Some(json) = file("opencv_cameras.json") {
        return opencv_cameras::open(path, &json, options);
    }
    if let Some(folder) = polycam::find(path) {
        return polycam::open(path, &folder, options);
    }
    // Where nerfstudio leaves it.
    let inner = path.join("colmap");
    if let Some(model) = colmap::find(&inner) {
        return from_colmap(path, &model, options);
    }
    Err(unknown(path))
}

fn unknown(path: &Path) -> Error {
    let (message, hint) = if path.join("database.db").exists() {
        ("a COLMAP database without a reconstruction", "reconstruct first: colmap automatic_reconstructor")
    } else {
        (
            "no dataset: neither cameras.bin nor cameras.txt in sparse/0, sparse or the folder itself, nor \
             transforms.json, transforms_train.json, opencv_cameras.json or keyframes/cameras",
            "give the folder that holds `sparse` and `images`; COLMAP makes one from photographs",
        )
    };
    Error::NotADataset { path: path.into(), message: message.into(), hint }
}

fn from_colmap(path: &Path, folder: &Path, options: &Options) -> Result<Capture> {
    let model = colmap::read(folder, colmap::Tracks::Skip)?;
    if model.images.is_empty() {
        return Err(Error::NotADataset {
            path: folder.into(),
            message: "a COLMAP model without images: nothing was registered".into(),
            hint: "look at the largest model that COLMAP made: sparse/0, sparse/1, ...",
        });
    }
    let points = model.points.iter();
    let point = |p: &colmap::Point3d| Point { position: p.position.map(|x| x as f32), color: p.color };
    let photos = match &options.images {
        Some(given) => images::Folder { path: given.clone(), reduction: 1 },
        None => photo_folder(path, folder, options.downscale)?,
    };
    let posed = model.images.iter().map(|image| {
        let camera = model.cameras[&image.camera];
        Posed {
            name: images::in_folder(&photos.path, &image.name),
            intrinsics: Intrinsics::known((camera.width, camera.height), camera.intrinsics),
            lens: camera.lens,
            pose: Pose { rotation: image.rotation_matrix(), translation: image.translation },
            held_out: None,
            mask: None,
            depth: None,
        }
    });
    let inside = folder.strip_prefix(path).unwrap_or(folder).display().to_string();
    Ok(Capture {
        source: if inside.is_empty() { "COLMAP".into() } else { format!("COLMAP, {inside}") },
        // The model's own folder may have been given, below the photographs.
        root: photos.path.parent().filter(|_| options.images.is_none()).unwrap_or(path).into(),
        file: colmap::file(folder, "images"),
        posed: posed.collect(),
        points: points.map(point).collect(),
        photos,
        depth: crate::companions::FOLDER_DEPTH,
        warnings: if colmap::file(folder, "points3D").is_file() {
            Vec::new()
        } else {
            vec![without_points(folder)]
        },
    })
}

fn without_points(folder: &Path) -> String {
    format!("{} has neither points3D.bin nor points3D.txt: no points", folder.display())
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
