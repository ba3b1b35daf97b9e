//! Lossless WebP images as RGBA bytes.

use std::io::Cursor;
use std::path::Path;

use image_webp::{ColorType, EncoderParams, WebPDecoder, WebPEncoder};

use super::files::malformed;
use crate::Result;
use crate::gaussians::quantize::within_allowance;

/// The largest width and height of a WebP image.
pub(super) const SIDE: usize = 16_383;

pub(super) struct Texture {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Four bytes per pixel, row by row.
    pub(super) rgba: Vec<u8>,
}

impl Texture {
    /// Decodes `data`. `path` is only used to name the file in errors.
    pub(super) fn decode(path: &Path, data: &[u8]) -> Result<Self> {
        let damaged = |e: image_webp::DecodingError| malformed(path, format!("the WebP image: {e}"));
        let mut decoder = WebPDecoder::new(Cursor::new(data)).map_err(damaged)?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        within_allowance(path, 0, data.len(), 4 * pixels)?;
        if decoder.is_animated() {
            return Err(malformed(path, "the WebP image is animated, expected a still image".into()));
        }
        let size = decoder
            .output_buffer_size()
            .ok_or_else(|| malformed(path, format!("an image of {width}x{height} is too large")))?;
        let mut bytes = vec![0; size];
        decoder.read_image(&mut bytes).map_err(damaged)?;
        let rgba = if decoder.has_alpha() {
            bytes
        } else {
            bytes.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect()
        };
        Ok(Self { width: width as usize, height: height as usize, rgba })
    }

    /// The first `count` pixels; an error if there are fewer.
    pub(super) fn pixels(&self, path: &Path, count: usize) -> Result<impl Iterator<Item = [u8; 4]>> {
        if self.width * self.height < count {
            return Err(malformed(
                path,
                format!(
                    "the image is {}x{}, which is {} pixels for {count} Gaussians",
                    self.width,
                    self.height,
                    self.width * self.height
                ),
            ));
        }
        Ok(self.rgba.chunks_exact(4).take(count).map(|p| p.try_into().expect("four bytes")))
    }

    /// Encodes as WebP, with or without the predictor transform, whichever is smaller.
    pub(super) fn encode(&self) -> Vec<u8> {
        let attempt = |predict: bool| {
            let mut out = Vec::new();
            let mut encoder = WebPEncoder::new(&mut out);
            let mut params = EncoderParams::default();
            params.use_predictor_transform = predict;
            encoder.set_params(params);
            let (w, h) = (self.width as u32, self.height as u32);
            encoder
                .encode(&self.rgba, w, h, ColorType::Rgba8)
                .expect("the sides are bounded, and writing to a Vec cannot fail");
            out
        };
        let (plain, predicted) = rayon::join(|| attempt(false), || attempt(true));
        if plain.len() <= predicted.len() { plain } else { predicted }
    }
}
