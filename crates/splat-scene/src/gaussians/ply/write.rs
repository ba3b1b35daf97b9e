//! Writing the 3DGS layout: positions relative to the origin in `f32`, or world positions in `f64`.

use std::io::Write;
use std::path::Path;

use super::header::{ORIGIN, RENDER_MODE};
use crate::gaussians::rows::{Rows, each_part};
use crate::{Gaussians, Origin, Result, write_atomically};

/// What a PLY says beside the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Write world positions of type `double`, without a sidecar. Otherwise positions are local, and an origin that is not
    /// zero is stated in a comment and in the sidecar ([`Origin::sidecar`]).
    pub world: bool,
    /// The opacities are meant to be compensated for the dilation of small Gaussians: `comment SplatRenderMode: mip`, as
    /// brush and splat-transform write it.
    pub antialiased: bool,
}

/// Writes `gaussians` in the 3DGS layout with local positions. After a failure there is no partial file.
///
/// # Errors
/// As [`write_as`].
pub fn write_gaussians(path: impl AsRef<Path>, gaussians: &dyn Rows) -> Result<()> {
    write_as(path, gaussians, Options::default())
}

/// Writes `gaussians` in the 3DGS layout. After a failure there is no partial file.
///
/// # Errors
/// Arrays that disagree in length; [`Error::Write`](crate::Error::Write).
pub fn write_as(path: impl AsRef<Path>, gaussians: &dyn Rows, options: Options) -> Result<()> {
    let path = path.as_ref();
    gaussians.check_lengths()?;
    write_atomically(path, |out| encode(gaussians, options, out))?;
    let origin = if options.world { Origin::default() } else { gaussians.origin() };
    origin.write_sidecar(path)
}

/// The contents of the file that [`write_gaussians`] writes.
///
/// # Errors
/// Arrays that disagree in length.
pub fn to_bytes(gaussians: &Gaussians) -> Result<Vec<u8>> {
    gaussians.check_lengths()?;
    let row = 4 * (14 + 3 * gaussians.coeffs);
    let mut bytes = Vec::with_capacity(2048 + row * gaussians.len());
    encode(gaussians, Options::default(), &mut bytes).expect("writing to a Vec cannot fail");
    Ok(bytes)
}

/// Writes the header and the rows. The arrays must agree in length.
fn encode(g: &dyn Rows, options: Options, out: &mut dyn Write) -> std::io::Result<()> {
    let Options { world, antialiased } = options;
    let per_channel = g.coeffs() - 1;
    let mut header = String::from("ply\nformat binary_little_endian 1.0\n");
    if !world && !g.origin().is_zero() {
        let [x, y, z] = g.origin().offset;
        header += &format!("{ORIGIN}{x} {y} {z} (world = position + offset)\n");
    }
    if antialiased {
        header += &format!("{RENDER_MODE}mip\n");
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
    each_part(g, |part| rows(part, world, out))
}

/// The rows of a part.
fn rows(g: &Gaussians, world: bool, out: &mut dyn Write) -> std::io::Result<()> {
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
