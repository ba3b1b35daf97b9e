//! Refuses wrong lengths, and camera, settings and upstream gradients that are not finite, before anything is
//! computed. A splat's numbers may be anything: `projection` rejects the splat.
//!
//! Names are the original rasterizer's (`means3D`, `shs`, `viewmatrix`). Nothing here repairs an input.

use rayon::prelude::*;

use crate::{
    Camera, Color, Error, Model, Real, SavedRef, Scene, Settings, Shape, Tuning, Upstream, tiles::Grid,
};

/// Largest image side; beyond it the pixel count no longer fits the index types.
const MAX_SIDE: u32 = 1 << 20;
/// Largest pixel count of an image.
const MAX_PIXELS: u64 = 1 << 31;
/// Most feature channels of a splat.
const MAX_FEATURES: usize = 64;
/// Numbers checked by one task.
const CHUNK: usize = 1 << 16;

/// Everything that forward and backward have in common.
pub(crate) fn inputs<T: Real>(
    scene: &Scene<T>,
    camera: &Camera<T>,
    settings: &Settings<T>,
) -> Result<(), Error> {
    image_size(camera)?;
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
    if u32::try_from(p).is_err() {
        return Err(Error::Settings(format!("the scene has {p} splats, the most is {}", u32::MAX)));
    }
    array("means3D", scene.means3d.len(), p, 3)?;
    colors(&scene.color, settings.sh_degree, p)?;
    match scene.shape {
        Shape::ScaleRotation { scales, rotations } => {
            array("scales", scales.len(), p, 3)?;
            array("rotations", rotations.len(), p, 4)?;
        }
        Shape::Covariance(cov3d) => array("cov3D_precomp", cov3d.len(), p, 6)?,
    }
    if scene.features.count > MAX_FEATURES {
        return Err(Error::Settings(format!(
            "the scene has {} feature channels, the most is {MAX_FEATURES}",
            scene.features.count
        )));
    }
    array("features", scene.features.values.len(), p, scene.features.count)?;
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

/// Colours or coefficients for `p` splats, enough for the degree.
fn colors<T>(color: &Color<T>, degree: u32, p: usize) -> Result<(), Error> {
    let coeffs = match *color {
        Color::Rgb(colors) => return array("colors_precomp", colors.len(), p, 3),
        Color::Sh { coeffs, .. } | Color::SplitSh { coeffs, .. } => coeffs,
    };
    if degree > 3 {
        return Err(Error::Settings(format!("sh_degree is {degree}, the most is 3")));
    }
    let needed = (degree as usize + 1).pow(2);
    if coeffs < needed {
        return Err(Error::Settings(format!(
            "`shs` stores {coeffs} coefficients a splat, but sh_degree {degree} needs {needed}"
        )));
    }
    let width = coeffs.checked_mul(3).filter(|w| w.checked_mul(p).is_some()).ok_or_else(|| {
        Error::Settings(format!("`shs` stores {coeffs} coefficients a splat for {p} splats"))
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
fn image_size<T>(camera: &Camera<T>) -> Result<(), Error> {
    let (w, h) = (camera.width, camera.height);
    if w == 0 || h == 0 {
        return Err(Error::Settings(format!("the image is {w} x {h} pixels, at least 1 x 1 is needed")));
    }
    if w > MAX_SIDE || h > MAX_SIDE || u64::from(w) * u64::from(h) > MAX_PIXELS {
        return Err(Error::Settings(format!(
            "the image is {w} x {h} pixels, the most is {MAX_SIDE} a side and {MAX_PIXELS} in all"
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
    // 0 x is 0 for finite x and NaN otherwise, and sums keep NaN: one branch a chunk.
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

/// The shift of the projected centres, where a test gives one.
pub(crate) fn shift<T: Real>(scene: &Scene<T>, tuning: &Tuning<T>) -> Result<(), Error> {
    if tuning.ndc_shift.is_empty() {
        return Ok(());
    }
    array("ndc_shift", tuning.ndc_shift.len(), scene.len(), 2)?;
    finite("ndc_shift", tuning.ndc_shift)
}

/// What forward left fits the inputs: every index that backward follows is in range.
pub(crate) fn saved<T: Real>(saved: &SavedRef<T>, radii: &[i32], p: usize, grid: &Grid) -> Result<(), Error> {
    let (w, h) = (grid.width, grid.height);
    length("radii", radii.len(), p, || format!("P = {p}"))?;
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
            "`point_list`[{index}] is splat {}, but P = {p}",
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
            "`contributors`[{at}] is {}, but its tile's list has {} splats",
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
