//! PLY: Gaussians in the 3DGS layout, read and written, and point clouds, read.
//!
//! The layout is that of the 3DGS authors' trainer: `x y z nx ny nz f_dc_0..2 f_rest_* opacity scale_0..2 rot_0..3`,
//! binary little-endian f32. `f_rest` is stored channel by channel (all of red, then green, then blue), while
//! [`Gaussians::sh`] is stored coefficient by coefficient. Reading accepts ASCII and both byte orders, any order of
//! properties and any scalar type, steps over lists and foreign elements, and knows the layouts of other trainers
//! (`layout`). PlayCanvas' compressed layout is in [`compressed_ply`](crate::compressed_ply).
//!
//! World coordinates are positions plus the offset of an [`Origin`], which a comment and the sidecar state. Positions of
//! type `double` are read in `f64`, and scenes far from the world's origin get an origin of their own.

mod body;
mod file;
mod header;
mod layout;
mod rows;
mod write;

use std::io::{BufRead, Read};
use std::path::Path;

pub(crate) use body::Body;
pub use file::File;
pub(crate) use header::{Element, Format, Scalar, parse as parse_header};
use layout::Layout;
use rows::Vertices;
pub use write::{Options, to_bytes, write_as, write_gaussians};

use super::GaussianFormat;
use super::formats::Loaded;
use super::quantize::allowance;
use crate::{Error, Gaussians, Origin, Place, Point, Result, files};

/// Reads Gaussians of SH degree 0 to 3.
///
/// # Errors
/// As [`parse_gaussians`]; or the file or its sidecar cannot be read.
pub fn read_gaussians(path: impl AsRef<Path>) -> Result<Gaussians> {
    load(path.as_ref()).map(|loaded| loaded.gaussians)
}

/// Whether the PLY `path` says that its Gaussians were trained with compensation for the dilation of small ones
/// ([`Options::antialiased`]). `None` if it says neither, or is no PLY. Only the header is read.
#[must_use]
pub fn antialiased(path: impl AsRef<Path>) -> Option<bool> {
    let path = path.as_ref();
    let (mut reader, _) = open(path).ok()?;
    parse_header(path, &mut reader).ok()?.antialiased
}

/// Reads Gaussians, and adds what the sidecar says about their place in the world.
pub(super) fn load(path: &Path) -> Result<Loaded> {
    let (reader, size) = open(path)?;
    let (mut loaded, stated) = parse(path, reader, size)?;
    let Some(sidecar) = Origin::read_sidecar(path)? else { return Ok(loaded) };
    let name = Origin::sidecar(path);
    let origin = &mut loaded.gaussians.origin;
    match stated {
        Some(stated) if stated == sidecar => {}
        Some(stated) => loaded.warnings.push(format!(
            "a comment states the offset {:?}, but {} states {:?}; that of the comment is used",
            stated.offset,
            name.display(),
            sidecar.offset
        )),
        None if loaded.world => loaded.warnings.push(format!(
            "positions are in world coordinates, near {:?}; the offset in {} is ignored",
            origin.offset,
            name.display()
        )),
        None => *origin = sidecar,
    }
    Ok(loaded)
}

/// The bytes of a file and their number; unpacked, if they are packed with gzip.
fn open(path: &Path) -> Result<(Box<dyn BufRead>, u64)> {
    let (file, size) = files::open(path)?;
    let mut reader = std::io::BufReader::with_capacity(1 << 18, file);
    if !reader.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        return Ok((Box::new(reader), size));
    }
    let most = allowance(usize::try_from(size).unwrap_or(usize::MAX >> 8));
    let mut bytes = Vec::new();
    let unpacked = flate2::bufread::MultiGzDecoder::new(reader).take(most + 1).read_to_end(&mut bytes);
    let malformed = |message| Error::Malformed { path: path.into(), place: Place::Byte(0), message };
    unpacked.map_err(|e| malformed(format!("the gzip stream: {e}")))?;
    let size = bytes.len() as u64;
    if size > most {
        return Err(malformed(format!(
            "the gzip stream unpacks to more than {most} bytes: refused as malicious"
        )));
    }
    Ok((Box::new(std::io::Cursor::new(bytes)), size))
}

/// Whether a file is a point cloud by its header: vertices with places and nothing that Gaussians or meshes have. A file that
/// cannot be read is none.
#[must_use]
pub fn is_point_cloud(path: &Path) -> bool {
    let header = open(path).and_then(|(mut reader, _)| header::parse(path, &mut reader));
    header.is_ok_and(|h| {
        let faces = h.elements.iter().any(|e| e.name == "face" && e.count > 0);
        let vertex = h.elements.iter().find(|e| e.name == "vertex");
        let has = |v: &header::Element, names: &[&str]| names.iter().any(|name| v.has(name));
        !faces
            && vertex.is_some_and(|v| {
                ["x", "y", "z"].iter().all(|name| v.has(name)) && !has(v, &["opacity", "scale_0", "f_dc_0"])
            })
    })
}

