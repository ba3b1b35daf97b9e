//! Encoding: from Gaussians to the textures of version 2.

use std::io::{Cursor, Write};
use std::path::Path;

use rayon::prelude::*;
use zip::write::SimpleFileOptions;

use super::decode::PALETTE_ROW;
use super::files::META;
use super::meta::{Asset, Codebook, Harmonics2, Names, Ranges2, V2};
use super::texture::{SIDE, Texture};
use super::{Packaging, codebook, palette};
use crate::files::Together;
use crate::gaussians::quantize::{byte, byte_of_logit, morton_order, smallest_three};
use crate::gaussians::rows::{Rows, each_of, means};
use crate::{Error, Result, WriteProgress, write_atomically};

/// The most Gaussians: one per pixel.
pub(super) const MOST: usize = SIDE * SIDE;

pub(super) fn scene(
    path: &Path,
    g: &dyn Rows,
    packaging: Packaging,
    progress: WriteProgress<'_>,
) -> Result<()> {
    let files = files(path, g, progress)?;
    match packaging {
        Packaging::Folder => {
            let mut together = Together::default();
            for (name, data) in files {
                let to = if name == META { path.into() } else { path.with_file_name(name) };
                together.add(&to, |out| out.write_all(&data))?;
            }
            together.replace()
        }
        Packaging::Bundle => {
            let bytes = bundle(&files).map_err(|e| Error::Write { path: path.into(), source: e })?;
            write_atomically(path, |out| out.write_all(&bytes))
        }
    }
}

/// The names and contents of the files, `meta.json` last.
pub(super) fn files(
    path: &Path,
    g: &dyn Rows,
    progress: WriteProgress<'_>,
) -> Result<Vec<(String, Vec<u8>)>> {
    g.check()?;
    if g.len() > MOST {
        let message = format!("there are {} Gaussians, but a WebP image has at most {MOST} pixels", g.len());
        return Err(Error::Unwritable { path: path.into(), format: "SOG", message });
    }
    in_order(g, &morton_order(&means(g)?), progress)
}

/// As [`files`], with the Gaussians `order` in this order, of which there are at most [`MOST`].
pub(super) fn in_order(
    g: &dyn Rows,
    order: &[u32],
    progress: WriteProgress<'_>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let (meta, textures) = encode(g, order, progress)?;
    let mut files: Vec<(String, Vec<u8>)> =
        textures.into_par_iter().map(|(name, texture)| (name.to_owned(), texture.encode())).collect();
    let json = serde_json::to_vec(&meta).expect("numbers and text");
    files.push((META.to_owned(), json));
    Ok(files)
}

/// A zip without compression, because WebP is compressed already. `meta.json` comes first, for programs that read a file
/// while it arrives.
pub(super) fn bundle(files: &[(String, Vec<u8>)]) -> std::io::Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, data) in files.iter().rev() {
        zip.start_file(name.as_str(), options)?;
        zip.write_all(data)?;
    }
    Ok(zip.finish()?.into_inner())
}

