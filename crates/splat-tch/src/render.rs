//! The operation: checks, then one forward that torch's autograd remembers.

use splat_engine::{Capabilities, Features, Outputs, abi};
use tch::{Device, Kind, Tensor};

use crate::ffi::{self, Frame, Inputs};
use crate::scene::upload;
use crate::{Background, Camera, Color, Error, Gaussians, Rendered, Settings, Shape, engines};

/// Renders `gaussians` as `camera` sees them.
///
/// The outputs carry a graph when any input requires a gradient and gradients are enabled: `backward()` on a
/// loss of them gives gradients to every input that requires one, `means2d` included, and to nothing else
/// (not to camera or background). First derivatives only. Changing an input in place between render and
/// backward is an error of the backward, as for torch's own operations.
///
/// # Errors
/// [`Error`]. In the backward, an engine's error comes out of `backward()` with the same text.
pub fn render(gaussians: &Gaussians<'_>, camera: &Camera, settings: &Settings) -> Result<Rendered, Error> {
    let p = check_scene(gaussians)?;
    let device = gaussians.means3d.device();
    same_device("camera", camera.device(), device)?;
    let engine = engines::choose(&settings.engine, device)?;
    let capabilities = engine.capabilities();
    check_outputs(settings, &capabilities)?;
    let (color, sh_coeffs) = match gaussians.color {
        Color::Sh(sh) => (sh, Some(check_degree(sh, settings.sh_degree, &capabilities)?)),
        Color::Rgb(rgb) => (rgb, None),
    };
    let (shape, rotations) = match gaussians.shape {
        Shape::ScaleRotation { scales, rotations } => (scales, Some(rotations)),
        Shape::Covariance(values) => (values, None),
    };
    let background = match &settings.background {
        Background::Rgb(rgb) => upload(rgb, device)?,
        Background::Tensor(t) => {
            check("background", t, device, &[&[3]], || "a colour needs [3]".into())?;
            t.f_detach()?.f_contiguous()?
        }
    };
    let view = camera.core();
    let side = |n: u32| {
        i32::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| {
            Error::Settings(format!(
                "the image is {}x{}, but a side is 1 to 2^31 - 1",
                view.width, view.height
            ))
        })
    };
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    let frame = Frame {
        device,
        strided: capabilities.features.contains(Features::STRIDED_INPUTS),
        engine,
        width: side(view.width)?,
        height: side(view.height)?,
        tan_fovx: view.tan_fovx,
        tan_fovy: view.tan_fovy,
        flags: flag(settings.antialiasing, abi::ANTIALIASING) | flag(settings.debug, abi::DEBUG),
        scale_modifier: settings.scale_modifier,
        // Without SH the degree says nothing, and 0 needs no coefficients.
        sh_degree: if sh_coeffs.is_some() { settings.sh_degree as i32 } else { 0 },
        count: p,
        sh_coeffs,
        depth: settings.depth,
        alpha: settings.alpha,
    };
    let inputs = Inputs {
        means3d: gaussians.means3d,
        means2d: gaussians.means2d,
        opacities: gaussians.opacities,
        color,
        shape,
        rotations,
    };
    let mut outputs = ffi::forward(frame, inputs, &camera.tensor, &background)?.into_iter();
    let mut next = || outputs.next().ok_or_else(|| Error::Torch("the autograd node lost an output".into()));
    Ok(Rendered {
        color: next()?,
        radii: next()?,
        inv_depth: next()?,
        depth: settings.depth.then(&mut next).transpose()?,
        alpha: settings.alpha.then(&mut next).transpose()?,
    })
}

/// Which of the centres `means3d` `[P,3]` lie in front of the camera (view-space depth over 0.2): `[P]` `Bool`.
/// The engine is the one that [`EngineChoice::Auto`](crate::EngineChoice::Auto) chooses.
///
/// # Errors
/// [`Error`], as [`render`].
pub fn mark_visible(means3d: &Tensor, camera: &Camera) -> Result<Tensor, Error> {
    check_means(means3d)?;
    same_device("camera", camera.device(), means3d.device())?;
    let engine = engines::choose(&crate::EngineChoice::Auto, means3d.device())?;
    ffi::mark_visible(&engine, means3d, &camera.tensor)
}

