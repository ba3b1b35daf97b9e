//! Refuses wrong lengths, and cameras, settings and upstream gradients that are not finite, before anything is
//! computed. The numbers of Gaussians and records may be anything: the stages reject those that are not finite.
//!
//! Names are the original rasterizer's (`means3D`, `shs`, `viewmatrix`). Nothing here repairs an input.

use rayon::prelude::*;

use crate::{
    Camera, Channel, Color, Error, FeatureChannels, MAX_FEATURES, MAX_SH_DEGREE, Model, Real, SavedRef,
    Scene, Settings, Shape, Tuning, Upstream, Wanted, tiles::Grid,
};

/// Largest image side; beyond it the pixel count no longer fits the index types.
const MAX_SIDE: u32 = 1 << 20;
/// Largest pixel count of an image.
const MAX_PIXELS: u64 = 1 << 31;
/// Numbers that one task checks.
const CHUNK: usize = 1 << 16;

/// The inputs of projection, which the whole calls have too.
pub(crate) fn inputs<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
) -> Result<(), Error> {
    image_size([camera.width, camera.height])?;
    finite("tanfovx", &[camera.tan_fovx])?;
    finite("tanfovy", &[camera.tan_fovy])?;
    positive("tanfovx", camera.tan_fovx)?;
    positive("tanfovy", camera.tan_fovy)?;
    finite("viewmatrix", &camera.view)?;
    finite("projmatrix", &camera.proj)?;
    finite("campos", &camera.campos)?;
    finite("bg", &settings.background)?;
    finite("scale_modifier", &[settings.scale_modifier])?;

    let p = scene.len();
    count("the scene has", p, "Gaussians")?;
    array("means3D", scene.means3d.len(), p, 3)?;
    colors(&scene.color, settings.sh_degree, p)?;
    match scene.shape {
        Shape::ScaleRotation { scales, rotations } => {
            array("scales", scales.len(), p, 3)?;
            array("rotations", rotations.len(), p, 4)?;
        }
        Shape::Covariance(cov3d) => array("cov3D_precomp", cov3d.len(), p, 6)?,
    }
    features(&scene.features, p)?;
    if camera.model == Model::Orthographic {
        let last: [T; 4] = std::array::from_fn(|c| camera.proj[4 * c + 3]);
        let expected = [0.0, 0.0, 0.0, 1.0].map(T::from_f64_lossy);
        if last != expected {
            return Err(Error::Settings(format!(
                "the last row of an orthographic `projmatrix` is {last:?}, but must be {expected:?}"
            )));
        }
    }
    Ok(())
}

/// The inputs of rasterization.
pub(crate) fn raster<T: Real>(
    records: usize,
    channels: &FeatureChannels<T>,
    size: [u32; 2],
    settings: &Settings<T>,
) -> Result<(), Error> {
    image_size(size)?;
    finite("bg", &settings.background)?;
    count("there are", records, "records")?;
    features(channels, records)
}

/// A weight image is given if it is needed, of this size and finite.
pub(crate) fn wanted<T: Real>(wanted: &Wanted<T>, [width, height]: [u32; 2]) -> Result<(), Error> {
    if !wanted.contains(Channel::WeightImage) {
        return Ok(());
    }
    let Some(image) = wanted.weight_image() else {
        return Err(Error::Settings("channel `WeightImage` is wanted, but no image is given for it".into()));
    };
    let pixels = width as usize * height as usize;
    length("weight_image", image.len(), pixels, || format!("{height} x {width}"))?;
    finite("weight_image", image)
}

/// Indices are 32-bit.
fn count(has: &str, found: usize, what: &str) -> Result<(), Error> {
    if u32::try_from(found).is_ok() {
        return Ok(());
    }
    Err(Error::Settings(format!("{has} {found} {what}, the most is {}", u32::MAX)))
}

fn features<T>(channels: &FeatureChannels<T>, p: usize) -> Result<(), Error> {
    let FeatureChannels { values, count } = *channels;
    if count > MAX_FEATURES {
        return Err(Error::Settings(format!(
            "there are {count} feature channels, the most is {MAX_FEATURES}"
        )));
    }
    array("features", values.len(), p, count)
}

/// Colours or coefficients for `p` Gaussians, enough for the degree.
fn colors<T>(color: &Color<T>, degree: u32, p: usize) -> Result<(), Error> {
    let coeffs = match *color {
        Color::Rgb(colors) => return array("colors_precomp", colors.len(), p, 3),
        Color::Sh { coeffs, .. } | Color::SplitSh { coeffs, .. } => coeffs,
    };
    if degree > MAX_SH_DEGREE {
        return Err(Error::Settings(format!("sh_degree is {degree}, the most is {MAX_SH_DEGREE}")));
    }
    let needed = (degree as usize + 1).pow(2);
    if coeffs < needed {
        return Err(Error::Settings(format!(
            "`shs` stores {coeffs} coefficients per Gaussian, but sh_degree {degree} needs {needed}"
        )));
    }
    let width = coeffs.checked_mul(3).filter(|w| w.checked_mul(p).is_some()).ok_or_else(|| {
        Error::Settings(format!("`shs` stores {coeffs} coefficients per Gaussian for {p} Gaussians"))
    })?;
    match *color {
        Color::Sh { values, .. } => array("shs", values.len(), p, width),
        Color::SplitSh { first, rest, .. } => {
            array("sh", first.len(), p, 3)?;
            array("sh_rest", rest.len(), p, width - 3)
        }
        Color::Rgb(_) => Ok(()),
    }
}