/// Reads a point cloud: `x y z`, and `red green blue` if it has colours. Positions are rounded to `f32`.
///
/// # Errors
/// As [`parse_points`]; or the file cannot be read.
pub fn read_points(path: impl AsRef<Path>) -> Result<Vec<Point>> {
    Ok(read_world_points(path)?.into_iter().map(Point::from).collect())
}

/// A point of a cloud in world coordinates, as exact as the file has it: position and RGB, 0 to 255.
pub type WorldPoint = ([f64; 3], [u8; 3]);

impl From<WorldPoint> for Point {
    fn from((position, color): WorldPoint) -> Self {
        Self { position: position.map(|x| x as f32), color }
    }
}

/// Reads a point cloud as [`read_points`] does, with positions in world coordinates of 64 bits.
///
/// # Errors
/// Those of [`read_points`].
pub fn read_world_points(path: impl AsRef<Path>) -> Result<Vec<WorldPoint>> {
    let path = path.as_ref();
    let (reader, size) = open(path)?;
    parse_world_points(path, reader, size)
}

/// Reads Gaussians from `reader`, which provides `size` bytes. `path` is only used to name the file in errors.
///
/// Numbers are kept as found, NaN included; see [`Gaussians::check`].
///
/// # Errors
/// A malformed header, a missing property, a number of `f_rest` properties that belongs to no SH degree, truncated data;
/// [`NotGaussians`](crate::Error::NotGaussians) for a point cloud or a mesh.
pub fn parse_gaussians(path: &Path, reader: impl BufRead, size: u64) -> Result<Gaussians> {
    parse(path, reader, size).map(|(loaded, _)| loaded.gaussians)
}

/// As [`parse_gaussians`], with the origin that a comment states.
fn parse(path: &Path, reader: impl BufRead, size: u64) -> Result<(Loaded, Option<Origin>)> {
    let vertices = Vertices::open(path, reader, size)?;
    let layout = Layout::of(path, &vertices)?;
    let (columns, p) = vertices.columns(&layout.names)?;
    let stated = vertices.origin;
    let offset = stated.unwrap_or_default().offset;
    let mut g = Gaussians {
        means: Vec::with_capacity(3 * p),
        sh: Vec::with_capacity(3 * layout.coeffs * p),
        coeffs: layout.coeffs,
        opacity_logits: Vec::with_capacity(p),
        log_scales: Vec::with_capacity(3 * p),
        rotations: Vec::with_capacity(4 * p),
        origin: stated.unwrap_or_default(),
    };
    let mut world: Vec<[f64; 3]> = Vec::with_capacity(if layout.double { p } else { 0 });
    vertices.read(&columns, |row| {
        if layout.double {
            world.push(std::array::from_fn(|k| row[k] + offset[k]));
        } else {
            g.means.extend(row[..3].iter().map(|&x| x as f32));
        }
        layout.push(&mut g, &row[3..]);
    })?;
    let mut is_world = false;
    if layout.double {
        // Positions that lie together with the stated origin stay relative to it.
        let chosen = Origin::choose(world.iter().copied());
        is_world = stated.is_none() && !chosen.is_zero();
        if is_world {
            g.origin = chosen;
        }
        g.means.extend(world.into_iter().flat_map(|x| g.origin.to_local(x)));
    }
    let loaded =
        Loaded { gaussians: g, format: GaussianFormat::Ply, warnings: layout.warnings, world: is_world };
    Ok((loaded, stated))
}

/// Reads a point cloud from `reader`, which provides `size` bytes. `path` is only used to name the file in errors.
///
/// Colours of an integer type range from 0 to 255, those of a floating-point type from 0 to 1; without colours all points
/// are grey. Positions are kept as found, NaN included, but rounded to `f32`.
///
/// # Errors
/// A malformed header, a missing property, truncated data.
pub fn parse_points(path: &Path, reader: impl BufRead, size: u64) -> Result<Vec<Point>> {
    Ok(parse_world_points(path, reader, size)?.into_iter().map(Point::from).collect())
}

fn parse_world_points(path: &Path, reader: impl BufRead, size: u64) -> Result<Vec<WorldPoint>> {
    let vertices = Vertices::open(path, reader, size)?;
    let colored = vertices.has("red");
    let names = ["x", "y", "z", "red", "green", "blue"].map(String::from);
    let (columns, p) = vertices.columns(if colored { &names[..] } else { &names[..3] })?;
    let full = layout::full_color(&vertices);
    let offset = vertices.origin.unwrap_or_default().offset;
    let mut points = Vec::with_capacity(p);
    vertices.read(&columns, |row| {
        let color = |k: usize| {
            let Some(x) = row.get(k) else { return 128 };
            (255.0 * x / full).round().clamp(0.0, 255.0) as u8
        };
        let position = std::array::from_fn(|k| row[k] + offset[k]);
        points.push((position, [color(3), color(4), color(5)]));
    })?;
    Ok(points)
}
