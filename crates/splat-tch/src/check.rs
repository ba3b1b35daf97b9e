//! Checks of what callers hand in, before an engine sees it: kinds, devices, shapes, and whether the engine is able to do it.

use splat_core::{Mode, Values};
use splat_engine::{Abilities, Capabilities, abi};
use tch::{Device, Kind, Tensor};

use crate::{Color, Error, Gaussians, Settings, Shape};

/// Kinds, devices and shapes of the Gaussians; returns `P`. `cameras` is the number of cameras if outputs have that
/// dimension.
pub(crate) fn scene(g: &Gaussians<'_>, cameras: Option<i64>) -> Result<i64, Error> {
    let p = means(g.means3d)?;
    let device = g.means3d.device();
    let rows = |shape: &[i64]| format!("P = {p} (from `means3d` [{p}, 3]) needs {shape:?}");
    let exactly = |input, t: &Tensor, shape: &[i64]| tensor(input, t, device, &[shape], || rows(shape));
    let screen = |n: i64| cameras.into_iter().chain([p, n]).collect::<Vec<_>>();
    if let Some(t) = g.means2d {
        exactly("means2d", t, &screen(3))?;
    }
    if let Some(t) = g.means2d_abs {
        exactly("means2d_abs", t, &screen(2))?;
    }
    tensor("opacities", g.opacities, device, &[&[p], &[p, 1]], || {
        format!("P = {p} (from `means3d` [{p}, 3]) needs [{p}] or [{p}, 1]")
    })?;
    let coefficients = |input, t: &Tensor, what: &str| {
        kind(input, t)?;
        let m = t.size().get(1).copied().unwrap_or(-1);
        tensor(input, t, device, &[&[p, m, 3]], || {
            format!("P = {p} (from `means3d` [{p}, 3]) needs [{p}, {what}, 3]")
        })
    };
    match g.color {
        Color::Rgb(t) => exactly("colors", t, &[p, 3])?,
        Color::Sh(t) => coefficients("sh", t, "M")?,
        Color::SplitSh { first, rest } => {
            exactly("sh", first, &[p, 1, 3])?;
            coefficients("sh_rest", rest, "M-1")?;
        }
        Color::CompactSh { first, rest, coeffs } => {
            exactly("sh", first, &[p, 1, 3])?;
            compact_rows("sh_rest", rest, p, 3 * (coeffs - 1).max(0), Kind::Half)?;
            same_device("sh_rest", rest.device(), "means3d", device)?;
        }
    }
    match g.shape {
        Shape::ScaleRotation { scales, rotations } => {
            exactly("scales", scales, &[p, 3])?;
            exactly("rotations", rotations, &[p, 4])?;
        }
        Shape::Covariance(t) => exactly("cov3d", t, &[p, 6])?,
    }
    if let Some(t) = g.features {
        kind("features", t)?;
        let f = t.size().get(1).copied().unwrap_or(-1);
        tensor("features", t, device, &[&[p, f]], || {
            format!("P = {p} (from `means3d` [{p}, 3]) needs [{p}, F]")
        })?;
        if f > abi::MAX_FEATURES {
            let needed = format!("a Gaussian has at most {} features", abi::MAX_FEATURES);
            return Err(Error::Shape { input: "features", found: t.size(), needed });
        }
    }
    Ok(p)
}

/// Rows of `width` numbers of a kind, filled up to a multiple of 16, contiguous.
pub(crate) fn compact_rows(
    input: &'static str,
    t: &Tensor,
    rows: i64,
    width: i64,
    kind: Kind,
) -> Result<(), Error> {
    let shape = [rows, splat_core::compact_columns(width as usize) as i64];
    if t.size() != shape {
        let needed = format!("{rows} rows of {width} numbers, filled up to a multiple of 16, need {shape:?}");
        return Err(Error::Shape { input, found: t.size(), needed });
    }
    if t.f_kind()? != kind || !t.is_contiguous() {
        return Err(Error::Settings(format!(
            "`{input}` is {:?}{}, but must be {kind:?} and contiguous",
            t.f_kind()?,
            if t.is_contiguous() { "" } else { " and not contiguous" }
        )));
    }
    Ok(())
}

/// `[P,3]`; returns `P`.
pub(crate) fn means(means3d: &Tensor) -> Result<i64, Error> {
    kind("means3d", means3d)?;
    let found = means3d.size();
    match found[..] {
        [p, 3] => Ok(p),
        _ => Err(Error::Shape { input: "means3d", found, needed: "centres need [P, 3]".into() }),
    }
}

/// `Float32`, dense, on `device`, of one of `shapes`.
pub(crate) fn tensor(
    input: &'static str,
    t: &Tensor,
    device: Device,
    shapes: &[&[i64]],
    needed: impl FnOnce() -> String,
) -> Result<(), Error> {
    kind(input, t)?;
    same_device(input, t.device(), "means3d", device)?;
    let found = t.size();
    if shapes.iter().any(|s| *s == found) {
        return Ok(());
    }
    Err(Error::Shape { input, found, needed: needed() })
}

