//! Writing the 3DGS layout: positions relative to the origin in `f32`, or world positions in `f64`.

use std::io::Write;
use std::path::Path;

use super::header::ORIGIN;
use crate::{Gaussians, Origin, Result, write_atomically};

/// Writes `gaussians` in the 3DGS layout. Positions are local; an origin that is not zero is stated in a comment and in
/// the sidecar ([`Origin::sidecar`]). After a failure there is no partial file.
///
/// # Errors
/// Arrays that disagree in length; [`Error::Write`](crate::Error::Write).
pub fn write_gaussians(path: impl AsRef<Path>, gaussians: &Gaussians) -> Result<()> {
    let path = path.as_ref();
    gaussians.check_lengths()?;
    write_atomically(path, |out| encode(gaussians, false, out))?;
    gaussians.origin.write_sidecar(path)
}

/// Writes `gaussians` in the 3DGS layout, but with world positions of type `double`, and without a sidecar.
///
/// # Errors
/// As [`write_gaussians`].
pub fn write_world(path: impl AsRef<Path>, gaussians: &Gaussians) -> Result<()> {
    let path = path.as_ref();
    gaussians.check_lengths()?;
    write_atomically(path, |out| encode(gaussians, true, out))?;
    Origin::default().write_sidecar(path)
}

/// The contents of the file that [`write_gaussians`] writes.
///
/// # Errors
/// Arrays that disagree in length.
pub fn to_bytes(gaussians: &Gaussians) -> Result<Vec<u8>> {
    gaussians.check_lengths()?;
    let row = 4 * (14 + 3 * gaussians.coeffs);
    let mut bytes = Vec::with_capacity(2048 + row * gaussians.len());
    encode(gaussians, false, &mut bytes).expect("writing to a Vec cannot fail");
    Ok(bytes)
}

/// Writes the header and the rows. The arrays must agree in length.
fn encode(g: &Gaussians, world: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let per_channel = g.coeffs - 1;
    let mut header = String::from("ply\nformat binary_little_endian 1.0\n");
    if !world && !g.origin.is_zero() {
        let [x, y, z] = g.origin.offset;
        header += &format!("{ORIGIN}{x} {y} {z} (world = position + offset)\n");
    }
    header += &format!("element vertex {}\n", g.len());
    let position = if world { "double" } else { "float" };
    ["x", "y", "z"].iter().for_each(|name| header += &format!("property {position} {name}\n"));
    let mut property = |name: &str| header.push_str(&format!("property float {name}\n"));
    ["nx", "ny", "nz"].into_iter().for_each(&mut property);
    (0..3).for_each(|k| property(&format!("f_dc_{k}")));
    (0..3 * per_channel).for_each(|k| property(&format!("f_rest_{k}")));
    property("opacity");
    (0..3).for_each(|k| property(&format!("scale_{k}")));
    (0..4).for_each(|k| property(&format!("rot_{k}")));
    header.push_str("end_header\n");
    out.write_all(header.as_bytes())?;
    let mut row: Vec<u8> = Vec::with_capacity(4 * (17 + 3 * g.coeffs));
    for i in 0..g.len() {
        row.clear();
        let mean = [0, 1, 2].map(|k| g.means[3 * i + k]);
        if world {
            g.origin.to_world(mean).iter().for_each(|x| row.extend_from_slice(&x.to_le_bytes()));
        }
        let mut put = |x: f32| row.extend_from_slice(&x.to_le_bytes());
        if !world {
            mean.into_iter().for_each(&mut put);
        }
        let sh = &g.sh[3 * g.coeffs * i..3 * g.coeffs * (i + 1)];
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
