//! `.splat`: 32 bytes a Gaussian and no header. Position 3 f32, scale 3 f32, RGBA 4 u8, rotation wxyz 4 u8.
//!
//! Colour and opacity are after the activations there, and come back here as raw parameters of degree 0.

use std::path::Path;

use crate::{Error, Gaussians, Place, Result, SH_C0};

const RECORD: usize = 32;

/// Reads a `.splat` file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Gaussians> {
    parse(path, &fs_err::read(path)?)
}

/// The Gaussians in `data`; `path` only names the file in errors.
///
/// Bytes 0 and 255 of the opacity stand for a quarter step above 0 and below 1, so that every raw
/// parameter is finite; a scale of 0 or less becomes the smallest positive number.
///
/// # Errors
/// A size that is no multiple of 32 bytes; a NaN or infinite position or scale.
pub fn parse(path: &Path, data: &[u8]) -> Result<Gaussians> {
    let n = data.len() / RECORD;
    if !data.len().is_multiple_of(RECORD) {
        return Err(Error::Truncated {
            path: path.into(),
            offset: (n * RECORD) as u64,
            expected: format!("a whole record of {RECORD} bytes, the {}th", n + 1),
            left: (data.len() % RECORD) as u64,
        });
    }
    let mut g = Gaussians { coeffs: 1, ..Gaussians::default() };
    for (i, record) in data.chunks_exact(RECORD).enumerate() {
        let float =
            |k: usize| f32::from_le_bytes(record[4 * k..4 * k + 4].try_into().expect("4 bytes of 32"));
        for k in 0..6 {
            if !float(k).is_finite() {
                return Err(Error::Malformed {
                    path: path.into(),
                    place: Place::Byte((i * RECORD + 4 * k) as u64),
                    message: format!(
                        "record {i}: a position or scale is {}, expected a finite number",
                        float(k)
                    ),
                });
            }
        }
        g.means.extend((0..3).map(float));
        g.log_scales.extend((3..6).map(|k| float(k).max(f32::MIN_POSITIVE).ln()));
        g.sh.extend(record[24..27].iter().map(|&c| (f32::from(c) / 255.0 - 0.5) / SH_C0));
        let opacity = f32::from(record[27]).clamp(0.25, 254.75) / 255.0;
        g.opacity_logits.push((opacity / (1.0 - opacity)).ln());
        g.rotations.extend(record[28..].iter().map(|&b| (f32::from(b) - 128.0) / 128.0));
    }
    Ok(g)
}
