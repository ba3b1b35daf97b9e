//! The linear algebra that placing points and cameras needs: vectors and row-major 3x3 matrices in `f64`, order
//! statistics, and the point where lines meet. It knows no units and no frames.

/// A vector.
pub type Vec3 = [f64; 3];
/// A matrix: three rows.
pub type Mat3 = [[f64; 3]; 3];

/// The scalar product.
#[must_use]
pub fn dot(a: Vec3, b: Vec3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// `a - b`.
#[must_use]
pub fn sub(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// `a + s b`.
#[must_use]
pub fn along(a: Vec3, b: Vec3, s: f64) -> Vec3 {
    [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]]
}

/// The length.
#[must_use]
pub fn norm(a: Vec3) -> f64 {
    dot(a, a).sqrt()
}

/// `a` scaled to length 1; `None` for the zero vector.
#[must_use]
pub fn unit(a: Vec3) -> Option<Vec3> {
    let n = norm(a);
    (n > 1e-12).then(|| a.map(|x| x / n))
}

/// The cross product `a x b`.
#[must_use]
pub fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// The angle between two directions in radians; 0 if one of them is zero.
#[must_use]
pub fn angle(a: Vec3, b: Vec3) -> f64 {
    let n = norm(a) * norm(b);
    if n > 0.0 { (dot(a, b) / n).clamp(-1.0, 1.0).acos() } else { 0.0 }
}

/// `m v`.
#[must_use]
pub fn apply(m: &Mat3, v: Vec3) -> Vec3 {
    [dot(m[0], v), dot(m[1], v), dot(m[2], v)]
}

/// `m^T v`.
#[must_use]
pub fn apply_transposed(m: &Mat3, v: Vec3) -> Vec3 {
    std::array::from_fn(|c| (0..3).map(|r| m[r][c] * v[r]).sum())
}

/// `a b`.
#[must_use]
pub fn multiply(a: &Mat3, b: &Mat3) -> Mat3 {
    std::array::from_fn(|r| std::array::from_fn(|c| (0..3).map(|k| a[r][k] * b[k][c]).sum()))
}

/// The transpose of `m`.
#[must_use]
pub fn transposed(m: &Mat3) -> Mat3 {
    std::array::from_fn(|r| std::array::from_fn(|c| m[c][r]))
}

/// The inverse by cofactors; `None` if the matrix is singular to working precision.
#[must_use]
pub fn inverse(m: &Mat3) -> Option<Mat3> {
    let cofactor = |i: usize, j: usize| {
        let at = |r: usize, c: usize| m[(i + r) % 3][(j + c) % 3];
        at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)
    };
    let det: f64 = (0..3).map(|j| m[0][j] * cofactor(0, j)).sum();
    let size = m.iter().flatten().fold(0.0f64, |a, x| a.max(x.abs()));
    (det.abs() > 1e-12 * size.powi(3))
        .then(|| std::array::from_fn(|r| std::array::from_fn(|c| cofactor(c, r) / det)))
}

/// The point with the smallest weighted sum of squared distances to `lines`, each given by a point on it and a unit
/// direction; and how far the lines are from parallel: 0 if they are parallel, 8/27 if they point in all directions
/// equally. `None` if they are parallel to working precision.
#[must_use]
pub fn nearest_to_lines(lines: &[(Vec3, Vec3)], weights: &[f64]) -> Option<(Vec3, f64)> {
    // Minimise sum w |(I - d d^T)(x - c)|^2: sum w (I - d d^T) x = sum w (I - d d^T) c.
    let (mut a, mut b, mut total): (Mat3, Vec3, f64) = ([[0.0; 3]; 3], [0.0; 3], 0.0);
    for ((through, along), &w) in lines.iter().zip(weights) {
        for r in 0..3 {
            for c in 0..3 {
                let m = w * (f64::from(u8::from(r == c)) - along[r] * along[c]);
                a[r][c] += m;
                b[r] += m * through[c];
            }
        }
        total += w;
    }
    let spread = dot(a[0], cross(a[1], a[2])) / total.powi(3);
    Some((apply(&inverse(&a)?, b), spread))
}

/// The middle value (the upper one of two); `None` for an empty list. NaN sorts last.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    quantile(&mut values, 0.5)
}

/// The value below which the share `q` of the values lies; `None` for an empty list. Reorders `values`; NaN sorts last.
pub fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let k = ((q * values.len() as f64) as usize).min(last);
    Some(*values.select_nth_unstable_by(k, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_order_statistics() {
        let mut values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!([0.0, 0.5, 1.0].map(|q| quantile(&mut values, q)), [1.0, 3.0, 5.0].map(Some));
        assert_eq!(median(vec![2.0, 1.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }

    /// Three lines along the axes meet where they should, a heavier one draws the point, parallel ones meet nowhere.
    #[test]
    fn lines_meet_where_their_distances_are_least() {
        let [x, y, z] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let lines = [([9.0, 2.0, 3.0], x), ([1.0, 9.0, 3.0], y), ([1.0, 2.0, 9.0], z)];
        let (point, spread) = nearest_to_lines(&lines, &[1.0; 3]).unwrap();
        assert!(norm(sub(point, [1.0, 2.0, 3.0])) < 1e-12, "{point:?}");
        assert!((spread - 8.0 / 27.0).abs() < 1e-12, "{spread}");
        let (point, _) = nearest_to_lines(&[([0.0; 3], x), ([0.0, 0.0, 4.0], y)], &[3.0, 1.0]).unwrap();
        assert!(norm(sub(point, [0.0, 0.0, 1.0])) < 1e-12, "{point:?}");
        assert!(nearest_to_lines(&[([0.0; 3], x), ([0.0, 0.0, 4.0], x)], &[1.0; 2]).is_none());
    }
}
