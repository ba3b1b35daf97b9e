//! What is rendered: Gaussians as tensors borrowed from the caller, and the images that come back. Data only; nothing is
//! checked here.

use tch::Tensor;

/// `P` Gaussians as `Float32` tensors on one device, with any strides. By default the values are those that are rendered:
/// scales after `exp`, opacities after the sigmoid. [`Values::Raw`](crate::Values::Raw) takes them as an optimiser keeps them.
#[derive(Debug, Clone, Copy)]
pub struct Gaussians<'a> {
    /// Centres `[P,3]` in world coordinates.
    pub means3d: &'a Tensor,
    /// `[P]` or `[P,1]`.
    pub opacities: &'a Tensor,
    /// Colours or spherical harmonics.
    pub color: Color<'a>,
    /// Scales and rotations, or covariances.
    pub shape: Shape<'a>,
    /// See [`Gaussians::means2d`].
    pub means2d: Option<&'a Tensor>,
    /// See [`Gaussians::means2d_abs`].
    pub means2d_abs: Option<&'a Tensor>,
    /// See [`Gaussians::features`].
    pub features: Option<&'a Tensor>,
}

impl<'a> Gaussians<'a> {
    /// Centres `[P,3]` in world coordinates, opacities `[P]` or `[P,1]`, colours and shapes; nothing else.
    #[must_use]
    pub fn new(means3d: &'a Tensor, opacities: &'a Tensor, color: Color<'a>, shape: Shape<'a>) -> Self {
        Self { means3d, opacities, color, shape, means2d: None, means2d_abs: None, features: None }
    }

    /// A tensor `[P,3]`, for several cameras `[C,P,3]`, that receives the gradient with respect to the projected centres, which
    /// densification thresholds. It is in NDC units (gradient per pixel times half the image size); z is zero. The values of
    /// the tensor are never read.
    #[must_use]
    pub fn means2d(self, tensor: &'a Tensor) -> Self {
        Self { means2d: Some(tensor), ..self }
    }

    /// A tensor `[P,2]`, for several cameras `[C,P,2]`, that receives the sums over the pixels of the absolute gradients for x
    /// and for y, in the units of [`Gaussians::means2d`] (Ye et al. 2024, AbsGS). The values of the tensor are never read.
    #[must_use]
    pub fn means2d_abs(self, tensor: &'a Tensor) -> Self {
        Self { means2d_abs: Some(tensor), ..self }
    }

    /// Extra channels `[P,F]`, `F` up to 64, alpha-blended like colour over a zero background:
    /// [`Rendered::features`].
    #[must_use]
    pub fn features(self, tensor: &'a Tensor) -> Self {
        Self { features: Some(tensor), ..self }
    }
}

/// Where the colour of a Gaussian comes from.
#[derive(Debug, Clone, Copy)]
pub enum Color<'a> {
    /// Coefficients `[P,M,3]` of spherical harmonics, `M` at least `(sh_degree + 1)^2`.
    Sh(&'a Tensor),
    /// The same coefficients in two tensors, as training keeps them.
    SplitSh {
        /// `[P,1,3]`, the constant term.
        first: &'a Tensor,
        /// `[P,M-1,3]`, the others.
        rest: &'a Tensor,
    },
    /// The same with all but the constant term in 16 bits, for engines that can
    /// [step](splat_engine::Abilities::STEP). A render of them records no graph: [`Pass::step`](crate::Pass::step) is its
    /// backward pass.
    CompactSh {
        /// `[P,1,3]`, the constant term.
        first: &'a Tensor,
        /// `[P,S]` `Half`, contiguous: `3 (M-1)` numbers each, and what fills the row up to a multiple of 16.
        rest: &'a Tensor,
        /// `M`.
        coeffs: i64,
    },
    /// RGB `[P,3]`, used as given.
    Rgb(&'a Tensor),
}

/// The shape of a Gaussian.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'a> {
    /// `covariance = R S^2 R^T` with `S = scale_modifier * scale`.
    ScaleRotation {
        /// Standard deviations `[P,3]`.
        scales: &'a Tensor,
        /// Quaternions `[P,4]` wxyz, used as given (not normalised).
        rotations: &'a Tensor,
    },
    /// `[P,6]`: xx xy xz yy yz zz. `scale_modifier` does not apply.
    Covariance(&'a Tensor),
}

/// Outputs of a render. After [`render_batch`](crate::render_batch) each has a leading camera dimension `C`. The images are
/// differentiable (first derivatives only); `radii` and the weights are not.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rendered {
    /// RGB `[3,H,W]`, not clamped.
    pub color: Tensor,
    /// `[P]` `Int`: the 3-sigma radius in pixels, 0 if the Gaussian is not visible.
    pub radii: Tensor,
    /// `[1,H,W]`, the sum of weight / z; the background adds nothing.
    pub inv_depth: Tensor,
    /// `[1,H,W]`, the sum of weight * z, if [`Settings::depth`](crate::Settings::depth) asks for it.
    pub depth: Option<Tensor>,
    /// `[1,H,W]`, the sum of weights, if [`Settings::alpha`](crate::Settings::alpha) asks for it.
    pub alpha: Option<Tensor>,
    /// `[F,H,W]`, the sum of weight * feature, if the Gaussians have features.
    pub features: Option<Tensor>,
    /// `[P]`, the sum of each Gaussian's weights over the pixels, if
    /// [`Settings::weight_sum`](crate::Settings::weight_sum) asks for it.
    pub weight_sum: Option<Tensor>,
    /// `[P]`, the largest of each Gaussian's weights, if [`Settings::weight_max`](crate::Settings::weight_max) asks for it.
    pub weight_max: Option<Tensor>,
    /// `[P]`, the sum over the pixels of weight * image, if there is a
    /// [`Settings::weight_image`](crate::Settings::weight_image).
    pub weight_image: Option<Tensor>,
    /// What the engine counted.
    pub counts: Counts,
}

/// What the engine counted in a render. With a [`Workspace`](crate::Workspace) ask
/// [`Workspace::progress`](crate::Workspace::progress) later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Gaussian-tile intersections of all cameras; `None` while only the device knows.
    pub intersections: Option<i64>,
    /// Gaussians left out because one of their numbers is not finite; `None` while only the device knows.
    pub rejected: Option<i64>,
    pub(crate) ticket: i64,
}