/// A dense Float32 tensor, on whatever device.
pub(crate) fn kind(input: &'static str, t: &Tensor) -> Result<(), Error> {
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

/// Whether `input` is on the device of `other`.
pub(crate) fn same_device(
    input: &'static str,
    found: Device,
    other: &'static str,
    expected: Device,
) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Device { input, found, other, expected }) }
}

/// `M`, the number of coefficients, if it is enough for the degree; `None` for colours.
pub(crate) fn degree(color: &Color<'_>, degree: u32, engine: &Capabilities) -> Result<Option<i64>, Error> {
    let (input, shape, found) = match color {
        Color::Rgb(_) => return Ok(None),
        Color::Sh(sh) => ("sh", sh.size(), sh.size()[1]),
        Color::SplitSh { rest, .. } => ("sh_rest", rest.size(), rest.size()[1] + 1),
        Color::CompactSh { rest, coeffs, .. } => ("sh_rest", rest.size(), *coeffs),
    };
    if degree > engine.max_sh_degree {
        return Err(Error::Settings(format!(
            "`sh_degree` is {degree}, but engine `{}` evaluates 0 to {}",
            engine.name, engine.max_sh_degree
        )));
    }
    let needed = i64::from(degree + 1).pow(2);
    if found < needed {
        let own = if input == "sh" { needed } else { needed - 1 };
        return Err(Error::Shape {
            input,
            found: shape,
            needed: format!(
                "`sh_degree` {degree} needs {needed} coefficients, [P, {own}, 3]; hint: lower `sh_degree`"
            ),
        });
    }
    Ok(Some(found))
}

/// Their number, and that all have one size and projection.
pub(crate) fn cameras(cameras: &[&crate::Camera]) -> Result<(), Error> {
    let Some(first) = cameras.first().filter(|_| cameras.len() <= abi::MAX_CAMERAS as usize) else {
        return Err(Error::Settings(format!(
            "{} cameras are given, but a render takes 1 to {}",
            cameras.len(),
            abi::MAX_CAMERAS
        )));
    };
    for (i, camera) in cameras.iter().enumerate() {
        same_device("camera", camera.device(), "camera 0", first.device())?;
        let (a, b) = (camera.core(), first.core());
        if (a.width, a.height, a.model) != (b.width, b.height, b.model) {
            return Err(Error::Settings(format!(
                "camera {i} is {}x{} {:?}, but camera 0 is {}x{} {:?}: all cameras of a render must have the same size and projection",
                a.width, a.height, a.model, b.width, b.height, b.model
            )));
        }
    }
    Ok(())
}

/// What a render may ask of an engine beyond what the original rasterizer can do.
pub(crate) struct Asked {
    pub(crate) cameras: usize,
    pub(crate) orthographic: bool,
    pub(crate) split_sh: bool,
    /// SH in 16 bits, or a pass that ends in a step.
    pub(crate) step: bool,
    /// Names of inputs that are to receive a gradient and do not receive one from the original.
    pub(crate) extra_gradients: Vec<&'static str>,
}

/// Whether the engine is able to do everything that is asked for.
pub(crate) fn abilities(settings: &Settings, asked: &Asked, engine: &Capabilities) -> Result<(), Error> {
    let refuse = |what: &str, hint: &str| {
        Err(Error::Settings(format!("engine `{}` does not support {what}; hint: {hint}", engine.name)))
    };
    let can = |ability: Abilities| engine.abilities.contains(ability);
    if settings.mode == Mode::Exact && !can(Abilities::EXACT) {
        return refuse("mode `exact`", "Settings { mode: Mode::Compat, .. }, which is the original's image");
    }
    if settings.values == Values::Raw && !can(Abilities::RAW) {
        return refuse(
            "raw values",
            "Settings { values: Values::Activated, .. } with scales.exp(), opacities.sigmoid()",
        );
    }
    if settings.reproducible && !can(Abilities::REPRODUCE) && !can(Abilities::DETERMINISTIC) {
        return refuse("reproducible gradients", "Settings { reproducible: false, .. }");
    }
    if asked.cameras > 1 && !can(Abilities::BATCH) {
        return refuse(&format!("{} cameras per call", asked.cameras), "render them one by one");
    }
    if asked.orthographic && !can(Abilities::ORTHOGRAPHIC) {
        return refuse("orthographic cameras", "engine `cuda` or `cpu`");
    }
    if asked.split_sh && !can(Abilities::SPLIT_SH) {
        return refuse("`Color::SplitSh`", "Color::Sh(&Tensor::cat(&[first, rest], 1))");
    }
    if asked.step && !can(Abilities::STEP) {
        return refuse("a backward pass that ends in a step, or SH in 16 bits", "engine `cuda` or `cpu`");
    }
    if let Some(name) = asked.extra_gradients.first().filter(|_| !can(Abilities::EXTRA_GRADIENTS)) {
        return refuse(&format!("a gradient for `{name}`"), ".detach() it, or use engine `cuda` or `cpu`");
    }
    if let Some(workspace) = settings.workspace.as_ref().filter(|w| w.backend().name() != engine.name) {
        return Err(Error::Settings(format!(
            "the workspace belongs to engine `{}`, but engine `{}` renders",
            workspace.backend().name(),
            engine.name
        )));
    }
    Ok(())
}
