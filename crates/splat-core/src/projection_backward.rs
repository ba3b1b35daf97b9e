//! From the gradient of one record to the gradients of the Gaussian's parameters: the transposes of `projection`,
//! `covariance` and `sh`, in f64.
//!
//! The gradient of the camera's pose is gathered on the way (`pose`); the scale modifier has none. Where the original's
//! formula is not the derivative, the mode and [`crate::Derivative`] say which is used.

use crate::{
    Derivative, Mode, Model, Real, RecordGradient, Scene, Settings, Shape, Tuning, activation,
    affine::{Affine, View},
    constants::{AA_FLOOR, DET_EPSILON, DILATION},
    covariance::covariance_backward,
    fused::{affine_row, determinant, dot3, symmetric_times},
    pose::{Pose, PoseGrad},
    projection::{antialiasing_factor, row},
    sh::{self, Source, unit_backward},
};

/// Gradients of one Gaussian.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GaussianGrad {
    pub(crate) mean3d: [f64; 3],
    /// NDC units.
    pub(crate) mean2d: [f64; 2],
    pub(crate) mean2d_abs: [f64; 2],
    pub(crate) opacity: f64,
    pub(crate) color: [f64; 3],
    pub(crate) scale: [f64; 3],
    pub(crate) rotation: [f64; 4],
    pub(crate) cov3d: [f64; 6],
    /// Column-major.
    pub(crate) view: [f64; 16],
}

/// Gradients of visible Gaussian `i` from the gradient of its record; `grad_sh` are its rows of coefficients, the
/// constant term and the others, or empty.
pub(crate) fn gaussian_backward<T: Real>(
    scene: &Scene<T>,
    camera: &View<f64>,
    pose: &Pose,
    settings: &Settings<T>,
    tuning: &Tuning<T>,
    i: usize,
    record: &RecordGradient,
    grad_sh: (&mut [T], &mut [T]),
) -> GaussianGrad {
    let mut out = GaussianGrad::default();
    let mut grad_pose = PoseGrad::default();
    let mean: [f64; 3] = row(scene.means3d, i);
    let sigma: [f64; 6] = activation::covariance3d(scene, settings, i);
    let affine = Affine::new(camera, mean);
    let [a_raw, b, c_raw] = affine.project(&sigma);
    let (a, c) = (a_raw + DILATION, c_raw + DILATION);
    let det = determinant(a, b, c);
    let ndc = [0.5 * camera.size[0], 0.5 * camera.size[1]];
    out.mean2d = [record.x * ndc[0], record.y * ndc[1]];
    out.mean2d_abs = [record.abs_x * ndc[0], record.abs_y * ndc[1]];

    let exact = settings.mode == Mode::Exact || tuning.derivative == Derivative::Exact;
    let epsilon = if exact { 0.0 } else { DET_EPSILON };
    let mut grad_cov = inverse_backward([a, b, c], det, epsilon, record.inv_cov);

    // The record's opacity is that of the Gaussian times the antialiasing factor.
    let opacity: f64 = activation::opacity(scene, settings.values, i);
    let mut grad_opacity = record.opacity;
    if settings.antialiasing {
        let ratio = determinant(a_raw, b, c_raw) / det;
        let factor = antialiasing_factor(ratio);
        if ratio > AA_FLOOR {
            // dfactor/dratio = 1 / (2 factor).
            let grad_ratio = record.opacity * opacity / (2.0 * factor);
            let derivative = ratio_derivative(if exact { [a_raw, b, c_raw] } else { [a, b, c] });
            for (grad, d) in grad_cov.iter_mut().zip(derivative) {
                *grad += grad_ratio * d;
            }
        }
        grad_opacity *= factor;
    }
    out.opacity = activation::opacity_backward(opacity, settings.values, grad_opacity);

    let (mut grad_view, grad_rows);
    (out.cov3d, grad_rows) = rows_backward(&affine, &sigma, grad_cov);
    grad_view = match camera.model {
        Model::Pinhole => jacobian_backward(camera, &affine, grad_rows, exact),
        Model::Orthographic => [0.0; 3],
    };
    grad_pose.covariance(&affine, grad_rows);
    grad_view[2] += record.depth;
    for k in 0..3 {
        out.mean3d[k] += (0..3).map(|axis| camera.view[4 * k + axis] * grad_view[axis]).sum::<f64>();
    }

    // ndc = p / (w + epsilon), or p if w is the constant 1.
    let inv_w = camera.inverse_w(mean);
    let mut grad_clip = [0.0; 3];
    for axis in 0..2 {
        let to_w = match camera.model {
            Model::Pinhole => affine_row(&camera.proj, axis, mean) * inv_w,
            Model::Orthographic => 0.0,
        };
        grad_clip[axis] = out.mean2d[axis] * inv_w;
        grad_clip[2] -= grad_clip[axis] * to_w;
        for k in 0..3 {
            let derivative = (camera.proj[4 * k + axis] - camera.proj[4 * k + 3] * to_w) * inv_w;
            out.mean3d[k] += out.mean2d[axis] * derivative;
        }
    }
    grad_pose.position(pose, mean, grad_clip, grad_view);

    out.color = record.color;
    if let Source::Sh(own) = Source::of(&scene.color, i) {
        let (unit, length) = camera.direction(mean);
        let before_clamp = sh::color(settings.sh_degree, own, unit.map(T::from_f64_lossy));
        let grad = std::array::from_fn(|k| if before_clamp[k] < T::zero() { 0.0 } else { out.color[k] });
        let grad_unit = sh::color_backward(settings.sh_degree, own, unit, grad, grad_sh);
        match camera.model {
            Model::Pinhole => {
                let through = unit_backward(unit, length, grad_unit);
                for (mean, through) in out.mean3d.iter_mut().zip(through) {
                    *mean += through;
                }
                grad_pose.center(pose, camera.campos, through);
            }
            Model::Orthographic => grad_pose.axis(grad_unit),
        }
    }
    out.view = grad_pose.0;
    if let Shape::ScaleRotation { scales, rotations } = scene.shape {
        let modifier = settings.scale_modifier.to_f64_exact();
        let scale = activation::scale(row(scales, i), settings.values);
        let rotation = activation::rotation(row(rotations, i), settings.values);
        let (mut grad_scale, grad_rotation) = covariance_backward(scale, modifier, rotation.0, out.cov3d);
        if exact {
            grad_scale = grad_scale.map(|x| modifier * x);
        }
        (out.scale, out.rotation) =
            activation::shape_backward(scale, rotation, settings.values, grad_scale, grad_rotation);
    }
    out
}

