//! Gradients of renders.
#![expect(unsafe_code, reason = "hands slices to an engine as pointers")]

use std::ptr::null_mut;

use splat_core::{Camera, Channel, Color, Gradients, Scene, Settings, Shape, Upstream};
use splat_engine::{Abilities, Engine, EngineError, abi};

use super::arena::Arena;
use super::{Inputs, Rendered, context, host_only, pixels};
use crate::invalid;

/// Gradients with respect to every input for the given upstream gradients. `scene`, `camera` and `settings` are those
/// that `rendered` was made from.
///
/// # Errors
/// The engine's [`EngineError`]; [`EngineError::InvalidArgument`] for upstream gradients of a wrong length.
pub fn backward(
    engine: &dyn Engine,
    scene: &Scene,
    camera: &Camera,
    settings: &Settings,
    rendered: &Rendered,
    upstream: &Upstream<f32>,
) -> Result<Gradients<f32>, EngineError> {
    let cameras = std::slice::from_ref(camera);
    Ok(backward_batch(engine, scene, cameras, settings, rendered, upstream)?.0)
}

/// [`backward`] of [`forward_batch`](super::forward_batch()): sums over the cameras, with `means2d` and `means2d_abs` per camera, and the
/// gradients with respect to the cameras' matrices (zeros if the engine has none). The gradients' own `view` is the
/// first camera's.
///
/// # Errors
/// As [`backward`].
pub fn backward_batch(
    engine: &dyn Engine,
    scene: &Scene,
    cameras: &[Camera],
    settings: &Settings,
    rendered: &Rendered,
    upstream: &Upstream<f32>,
) -> Result<(Gradients<f32>, Vec<[f32; 16]>), EngineError> {
    let capabilities = host_only(engine)?;
    let (p, n, pixels) = (scene.len(), cameras.len(), pixels(cameras)?);
    if rendered.radii.len() != n * p || rendered.color.len() != 3 * n * pixels {
        return invalid(format!(
            "the scene has {p} Gaussians and {n} cameras of {pixels} pixels, but `rendered` has {} radii and {} numbers \
             of colour",
            rendered.radii.len(),
            rendered.color.len()
        ));
    }
    let mut list = Vec::new();
    // The engine refuses a gradient for a channel that it does not have.
    for channel in Channel::ALL {
        let (Some(planes), Some(gradient)) = (channel.planes(scene.features.count), upstream.get(channel))
        else {
            continue;
        };
        if gradient.len() != planes * n * pixels {
            return invalid(format!(
                "the gradient of channel `{channel:?}` has {} numbers, but {n} images have {planes}x{}x{}",
                gradient.len(),
                cameras[0].height,
                cameras[0].width
            ));
        }
        let (source, gradient) = (channel as u32, gradient.as_ptr());
        list.push(abi::Channel { source, gradient, ..abi::Channel::EMPTY });
    }
    let mut out = empty_gradients(scene, n, upstream.means2d_abs);
    let mut poses = vec![[0.0_f32; 16]; n];
    let wanted = |v: &mut Vec<f32>| if v.is_empty() { null_mut() } else { v.as_mut_ptr() };
    let mut gradients = abi::Gradients {
        means3d: wanted(&mut out.means3d),
        means2d: wanted(&mut out.means2d),
        means2d_abs: wanted(&mut out.means2d_abs),
        opacities: wanted(&mut out.opacities),
        sh: wanted(&mut out.sh),
        sh_rest: wanted(&mut out.sh_rest),
        colors: wanted(&mut out.colors),
        scales: wanted(&mut out.scales),
        rotations: wanted(&mut out.rotations),
        cov3d: wanted(&mut out.cov3d),
        features: wanted(&mut out.features),
        ..abi::Gradients::EMPTY
    };
    if capabilities.abilities.contains(Abilities::EXTRA_GRADIENTS) {
        gradients.background = out.background.as_mut_ptr();
        gradients.view = poses.as_mut_ptr().cast();
    }
    let mut memory = Arena::default();
    let call = Inputs::new(scene, cameras, settings)?;
    let context = context(&mut memory, None);
    let args = abi::BackwardArgs {
        camera_count: call.cameras.len() as u32,
        channel_count: list.len() as u32,
        context: &raw const context,
        cameras: call.cameras.as_ptr(),
        gaussians: &raw const call.gaussians,
        settings: &raw const call.settings,
        channels: list.as_ptr(),
        radii: rendered.radii.as_ptr(),
        saved: &raw const rendered.saved,
        gradients: &raw const gradients,
        ..abi::BackwardArgs::EMPTY
    };
    // SAFETY: as in `forward_batch`; `rendered` still owns the saved buffers.
    unsafe { engine.backward(&args)? };
    out.view = poses[0];
    Ok((out, poses))
}

/// Room for the gradients of `scene` from `cameras` cameras.
fn empty_gradients(scene: &Scene, cameras: usize, absolute: bool) -> Gradients {
    let (sh, sh_rest) = match &scene.color {
        Color::Sh { values, .. } => (values.len(), 0),
        Color::SplitSh { first, rest, .. } => (first.len(), rest.len()),
        Color::Rgb(_) => (0, 0),
    };
    let by_scale = matches!(scene.shape, Shape::ScaleRotation { .. });
    let numbers = |each: usize| vec![f32::NAN; scene.len() * each];
    Gradients {
        means3d: numbers(3),
        means2d: numbers(3 * cameras),
        means2d_abs: numbers(if absolute { 2 * cameras } else { 0 }),
        opacities: numbers(1),
        sh: vec![f32::NAN; sh],
        sh_rest: vec![f32::NAN; sh_rest],
        colors: numbers(3),
        scales: numbers(if by_scale { 3 } else { 0 }),
        rotations: numbers(if by_scale { 4 } else { 0 }),
        cov3d: numbers(6),
        features: numbers(scene.features.count),
        background: [0.0; 3],
        view: [0.0; 16],
    }
}
