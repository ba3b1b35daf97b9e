//! COLMAP's binary files, little-endian: pure functions of the bytes. `path` is only used to name the file in errors.

use std::collections::BTreeMap;
use std::path::Path;

use super::{BadCamera, CameraModel, Cameras, Image, Parsed, Point3d, Tracks, camera, insert, pose, sample};
use crate::dataset::text::decode;
use crate::files::cursor::Cursor;
use crate::{Error, Result};

/// No camera model has more parameters.
const MOST_NUMBERS: usize = 16;

/// Parses `cameras.bin`: a u64 count; per camera id u32, model i32, width u64, height u64, then the f64 parameters of
/// the model. A camera that cannot be used is kept as such; so is one of an unknown model, if one number of
/// parameters makes the file end where it should.
///
/// # Errors
/// Truncation, an impossible count, cameras of an unknown model between others if no number of parameters fits.
pub fn parse_cameras(path: &Path, data: &[u8]) -> Result<Parsed<Cameras>> {
    let (parsed, unknown, _) = cameras_with(path, data, 0)?;
    let Some((id, model)) = unknown else { return Ok(parsed) };
    let fitting = (0..=MOST_NUMBERS).filter_map(|n| {
        let (parsed, _, ends) = cameras_with(path, data, n).ok()?;
        ends.then_some(parsed)
    });
    // A wrong number takes other bytes for a model, which is hardly a known one.
    let unknown = |parsed: &Parsed<Cameras>| {
        parsed.records.values().filter(|c| matches!(c, Err(BadCamera::Model(_)))).count()
    };
    fitting.min_by_key(unknown).ok_or(Error::CameraModel {
        path: path.into(),
        camera: format!("camera {id}"),
        model,
    })
}

/// Id and model of a camera of a model that is not known.
type Unknown = (u32, String);

/// The cameras if those of unknown models have `unknown` parameters, the first of these, and whether the file ends with the
/// last camera.
fn cameras_with(
    path: &Path,
    data: &[u8],
    unknown: usize,
) -> Result<(Parsed<Cameras>, Option<Unknown>, bool)> {
    let mut c = Cursor::new(path, data);
    let n = c.count("cameras", 4 + 4 + 8 + 8 + 2 * 8)?;
    let (mut cameras, mut first) = (BTreeMap::new(), None);
    for i in 1..=n {
        let id = c.u32(&format!("the id of camera {i} of {n}"))?;
        let model = c.i32(&format!("the model of camera {id}"))?;
        let width = c.u64(&format!("the width of camera {id}"))?;
        let height = c.u64(&format!("the height of camera {id}"))?;
        let found = match CameraModel::by_id(model) {
            Some(model) => {
                let numbers = format!("the {} intrinsics of camera {id}", model.numbers());
                let bytes = c.take(8 * model.numbers(), &numbers)?;
                let word = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("8 bytes of 8 N"));
                let numbers: Vec<f64> = bytes.chunks_exact(8).map(word).collect();
                camera(width, height, model, &numbers)
            }
            None => {
                let model = if model == 17 { "EQUIRECTANGULAR".into() } else { format!("number {model}") };
                first.get_or_insert((id, model.clone()));
                c.take(8 * unknown, "the intrinsics")?;
                Err(BadCamera::Model(model))
            }
        };
        insert(&mut cameras, id, found);
    }
    let left = c.left_over("the last camera");
    let ends = left.is_none();
    let warnings = left.into_iter().collect();
    Ok((Parsed { records: cameras, left_out: Vec::new(), warnings }, first, ends))
}

/// Parses `images.bin`: a u64 count; per image id u32, quaternion 4 f64, translation 3 f64, camera u32, name, a zero
/// byte, then a counted list of observations (x f64, y f64, point id i64), which may be empty. Names in no Unicode encoding are read as Latin-1.
///
/// # Errors
/// Truncation or impossible counts.
pub fn parse_images(path: &Path, data: &[u8], tracks: Tracks) -> Result<Parsed<Vec<Image>>> {
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
        let name = decode(c.zero_terminated(&format!("the name of image {id}"))?).into_owned();
        let count = c.count("observations", OBSERVATION)?;
        let bytes = c.take(count * OBSERVATION, "observations")?;
        let observation = |b: &[u8]| {
            let word = |k: usize| b[8 * k..8 * k + 8].try_into().expect("8 bytes of 24");
            (f64::from_le_bytes(word(0)), f64::from_le_bytes(word(1)), i64::from_le_bytes(word(2)))
        };
        let all = bytes.chunks_exact(OBSERVATION);
        let observations = match tracks {
            Tracks::Skip => Vec::new(),
            // The highest bit of a point's id is set where there is none.
            Tracks::Sample => {
                let named: Vec<&[u8]> = all.filter(|b| b[OBSERVATION - 1] < 0x80).collect();
                sample(named.into_iter()).map(observation).collect()
            }
            Tracks::Keep => all.map(observation).collect(),
        };
        images.push(Image { id, rotation, translation, camera, name, observations });
    }
    let warnings = c.left_over("the last image").into_iter().collect();
    Ok(Parsed { records: images, left_out: Vec::new(), warnings })
}

/// Parses `points3D.bin`: a u64 count; per point id u64, position 3 f64, RGB 3 u8, error f64, then a counted track of
/// (image id u32, observation index u32), which may be empty.
///
/// # Errors
/// Truncation or impossible counts.
pub fn parse_points(path: &Path, data: &[u8], tracks: Tracks) -> Result<Parsed<Vec<Point3d>>> {
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
        let kept = match tracks {
            Tracks::Skip => 0,
            Tracks::Sample => 1,
            Tracks::Keep => count,
        };
        let element = |b: &[u8]| {
            let word = |k: usize| u32::from_le_bytes(b[4 * k..4 * k + 4].try_into().expect("4 bytes of 8"));
            (word(0), word(1))
        };
        let track = bytes.chunks_exact(TRACK).take(kept).map(element).collect();
        points.push(Point3d { id, position, color, track });
    }
    let warnings = c.left_over("the last point").into_iter().collect();
    Ok(Parsed { records: points, left_out: Vec::new(), warnings })
}
