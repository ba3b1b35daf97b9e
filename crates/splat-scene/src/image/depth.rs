//! Depth maps from 16-bit (or 8-bit) PNG and NumPy `.npy` files, as inverse depths along the camera's z axis: 1 / world
//! units, 0 where unknown.
//!
//! What the numbers of a file mean is stated by the dataset: [`Meaning`].

use std::path::Path;

use image::{DynamicImage, ImageReader};

use crate::{Error, Place, Result};

/// What the numbers of a depth map mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Meaning {
    /// Depth in world units = number x `png` for PNG files, x `npy` for `.npy` files; unknown unless above 0.
    Depth { png: f64, npy: f64 },
    /// Inverse depth = number x `scale` + `offset`, where numbers of a PNG are first divided by 65536; the definition of
    /// `depth_params.json` in the original trainer.
    Inverse { scale: f64, offset: f64 },
}

/// A depth map at the size of its file.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) size: (u32, u32),
    /// Inverse depths row by row from the top, 0 where unknown.
    inverse: Vec<f32>,
}

/// Width, height, and numbers row by row from the top.
type Numbers = ((u32, u32), Vec<f64>);

/// Reads the depth map in the file `path`.
pub(crate) fn read(path: &Path, meaning: Meaning) -> Result<Map> {
    let bytes = crate::files::read(path)?;
    let (size, values, npy) = if bytes.starts_with(b"\x93NUMPY") {
        let (size, values) = npy(&bytes).map_err(|(offset, message)| Error::Malformed {
            path: path.into(),
            place: Place::Byte(offset as u64),
            message,
        })?;
        (size, values, true)
    } else {
        let (size, values) = png(path, bytes)?;
        (size, values, false)
    };
    let inverse = |v: f64| {
        let inverse = match meaning {
            Meaning::Depth { png: unit, npy: unit_npy } => 1.0 / (v * if npy { unit_npy } else { unit }),
            Meaning::Inverse { scale, offset } => (if npy { v } else { v / 65536.0 }) * scale + offset,
        };
        // NaN, 0, behind the camera or infinitely near: unknown.
        let inverse = inverse as f32;
        if inverse.is_finite() && inverse > 0.0 { inverse } else { 0.0 }
    };
    Ok(Map { size, inverse: values.into_iter().map(inverse).collect() })
}

/// Numbers from 0 to 65535; those of 8-bit files are spread over the same range.
fn png(path: &Path, bytes: Vec<u8>) -> Result<Numbers> {
    let error = |source| Error::decode(path, source);
    let reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format()?;
    let image = reader.decode().map_err(error)?;
    let size = (image.width(), image.height());
    let values = match image {
        DynamicImage::ImageLuma16(map) => map.into_raw().into_iter().map(f64::from).collect(),
        DynamicImage::ImageLuma8(map) => map.into_raw().into_iter().map(|v| 257.0 * f64::from(v)).collect(),
        other => {
            return Err(Error::Malformed {
                path: path.into(),
                place: Place::Byte(0),
                message: format!("a depth map of type {:?}, expected one channel of 16 bits", other.color()),
            });
        }
    };
    Ok((size, values))
}

/// Parses a NumPy file with one real number per pixel: `[H,W]`, `[H,W,1]` or `[1,H,W]`. An error comes with its offset.
///
/// The header is a Python literal. It is searched for its three entries rather than parsed, because general parsers of
/// such literals recurse as deeply as a hostile file asks them to.
fn npy(bytes: &[u8]) -> Result<Numbers, (usize, String)> {
    let short = || (bytes.len(), "the NumPy header is cut off".to_owned());
    let (start, length) = match bytes.get(6).ok_or_else(short)? {
        1 => (10, bytes.get(8..10).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])))),
        2 | 3 => (12, bytes.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)),
        other => return Err((6, format!("NumPy format {other}, expected 1 to 3"))),
    };
    let data = start + length.ok_or_else(short)?;
    let header = bytes.get(start..data).ok_or_else(short)?;
    let header =
        std::str::from_utf8(header).map_err(|_| (start, "the NumPy header is not text".to_owned()))?;
    let entry = |key: &str| {
        let rest = header.split_once(&format!("'{key}':"))?.1.trim_start();
        Some(rest)
    };
    let missing = |key: &str| (start, format!("the NumPy header has no `{key}`: {header}"));
    let kind = entry("descr")
        .and_then(|r| r.strip_prefix('\'')?.split('\'').next())
        .ok_or_else(|| missing("descr"))?;
    if !entry("fortran_order").ok_or_else(|| missing("fortran_order"))?.starts_with("False") {
        return Err((start, "a NumPy array in Fortran order, expected C order".into()));
    }
    let shape = entry("shape")
        .and_then(|r| r.strip_prefix('(')?.split(')').next())
        .ok_or_else(|| missing("shape"))?;
    let sides: Option<Vec<u32>> =
        shape.split(',').map(str::trim).filter(|s| !s.is_empty()).map(|s| s.parse().ok()).collect();
    let size = match sides.as_deref() {
        Some(&[h, w] | &[h, w, 1] | &[1, h, w]) if h > 0 && w > 0 => (w, h),
        _ => return Err((start, format!("a NumPy array of shape ({shape}), expected (height, width)"))),
    };
    type Convert = fn(&[u8]) -> f64;
    let (each, convert): (usize, Convert) = match kind {
        "<f4" => (4, |b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        "<f8" => (8, |b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])),
        "<u2" => (2, |b| f64::from(u16::from_le_bytes([b[0], b[1]]))),
        "<u4" => (4, |b| f64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        "|u1" => (1, |b| f64::from(b[0])),
        other => {
            return Err((
                start,
                format!("NumPy numbers of type {other}, expected <f4, <f8, <u2, <u4 or |u1"),
            ));
        }
    };
    let left = (bytes.len() - data) as u64;
    let wanted = u64::from(size.0) * u64::from(size.1) * each as u64;
    if left != wanted {
        let message = format!("{left} bytes of numbers, but {}x{} of {kind} need {wanted}", size.0, size.1);
        return Err((data, message));
    }
    Ok((size, bytes[data..].chunks_exact(each).map(convert).collect()))
}

