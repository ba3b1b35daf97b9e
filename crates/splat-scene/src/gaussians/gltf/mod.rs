//! glTF 2.0 with Khronos' extension `KHR_gaussian_splatting` (ratified in 2026): `.glb` written and read, `.gltf` with its
//! buffers in files beside it read.
//!
//! Gaussians are a primitive of points; rotations (xyzw), scales, opacities and harmonics are vertex attributes, after the
//! activations and in 32-bit floats. The axes are x right, y up, z back, so y and z change sign, as in SPZ. The signs of
//! the harmonics are those of the 3DGS authors. Positions and harmonics are exact; scales and opacities are exact up to an
//! exponential and its logarithm. `COLOR_0` shows points to programs that do not know the extension.
//!
//! Read are also integer attributes and nodes that move, turn and scale alike along all axes. Not read are compressed
//! buffers, sparse accessors and buffers in `data:` URIs.

mod accessor;
mod document;
mod node;
mod write;

use std::path::Path;

use super::GaussianFormat;
use super::axes::Axes;
use super::formats::Loaded;
use super::quantize::{finite, log_scale, logit, within_allowance};
use crate::{Error, Gaussians, Origin, Place, Result, files};
use document::{Document, Primitive};
pub use write::write;

/// The name of the extension, which is also the prefix of its attributes.
const EXTENSION: &str = "KHR_gaussian_splatting";
/// Little-endian "glTF", "JSON" and "BIN".
const MAGIC: &[u8; 4] = b"glTF";
const JSON: u32 = 0x4e4f_534a;
const BIN: u32 = 0x004e_4942;

/// Reads a `.glb`, or a `.gltf` with the files of its buffers.
///
/// # Errors
/// As [`parse`]; or a file, a buffer or the sidecar ([`Origin::sidecar`](crate::Origin::sidecar)) cannot be read.
pub fn read(path: impl AsRef<Path>) -> Result<Gaussians> {
    load(path.as_ref()).map(|loaded| loaded.gaussians)
}

/// As [`read`], with warnings.
pub(super) fn load(path: &Path) -> Result<Loaded> {
    let (mut gaussians, warnings) = scene(path, &files::read(path)?)?;
    // Nodes may have moved the scene far from the origin already.
    if let Some(sidecar) = Origin::read_sidecar(path)? {
        (0..3).for_each(|k| gaussians.origin.offset[k] += sidecar.offset[k]);
    }
    Ok(Loaded { gaussians, format: GaussianFormat::Gltf, warnings, world: false })
}

/// Parses the contents `data` of a `.glb` or a `.gltf`. `path` names the file in errors; buffers in other files are looked
/// for beside it.
///
/// # Errors
/// A damaged container or description; accessors that leave their buffer; attributes that are missing or of a type that
/// the extension does not allow; a node that mirrors or shears; [`Error::NotGaussians`] if no primitive has the extension,
/// or if one is compressed.
pub fn parse(path: &Path, data: &[u8]) -> Result<Gaussians> {
    scene(path, data).map(|(gaussians, _)| gaussians)
}

/// A file in parts.
struct File<'a> {
    path: &'a Path,
    document: Document,
    /// The buffers, in the order of the description.
    buffers: Vec<std::borrow::Cow<'a, [u8]>>,
}

fn malformed(path: &Path, message: impl Into<String>) -> Error {
    Error::Malformed { path: path.into(), place: Place::Byte(0), message: message.into() }
}

fn scene(path: &Path, data: &[u8]) -> Result<(Gaussians, Vec<String>)> {
    let file = document::open(path, data)?;
    let placed = node::placed(&file)?;
    if placed.is_empty() {
        return Err(Error::NotGaussians {
            path: path.into(),
            found: format!("a glTF without {EXTENSION}, that is, without Gaussians"),
            hint: "export the Gaussians as glTF with this extension, or as PLY".into(),
        });
    }
    // Primitives may share data, so that a small file claims to be a large scene.
    let claimed: u64 = placed.iter().map(|(p, _)| 236 * accessor::count(&file, p)).sum();
    let held = file.buffers.iter().map(|b| b.len()).sum();
    within_allowance(path, 0, held, claimed)?;
    let (mut all, mut warnings) = (None::<Gaussians>, Vec::new());
    for (primitive, transform) in placed {
        let mut g = gaussians(&file, primitive, &mut warnings)?;
        if let Some(transform) = transform {
            g.check()?;
            g.transform(&transform);
        }
        match &mut all {
            None => all = Some(g),
            Some(all) => all.append(&g)?,
        }
    }
    let mut g = all.expect("there is a primitive");
    turn(&mut g);
    warnings.dedup();
    Ok((finite(path, g)?, warnings))
}

