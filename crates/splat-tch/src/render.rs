//! The operation: checks, then one forward that torch's autograd remembers.

use splat_core::Model;
use splat_engine::{Features, abi};
use tch::Tensor;

use crate::check::{self, Asked};
use crate::ffi::{self, Frame, Inputs};
use crate::scene::upload;
use crate::{Background, Camera, Color, Error, Gaussians, Rendered, Settings, Shape, engines};

/// Renders `gaussians` as `camera` sees them.
///
/// The outputs carry a graph when any input requires a gradient and gradients are enabled: `backward()` on a
/// loss of them gives gradients to every input that requires one, `means2d`, a background tensor and the pose of a
/// camera included. First derivatives only. Changing an input in place between render and
/// backward is an error of the backward, as for torch's own operations.
///
/// # Errors
/// [`Error`]. In the backward, an engine's error comes out of `backward()` with the same text.
pub fn render(gaussians: &Gaussians<'_>, camera: &Camera, settings: &Settings) -> Result<Rendered, Error> {
    run(gaussians, &[camera], false, settings)
}

/// Renders `gaussians` as 1 to 32 cameras of one image size see them, in one call: every output has the number of
/// cameras as its first dimension, and so have `means2d` and `means2d_abs`. Gradients are sums over the cameras.
///
/// # Errors
/// As [`render`].
pub fn render_batch(
    gaussians: &Gaussians<'_>,
    cameras: &[&Camera],
    settings: &Settings,
) -> Result<Rendered, Error> {
    run(gaussians, cameras, true, settings)
}

fn run(g: &Gaussians<'_>, cameras: &[&Camera], batch: bool, settings: &Settings) -> Result<Rendered, Error> {
    check::cameras(cameras)?;
    let count = check::scene(g, batch.then_some(cameras.len() as i64))?;
    let device = g.means3d.device();
    check::same_device("camera", cameras[0].device(), device)?;
    let engine = engines::choose(&settings.engine, device, "`means3d`")?;
    let capabilities = engine.capabilities();
    let channels = g.features.map_or(0, |t| t.size()[1]);
    check::outputs(settings, channels > 0, &capabilities)?;
    let sh_coeffs = check::degree(&g.color, settings.sh_degree, &capabilities)?;
    let (color, sh_rest) = match g.color {
        Color::Sh(sh) => (sh, None),
        Color::SplitSh { first, rest } => (first, Some(rest)),
        Color::Rgb(rgb) => (rgb, None),
    };
    let (shape, rotations) = match g.shape {
        Shape::ScaleRotation { scales, rotations } => (scales, Some(rotations)),
        Shape::Covariance(values) => (values, None),
    };
    let background = match &settings.background {
        Background::Rgb(rgb) => upload(rgb, device)?,
        Background::Tensor(t) => {
            check::tensor("background", t, device, &[&[3]], || "a colour needs [3]".into())?;
            t.f_contiguous()?
        }
    };
    let grad = ffi::grad_enabled();
    let learned = grad && cameras.iter().any(|c| c.pose().is_some_and(Tensor::requires_grad));
    let poses = if learned {
        let columns = cameras.iter().map(|c| c.view_column()).collect::<Result<Vec<_>, _>>()?;
        Some(Tensor::f_stack(&columns, 0)?)
    } else {
        None
    };
    let inputs = Inputs {
        means3d: g.means3d,
        means2d: g.means2d,
        means2d_abs: g.means2d_abs,
        opacities: g.opacities,
        color,
        sh_rest,
        shape,
        rotations,
        features: g.features,
        background: &background,
        poses: poses.as_ref(),
    };
    let learns = |t: Option<&Tensor>| grad && t.is_some_and(Tensor::requires_grad);
    let extra = [
        ("means2d_abs", learns(g.means2d_abs)),
        ("background", learns(Some(&background))),
        ("view", learned),
    ];
    let first = cameras[0].core();
    let asked = Asked {
        cameras: cameras.len(),
        orthographic: first.model == Model::Orthographic,
        split: sh_rest.is_some(),
        extra_gradients: extra.into_iter().filter(|(_, asked)| *asked).map(|(name, _)| name).collect(),
    };
    check::features(settings, &asked, &capabilities)?;

    let side = |n: u32| {
        i32::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| {
            Error::Settings(format!(
                "the image is {}x{}, but a side is 1 to 2^31 - 1",
                first.width, first.height
            ))
        })
    };
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    // An engine that always is reproducible need not know the flag.
    let reproducible = settings.reproducible && capabilities.features.contains(Features::REPRODUCE);
    let frame = Frame {
        device,
        strided: capabilities.features.contains(Features::STRIDED_INPUTS),
        engine,
        width: side(first.width)?,
        height: side(first.height)?,
        model: if asked.orthographic { abi::ORTHOGRAPHIC } else { abi::PINHOLE },
        tangents: cameras.iter().map(|c| [c.core().tan_fovx, c.core().tan_fovy]).collect(),
        batch,
        flags: flag(settings.antialiasing, abi::ANTIALIASING)
            | flag(settings.debug, abi::DEBUG)
            | flag(settings.exact, abi::EXACT)
            | flag(settings.raw, abi::RAW)
            | flag(reproducible, abi::REPRODUCIBLE),
        scale_modifier: settings.scale_modifier,
        // Without SH the degree says nothing, and 0 needs no coefficients.
        sh_degree: if sh_coeffs.is_some() { settings.sh_degree as i32 } else { 0 },
        count,
        sh_coeffs,
        channels,
        depth: settings.depth,
        alpha: settings.alpha,
    };
    let graph = grad && inputs.nodes().into_iter().flatten().any(Tensor::requires_grad);
    let numbers = cameras.iter().map(|c| c.numbers()).collect::<Result<Vec<_>, _>>()?;
    let numbers = match numbers.as_slice() {
        [one] => one.shallow_clone(),
        several => Tensor::f_cat(several, 0)?,
    };
    let picture = ffi::forward(frame, inputs, &numbers, graph, settings.workspace.as_ref())?;
    Ok(Rendered {
        color: picture.color,
        radii: picture.radii,
        inv_depth: picture.inv_depth,
        depth: picture.depth,
        alpha: picture.alpha,
        features: picture.features,
        counts: picture.counts,
    })
}

/// Which of the centres `means3d` `[P,3]` lie in front of the camera (view-space depth over 0.2): `[P]` `Bool`.
/// The engine is the one that [`EngineChoice::Auto`](crate::EngineChoice::Auto) chooses.
///
/// # Errors
/// [`Error`], as [`render`].
pub fn mark_visible(means3d: &Tensor, camera: &Camera) -> Result<Tensor, Error> {
    check::means(means3d)?;
    check::same_device("camera", camera.device(), means3d.device())?;
    let engine = engines::choose(&crate::EngineChoice::Auto, means3d.device(), "`means3d`")?;
    ffi::mark_visible(&engine, means3d, &camera.numbers()?)
}
