//! Where the raw parameters of Gaussians are among the properties of the vertices: the layout of the 3DGS authors'
//! trainer, and those of trainers and exporters that differ from it.
//!
//! - colours as `red green blue` in place of `f_dc_*` (nerfstudio's export): SH degree 0;
//! - two scales (2D Gaussian Splatting): flat Gaussians;
//! - `filter_3D` (Mip-Splatting): the 3D smoothing filter, which widens Gaussians and lowers their opacities;
//! - harmonics of degree 4: those above degree 3 are left out;
//! - what looks similar and holds no Gaussians is named: point clouds, meshes, anchors of Scaffold-GS.
//!
//! Other properties are ignored. Each difference is a warning.

use std::io::BufRead;
use std::path::Path;

use super::header::Scalar;
use super::rows::Vertices;
use crate::{Error, Gaussians, Result, SH_C0};

/// The thickness of a flat Gaussian, relative to the smaller of its two scales: below what a pixel shows.
const THICKNESS: f32 = 1e-4;

#[derive(Debug)]
pub(super) struct Layout {
    /// The properties to read, in the order that [`push`](Self::push) takes after the position: colour, harmonics,
    /// opacity, scales, rotation, filter.
    pub(super) names: Vec<String>,
    pub(super) coeffs: usize,
    /// Whether positions have 64 bits.
    pub(super) double: bool,
    pub(super) warnings: Vec<String>,
    /// What full brightness is, if there are colours in place of `f_dc_*`.
    full: Option<f64>,
    scales: usize,
    filter: bool,
}

impl Layout {
    pub(super) fn of<R: BufRead>(path: &Path, vertices: &Vertices<'_, R>) -> Result<Self> {
        let has = |name: &str| vertices.has(name);
        if has("packed_position") {
            return Err(vertices.malformed(
                "this is PlayCanvas' compressed PLY, not a plain one (`Gaussians::read` reads both)".into(),
            ));
        }
        refuse_others(path, vertices)?;
        let mut warnings = Vec::new();
        let rgb = !has("f_dc_0") && ["red", "green", "blue"].into_iter().all(has);
        let rest = vertices.vertex().properties.iter().filter(|p| p.name.starts_with("f_rest_")).count();
        let stored = match rest {
            0 | 9 | 24 | 45 | 72 => rest / 3,
            _ => {
                return Err(vertices.malformed(format!(
                    "{rest} properties f_rest_*, expected 0, 9, 24, 45 or 72 (SH degree 0 to 4)"
                )));
            }
        };
        let per_channel = stored.min(15);
        if stored > per_channel {
            warnings.push("the spherical harmonics have degree 4; those above degree 3 are left out".into());
        }
        let mut names: Vec<String> = ["x", "y", "z"].map(String::from).into();
        if rgb {
            warnings
                .push("colours are stored as red, green and blue, without f_dc: read as SH degree 0".into());
            names.extend(["red", "green", "blue"].map(String::from));
        } else {
            names.extend((0..3).map(|c| format!("f_dc_{c}")));
        }
        // In the order of `Gaussians::sh`: coefficient by coefficient.
        names
            .extend((0..per_channel).flat_map(|m| (0..3).map(move |c| format!("f_rest_{}", c * stored + m))));
        names.push("opacity".into());
        let scales = if has("scale_0") && has("scale_1") && !has("scale_2") { 2 } else { 3 };
        if scales == 2 {
            warnings.push(
                "there is no scale_2 (2D Gaussian Splatting): read as flat Gaussians, which render almost alike"
                    .into(),
            );
        }
        names.extend((0..scales).map(|k| format!("scale_{k}")));
        names.extend((0..4).map(|k| format!("rot_{k}")));
        let filter = has("filter_3D");
        if filter {
            warnings.push("filter_3D (Mip-Splatting) is applied to scales and opacities".into());
            names.push("filter_3D".into());
        }
        let double = ["x", "y", "z"].iter().any(|n| vertices.scalar(n) == Some(Scalar::F64));
        let full = rgb.then(|| full_color(vertices));
        Ok(Self { names, coeffs: per_channel + 1, double, warnings, full, scales, filter })
    }

    /// Appends the numbers of a Gaussian, but for its position.
    pub(super) fn push(&self, g: &mut Gaussians, row: &[f64]) {
        let number = |k: usize| row[k] as f32;
        let opacity = 3 * self.coeffs;
        g.sh.extend((0..3).map(|c| match self.full {
            None => number(c),
            Some(full) => ((row[c] / full) as f32 - 0.5) / SH_C0,
        }));
        g.sh.extend((3..opacity).map(number));
        let at = opacity + 1;
        let mut scales = [number(at), number(at + 1), number(at).min(number(at + 1)) + THICKNESS.ln()];
        if self.scales == 3 {
            scales[2] = number(at + 2);
        }
        let at = at + self.scales;
        let logit = match self.filter.then(|| row[at + 4]) {
            Some(width) => smoothed(&mut scales, row[opacity], width) as f32,
            None => number(opacity),
        };
        g.opacity_logits.push(logit);
        g.log_scales.extend(scales);
        g.rotations.extend((at..at + 4).map(number));
    }
}

/// The number that stands for full brightness.
pub(super) fn full_color<R: BufRead>(vertices: &Vertices<'_, R>) -> f64 {
    match vertices.scalar("red") {
        Some(scalar) if scalar.is_float() => 1.0,
        Some(Scalar::U16) => 65_535.0,
        _ => 255.0,
    }
}

/// Widens a Gaussian by an isotropic one of standard deviation `width` and returns the logit of the opacity that keeps its
/// mass (Yu et al., "Mip-Splatting", 2024, equation 9).
fn smoothed(log_scales: &mut [f32; 3], logit: f64, width: f64) -> f64 {
    let mut mass = 1.0;
    for x in log_scales {
        let before = (2.0 * f64::from(*x)).exp();
        let after = before + width * width;
        mass *= (before / after).sqrt();
        *x = (0.5 * after.ln()) as f32;
    }
    let opacity = mass / (1.0 + (-logit).exp());
    (opacity / (1.0 - opacity)).ln()
}

/// An error that says what the file is, if nothing in it describes Gaussians.
fn refuse_others<R: BufRead>(path: &Path, vertices: &Vertices<'_, R>) -> Result<()> {
    let vertex = vertices.vertex();
    let starts = |prefix: &str| vertex.properties.iter().any(|p| p.name.starts_with(prefix));
    let not =
        |found: String, hint: &str| Err(Error::NotGaussians { path: path.into(), found, hint: hint.into() });
    if starts("f_offset_") || starts("f_anchor_feat") {
        return not(
            "anchors of Scaffold-GS, no Gaussians: a network makes Gaussians from them for every view".into(),
            "export Gaussians with the program that trained them",
        );
    }
    if starts("opacity") || starts("scale_") || starts("rot_") || starts("f_dc_") || !vertices.has("x") {
        return Ok(());
    }
    let names: Vec<_> = vertex.properties.iter().map(|p| p.name.as_str()).collect();
    let what = if vertices.has_faces() { "a mesh" } else { "a point cloud" };
    not(
        format!("{what}, no Gaussians: {} vertices with {}", vertex.count, names.join(", ")),
        "a training can start from its points: put it beside the camera poses as points3D.ply",
    )
}
