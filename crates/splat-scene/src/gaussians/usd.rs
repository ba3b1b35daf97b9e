//! OpenUSD's `ParticleField3DGaussianSplat` (in the schemas since 26.03): `.usda`, text, and `.usdz`, a zip of it, both
//! written only.
//!
//! Scales and opacities are stored after the activations, quaternions wxyz at unit length, harmonics Gaussian by Gaussian,
//! in the order and with the signs of the 3DGS authors. The axes are x right, y up, z back, so y and z change sign, as in
//! SPZ and glTF. Numbers are the shortest text that gives back the same 32 bits.

use std::io::{Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;

use super::axes::Axes;
use super::quantize::{scale, unit};
use super::rows::{Rows, each_part};
use crate::files::write_seekable;
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
pub fn write(path: impl AsRef<Path>, g: &dyn Rows, packaging: Packaging) -> Result<()> {
    let path = path.as_ref();
    g.check()?;
    match packaging {
        Packaging::Text => write_atomically(path, |out| text(g, out))?,
        Packaging::Zip => write_seekable(path, |out| zipped(g, out))?,
    }
    g.origin().write_sidecar(path)
}

fn zipped(g: &dyn Rows, out: &mut (impl Write + Seek)) -> std::io::Result<()> {
    let mut zip = zip::ZipWriter::new(out);
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("scene.usda", stored.with_alignment(ALIGNMENT).large_file(false))?;
    text(g, &mut zip)?;
    zip.finish()?;
    Ok(())
}

fn text(g: &dyn Rows, out: &mut dyn Write) -> std::io::Result<()> {
    const AXES: Axes = Axes::RUB;
    let generator = concat!("Splatwright ", env!("CARGO_PKG_VERSION"));
    writeln!(out, "#usda 1.0\n(\n    doc = \"{generator}\"\n    defaultPrim = \"Scene\"")?;
    writeln!(out, "    metersPerUnit = 1\n    upAxis = \"Y\"\n)\n")?;
    writeln!(out, "def ParticleField3DGaussianSplat \"Scene\"\n{{")?;
    if let Some([low, high]) = reach(g)? {
        let [low, high] = [low, high].map(words);
        writeln!(out, "    float3[] extent = [{low}, {high}]")?;
    }
    let mean = |g: &Gaussians, i: usize| [0, 1, 2].map(|k| AXES.position[k] * g.means[3 * i + k]);
    list(out, "point3f[] positions", g, 1, mean)?;
    let rotation = |g: &Gaussians, i: usize| {
        let [w, x, y, z] = unit([0, 1, 2, 3].map(|k| g.rotations[4 * i + k]));
        let [a, b, c] = AXES.quaternion;
        [w, a * x, b * y, c * z]
    };
    list(out, "quatf[] orientations", g, 1, rotation)?;
    let scales = |g: &Gaussians, i: usize| [0, 1, 2].map(|k| scale(g.log_scales[3 * i + k]));
    list(out, "float3[] scales", g, 1, scales)?;
    let opacity = |g: &Gaussians, i: usize| [1.0 / (1.0 + (-g.opacity_logits[i]).exp())];
    list(out, "float[] opacities", g, 1, opacity)?;
    writeln!(out, "    uniform int radiance:sphericalHarmonicsDegree = {}", g.coeffs().isqrt() - 1)?;
    let coefficient = |g: &Gaussians, n: usize| {
        let m = n % g.coeffs;
        let sign = if m == 0 { 1.0 } else { AXES.harmonics[m - 1] };
        [0, 1, 2].map(|c| sign * g.sh[3 * n + c])
    };
    list(out, "float3[] radiance:sphericalHarmonicsCoefficients", g, g.coeffs(), coefficient)?;
    writeln!(out, "    uniform token projectionModeHint = \"perspective\"")?;
    writeln!(out, "    uniform token sortingModeHint = \"zDepth\"\n}}")
}

/// An attribute that is an array, with `each` values per Gaussian; `value` gives the one of a number within a part.
fn list<const N: usize>(
    out: &mut dyn Write,
    name: &str,
    g: &dyn Rows,
    each: usize,
    value: impl Fn(&Gaussians, usize) -> [f32; N],
) -> std::io::Result<()> {
    write!(out, "    {name} = [")?;
    let mut between: &[u8] = b"";
    each_part(g, |part| {
        for i in 0..each * part.len() {
            out.write_all(between)?;
            out.write_all(words(value(part, i)).as_bytes())?;
            between = b", ";
        }
        Ok::<_, std::io::Error>(())
    })?;
    out.write_all(b"]\n")
}

/// A number, or several in brackets.
fn words<const N: usize>(value: [f32; N]) -> String {
    let words = value.map(|x| format!("{x:?}")).join(", ");
    if N == 1 { words } else { format!("({words})") }
}

/// The corners of a box that holds three standard deviations of every Gaussian in any direction.
fn reach(g: &dyn Rows) -> Result<Option<[[f32; 3]; 2]>> {
    let mut corners = [[f32::INFINITY; 3], [f32::NEG_INFINITY; 3]];
    each_part(g, |part| {
        for (m, s) in part.means.chunks_exact(3).zip(part.log_scales.chunks_exact(3)) {
            let radius = 3.0 * scale(s[0].max(s[1]).max(s[2]));
            for k in 0..3 {
                let x = Axes::RUB.position[k] * m[k];
                corners[0][k] = corners[0][k].min(x - radius);
                corners[1][k] = corners[1][k].max(x + radius);
            }
        }
        Ok::<_, Error>(())
    })?;
    Ok(corners.iter().flatten().all(|x| x.is_finite()).then_some(corners))
}
