//! `cameras.json`, which 3DGS trainers write beside their models: poses and intrinsics, but no photographs.
//!
//! `position` is the camera's centre and `rotation` its camera-to-world matrix, row by row; focal lengths are in pixels
//! of a `width` x `height` image. Positions are world coordinates of 64 bits, and are read about an origin of their own if they
//! are far from the world's. The principal point is `cx`, `cy` if given, else the middle of the image: most other
//! programs neither write nor read these two.

use std::path::Path;

use serde::{Deserialize, Serialize};
use splat_core::Camera;

use crate::files::json;
use crate::{Error, Origin, Place, Result, write_atomically};

/// A camera and the name of its photograph.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// `img_name`; empty if the file has none.
    pub name: String,
    /// The camera, local-to-camera, at the size that the file states.
    pub camera: Camera,
    /// Where the camera's coordinates lie in the world; the same for all cameras of a file.
    pub origin: Origin,
}

#[derive(Deserialize, Serialize)]
struct Raw {
    #[serde(default)]
    id: u64,
    #[serde(default)]
    img_name: String,
    width: u32,
    height: u32,
    position: [f64; 3],
    rotation: [[f64; 3]; 3],
    fx: f64,
    fy: f64,
    cx: Option<f64>,
    cy: Option<f64>,
}

/// Writes `entries` to `path` in their order.
///
/// # Errors
/// [`Error::Write`], naming `path`.
pub fn write(path: impl AsRef<Path>, entries: &[Entry]) -> Result<()> {
    let raw = |(id, Entry { name, camera, origin }): (usize, &Entry)| {
        let Camera { width, height, view, .. } = camera;
        let projection = camera.projection();
        let rotation: [[f64; 3]; 3] =
            std::array::from_fn(|world| std::array::from_fn(|axis| f64::from(view[4 * world + axis])));
        let local = rotation.map(|row| -(0..3).map(|k| row[k] * f64::from(view[12 + k])).sum::<f64>());
        let center = |side: u32, offset: f64| 0.5 * f64::from(side) * (1.0 + offset);
        Raw {
            id: id as u64,
            img_name: name.clone(),
            width: *width,
            height: *height,
            position: std::array::from_fn(|k| local[k] + origin.offset[k]),
            rotation,
            fx: 0.5 * f64::from(*width) * projection[0][0],
            fy: 0.5 * f64::from(*height) * projection[1][1],
            cx: Some(center(*width, projection[0][2])),
            cy: Some(center(*height, projection[1][2])),
        }
    };
    let raws: Vec<Raw> = entries.iter().enumerate().map(raw).collect();
    write_atomically(path, |out| Ok(serde_json::to_writer_pretty(out, &raws)?))
}

/// Reads a `cameras.json`.
///
/// # Errors
/// As [`parse`]; or the file cannot be read.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Entry>> {
    let path = path.as_ref();
    parse(path, &crate::files::read(path)?)
}

/// The cameras in `json`, in file order. `path` is only used to name the file in errors.
///
/// # Errors
/// [`Error::Malformed`]: not a JSON list of such cameras; a size of 0; a focal length that is not above 0; a rotation
/// whose rows are not orthonormal to 1e-2.
pub fn parse(path: &Path, json: &[u8]) -> Result<Vec<Entry>> {
    let raws: Vec<Raw> = json::parse(path, json, "list of cameras")?;
    let origin = Origin::choose(raws.iter().map(|raw| raw.position));
    let entry = |(i, raw): (usize, Raw)| {
        let Raw { img_name, width, height, position, rotation: r, fx, fy, cx, cy, .. } = raw;
        let orthonormal = (0..3).all(|a| {
            (0..3).all(|b| {
                let dot: f64 = (0..3).map(|k| r[a][k] * r[b][k]).sum();
                (dot - f64::from(u8::from(a == b))).abs() < 1e-2
            })
        });
        // JSON has no NaN or infinity, but 1e999 overflows to infinity.
        let usable = fx > 0.0 && fy > 0.0 && fx.is_finite() && fy.is_finite();
        let usable = usable && [cx, cy].iter().flatten().all(|x| x.is_finite());
        if width == 0 || height == 0 || !usable || !position.iter().all(|x| x.is_finite()) || !orthonormal {
            return Err(Error::Malformed {
                path: path.into(),
                place: Place::Byte(0),
                message: format!(
                    "camera {i} ({img_name}) is unusable: {width}x{height}, focal lengths {fx} and {fy}, \
                     position {position:?}, rotation {r:?} (must be orthonormal)"
                ),
            });
        }
        let to_camera: [[f64; 3]; 3] = std::array::from_fn(|a| std::array::from_fn(|b| r[b][a]));
        let translation = std::array::from_fn(|a| {
            -(0..3).map(|k| to_camera[a][k] * (position[k] - origin.offset[k])).sum::<f64>()
        });
        let center = [cx.unwrap_or(0.5 * f64::from(width)), cy.unwrap_or(0.5 * f64::from(height))];
        let intrinsics = [fx, fy, center[0], center[1]];
        let camera = Camera::from_pinhole(width, height, intrinsics, to_camera, translation);
        Ok(Entry { name: img_name, camera, origin })
    };
    raws.into_iter().enumerate().map(entry).collect()
}
