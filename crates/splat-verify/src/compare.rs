//! How two engines' answers are compared: largest absolute difference, and relative L2.

/// Largest absolute difference; a NaN on either side counts as infinite.
#[must_use]
pub fn max_abs(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "both answers have the same extent");
    a.iter().zip(b).fold(0.0, |worst: f64, (x, y)| {
        let d = (f64::from(*x) - f64::from(*y)).abs();
        if d.is_nan() { f64::INFINITY } else { worst.max(d) }
    })
}

/// `|a - b| / |b|` (Frobenius); zero when both are zero, infinite with NaN or against a zero reference.
#[must_use]
pub fn rel_l2(a: &[f32], reference: &[f32]) -> f64 {
    assert_eq!(a.len(), reference.len(), "both answers have the same extent");
    let square = |x: f64| x * x;
    let error: f64 = a.iter().zip(reference).map(|(x, y)| square(f64::from(*x) - f64::from(*y))).sum();
    let size: f64 = reference.iter().map(|y| square(f64::from(*y))).sum();
    if error.is_nan() || (size == 0.0 && error > 0.0) {
        return f64::INFINITY;
    }
    if error == 0.0 { 0.0 } else { (error / size).sqrt() }
}

/// `1 - cosine` of the angle between the two, 0 when both are zero.
#[must_use]
pub fn cosine_gap(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum::<f64>();
    let size = (dot(a, a) * dot(b, b)).sqrt();
    if size == 0.0 { 0.0 } else { 1.0 - dot(a, b) / size }
}
