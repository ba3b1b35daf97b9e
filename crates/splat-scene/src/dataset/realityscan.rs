//! RealityScan's table of cameras (`Export`, `Registration`, "Internal/External camera parameters"): a `.csv` file whose header
//! has `#name,x,y,alt,heading,pitch,roll,f` and more, beside the photographs or above their folder `images`.
//!
//! Angles are degrees, places world units. Camera to world is `Rz(-heading) Rx(pitch) Ry(roll)` with the axes of OpenGL. Source:
//! RealityScan's own two exports of one camera, angles and matrix (the test of this module). `f` is the focal length on film of
//! 36 mm, and `px py` are distances of the principal point from the middle of the image; both scale with its longer side.
//! Source: the variables of RealityScan's export templates, `f*scale` and `px*scale+0.5*width`. `k1` to `k4` are radial
//! distortion of normalised coordinates, as AliceVision's importer of these cameras has it. It is not known which of
//! OpenCV's `p1 p2` is `t1`, and a `k1` alone may be that of the division model: such cameras are left out by name.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::capture::{Broken, Capture, Intrinsics, Posed};
use super::find::Finder;
use super::poses::{Pose, usable};
use super::text::decode;
use super::{companions, keys, photos};
use crate::image::lens::Lens;
use crate::{Error, OpenOptions, Result, files};

/// The columns without which there is no camera.
const NEEDED: [&str; 8] = ["name", "x", "y", "alt", "heading", "pitch", "roll", "f"];

/// The names of the columns, in small letters, and the rows after them.
fn table(text: &str) -> Option<(Vec<String>, impl Iterator<Item = (usize, &str)>)> {
    let mut lines =
        text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    // In front there may be the number of cameras.
    let header = lines.by_ref().take(2).map(|(_, l)| l).find(|l| l.starts_with("#name"))?;
    let columns: Vec<String> = header[1..].split(',').map(|c| c.trim().to_lowercase()).collect();
    let whole = columns[0] == NEEDED[0] && NEEDED.iter().all(|needed| columns.iter().any(|c| c == needed));
    whole.then_some((columns, lines.map(|(i, line)| (i + 1, line))))
}

/// The first table of cameras in a folder.
pub(crate) fn find(folder: &Path) -> Option<PathBuf> {
    let is_table = |p: &PathBuf| table(&decode(&files::start(p, 4096))).is_some();
    Finder::default().files(folder, &["csv"]).into_iter().find(is_table)
}

pub(crate) fn read(root: &Path, path: &Path, options: &OpenOptions) -> Result<Capture> {
    let bytes = files::read(path)?;
    let text = decode(&bytes);
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let changed = || Error::NotADataset {
        path: path.into(),
        message: "the table of cameras was changed while it was read".into(),
        hint: "export the cameras again",
    };
    let (columns, rows) = table(&text).ok_or_else(changed)?;
    let (mut posed, mut broken) = (Vec::new(), Vec::new());
    for (line, row) in rows {
        match camera(&columns, row) {
            Ok(camera) => posed.push(camera),
            Err((name, message)) => broken.push(Broken::new(name, format!("line {line}: {message}"))),
        }
    }
    if posed.is_empty() && broken.is_empty() {
        return Err(Error::NotADataset {
            path: path.into(),
            message: "a table of cameras without a camera".into(),
            hint: "align the photographs in RealityScan, and export the cameras again",
        });
    }
    let said: Map<String, Value> = columns.iter().map(|c| (c.clone(), Value::Bool(true))).collect();
    let mut warnings = keys::warnings(keys::REALITYSCAN, &file, &said, &[]);
    let finder = Finder::default();
    let photos = photos::of(&finder, root, options, &mut posed)?;
    Ok(Capture {
        source: format!("RealityScan, {file}"),
        root: root.into(),
        file: path.into(),
        posed,
        broken,
        unused: Vec::new(),
        points: companions::cloud(&finder, &[root], &mut warnings)?.unwrap_or_default(),
        photos,
        warnings,
        reprojection: None,
    })
}

