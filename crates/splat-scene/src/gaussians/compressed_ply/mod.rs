//! PlayCanvas' compressed PLY: chunks of 256 Gaussians; four 32-bit words per Gaussian, relative to the bounds of its
//! chunk, and one byte per harmonic.
//!
//! Elements: `chunk` (minimum and maximum of position, log scale and, since 2024, colour), `vertex` (`packed_position`
//! 11-10-11 bits, `packed_rotation` 2-10-10-10, `packed_scale` 11-10-11, `packed_color` 8-8-8-8) and `sh` (`f_rest_*`,
//! channel by channel as in a plain PLY). The world frame is that of a plain PLY.

mod write;

use std::path::Path;

use super::placed;
use super::ply::{self, Element, Scalar};
use super::quantize::{finite, logit_of_byte, unit_quaternion};
use crate::{Error, Gaussians, Place, Result, SH_C0, files};
pub(super) use write::usual_step;
pub use write::write;

/// Gaussians per chunk.
const CHUNK: usize = 256;

const BOUNDS: [&str; 18] = [
    "min_x",
    "min_y",
    "min_z",
    "max_x",
    "max_y",
    "max_z",
    "min_scale_x",
    "min_scale_y",
    "min_scale_z",
    "max_scale_x",
    "max_scale_y",
    "max_scale_z",
    "min_r",
    "min_g",
    "min_b",
    "max_r",
    "max_g",
    "max_b",
];
const PACKED: [&str; 4] = ["packed_position", "packed_rotation", "packed_scale", "packed_color"];

/// Reads a compressed PLY.
///
/// # Errors
/// As [`parse`]; or the file or its sidecar ([`Origin::sidecar`](crate::Origin::sidecar)) cannot be read.
pub fn read(path: impl AsRef<Path>) -> Result<Gaussians> {
    let path = path.as_ref();
    placed(path, parse(path, &files::read(path)?)?)
}

/// The rows of an element: where they begin and how long one is.
struct Table<'a> {
    element: &'a Element,
    start: usize,
    stride: usize,
    rows: usize,
}

impl Table<'_> {
    /// The offset of the property `name` in a row, if it has the type `scalar`.
    fn column(&self, name: &str, scalar: Scalar) -> Option<usize> {
        let mut at = 0;
        for p in &self.element.properties {
            let this = p.scalar()?;
            if p.name == name {
                return (this == scalar).then_some(at);
            }
            at += this.size();
        }
        None
    }
}

