//! Vectors of pixels: the few operations that blending needs, on one lane or on as many as the processor has.
//!
//! [`One`] is plain Rust on one number. Blending is written once against [`Vector`] and compiled for each width.
//! Knows nothing of Gaussians.
#![allow(
    unreachable_pub,
    reason = "`Real` is public and names these traits in a supertrait; the module is not"
)]

use pulp::{Arch, Simd, WithSimd};

use crate::{Lanes, Real, tiles::TILE};

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
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where that is fast, otherwise twice.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a * b + c`, rounded once whatever it costs.
    fn fused(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `e^x` for `x <= 0`; under 1e-27 where x is less than -64.
    fn exp(self, x: Self::V) -> Self::V;
    fn le(self, a: Self::V, b: Self::V) -> Self::M;
    fn lt(self, a: Self::V, b: Self::V) -> Self::M;
    fn and(self, a: Self::M, b: Self::M) -> Self::M;
    fn any(self, m: Self::M) -> bool;
    fn select(self, m: Self::M, yes: Self::V, no: Self::V) -> Self::V;
    fn sum(self, a: Self::V) -> T;
    fn largest(self, a: Self::V) -> T;
    fn splat_index(self, x: u32) -> Self::I;
    fn select_index(self, m: Self::M, yes: Self::I, no: Self::I) -> Self::I;
    fn le_index(self, a: Self::I, b: Self::I) -> Self::M;
    /// The numbers as vectors; their count is a multiple of `LANES`.
    fn view(self, x: &[T]) -> &[Self::V];
    fn view_mut(self, x: &mut [T]) -> &mut [Self::V];
    fn view_index(self, x: &[u32]) -> &[Self::I];
    fn view_index_mut(self, x: &mut [u32]) -> &mut [Self::I];
}

/// `e^x = 2^n e^r` with `n = round(x / ln 2)` and `|r| <= ln 2 / 2`, for f32. Adding this number rounds to an integer
/// and leaves `n + 127`, the exponent field of `2^n`, in the low bits.
const EXP_SHIFT: f32 = 12_582_912.0 + 127.0;
const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts; the first has so few bits that `n` times it is exact.
#[expect(clippy::excessive_precision, reason = "exact in f32; every digit shows it")]
const LN2_HIGH: f32 = 0.693_359_375;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// `e^r = 1 + r + r^2 (c2 + c3 r + ...)` with the smallest maximum relative error (3e-9), fitted by reweighted least
/// squares at Chebyshev points.
const EXP_SERIES: [f32; 5] = [0.499_999_94, 0.166_665_21, 0.041_668_39, 0.008_368_717, 0.001_381_459_9];
/// Below this, `e^x` is taken at this x: almost zero, and its products are still normal (fast) numbers.
const EXP_LOWEST: f32 = -64.0;

/// Work that runs on vectors of some width.
pub trait Kernel<T: Real> {
    /// Result of the work.
    type Output;
    /// Does the work. Every call in it must be inlined, or it loses the features of the processor.
    fn run<V: Vector<T>>(self, v: V) -> Self::Output;
}

/// The vectors of a number type; as a supertrait it limits [`Real`] to `f32` and `f64`.
pub trait Dispatch: Sized {
    /// `e^x` for `x <= 0`, as [`Vector::exp`].
    fn exp_lane(self) -> Self;
    /// Runs `kernel` on the vectors that `lanes` asks for.
    fn dispatch<K: Kernel<Self>>(lanes: Lanes, kernel: K) -> K::Output
    where
        Self: Real;
}

impl Dispatch for f32 {
    #[inline(always)]
    fn exp_lane(self) -> Self {
        let x = if self > EXP_LOWEST { self } else { EXP_LOWEST };
        let shifted = x * LOG2_E + EXP_SHIFT;
        let n = shifted - EXP_SHIFT;
        let r = n * -LN2_LOW + (n * -LN2_HIGH + x);
        let [c2, c3, c4, c5, c6] = EXP_SERIES;
        let q = (((c6 * r + c5) * r + c4) * r + c3) * r + c2;
        (r * r * q + r + 1.0) * Self::from_bits(shifted.to_bits() << 23)
    }

    fn dispatch<K: Kernel<Self>>(lanes: Lanes, kernel: K) -> K::Output {
        match lanes {
            Lanes::Scalar => kernel.run(One),
            Lanes::Auto => Arch::new().dispatch(OnWide(kernel)),
        }
    }
}

impl Dispatch for f64 {
    fn exp_lane(self) -> Self {
        self.exp()
    }

    fn dispatch<K: Kernel<Self>>(_: Lanes, kernel: K) -> K::Output {
        kernel.run(One)
    }
}

/// A kernel as pulp calls it.
struct OnWide<K>(K);

impl<K: Kernel<f32>> WithSimd for OnWide<K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> K::Output {
        if const { S::F32_LANES > 1 && S::F32_LANES <= TILE } {
            self.0.run(Wide(simd))
        } else {
            self.0.run(One)
        }
    }
}

/// Operations of one expression, `|s|` being the vector's proof; always inlined, as [`Kernel::run`] asks.
macro_rules! operations {
    ($($name:ident($($arg:ident: $of:ty),*) -> $out:ty = |$s:pat_param| $value:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $of),*) -> $out {
            let $s = self;
            $value
        }
    )*};
}

/// One lane.
#[derive(Clone, Copy)]
pub(crate) struct One;

impl<T: Real> Vector<T> for One {
    type V = T;
    type M = bool;
    type I = u32;
    const LANES: usize = 1;

    operations! {
        splat(x: T) -> T = |_| x;
        iota() -> T = |_| T::zero();
        add(a: T, b: T) -> T = |_| a + b;
        sub(a: T, b: T) -> T = |_| a - b;
        mul(a: T, b: T) -> T = |_| a * b;
        div(a: T, b: T) -> T = |_| a / b;
        min(a: T, b: T) -> T = |_| if a < b { a } else { b };
        max(a: T, b: T) -> T = |_| if a > b { a } else { b };
        mul_add(a: T, b: T, c: T) -> T = |_| a * b + c;
        fused(a: T, b: T, c: T) -> T = |_| T::fused_multiply_add(a, b, c);
        exp(x: T) -> T = |_| T::exp_lane(x);
        le(a: T, b: T) -> bool = |_| a <= b;
        lt(a: T, b: T) -> bool = |_| a < b;
        and(a: bool, b: bool) -> bool = |_| a && b;
        any(m: bool) -> bool = |_| m;
        select(m: bool, yes: T, no: T) -> T = |_| if m { yes } else { no };
        sum(a: T) -> T = |_| a;
        largest(a: T) -> T = |_| a;
        splat_index(x: u32) -> u32 = |_| x;
        select_index(m: bool, yes: u32, no: u32) -> u32 = |_| if m { yes } else { no };
        le_index(a: u32, b: u32) -> bool = |_| a <= b;
        view(x: &[T]) -> &[T] = |_| x;
        view_mut(x: &mut [T]) -> &mut [T] = |_| x;
        view_index(x: &[u32]) -> &[u32] = |_| x;
        view_index_mut(x: &mut [u32]) -> &mut [u32] = |_| x;
    }
}

/// The lanes of a pulp instruction set.
#[derive(Clone, Copy)]
pub(crate) struct Wide<S>(S);

impl<S: Simd> Vector<f32> for Wide<S> {
    type V = S::f32s;
    type M = S::m32s;
    type I = S::u32s;
    const LANES: usize = S::F32_LANES;

    operations! {
        splat(x: f32) -> S::f32s = |s| s.0.splat_f32s(x);
    }
    #[inline(always)]
    fn iota(self) -> S::f32s {
        const NUMBERS: [f32; TILE] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.];
        S::as_simd_f32s(&NUMBERS).0[0]
    }
    operations! {
        add(a: S::f32s, b: S::f32s) -> S::f32s = |s| s.0.add_f32s(a, b);
        sub(a: S::f32s, b: S::f32s) -> S::f32s = |s| s.0.sub_f32s(a, b);
        mul(a: S::f32s, b: S::f32s) -> S::f32s = |s| s.0.mul_f32s(a, b);
        div(a: S::f32s, b: S::f32s) -> S::f32s = |s| s.0.div_f32s(a, b);
        min(a: S::f32s, b: S::f32s) -> S::f32s = |s| s.0.min_f32s(a, b);
        max(a: S::f32s, b: S::f32s) -> S::f32s = |s| s.0.max_f32s(a, b);
        mul_add(a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s = |s| s.0.mul_add_e_f32s(a, b, c);
        fused(a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s = |s| s.0.mul_add_f32s(a, b, c);
    }
    #[inline(always)]
    fn exp(self, x: S::f32s) -> S::f32s {
        let s = self.0;
        let x = s.max_f32s(x, s.splat_f32s(EXP_LOWEST));
        let shifted = s.mul_add_e_f32s(x, s.splat_f32s(LOG2_E), s.splat_f32s(EXP_SHIFT));
        let n = s.sub_f32s(shifted, s.splat_f32s(EXP_SHIFT));
        let r = s.mul_add_e_f32s(n, s.splat_f32s(-LN2_HIGH), x);
        let r = s.mul_add_e_f32s(n, s.splat_f32s(-LN2_LOW), r);
        let [c2, c3, c4, c5, c6] = EXP_SERIES.map(|c| s.splat_f32s(c));
        let q = s.mul_add_e_f32s(c6, r, c5);
        let q = s.mul_add_e_f32s(q, r, c4);
        let q = s.mul_add_e_f32s(q, r, c3);
        let q = s.mul_add_e_f32s(q, r, c2);
        let e = s.add_f32s(s.mul_add_e_f32s(s.mul_f32s(r, r), q, r), s.splat_f32s(1.0));
        let exponent = s.wrapping_dyn_shl_u32s(s.transmute_u32s_f32s(shifted), s.splat_u32s(23));
        s.mul_f32s(e, s.transmute_f32s_u32s(exponent))
    }
    operations! {
        le(a: S::f32s, b: S::f32s) -> S::m32s = |s| s.0.less_than_or_equal_f32s(a, b);
        lt(a: S::f32s, b: S::f32s) -> S::m32s = |s| s.0.less_than_f32s(a, b);
        and(a: S::m32s, b: S::m32s) -> S::m32s = |s| s.0.and_m32s(a, b);
    }
    #[inline(always)]
    fn any(self, m: S::m32s) -> bool {
        // All ones or zeros, one bit or word per lane: an OR over the bytes becomes one test instruction.
        bytemuck::bytes_of(&m).iter().fold(0, |all, byte| all | byte) != 0
    }
    operations! {
        select(m: S::m32s, yes: S::f32s, no: S::f32s) -> S::f32s = |s| s.0.select_f32s(m, yes, no);
        sum(a: S::f32s) -> f32 = |s| s.0.reduce_sum_f32s(a);
        largest(a: S::f32s) -> f32 = |s| s.0.reduce_max_f32s(a);
        splat_index(x: u32) -> S::u32s = |s| s.0.splat_u32s(x);
        select_index(m: S::m32s, yes: S::u32s, no: S::u32s) -> S::u32s = |s| s.0.select_u32s(m, yes, no);
        le_index(a: S::u32s, b: S::u32s) -> S::m32s = |s| s.0.less_than_or_equal_u32s(a, b);
        view(x: &[f32]) -> &[S::f32s] = |_| S::as_simd_f32s(x).0;
        view_mut(x: &mut [f32]) -> &mut [S::f32s] = |_| S::as_mut_simd_f32s(x).0;
        view_index(x: &[u32]) -> &[S::u32s] = |_| S::as_simd_u32s(x).0;
        view_index_mut(x: &mut [u32]) -> &mut [S::u32s] = |_| S::as_mut_simd_u32s(x).0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Exp<'a>(&'a mut [f32]);

    impl Kernel<f32> for Exp<'_> {
        type Output = ();

        #[inline(always)]
        fn run<V: Vector<f32>>(self, v: V) {
            for x in v.view_mut(self.0) {
                *x = v.exp(*x);
            }
        }
    }

    /// Every lane width gives e^x within 2 units in the last place over the whole range.
    #[test]
    fn exp_is_accurate_to_two_ulps() {
        for lanes in [Lanes::Auto, Lanes::Scalar] {
            let x: Vec<f32> = (0..1 << 20).map(|i| -64.0 * i as f32 / (1 << 20) as f32).collect();
            let mut y = x.clone();
            f32::dispatch(lanes, Exp(&mut y));
            for (x, y) in x.iter().zip(y) {
                let truth = f64::from(*x).exp();
                let ulps = (f64::from(y) - truth).abs() / (truth * f64::from(f32::EPSILON));
                assert!(ulps <= 2.0, "exp({x}) = {y}, truth {truth}: {ulps} units, {lanes:?}");
            }
        }
    }

    /// Far below the range the result is next to nothing, not garbage.
    #[test]
    fn exp_of_very_negative_numbers_vanishes() {
        for lanes in [Lanes::Auto, Lanes::Scalar] {
            let mut y = [-65.0, -1e3, -1e30, f32::NEG_INFINITY].repeat(4);
            f32::dispatch(lanes, Exp(&mut y));
            assert!(y.iter().all(|y| (0.0..1e-27).contains(y)), "{y:?}");
        }
    }
}
