//! OpenUSD's `ParticleField3DGaussianSplat` (in the schemas since 26.03): `.usda`, text, and `.usdz`, a zip of it, both
//! written only.
//!
//! Scales and opacities are stored after the activations, quaternions wxyz at unit length, harmonics Gaussian by Gaussian,
//! in the order and with the signs of the 3DGS authors. The axes are x right, y up, z back, so y and z change sign, as in
//! SPZ and glTF. Numbers are the shortest text that gives back the same 32 bits.

use std::io::{Cursor, Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;

use super::axes::Axes;
use super::quantize::{scale, unit};
use crate::{Error, Gaussians, Result, write_atomically};

/// Every file in a `.usdz` begins at a multiple of this, so that it can be read in place.
const ALIGNMENT: u16 = 64;

/// How the text is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packaging {
    /// As it is: `.usda`.
    Text,
    /// In a zip without compression: `.usdz`.
    Zip,
}

/// Text is large, and what made it is at hand: reading it is left to USD.
pub(super) fn refuse(path: &Path) -> Error {
    Error::NotGaussians {
        path: path.into(),
        found: "a USD file, which is written but not read".into(),
        hint: "take the file that it was made from, or export the Gaussians as PLY".into(),
    }
}

/// Writes the Gaussians, and the sidecar of an origin that is not zero. After a failure there is no partial file.
///
/// # Errors
/// Arrays that disagree in length or contain NaN or infinity; [`Error::Write`].
pub fn write(path: impl AsRef<Path>, gaussians: &Gaussians, packaging: Packaging) -> Result<()> {
    let (path, g) = (path.as_ref(), gaussians);
    g.check()?;
    match packaging {
        Packaging::Text => write_atomically(path, |out| text(g, out))?,
        Packaging::Zip => {
            let mut bytes = Cursor::new(Vec::new());
            zipped(g, &mut bytes).map_err(|source| Error::Write { path: path.into(), source })?;
            write_atomically(path, |out| out.write_all(bytes.get_ref()))?;
        }
    }
    g.origin.write_sidecar(path)
}

fn zipped(g: &Gaussians, out: &mut (impl Write + Seek)) -> std::io::Result<()> {
    let mut zip = zip::ZipWriter::new(out);
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("scene.usda", stored.with_alignment(ALIGNMENT).large_file(false))?;
    text(g, &mut zip)?;
    zip.finish()?;
    Ok(())
}

fn text(g: &Gaussians, out: &mut dyn Write) -> std::io::Result<()> {
    const AXES: Axes = Axes::RUB;
    let generator = concat!("Splatwright ", env!("CARGO_PKG_VERSION"));
    writeln!(out, "#usda 1.0\n(\n    doc = \"{generator}\"\n    defaultPrim = \"Scene\"")?;
    writeln!(out, "    metersPerUnit = 1\n    upAxis = \"Y\"\n)\n")?;
    writeln!(out, "def ParticleField3DGaussianSplat \"Scene\"\n{{")?;
    let p = g.len();
    let mean = |i: usize| [0, 1, 2].map(|k| AXES.position[k] * g.means[3 * i + k]);
    if let Some([low, high]) = reach(g) {
        list(out, "float3[] extent", [low, high].into_iter())?;
    }
    list(out, "point3f[] positions", (0..p).map(mean))?;
    let rotation = |i: usize| {
        let [w, x, y, z] = unit([0, 1, 2, 3].map(|k| g.rotations[4 * i + k]));
        let [a, b, c] = AXES.quaternion;
        [w, a * x, b * y, c * z]
    };
    list(out, "quatf[] orientations", (0..p).map(rotation))?;
    list(out, "float3[] scales", (0..p).map(|i| [0, 1, 2].map(|k| scale(g.log_scales[3 * i + k]))))?;
    let opacity = |i: usize| [1.0 / (1.0 + (-g.opacity_logits[i]).exp())];
    list(out, "float[] opacities", (0..p).map(opacity))?;
    writeln!(out, "    uniform int radiance:sphericalHarmonicsDegree = {}", g.sh_degree())?;
    let coefficient = |n: usize| {
        let m = n % g.coeffs;
        let sign = if m == 0 { 1.0 } else { AXES.harmonics[m - 1] };
        [0, 1, 2].map(|c| sign * g.sh[3 * n + c])
    };
    list(out, "float3[] radiance:sphericalHarmonicsCoefficients", (0..p * g.coeffs).map(coefficient))?;
    writeln!(out, "    uniform token projectionModeHint = \"perspective\"")?;
    writeln!(out, "    uniform token sortingModeHint = \"zDepth\"\n}}")
}

/// An attribute that is an array.
fn list<const N: usize>(
    out: &mut dyn Write,
    name: &str,
    values: impl Iterator<Item = [f32; N]>,
) -> std::io::Result<()> {
    write!(out, "    {name} = [")?;
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.write_all(b", ")?;
        }
        let words = value.map(|x| format!("{x:?}"));
        if N == 1 { out.write_all(words[0].as_bytes())? } else { write!(out, "({})", words.join(", "))? }
    }
    out.write_all(b"]\n")
}

/// The corners of a box that holds three standard deviations of every Gaussian in any direction.
fn reach(g: &Gaussians) -> Option<[[f32; 3]; 2]> {
    let mut corners = [[f32::INFINITY; 3], [f32::NEG_INFINITY; 3]];
    for (m, s) in g.means.chunks_exact(3).zip(g.log_scales.chunks_exact(3)) {
        let radius = 3.0 * scale(s[0].max(s[1]).max(s[2]));
        for k in 0..3 {
            let x = Axes::RUB.position[k] * m[k];
            corners[0][k] = corners[0][k].min(x - radius);
            corners[1][k] = corners[1][k].max(x + radius);
        }
    }
    corners.iter().flatten().all(|x| x.is_finite()).then_some(corners)
}
