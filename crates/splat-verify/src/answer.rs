//! One engine's whole answer to one call, through the libtorch operation, as host numbers.
//!
//! The same call to two engines, compared: that is a parity test.

use splat_core::{Camera, Color, Gradients, Scene, Settings, Shape, Upstream};
use splat_engine::Channels;
use splat_tch::{Backend, Error};
use tch::{Device, Kind, Tensor};

/// Images, radii and gradients of every input.
#[derive(Debug)]
pub struct Answer {
    /// `[3,H,W]`.
    pub color: Vec<f32>,
    /// `[P]`.
    pub radii: Vec<i32>,
    /// `[1,H,W]`.
    pub inv_depth: Vec<f32>,
    /// By input name, in the order of [`named`].
    pub gradients: Vec<(&'static str, Vec<f32>)>,
    /// `[P]` each: `weight_sum`, `weight_max`, `weight_image` (for a chequered image), if the engine has all of them.
    pub weights: Vec<(&'static str, Vec<f32>)>,
}

/// A scene's gradients by name; empty ones (inputs that the scene does not have) are left out.
#[must_use]
pub fn named(g: Gradients<f32>, scene: &Scene) -> Vec<(&'static str, Vec<f32>)> {
    let rgb = matches!(scene.color, Color::Rgb(_));
    let covariance = matches!(scene.shape, Shape::Covariance(_));
    let all = [
        ("means3d", g.means3d, true),
        ("means2d", g.means2d, true),
        ("opacities", g.opacities, true),
        ("sh", g.sh, !rgb),
        ("colors", g.colors, rgb),
        ("scales", g.scales, !covariance),
        ("rotations", g.rotations, !covariance),
        ("cov3d", g.cov3d, covariance),
    ];
    all.into_iter().filter(|(_, _, has)| *has).map(|(name, values, _)| (name, values)).collect()
}

/// Renders `scene` by `backend` and takes the gradients for `upstream`.
///
/// # Errors
/// As `splat_tch::render`, and the engine's own in the backward pass.
pub fn through_torch(
    scene: &Scene,
    camera: &Camera,
    settings: &Settings,
    upstream: &Upstream<f32>,
    backend: &Backend,
) -> Result<Answer, Error> {
    let (p, device) = (scene.len() as i64, backend.device());
    let leaf = |values: &[f32], shape: &[i64]| -> Result<Tensor, Error> {
        Ok(Tensor::from_slice(values).f_reshape(shape)?.f_to_device(device)?.f_set_requires_grad(true)?)
    };
    let means3d = leaf(scene.means3d, &[p, 3])?;
    let means2d = leaf(&vec![0.0; scene.len() * 3], &[p, 3])?;
    let opacities = leaf(scene.opacities, &[p, 1])?;
    let (color_name, color) = match scene.color {
        Color::SplitSh { .. } => {
            return Err(Error::Settings("these answers are of joined coefficients".into()));
        }
        Color::Sh { values, coeffs } => ("sh", leaf(values, &[p, coeffs as i64, 3])?),
        Color::Rgb(values) => ("colors", leaf(values, &[p, 3])?),
    };
    let shape = match scene.shape {
        Shape::ScaleRotation { scales, rotations } => {
            vec![("scales", leaf(scales, &[p, 3])?), ("rotations", leaf(rotations, &[p, 4])?)]
        }
        Shape::Covariance(values) => vec![("cov3d", leaf(values, &[p, 6])?)],
    };
    let (h, w) = (i64::from(camera.height), i64::from(camera.width));
    let has = |channel| backend.capabilities().channels.contains(channel);
    let weights = has(Channels::WEIGHT_SUM) && has(Channels::WEIGHT_MAX) && has(Channels::WEIGHT_IMAGE);
    let marked = weights.then(|| chequered(h, w).f_to_device(device)).transpose()?;
    let rendered = splat_tch::render(
        &splat_tch::Gaussians::new(
            &means3d,
            &opacities,
            if color_name == "sh" { splat_tch::Color::Sh(&color) } else { splat_tch::Color::Rgb(&color) },
            match &shape[..] {
                [(_, scales), (_, rotations)] => splat_tch::Shape::ScaleRotation { scales, rotations },
                _ => splat_tch::Shape::Covariance(&shape[0].1),
            },
        )
        .means2d(&means2d),
        &splat_tch::Camera::new(camera.clone(), device)?,
        &splat_tch::Settings {
            background: settings.background.into(),
            scale_modifier: settings.scale_modifier,
            sh_degree: settings.sh_degree,
            antialiasing: settings.antialiasing,
            mode: settings.mode,
            weight_sum: weights,
            weight_max: weights,
            weight_image: marked,
            backend: Some(backend.clone()),
            ..splat_tch::Settings::default()
        },
    )?;
    // sum(image * upstream) has exactly `upstream` as its gradient.
    let mut loss = Tensor::zeros([], (Kind::Float, device));
    for (image, grad, channels) in
        [(&rendered.color, upstream.color, 3), (&rendered.inv_depth, upstream.inv_depth, 1)]
    {
        if let Some(grad) = grad {
            let grad = Tensor::from_slice(grad).f_reshape([channels, h, w])?.f_to_device(device)?;
            loss = loss.f_add(&(image * grad).f_sum(Kind::Float)?)?;
        }
    }
    loss.f_backward()?;
    let leaves = [("means3d", means3d), ("means2d", means2d), ("opacities", opacities), (color_name, color)];
    let gradients = leaves
        .into_iter()
        .chain(shape)
        .map(|(name, leaf)| Ok((name, host(&leaf.f_grad()?)?)))
        .collect::<Result<_, Error>>()?;
    let weights = [
        ("weight_sum", &rendered.weight_sum),
        ("weight_max", &rendered.weight_max),
        ("weight_image", &rendered.weight_image),
    ];
    let weights = weights.into_iter().filter_map(|(name, values)| Some((name, values.as_ref()?)));
    let radii = rendered.radii.f_to_device(Device::Cpu)?;
    Ok(Answer {
        color: host(&rendered.color)?,
        radii: Vec::<i32>::try_from(&radii)?,
        inv_depth: host(&rendered.inv_depth)?,
        gradients,
        weights: weights.map(|(name, values)| Ok((name, host(values)?))).collect::<Result<_, Error>>()?,
    })
}

/// 1 in every other square of 8 pixels, else 0: an image that marks some pixels.
fn chequered(h: i64, w: i64) -> Tensor {
    let values: Vec<f32> = (0..h * w).map(|i| ((i / w / 8 + i % w / 8) % 2) as f32).collect();
    Tensor::from_slice(&values).reshape([h, w])
}

/// All numbers of a tensor, row-major.
///
/// # Errors
/// If the device fails.
pub fn host(t: &Tensor) -> Result<Vec<f32>, Error> {
    let flat = t.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?.f_reshape([-1])?;
    Ok(Vec::<f32>::try_from(&flat)?)
}
