//! Photographs: decoding, reduction by area averages, and writing PNG. 8 bits per channel, sRGB as stored, rows from the
//! top. Averages are taken over the stored (sRGB) values, as other trainers do, not in linear light.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageReader};

use super::jpeg;
use crate::{Error, Result, write_atomically};

/// A decoded photograph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Photo {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 3 (RGB), or 4 (RGBA, not premultiplied) if some pixel is not opaque.
    pub channels: u8,
    /// `[height, width, channels]`, row-major.
    pub pixels: Vec<u8>,
}

/// What the header of an image file states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    /// Width and height as stored.
    pub(crate) size: (u32, u32),
    /// The EXIF orientation: how the stored pixels would have to be rotated or mirrored.
    pub(crate) orientation: Orientation,
}

/// Reads the header of an image file, and makes sure that the file has an end: half a file has a sound header, and is noticed
/// before anything is trained.
pub(crate) fn header(path: &Path) -> Result<Header> {
    let (file, bytes) = crate::files::open(path)?;
    let mut file = std::io::BufReader::new(file);
    if !has_end(path, &mut file, bytes)? {
        return Err(Error::CutOff { path: path.into(), bytes });
    }
    file.rewind()?;
    if let Some((size, orientation)) = jpeg::header(&mut file)
        && size.0 > 0
        && size.1 > 0
    {
        return Ok(Header { size, orientation });
    }
    file.rewind()?;
    let decode = |source| Error::decode(path, source);
    // The content decides the format: there are `.JPG` files with PNG data.
    let mut decoder = ImageReader::new(file).with_guessed_format()?.into_decoder().map_err(decode)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(Header { size: decoder.dimensions(), orientation })
}

/// Whether a JPEG, PNG or WebP file of `size` bytes has the end that its format wants; true for others.
fn has_end(path: &Path, file: &mut (impl Read + Seek), size: u64) -> Result<bool> {
    /// What follows the end of an image is short, but for videos that telephones append.
    const TAIL: u64 = 4096;
    let mut head = [0; 12];
    if file.read_exact(&mut head).is_err() {
        return Ok(true);
    }
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    file.take(TAIL).read_to_end(&mut tail)?;
    let has = |mark: &[u8]| tail.windows(mark.len()).any(|w| w == mark);
    Ok(match &head {
        [0xff, 0xd8, 0xff, ..] if size > 16 * TAIL && has(&[0xff, 0xd9]) => true,
        [0xff, 0xd8, 0xff, ..] => jpeg::is_whole(&crate::files::read(path)?),
        [0x89, b'P', b'N', b'G', ..] => {
            has(b"IEND") || {
                let whole = crate::files::read(path)?;
                whole.windows(4).any(|w| w == b"IEND")
            }
        }
        [b'R', b'I', b'F', b'F', a, b, c, d, b'W', b'E', b'B', b'P'] => {
            u64::from(u32::from_le_bytes([*a, *b, *c, *d])) + 8 <= size
        }
        _ => true,
    })
}