/// The image has at least one pixel and a size that can be indexed.
fn image_size([w, h]: [u32; 2]) -> Result<(), Error> {
    if w == 0 || h == 0 {
        return Err(Error::Settings(format!("the image is {w} x {h} pixels, at least 1 x 1 is needed")));
    }
    if w > MAX_SIDE || h > MAX_SIDE || u64::from(w) * u64::from(h) > MAX_PIXELS {
        return Err(Error::Settings(format!(
            "the image is {w} x {h} pixels, the most is {MAX_SIDE} per side and {MAX_PIXELS} in all"
        )));
    }
    Ok(())
}

/// `found` numbers are `[p, each]`.
fn array(input: &'static str, found: usize, p: usize, each: usize) -> Result<(), Error> {
    length(input, found, p * each, || format!("P = {p}, {each} each"))
}

/// `found` numbers are `expected` numbers.
pub(crate) fn length(
    input: &'static str,
    found: usize,
    expected: usize,
    why: impl FnOnce() -> String,
) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { input, found, expected, why: why() }) }
}

/// No NaN, no infinity; the error names the first.
pub(crate) fn finite<T: Real>(input: &'static str, values: &[T]) -> Result<(), Error> {
    // 0 x is 0 for finite x and NaN otherwise, and sums keep NaN: one branch per chunk.
    let bad_chunk = |chunk: &[T]| {
        let sum = chunk.iter().fold(T::zero(), |acc, &x| acc + T::zero() * x);
        sum.is_nan()
    };
    let first = values.par_chunks(CHUNK).position_first(bad_chunk);
    let Some(chunk) = first else { return Ok(()) };
    let index = values[chunk * CHUNK..].iter().position(|x| !x.is_finite()).unwrap_or(0) + chunk * CHUNK;
    Err(Error::Value { input, index, value: values[index].to_string(), needs: "must be finite" })
}

fn positive<T: Real>(input: &'static str, value: T) -> Result<(), Error> {
    if value > T::zero() {
        return Ok(());
    }
    Err(Error::Value { input, index: 0, value: value.to_string(), needs: "must be greater than 0" })
}

/// The shift of the projected centres, if there is one.
pub(crate) fn shift<T: Real>(scene: &Scene<T>, tuning: &Tuning<T>) -> Result<(), Error> {
    if tuning.ndc_shift.is_empty() {
        return Ok(());
    }
    array("ndc_shift", tuning.ndc_shift.len(), scene.len(), 2)?;
    finite("ndc_shift", tuning.ndc_shift)
}

/// One radius for each of `p` Gaussians.
pub(crate) fn radii(radii: &[i32], p: usize) -> Result<(), Error> {
    length("radii", radii.len(), p, || format!("P = {p}"))
}

/// What forward saved fits the inputs: every index that backward follows is in range.
pub(crate) fn saved<T: Real>(saved: &SavedRef<T>, p: usize, grid: &Grid) -> Result<(), Error> {
    let (w, h) = (grid.width, grid.height);
    length("ranges", saved.ranges.len(), grid.tiles(), || format!("tiles of {w} x {h} pixels"))?;
    length("final_t", saved.final_t.len(), grid.pixels(), || format!("{w} x {h} pixels"))?;
    length("contributors", saved.contributors.len(), grid.pixels(), || format!("{w} x {h} pixels"))?;
    finite("final_t", saved.final_t)?;
    let mut end = 0;
    for (tile, range) in saved.ranges.iter().enumerate() {
        if range[0] != end || range[1] < range[0] {
            return Err(Error::Settings(format!(
                "`ranges`[{tile}] is {}..{}, but must start at {end}",
                range[0], range[1]
            )));
        }
        end = range[1];
    }
    length("point_list", saved.point_list.len(), usize::try_from(end).unwrap_or(usize::MAX), || {
        "the end of the last range".into()
    })?;
    if let Some(index) = saved.point_list.par_iter().position_first(|&id| id as usize >= p) {
        return Err(Error::Settings(format!(
            "`point_list`[{index}] is Gaussian {}, but there are {p}",
            saved.point_list[index]
        )));
    }
    let bad = (0..grid.pixels()).into_par_iter().find_first(|&at| {
        let range = saved.ranges[grid.tile_of(at)];
        u64::from(saved.contributors[at]) > range[1] - range[0]
    });
    if let Some(at) = bad {
        let range = saved.ranges[grid.tile_of(at)];
        return Err(Error::Settings(format!(
            "`contributors`[{at}] is {}, but its tile's list has {} Gaussians",
            saved.contributors[at],
            range[1] - range[0]
        )));
    }
    Ok(())
}

/// Upstream gradients are images of this size, finite.
pub(crate) fn upstream<T: Real>(upstream: &Upstream<T>, grid: &Grid, features: usize) -> Result<(), Error> {
    let n = grid.pixels();
    let image = |input, values: Option<&[T]>, channels: usize| {
        let Some(values) = values else { return Ok(()) };
        let why = || format!("{channels} x {} x {}", grid.height, grid.width);
        length(input, values.len(), channels * n, why)?;
        finite(input, values)
    };
    image("grad_color", upstream.color, 3)?;
    image("grad_invdepth", upstream.inv_depth, 1)?;
    image("grad_depth", upstream.depth, 1)?;
    image("grad_alpha", upstream.alpha, 1)?;
    image("grad_features", upstream.features, features)
}
