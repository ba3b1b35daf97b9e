//! `transforms.json` of instant-ngp and nerfstudio (whose tools also write it for Polycam, Record3D, RealityCapture,
//! Metashape and others), and NeRF-synthetic's `transforms_train.json` and `transforms_test.json`.
//!
//! Poses are camera-to-world with OpenGL axes (x right, y up, z backward), in the file's own world frame: nerfstudio's
//! `applied_transform` is already applied to them and to its point cloud. Intrinsics are given per frame or once for
//! all frames, in pixels of a `w` x `h` image. Masks are black where the photograph is to be ignored. The unit of depth
//! maps depends on the dialect. Which keys are read, and what is made of the others, is the table in `keys`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::capture::{Broken, Capture, Posed, WorldPoint};
use super::find::Finder;
use super::frame::{Frame, Wrong};
use super::text::{number, read_json};
use super::{colmap, companions, keys, photos};
use crate::{Error, OpenOptions, Result};

/// From COLMAP's world to that of nerfstudio's files which do not say it.
const USUAL_TRANSFORM: [[f64; 4]; 3] = [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0]];

/// Reads the file `path` in the folder `root`.
pub(crate) fn read(root: &Path, path: &Path, options: &OpenOptions) -> Result<Capture> {
    read_files(root, &[path], options)
}

/// Reads NeRF-synthetic's `train` file in the folder `root`, and `transforms_test.json`, or else `transforms_val.json`, if
/// it exists. Beside test views those for validation are not used.
pub(crate) fn read_synthetic(root: &Path, train: &Path, options: &OpenOptions) -> Result<Capture> {
    let finder = Finder::default();
    let [test, val] = ["test", "val"].map(|split| finder.file(root, &format!("transforms_{split}.json")));
    let Some(held_out) = test.as_ref().or(val.as_ref()) else { return read(root, train, options) };
    let mut capture = read_files(root, &[train, held_out], options)?;
    if let (Some(_), Some(val)) = (&test, &val)
        && let Ok(value) = read_json(val, "list of cameras")
        && let Ok((_, frames)) = parts(val, &value)
    {
        let names = frames.iter().filter_map(|frame| frame.get("file_path")?.as_str());
        capture.unused.extend(names.map(|name| photos::below(&finder, root, name)));
    }
    Ok(capture)
}

/// Reads `files`; the views of the second one are held out.
fn read_files(root: &Path, files: &[&Path], options: &OpenOptions) -> Result<Capture> {
    let finder = Finder::default();
    let mut posed = Vec::new();
    let (mut broken, mut unused) = (Vec::new(), Vec::new());
    let mut points = Vec::new();
    let mut warnings = Vec::new();
    let nothing = Map::new();
    for (i, path) in files.iter().enumerate() {
        let value = read_json(path, "list of cameras")?;
        let (whole, frames) = parts(path, &value)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let objects: Vec<&Map<String, Value>> = frames.iter().filter_map(Value::as_object).collect();
        warnings.extend(keys::warnings(keys::TRANSFORMS, &name, whole, &objects));
        let split = Split::new(&finder, root, whole, (files.len() > 1).then_some(i > 0));
        let mut undeclared = 0;
        let before = posed.len();
        for (k, value) in frames.iter().enumerate() {
            let frame = Frame { own: value.as_object().unwrap_or(&nothing), all: whole };
            let file_path = frame.own.get("file_path").and_then(Value::as_str).unwrap_or_default();
            let listed = photos::below(&finder, root, file_path);
            if listed.is_empty() {
                let message = "it has no `file_path` that names a file";
                broken.push(Broken::new(format!("frame {k} of {name}"), message));
                continue;
            }
            let file = |listed: &str| Some(root.join(photos::below(&finder, root, listed)));
            undeclared += usize::from(frame.depth_is_undeclared());
            match frame.camera() {
                Ok((pose, intrinsics, lens)) => posed.push(Posed {
                    held_out: split.held_out(&listed),
                    name: listed,
                    intrinsics,
                    lens,
                    pose,
                    mask: frame.mask().and_then(file),
                    depth: frame.depth().and_then(|(listed, meaning)| Some((file(listed)?, meaning))),
                }),
                Err(Wrong::Broken(message)) => broken.push(Broken::new(file_path, message)),
                Err(Wrong::Contradiction(message)) => {
                    return Err(Error::Camera { path: (*path).into(), camera: file_path.into(), message });
                }
                Err(Wrong::Model(model)) => broken.push(Broken::with_model(file_path, model)),
            }
        }
        if undeclared > 0 {
            warnings.push(format!(
                "{undeclared} frames of {name} have a `depth_path`, but the file has no `integer_depth_scale`: the \
                 numbers are taken for thousandths of a world unit"
            ));
        }
        if i == 0 {
            points = cloud(&finder, root, whole, &mut warnings)?;
        }
        let read = posed.len();
        unused.extend(posed.iter().map(|p| p.name.clone()).filter(|name| split.drops(name)));
        posed.retain(|p| !split.drops(&p.name));
        if read > posed.len() {
            warnings.push(format!(
                "{} of {} views of {} are left out: its lists of views for training and testing do not name them",
                read - posed.len(),
                read - before,
                path.display()
            ));
        }
    }
    let file: PathBuf = files[0].into();
    if posed.is_empty() && broken.is_empty() {
        return Err(Error::NotADataset {
            path: file,
            message: "the file has no frames".into(),
            hint: "export the cameras again: the list `frames` is empty",
        });
    }
    let photos = photos(&finder, root, &mut posed, options)?;
    let names: Vec<_> = files.iter().map(|f| f.file_name().unwrap_or_default().to_string_lossy()).collect();
    let synthetic = names[0].eq_ignore_ascii_case("transforms_train.json");
    let format = if synthetic { "NeRF-synthetic" } else { "nerfstudio / instant-ngp" };
    Ok(Capture {
        source: format!("{format}, {}", names.join(" + ")),
        root: root.into(),
        file,
        posed,
        broken,
        unused,
        points,
        photos,
        warnings,
        reprojection: None,
    })
}

