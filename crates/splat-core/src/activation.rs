//! A Gaussian's opacity, scales and rotation from the stored values, and the gradients back.
//!
//! As given, or with [`Values::Raw`]: `opacity = 1 / (1 + exp(-raw))`, `scale = exp(raw)`,
//! `rotation = q / |q|` (Kerbl et al. 2023, section 5.1). A quaternion of length 0 stays the identity and gets no
//! gradient. The scale modifier is not applied here.

use crate::{
    Real, Scene, Settings, Shape, Values, covariance::covariance, projection::row, sh::unit_backward,
};

/// Opacity of Gaussian `i`, before antialiasing.
pub(crate) fn opacity<T: Real, C: Real>(scene: &Scene<T>, values: Values, i: usize) -> C {
    let x = C::from_f64_lossy(scene.opacities[i].to_f64_exact());
    if values == Values::Raw { C::one() / (C::one() + (-x).exp()) } else { x }
}

/// Gradient for the stored opacity from that for the opacity itself.
pub(crate) fn opacity_backward(opacity: f64, values: Values, grad: f64) -> f64 {
    match values {
        // dopacity/draw = opacity (1 - opacity)
        Values::Raw => grad * opacity * (1.0 - opacity),
        Values::Activated => grad,
    }
}

/// Standard deviations from the stored row.
pub(crate) fn scale<C: Real>(stored: [C; 3], values: Values) -> [C; 3] {
    if values == Values::Raw { stored.map(C::exp) } else { stored }
}

/// Quaternion from the stored row, and the length that it was divided by.
pub(crate) fn rotation<C: Real>(stored: [C; 4], values: Values) -> ([C; 4], C) {
    if values == Values::Activated {
        return (stored, C::one());
    }
    let length = stored.iter().fold(C::zero(), |sum, &x| sum + x * x).sqrt();
    if length == C::zero() { (stored, length) } else { (stored.map(|x| x / length), length) }
}

/// Covariance in space of Gaussian `i`.
pub(crate) fn covariance3d<T: Real, C: Real>(scene: &Scene<T>, settings: &Settings<T>, i: usize) -> [C; 6] {
    match scene.shape {
        Shape::Covariance(values) => row(values, i),
        Shape::ScaleRotation { scales, rotations } => {
            let modifier = C::from_f64_lossy(settings.scale_modifier.to_f64_exact());
            let rotation = rotation(row(rotations, i), settings.values).0;
            covariance(scale(row(scales, i), settings.values), modifier, rotation)
        }
    }
}

/// Gradients for the stored scales and rotation from those for the values themselves.
pub(crate) fn shape_backward(
    scale: [f64; 3],
    (rotation, length): ([f64; 4], f64),
    values: Values,
    grad_scale: [f64; 3],
    grad_rotation: [f64; 4],
) -> ([f64; 3], [f64; 4]) {
    if values == Values::Activated {
        return (grad_scale, grad_rotation);
    }
    (std::array::from_fn(|k| grad_scale[k] * scale[k]), unit_backward(rotation, length, grad_rotation))
}
