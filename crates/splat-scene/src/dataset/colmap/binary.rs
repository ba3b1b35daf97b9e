//! COLMAP's binary files, little-endian: pure functions of the bytes. `path` is only used to name the file in errors.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Camera, CameraModel, Image, Point3d, Tracks, camera, pose};
use crate::files::cursor::Cursor;
use crate::{Error, Result};

/// Parses `cameras.bin`: a u64 count; per camera id u32, model i32, width u64, height u64, then the f64 parameters of
/// the model.
///
/// # Errors
/// Truncation, impossible counts or numbers, two cameras with the same id, an unknown camera model.
pub fn parse_cameras(path: &Path, data: &[u8]) -> Result<BTreeMap<u32, Camera>> {
    let mut c = Cursor::new(path, data);
    let n = c.count("cameras", 4 + 4 + 8 + 8 + 2 * 8)?;
    let mut cameras = BTreeMap::new();
    for i in 1..=n {
        let id = c.u32(&format!("the id of camera {i} of {n}"))?;
        let model = c.i32(&format!("the model of camera {id}"))?;
        let width = c.u64(&format!("the width of camera {id}"))?;
        let height = c.u64(&format!("the height of camera {id}"))?;
        let Some(model) = CameraModel::by_id(model) else {
            let model = if model == 17 { "EQUIRECTANGULAR".into() } else { format!("number {model}") };
            return Err(Error::CameraModel { path: path.into(), camera: format!("camera {id}"), model });
        };
        let numbers = format!("the {} intrinsics of camera {id}", model.numbers());
        let bytes = c.take(8 * model.numbers(), &numbers)?;
        let word = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("8 bytes of 8 N"));
        let numbers: Vec<f64> = bytes.chunks_exact(8).map(word).collect();
        let camera =
            camera(width, height, model, &numbers).map_err(|m| c.malformed(format!("camera {id}: {m}")))?;
        if cameras.insert(id, camera).is_some() {
            return Err(c.malformed(format!("camera {id} appears twice")));
        }
    }
    c.end("the last camera")?;
    Ok(cameras)
}

/// Parses `images.bin`: a u64 count; per image id u32, quaternion 4 f64, translation 3 f64, camera u32, name, a zero
/// byte, then a counted list of observations (x f64, y f64, point id i64), which may be empty.
///
/// # Errors
/// Truncation, impossible counts or numbers, a name that is not UTF-8.
pub fn parse_images(path: &Path, data: &[u8], tracks: Tracks) -> Result<Vec<Image>> {
    const OBSERVATION: usize = 24;
    let mut c = Cursor::new(path, data);
    let n = c.count("images", 4 + 7 * 8 + 4 + 1 + 8)?;
    let mut images = Vec::with_capacity(n);
    for i in 1..=n {
        let id = c.u32(&format!("the id of image {i} of {n}"))?;
        let q = c.f64s(&format!("the rotation of image {id}"))?;
        let t = c.f64s(&format!("the translation of image {id}"))?;
        let (rotation, translation) = pose(q, t);
        let camera = c.u32(&format!("the camera of image {id}"))?;
        let name = c.zero_terminated(&format!("the name of image {id}"))?.to_owned();
        let count = c.count("observations", OBSERVATION)?;
        let bytes = c.take(count * OBSERVATION, "observations")?;
        let observations = match tracks {
            Tracks::Skip => Vec::new(),
            Tracks::Keep => bytes
                .chunks_exact(OBSERVATION)
                .map(|b| {
                    let word = |k: usize| b[8 * k..8 * k + 8].try_into().expect("8 bytes of 24");
                    (f64::from_le_bytes(word(0)), f64::from_le_bytes(word(1)), i64::from_le_bytes(word(2)))
                })
                .collect(),
        };
        images.push(Image { id, rotation, translation, camera, name, observations });
    }
    c.end("the last image")?;
    Ok(images)
}

/// Parses `points3D.bin`: a u64 count; per point id u64, position 3 f64, RGB 3 u8, error f64, then a counted track of
/// (image id u32, observation index u32), which may be empty.
///
/// # Errors
/// Truncation, impossible counts or numbers.
pub fn parse_points(path: &Path, data: &[u8], tracks: Tracks) -> Result<Vec<Point3d>> {
    const TRACK: usize = 8;
    let mut c = Cursor::new(path, data);
    let n = c.count("points", 8 + 3 * 8 + 3 + 8 + 8)?;
    let mut points = Vec::with_capacity(n);
    for _ in 0..n {
        let id = c.u64("a point's id")?;
        let position = c.f64s("a point's position")?;
        let color = [c.u8("a point's red")?, c.u8("a point's green")?, c.u8("a point's blue")?];
        c.f64("a point's error")?;
        let count = c.count("track elements", TRACK)?;
        let bytes = c.take(count * TRACK, "a point's track")?;
        let track = match tracks {
            Tracks::Skip => Vec::new(),
            Tracks::Keep => bytes
                .chunks_exact(TRACK)
                .map(|b| {
                    let word =
                        |k: usize| u32::from_le_bytes(b[4 * k..4 * k + 4].try_into().expect("4 bytes of 8"));
                    (word(0), word(1))
                })
                .collect(),
        };
        points.push(Point3d { id, position, color, track });
    }
    c.end("the last point")?;
    Ok(points)
}
