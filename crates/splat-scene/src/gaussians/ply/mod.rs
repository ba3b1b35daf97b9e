//! PLY: Gaussians in the 3DGS layout, read and written, and point clouds, read.
//!
//! The layout is that of the 3DGS authors' trainer: `x y z nx ny nz f_dc_0..2 f_rest_* opacity scale_0..2 rot_0..3`,
//! binary little-endian f32. `f_rest` is stored channel by channel (all of red, then green, then blue), while
//! [`Gaussians::sh`] is stored coefficient by coefficient. Reading accepts ASCII and both byte orders, any order of
//! properties and any scalar type. PlayCanvas' compressed layout is in [`compressed_ply`](crate::compressed_ply).

mod header;
mod rows;

use std::io::{BufRead, Write};
use std::path::Path;

use crate::{Gaussians, Origin, Point, Result, write_atomically};
pub(crate) use header::{Element, Format, Scalar, parse as parse_header};
use rows::Vertices;

/// Reads Gaussians of SH degree 0 to 3.
///
/// # Errors
/// As [`parse_gaussians`]; or the file cannot be read.
pub fn read_gaussians(path: impl AsRef<Path>) -> Result<Gaussians> {
    let path = path.as_ref();
    let file = fs_err::File::open(path)?;
    let size = file.metadata()?.len();
    parse_gaussians(path, std::io::BufReader::with_capacity(1 << 18, file), size)
}

/// Reads a point cloud: `x y z`, and `red green blue` if it has colours.
///
/// # Errors
/// As [`parse_points`]; or the file cannot be read.
pub fn read_points(path: impl AsRef<Path>) -> Result<Vec<Point>> {
    let path = path.as_ref();
    let file = fs_err::File::open(path)?;
    let size = file.metadata()?.len();
    parse_points(path, std::io::BufReader::with_capacity(1 << 18, file), size)
}

/// Reads Gaussians from `reader`, which provides `size` bytes. `path` is only used to name the file in errors.
///
/// Numbers are kept as found, NaN included; see [`Gaussians::check`].
///
/// # Errors
/// A malformed header, a missing property, a number of `f_rest` properties that belongs to no SH degree, truncated data.
pub fn parse_gaussians(path: &Path, reader: impl BufRead, size: u64) -> Result<Gaussians> {
    let vertices = Vertices::open(path, reader, size)?;
    if vertices.has("packed_position") {
        return Err(vertices.in_header(
            "this is PlayCanvas' compressed PLY, not a plain one (`Gaussians::read` reads both)".into(),
        ));
    }
    let rest = vertices.vertex().properties.iter().filter(|p| p.name.starts_with("f_rest_")).count();
    if ![0, 9, 24, 45].contains(&rest) {
        return Err(vertices
            .in_header(format!("{rest} properties f_rest_*, expected 0, 9, 24 or 45 (SH degree 0 to 3)")));
    }
    let per_channel = rest / 3;
    let coeffs = per_channel + 1;
    let mut names: Vec<String> = ["x", "y", "z"].map(String::from).into();
    names.extend((0..3).map(|c| format!("f_dc_{c}")));
    // In the order of `Gaussians::sh`: coefficient by coefficient.
    names.extend(
        (0..per_channel).flat_map(|m| (0..3).map(move |c| format!("f_rest_{}", c * per_channel + m))),
    );
    names.push("opacity".into());
    names.extend((0..3).map(|k| format!("scale_{k}")));
    names.extend((0..4).map(|k| format!("rot_{k}")));

    let p = vertices.len();
    let mut g = Gaussians {
        means: Vec::with_capacity(3 * p),
        sh: Vec::with_capacity(3 * coeffs * p),
        coeffs,
        opacity_logits: Vec::with_capacity(p),
        log_scales: Vec::with_capacity(3 * p),
        rotations: Vec::with_capacity(4 * p),
        origin: Origin::default(),
    };
    let tail = 3 + 3 * coeffs;
    vertices.read(&names, |row| {
        g.means.extend_from_slice(&row[..3]);
        g.sh.extend_from_slice(&row[3..tail]);
        g.opacity_logits.push(row[tail]);
        g.log_scales.extend_from_slice(&row[tail + 1..tail + 4]);
        g.rotations.extend_from_slice(&row[tail + 4..]);
    })?;
    Ok(g)
}