/// Gradient for a symmetric 2x2 matrix (its off-diagonal entry counted once) from that for its inverse
/// `[c, -b, a] / det`.
fn inverse_backward([a, b, c]: [f64; 3], det: f64, epsilon: f64, [g0, g1, g2]: [f64; 3]) -> [f64; 3] {
    let scale = 1.0 / (det * det + epsilon);
    [
        scale * (-c * c * g0 + b * c * g1 - b * b * g2),
        scale * (2.0 * b * c * g0 - (det + 2.0 * b * b) * g1 + 2.0 * a * b * g2),
        scale * (-b * b * g0 + a * b * g1 - a * a * g2),
    ]
}

/// Derivative of `det(V) / det(V + 0.3 I)` with respect to the entries xx, xy, yy of V.
fn ratio_derivative([a, b, c]: [f64; 3]) -> [f64; 3] {
    let (wide_a, wide_c) = (a + DILATION, c + DILATION);
    let wide = determinant(wide_a, b, wide_c);
    let ratio = determinant(a, b, c) / wide;
    [(c - ratio * wide_c) / wide, 2.0 * b * (ratio - 1.0) / wide, (a - ratio * wide_a) / wide]
}

/// Gradients for the covariance in space (off-diagonals count both halves) and for the rows of `J W`, from the
/// gradient for the covariance on the image.
fn rows_backward(
    affine: &Affine<f64>,
    sigma: &[f64; 6],
    [ga, gb, gc]: [f64; 3],
) -> ([f64; 6], [[f64; 3]; 2]) {
    let [u, v] = affine.rows;
    let off = |i: usize, j: usize| {
        2.0 * ga * u[i] * u[j] + gb * (u[i] * v[j] + u[j] * v[i]) + 2.0 * gc * v[i] * v[j]
    };
    let on = |i: usize| ga * u[i] * u[i] + gb * u[i] * v[i] + gc * v[i] * v[i];
    let grad_sigma = [on(0), off(0, 1), off(0, 2), on(1), off(1, 2), on(2)];

    let (su, sv) = (symmetric_times(sigma, u), symmetric_times(sigma, v));
    let grad_rows = [
        std::array::from_fn(|k| 2.0 * ga * su[k] + gb * sv[k]),
        std::array::from_fn(|k| gb * su[k] + 2.0 * gc * sv[k]),
    ];
    (grad_sigma, grad_rows)
}

/// Gradient for the camera-space position through a pinhole camera's Jacobian.
///
/// Where `x/z` or `y/z` was clamped, that coordinate has no gradient, but the clamped `x` moves with z: the
/// derivative of `x / z^2` is then `-x / z^3` instead of `-2 x / z^3`. The original keeps the factor 2.
fn jacobian_backward(
    camera: &View<f64>,
    affine: &Affine<f64>,
    grad_rows: [[f64; 3]; 2],
    exact: bool,
) -> [f64; 3] {
    let towards = camera.axis(2);
    let z = affine.t[2];
    let mut grad_t = [0.0; 3];
    for axis in 0..2 {
        let focal = camera.focal[axis];
        let on_axis = dot3(grad_rows[axis], camera.axis(axis));
        let on_depth = dot3(grad_rows[axis], towards);
        if !affine.clamped[axis] {
            grad_t[axis] = -focal / (z * z) * on_depth;
        }
        let factor = if exact && affine.clamped[axis] { 1.0 } else { 2.0 };
        grad_t[2] += -focal / (z * z) * on_axis + factor * focal * affine.t[axis] / (z * z * z) * on_depth;
    }
    grad_t
}
