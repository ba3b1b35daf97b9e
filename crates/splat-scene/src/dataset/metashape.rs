//! Agisoft Metashape's cameras (`Export Cameras`, "Agisoft XML"): an `.xml` file with a `<chunk>`, beside the photographs or
//! above their folder `images`.
//!
//! A camera's `<transform>` is camera-to-chunk with OpenCV axes; that of its component, or of the chunk, leads from there to
//! the world: `world = scale * rotation * x + translation`. Sources: Metashape's user manual, appendix "Camera models", for
//! the calibration (`f` in pixels, `cx cy` from the middle of the image, radial k1 to k4, and `p1 p2` in the order opposite to
//! OpenCV's), and its Python reference, `Camera.transform` and `Chunk.transform`, for the poses. Panoramas are refused by
//! name. In a chunk with a geographic coordinate system, the world is geocentric: metres from the middle of the Earth.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};
use serde_json::{Map, Value};

use super::capture::{Broken, Capture, Intrinsics, Posed};
use super::find::Finder;
use super::poses::{Fault, Pose, rotation, usable};
use super::text::decode;
use super::{companions, keys, photos};
use crate::image::lens::{CameraModel, Lens};
use crate::{Error, OpenOptions, Place, Result, files};

/// Of one tag.
const MOST_ATTRIBUTES: usize = 1000;

type Matrix = [[f64; 3]; 3];

/// The file of cameras: `cameras.xml`, or else the first `.xml` with a chunk.
pub(crate) fn find(folder: &Path) -> Option<PathBuf> {
    let has_chunk = |p: &PathBuf| decode(&files::start(p, 1 << 14)).contains("<chunk");
    let finder = Finder::default();
    let usual = finder.file(folder, "cameras.xml").filter(has_chunk);
    usual.or_else(|| finder.files(folder, &["xml"]).into_iter().find(has_chunk))
}

/// From the coordinates of a component to those of the world.
#[derive(Clone, Copy)]
struct Similarity {
    rotation: Matrix,
    translation: [f64; 3],
    scale: f64,
}

/// The intrinsics of a sensor; the error says what is wrong with them.
type Sensor = Result<(Intrinsics, Option<Lens>), Wrong>;

#[derive(Clone)]
enum Wrong {
    Model(String),
    Numbers(String),
}

pub(crate) fn read(root: &Path, path: &Path, options: &OpenOptions) -> Result<Capture> {
    let bytes = files::read(path)?;
    let text = decode(&bytes);
    let malformed = |line: u64, message: String| Error::Malformed {
        path: path.into(),
        place: Place::Line(line),
        message: format!("this is not a list of cameras of Metashape: {message}"),
    };
    // The parser compares each attribute of a tag with those before it, and Metashape writes a dozen.
    if text.split('<').any(|tag| tag.matches('=').count() > MOST_ATTRIBUTES) {
        return Err(malformed(1, format!("a tag has more than {MOST_ATTRIBUTES} attributes")));
    }
    let document = Document::parse(&text).map_err(|e| malformed(e.pos().row.into(), e.to_string()))?;
    let chunks: Vec<Node<'_, '_>> = document.descendants().filter(|n| n.has_tag_name("chunk")).collect();
    let chunk = *chunks.first().ok_or_else(|| malformed(1, "there is no `<chunk>`".into()))?;
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut warnings = Vec::new();
    if chunks.len() > 1 {
        warnings.push(format!("{file} has {} chunks; only the first is read", chunks.len()));
    }
    let (sensors, said) = sensors(chunk);
    warnings.extend(keys::warnings(keys::METASHAPE, &file, &Map::new(), &said.iter().collect::<Vec<_>>()));
    let cameras: Vec<Node<'_, '_>> =
        chunk.descendants().filter(|n| n.has_tag_name("camera") && n.attribute("label").is_some()).collect();
    let of_component =
        |camera: &Node<'_, '_>| camera.attribute("component_id").unwrap_or_default().to_owned();
    let worlds =
        worlds(chunk, cameras.iter().filter(|c| child(**c, "transform").is_some()).map(of_component));
    let (mut posed, mut broken, mut unused) = (Vec::new(), Vec::new(), Vec::new());
    let (mut not_aligned, mut followers) = (0, 0);
    for camera in cameras {
        let name = camera.attribute("label").unwrap_or_default().replace('\\', "/");
        let Some(transform) = child(camera, "transform") else {
            not_aligned += 1;
            followers += usize::from(camera.attribute("master_id").is_some());
            unused.push(name);
            continue;
        };
        if matches!(camera.attribute("enabled"), Some("false" | "0")) {
            unused.push(name);
            continue;
        }
        let world = worlds.get(&of_component(&camera));
        let sensor = sensors.get(camera.attribute("sensor_id").unwrap_or_default());
        match (world, sensor, pose(transform, world)) {
            (None, ..) => {
                broken.push(Broken::new(name, "its component is aligned by itself, not with the largest"))
            }
            (_, None, _) => broken.push(Broken::new(name, "its sensor is not in the file")),
            (_, Some(Err(Wrong::Model(model))), _) => broken.push(Broken::with_model(name, model.clone())),
            (_, Some(Err(Wrong::Numbers(message))), _) => broken.push(Broken::new(name, message)),
            (_, _, Err(fault)) => broken.push(Broken::new(name, fault.message())),
            (Some(_), Some(Ok((intrinsics, lens))), Ok(pose)) => {
                posed.push(Posed { lens: *lens, ..Posed::new(name, *intrinsics, pose) });
            }
        }
    }
    if not_aligned > 0 {
        let rig = format!("; {followers} of them follow others in a multi-camera system, which is not read");
        let rig = if followers > 0 { rig } else { String::new() };
        warnings.push(format!("{not_aligned} cameras of {file} are not aligned, so they have no pose{rig}"));
    }
    if posed.is_empty() && broken.is_empty() {
        return Err(Error::NotADataset {
            path: path.into(),
            message: "no camera of the chunk is aligned".into(),
            hint: "align the photographs in Metashape, and export the cameras again",
        });
    }
    let finder = Finder::default();
    let photos = photos::of(&finder, root, options, &mut posed)?;
    Ok(Capture {
        source: format!("Metashape, {file}"),
        root: root.into(),
        file: path.into(),
        posed,
        broken,
        unused,
        points: companions::cloud(&finder, &[root], &mut warnings)?.unwrap_or_default(),
        photos,
        warnings,
        reprojection: None,
    })
}

