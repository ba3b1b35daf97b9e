//! The operation: checks, then one forward pass that torch's autograd remembers.

use splat_core::{Mode, Model, Values};
use splat_engine::{Abilities, abi};
use tch::{Device, Tensor};

use crate::camera::upload;
use crate::check::{self, Asked};
use crate::ffi::{self, Frame};
use crate::input::{Input, PerInput};
use crate::{Backend, Background, Camera, Color, Error, Gaussians, Rendered, Settings, Shape, channel};

/// Renders `gaussians` as `camera` sees them.
///
/// If any input requires a gradient and gradients are enabled, the outputs carry a graph: `backward()` on a loss of them gives
/// gradients to every input that requires one, including `means2d`, a background tensor and the pose of a camera. First
/// derivatives only. Changing an input in place between render and backward is an error of the backward, as with torch's own
/// operations.
///
/// # Errors
/// [`Error`]. In the backward pass an engine's error comes out of `backward()` with the same text.
pub fn render(gaussians: &Gaussians<'_>, camera: &Camera, settings: &Settings) -> Result<Rendered, Error> {
    Ok(run(gaussians, &[camera], false, settings, false)?.0)
}

/// Renders `gaussians` as 1 to 32 cameras of one image size see them, in one call. Every output has the number of cameras as
/// its first dimension, and so have `means2d`, `means2d_abs` and `weight_image`. Gradients are sums over the cameras.
///
/// # Errors
/// As [`render`].
pub fn render_batch(
    gaussians: &Gaussians<'_>,
    cameras: &[&Camera],
    settings: &Settings,
) -> Result<Rendered, Error> {
    Ok(run(gaussians, cameras, true, settings, false)?.0)
}

/// Which of the centres `means3d` `[P,3]` lie in front of the camera (view-space depth over 0.2): `[P]` `Bool`.
///
/// # Errors
/// [`Error`], as for [`render`].
pub fn mark_visible(backend: &Backend, means3d: &Tensor, camera: &Camera) -> Result<Tensor, Error> {
    check::means(means3d)?;
    check::same_device("camera", camera.device(), "means3d", means3d.device())?;
    backend.check_holds("means3d", means3d.device())?;
    ffi::mark_visible(backend, means3d, &camera.numbers()?)
}

/// With `keep` no graph is recorded, and what the backward pass needs is returned.
pub(crate) fn run(
    g: &Gaussians<'_>,
    cameras: &[&Camera],
    batch: bool,
    settings: &Settings,
    keep: bool,
) -> Result<(Rendered, Option<ffi::Pass>), Error> {
    let Prepared { frame, numbers, background, poses, grad } = prepare(g, cameras, batch, settings, keep)?;
    let mut inputs = of(g);
    inputs[Input::Background] = Some(&background);
    inputs[Input::View] = poses.as_ref();
    let graph = grad && inputs.iter().any(|(_, t)| t.is_some_and(Tensor::requires_grad));
    let follows = match (keep, graph) {
        (true, _) => ffi::Follows::Pass,
        (false, true) => ffi::Follows::Graph,
        (false, false) => ffi::Follows::Nothing,
    };
    let mut images = ffi::forward(frame, &inputs, &numbers, follows, settings.workspace.as_ref())?;
    let lost = || Error::Torch("the autograd node lost an output".into());
    let pass = images.pass.take();
    let rendered = Rendered {
        color: images.take(abi::COLOR).ok_or_else(lost)?,
        inv_depth: images.take(abi::INV_DEPTH).ok_or_else(lost)?,
        depth: images.take(abi::DEPTH),
        alpha: images.take(abi::ALPHA),
        features: images.take(abi::FEATURES),
        weight_sum: images.take(abi::WEIGHT_SUM),
        weight_max: images.take(abi::WEIGHT_MAX),
        weight_image: images.take(abi::WEIGHT_IMAGE),
        counts: images.counts,
        radii: images.radii,
    };
    Ok((rendered, pass))
}

/// What was asked for, checked, in the engine's terms.
pub(crate) struct Prepared {
    pub(crate) frame: Frame,
    /// `[C,35]`.
    pub(crate) numbers: Tensor,
    /// `[3]`.
    pub(crate) background: Tensor,
    /// `[C,16]` view matrices with the graphs of their poses, if any pose is learned.
    pub(crate) poses: Option<Tensor>,
    /// Whether a graph is recorded if an input requires a gradient.
    pub(crate) grad: bool,
}

