//! Sums of products, rounded as the original's compiled code rounds them: each multiply-add rounds once.
//!
//! There `a b + c d` is `fma(a, b, round(c d))`, and a third product is added to that by another fma. The order was
//! inferred from its results: with it, f32 centres, inverse covariances and radii agree with the original's to the bit,
//! and so do tiles, depth order and thresholds. In f64 the order is the same, but products are rounded too.

use crate::Real;

/// `a b + c`, rounded once in f32.
pub(crate) fn fma<T: Real>(a: T, b: T, c: T) -> T {
    T::fused_multiply_add(a, b, c)
}

/// `a0 b0 + a1 b1`.
pub(crate) fn dot2<T: Real>(a: [T; 2], b: [T; 2]) -> T {
    fma(a[0], b[0], a[1] * b[1])
}

/// `a0 b0 + a1 b1 + a2 b2`.
pub(crate) fn dot3<T: Real>(a: [T; 3], b: [T; 3]) -> T {
    fma(a[2], b[2], fma(a[0], b[0], a[1] * b[1]))
}

/// Row `row` of a column-major matrix times `(p, 1)`.
pub(crate) fn affine_row<T: Real>(m: &[T; 16], row: usize, p: [T; 3]) -> T {
    dot3([m[row], m[4 + row], m[8 + row]], p) + m[12 + row]
}

/// A symmetric matrix, `[xx, xy, xz, yy, yz, zz]`, times a vector.
pub(crate) fn symmetric_times<T: Real>(s: &[T; 6], v: [T; 3]) -> [T; 3] {
    [dot3([s[0], s[1], s[2]], v), dot3([s[1], s[3], s[4]], v), dot3([s[2], s[4], s[5]], v)]
}

/// `a c - b b`.
pub(crate) fn determinant<T: Real>(a: T, b: T, c: T) -> T {
    fma(a, c, -(b * b))
}