fn child<'a, 'b>(node: Node<'a, 'b>, name: &str) -> Option<Node<'a, 'b>> {
    node.children().find(|n| n.has_tag_name(name))
}

/// The numbers in the text of a node.
fn numbers<const N: usize>(node: Node<'_, '_>) -> Option<[f64; N]> {
    let words = node.text().unwrap_or_default().split_whitespace();
    let all: Vec<f64> = words.map(|word| word.parse().unwrap_or(f64::NAN)).collect();
    all.try_into().ok()
}

/// The sensors by their ids, and what their calibrations say.
fn sensors(chunk: Node<'_, '_>) -> (BTreeMap<String, Sensor>, Vec<Map<String, Value>>) {
    let (mut sensors, mut said) = (BTreeMap::new(), Vec::new());
    for node in chunk.descendants().filter(|n| n.has_tag_name("sensor")) {
        let calibrations: Vec<_> = node.children().filter(|n| n.has_tag_name("calibration")).collect();
        let adjusted = calibrations.iter().find(|n| n.attribute("class") == Some("adjusted"));
        let mut values = Map::new();
        let calibration = adjusted.or(calibrations.first());
        for n in calibration.iter().flat_map(|c| c.children()).chain(child(node, "rolling_shutter")) {
            if n.is_element() {
                let text = n.text().unwrap_or_default().trim();
                let value = if text == "false" { Value::Bool(false) } else { text.into() };
                values.insert(n.tag_name().name().into(), value);
            }
        }
        let id = node.attribute("id").unwrap_or_default().to_owned();
        sensors.insert(id, calibration.map_or_else(not_calibrated, |c| sensor(node, *c, &values)));
        said.push(values);
    }
    (sensors, said)
}

fn not_calibrated() -> Sensor {
    Err(Wrong::Numbers("its sensor is not calibrated".into()))
}