/// Checks everything and puts it into the engine's terms; `keep` as for [`run`].
pub(crate) fn prepare(
    g: &Gaussians<'_>,
    cameras: &[&Camera],
    batch: bool,
    settings: &Settings,
    keep: bool,
) -> Result<Prepared, Error> {
    check::cameras(cameras)?;
    let views = batch.then_some(cameras.len() as i64);
    let count = check::scene(g, views)?;
    let device = g.means3d.device();
    check::same_device("camera", cameras[0].device(), "means3d", device)?;
    let backend = match &settings.backend {
        Some(backend) => backend.clone(),
        None => Backend::of(device)?,
    };
    backend.check_holds("means3d", device)?;
    let engine = backend.capabilities();
    let feature_count = g.features.map_or(0, |t| t.size()[1]);
    let channels = channel::wanted(settings, feature_count > 0, engine)?;
    let sh_coeffs = check::degree(&g.color, settings.sh_degree, engine)?;
    let model = cameras[0].core();
    let shape: Vec<i64> = views.into_iter().chain([model.height, model.width].map(i64::from)).collect();
    let weight_image = weight_image(settings, &shape, device)?;
    let background = background(settings, device)?;
    let compact = matches!(g.color, Color::CompactSh { .. });
    // Compact SH has no gradient, so a graph of it would be useless.
    let grad = ffi::grad_enabled() && !keep && !compact;
    let poses = if grad && cameras.iter().any(|c| c.pose().is_some_and(Tensor::requires_grad)) {
        let columns = cameras.iter().map(|c| c.view_column()).collect::<Result<Vec<_>, _>>()?;
        Some(Tensor::f_stack(&columns, 0)?)
    } else {
        None
    };
    let mut inputs = of(g);
    inputs[Input::Background] = Some(&background);
    inputs[Input::View] = poses.as_ref();
    let learns = |input: Input| grad && inputs[input].is_some_and(Tensor::requires_grad);
    let extra =
        [("means2d_abs", Input::Means2dAbs), ("background", Input::Background), ("view", Input::View)];
    let orthographic = model.model == Model::Orthographic;
    let asked = Asked {
        cameras: cameras.len(),
        orthographic,
        split_sh: inputs[Input::ShRest].is_some(),
        step: keep || compact,
        extra_gradients: extra.into_iter().filter(|(_, i)| learns(*i)).map(|(name, _)| name).collect(),
    };
    check::abilities(settings, &asked, engine)?;
    let [width, height] = sides([model.width, model.height])?;
    let frame = Frame {
        width,
        height,
        model: if orthographic { abi::ORTHOGRAPHIC } else { abi::PINHOLE },
        tangents: cameras.iter().map(|c| [c.core().tan_fovx, c.core().tan_fovy]).collect(),
        batch,
        flags: flags(settings, &backend),
        scale_modifier: settings.scale_modifier,
        // Without SH the degree means nothing, and 0 needs no coefficients.
        sh_degree: sh_coeffs.map_or(0, |_| settings.sh_degree as i32),
        count,
        sh_coeffs: sh_coeffs.unwrap_or(0),
        compact,
        feature_count,
        channels,
        weight_image,
        backend,
    };
    let numbers = cameras.iter().map(|c| c.numbers()).collect::<Result<Vec<_>, _>>()?;
    let numbers = match numbers.as_slice() {
        [one] => one.shallow_clone(),
        several => Tensor::f_cat(several, 0)?,
    };
    Ok(Prepared { frame, numbers, background, poses, grad })
}

/// The image of [`Settings::weight_image`], contiguous; it must have this shape.
pub(crate) fn weight_image(
    settings: &Settings,
    shape: &[i64],
    device: Device,
) -> Result<Option<Tensor>, Error> {
    let Some(image) = &settings.weight_image else { return Ok(None) };
    check::tensor("weight_image", image, device, &[shape], || format!("the render needs {shape:?}"))?;
    Ok(Some(image.f_detach()?.f_contiguous()?))
}

/// The background as a tensor `[3]`.
pub(crate) fn background(settings: &Settings, device: Device) -> Result<Tensor, Error> {
    match &settings.background {
        Background::Rgb(rgb) => upload(rgb, device),
        Background::Tensor(t) => {
            check::tensor("background", t, device, &[&[3]], || "a colour needs [3]".into())?;
            Ok(t.f_contiguous()?)
        }
    }
}

/// Width and height as the header has them.
pub(crate) fn sides([width, height]: [u32; 2]) -> Result<[i32; 2], Error> {
    let side = |n: u32| {
        i32::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| {
            Error::Settings(format!("the image is {width}x{height}, but a side is 1 to 2^31 - 1"))
        })
    };
    Ok([side(width)?, side(height)?])
}

/// The flags of the header.
pub(crate) fn flags(settings: &Settings, backend: &Backend) -> u32 {
    // An engine whose gradients always are reproducible need not know the flag.
    let reproducible =
        settings.reproducible && backend.capabilities().abilities.contains(Abilities::REPRODUCE);
    let flags = [
        (settings.antialiasing, abi::ANTIALIASING),
        (settings.debug, abi::DEBUG),
        (settings.mode == Mode::Exact, abi::EXACT),
        (settings.values == Values::Raw, abi::RAW),
        (reproducible, abi::REPRODUCIBLE),
    ];
    flags.into_iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag)
}

/// The caller's tensors by name.
pub(crate) fn of<'a>(g: &Gaussians<'a>) -> PerInput<Option<&'a Tensor>> {
    let mut inputs = PerInput::default();
    inputs[Input::Means3d] = Some(g.means3d);
    inputs[Input::Means2d] = g.means2d;
    inputs[Input::Means2dAbs] = g.means2d_abs;
    inputs[Input::Opacities] = Some(g.opacities);
    inputs[Input::Features] = g.features;
    match g.color {
        Color::Sh(sh) => inputs[Input::Sh] = Some(sh),
        Color::SplitSh { first, rest } => {
            inputs[Input::Sh] = Some(first);
            inputs[Input::ShRest] = Some(rest);
        }
        Color::CompactSh { first, rest, .. } => {
            inputs[Input::Sh] = Some(first);
            inputs[Input::ShRest] = Some(rest);
        }
        Color::Rgb(rgb) => inputs[Input::Colors] = Some(rgb),
    }
    match g.shape {
        Shape::ScaleRotation { scales, rotations } => {
            inputs[Input::Scales] = Some(scales);
            inputs[Input::Rotations] = Some(rotations);
        }
        Shape::Covariance(values) => inputs[Input::Cov3d] = Some(values),
    }
    inputs
}
