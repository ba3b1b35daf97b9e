//! Images for people: tensors to 8-bit pixels, a colour scale for scalars, photograph | render | error.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use anyhow::Result;

/// The error that the brightest colour of [`compared`] stands for: mean over channels of the absolute
/// difference, 0 to 1. One scale for all views, so that they can be compared.
const FULL_ERROR: f64 = 0.25;

/// Colours of [`heat`] at equal steps from 0 to 1: rising lightness, so that it reads in grey too.
const STOPS: [[f32; 3]; 6] = [
    [0.0, 0.0, 0.02],
    [0.23, 0.06, 0.42],
    [0.60, 0.16, 0.42],
    [0.89, 0.36, 0.22],
    [0.98, 0.70, 0.24],
    [0.99, 0.99, 0.80],
];

/// Grey of pixels that a mask leaves out.
const LEFT_OUT: f64 = 0.35;

/// An 8-bit picture on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rgb8 {
    /// Pixels across.
    pub(crate) width: u32,
    /// Pixels down.
    pub(crate) height: u32,
    /// `[height, width, 3]`.
    pub(crate) pixels: Vec<u8>,
}

/// `[3,H,W]`, clamped to 0 to 1 and rounded to 8 bits. Waits for the device.
pub(crate) fn rgb8(image: &Tensor) -> Result<Rgb8> {
    let (_, height, width) = image.size3()?;
    Ok(Rgb8 { width: width as u32, height: height as u32, pixels: bytes(image)? })
}

/// `[C,H,W]`, clamped to 0 to 1, as `[H,W,C]` bytes on the host. Waits for the device.
pub(crate) fn bytes(image: &Tensor) -> Result<Vec<u8>> {
    let image = image.f_detach()?.f_clamp(0.0, 1.0)?.f_mul_scalar(255.0)?.f_round()?;
    let image = image.f_to_kind(Kind::Uint8)?.f_permute([1, 2, 0])?.f_contiguous()?;
    let image = image.f_to_device(Device::Cpu)?;
    let mut pixels = vec![0u8; image.numel()];
    image.f_copy_data(&mut pixels, image.numel())?;
    Ok(pixels)
}

/// Scalars `[H,W]`, 0 to 1, as colours `[3,H,W]`: dark violet over red to pale yellow. NaN counts as 0.
pub(crate) fn heat(values: &Tensor) -> Result<Tensor> {
    let (height, width) = values.size2()?;
    let steps = (STOPS.len() - 1) as f64;
    let at = values.f_detach()?.f_nan_to_num(0.0, 1.0, 0.0)?.f_clamp(0.0, 1.0)?.f_mul_scalar(steps)?;
    let at = at.f_reshape([-1])?;
    let below = at.f_floor()?.f_clamp(0.0, steps - 1.0)?;
    let share = at.f_sub(&below)?.f_unsqueeze(1)?;
    let below = below.f_to_kind(Kind::Int64)?;
    let stops = Tensor::f_from_slice(STOPS.as_flattened())?.f_view([-1, 3])?.f_to_device(values.device())?;
    let from = stops.f_index_select(0, &below)?;
    let to = stops.f_index_select(0, &below.f_add_scalar(1)?)?;
    let colors = from.f_add(&to.f_sub(&from)?.f_mul(&share)?)?;
    Ok(colors.f_tr()?.f_reshape([3, height, width])?)
}

/// Photograph, render and their difference beside each other, `[3,H,3W]`. The difference is the mean over the
/// channels of the absolute error, by [`heat`]: dark is none, the brightest colour is an error of a quarter of
/// the full range or more. Pixels that `mask` (`[H,W]` `Bool`, true = counts) leaves out are grey there.
pub(crate) fn compared(photo: &Tensor, render: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let _guard = tch::no_grad_guard();
    let render = render.f_detach()?.f_clamp(0.0, 1.0)?;
    let error = render.f_sub(photo)?.f_abs()?.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
    let mut error = heat(&error.f_div_scalar(FULL_ERROR)?)?;
    if let Some(mask) = mask {
        error = error.f_masked_fill(&mask.f_logical_not()?, LEFT_OUT)?;
    }
    Ok(Tensor::f_cat(&[photo, &render, &error], 2)?)
}

/// Writes [`compared`] as a PNG.
pub(crate) fn side_by_side(
    path: &Path,
    photo: &Tensor,
    render: &Tensor,
    mask: Option<&Tensor>,
) -> Result<()> {
    let Rgb8 { width, height, pixels } = rgb8(&compared(photo, render, mask)?)?;
    Ok(splat_scene::save_png(path, width, height, &pixels)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: f64) -> Tensor {
        Tensor::full([3, 2, 4], value, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn heat_runs_through_its_stops() {
        let values = Tensor::from_slice(&[0.0f32, 0.2, 1.0, 7.0, f32::NAN, 0.3]).view([2, 3]);
        let colors = heat(&values).unwrap();
        let at = |i: i64| -> Vec<f32> { Vec::try_from(colors.view([3, 6]).select(1, i)).unwrap() };
        for (i, stop) in [(0, 0), (1, 1), (2, 5), (3, 5), (4, 0)] {
            assert_eq!(at(i), STOPS[stop], "value {i}");
        }
        let half: Vec<f32> = (0..3).map(|c| (STOPS[1][c] + STOPS[2][c]) / 2.0).collect();
        at(5).iter().zip(&half).for_each(|(a, b)| assert!((a - b).abs() < 1e-5));
    }

    /// Left the photograph, in the middle the render, right the error; masked pixels are grey there alone.
    #[test]
    fn three_pictures_stand_in_a_row() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let mask = Tensor::from_slice(&[true, true, false, false]).view([1, 4]).expand([2, 4], false);
        side_by_side(&path, &plain(0.5), &plain(1.5), Some(&mask)).unwrap();
        let photo = splat_scene::Photo::read(&path).unwrap();
        assert_eq!((photo.width, photo.height, photo.channels), (12, 2, 3));
        let pixel = |x: usize| &photo.pixels[3 * x..3 * x + 3];
        assert_eq!(pixel(0), [128; 3]);
        assert_eq!(pixel(4), [255; 3], "clamped");
        assert_eq!(pixel(8), [252, 252, 204], "an error of 0.5 is over the scale's end");
        assert_eq!(pixel(10), [89; 3], "left out by the mask");
        assert!(compared(&plain(0.5), &Tensor::zeros([3, 3, 3], (Kind::Float, Device::Cpu)), None).is_err());
    }
}
