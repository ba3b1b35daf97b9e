//! SPZ, Niantic's packed Gaussians: fixed-point positions and one byte per number for the rest.
//!
//! Versions 1 to 3 are one gzip stream; version 4 (`NGSP`) is a plain header and one zstd stream per attribute. Versions 1
//! and 2 have coarser quaternions, and version 1 has positions of 16-bit floating point. Files use the frame RUB (x right, y up, z back); in memory the frame is RDF, as in a PLY, so y
//! and z change sign, and quaternions and harmonics change with them. All versions are read; 2 to 4 are written.

mod container;
mod packed;

use std::path::Path;

use super::axes::Axes;
use super::placed;
use super::quantize::finite;
use super::rows::Rows;
use crate::{Gaussians, Result, files, write_atomically};
pub(super) use packed::fractional_bits;

/// The version to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Version {
    /// One gzip stream, with one byte for each of three components of a quaternion: for programs from before version 3. The
    /// fourth component is the square root of what is left, so that half turns are off by up to a tenth.
    V2,
    /// One gzip stream; most programs read it.
    #[default]
    V3,
    /// One zstd stream per attribute, introduced in 2026. The encoder used here is fast rather than strong: files are about
    /// a fifth larger than those of version 3.
    V4,
}

/// The header of a file of any version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    version: u32,
    points: usize,
    sh_degree: u8,
    /// Fractional bits of a position.
    fractional_bits: u8,
    flags: u8,
}

/// The six attributes in the order of the file.
const STREAMS: [&str; 6] = ["positions", "opacities", "colours", "scales", "rotations", "harmonics"];

impl Header {
    /// The sizes of the attributes in bytes, in the order of [`STREAMS`]. Counts fit in 32 bits, so the products fit in 64.
    fn sizes(&self) -> [u64; 6] {
        let rotation = if self.version <= 2 { 3 } else { 4 };
        let position = if self.version == 1 { 6 } else { 9 };
        let rest = 3 * ((u64::from(self.sh_degree) + 1).pow(2) - 1);
        [position, 1, 3, 3, rotation, rest].map(|each| each * self.points as u64)
    }
}

/// Reads an SPZ file of version 1 to 4.
///
/// # Errors
/// As [`parse`]; or the file or its sidecar ([`Origin::sidecar`](crate::Origin::sidecar)) cannot be read.
pub fn read(path: impl AsRef<Path>) -> Result<Gaussians> {
    let path = path.as_ref();
    placed(path, parse(path, &files::read(path)?)?)
}

/// Parses the file contents `data`. `path` is only used to name the file in errors. The flag for antialiased training and
/// unknown extensions are ignored; a stored coordinate system is applied.
///
/// # Errors
/// Another version, an SH degree above 3, truncated or damaged streams, streams that expand too far, or a stored frame
/// whose axes are not in the order x, y, z.
pub fn parse(path: &Path, data: &[u8]) -> Result<Gaussians> {
    let (header, streams, axes) = container::open(path, data)?;
    finite(path, packed::unpack(&header, &streams, axes))
}

/// Writes an SPZ file, and the sidecar of an origin that is not zero. After a failure there is no partial file.
///
/// Local positions are rounded to 1/4096, or more coarsely if the scene extends beyond 2048 units; log scales to 1/16 within -10
/// to 5.9; colour coefficients to 1/38; opacities to 1/255; components of quaternions to 1/722 (version 2: 1/127); harmonics of degree 1 to
/// 1/16 and higher ones to 1/8, within -1 to 1, as the format's own writer does.
///
/// # Errors
/// Arrays that disagree in length or contain NaN or infinity; [`Unwritable`](crate::Error::Unwritable) for a position
/// beyond 2^23; [`Write`](crate::Error::Write).
pub fn write(path: impl AsRef<Path>, gaussians: &dyn Rows, version: Version) -> Result<()> {
    let path = path.as_ref();
    gaussians.check()?;
    let number = match version {
        Version::V2 => 2,
        Version::V3 => 3,
        Version::V4 => 4,
    };
    let (header, streams) = packed::pack(path, gaussians, number, Axes::RUB)?;
    write_atomically(path, |out| container::close(&header, &streams, out))?;
    gaussians.origin().write_sidecar(path)
}