impl Map {
    /// The map at another size with the same aspect ratio. The nearest pixel is taken, because interpolation would invent
    /// depths at edges.
    pub(crate) fn resized(&self, (w, h): (u32, u32)) -> Vec<f32> {
        if (w, h) == self.size {
            return self.inverse.clone();
        }
        let from = |i: u32, n: u32, m: u32| ((f64::from(i) + 0.5) * f64::from(m) / f64::from(n)) as usize;
        let columns: Vec<usize> = (0..w).map(|x| from(x, w, self.size.0)).collect();
        let row =
            |y: u32| &self.inverse[from(y, h, self.size.1) * self.size.0 as usize..][..self.size.0 as usize];
        (0..h).flat_map(|y| columns.iter().map(move |&x| row(y)[x])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn numpy_arrays_read_and_nothing_is_allocated_from_their_claims() {
        let header = |kind: &str, shape: &str| {
            format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n")
        };
        let data: Vec<u8> =
            [1.0f32, 2.0, 4.0, 8.0, f32::NAN, -1.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        for shape in ["(2, 3)", "(2, 3, 1)", "(1, 2, 3)"] {
            let (size, values) = npy(&file(&header("<f4", shape), &data)).unwrap();
            assert_eq!((size, values[3]), ((3, 2), 8.0));
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        std::fs::write(&path, file(&header("<f4", "(2, 3)"), &data)).unwrap();
        let map = read(&path, Meaning::Depth { png: 0.001, npy: 2.0 }).unwrap();
        assert_eq!(map.inverse, [0.5, 0.25, 0.125, 0.0625, 0.0, 0.0]);
        assert_eq!(map.resized((1, 1)), [0.0625f32 * 0.0], "the pixel in the middle, which is unknown");
        assert_eq!(map.resized((6, 4)).len(), 24);
        let map = read(&path, Meaning::Inverse { scale: 0.5, offset: 1.0 }).unwrap();
        assert_eq!(map.inverse, [1.5, 2.0, 3.0, 5.0, 0.0, 0.5]);
        for (bad, says) in [
            (file(&header("<f4", "(4000000000, 4000000000)"), &data), "need"),
            (file(&header("<f4", "(2, 2)"), &data), "24 bytes"),
            (file(&header("<f4", "(6,)"), &data), "shape"),
            (file(&header("<c8", "(2, 3)"), &data), "<c8"),
            (file(&header("<f4", "(2, 3)").replace("False", "True"), &data), "Fortran"),
            (file(&"(".repeat(60_000), &data), "descr"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "cut off"),
        ] {
            let (_, message) = npy(&bad).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn sixteen_bit_pngs_count_thousandths() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        image::ImageBuffer::<image::Luma<u16>, _>::from_raw(2, 1, vec![500u16, 0])
            .unwrap()
            .save(&path)
            .unwrap();
        let map = read(&path, Meaning::Depth { png: 0.001, npy: 1.0 }).unwrap();
        assert!((map.inverse[0] - 2.0).abs() < 1e-6 && map.inverse[1] == 0.0, "{:?}", map.inverse);
        let map = read(&path, Meaning::Inverse { scale: 65536.0, offset: 0.0 }).unwrap();
        assert!((map.inverse[0] - 500.0).abs() < 1e-3, "{:?}", map.inverse);
    }
}
