//! SOG, PlayCanvas' textures of Gaussians: lossless WebP images in which pixel `i` describes Gaussian `i`, and a
//! `meta.json` that says what the bytes mean.
//!
//! Versions 1 (linear ranges) and 2 (codebooks) are read, from a folder or from a single `.sog` file (a zip). Version 2 is
//! written, in either form. Streamed scenes are written with levels of detail and read at the finest one (`streamed`). The world frame is that of a plain PLY. The format is lossy: positions have 65536 steps of
//! `sign(x) ln(1 + |x|)` within the extent of the scene, scales and colours 256 values each, opacities and components of
//! quaternions 256 steps, and harmonics above degree 0 come from a palette.

mod codebook;
mod decode;
mod files;
mod meta;
mod palette;
mod streamed;
mod texture;
mod write;

use std::path::Path;

use super::quantize::finite;
use super::{Rows, WriteProgress, placed};
use crate::{Gaussians, Result};
use files::Files;
pub(super) use files::{META, STREAMED, description};
use meta::Meta;
pub use streamed::{Division, write as write_streamed};

/// Whether to write one file or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    /// One `.sog` file: a zip with everything in it.
    Bundle,
    /// `meta.json` at the given path, with the images beside it.
    Folder,
}

/// Reads a `.sog` file, a `meta.json`, a folder with a `meta.json`, or a streamed scene by its `lod-meta.json` or folder.
///
/// # Errors
/// A missing or malformed `meta.json`; images that are missing, damaged or too small; an index outside of its codebook
/// or palette; compressed data that expands too far.
pub fn read(path: impl AsRef<Path>) -> Result<Gaussians> {
    load(path.as_ref()).map(|(g, _)| g)
}

/// As [`read`], with warnings.
pub(super) fn load(path: &Path) -> Result<(Gaussians, Vec<String>)> {
    let mut files = Files::open(path)?;
    let (described, json) = files.meta()?;
    let (g, warnings) = match meta::parse(&described, &json)? {
        Meta::Streamed(scene) if path.is_dir() || described == path => streamed::scene(&described, &scene)?,
        meta => (decode::scene(&mut files, meta)?, Vec::new()),
    };
    let g = finite(path, g)?;
    Ok((placed(&if path.is_dir() { path.join(description(path)) } else { path.into() }, g)?, warnings))
}

/// Parses the zip `data`. `path` is only used to name the file in errors.
///
/// # Errors
/// As [`read`].
pub fn parse_bundle(path: &Path, data: Vec<u8>) -> Result<Gaussians> {
    let mut files = Files::bundle(path, data)?;
    let (described, json) = files.meta()?;
    finite(path, decode::scene(&mut files, meta::parse(&described, &json)?)?)
}

/// Writes version 2 with the Gaussians in Morton order, and the sidecar of an origin that is not zero. After a failure there is no partial bundle; the files of a folder
/// are all written before the first one replaces an older one, and `meta.json` is replaced last.
///
/// # Errors
/// Arrays that disagree in length or contain NaN or infinity; [`Unwritable`](crate::Error::Unwritable) for more Gaussians
/// than an image of 16383 x 16383 pixels has room for; [`Write`](crate::Error::Write).
pub fn write(
    path: impl AsRef<Path>,
    gaussians: &dyn Rows,
    packaging: Packaging,
    progress: WriteProgress<'_>,
) -> Result<()> {
    write::scene(path.as_ref(), gaussians, packaging, progress)?;
    gaussians.origin().write_sidecar(path.as_ref())
}

/// The contents of the bundle that [`write()`] writes.
///
/// # Errors
/// As [`write()`], but for those of files.
pub fn to_bytes(gaussians: &dyn Rows, progress: WriteProgress<'_>) -> Result<Vec<u8>> {
    let files = write::files(Path::new("scene.sog"), gaussians, progress)?;
    Ok(write::bundle(&files)?)
}