/// Reads a point cloud from `reader`, which provides `size` bytes. `path` is only used to name the file in errors.
///
/// Colours of an integer type range from 0 to 255, those of a floating-point type from 0 to 1; without colours all points
/// are grey. Positions are kept as found, NaN included.
///
/// # Errors
/// A malformed header, a missing property, truncated data.
pub fn parse_points(path: &Path, reader: impl BufRead, size: u64) -> Result<Vec<Point>> {
    let vertices = Vertices::open(path, reader, size)?;
    let colored = vertices.has("red");
    let names = ["x", "y", "z", "red", "green", "blue"].map(String::from);
    let names = if colored { &names[..] } else { &names[..3] };
    let unit = vertices.scalar("red").is_some_and(header::Scalar::is_float);
    let mut points = Vec::with_capacity(vertices.len());
    vertices.read(names, |row| {
        let color = |k: usize| {
            let Some(x) = row.get(k) else { return 128 };
            (x * if unit { 255.0 } else { 1.0 }).round().clamp(0.0, 255.0) as u8
        };
        points.push(Point { position: [row[0], row[1], row[2]], color: [color(3), color(4), color(5)] });
    })?;
    Ok(points)
}

/// Writes `gaussians` in the 3DGS layout. After a failure there is no partial file.
///
/// # Errors
/// Arrays that disagree in length; [`Error::Write`](crate::Error::Write).
pub fn write_gaussians(path: impl AsRef<Path>, gaussians: &Gaussians) -> Result<()> {
    gaussians.check_lengths()?;
    write_atomically(path, |out| encode(gaussians, out))
}

/// The contents of the file that [`write_gaussians`] writes.
///
/// # Errors
/// Arrays that disagree in length.
pub fn to_bytes(gaussians: &Gaussians) -> Result<Vec<u8>> {
    gaussians.check_lengths()?;
    let row = 4 * (14 + 3 * gaussians.coeffs);
    let mut bytes = Vec::with_capacity(2048 + row * gaussians.len());
    encode(gaussians, &mut bytes).expect("writing to a Vec cannot fail");
    Ok(bytes)
}

/// Writes the header and the rows. The arrays must agree in length.
fn encode(g: &Gaussians, out: &mut dyn Write) -> std::io::Result<()> {
    let per_channel = g.coeffs - 1;
    let mut header = format!("ply\nformat binary_little_endian 1.0\nelement vertex {}\n", g.len());
    let mut property = |name: &str| header.push_str(&format!("property float {name}\n"));
    ["x", "y", "z", "nx", "ny", "nz"].into_iter().for_each(&mut property);
    (0..3).for_each(|k| property(&format!("f_dc_{k}")));
    (0..3 * per_channel).for_each(|k| property(&format!("f_rest_{k}")));
    property("opacity");
    (0..3).for_each(|k| property(&format!("scale_{k}")));
    (0..4).for_each(|k| property(&format!("rot_{k}")));
    header.push_str("end_header\n");
    out.write_all(header.as_bytes())?;
    let mut row = Vec::with_capacity(4 * (14 + 3 * g.coeffs));
    for i in 0..g.len() {
        row.clear();
        let mut put = |x: f32| row.extend_from_slice(&x.to_le_bytes());
        let sh = &g.sh[3 * g.coeffs * i..3 * g.coeffs * (i + 1)];
        g.means[3 * i..3 * i + 3].iter().copied().for_each(&mut put);
        [0.0; 3].into_iter().for_each(&mut put);
        sh[..3].iter().copied().for_each(&mut put);
        for c in 0..3 {
            (1..g.coeffs).for_each(|m| put(sh[3 * m + c]));
        }
        put(g.opacity_logits[i]);
        g.log_scales[3 * i..3 * i + 3].iter().copied().for_each(&mut put);
        g.rotations[4 * i..4 * i + 4].iter().copied().for_each(&mut put);
        out.write_all(&row)?;
    }
    Ok(())
}
