//! What passes between projection and rasterization: a Gaussian as one camera sees it, and the gradient of that.
//!
//! Both have the layout of their counterparts in `splat_engine.h` when `T` is `f32`. No arithmetic here.

use crate::Real;

/// One Gaussian as one camera sees it. If `radius` is 0 the Gaussian is not visible and every other member is zero.
///
/// `Record<f32>` has the layout of `splat_record` (64 bytes).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
pub struct Record<T = f32> {
    /// Projected centre, pixels (pixel centres are at integers).
    pub x: T,
    /// See `x`.
    pub y: T,
    /// xx, xy, yy of the inverse of the dilated 2D covariance, 1/pixel^2.
    pub inv_cov: [T; 3],
    /// After activation and the antialiasing factor, before the cap of 0.99.
    pub opacity: T,
    /// View-space z, world units.
    pub depth: T,
    /// RGB as blended; from SH not under 0.
    pub color: [T; 3],
    /// Half the width of the box around the centre that holds every pixel that the Gaussian may cover, in pixels. Mode
    /// `compat`: the 3-sigma radius, and every tile that the square touches is covered whole. Mode `exact`: of the
    /// box around the ellipse where alpha is at least 1/255, infinite where f32 would not bound it accurately.
    pub half_x: T,
    /// Half the height, likewise.
    pub half_y: T,
    /// 3-sigma radius in whole pixels, 0 = not visible.
    pub radius: i32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// Gradient of a loss with respect to the members of a [`Record`]; the box has none.
///
/// `RecordGradient<f32>` has the layout of `splat_record_gradient` (48 bytes). Between the stages of this crate the
/// numbers are `f64` whatever the type of the records, so that a backward pass in stages gives the bits of a whole one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
pub struct RecordGradient<T = f64> {
    /// For the projected centre, per pixel.
    pub x: T,
    /// See `x`.
    pub y: T,
    /// For the inverse covariance; the off-diagonal entry counts both halves of the matrix.
    pub inv_cov: [T; 3],
    /// For the opacity of the record.
    pub opacity: T,
    /// For the view-space z, through depth and inverse depth.
    pub depth: T,
    /// For the colour as blended.
    pub color: [T; 3],
    /// Sum over the pixels of the absolute gradient for `x`; zero unless asked for.
    pub abs_x: T,
    /// The same for `y`.
    pub abs_y: T,
}

impl<T: Real> RecordGradient<T> {
    /// The same in another type. A number beyond that type becomes its largest, NaN becomes 0.
    #[must_use]
    pub fn cast<U: Real>(self) -> RecordGradient<U> {
        let to = |x: T| narrow(x.to_f64_exact());
        RecordGradient {
            x: to(self.x),
            y: to(self.y),
            inv_cov: self.inv_cov.map(to),
            opacity: to(self.opacity),
            depth: to(self.depth),
            color: self.color.map(to),
            abs_x: to(self.abs_x),
            abs_y: to(self.abs_y),
        }
    }
}

/// Rounds to the type of the inputs; a number beyond it becomes its largest, NaN becomes 0.
pub(crate) fn narrow<T: Real>(x: f64) -> T {
    let most = T::max_value().to_f64_exact();
    if x.is_nan() { T::zero() } else { T::from_f64_lossy(x.clamp(-most, most)) }
}

/// [`narrow`] for each of `from`.
pub(crate) fn narrow_all<T: Real>(from: &[f64], to: &mut [T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = narrow(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// The layout that `splat_engine.h` states.
    #[test]
    fn layouts_are_the_headers() {
        assert_eq!((size_of::<Record<f32>>(), size_of::<RecordGradient<f32>>()), (64, 48));
        assert_eq!(offset_of!(Record<f32>, color), 28);
        assert_eq!(offset_of!(Record<f32>, radius), 48);
        assert_eq!(offset_of!(RecordGradient<f32>, depth), 24);
    }

    #[test]
    fn narrowed_gradients_stay_finite() {
        let wide = RecordGradient { x: 1e300, y: f64::NAN, depth: -1e300, ..RecordGradient::default() };
        let g: RecordGradient<f32> = wide.cast();
        assert_eq!((g.x, g.y, g.depth), (f32::MAX, 0.0, f32::MIN));
    }
}
