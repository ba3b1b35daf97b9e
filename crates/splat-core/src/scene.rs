//! What is rendered (borrowed slices, contiguous, row-major) and how.

/// `f32` or `f64`.
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
    /// `a b + c`, rounded once in f32; in f64, which serves tests, without fusion.
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

/// `P` Gaussians. Values as the rasterizer takes them: scales after `exp`, opacities after the sigmoid, unless
/// [`Settings::raw`] says otherwise.
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
    /// Further channels, blended like colours, over zero.
    pub features: Features<'a, T>,
}

/// `F` further channels a splat; none by default.
#[derive(Debug, Clone, Copy)]
pub struct Features<'a, T = f32> {
    /// `[P,F]`.
    pub values: &'a [T],
    /// `F`, 0 to 64.
    pub count: usize,
}

impl<T> Default for Features<'_, T> {
    fn default() -> Self {
        Self { values: &[], count: 0 }
    }
}

/// Where a splat's colour comes from.
#[derive(Debug, Clone, Copy)]
pub enum Color<'a, T = f32> {
    /// `[P,M,3]` coefficients, `M = coeffs` stored a splat.
    Sh {
        /// The coefficients.
        values: &'a [T],
        /// `M`.
        coeffs: usize,
    },
    /// The same with the constant term apart, as trainings keep it.
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

/// A splat's extent in space.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'a, T = f32> {
    /// `covariance = R S^2 R^T`, `S = scale_modifier * scale`.
    ScaleRotation {
        /// `[P,3]` standard deviations.
        scales: &'a [T],
        /// `[P,4]` wxyz, used as given (not normalised).
        rotations: &'a [T],
    },
    /// `[P,6]`: xx xy xz yy yz zz; `scale_modifier` does not apply.
    Covariance(&'a [T]),
}

impl<T> Scene<'_, T> {
    /// `P`, the number of splats.
    #[must_use]
    pub fn len(&self) -> usize {
        self.opacities.len()
    }

    /// Whether there is no splat.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.opacities.is_empty()
    }
}

/// How to render.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings<T = f32> {
    /// Colour behind everything, RGB.
    pub background: [T; 3],
    /// Multiplies every scale.
    pub scale_modifier: T,
    /// Active SH degree, 0 to 3.
    pub sh_degree: u32,
    /// Opacity compensation for the 0.3 px dilation.
    pub antialiasing: bool,
    /// Mode `exact`: a splat reaches every pixel where its alpha is 1/255 or more, backward is the derivative
    /// ([`crate::Derivative::Exact`]), and the Jacobian's clamp follows the principal point. Otherwise mode
    /// `compat`: the tiles of the 3-sigma square, and the original's formulas.
    pub exact: bool,
    /// Scales are logarithms, opacities logits, rotations are normalised; gradients are for these raw values.
    /// Does not apply to [`Shape::Covariance`].
    pub raw: bool,
}

impl<T: Real> Default for Settings<T> {
    /// Black background, scale 1, degree 3, no antialiasing, mode `compat`, values as the rasterizer takes them.
    fn default() -> Self {
        Self {
            background: [T::zero(); 3],
            scale_modifier: T::one(),
            sh_degree: 3,
            antialiasing: false,
            exact: false,
            raw: false,
        }
    }
}
