//! SPZ, Niantic's packed Gaussians: fixed-point positions, a byte a number for the rest.
//!
//! Versions 2 and 3 are one gzip stream, version 4 (`NGSP`) a plain header and one zstd stream an attribute;
//! version 2 has coarser quaternions. Files hold the frame RUB (x right, y up, z back); in memory it is RDF, as
//! in a PLY: y and z change sign, and with them quaternions and harmonics. All three versions are read, 3 and
//! 4 are written.

mod axes;
mod container;
mod packed;

use std::path::Path;

use crate::quantize::finite;
use crate::{Gaussians, Result, write_atomically};
use axes::Axes;

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// One gzip stream: what most programs read.
    #[default]
    V3,
    /// A zstd stream an attribute, of 2026. The encoder in use is fast and light: files come out about a fifth
    /// larger than version 3's.
    V4,
}

/// A file's header, of any version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    version: u32,
    points: usize,
    sh_degree: u8,
    /// Bits after the point in a position.
    fractional_bits: u8,
    flags: u8,
}

/// The six attributes, each of all Gaussians, in the order of the file.
const STREAMS: [&str; 6] = ["positions", "opacities", "colours", "scales", "rotations", "harmonics"];

impl Header {
    /// Bytes of the attributes, in the order of [`STREAMS`]. Counts fit in 32 bits, so no product overflows 64.
    fn sizes(&self) -> [u64; 6] {
        let rotation = if self.version == 2 { 3 } else { 4 };
        let rest = 3 * ((u64::from(self.sh_degree) + 1).pow(2) - 1);
        [9, 1, 3, 3, rotation, rest].map(|each| each * self.points as u64)
    }
}

/// Reads an SPZ file of version 2, 3 or 4.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Gaussians> {
    parse(path, &fs_err::read(path)?)
}

/// The Gaussians in `data`; `path` only names the file in errors. The flag for antialiased training and
/// extensions are passed over, but a stored coordinate system is honoured.
///
/// # Errors
/// Another version, an SH degree above 3, truncated or damaged streams, streams that expand beyond belief, a
/// stored frame with other axes than x, y, z in this order.
pub fn parse(path: &Path, data: &[u8]) -> Result<Gaussians> {
    let (header, streams, axes) = container::open(path, data)?;
    finite(path, packed::unpack(&header, &streams, axes))
}

/// Writes an SPZ file; it appears whole or not at all.
///
/// A position is rounded to 1/4096, or more coarsely where the scene reaches beyond 2048 units; a log scale to
/// 1/16 within -10 to 5.9; a colour's coefficient to 1/38; an opacity to 1/255; a quaternion's component to
/// 1/722; a harmonic of degree 1 to 1/16, of a higher one to 1/8, within -1 to 1, as the format's own writer
/// does.
///
/// # Errors
/// Arrays that disagree in length or hold NaN or infinity; a position beyond 2^23; a disk that is full, and
/// the like.
pub fn write(path: &Path, gaussians: &Gaussians, version: Version) -> Result<()> {
    gaussians.check()?;
    let number = match version {
        Version::V3 => 3,
        Version::V4 => 4,
    };
    let (header, streams) = packed::pack(path, gaussians, number, Axes::RUB)?;
    let bytes = container::close(&header, &streams);
    write_atomically(path, |out| out.write_all(&bytes))
}
