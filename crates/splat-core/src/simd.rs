//! Vectors of pixels: the few operations that blending needs, over one lane or as many as the processor has.
//!
//! [`One`] is plain Rust on one number. Blending is written once against [`Vector`] and compiled for each.
//! Knows nothing of splats.
#![allow(unreachable_pub, reason = "`Real` is public and names these traits in a supertrait; the module is not")]

use crate::{Lanes, Real};

/// Operations on `LANES` numbers of type `T`; a value of this type proves that they are available.
#[allow(missing_docs, clippy::missing_docs_in_private_items)]
pub trait Vector<T: Real>: Copy {
    /// `LANES` numbers.
    type V: Copy;
    /// `LANES` truth values.
    type M: Copy;
    /// `LANES` counters.
    type I: Copy;
    /// Divides [`crate::tiles::TILE`].
    const LANES: usize;

    fn splat(self, x: T) -> Self::V;
    /// `0, 1, 2, ...`
    fn iota(self) -> Self::V;
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, with one rounding where that is fast, else two.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a * b + c` with one rounding, whatever it costs.
    fn fused(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `e^x` for `x <= 0`; tiny or 0 where the result is not a normal number.
    fn exp(self, x: Self::V) -> Self::V;
    fn le(self, a: Self::V, b: Self::V) -> Self::M;
    fn lt(self, a: Self::V, b: Self::V) -> Self::M;
    fn and(self, a: Self::M, b: Self::M) -> Self::M;
    fn any(self, m: Self::M) -> bool;
    fn select(self, m: Self::M, yes: Self::V, no: Self::V) -> Self::V;
    fn sum(self, a: Self::V) -> T;
    fn splat_index(self, x: u32) -> Self::I;
    fn select_index(self, m: Self::M, yes: Self::I, no: Self::I) -> Self::I;
    fn le_index(self, a: Self::I, b: Self::I) -> Self::M;
    /// The numbers as vectors; their count is a multiple of `LANES`.
    fn view(self, x: &[T]) -> &[Self::V];
    fn view_mut(self, x: &mut [T]) -> &mut [Self::V];
    fn view_index(self, x: &[u32]) -> &[Self::I];
    fn view_index_mut(self, x: &mut [u32]) -> &mut [Self::I];
}

/// Work that runs on vectors of some width.
pub trait Kernel<T: Real> {
    /// What the work gives.
    type Output;
    /// Does it; every call below must inline, or it loses the processor's features.
    fn run<V: Vector<T>>(self, v: V) -> Self::Output;
}

/// Which vectors a number type has; the supertrait that keeps [`Real`] to `f32` and `f64`.
pub trait Dispatch: Sized {
    /// Runs `kernel` on the vectors that `lanes` asks for.
    fn dispatch<K: Kernel<Self>>(lanes: Lanes, kernel: K) -> K::Output
    where
        Self: Real;
}

impl Dispatch for f32 {
    fn dispatch<K: Kernel<Self>>(_lanes: Lanes, kernel: K) -> K::Output {
        kernel.run(One)
    }
}

impl Dispatch for f64 {
    fn dispatch<K: Kernel<Self>>(_lanes: Lanes, kernel: K) -> K::Output {
        kernel.run(One)
    }
}

/// One lane.
#[derive(Clone, Copy)]
pub(crate) struct One;

impl<T: Real> Vector<T> for One {
    type V = T;
    type M = bool;
    type I = u32;
    const LANES: usize = 1;

    #[inline(always)]
    fn splat(self, x: T) -> T {
        x
    }
    #[inline(always)]
    fn iota(self) -> T {
        T::zero()
    }
    #[inline(always)]
    fn add(self, a: T, b: T) -> T {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: T, b: T) -> T {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: T, b: T) -> T {
        a * b
    }
    #[inline(always)]
    fn div(self, a: T, b: T) -> T {
        a / b
    }
    #[inline(always)]
    fn min(self, a: T, b: T) -> T {
        if a < b { a } else { b }
    }
    #[inline(always)]
    fn mul_add(self, a: T, b: T, c: T) -> T {
        a * b + c
    }
    #[inline(always)]
    fn fused(self, a: T, b: T, c: T) -> T {
        T::fused_multiply_add(a, b, c)
    }
    #[inline(always)]
    fn exp(self, x: T) -> T {
        x.exp()
    }
    #[inline(always)]
    fn le(self, a: T, b: T) -> bool {
        a <= b
    }
    #[inline(always)]
    fn lt(self, a: T, b: T) -> bool {
        a < b
    }
    #[inline(always)]
    fn and(self, a: bool, b: bool) -> bool {
        a && b
    }
    #[inline(always)]
    fn any(self, m: bool) -> bool {
        m
    }
    #[inline(always)]
    fn select(self, m: bool, yes: T, no: T) -> T {
        if m { yes } else { no }
    }
    #[inline(always)]
    fn sum(self, a: T) -> T {
        a
    }
    #[inline(always)]
    fn splat_index(self, x: u32) -> u32 {
        x
    }
    #[inline(always)]
    fn select_index(self, m: bool, yes: u32, no: u32) -> u32 {
        if m { yes } else { no }
    }
    #[inline(always)]
    fn le_index(self, a: u32, b: u32) -> bool {
        a <= b
    }
    #[inline(always)]
    fn view(self, x: &[T]) -> &[T] {
        x
    }
    #[inline(always)]
    fn view_mut(self, x: &mut [T]) -> &mut [T] {
        x
    }
    #[inline(always)]
    fn view_index(self, x: &[u32]) -> &[u32] {
        x
    }
    #[inline(always)]
    fn view_index_mut(self, x: &mut [u32]) -> &mut [u32] {
        x
    }
}
