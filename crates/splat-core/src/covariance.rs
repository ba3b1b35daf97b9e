//! Covariance of a splat in space from its scales and rotation, and the gradient of that.
//!
//! `Sigma = R S S^T R^T` with `S = scale_modifier * diag(scale)` (Kerbl et al. 2023, eq. 6). World units
//! squared. The quaternion enters as given: of another length than 1 it is not a rotation, and a zero one
//! gives the identity.

use crate::Real;

/// Rotation matrix (rows) of a quaternion wxyz, by the formula for unit quaternions.
pub(crate) fn rotation<T: Real>([r, x, y, z]: [T; 4]) -> [[T; 3]; 3] {
    let one = T::one();
    let two = one + one;
    [
        [one - two * (y * y + z * z), two * (x * y - r * z), two * (x * z + r * y)],
        [two * (x * y + r * z), one - two * (x * x + z * z), two * (y * z - r * x)],
        [two * (x * z - r * y), two * (y * z + r * x), one - two * (x * x + y * y)],
    ]
}

/// `[xx, xy, xz, yy, yz, zz]` of `R S S^T R^T`.
pub(crate) fn covariance<T: Real>(scale: [T; 3], modifier: T, quaternion: [T; 4]) -> [T; 6] {
    let r = rotation(quaternion);
    // L = R S: column k is R's column k times the k-th standard deviation.
    let l: [[T; 3]; 3] = std::array::from_fn(|i| std::array::from_fn(|k| r[i][k] * (modifier * scale[k])));
    let entry = |i: usize, j: usize| l[i][0] * l[j][0] + l[i][1] * l[j][1] + l[i][2] * l[j][2];
    [entry(0, 0), entry(0, 1), entry(0, 2), entry(1, 1), entry(1, 2), entry(2, 2)]
}

/// Gradients for the scales and the quaternion as given, from the gradient for the six entries (whose
/// off-diagonals count both halves of the symmetric matrix).
pub(crate) fn covariance_backward<T: Real>(
    scale: [T; 3],
    modifier: T,
    quaternion: [T; 4],
    grad: [T; 6],
) -> ([T; 3], [T; 4]) {
    let two = T::one() + T::one();
    let half = T::one() / two;
    let rot = rotation(quaternion);
    let [xx, xy, xz, yy, yz, zz] = grad;
    let g = [[xx, half * xy, half * xz], [half * xy, yy, half * yz], [half * xz, half * yz, zz]];
    // Sigma = L L^T  =>  dL/dL = 2 G L for symmetric G.
    let l: [[T; 3]; 3] =
        std::array::from_fn(|i| std::array::from_fn(|k| rot[i][k] * (modifier * scale[k])));
    let grad_l: [[T; 3]; 3] = std::array::from_fn(|i| {
        std::array::from_fn(|k| two * (g[i][0] * l[0][k] + g[i][1] * l[1][k] + g[i][2] * l[2][k]))
    });
    let grad_scale = std::array::from_fn(|k| {
        modifier * (grad_l[0][k] * rot[0][k] + grad_l[1][k] * rot[1][k] + grad_l[2][k] * rot[2][k])
    });
    // dL/dR = dL/dL S, then each entry of R is a quadratic polynomial of (r, x, y, z).
    let d: [[T; 3]; 3] =
        std::array::from_fn(|i| std::array::from_fn(|k| grad_l[i][k] * (modifier * scale[k])));
    let [r, x, y, z] = quaternion;
    let four = two + two;
    let grad_quaternion = [
        two * (x * (d[2][1] - d[1][2]) + y * (d[0][2] - d[2][0]) + z * (d[1][0] - d[0][1])),
        two * (y * (d[0][1] + d[1][0]) + z * (d[0][2] + d[2][0]) + r * (d[2][1] - d[1][2]))
            - four * x * (d[1][1] + d[2][2]),
        two * (x * (d[0][1] + d[1][0]) + z * (d[1][2] + d[2][1]) + r * (d[0][2] - d[2][0]))
            - four * y * (d[0][0] + d[2][2]),
        two * (x * (d[0][2] + d[2][0]) + y * (d[1][2] + d[2][1]) + r * (d[1][0] - d[0][1]))
            - four * z * (d[0][0] + d[1][1]),
    ];
    (grad_scale, grad_quaternion)
}