fn sensor(sensor: Node<'_, '_>, calibration: Node<'_, '_>, values: &Map<String, Value>) -> Sensor {
    let size = child(calibration, "resolution").or_else(|| child(sensor, "resolution"));
    let side = |key: &str| size?.attribute(key)?.parse::<u64>().ok().filter(|n| (1..=1 << 20).contains(n));
    let Some((w, h)) = side("width").zip(side("height")) else {
        return Err(Wrong::Numbers("its sensor has no resolution".into()));
    };
    let get = |key: &str| match values.get(key).and_then(Value::as_str) {
        Some(text) => text.parse::<f64>().map_err(|_| Wrong::Numbers(format!("`{key}` is {text:?}"))),
        None => Ok(0.0),
    };
    let f = get("f")?;
    let center = [0.5 * w as f64 + get("cx")?, 0.5 * h as f64 + get("cy")?];
    let k = [get("k1")?, get("k2")?, get("k3")?, get("k4")?];
    let p = [get("p2")?, get("p1")?];
    let kind = calibration.attribute("type").or_else(|| sensor.attribute("type")).unwrap_or("frame");
    let lens = match kind {
        "frame" => Lens::polynomial(k, p),
        "fisheye" => {
            let model = CameraModel::by_name("THIN_PRISM_FISHEYE").expect("one of COLMAP's models");
            let numbers = [1.0, 1.0, 0.0, 0.0, k[0], k[1], p[0], p[1], k[2], k[3], 0.0, 0.0];
            model.camera(&numbers).map(|(_, lens)| lens)
        }
        "spherical" => return Err(Wrong::Model("EQUIRECTANGULAR".into())),
        other => return Err(Wrong::Model(other.into())),
    };
    let intrinsics = Intrinsics::known((w, h), [f + get("b1")?, f, center[0], center[1]]);
    Ok((intrinsics, lens.map_err(Wrong::Numbers)?))
}

/// Where the components lie in the world, by their ids. Without a transform a component has coordinates of its own; of
/// several such, only the one that most cameras are in, `used` once for each, can be read.
fn worlds(chunk: Node<'_, '_>, used: impl Iterator<Item = String>) -> BTreeMap<String, Similarity> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    used.for_each(|id| *counts.entry(id).or_default() += 1);
    let whole = child(chunk, "transform").and_then(similarity);
    let nodes = chunk.descendants().filter(|n| n.has_tag_name("component"));
    let own: BTreeMap<String, Similarity> = nodes
        .filter_map(|n| Some((n.attribute("id")?.to_owned(), similarity(child(n, "transform")?)?)))
        .collect();
    let same = Similarity {
        rotation: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        translation: [0.0; 3],
        scale: 1.0,
    };
    let placed = |id: &String| own.get(id).copied().or(whole);
    let largest = counts.iter().max_by_key(|(_, n)| **n).map(|(id, _)| id.clone());
    if counts.keys().any(|id| placed(id).is_some()) {
        counts.keys().filter_map(|id| Some((id.clone(), placed(id)?))).collect()
    } else {
        largest.into_iter().map(|id| (id, same)).collect()
    }
}

/// `<rotation>`, `<translation>` and `<scale>`, each with a default.
fn similarity(node: Node<'_, '_>) -> Option<Similarity> {
    let part = |name: &str| child(node, name);
    let turn = part("rotation").map_or(Some([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]), numbers::<9>)?;
    let translation = part("translation").map_or(Some([0.0; 3]), numbers::<3>)?;
    let [scale] = part("scale").map_or(Some([1.0]), numbers::<1>)?;
    let (rotation, _) = rotation(std::array::from_fn(|r| std::array::from_fn(|c| turn[3 * r + c]))).ok()?;
    let fine = scale > 0.0 && usable(scale) && translation.iter().all(|x| usable(*x));
    fine.then_some(Similarity { rotation, translation, scale })
}

/// The pose of a camera whose `<transform>` leads to its component, which lies in the world as `world` says.
fn pose(transform: Node<'_, '_>, world: Option<&Similarity>) -> Result<Pose, Fault> {
    let Some(m) = numbers::<16>(transform).filter(|m| m.iter().all(|&x| usable(x))) else {
        let text = transform.text().unwrap_or_default().trim();
        return Err(Fault::Broken(format!("its transform is {text:?}, expected 16 finite numbers")));
    };
    let (turn, scale) = rotation(std::array::from_fn(|r| std::array::from_fn(|c| m[4 * r + c])))?;
    let center = [m[3], m[7], m[11]];
    let Some(world) = world else { return Ok(Pose::at(turn, center)) };
    let row = |r: usize, v: [f64; 3]| (0..3).map(|k| world.rotation[r][k] * v[k]).sum::<f64>();
    let center = std::array::from_fn(|r| world.scale * row(r, center) + world.translation[r]);
    // Transposed: from the world to the camera.
    let column = |c: usize| [turn[0][c], turn[1][c], turn[2][c]];
    let rotation = std::array::from_fn(|c| std::array::from_fn(|r| row(r, column(c))));
    Ok(Pose { scale, ..Pose::at(rotation, center) })
}
