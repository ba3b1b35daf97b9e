//! A splat's opacity, scales and rotation from what the caller stores, and the gradients back.
//!
//! As given, or with [`crate::Settings::raw`]: `opacity = 1 / (1 + exp(-raw))`, `scale = exp(raw)`,
//! `rotation = q / |q|` (Kerbl et al. 2023, section 5.1). A quaternion of length 0 stays the identity and gets no
//! gradient. No modifier of scales here.

use crate::{Real, Scene, Settings, Shape, covariance::covariance, projection::row, sh::unit_backward};

/// Opacity of splat `i`, before antialiasing.
pub(crate) fn opacity<T: Real, C: Real>(scene: &Scene<T>, raw: bool, i: usize) -> C {
    let x = C::from_f64_lossy(scene.opacities[i].to_f64_exact());
    if raw { C::one() / (C::one() + (-x).exp()) } else { x }
}

/// Gradient for the opacity as stored, from `sum_u = opacity * dL/dopacity`.
pub(crate) fn opacity_backward(opacity: f64, raw: bool, sum_u: f64) -> f64 {
    if raw {
        // dopacity/draw = opacity (1 - opacity)
        sum_u * (1.0 - opacity)
    } else if opacity == 0.0 {
        0.0
    } else {
        sum_u / opacity
    }
}

/// Standard deviations from the stored row.
pub(crate) fn scale<C: Real>(stored: [C; 3], raw: bool) -> [C; 3] {
    if raw { stored.map(C::exp) } else { stored }
}

/// Quaternion from the stored row, and the length that it was divided by.
pub(crate) fn rotation<C: Real>(stored: [C; 4], raw: bool) -> ([C; 4], C) {
    if !raw {
        return (stored, C::one());
    }
    let length = stored.iter().fold(C::zero(), |sum, &x| sum + x * x).sqrt();
    if length == C::zero() { (stored, length) } else { (stored.map(|x| x / length), length) }
}

/// Covariance in space of splat `i`.
pub(crate) fn covariance3d<T: Real, C: Real>(scene: &Scene<T>, settings: &Settings<T>, i: usize) -> [C; 6] {
    match scene.shape {
        Shape::Covariance(values) => row(values, i),
        Shape::ScaleRotation { scales, rotations } => {
            let modifier = C::from_f64_lossy(settings.scale_modifier.to_f64_exact());
            let rotation = rotation(row(rotations, i), settings.raw).0;
            covariance(scale(row(scales, i), settings.raw), modifier, rotation)
        }
    }
}

/// Gradients for the stored scales and rotation from those for the activated ones.
pub(crate) fn shape_backward(
    scale: [f64; 3],
    (rotation, length): ([f64; 4], f64),
    raw: bool,
    grad_scale: [f64; 3],
    grad_rotation: [f64; 4],
) -> ([f64; 3], [f64; 4]) {
    if !raw {
        return (grad_scale, grad_rotation);
    }
    (std::array::from_fn(|k| grad_scale[k] * scale[k]), unit_backward(rotation, length, grad_rotation))
}
