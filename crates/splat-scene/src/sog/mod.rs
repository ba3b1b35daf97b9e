//! SOG, PlayCanvas' textures of Gaussians: lossless WebP pictures whose pixel `i` is about Gaussian `i`, and a
//! `meta.json` that says what their bytes mean.
//!
//! Read: version 1 (linear ranges) and 2 (codebooks), as a folder or as one `.sog` (a zip). Written: version 2,
//! either way. World frame as in a plain PLY. Lossy but for the order: a position has 65536 steps of
//! `sign(x) ln(1 + |x|)` through the scene, a scale and a colour 256 values each, an opacity 256 steps, a
//! quaternion's component 256, and the harmonics above degree 0 come from a palette.

mod codebook;
mod decode;
mod files;
mod meta;
mod palette;
mod texture;
mod write;

use std::path::Path;

use crate::quantize::finite;
use crate::{Gaussians, Progress, Result};
use files::Files;

/// Whether to write one file or many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    /// One `.sog`: a zip with all in it.
    Bundle,
    /// `meta.json` at the path given, the pictures beside it.
    Folder,
}

/// Reads a `.sog`, a `meta.json`, or the folder that holds one.
///
/// # Errors
/// A missing or malformed `meta.json`, pictures that are missing, damaged or too small, numbers that name no
/// entry of a codebook or palette; what expands beyond belief.
pub fn read(path: &Path) -> Result<Gaussians> {
    let mut files = Files::open(path)?;
    let g = decode::scene(&mut files)?;
    finite(path, g)
}

/// The Gaussians in the zip `data`; `path` only names the file in errors.
///
/// # Errors
/// As [`read`].
pub fn parse_bundle(path: &Path, data: Vec<u8>) -> Result<Gaussians> {
    let g = decode::scene(&mut Files::bundle(path, data)?)?;
    finite(path, g)
}

/// Writes version 2, in the order of a Z curve. A bundle appears whole or not at all; of a folder, every file is
/// written before the first takes its place, `meta.json` last.
///
/// # Errors
/// Arrays that disagree in length or hold NaN or infinity; more Gaussians than pictures of 16383 x 16383 hold;
/// a disk that is full, and the like.
pub fn write(path: &Path, gaussians: &Gaussians, packaging: Packaging, progress: Progress<'_>) -> Result<()> {
    write::scene(path, gaussians, packaging, progress)
}
