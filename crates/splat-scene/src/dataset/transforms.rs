//! `transforms.json` of instant-ngp and nerfstudio (whose tools also write it for Polycam, Record3D and others), and
//! NeRF-synthetic's `transforms_train.json` and `transforms_test.json`.
//!
//! Poses are camera-to-world with OpenGL axes (x right, y up, z backward), in the file's own world frame: nerfstudio's
//! `applied_transform` is already applied to them and to its point cloud. Intrinsics are given per frame or once for
//! all frames, in pixels of a `w` x `h` image. Masks are black where the photograph is to be ignored. Depth maps are
//! in units of `depth_unit_scale_factor` world units (1/1000 by default, as in nerfstudio).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::capture::{Capture, Intrinsics, Posed};
use super::photos;
use super::poses::Pose;
use crate::files::json;
use crate::image::depth::Meaning;
use crate::image::lens::{CameraModel, Lens};
use crate::{Error, OpenOptions, Result, ply};

/// What may be given per frame or once for all frames.
#[derive(Debug, Default, Deserialize)]
struct Camera {
    camera_model: Option<String>,
    is_fisheye: Option<bool>,
    w: Option<f64>,
    h: Option<f64>,
    fl_x: Option<f64>,
    fl_y: Option<f64>,
    cx: Option<f64>,
    cy: Option<f64>,
    camera_angle_x: Option<f64>,
    camera_angle_y: Option<f64>,
    k1: Option<f64>,
    k2: Option<f64>,
    k3: Option<f64>,
    k4: Option<f64>,
    p1: Option<f64>,
    p2: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Frame {
    file_path: String,
    transform_matrix: Vec<Vec<f64>>,
    #[serde(alias = "mask_file_path")]
    mask_path: Option<String>,
    #[serde(alias = "depth_path")]
    depth_file_path: Option<String>,
    #[serde(flatten)]
    camera: Camera,
}

#[derive(Debug, Deserialize)]
struct File {
    frames: Vec<Frame>,
    #[serde(flatten)]
    camera: Camera,
    ply_file_path: Option<String>,
    depth_unit_scale_factor: Option<f64>,
    train_filenames: Option<Vec<String>>,
    val_filenames: Option<Vec<String>>,
    test_filenames: Option<Vec<String>>,
}

/// Reads the file `path` in the folder `root`.
pub(crate) fn read(root: &Path, path: &Path, options: &OpenOptions) -> Result<Capture> {
    read_files(root, &[path], options)
}

/// Reads NeRF-synthetic's `train` file in the folder `root`, and `transforms_test.json` if it exists.
pub(crate) fn read_synthetic(root: &Path, train: &Path, options: &OpenOptions) -> Result<Capture> {
    let test = root.join("transforms_test.json");
    if test.is_file() { read_files(root, &[train, &test], options) } else { read(root, train, options) }
}

/// Reads `files`; the views of the second one are held out.
fn read_files(root: &Path, files: &[&Path], options: &OpenOptions) -> Result<Capture> {
    let mut posed = Vec::new();
    let mut points = Vec::new();
    let mut warnings = Vec::new();
    let mut unit = 1e-3;
    for (i, path) in files.iter().enumerate() {
        let file: File = json::parse(path, &fs_err::read(path)?, "list of cameras")?;
        let split = Split::new(root, &file, (files.len() > 1).then_some(i > 0));
        unit = file.depth_unit_scale_factor.unwrap_or(unit);
        for frame in &file.frames {
            posed.push(frame.posed(root, &file.camera, &split).map_err(|(camera, what)| match what {
                Wrong::Model(model) => Error::CameraModel { path: (*path).into(), camera, model },
                Wrong::Numbers(message) => Error::Camera { path: (*path).into(), camera, message },
            })?);
        }
        if i == 0 {
            let listed = file.ply_file_path.as_deref().map(|p| root.join(photos::below(root, p)));
            let usual = root.join("sparse_pc.ply");
            match listed.or_else(|| usual.is_file().then_some(usual)) {
                Some(cloud) if cloud.is_file() => points = ply::read_points(&cloud)?,
                Some(cloud) => warnings.push(format!("{} does not exist: no points", cloud.display())),
                None => {}
            }
        }
        let before = posed.len();
        posed.retain(|p| !split.drops(&p.name));
        if before > posed.len() {
            warnings.push(format!(
                "{} of {before} views of {} are left out: its lists of views for training and testing do not name them",
                before - posed.len(),
                path.display()
            ));
        }
    }
    let file: PathBuf = files[0].into();
    if posed.is_empty() {
        return Err(Error::NotADataset {
            path: file,
            message: "the file has no frames".into(),
            hint: "export the cameras again: the list `frames` is empty",
        });
    }
    let photos = photos(root, &mut posed, options)?;
    let names: Vec<_> = files.iter().map(|f| f.file_name().unwrap_or_default().to_string_lossy()).collect();
    let synthetic = names[0] == "transforms_train.json";
    let format = if synthetic { "NeRF-synthetic" } else { "nerfstudio / instant-ngp" };
    Ok(Capture {
        source: format!("{format}, {}", names.join(" + ")),
        root: root.into(),
        file,
        posed,
        points,
        photos,
        depth: Meaning::Depth { png: unit, npy: unit },
        warnings,
    })
}

/// Where the photographs are: in `images` or `images_N` if the file lists all of them there, else where it lists them.
fn photos(root: &Path, posed: &mut [Posed], options: &OpenOptions) -> Result<photos::Folder> {
    let usual = |name: &str| {
        let (folder, _) = name.split_once('/')?;
        let number = folder.strip_prefix("images")?.trim_start_matches('_');
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
        None if strip => photos::choose(root, options.downscale),
        None => Ok(photos::Folder { path: root.into(), reduction: 1 }),
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
    fn new(root: &Path, file: &File, all: Option<bool>) -> Self {
        let set = |list: &Option<Vec<String>>| {
            let list = list.as_ref().filter(|l| !l.is_empty())?;
            Some(list.iter().map(|n| photos::below(root, n)).collect())
        };
        let test = set(&file.test_filenames).or_else(|| set(&file.val_filenames));
        Self { all, train: set(&file.train_filenames), test }
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

enum Wrong {
    Model(String),
    Numbers(String),
}

impl Frame {
    /// The view; an error is its name and what is wrong with it.
    fn posed(&self, root: &Path, all: &Camera, split: &Split) -> Result<Posed, (String, Wrong)> {
        let wrong = |message| (self.file_path.clone(), Wrong::Numbers(message));
        let pose = Pose::opengl_to_world(&self.transform_matrix).map_err(wrong)?;
        let name = photos::below(root, &self.file_path);
        if name.is_empty() {
            return Err(wrong("`file_path` names no file".into()));
        }
        let file = |listed: &Option<String>| Some(root.join(photos::below(root, listed.as_deref()?)));
        Ok(Posed {
            held_out: split.held_out(&name),
            name,
            intrinsics: self.camera.intrinsics(all).map_err(wrong)?,
            lens: self.camera.lens(all).map_err(|w| (self.file_path.clone(), w))?,
            pose,
            mask: file(&self.mask_path),
            depth: file(&self.depth_file_path),
        })
    }
}

impl Camera {
    /// The intrinsics of this frame, or else those that hold for all frames.
    fn intrinsics(&self, all: &Self) -> Result<Intrinsics, String> {
        let side = |n: Option<f64>| match n {
            // Some exporters write 360.0.
            Some(n) if n.fract() == 0.0 && (1.0..=1048576.0).contains(&n) => Ok(Some(n as u64)),
            Some(n) => Err(format!("a side of the image is {n} pixels, expected 1 to 1048576")),
            None => Ok(None),
        };
        let focal = [self.fl_x.or(all.fl_x), self.fl_y.or(all.fl_y)];
        let angle = |a: Option<f64>| match a {
            // Some exporters write an angle of 0 beside a focal length.
            _ if focal != [None; 2] => Ok(None),
            Some(a) if !(a > 0.0 && a < std::f64::consts::PI) => {
                Err(format!("the angle of view is {a} radians, expected 0 to pi"))
            }
            other => Ok(other),
        };
        let size = side(self.w.or(all.w))?.zip(side(self.h.or(all.h))?);
        Ok(Intrinsics {
            size,
            focal,
            center: [self.cx.or(all.cx), self.cy.or(all.cy)],
            angle: [
                angle(self.camera_angle_x.or(all.camera_angle_x))?,
                angle(self.camera_angle_y.or(all.camera_angle_y))?,
            ],
        })
    }

    fn lens(&self, all: &Self) -> Result<Option<Lens>, Wrong> {
        let k = [self.k1.or(all.k1), self.k2.or(all.k2), self.k3.or(all.k3), self.k4.or(all.k4)];
        let k = k.map(Option::unwrap_or_default);
        let p = [self.p1.or(all.p1), self.p2.or(all.p2)].map(Option::unwrap_or_default);
        let model = self.camera_model.as_deref().or(all.camera_model.as_deref());
        let fisheye = self.is_fisheye.or(all.is_fisheye).unwrap_or(false);
        match model {
            Some("OPENCV_FISHEYE" | "FISHEYE") => {}
            _ if fisheye => {}
            None
            | Some("OPENCV" | "PINHOLE" | "SIMPLE_PINHOLE" | "SIMPLE_RADIAL" | "RADIAL" | "PERSPECTIVE") => {
                return Lens::polynomial(k, p).map_err(Wrong::Numbers);
            }
            Some(other) => return Err(Wrong::Model(other.into())),
        }
        let model = CameraModel::by_name("OPENCV_FISHEYE").expect("one of COLMAP's models");
        // The focal length and principal point are not part of the lens.
        let numbers = [1.0, 1.0, 0.0, 0.0, k[0], k[1], k[2], k[3]];
        model.camera(&numbers).map(|(_, lens)| lens).map_err(Wrong::Numbers)
    }
}
