//! What is rendered (borrowed slices, contiguous, row-major) and how. No arithmetic beyond that of the number types.

/// `f32` (for use) or `f64` (for tests).
pub trait Real:
    num_traits::Float
    + num_traits::NumAssign
    + bytemuck::Pod
    + Send
    + Sync
    + std::fmt::Debug
    + std::fmt::Display
    + Default
    + crate::simd::Dispatch
{
    /// Rounds to this type.
    fn from_f64_lossy(x: f64) -> Self;
    /// Widens.
    fn to_f64_exact(self) -> f64;
    /// `a b + c`, rounded once in f32; in f64, which only tests use, rounded twice.
    fn fused_multiply_add(a: Self, b: Self, c: Self) -> Self;
}

impl Real for f32 {
    fn from_f64_lossy(x: f64) -> Self {
        x as Self
    }
    fn to_f64_exact(self) -> f64 {
        f64::from(self)
    }
    fn fused_multiply_add(a: Self, b: Self, c: Self) -> Self {
        // The product is exact in f64, whatever instructions the processor has.
        (f64::from(a) * f64::from(b) + f64::from(c)) as Self
    }
}

impl Real for f64 {
    fn from_f64_lossy(x: f64) -> Self {
        x
    }
    fn to_f64_exact(self) -> f64 {
        self
    }
    fn fused_multiply_add(a: Self, b: Self, c: Self) -> Self {
        a * b + c
    }
}

/// `P` Gaussians. Scales are standard deviations and opacities are after the sigmoid, unless [`Settings::values`] says
/// otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a, T = f32> {
    /// Centres, `[P,3]`, world coordinates.
    pub means3d: &'a [T],
    /// Opacities, `[P]`.
    pub opacities: &'a [T],
    /// Colour or spherical harmonics.
    pub color: Color<'a, T>,
    /// Scales and rotations, or covariances.
    pub shape: Shape<'a, T>,
    /// Feature channels, alpha-blended like colour over a zero background.
    pub features: FeatureChannels<'a, T>,
}

/// `F` feature channels per Gaussian; none by default.
#[derive(Debug, Clone, Copy)]
pub struct FeatureChannels<'a, T = f32> {
    /// `[P,F]`.
    pub values: &'a [T],
    /// `F`, 0 to 64.
    pub count: usize,
}

impl<T> Default for FeatureChannels<'_, T> {
    fn default() -> Self {
        Self { values: &[], count: 0 }
    }
}

impl<'a, T> FeatureChannels<'a, T> {
    /// The features of Gaussian `i`.
    pub(crate) fn row(&self, i: usize) -> &'a [T] {
        &self.values[i * self.count..(i + 1) * self.count]
    }
}

/// Where a Gaussian's colour comes from.
#[derive(Debug, Clone, Copy)]
pub enum Color<'a, T = f32> {
    /// Spherical harmonics: `[P,M,3]` coefficients, `M = coeffs` stored per Gaussian.
    Sh {
        /// The coefficients.
        values: &'a [T],
        /// `M`.
        coeffs: usize,
    },
    /// The same with the constant term apart, as training stores it.
    SplitSh {
        /// `[P,1,3]`.
        first: &'a [T],
        /// `[P,M-1,3]`.
        rest: &'a [T],
        /// `M`.
        coeffs: usize,
    },
    /// `[P,3]`, used as given.
    Rgb(&'a [T]),
}

/// A Gaussian's shape in space.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'a, T = f32> {
    /// `covariance = R S^2 R^T`, `S = scale_modifier * scale`.
    ScaleRotation {
        /// `[P,3]` standard deviations.
        scales: &'a [T],
        /// `[P,4]` quaternions wxyz, used as given (not normalised) unless [`Values::Raw`]; a zero one is the identity.
        rotations: &'a [T],
    },
    /// `[P,6]`: xx xy xz yy yz zz; neither `scale_modifier` nor [`Values::Raw`] applies.
    Covariance(&'a [T]),
}

impl<T> Scene<'_, T> {
    /// `P`, the number of Gaussians.
    #[must_use]
    pub fn len(&self) -> usize {
        self.opacities.len()
    }

    /// Whether there are no Gaussians.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.opacities.is_empty()
    }
}

/// How to render.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings<T = f32> {
    /// Background colour, RGB.
    pub background: [T; 3],
    /// Multiplies every scale.
    pub scale_modifier: T,
    /// Active SH degree, 0 to 3.
    pub sh_degree: u32,
    /// Opacity compensation for the 0.3 px dilation (EWA).
    pub antialiasing: bool,
    /// Which pixels a Gaussian covers, and which formulas the backward pass uses.
    pub mode: Mode,
    /// What the scene's scales, opacities and rotations hold.
    pub values: Values,
}

/// Which pixels a Gaussian covers, and which formulas the backward pass uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// A Gaussian covers the 16x16 tiles that the square of its 3-sigma radius touches, and the backward pass uses the
    /// original's formulas, so that images, radii and gradients are the original's.
    #[default]
    Compat,
    /// A Gaussian covers every pixel where its alpha is at least 1/255, the backward pass is the derivative
    /// ([`crate::Derivative::Exact`]), and the Jacobian's clamp follows the principal point.
    Exact,
}

/// What the scene's scales, opacities and rotations hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Values {
    /// Standard deviations, opacities from 0 to 1, quaternions that are used as given.
    #[default]
    Activated,
    /// Logarithms of scales, logits of opacities, quaternions that are normalised here. Gradients are with respect to
    /// these raw values.
    Raw,
}

impl<T: Real> Default for Settings<T> {
    /// Black background, scale 1, degree 3, no antialiasing, mode `compat`, activated values.
    fn default() -> Self {
        Self {
            background: [T::zero(); 3],
            scale_modifier: T::one(),
            sh_degree: 3,
            antialiasing: false,
            mode: Mode::Compat,
            values: Values::Activated,
        }
    }
}
