//! The dataset formats: one table, tried from top to bottom.
//!
//! To add a format:
//! 1. Write `dataset/NAME.rs` with a function that reads the format into a [`Capture`] (names, intrinsics, poses,
//!    points, where the photographs are). Everything after that is shared: `assemble.rs` finds and measures the
//!    photographs, scales cameras, matches masks and depth maps and splits the views.
//! 2. Add a row to [`FORMATS`] at the place of its priority, and a line to the documentation of [`Dataset::open`].
//! 3. List what its files can say in `dataset/keys/tables.rs`, and call `keys::warnings`.
//! 4. Add a small dataset to `tests/dataset_formats.rs` and to `datasets` in `tests/fuzz.rs`.
//! 5. Name the format in `docs/train.md` and `docs/datasets.md`.
//!
//! [`Dataset::open`]: crate::Dataset::open

use std::path::{Path, PathBuf};

use super::capture::Capture;
use super::find::Finder;
use super::{OpenOptions, colmap, opencv_cameras, polycam, record3d, transforms};
use crate::{Error, Result};

/// A dataset format.
struct Format {
    /// The file or folder that it is recognised by, for messages.
    looks_for: &'static str,
    /// That file or folder inside the dataset's folder, if it exists.
    find: fn(&Path) -> Option<PathBuf>,
    /// Reads the dataset in a folder from what `find` returned.
    read: fn(&Path, &Path, &OpenOptions) -> Result<Capture>,
}

/// The first format whose `find` succeeds is read.
static FORMATS: [Format; 7] = [
    Format {
        looks_for: "cameras.bin or cameras.txt in sparse/0, sparse/1, ..., sparse or the folder itself",
        find: |folder| colmap::find(folder),
        read: colmap::capture::read,
    },
    Format {
        looks_for: "transforms.json",
        find: |folder| file(folder, "transforms.json"),
        read: transforms::read,
    },
    Format {
        looks_for: "transforms_train.json",
        find: |folder| file(folder, "transforms_train.json"),
        read: transforms::read_synthetic,
    },
    Format {
        looks_for: "opencv_cameras.json",
        find: |folder| file(folder, "opencv_cameras.json"),
        read: opencv_cameras::read,
    },
    Format { looks_for: "keyframes/cameras", find: polycam::find, read: polycam::read },
    Format { looks_for: "metadata beside rgbd", find: record3d::find, read: record3d::read },
    // Where nerfstudio's tools leave the model.
    Format {
        looks_for: "colmap/sparse",
        find: |folder| colmap::find(Finder::default().folder(folder, "colmap")?),
        read: colmap::capture::read,
    },
];

fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    Finder::default().file(folder, name)
}

/// Reads the dataset in the folder `path`, or the one that the JSON file `path` describes.
pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Capture> {
    if path.is_file() && path.extension().is_some_and(|e| e == "json") {
        let root = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return transforms::read(root, path, options);
    }
    if !path.is_dir() {
        return Err(Error::NotADataset {
            path: path.into(),
            message: if path.exists() { "this is not a folder" } else { "there is no such folder" }.into(),
            hint: "give the folder that holds `sparse` and `images`, or a transforms.json",
        });
    }
    let found = FORMATS.iter().find_map(|format| Some((format, (format.find)(path)?)));
    let (format, found) = found.ok_or_else(|| unknown(path))?;
    let mut capture = (format.read)(path, &found, options)?;
    // What was looked for, and what was found in its place.
    let files = capture.file.file_name().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
    if files.chars().any(char::is_uppercase) {
        capture
            .warnings
            .push(format!("{} is read, whose name has other capitals than usual", capture.file.display()));
    }
    Ok(capture)
}

fn unknown(path: &Path) -> Error {
    if path.join("database.db").exists() {
        return Error::NotADataset {
            path: path.into(),
            message: "there is a COLMAP database, but no reconstruction".into(),
            hint: "reconstruct first: colmap automatic_reconstructor",
        };
    }
    // Exports of programs whose own formats are not read.
    let finder = Finder::default();
    let exported = ["cameras.xml", "bundle.out", "sfm_data.json", "reconstruction.json", "meta_data.json"];
    if let Some(other) = exported.iter().find_map(|name| finder.file(path, name)) {
        return Error::NotADataset {
            path: path.into(),
            message: format!("{} is not read", other.file_name().unwrap_or_default().to_string_lossy()),
            hint: "export the cameras in COLMAP's format (Metashape and RealityScan offer it), or as transforms.json with \
                   nerfstudio's ns-process-data",
        };
    }
    let looked_for: Vec<_> = FORMATS.iter().map(|format| format.looks_for).collect();
    Error::NotADataset {
        path: path.into(),
        message: format!("no dataset of a known format; looked for {}", looked_for.join("; ")),
        hint: "give the folder that holds `sparse` and `images`; COLMAP makes one from photographs",
    }
}