/// Whether the orientation exchanges width and height.
pub(crate) fn swaps(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

fn decode(path: &Path) -> Result<DynamicImage> {
    let bytes = crate::files::read(path)?;
    if jpeg::is(&bytes) && !jpeg::is_whole(&bytes) {
        return Err(Error::CutOff { path: path.into(), bytes: bytes.len() as u64 });
    }
    let reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format()?;
    reader.decode().map_err(|source| Error::decode(path, source))
}

/// Reads a mask as one channel, `[height, width]`: brightness, multiplied by alpha if the file has it; black is ignored. Of
/// the numbers 0 and 1, if there are no others, 1 is white.
/// instant-ngp's `dynamic_mask_a.png` is the other way round and is inverted here.
pub(crate) fn mask(path: &Path) -> Result<Photo> {
    let image = decode(path)?;
    let (width, height) = (image.width(), image.height());
    let pixels: Vec<u8> = if image.color().has_alpha() {
        let of = |p: &image::LumaA<u8>| ((u32::from(p.0[0]) * u32::from(p.0[1]) + 127) / 255) as u8;
        image.into_luma_alpha8().pixels().map(of).collect()
    } else {
        image.into_luma8().into_raw()
    };
    // Masks of 0 and 1 are those of programs that count classes; 1 of 255 would be black, too.
    let classes = pixels.iter().max() == Some(&1);
    let pixels: Vec<u8> = if classes { pixels.into_iter().map(|p| 255 * p).collect() } else { pixels };
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let pixels =
        if name.starts_with("dynamic_mask_") { pixels.iter().map(|p| 255 - p).collect() } else { pixels };
    Ok(Photo { width, height, channels: 1, pixels })
}

impl Photo {
    /// Decodes a PNG, JPEG, WebP, TIFF or BMP file. The EXIF orientation is not applied, because COLMAP does not apply it either.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Decode`] or [`Error::CutOff`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_turned(path.as_ref(), Orientation::NoTransforms)
    }

    pub(crate) fn read_turned(path: &Path, orientation: Orientation) -> Result<Self> {
        let mut image = decode(path)?;
        image.apply_orientation(orientation);
        let (width, height) = (image.width(), image.height());
        if image.color().has_alpha() {
            let rgba = image.into_rgba8();
            if rgba.pixels().any(|p| p.0[3] != 255) {
                return Ok(Self { width, height, channels: 4, pixels: rgba.into_raw() });
            }
            let rgb = rgba.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]).collect();
            return Ok(Self { width, height, channels: 3, pixels: rgb });
        }
        Ok(Self { width, height, channels: 3, pixels: image.into_rgb8().into_raw() })
    }

    /// The photograph area-averaged down to `width` x `height`: each new pixel is the average of the area it covers.
    /// Colours are weighted by alpha, so that the colours of transparent pixels do not bleed in.
    ///
    /// A larger size is sampled the same way, which repeats pixels; a size of 0 gives no pixels.
    #[must_use]
    pub fn reduced(&self, width: u32, height: u32) -> Self {
        let (w, channels) = (self.width as usize, usize::from(self.channels));
        let columns = coverage(self.width, width);
        let mut pixels = Vec::with_capacity(width as usize * height as usize * channels);
        let mut sums = vec![0.0f32; w * channels];
        for rows in coverage(self.height, height) {
            sums.fill(0.0);
            for &(y, weight) in &rows {
                let row = &self.pixels[y * w * channels..(y + 1) * w * channels];
                if channels == 4 {
                    for (sum, pixel) in sums.chunks_exact_mut(4).zip(row.chunks_exact(4)) {
                        let alpha = weight * f32::from(pixel[3]);
                        for c in 0..3 {
                            sum[c] += alpha * f32::from(pixel[c]);
                        }
                        sum[3] += alpha;
                    }
                } else {
                    for (sum, &value) in sums.iter_mut().zip(row) {
                        *sum += weight * f32::from(value);
                    }
                }
            }
            for cover in &columns {
                let mut total = [0.0f32; 4];
                for &(x, weight) in cover {
                    for c in 0..channels {
                        total[c] += weight * sums[x * channels + c];
                    }
                }
                if channels == 4 && total[3] > 0.0 {
                    (0..3).for_each(|c| total[c] /= total[3]);
                }
                pixels.extend(total[..channels].iter().map(|x| (x + 0.5) as u8));
            }
        }
        Self { width, height, channels: self.channels, pixels }
    }

    /// The pixels as `[height, width, 3]`, composited over `background` (0 to 1).
    #[must_use]
    pub fn into_rgb(self, background: [f32; 3]) -> Vec<u8> {
        if self.channels == 3 {
            return self.pixels;
        }
        let over = |p: &[u8]| -> [u8; 3] {
            let alpha = f32::from(p[3]) / 255.0;
            std::array::from_fn(|c| {
                (f32::from(p[c]) * alpha + 255.0 * background[c] * (1.0 - alpha) + 0.5) as u8
            })
        };
        self.pixels.chunks_exact(4).flat_map(over).collect()
    }
}

/// For each of `to` pixels, the source pixels that it covers and their weights, which sum to 1.
fn coverage(from: u32, to: u32) -> Vec<Vec<(usize, f32)>> {
    let ratio = f64::from(from) / f64::from(to);
    let cover = |o: u32| {
        let (start, end) = (f64::from(o) * ratio, f64::from(o + 1) * ratio);
        let last = (end.ceil() as usize).min(from as usize);
        (start as usize..last)
            .map(|i| (i, ((end.min((i + 1) as f64) - start.max(i as f64)) / ratio) as f32))
            .filter(|&(_, share)| share > 0.0)
            .collect()
    };
    (0..to).map(cover).collect()
}

/// Writes `rgb`, `[height, width, 3]`, as a PNG file. After a failure there is no partial file.
///
/// # Errors
/// [`Error::Write`], also if the length of `rgb` is not `3 * width * height`.
pub fn save_png(path: impl AsRef<Path>, width: u32, height: u32, rgb: &[u8]) -> Result<()> {
    let expected = 3 * u64::from(width) * u64::from(height);
    write_atomically(path, |out| {
        if rgb.len() as u64 != expected {
            return Err(std::io::Error::other(format!(
                "{} bytes of pixels, but {width}x{height} RGB needs {expected}",
                rgb.len()
            )));
        }
        image::codecs::png::PngEncoder::new(out)
            .write_image(rgb, width, height, image::ExtendedColorType::Rgb8)
            .map_err(std::io::Error::other)
    })
}
