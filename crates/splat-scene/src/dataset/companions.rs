//! Masks and depth maps beside the photographs: which file belongs to which view, and what its numbers mean.
//!
//! Masks are in `masks` (or `masks_N`, `mask` or another name of [`MASKS`]) in the naming of any exporter, or beside the
//! photographs under a name that says `mask`; black is ignored. A `dynamic_mask_a.png`, as instant-ngp defines it, is
//! the opposite. Depth maps are in `depths` (or `depth`), as 16-bit PNG or `.npy`. With a `depth_params.json` (in that folder, beside it or
//! beside the COLMAP model) they hold inverse depths, as the original trainer defines them. Without one they hold
//! depths along the camera's z axis: PNG in thousandths of a world unit, `.npy` in world units.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::capture::WorldPoint;
use super::find::Finder;
use crate::files::json;
use crate::image::depth::Meaning;
use crate::{Error, OpenOptions, Result, ply};

/// Folders of masks.
const MASKS: [&str; 5] = ["masks", "mask", "images_masks", "images_mask", "image_masks"];

/// Files of points beside the poses, as their exporters name them.
const CLOUDS: [&str; 4] = ["points3D.ply", "sparse_pc.ply", "pointcloud.ply", "sparse.ply"];

/// The points of the first file of points that is in one of `folders`; or else of a point cloud by another name, if there is one
/// alone, with a warning that says so.
pub(crate) fn cloud(
    finder: &Finder,
    folders: &[&Path],
    warnings: &mut Vec<String>,
) -> Result<Option<Vec<WorldPoint>>> {
    let mut files = CLOUDS.iter().flat_map(|name| folders.iter().map(move |folder| (folder, name)));
    if let Some(path) = files.find_map(|(folder, name)| finder.file(folder, name)) {
        return read_cloud(&path).map(Some);
    }
    let all: BTreeSet<PathBuf> = folders.iter().flat_map(|f| finder.files(f, &["ply"])).collect();
    let clouds: Vec<PathBuf> = all.into_iter().filter(|path| ply::is_point_cloud(path)).collect();
    match clouds.as_slice() {
        [] => Ok(None),
        [path] => {
            warnings.push(format!("the points are read from {}, the only point cloud there", path.display()));
            read_cloud(path).map(Some)
        }
        [first, rest @ ..] => {
            warnings.push(format!(
                "{} and {} more are point clouds, and none has the name of one ({}): none is read",
                first.display(),
                rest.len(),
                CLOUDS.join(", ")
            ));
            Ok(None)
        }
    }
}

/// The points of the PLY file `path`.
pub(crate) fn read_cloud(path: &Path) -> Result<Vec<WorldPoint>> {
    let world = |(position, color)| WorldPoint { position, color };
    Ok(ply::read_world_points(path)?.into_iter().map(world).collect())
}

/// What the numbers of depth maps mean when the dataset says nothing about them.
pub(crate) const UNDECLARED: Meaning = Meaning::Depth { png: 1e-3, npy: 1.0 };

/// The folders to look in.
#[derive(Debug)]
pub(crate) struct Companions {
    masks: Option<PathBuf>,
    depths: Option<PathBuf>,
    params: Option<BTreeMap<String, Params>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Params {
    scale: f64,
    offset: f64,
}

impl Companions {
    /// The folders that `options` name, or else the usual ones in `root` for photographs at 1/`reduction`.
    pub(crate) fn find(finder: &Finder, root: &Path, reduction: u32, options: &OpenOptions) -> Result<Self> {
        let given = |folder: &Option<PathBuf>, what| match folder {
            Some(path) if !path.is_dir() => Err(Error::MissingFolder { path: path.clone(), what }),
            other => Ok(other.clone()),
        };
        let usual = |names: &[&str]| names.iter().find_map(|n| finder.folder(root, n));
        let masks = given(&options.masks, "masks")?
            .or_else(|| usual(&[&format!("masks_{reduction}")]))
            .or_else(|| usual(&MASKS));
        let depths = given(&options.depths, "depth maps")?.or_else(|| usual(&["depths", "depth"]));
        let params = match &depths {
            Some(folder) => params(&[folder, root, &root.join("sparse/0"), &root.join("sparse")])?,
            None => None,
        };
        Ok(Self { masks, depths, params })
    }

    /// Whether there is a folder of masks.
    pub(crate) fn has_masks(&self) -> bool {
        self.masks.is_some()
    }

    /// Whether there is a folder of depth maps.
    pub(crate) fn has_depths(&self) -> bool {
        self.depths.is_some()
    }

    /// The mask file of the view `name` in the folder of masks.
    pub(crate) fn mask(&self, finder: &Finder, name: &str) -> Option<PathBuf> {
        finder.mask(self.masks.as_deref()?, name)
    }

    /// The depth map file of the view `name` and what its numbers mean. A map whose scale is not above 0, or more than
    /// five times off the median scale, is left out: fitting it to the points has failed.
    pub(crate) fn depth(&self, finder: &Finder, name: &str) -> Option<(PathBuf, Meaning)> {
        let path = finder.depth(self.depths.as_deref()?, name)?;
        let Some(params) = &self.params else { return Some((path, UNDECLARED)) };
        let stem = Path::new(name).with_extension("");
        let &Params { scale, offset } = params.get(stem.to_str()?).or_else(|| params.get(name))?;
        let mut scales: Vec<f64> = params.values().map(|p| p.scale).filter(|s| *s > 0.0).collect();
        scales.sort_by(f64::total_cmp);
        let median = scales.get(scales.len() / 2)?;
        let usable = offset.is_finite() && (0.2 * median..=5.0 * median).contains(&scale);
        usable.then_some((path, Meaning::Inverse { scale, offset }))
    }
}

fn params(folders: &[&Path]) -> Result<Option<BTreeMap<String, Params>>> {
    let Some(path) = folders.iter().map(|f| f.join("depth_params.json")).find(|p| p.is_file()) else {
        return Ok(None);
    };
    json::parse(&path, &crate::files::read(&path)?, "table of names with scale and offset").map(Some)
}