fn encode(
    g: &dyn Rows,
    order: &[u32],
    progress: WriteProgress<'_>,
) -> Result<(V2, Vec<(&'static str, Texture)>)> {
    let p = order.len();
    // As square as possible with sides that are multiples of four.
    let width = ((p as f64).sqrt() / 4.0).ceil().max(1.0) as usize * 4;
    let height = p.div_ceil(width).next_multiple_of(4).max(4);
    let texture = |mut rgba: Vec<u8>| {
        rgba.resize(4 * width * height, 0);
        Texture { width, height, rgba }
    };
    let picture = |pixel: &(dyn Fn(usize) -> [u8; 4] + Sync)| {
        texture((0..p).into_par_iter().flat_map_iter(pixel).collect())
    };
    let names = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();

    let (mut means, mut log_scales, mut dc) = (Vec::new(), Vec::new(), Vec::new());
    let (mut quats, mut opacities) = (Vec::with_capacity(4 * p), Vec::with_capacity(p));
    let component = |x: f32| byte(255.0 * (0.5 + x * std::f32::consts::FRAC_1_SQRT_2));
    let quaternion = |q: &[f32]| {
        let (largest, [a, b, c]) = smallest_three(std::array::from_fn(|k| q[k]));
        [component(a), component(b), component(c), 252 + largest as u8]
    };
    each_of(g, order, |part| {
        means.extend(&part.means);
        log_scales.extend(&part.log_scales);
        dc.extend(part.sh.chunks_exact(3 * part.coeffs).flat_map(|sh| &sh[..3]));
        quats.extend(part.rotations.chunks_exact(4).flat_map(quaternion));
        opacities.extend(part.opacity_logits.iter().map(|&x| byte_of_logit(x)));
        Ok::<_, Error>(())
    })?;
    let mut textures = vec![("quats.webp", texture(quats))];
    let (mins, maxs, steps) = positions(&means);
    drop(means);
    for (high, name) in ["means_l.webp", "means_u.webp"].into_iter().enumerate() {
        let at = |i: usize, k: usize| steps[3 * i + k].to_le_bytes()[high];
        textures.push((name, picture(&|i| [at(i, 0), at(i, 1), at(i, 2), 255])));
    }
    drop(steps);
    let scales = codebook::fit(log_scales.iter().copied());
    let scale = |i: usize, k: usize| codebook::nearest(&scales, log_scales[3 * i + k]);
    textures.push(("scales.webp", picture(&|i| [scale(i, 0), scale(i, 1), scale(i, 2), 255])));
    drop(log_scales);
    let colors = codebook::fit(dc.iter().copied());
    let color = |i: usize, k: usize| codebook::nearest(&colors, dc[3 * i + k]);
    textures.push(("sh0.webp", picture(&|i| [color(i, 0), color(i, 1), color(i, 2), opacities[i]])));
    drop(dc);

    let sh_n = match g.coeffs() > 1 && p > 0 {
        true => {
            let (palette, labels, meta) = harmonics(g, order, progress)?;
            let label = |i: usize| {
                let [low, high] = labels[i].to_le_bytes();
                [low, high, 0, 255]
            };
            textures.push(("shN_centroids.webp", palette));
            textures.push(("shN_labels.webp", picture(&label)));
            Some(meta)
        }
        false => None,
    };
    let meta = V2 {
        version: 2,
        asset: Asset::ours(),
        count: p as u64,
        means: Ranges2 { mins, maxs, files: names(&["means_l.webp", "means_u.webp"]) },
        scales: Codebook { codebook: scales, files: names(&["scales.webp"]) },
        quats: Names { files: names(&["quats.webp"]) },
        sh0: Codebook { codebook: colors, files: names(&["sh0.webp"]) },
        sh_n,
    };
    Ok((meta, textures))
}

/// The ranges of `sign(x) ln(1 + |x|)`, and each position as one of 65536 steps within them.
fn positions(means: &[f32]) -> (Vec<f64>, Vec<f64>, Vec<u16>) {
    let log = |x: f32| f64::from(x).abs().ln_1p().copysign(f64::from(x));
    let (mut mins, mut maxs) = (vec![f64::INFINITY; 3], vec![f64::NEG_INFINITY; 3]);
    for m in means.chunks_exact(3) {
        for k in 0..3 {
            mins[k] = mins[k].min(log(m[k]));
            maxs[k] = maxs[k].max(log(m[k]));
        }
    }
    if means.is_empty() {
        (mins, maxs) = (vec![0.0; 3], vec![0.0; 3]);
    }
    let step = |(i, &x): (usize, &f32)| {
        let (min, max) = (mins[i % 3], maxs[i % 3]);
        if max > min { ((log(x) - min) / (max - min) * 65_535.0).round() as u16 } else { 0 }
    };
    let steps = means.iter().enumerate().map(step).collect();
    (mins, maxs, steps)
}

/// The palette, the label of every Gaussian, and their description for `meta.json`.
fn harmonics(
    g: &dyn Rows,
    order: &[u32],
    progress: WriteProgress<'_>,
) -> Result<(Texture, Vec<u16>, Harmonics2)> {
    let rest = g.coeffs() - 1;
    // The size that other writers choose: a power of two that depends on the number of Gaussians, at most 65536.
    let size = match order.len() {
        n @ ..=1024 => n,
        n => 1024 << (n / 1024).ilog2().min(6),
    };
    let fetch = |members: &[u32]| -> Result<Vec<f32>> {
        let rows: Vec<u32> = members.iter().map(|&i| order[i as usize]).collect();
        let part = g.pick(&rows)?;
        Ok(part.sh.chunks_exact(3 * part.coeffs).flat_map(|c| &c[3..]).copied().collect())
    };
    let points = palette::Points { count: order.len(), dim: 3 * rest, fetch: &fetch };
    let palette = palette::fit(&points, size, progress)?;
    let count = palette.centers.len() / (3 * rest);
    let book = codebook::fit(palette.centers.iter().copied());
    let height = count.div_ceil(PALETTE_ROW).max(1);
    let mut rgba: Vec<u8> = palette
        .centers
        .chunks_exact(3)
        .flat_map(|c| [0, 1, 2].map(|k| codebook::nearest(&book, c[k])).into_iter().chain([255]))
        .collect();
    rgba.resize(4 * PALETTE_ROW * rest * height, 0);
    let texture = Texture { width: PALETTE_ROW * rest, height, rgba };
    let files = ["shN_centroids.webp", "shN_labels.webp"].map(str::to_owned).into();
    let bands = g.coeffs().isqrt() as u32 - 1;
    Ok((texture, palette.labels, Harmonics2 { count: count as u64, bands, codebook: book, files }))
}
