//! The form of a [`Record`] that binning and the pixel loops read.

use rayon::prelude::*;

use crate::{Cutoff, FeatureChannels, Real, Record, extent::Extent};

/// A Gaussian on the image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Splat<T> {
    /// Centre, pixels.
    pub(crate) mean: [T; 2],
    /// Inverse covariance: xx, xy, yy.
    pub(crate) conic: [T; 3],
    pub(crate) opacity: T,
    pub(crate) rgb: [T; 3],
    /// View-space z and its inverse; 0 if no pixel may see this Gaussian.
    pub(crate) depth: T,
    pub(crate) inv_depth: T,
    /// Half sides of the box of the record.
    pub(crate) half: [T; 2],
    /// Where alpha can be 1/255 or more.
    pub(crate) extent: Extent<T>,
}

impl<T: Real> Splat<T> {
    /// Of a record and its features. A record with a number that is not finite, or whose depth is not positive, is not
    /// visible.
    pub(crate) fn new(record: &Record<T>, features: &[T], cutoff: Cutoff) -> Self {
        let Record { x, y, inv_cov, opacity, depth, color, half_x, half_y, .. } = *record;
        let inv_depth = T::one() / depth;
        let mut numbers = [x, y, opacity, depth, inv_depth].into_iter().chain(inv_cov).chain(color);
        let finite = numbers.all(T::is_finite) && features.iter().all(|x| x.is_finite());
        if record.radius <= 0 || depth <= T::zero() || !finite {
            return Self::invisible();
        }
        Self {
            mean: [x, y],
            conic: inv_cov,
            opacity,
            rgb: color,
            depth,
            inv_depth,
            half: [half_x, half_y],
            extent: Extent::new(inv_cov, opacity, cutoff),
        }
    }

    pub(crate) fn invisible() -> Self {
        let o = T::zero();
        Self {
            mean: [o; 2],
            conic: [o; 3],
            opacity: o,
            rgb: [o; 3],
            depth: o,
            inv_depth: o,
            half: [o; 2],
            extent: Extent::nothing(),
        }
    }

    pub(crate) fn visible(&self) -> bool {
        self.depth > T::zero()
    }

    /// Of every record.
    pub(crate) fn all(records: &[Record<T>], features: &FeatureChannels<T>, cutoff: Cutoff) -> Vec<Self> {
        let each = records.par_iter().enumerate().with_min_len(256);
        each.map(|(i, record)| Self::new(record, features.row(i), cutoff)).collect()
    }
}