/// Kinds, devices and shapes of the scene; returns `P`.
fn check_scene(g: &Gaussians<'_>) -> Result<i64, Error> {
    let p = check_means(g.means3d)?;
    let device = g.means3d.device();
    let rows = |shape: &str| format!("P = {p} (from `means3d` [{p}, 3]) needs {shape}");
    let matrix =
        |input, t: &Tensor, n: i64| check(input, t, device, &[&[p, n]], || rows(&format!("[{p}, {n}]")));
    if let Some(t) = g.means2d {
        matrix("means2d", t, 3)?;
    }
    check("opacities", g.opacities, device, &[&[p], &[p, 1]], || rows(&format!("[{p}] or [{p}, 1]")))?;
    match g.color {
        Color::Rgb(t) => matrix("colors", t, 3)?,
        Color::Sh(t) => {
            check_kind("sh", t)?;
            let m = t.size().get(1).copied().unwrap_or(-1);
            check("sh", t, device, &[&[p, m, 3]], || rows(&format!("[{p}, M, 3]")))?;
        }
    }
    match g.shape {
        Shape::ScaleRotation { scales, rotations } => {
            matrix("scales", scales, 3)?;
            matrix("rotations", rotations, 4)?;
        }
        Shape::Covariance(t) => matrix("cov3d", t, 6)?,
    }
    Ok(p)
}

fn check_means(means3d: &Tensor) -> Result<i64, Error> {
    check_kind("means3d", means3d)?;
    let found = means3d.size();
    match found[..] {
        [p, 3] => Ok(p),
        _ => Err(Error::Shape { input: "means3d", found, needed: "centres need [P, 3]".into() }),
    }
}

fn check(
    input: &'static str,
    t: &Tensor,
    device: Device,
    shapes: &[&[i64]],
    needed: impl FnOnce() -> String,
) -> Result<(), Error> {
    check_kind(input, t)?;
    same_device(input, t.device(), device)?;
    let found = t.size();
    if shapes.iter().any(|s| *s == found) {
        return Ok(());
    }
    Err(Error::Shape { input, found, needed: needed() })
}

/// A dense Float32 tensor, on whatever device.
fn check_kind(input: &'static str, t: &Tensor) -> Result<(), Error> {
    if !t.defined() {
        return Err(Error::Settings(format!("`{input}` is an undefined tensor")));
    }
    if t.is_sparse() || t.is_mkldnn() {
        return Err(Error::Settings(format!(
            "`{input}` is not a dense tensor; hint: .to_dense(None, false)"
        )));
    }
    match t.f_kind()? {
        Kind::Float => Ok(()),
        found => Err(Error::Kind { input, found }),
    }
}

fn same_device(input: &'static str, found: Device, expected: Device) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Device { input, found, expected }) }
}

/// `M`, if it suffices for the degree.
fn check_degree(sh: &Tensor, degree: u32, engine: &Capabilities) -> Result<i64, Error> {
    if degree > engine.max_sh_degree {
        return Err(Error::Settings(format!(
            "`sh_degree` is {degree}, but engine `{}` evaluates 0 to {}",
            engine.name, engine.max_sh_degree
        )));
    }
    let (found, needed) = (sh.size()[1], i64::from(degree + 1).pow(2));
    if found < needed {
        return Err(Error::Shape {
            input: "sh",
            found: sh.size(),
            needed: format!(
                "`sh_degree` {degree} needs {needed} coefficients, [P, {needed}, 3]; hint: lower `sh_degree`"
            ),
        });
    }
    Ok(found)
}

fn check_outputs(settings: &Settings, engine: &Capabilities) -> Result<(), Error> {
    let asked = [
        ("color", true, Outputs::COLOR),
        ("radii", true, Outputs::RADII),
        ("inv_depth", true, Outputs::INV_DEPTH),
        ("depth", settings.depth, Outputs::DEPTH),
        ("alpha", settings.alpha, Outputs::ALPHA),
    ];
    for (name, wanted, bit) in asked {
        if wanted && !engine.outputs.contains(bit) {
            let able: Vec<_> =
                asked.iter().filter(|(_, _, b)| engine.outputs.contains(*b)).map(|(n, _, _)| *n).collect();
            return Err(Error::Settings(format!(
                "`{name}` was asked for, but engine `{}` produces {}",
                engine.name,
                able.join(", ")
            )));
        }
    }
    Ok(())
}
