//! Decoding: from textures to Gaussians.

use std::path::{Path, PathBuf};

use super::files::{Files, malformed};
use super::meta::{self, Meta};
use super::texture::Texture;
use crate::gaussians::quantize::{logit_of_byte, unit_quaternion};
use crate::{Error, Gaussians, Origin, Result};

/// Entries of the palette per row of its texture.
pub(super) const PALETTE_ROW: usize = 64;

/// The Gaussians in `files` that `meta` describes.
pub(super) fn scene(files: &mut Files, meta: Meta) -> Result<Gaussians> {
    match meta {
        Meta::V1(meta) => first(files, &meta),
        Meta::V2(meta) => second(files, &meta),
        Meta::Streamed(scene) => Err(Error::NotGaussians {
            path: files.meta_path(),
            found: format!(
                "this is streamed SOG within another file, whose Gaussians are in {} parts",
                scene.filenames.len()
            ),
            hint: "unpack it into a folder, and give that folder".into(),
        }),
    }
}

fn first(files: &mut Files, meta: &meta::V1) -> Result<Gaussians> {
    let here = files.meta_path();
    let Some(&count) = meta.means.shape.first() else {
        return Err(malformed(
            &here,
            "means have no shape, whose first number is the number of Gaussians".into(),
        ));
    };
    // The value that each byte stands for, per channel.
    let tables = |mins: &[f64], maxs: &[f64], n: usize, what: &str| -> Result<Vec<[f32; 256]>> {
        let value = |(min, max)| std::array::from_fn(|b| (min + (max - min) * b as f64 / 255.0) as f32);
        Ok(ranges(&here, mins, maxs, n, what)?.into_iter().map(value).collect())
    };
    let count = checked_count(&here, count)?;
    let means = means(files, &meta.means.mins, &meta.means.maxs, &meta.means.files, count)?;
    let rotations = rotations(files, &meta.quats.files, count)?;
    let scale = tables(&meta.scales.mins, &meta.scales.maxs, 3, "scales")?;
    let scales = open(files, &meta.scales.files, 0, "scales")?;
    let log_scales = scales
        .1
        .pixels(&scales.0, count)?
        .flat_map(|p| [0, 1, 2].map(|k| scale[k][usize::from(p[k])]))
        .collect();
    let color = tables(&meta.sh0.mins, &meta.sh0.maxs, 4, "sh0")?;
    let colors = open(files, &meta.sh0.files, 0, "sh0")?;
    let dc: Vec<[f32; 3]> =
        colors.1.pixels(&colors.0, count)?.map(|p| [0, 1, 2].map(|k| color[k][usize::from(p[k])])).collect();
    // In version 1, opacities are logits.
    let opacity_logits = colors.1.pixels(&colors.0, count)?.map(|p| color[3][usize::from(p[3])]).collect();
    let (coeffs, sh) = match &meta.sh_n {
        None => (1, dc.into_flattened()),
        Some(n) => {
            let book = tables(&[n.mins], &[n.maxs], 1, "shN")?;
            harmonics(files, &n.files, None, None, &book[0], &dc)?
        }
    };
    Ok(Gaussians { means, sh, coeffs, opacity_logits, log_scales, rotations, origin: Origin::default() })
}

fn second(files: &mut Files, meta: &meta::V2) -> Result<Gaussians> {
    let here = files.meta_path();
    let count = checked_count(&here, meta.count)?;
    let means = means(files, &meta.means.mins, &meta.means.maxs, &meta.means.files, count)?;
    let rotations = rotations(files, &meta.quats.files, count)?;
    let scales = open(files, &meta.scales.files, 0, "scales")?;
    let book = Book { path: &here, what: "scales", values: &meta.scales.codebook };
    let log_scales = book.look_up(scales.1.pixels(&scales.0, count)?)?.into_flattened();
    let colors = open(files, &meta.sh0.files, 0, "sh0")?;
    let book = Book { path: &here, what: "sh0", values: &meta.sh0.codebook };
    let dc = book.look_up(colors.1.pixels(&colors.0, count)?)?;
    let opacity_logits = colors.1.pixels(&colors.0, count)?.map(|p| logit_of_byte(p[3])).collect();
    let (coeffs, sh) = match &meta.sh_n {
        None => (1, dc.into_flattened()),
        Some(n) if n.bands == 0 => (1, dc.into_flattened()),
        Some(n) => harmonics(files, &n.files, Some(n.bands), Some(n.count), &n.codebook, &dc)?,
    };
    Ok(Gaussians { means, sh, coeffs, opacity_logits, log_scales, rotations, origin: Origin::default() })
}

/// The claimed number of Gaussians. Nothing is allocated from it before every texture has been compared with it.
fn checked_count(path: &Path, count: u64) -> Result<usize> {
    u32::try_from(count).map(|n| n as usize).map_err(|_| {
        malformed(path, format!("it claims {count} Gaussians, but at most 2^32 - 1 are supported"))
    })
}

/// `n` pairs of finite numbers, minimum and maximum.
fn ranges(path: &Path, mins: &[f64], maxs: &[f64], n: usize, what: &str) -> Result<Vec<(f64, f64)>> {
    let pairs: Vec<_> = mins.iter().copied().zip(maxs.iter().copied()).collect();
    if mins.len() != n || maxs.len() != n || !pairs.iter().all(|(a, b)| a.is_finite() && b.is_finite()) {
        return Err(malformed(
            path,
            format!(
                "{what} has {} mins and {} maxs, expected {n} finite numbers each",
                mins.len(),
                maxs.len()
            ),
        ));
    }
    Ok(pairs)
}

