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
use super::{OpenOptions, colmap, metashape, opencv_cameras, polycam, realityscan, record3d, transforms};
use crate::{Error, Result, files};

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
static FORMATS: [Format; 9] = [
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
    Format { looks_for: "an .xml of Metashape", find: metashape::find, read: metashape::read },
    Format { looks_for: "a .csv of RealityScan's cameras", find: realityscan::find, read: realityscan::read },
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
        let message = if !path.exists() {
            "there is no such folder"
        } else if is_archive(path) {
            "this is an archive; unpack it, and give the folder"
        } else {
            "this is not a folder"
        };
        return Err(Error::UnknownDataset { path: path.into(), message: message.into(), nearby: None });
    }
    let found = FORMATS.iter().find_map(|format| Some((format, (format.find)(path)?)));
    let (format, found) = found.ok_or_else(|| unknown(path))?;
    let mut capture = (format.read)(path, &found, options)?;
    // What was looked for, and what was found in its place.
    let files = capture.file.file_name().map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
    // Metashape's file has the name that people give it.
    if files.chars().any(char::is_uppercase) && !files.to_lowercase().ends_with(".xml") {
        capture
            .warnings
            .push(format!("{} is read, whose name has other capitals than usual", capture.file.display()));
    }
    Ok(capture)
}

fn unknown(path: &Path) -> Error {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some((other, of, hint)) = exported(path) {
        return Error::NotADataset {
            path: path.into(),
            message: format!("{} is not read ({of})", other.strip_prefix(path).unwrap_or(&other).display()),
            hint,
        };
    }
    if let Some(found) = nearby(path) {
        let inside = found.strip_prefix(path).unwrap_or(&found).display().to_string();
        let message = format!("no dataset here, but there is one in {inside}");
        return Error::UnknownDataset { path: path.into(), message, nearby: Some(found) };
    }
    let archive = entries(path).into_iter().find(|p| is_archive(p));
    let message = if path.join("database.db").exists() {
        "there is a COLMAP database, but no reconstruction".into()
    } else if let Some(archive) = archive {
        format!("no dataset here, but an archive, {}, to be unpacked", name(&archive))
    } else {
        let looked_for: Vec<_> = FORMATS.iter().map(|format| format.looks_for).collect();
        format!("no dataset of a known format; looked for {}", looked_for.join("; "))
    };
    Error::UnknownDataset { path: path.into(), message, nearby: None }
}

const EXPORT: &str = "export the cameras in COLMAP's format, which RealityScan and others offer, or as transforms.json with \
                      nerfstudio's ns-process-data";
const REALITYSCAN: &str = "export the cameras from RealityScan as Registration, Internal/External camera parameters, or in \
                           COLMAP's format";
const METASHAPE: &str = "export the cameras from Metashape, as Agisoft XML (File, Export, Export Cameras), beside the photographs";
const CONVERT: &str = "write the poses as transforms.json or in COLMAP's text format, or reconstruct them anew from the \
                       photographs with COLMAP";

/// A file with camera poses in a format that is not read, whose format it is, and what helps.
fn exported(path: &Path) -> Option<(PathBuf, &'static str, &'static str)> {
    let finder = Finder::default();
    let names = [
        ("bundle.out", "Bundler", EXPORT),
        ("sfm_data.json", "OpenMVG", EXPORT),
        ("reconstruction.json", "OpenSfM", EXPORT),
        ("cameras.sfm", "Meshroom", EXPORT),
        ("meta_data.json", "SDFStudio", CONVERT),
        ("poses_bounds.npy", "poses of LLFF", CONVERT),
        ("cameras_sphere.npz", "cameras of NeuS", CONVERT),
        ("cameras.npz", "cameras of IDR", CONVERT),
        ("groundtruth.txt", "poses of TUM RGB-D", CONVERT),
        ("traj.txt", "poses of Replica", CONVERT),
        ("odometry.csv", "poses of Stray Scanner", CONVERT),
    ];
    let known = names.iter().find_map(|&(name, of, hint)| Some((finder.file(path, name)?, of, hint)));
    // By extension, where it may be, and what is near the beginning: this text, or a number.
    let contents = [
        ("csv", "", "#name,", "a table of RealityScan without angles and focal lengths", REALITYSCAN),
        ("xmp", "images", "capturingreality", "RealityScan's poses", EXPORT),
        ("xmp", "", "capturingreality", "RealityScan's poses", EXPORT),
        ("psx", "", "<document", "a project of Metashape", METASHAPE),
        ("rsproj", "", "<", "a project of RealityScan", EXPORT),
        ("rcproj", "", "<", "a project of RealityCapture", EXPORT),
        ("xml", "", "<BlocksExchange", "ContextCapture's block", EXPORT),
        ("nvm", "", "NVM_V3", "VisualSFM", EXPORT),
        ("json", "", "cameraPoseARFrame", "poses of 3D Scanner App", CONVERT),
        ("txt", "cams", "extrinsic", "cameras of MVSNet", CONVERT),
        ("txt", "pose", "", "poses of ScanNet or NSVF", CONVERT),
        ("txt", "poses", "", "poses of ScanNet or NSVF", CONVERT),
    ];
    known.or_else(|| {
        contents.iter().find_map(|&(extension, inside, mark, of, hint)| {
            let folder = if inside.is_empty() { path.into() } else { finder.folder(path, inside)? };
            let begins = |p: &PathBuf| {
                let start = files::start(p, 4096);
                let number = || matches!(start.trim_ascii_start(), [b'0'..=b'9' | b'-', ..]);
                if mark.is_empty() {
                    number()
                } else {
                    start.windows(mark.len()).any(|w| w == mark.as_bytes())
                }
            };
            // Datasets have one such file for all photographs, or one for each.
            Some((finder.files(&folder, &[extension]).into_iter().take(8).find(begins)?, of, hint))
        })
    })
}

/// The first dataset in a folder below `path`, or a file of poses under another name in it.
fn nearby(path: &Path) -> Option<PathBuf> {
    /// How deep, and how many folders, are looked through.
    const DEEPEST: usize = 3;
    const MOST: usize = 200;
    let is_json = |p: &PathBuf| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let has_poses = |p: &PathBuf| files::start(p, 1 << 16).windows(18).any(|w| w == b"\"transform_matrix\"");
    if let Some(file) = entries(path).into_iter().filter(is_json).find(has_poses) {
        return Some(file);
    }
    let folders = |of: &PathBuf| entries(of).into_iter().filter(|p| p.is_dir());
    let mut level = vec![path.to_path_buf()];
    for _ in 0..DEEPEST {
        level = level.iter().flat_map(folders).take(MOST).collect();
        let is_dataset = |p: &&PathBuf| FORMATS.iter().any(|format| (format.find)(p).is_some());
        if let Some(found) = level.iter().find(is_dataset) {
            return Some(found.clone());
        }
    }
    None
}

/// The entries of a folder that are not hidden, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let hidden = |p: &PathBuf| p.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
    let all = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<PathBuf> = all.filter(|p| !hidden(p)).collect();
    all.sort();
    all
}

fn is_archive(path: &Path) -> bool {
    let known = ["zip", "r3d", "7z", "rar", "tar", "gz", "tgz"];
    path.extension().is_some_and(|e| known.iter().any(|k| e.eq_ignore_ascii_case(k))) && path.is_file()
}
