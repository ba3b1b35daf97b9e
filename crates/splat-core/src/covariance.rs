//! Covariance of a Gaussian in space from its scales and rotation, and its gradient.
//!
//! `Sigma = R S S^T R^T` with `S = scale_modifier * diag(scale)` (Kerbl et al. 2023, eq. 6). World units
//! squared. The quaternion is used as given: if its length is not 1 the matrix is not a rotation, and a zero quaternion
//! gives the identity.

use crate::{
    Real,
    fused::{dot2, dot3, fma},
};

/// Rotation matrix (rows) of a quaternion wxyz, by the formula for unit quaternions.
pub(crate) fn rotation<T: Real>([r, x, y, z]: [T; 4]) -> [[T; 3]; 3] {
    let one = T::one();
    let two = one + one;
    let on = |p: T, q: T| fma(-two, dot2([p, q], [p, q]), one);
    let plus = |p: [T; 2], q: [T; 2]| two * dot2([p[0], q[0]], [p[1], q[1]]);
    let minus = |p: [T; 2], q: [T; 2]| two * dot2([p[0], -q[0]], [p[1], q[1]]);
    [
        [on(y, z), minus([x, y], [r, z]), plus([x, z], [r, y])],
        [plus([x, y], [r, z]), on(x, z), minus([y, z], [r, x])],
        [minus([x, z], [r, y]), plus([y, z], [r, x]), on(x, y)],
    ]
}

/// `[xx, xy, xz, yy, yz, zz]` of `R S S^T R^T`.
pub(crate) fn covariance<T: Real>(scale: [T; 3], modifier: T, quaternion: [T; 4]) -> [T; 6] {
    let [x, y, z] = scaled_rotation(scale, modifier, quaternion);
    [dot3(x, x), dot3(x, y), dot3(x, z), dot3(y, y), dot3(y, z), dot3(z, z)]
}

/// `R S`: column k is R's column k times the k-th standard deviation.
fn scaled_rotation<T: Real>(scale: [T; 3], modifier: T, quaternion: [T; 4]) -> [[T; 3]; 3] {
    let s = scale.map(|x| modifier * x);
    rotation(quaternion).map(|row| std::array::from_fn(|k| s[k] * row[k]))
}

/// Gradients for the standard deviations (`modifier * scale`) and for the quaternion as given, from the
/// gradient for the six entries (whose off-diagonals count both halves of the symmetric matrix).
pub(crate) fn covariance_backward(
    scale: [f64; 3],
    modifier: f64,
    quaternion: [f64; 4],
    [xx, xy, xz, yy, yz, zz]: [f64; 6],
) -> ([f64; 3], [f64; 4]) {
    let rot = rotation(quaternion);
    let g = [[xx, 0.5 * xy, 0.5 * xz], [0.5 * xy, yy, 0.5 * yz], [0.5 * xz, 0.5 * yz, zz]];
    // Sigma = L L^T with L = R S  =>  dL/dL = 2 G L for symmetric G.
    let l = scaled_rotation(scale, modifier, quaternion);
    let grad_l: [[f64; 3]; 3] = std::array::from_fn(|i| {
        std::array::from_fn(|k| 2.0 * (g[i][0] * l[0][k] + g[i][1] * l[1][k] + g[i][2] * l[2][k]))
    });
    let grad_deviation = std::array::from_fn(|k| (0..3).map(|i| grad_l[i][k] * rot[i][k]).sum());
    // dL/dR = dL/dL S, then each entry of R is a quadratic polynomial of (r, x, y, z).
    let d: [[f64; 3]; 3] =
        std::array::from_fn(|i| std::array::from_fn(|k| grad_l[i][k] * (modifier * scale[k])));
    let [r, x, y, z] = quaternion;
    let grad_quaternion = [
        2.0 * (x * (d[2][1] - d[1][2]) + y * (d[0][2] - d[2][0]) + z * (d[1][0] - d[0][1])),
        2.0 * (y * (d[0][1] + d[1][0]) + z * (d[0][2] + d[2][0]) + r * (d[2][1] - d[1][2]))
            - 4.0 * x * (d[1][1] + d[2][2]),
        2.0 * (x * (d[0][1] + d[1][0]) + z * (d[1][2] + d[2][1]) + r * (d[0][2] - d[2][0]))
            - 4.0 * y * (d[0][0] + d[2][2]),
        2.0 * (x * (d[0][2] + d[2][0]) + y * (d[1][2] + d[2][1]) + r * (d[1][0] - d[0][1]))
            - 4.0 * z * (d[0][0] + d[1][1]),
    ];
    (grad_deviation, grad_quaternion)
}