/// The path and the contents of the texture `names[index]`.
fn open(files: &mut Files, names: &[String], index: usize, what: &str) -> Result<(PathBuf, Texture)> {
    let Some(name) = names.get(index) else {
        let why = format!("{what} names {} files, expected at least {}", names.len(), index + 1);
        return Err(malformed(&files.meta_path(), why));
    };
    let data = files.get(name)?;
    let path = files.path_of(name);
    let texture = Texture::decode(&path, &data)?;
    Ok((path, texture))
}

/// Positions have their low bytes in one texture and their high bytes in another; they are steps in the range of
/// `sign(x) ln(1 + |x|)`.
fn means(files: &mut Files, mins: &[f64], maxs: &[f64], names: &[String], count: usize) -> Result<Vec<f32>> {
    let range = ranges(&files.meta_path(), mins, maxs, 3, "means")?;
    let low = open(files, names, 0, "means")?;
    let high = open(files, names, 1, "means")?;
    let (low, high) = (low.1.pixels(&low.0, count)?, high.1.pixels(&high.0, count)?);
    let mut means = Vec::with_capacity(3 * count);
    for (low, high) in low.zip(high) {
        for k in 0..3 {
            let (min, max) = range[k];
            let t = f64::from(u16::from_le_bytes([low[k], high[k]])) / 65_535.0;
            let x = min + (max - min) * t;
            means.push((x.abs().exp_m1() * x.signum()) as f32);
        }
    }
    Ok(means)
}

/// The fourth byte says which component of wxyz is left out: 252 stands for w, 253 for x, and so on. Any other value stands
/// for the identity.
fn rotations(files: &mut Files, names: &[String], count: usize) -> Result<Vec<f32>> {
    let quats = open(files, names, 0, "quats")?;
    let other = |b: u8| (f32::from(b) / 255.0 * 2.0 - 1.0) * std::f32::consts::FRAC_1_SQRT_2;
    let rotation = |[a, b, c, tag]: [u8; 4]| match tag.checked_sub(252) {
        Some(largest) => unit_quaternion(usize::from(largest), [other(a), other(b), other(c)]),
        None => [1.0, 0.0, 0.0, 0.0],
    };
    Ok(quats.1.pixels(&quats.0, count)?.flat_map(rotation).collect())
}

/// A codebook of `meta.json`.
struct Book<'a> {
    path: &'a Path,
    what: &'a str,
    values: &'a [f32],
}

impl Book<'_> {
    fn get(&self, byte: u8) -> Result<f32> {
        self.values.get(usize::from(byte)).copied().ok_or_else(|| {
            malformed(
                self.path,
                format!(
                    "a pixel has index {byte} into the codebook of {}, which has {} entries",
                    self.what,
                    self.values.len()
                ),
            )
        })
    }

    /// The values of the first three bytes of each pixel.
    fn look_up(&self, pixels: impl Iterator<Item = [u8; 4]>) -> Result<Vec<[f32; 3]>> {
        pixels.map(|[r, g, b, _]| Ok([self.get(r)?, self.get(g)?, self.get(b)?])).collect()
    }
}

/// The number of coefficients and the harmonics, `[P,M,3]`: degree 0 from `dc`, the others from a palette. In version 1
/// only the width of the palette tells the degree.
fn harmonics(
    files: &mut Files,
    names: &[String],
    bands: Option<u32>,
    entries: Option<u64>,
    book: &[f32],
    dc: &[[f32; 3]],
) -> Result<(usize, Vec<f32>)> {
    let here = files.meta_path();
    let (palette_path, palette) = open(files, names, 0, "shN")?;
    let (labels_path, labels) = open(files, names, 1, "shN")?;
    let rest = match bands {
        None => palette.width / PALETTE_ROW,
        Some(bands @ 1..=3) => (bands as usize + 1).pow(2) - 1,
        Some(bands) => return Err(malformed(&here, format!("shN has {bands} bands, expected 0 to 3"))),
    };
    if ![3, 8, 15].contains(&rest) || palette.width != PALETTE_ROW * rest {
        let expected =
            if bands.is_some() { (PALETTE_ROW * rest).to_string() } else { "192, 512 or 960".into() };
        return Err(malformed(
            &palette_path,
            format!("the palette is {} pixels wide, expected {expected}", palette.width),
        ));
    }
    // A palette may claim more entries than its texture has. Only a label beyond the texture is an error.
    let there = PALETTE_ROW * palette.height;
    let there = entries.map_or(there, |n| there.min(usize::try_from(n).unwrap_or(usize::MAX)));
    let book = Book { path: &here, what: "shN", values: book };
    let mut values = Vec::with_capacity(palette.rgba.len() / 4);
    for pixel in palette.rgba.chunks_exact(4).take(there * rest) {
        values.push([book.get(pixel[0])?, book.get(pixel[1])?, book.get(pixel[2])?]);
    }
    let mut sh = Vec::with_capacity(3 * (rest + 1) * dc.len());
    for (i, ([low, high, ..], dc)) in labels.pixels(&labels_path, dc.len())?.zip(dc).enumerate() {
        let label = usize::from(u16::from_le_bytes([low, high]));
        let entry = values.get(label * rest..(label + 1) * rest).ok_or_else(|| {
            malformed(
                &labels_path,
                format!("Gaussian {i} has entry {label} of the palette, which has {there} entries"),
            )
        })?;
        sh.extend_from_slice(dc);
        sh.extend_from_slice(entry.as_flattened());
    }
    Ok((rest + 1, sh))
}
