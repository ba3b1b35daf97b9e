//! Where a Gaussian can be seen: bounds on `{ p : opacity exp(power(p)) >= 1/255 }`, an ellipse.
//!
//! They only ever leave out pixels that the opacity threshold leaves out anyway, whatever the rounding, so images do
//! not depend on them. Pixels throughout.

use crate::{Cutoff, Real, constants::ALPHA_MIN};

/// Larger ellipses (pixels) are not bounded: f32 would not be accurate enough.
const FARTHEST: f64 = 1e5;
/// Pixels added to every bound to cover the rounding in its evaluation.
const MARGIN: f64 = 0.02;

/// The ellipse `A dx^2 + 2 B dx dy + C dy^2 <= level` around the centre, in the form that bounds need.
///
/// At a given `dx` it spans `dy = -(B/C) dx -+ sqrt(level/C - det/C^2 dx^2)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent<T> {
    /// Half sides of the bounding box; infinite where unknown, negative where the ellipse is empty.
    pub(crate) half: [T; 2],
    /// `B / C`.
    shear: T,
    /// `level / C`.
    square: T,
    /// `det / C^2`.
    bend: T,
    /// `dx` of the lowest point; the highest point is opposite.
    tip: T,
}

impl<T: Real> Extent<T> {
    /// No pixel.
    pub(crate) fn nothing() -> Self {
        Self { half: [-T::one(); 2], ..Self::everything() }
    }

    /// Every pixel.
    pub(crate) fn everything() -> Self {
        let (zero, far) = (T::zero(), T::infinity());
        Self { half: [far; 2], shear: zero, square: far, bend: zero, tip: zero }
    }

    /// Of a Gaussian with this inverse covariance (as rounded) and opacity.
    pub(crate) fn new(conic: [T; 3], opacity: T, cutoff: Cutoff) -> Self {
        if cutoff == Cutoff::Smooth {
            return Self::everything();
        }
        // 2 ln(255 opacity), raised a little to cover the rounding of exp.
        let level = 2.0 * (opacity.to_f64_exact() / ALPHA_MIN).ln() + 1e-3;
        if level.is_nan() || level < 0.0 {
            return Self::nothing();
        }
        // Evaluated in T the form is off by a few ulps of its largest term: lower A and C by more than that.
        let slack = 1.0 - 16.0 * T::epsilon().to_f64_exact();
        let [a, b, c] = conic.map(Real::to_f64_exact);
        let (a, c) = (a * slack, c * slack);
        let det = a * c - b * b;
        if a <= 0.0 || det <= 0.0 {
            return Self::everything();
        }
        let half = [(level * c / det).sqrt(), (level * a / det).sqrt()];
        if half[0].max(half[1]).is_nan() || half[0].max(half[1]) > FARTHEST {
            return Self::everything();
        }
        let t = T::from_f64_lossy;
        Self {
            half: half.map(|x| t(x + MARGIN)),
            shear: t(b / c),
            // Raised by more than the cancellation under the root can lose.
            square: t(level / c * (1.0 + 1e-4)),
            bend: t(det / (c * c)),
            tip: t(b / a * half[1]),
        }
    }

    /// Lowest and highest `dy` over `dx` in `[x0, x1]`; meaningful where that overlaps the box.
    #[inline(always)]
    pub(crate) fn vertical(&self, x0: T, x1: T) -> (T, T) {
        let clamp = |x: T| {
            if x < x0 {
                x0
            } else if x > x1 {
                x1
            } else {
                x
            }
        };
        let (low, high) = (clamp(self.tip), clamp(-self.tip));
        let root = |x: T| {
            let under = self.square - self.bend * x * x;
            if under > T::zero() { under.sqrt() } else { T::zero() }
        };
        let margin = T::from_f64_lossy(MARGIN);
        (-self.shear * low - root(low) - margin, root(high) - self.shear * high + margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No pixel at or over the threshold lies outside the bounds, for needles and tiny Gaussians too.
    #[test]
    fn bounds_hold_every_pixel_over_the_threshold() {
        let mut inside = 0_u32;
        for k in 0..250_u32 {
            let f = |m: u32| f64::from(k.wrapping_mul(m) % 1009) / 1009.0;
            let (long, wide, turn) = (0.4 + 40.0 * f(7).powi(3), 0.3 + 8.0 * f(31).powi(3), 3.15 * f(97));
            let (sin, cos) = turn.sin_cos();
            let xx = (long * cos).powi(2) + (wide * sin).powi(2) + 0.3;
            let yy = (long * sin).powi(2) + (wide * cos).powi(2) + 0.3;
            let xy = (long * long - wide * wide) * sin * cos;
            let det = xx * yy - xy * xy;
            let conic = [yy / det, -xy / det, xx / det].map(|x| x as f32);
            let opacity = (0.003 + f(11)).min(1.0) as f32;
            let extent = Extent::new(conic, opacity, Cutoff::Contract);
            let offset = [f(13) as f32, f(17) as f32];
            for column in -20..20 {
                let x0 = (column * 8) as f32 - offset[0];
                let (low, high) = extent.vertical(x0, x0 + 7.0);
                for y in -150..150 {
                    let dy = y as f32 - offset[1];
                    for lane in 0..8_u8 {
                        let dx = x0 + f32::from(lane);
                        let square = conic[0] * dx * dx + conic[2] * dy * dy;
                        let power = -0.5 * square - conic[1] * dx * dy;
                        if power <= 0.0 && opacity * power.exp() >= 1.0 / 255.0 {
                            inside += 1;
                            assert!(low <= dy && dy <= high, "Gaussian {k}: {dy} outside {low}..{high}");
                            assert!(dx.abs() <= extent.half[0] && dy.abs() <= extent.half[1], "Gaussian {k}");
                        }
                    }
                }
            }
        }
        assert!(inside > 20_000, "only {inside} pixels were over the threshold");
    }
}