/// The camera of a row, or its name and what is wrong with it.
fn camera(columns: &[String], row: &str) -> Result<Posed, (String, String)> {
    // The name is the first column, and may have commas in it.
    let surplus = row.split(',').count().saturating_sub(columns.len());
    let end = row.match_indices(',').nth(surplus).map_or(row.len(), |(at, _)| at);
    let name = row[..end].trim().trim_matches('"').replace('\\', "/");
    let fields: Vec<&str> = std::iter::once("").chain(row[end..].split(',').skip(1)).map(str::trim).collect();
    let at = |name: &str| columns.iter().position(|c| c == name);
    let number = |column: &str| match at(column).map(|i| fields.get(i).copied().unwrap_or_default()) {
        None => Ok(0.0),
        Some(text) => match text.parse() {
            Ok(x) if usable(x) => Ok(x),
            _ => Err((name.clone(), format!("`{column}` is {text:?}, expected a finite number"))),
        },
    };
    let center = [number("x")?, number("y")?, number("alt")?];
    let rotation = rotation([number("heading")?, number("pitch")?, number("roll")?]);
    let [k1, k2, k3, k4] = [number("k1")?, number("k2")?, number("k3")?, number("k4")?];
    let (t1, t2) = (number("t1")?, number("t2")?);
    if t1 != 0.0 || t2 != 0.0 {
        let message = format!(
            "its tangential distortion is {t1} and {t2}, expected 0 and 0: programs disagree on the order; export with \
             the model Brown3, or undistorted photographs with COLMAP's format"
        );
        return Err((name, message));
    }
    if k1 != 0.0 && k2 == 0.0 && k3 == 0.0 && k4 == 0.0 {
        let message = format!(
            "its distortion is `k1` {k1} alone, which may be that of the division model: the file does not say; export \
             with the model Brown3, or undistorted photographs with COLMAP's format"
        );
        return Err((name, message));
    }
    let film = [number("f")? / 36.0, number("px")?, number("py")?];
    let lens = Lens::polynomial([k1, k2, k3, k4], [0.0; 2]).map_err(|message| (name.clone(), message))?;
    let intrinsics = Intrinsics { film: Some(film), ..Intrinsics::default() };
    Ok(Posed { lens, ..Posed::new(name, intrinsics, Pose::at(rotation, center)) })
}

/// World to camera with the axes of OpenCV, row by row, from angles in degrees.
fn rotation(angles: [f64; 3]) -> [[f64; 3]; 3] {
    let [(sh, ch), (sp, cp), (sr, cr)] = angles.map(|degrees| degrees.to_radians().sin_cos());
    // The columns of `Rz(-heading) Rx(pitch) Ry(roll)` are right, up and back.
    let right = [ch * cr + sh * sp * sr, -sh * cr + ch * sp * sr, -cp * sr];
    let up = [sh * cp, ch * cp, sp];
    let back = [ch * sr - sh * sp * cr, -sh * sr - ch * sp * cr, cp * cr];
    [right, up.map(|x| -x), back.map(|x| -x)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A camera that RealityCapture exported both as angles and as a matrix, world to camera, published in the forum of its
    /// maker ("Different rotation of cameras in XMP and CSV").
    #[test]
    fn angles_give_the_matrix_of_the_same_camera() {
        let matrix = [
            [0.982594073038806, 0.185426733553445, -0.0112166890261935],
            [-0.032113633044729, 0.11008102707942, -0.993403685341366],
            [-0.18296885582437, 0.976472781986697, 0.114119690840277],
        ];
        let found = rotation([163.736597399311, 83.4154313461628, 174.386496244756]);
        for (a, b) in found.iter().flatten().zip(matrix.iter().flatten()) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn rows_that_are_no_camera_say_why() {
        let columns: Vec<String> = "name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2"
            .split(',')
            .map(String::from)
            .collect();
        let of = |row: &str| camera(&columns, row);
        let good = of("a,b.jpg,1,2,3,10,20,30,36,0.01,-9.5e-004,0.1,0.01,0,0,0,0").unwrap();
        assert_eq!((good.name.as_str(), good.intrinsics.film), ("a,b.jpg", Some([1.0, 0.01, -9.5e-4])));
        for (c, x) in good.pose.center().iter().zip([1.0, 2.0, 3.0]) {
            assert!((c - x).abs() < 1e-12);
        }
        for (row, says) in [
            ("a,1,2,3,10,20,thirty,36,0,0,0,0,0,0,0,0", "`roll` is \"thirty\""),
            ("a,1,2,3", "`heading` is \"\""),
            ("a,1,2,3,1,2,3,36,0,0,0,0,0,0,0.1,0", "tangential"),
            ("a,1,2,3,1,2,3,36,0,0,0.1,0,0,0,0,0", "division"),
            ("a,inf,2,3,1,2,3,36,0,0,0,0,0,0,0,0", "`x` is \"inf\""),
        ] {
            let (name, message) = of(row).unwrap_err();
            assert!(name == "a" && message.contains(says), "{row}: {message}");
        }
    }
}