/// The Gaussians of a primitive, in the axes of glTF.
fn gaussians(file: &File<'_>, primitive: &Primitive, warnings: &mut Vec<String>) -> Result<Gaussians> {
    let splats = primitive.extensions.splats.as_ref().expect("chosen for its extension");
    if let Some(name) = splats.extensions.keys().next() {
        return Err(Error::NotGaussians {
            path: file.path.into(),
            found: format!("Gaussians that are compressed or changed by {name}, which is not read"),
            hint: "export them without this extension, or as PLY, SPZ or SOG".into(),
        });
    }
    if primitive.mode != Some(0) {
        let mode = primitive.mode.unwrap_or(4);
        return Err(malformed(file.path, format!("Gaussians are a primitive of mode {mode}, expected 0")));
    }
    if splats.kernel != "ellipse" {
        warnings.push(format!("the kernel is {:?}; read as plain Gaussians", splats.kernel));
    }
    if splats.color_space != "srgb_rec709_display" {
        warnings.push(format!("the colours are in {:?}; read as if they were sRGB", splats.color_space));
    }
    let p = accessor::count(file, primitive) as usize;
    let read = |name: &str, width: usize| accessor::read(file, primitive, name, width, p);
    let ours = |name: &str, width: usize| read(&format!("{EXTENSION}:{name}"), width);
    let means = read("POSITION", 3)?;
    let has = |degree: usize| {
        let first = format!("{EXTENSION}:SH_DEGREE_{degree}_COEF_0");
        primitive.attributes.contains_key(&first)
    };
    let degree = (1..=3).take_while(|&degree| has(degree)).last().unwrap_or(0);
    let coeffs = (degree + 1) * (degree + 1);
    let mut sh = vec![0.0; 3 * coeffs * p];
    for m in 0..coeffs {
        let (degree, n) = (m.isqrt(), m - m.isqrt().pow(2));
        let values = ours(&format!("SH_DEGREE_{degree}_COEF_{n}"), 3)?;
        for (row, value) in sh.chunks_exact_mut(3 * coeffs).zip(values.chunks_exact(3)) {
            row[3 * m..3 * m + 3].copy_from_slice(value);
        }
    }
    let mut rotations = ours("ROTATION", 4)?;
    rotations.chunks_exact_mut(4).for_each(|q| q.rotate_right(1));
    let mut log_scales = ours("SCALE", 3)?;
    log_scales.iter_mut().for_each(|x| *x = log_scale(*x));
    let mut opacity_logits = ours("OPACITY", 1)?;
    opacity_logits.iter_mut().for_each(|x| *x = logit(*x));
    Ok(Gaussians { means, sh, coeffs, opacity_logits, log_scales, rotations, ..Gaussians::default() })
}

/// From the axes of glTF to those of a PLY.
fn turn(g: &mut Gaussians) {
    let axes = Axes::RUB;
    let flip = |values: &mut [f32], signs: [f32; 3]| {
        values.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign);
    };
    g.means.chunks_exact_mut(3).for_each(|m| flip(m, axes.position));
    (0..3).for_each(|k| g.origin.offset[k] *= f64::from(axes.position[k]));
    g.rotations.chunks_exact_mut(4).for_each(|q| flip(&mut q[1..], axes.quaternion));
    for sh in g.sh.chunks_exact_mut(3 * g.coeffs) {
        for (value, sign) in sh[3..].chunks_exact_mut(3).zip(axes.harmonics) {
            flip(value, [sign; 3]);
        }
    }
}
