//! Colour of a Gaussian from spherical harmonics, and its gradient.
//!
//! Real SH of degree 0 to 3 with the sign convention of PlenOctrees (Yu et al. 2021): degree 1 is
//! (-y, z, -x). The direction is from the camera centre to the Gaussian, normalised; for an orthographic camera it is
//! the camera's axis, the same for every Gaussian. The colour is the sum plus 0.5, with each channel clamped to be at
//! least 0; a channel that was clamped passes no gradient.

use crate::{Color, Real};

const C0: f64 = 0.282_094_791_773_878_14; // 1/2 sqrt(1/pi)
const C1: f64 = 0.488_602_511_902_919_9; // sqrt(3/(4 pi))
const C2: [f64; 3] = [
    1.092_548_430_592_079_2,  // 1/2 sqrt(15/pi)
    0.315_391_565_252_520_05, // 1/4 sqrt(5/pi)
    0.546_274_215_296_039_6,  // 1/4 sqrt(15/pi)
];
const C3: [f64; 5] = [
    0.590_043_589_926_643_5, // 1/4 sqrt(35/(2 pi))
    2.890_611_442_640_554,   // 1/2 sqrt(105/pi)
    0.457_045_799_464_465_8, // 1/4 sqrt(21/(2 pi))
    0.373_176_332_590_115_4, // 1/4 sqrt(7/pi)
    1.445_305_721_320_277,   // 1/4 sqrt(105/pi)
];

/// Number of coefficients up to a degree.
pub(crate) const fn coefficients(degree: u32) -> usize {
    (degree as usize + 1) * (degree as usize + 1)
}

/// The real spherical harmonics at a unit direction, in the order and with the signs of the coefficients of
/// [`Color::Sh`](crate::Color::Sh); entries above the degree (0 to 3) are left 0.
pub fn basis<T: Real>(degree: u32, [x, y, z]: [T; 3]) -> [T; 16] {
    let c = T::from_f64_lossy;
    let mut b = [T::zero(); 16];
    b[0] = c(C0);
    if degree >= 1 {
        b[1] = -c(C1) * y;
        b[2] = c(C1) * z;
        b[3] = -c(C1) * x;
    }
    if degree >= 2 {
        let (xx, yy, zz) = (x * x, y * y, z * z);
        b[4] = c(C2[0]) * (x * y);
        b[5] = -c(C2[0]) * (y * z);
        b[6] = c(C2[1]) * (c(2.0) * zz - xx - yy);
        b[7] = -c(C2[0]) * (x * z);
        b[8] = c(C2[2]) * (xx - yy);
        if degree >= 3 {
            b[9] = -c(C3[0]) * y * (c(3.0) * xx - yy);
            b[10] = c(C3[1]) * (x * y) * z;
            b[11] = -c(C3[2]) * y * (c(4.0) * zz - xx - yy);
            b[12] = c(C3[3]) * z * (c(2.0) * zz - c(3.0) * xx - c(3.0) * yy);
            b[13] = -c(C3[2]) * x * (c(4.0) * zz - xx - yy);
            b[14] = c(C3[4]) * z * (xx - yy);
            b[15] = -c(C3[0]) * x * (xx - c(3.0) * yy);
        }
    }
    b
}

/// Derivatives of the basis polynomials with respect to x, y and z (as free variables, not on the sphere).
fn basis_derivatives<T: Real>(degree: u32, [x, y, z]: [T; 3]) -> [[T; 3]; 16] {
    let c = T::from_f64_lossy;
    let o = T::zero();
    let mut d = [[o; 3]; 16];
    if degree >= 1 {
        d[1] = [o, -c(C1), o];
        d[2] = [o, o, c(C1)];
        d[3] = [-c(C1), o, o];
    }
    if degree >= 2 {
        d[4] = [c(C2[0]) * y, c(C2[0]) * x, o];
        d[5] = [o, -c(C2[0]) * z, -c(C2[0]) * y];
        d[6] = [-c(2.0 * C2[1]) * x, -c(2.0 * C2[1]) * y, c(4.0 * C2[1]) * z];
        d[7] = [-c(C2[0]) * z, o, -c(C2[0]) * x];
        d[8] = [c(2.0 * C2[2]) * x, -c(2.0 * C2[2]) * y, o];
    }
    if degree >= 3 {
        let (xx, yy, zz) = (x * x, y * y, z * z);
        let (xy, yz, xz) = (x * y, y * z, x * z);
        d[9] = [-c(6.0 * C3[0]) * xy, -c(3.0 * C3[0]) * (xx - yy), o];
        d[10] = [c(C3[1]) * yz, c(C3[1]) * xz, c(C3[1]) * xy];
        d[11] = [c(2.0 * C3[2]) * xy, -c(C3[2]) * (c(4.0) * zz - xx - c(3.0) * yy), -c(8.0 * C3[2]) * yz];
        d[12] = [-c(6.0 * C3[3]) * xz, -c(6.0 * C3[3]) * yz, c(3.0 * C3[3]) * (c(2.0) * zz - xx - yy)];
        d[13] = [-c(C3[2]) * (c(4.0) * zz - c(3.0) * xx - yy), c(2.0 * C3[2]) * xy, -c(8.0 * C3[2]) * xz];
        d[14] = [c(2.0 * C3[4]) * xz, -c(2.0 * C3[4]) * yz, c(C3[4]) * (xx - yy)];
        d[15] = [-c(3.0 * C3[0]) * (xx - yy), c(6.0 * C3[0]) * xy, o];
    }
    d
}