/// Parses the file contents `data`. `path` is only used to name the file in errors.
///
/// # Errors
/// Not such a PLY: elements or properties that are missing or of another type, counts that disagree, truncated data,
/// bounds that are not finite.
pub fn parse(path: &Path, data: &[u8]) -> Result<Gaussians> {
    let header = ply::parse_header(path, &mut &*data)?;
    let wrong =
        |message: String| Error::Malformed { path: path.into(), place: Place::Line(header.lines), message };
    if header.format != ply::Format::LittleEndian {
        return Err(wrong("a compressed PLY is binary_little_endian".into()));
    }
    let mut tables = Vec::new();
    let rows = data.get(header.bytes as usize..).unwrap_or_default();
    let mut body = ply::Body::new(path, rows, &header, data.len() as u64);
    for element in &header.elements {
        let start = body.at as usize;
        body.skip(element)?;
        // Elements with lists or without properties are none of this layout's.
        if let Some(stride @ 1..) = element.row_size() {
            // The rows are known to lie in `data` here.
            tables.push(Table { element, start, stride, rows: element.count as usize });
        }
    }
    let table = |name: &str| tables.iter().find(|t| t.element.name == name);
    let missing = |name: &str| wrong(format!("there is no element {name}"));
    let chunks = table("chunk").ok_or_else(|| missing("chunk"))?;
    let vertices = table("vertex").ok_or_else(|| missing("vertex"))?;
    let column = |t: &Table<'_>, name: &str, scalar: Scalar| {
        t.column(name, scalar)
            .ok_or_else(|| wrong(format!("{} has no property {name} of type {scalar:?}", t.element.name)))
    };
    let p = vertices.rows;
    if chunks.rows != p.div_ceil(CHUNK) {
        return Err(wrong(format!(
            "{} chunks of {CHUNK} for {p} Gaussians, expected {}",
            chunks.rows,
            p.div_ceil(CHUNK)
        )));
    }
    // Files from before 2024 have no colour bounds: their colours range from 0 to 1.
    let bounds = if chunks.column("min_r", Scalar::F32).is_some() { 18 } else { 12 };
    let bound_at =
        BOUNDS[..bounds].iter().map(|name| column(chunks, name, Scalar::F32)).collect::<Result<Vec<_>>>()?;
    let packed_at =
        PACKED.iter().map(|name| column(vertices, name, Scalar::U32)).collect::<Result<Vec<_>>>()?;
    let sh = table("sh");
    let coeffs = match sh {
        None => 1,
        Some(sh) => {
            let rest = sh.element.properties.len();
            if ![9, 24, 45].contains(&rest) {
                return Err(wrong(format!(
                    "sh has {rest} properties, expected 9, 24 or 45 (SH degree 1 to 3)"
                )));
            }
            if sh.rows != p {
                return Err(wrong(format!("{} rows of sh for {p} Gaussians", sh.rows)));
            }
            rest / 3 + 1
        }
    };
    let rest_at = match sh {
        None => Vec::new(),
        Some(sh) => (0..3 * (coeffs - 1))
            // In the order of `Gaussians::sh`: coefficient by coefficient.
            .map(|k| (k % 3) * (coeffs - 1) + k / 3)
            .map(|k| column(sh, &format!("f_rest_{k}"), Scalar::U8))
            .collect::<Result<Vec<_>>>()?,
    };

    let word = |t: &Table<'_>, row: usize, at: usize| -> [u8; 4] {
        let at = t.start + row * t.stride + at;
        data[at..at + 4].try_into().expect("rows were counted above")
    };
    let mut g = Gaussians { coeffs, ..Gaussians::default() };
    g.means.reserve_exact(3 * p);
    g.sh.reserve_exact(3 * coeffs * p);
    g.opacity_logits.reserve_exact(p);
    g.log_scales.reserve_exact(3 * p);
    g.rotations.reserve_exact(4 * p);
    for chunk in 0..chunks.rows {
        let mut bound =
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
        for (value, &at) in bound.iter_mut().zip(&bound_at) {
            *value = f32::from_le_bytes(word(chunks, chunk, at));
        }
        if let Some(k) = bound.iter().position(|x| !x.is_finite()) {
            return Err(Error::Malformed {
                path: path.into(),
                place: Place::Byte((chunks.start + chunk * chunks.stride) as u64),
                message: format!("chunk {chunk}: {} is {}, expected a finite number", BOUNDS[k], bound[k]),
            });
        }
        let lerp = |k: usize, t: f64| (f64::from(bound[k]) * (1.0 - t) + f64::from(bound[k + 3]) * t) as f32;
        for row in chunk * CHUNK..((chunk + 1) * CHUNK).min(p) {
            let [position, rotation, scale, color] =
                std::array::from_fn(|k| u32::from_le_bytes(word(vertices, row, packed_at[k])));
            let [x, y, z] = unpack_11_10_11(position);
            g.means.extend([lerp(0, x), lerp(1, y), lerp(2, z)]);
            let [x, y, z] = unpack_11_10_11(scale);
            g.log_scales.extend([lerp(6, x), lerp(7, y), lerp(8, z)]);
            g.rotations.extend(unpack_rotation(rotation));
            let [a, b, c, opacity] = color.to_be_bytes();
            let channel = |k: usize, b: u8| (lerp(k, f64::from(b) / 255.0) - 0.5) / SH_C0;
            g.sh.extend([channel(12, a), channel(13, b), channel(14, c)]);
            if let Some(sh) = sh {
                let at = sh.start + row * sh.stride;
                g.sh.extend(rest_at.iter().map(|&k| harmonic_of_byte(data[at + k])));
            }
            g.opacity_logits.push(logit_of_byte(opacity));
        }
    }
    finite(path, g)
}

/// Three numbers from 0 to 1; in f64, because chunks with an outlier are large and need all the precision.
fn unpack_11_10_11(word: u32) -> [f64; 3] {
    let part = |shift: u32, most: u32| f64::from(word >> shift & most) / f64::from(most);
    [part(21, 2047), part(11, 1023), part(0, 2047)]
}

/// The upper 2 bits say which component of wxyz is left out; the others follow, from -1/sqrt 2 to 1/sqrt 2.
fn unpack_rotation(word: u32) -> [f32; 4] {
    let other = |shift: u32| ((word >> shift & 1023) as f32 / 1023.0 - 0.5) * std::f32::consts::SQRT_2;
    unit_quaternion((word >> 30) as usize, [other(20), other(10), other(0)])
}

/// A byte stands for the middle of its 256th of the range -4 to 4; 0 and 255 stand for its ends.
fn harmonic_of_byte(byte: u8) -> f32 {
    match byte {
        0 => -4.0,
        255 => 4.0,
        b => (f32::from(b) + 0.5) / 32.0 - 4.0,
    }
}