/// The file's own keys and its list of frames.
pub(super) fn parts<'a>(path: &Path, value: &'a Value) -> Result<(&'a Map<String, Value>, &'a [Value])> {
    let parts =
        value.as_object().and_then(|whole| Some((whole, whole.get("frames")?.as_array()?.as_slice())));
    parts.ok_or_else(|| Error::Malformed {
        path: path.into(),
        place: crate::Place::Line(1),
        message: "this is not a list of cameras: there is no list `frames`".into(),
    })
}

/// The points that the file names, or else those beside it, or else those of nerfstudio's COLMAP model.
fn cloud(
    finder: &Finder,
    root: &Path,
    whole: &Map<String, Value>,
    warnings: &mut Vec<String>,
) -> Result<Vec<WorldPoint>> {
    if let Some(listed) = whole.get("ply_file_path").and_then(Value::as_str) {
        let name = photos::below(finder, root, listed);
        match finder.below(root, &name) {
            Some(path) => return companions::read_cloud(&path),
            None => {
                warnings.push(format!("{} does not exist: the points are missing", root.join(name).display()))
            }
        }
    }
    if let Some(points) = companions::cloud(finder, &[root], warnings)? {
        return Ok(points);
    }
    let Some(folder) = colmap::find(root.join("colmap")) else { return Ok(Vec::new()) };
    let listed = |r: usize, c: usize| number(whole.get("applied_transform")?.get(r)?.get(c)?);
    let m: [[f64; 4]; 3] =
        std::array::from_fn(|r| std::array::from_fn(|c| listed(r, c).unwrap_or(USUAL_TRANSFORM[r][c])));
    let scale = whole.get("applied_scale").and_then(number).unwrap_or(1.0);
    let model = colmap::read(&folder, colmap::Tracks::Skip)?;
    warnings.extend(model.warnings);
    let world = |p: [f64; 3]| m.map(|row| scale * (row[0] * p[0] + row[1] * p[1] + row[2] * p[2] + row[3]));
    Ok(model.points.iter().map(|p| WorldPoint { position: world(p.position), color: p.color }).collect())
}

/// Where the photographs are: in `images` or `images_N` if the file lists all of them there, else where it lists them, or
/// else in a folder beside the file.
fn photos(
    finder: &Finder,
    root: &Path,
    posed: &mut [Posed],
    options: &OpenOptions,
) -> Result<photos::Folder> {
    let usual = |name: &str| {
        let (folder, _) = name.split_once('/')?;
        let number = folder.to_ascii_lowercase();
        let number = number.strip_prefix("images")?.trim_start_matches('_');
        (number.is_empty() || number.parse::<u32>().is_ok()).then_some(folder.len() + 1)
    };
    let strip = posed.iter().all(|p| usual(&p.name).is_some());
    if strip {
        for p in posed.iter_mut() {
            let cut = usual(&p.name).expect("all have one");
            p.name.drain(..cut);
        }
    }
    match &options.images {
        Some(given) => Ok(photos::Folder { path: given.clone(), reduction: 1 }),
        None => {
            let names: Vec<&str> = posed.iter().map(|p| p.name.as_str()).collect();
            let search = || photos::search(finder, root, root, &names);
            if strip {
                return photos::choose(root, options.downscale).or_else(|missing| search().ok_or(missing));
            }
            Ok(search().unwrap_or_else(|| photos::Folder { path: root.into(), reduction: 1 }))
        }
    }
}

/// The dataset's own lists of views.
struct Split {
    /// The half of the split that all views of the file belong to.
    all: Option<bool>,
    train: Option<BTreeSet<String>>,
    test: Option<BTreeSet<String>>,
}

impl Split {
    fn new(finder: &Finder, root: &Path, whole: &Map<String, Value>, all: Option<bool>) -> Self {
        let set = |key: &str| {
            let list = whole.get(key)?.as_array().filter(|list| !list.is_empty())?;
            Some(list.iter().filter_map(Value::as_str).map(|n| photos::below(finder, root, n)).collect())
        };
        let test = set("test_filenames").or_else(|| set("val_filenames"));
        Self { all, train: set("train_filenames"), test }
    }

    fn held_out(&self, name: &str) -> Option<bool> {
        self.all.or_else(|| self.test.as_ref().map(|test| test.contains(name)))
    }

    /// Whether there are two lists and `name` is in neither.
    fn drops(&self, name: &str) -> bool {
        match (&self.train, &self.test) {
            (Some(train), Some(test)) => !train.contains(name) && !test.contains(name),
            _ => false,
        }
    }
}