/// Unit direction from `campos` to `mean`, and the distance. A Gaussian exactly at the camera centre has
/// no direction: it gets the zero vector and distance 0, and its centre gets no gradient through the colour.
pub(crate) fn direction<T: Real>(mean: [T; 3], campos: [T; 3]) -> ([T; 3], T) {
    let v: [T; 3] = std::array::from_fn(|i| mean[i] - campos[i]);
    let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
    if length == T::zero() || !length.is_finite() {
        return ([T::zero(); 3], T::zero());
    }
    (v.map(|x| x / length), length)
}

/// One Gaussian's `[M,3]` coefficients: the constant term and the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a, T> {
    pub(crate) first: &'a [T],
    pub(crate) rest: &'a [T],
}

/// What the colour of Gaussian `i` is made from.
pub(crate) enum Source<'a, T> {
    Rgb(&'a [T]),
    Sh(Row<'a, T>),
}

impl<'a, T> Source<'a, T> {
    pub(crate) fn of(color: &Color<'a, T>, i: usize) -> Self {
        match *color {
            Color::Rgb(values) => Self::Rgb(&values[3 * i..3 * (i + 1)]),
            Color::Sh { values, coeffs } => {
                let (first, rest) = values[3 * coeffs * i..3 * coeffs * (i + 1)].split_at(3);
                Self::Sh(Row { first, rest })
            }
            Color::SplitSh { first, rest, coeffs } => {
                let each = 3 * (coeffs - 1);
                let (first, rest) = (&first[3 * i..3 * (i + 1)], &rest[each * i..each * (i + 1)]);
                Self::Sh(Row { first, rest })
            }
        }
    }
}

/// Colour before the clamp at 0.
pub(crate) fn color<T: Real>(degree: u32, sh: Row<'_, T>, unit: [T; 3]) -> [T; 3] {
    let b = basis(degree, unit);
    let mut rgb = [T::from_f64_lossy(0.5); 3];
    for (value, coefficient) in rgb.iter_mut().zip(sh.first) {
        *value += b[0] * *coefficient;
    }
    for (weight, row) in b[1..].iter().zip(sh.rest.chunks_exact(3)).take(coefficients(degree) - 1) {
        for (value, coefficient) in rgb.iter_mut().zip(row) {
            *value += *weight * *coefficient;
        }
    }
    rgb
}

/// Writes the gradient for one Gaussian's coefficients (exact zeros above the degree) and returns that for the
/// direction as three free numbers. `grad` is for the colour, zero where it was clamped.
pub(crate) fn color_backward<T: Real>(
    degree: u32,
    sh: Row<'_, T>,
    unit: [f64; 3],
    grad: [f64; 3],
    (grad_first, grad_rest): (&mut [T], &mut [T]),
) -> [f64; 3] {
    let n = coefficients(degree);
    let b = basis(degree, unit);
    for (k, row) in grad_first.chunks_exact_mut(3).chain(grad_rest.chunks_exact_mut(3)).enumerate() {
        for (value, g) in row.iter_mut().zip(grad) {
            *value = if k < n { T::from_f64_lossy(b[k] * g) } else { T::zero() };
        }
    }
    let mut grad_unit = [0.0; 3];
    if degree == 0 {
        return grad_unit;
    }
    let d = basis_derivatives(degree, unit);
    for (derivative, row) in d[1..].iter().zip(sh.rest.chunks_exact(3)).take(n - 1) {
        let s: f64 = row.iter().zip(grad).map(|(c, g)| c.to_f64_exact() * g).sum();
        for (out, d) in grad_unit.iter_mut().zip(derivative) {
            *out += d * s;
        }
    }
    grad_unit
}

/// Gradient for a vector from that for its unit vector: `dL/dv = (g - unit (unit . g)) / |v|`; zero for a vector
/// of length 0.
pub(crate) fn unit_backward<const N: usize>(unit: [f64; N], length: f64, grad: [f64; N]) -> [f64; N] {
    if length == 0.0 {
        return [0.0; N];
    }
    let along: f64 = unit.iter().zip(grad).map(|(u, g)| u * g).sum();
    std::array::from_fn(|i| (grad[i] - unit[i] * along) / length)
}
