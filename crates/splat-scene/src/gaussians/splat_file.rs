//! `.splat`: 32 bytes per Gaussian and no header. Position 3 f32, scale 3 f32, RGBA 4 u8, rotation wxyz 4 u8.
//!
//! The file stores colours and opacities after the activations; reading converts them to raw parameters of degree 0.
//! Positions are exact, scales are exact up to an exponential and its logarithm; colours, opacities and quaternions have 8
//! bits per number.

use std::io::Write;
use std::path::Path;

use super::placed;
use super::quantize::{byte, byte_of_logit, log_scale, logit_of_byte, scale};
use super::rows::{Rows, each_of, each_part};
use crate::{Error, Gaussians, Place, Result, SH_C0, files, write_atomically};

const RECORD: usize = 32;

/// Reads a `.splat` file.
///
/// # Errors
/// As [`parse`]; or the file or its sidecar ([`Origin::sidecar`](crate::Origin::sidecar)) cannot be read.
pub fn read(path: impl AsRef<Path>) -> Result<Gaussians> {
    load(path.as_ref()).map(|(g, _)| g)
}

/// As [`read`], with warnings.
pub(super) fn load(path: &Path) -> Result<(Gaussians, Vec<String>)> {
    let data = files::read(path)?;
    let left = data.len() % RECORD;
    let warning =
        || format!("{left} bytes after the last whole Gaussian are ignored: the file may be cut off");
    let warnings = (left > 0).then(warning).into_iter().collect();
    Ok((placed(path, parse(path, &data)?)?, warnings))
}

/// Parses the file contents `data`. `path` is only used to name the file in errors.
///
/// Opacity bytes of 0 and 255 stand for a quarter step above 0 and below 1, so that every raw parameter is finite. A scale
/// of 0 or less becomes the smallest positive normal number.
///
/// What follows the last 32 whole bytes is ignored.
///
/// # Errors
/// A file without a whole Gaussian that is not empty; a NaN or infinite position or scale.
pub fn parse(path: &Path, data: &[u8]) -> Result<Gaussians> {
    if (1..RECORD).contains(&data.len()) {
        let expected = format!("a Gaussian ({RECORD} bytes)");
        return Err(Error::Truncated { path: path.into(), offset: 0, expected, left: data.len() as u64 });
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
        g.log_scales.extend((3..6).map(|k| log_scale(float(k))));
        g.sh.extend(record[24..27].iter().map(|&c| (f32::from(c) / 255.0 - 0.5) / SH_C0));
        g.opacity_logits.push(logit_of_byte(record[27]));
        g.rotations.extend(record[28..].iter().map(|&b| (f32::from(b) - 128.0) / 128.0));
    }
    Ok(g)
}

/// Writes a `.splat` file, which drops spherical harmonics above degree 0, and the sidecar of an origin that is not zero.
/// After a failure there is no partial file. The Gaussians are sorted by volume times opacity, largest first, because
/// viewers show them as they arrive.
///
/// # Errors
/// Arrays that disagree in length or contain NaN or infinity; [`Error::Write`].
pub fn write(path: impl AsRef<Path>, gaussians: &dyn Rows) -> Result<()> {
    let path = path.as_ref();
    gaussians.check()?;
    write_atomically(path, |out| encode(gaussians, out))?;
    gaussians.origin().write_sidecar(path)
}

/// The contents of the file that [`write()`] writes: local positions.
///
/// # Errors
/// Arrays that disagree in length or contain NaN or infinity.
pub fn to_bytes(gaussians: &Gaussians) -> Result<Vec<u8>> {
    gaussians.check()?;
    let mut bytes = Vec::with_capacity(RECORD * gaussians.len());
    encode(gaussians, &mut bytes).expect("writing to a Vec cannot fail");
    Ok(bytes)
}

/// Writes the records. The arrays must agree in length.
fn encode(g: &dyn Rows, out: &mut dyn Write) -> std::io::Result<()> {
    let mut order: Vec<(f32, u32)> = Vec::with_capacity(g.len());
    each_part(g, |part| {
        order.extend(part.size_weights().into_iter().zip(order.len() as u32..));
        Ok::<_, Error>(())
    })?;
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let order: Vec<u32> = order.into_iter().map(|(_, i)| i).collect();
    each_of(g, &order, |part| records(part, out))
}

/// The records of a part.
fn records(g: &Gaussians, out: &mut dyn Write) -> std::io::Result<()> {
    for i in 0..g.len() {
        let mut record = Vec::with_capacity(RECORD);
        let position = g.means[3 * i..3 * i + 3].iter().copied();
        let scales = g.log_scales[3 * i..3 * i + 3].iter().map(|&x| scale(x));
        position.chain(scales).for_each(|x| record.extend(x.to_le_bytes()));
        let sh = &g.sh[3 * g.coeffs * i..3 * g.coeffs * i + 3];
        record.extend(sh.iter().map(|c| byte(255.0 * (0.5 + SH_C0 * c))));
        record.push(byte_of_logit(g.opacity_logits[i]));
        let q = &g.rotations[4 * i..4 * i + 4];
        let norm = q.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
        record.extend(q.iter().map(|x| byte(128.0 + 128.0 * x / norm)));
        out.write_all(&record)?;
    }
    Ok(())
}
