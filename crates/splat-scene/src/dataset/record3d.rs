//! Record3D's captures: `metadata` with the photographs in `rgbd/N.jpg` (an unpacked `.r3d`), or `metadata.json` with
//! `rgb/N.jpg` (its export of single frames).
//!
//! Poses are camera-to-world with OpenGL axes, in metres, as ARKit gives them: a quaternion xyzw and the camera's centre.
//! Depth maps are compressed with Apple's LZFSE and are not read.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::capture::{Broken, Capture, Intrinsics, Posed};
use super::find::Finder;
use super::poses::{Fault, Pose};
use super::text::{number, read_json};
use super::{companions, keys, photos};
use crate::{Error, OpenOptions, Place, Result};

/// The file of poses and the folder of photographs that go with it.
const LAYOUTS: [(&str, &str); 4] =
    [("metadata", "rgbd"), ("metadata", "rgb"), ("metadata.json", "rgb"), ("metadata.json", "rgbd")];

/// The file of poses, if there is a folder of photographs.
pub(crate) fn find(root: &Path) -> Option<PathBuf> {
    let finder = Finder::default();
    let has = |(file, folder): &(&str, &str)| {
        finder.folder(root, folder)?;
        finder.file(root, file)
    };
    LAYOUTS.iter().find_map(has)
}

pub(crate) fn read(root: &Path, path: &Path, options: &OpenOptions) -> Result<Capture> {
    let finder = Finder::default();
    let value = read_json(path, "metadata of Record3D")?;
    let nothing = Map::new();
    let whole = value.as_object().unwrap_or(&nothing);
    let Some(poses) = whole.get("poses").and_then(Value::as_array).filter(|poses| !poses.is_empty()) else {
        return Err(Error::Malformed {
            path: path.into(),
            place: Place::Line(1),
            message: "this is not a metadata of Record3D: there is no list `poses`".into(),
        });
    };
    let folder = ["rgbd", "rgb"].iter().find_map(|f| finder.folder(root, f));
    let folder = options.images.clone().or(folder).unwrap_or_else(|| root.into());
    let (mut posed, mut broken) = (Vec::new(), Vec::new());
    for (i, pose) in poses.iter().enumerate() {
        let name = finder.photo(&folder, &i.to_string());
        let name = name.and_then(|p| Some(p.file_name()?.to_str()?.to_owned())).unwrap_or(format!("{i}.jpg"));
        match view(whole, i, pose) {
            Ok((pose, intrinsics)) => posed.push(Posed::new(name, intrinsics, pose)),
            Err(fault) => broken.push(Broken::new(name, fault.message())),
        }
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut warnings = keys::warnings(keys::RECORD3D, &file, whole, &[]);
    Ok(Capture {
        source: format!("Record3D, {file}"),
        root: root.into(),
        file: path.into(),
        posed,
        broken,
        unused: Vec::new(),
        points: companions::cloud(&finder, &[root], &mut warnings)?.unwrap_or_default(),
        photos: photos::Folder { path: folder, reduction: 1 },
        warnings,
        reprojection: None,
    })
}

fn view(whole: &Map<String, Value>, i: usize, pose: &Value) -> Result<(Pose, Intrinsics), Fault> {
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().into_iter().flatten().map(|x| number(x).unwrap_or(f64::NAN)).collect()
    };
    let &[x, y, z, w, cx, cy, cz] = numbers(pose).as_slice() else {
        return Err(Fault::Broken(format!("its pose is {pose}, expected 7 numbers")));
    };
    let n = (x * x + y * y + z * z + w * w).sqrt();
    if !(n.is_finite() && n > 1e-6) {
        return Err(Fault::Broken(format!("its pose is {pose}, expected a finite quaternion that is not 0")));
    }
    let [x, y, z, w] = [x / n, y / n, z / n, w / n];
    let matrix = [
        vec![1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y), cx],
        vec![2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x), cy],
        vec![2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y), cz],
    ];
    let own = whole.get("perFrameIntrinsicCoeffs").and_then(|list| list.get(i)).map(numbers);
    let k = whole.get("K").map(numbers).unwrap_or_default();
    let intrinsics = match (own.as_deref(), k.as_slice()) {
        (Some(&[fx, fy, cx, cy, ..]), _) => [fx, fy, cx, cy],
        // Column by column.
        (_, &[fx, _, _, _, fy, _, cx, cy, _]) => [fx, fy, cx, cy],
        _ => {
            return Err(Fault::Broken("neither `K` nor `perFrameIntrinsicCoeffs` has its intrinsics".into()));
        }
    };
    let side = |key: &str| {
        whole.get(key).and_then(number).filter(|n| (1.0..=1048576.0).contains(n)).map(|n| n as u64)
    };
    let size = side("w").zip(side("h"));
    Ok((Pose::opengl_to_world(&matrix)?, Intrinsics { size, ..Intrinsics::known((1, 1), intrinsics) }))
}
