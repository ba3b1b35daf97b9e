//! `splat info SCENE`: what is in a file of Gaussians, and which training made it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use comfy_table::{Table, presets};
use serde_json::json;
use splat_init::linear::quantile;
use splat_scene::{GaussianFormat, Gaussians, ply};

use super::past::Past;
use super::say::{self, grouped};
use super::scene;

/// The scene file that `path` is or holds, if it is no dataset.
pub(super) fn file_of(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        // `transforms.json`, and a COLMAP model's own `points3D.ply` is in its folder.
        let sog = ["meta.json", "lod-meta.json"].iter().any(|name| path.ends_with(name));
        let json = !sog && path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let scene = || match GaussianFormat::detect(path) {
            Ok(_) => true,
            // What is named as no scene is no dataset either.
            Err(error) => matches!(error, splat_scene::Error::NotGaussians { .. }),
        };
        return (!json && scene()).then(|| path.into());
    }
    let known = ["meta.json", "lod-meta.json", "point_cloud.ply", "point_cloud"];
    let scene = path.is_dir() && known.iter().any(|name| path.join(name).exists());
    // A dataset may have a `point_cloud.ply` of points.
    scene.then(|| scene::file_of(path).ok()).flatten().filter(|file| !ply::is_point_cloud(file))
}

/// Prints what is in the scene file `path`.
pub(super) fn print(path: &Path, as_json: bool) -> Result<()> {
    let format = GaussianFormat::detect(path)?;
    let mut g = scene::read(path)?;
    let read = g.len();
    g.repair()?;
    let past = Past::beside(path);
    let axes = ranges(&g);
    let middle = |mut values: Vec<f64>| quantile(&mut values, 0.5);
    let opacity = middle(g.opacity_logits.iter().map(|x| 1.0 / (1.0 + f64::from(-x).exp())).collect());
    let size = middle(g.log_scales.iter().map(|x| f64::from(*x).exp()).collect());
    if as_json {
        let facts = json!({
            "format": 1,
            "scene": path,
            "kind": format.to_string(),
            "gaussians": read,
            "invalid": read - g.len(),
            "sh_degree": g.sh_degree(),
            "range": axes,
            "median_opacity": opacity,
            "median_standard_deviation": size,
            "origin": g.origin.offset,
            "steps": past.result().map(|(steps, _)| steps),
            "held_out_psnr": past.result().and_then(|(_, psnr)| psnr),
            "data": past.data(),
        });
        return say::print(&format!("{facts:#}"));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut fact = |name: &str, value: String| {
        table.add_row([name, &say::shown(&value)]);
    };
    let number = |x: Option<f64>| x.map_or("unknown".into(), |x| format!("{x:.4}"));
    fact("scene", path.display().to_string());
    fact("format", format.to_string());
    fact("Gaussians", grouped(read));
    if read > g.len() {
        fact("invalid", format!("{} with NaN or infinity", grouped(read - g.len())));
    }
    fact("SH degree", g.sh_degree().to_string());
    for (axis, range) in ["x", "y", "z"].iter().zip(&axes) {
        fact(axis, format!("{:.4} to {:.4} (98 % of the Gaussians)", range[0], range[1]));
    }
    if !g.origin.is_zero() {
        let [x, y, z] = g.origin.offset;
        fact("origin", format!("{x} {y} {z}, to be added for world coordinates"));
    }
    fact("opacity", format!("{} (median)", number(opacity)));
    fact("standard deviation", format!("{} (median)", number(size)));
    if let Some((steps, psnr)) = past.result() {
        let quality = psnr.map_or(String::new(), |psnr| format!(", {psnr:.2} dB on held-out photos"));
        fact("training", format!("{} steps{quality}", grouped(steps)));
    }
    if let Some(data) = past.data() {
        fact("dataset", data.display().to_string());
    }
    say::print(&table.to_string())
}

/// For each axis, between which local coordinates 98 % of the Gaussians are.
fn ranges(g: &Gaussians) -> Vec<[f64; 2]> {
    let range = |axis: usize| {
        let mut values: Vec<f64> = g.means.chunks_exact(3).map(|m| f64::from(m[axis])).collect();
        [0.01, 0.99].map(|share| quantile(&mut values, share).unwrap_or(0.0))
    };
    (0..3).map(range).collect()
}
