//! The little linear algebra of 3 x 3 matrices and vectors that placing points needs. Rows; f64.

pub(super) type Vec3 = [f64; 3];
pub(super) type Mat3 = [[f64; 3]; 3];

pub(super) fn dot(a: Vec3, b: Vec3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn sub(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// `a + s b`.
pub(super) fn along(a: Vec3, b: Vec3, s: f64) -> Vec3 {
    [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]]
}

pub(super) fn norm(a: Vec3) -> f64 {
    dot(a, a).sqrt()
}

/// Angle between two directions, radians; 0 where one of them is 0.
pub(super) fn angle(a: Vec3, b: Vec3) -> f64 {
    let n = norm(a) * norm(b);
    if n > 0.0 { (dot(a, b) / n).clamp(-1.0, 1.0).acos() } else { 0.0 }
}

pub(super) fn apply(m: &Mat3, v: Vec3) -> Vec3 {
    [dot(m[0], v), dot(m[1], v), dot(m[2], v)]
}

/// `m^T v`.
pub(super) fn apply_transposed(m: &Mat3, v: Vec3) -> Vec3 {
    std::array::from_fn(|c| (0..3).map(|r| m[r][c] * v[r]).sum())
}

pub(super) fn multiply(a: &Mat3, b: &Mat3) -> Mat3 {
    std::array::from_fn(|r| std::array::from_fn(|c| (0..3).map(|k| a[r][k] * b[k][c]).sum()))
}

pub(super) fn transposed(m: &Mat3) -> Mat3 {
    std::array::from_fn(|r| std::array::from_fn(|c| m[c][r]))
}

/// The inverse by cofactors; None where the matrix is singular to working precision.
pub(super) fn inverse(m: &Mat3) -> Option<Mat3> {
    let cofactor = |i: usize, j: usize| {
        let at = |r: usize, c: usize| m[(i + r) % 3][(j + c) % 3];
        at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
    };
    let det: f64 = (0..3).map(|j| m[0][j] * cofactor(0, j)).sum();
    let size = m.iter().flatten().fold(0.0f64, |a, x| a.max(x.abs()));
    (det.abs() > 1e-12 * size.powi(3))
        .then(|| std::array::from_fn(|r| std::array::from_fn(|c| cofactor(c, r) / det)))
}

/// The middle value, the upper of two; None of nothing. NaN sorts last.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    quantile(&mut values, 0.5)
}

/// The value below which the share `q` of them lies; sorts them.
pub(super) fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get(((q * values.len() as f64) as usize).min(last)).copied()
}
