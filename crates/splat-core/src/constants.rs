//! The numbers that define the image and its gradients. All are the original rasterizer's (Kerbl et al. 2023).

/// A Gaussian whose centre is no farther in front of the camera than this is culled, world units.
pub(crate) const NEAR: f64 = 0.2;
/// Added to the homogeneous coordinate before the perspective division.
pub(crate) const W_EPSILON: f64 = 1e-7;
/// The Jacobian of the projection is evaluated at most this factor outside the field of view.
pub(crate) const FIELD_LIMIT: f64 = 1.3;
/// Variance, in square pixels, that is added to every projected covariance (the reconstruction filter).
pub(crate) const DILATION: f64 = 0.3;
/// Smallest ratio of determinants that the antialiasing factor uses.
pub(crate) const AA_FLOOR: f64 = 0.000_025;
/// Added to the squared determinant in the original's gradient of the inverse covariance.
pub(crate) const DET_EPSILON: f64 = 1e-7;
/// A pixel skips a Gaussian whose alpha is under this.
pub(crate) const ALPHA_MIN: f64 = 1.0 / 255.0;
/// Largest alpha.
pub(crate) const ALPHA_MAX: f64 = 0.99;
/// A pixel stops before its transmittance falls under this.
pub(crate) const T_MIN: f64 = 1e-4;
