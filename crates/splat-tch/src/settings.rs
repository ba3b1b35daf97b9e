//! How Gaussians are rendered.

use splat_core::{Mode, Values};
use splat_engine::Abilities;
use tch::Tensor;

use crate::{Backend, Workspace};

/// How to render. `Settings::default()` and the update syntax `Settings { alpha: true, ..Settings::default() }` are the usual
/// ways to one.
#[derive(Debug)]
pub struct Settings {
    /// The colour behind everything. If it is a tensor that requires a gradient, it receives one (if the engine supports it).
    pub background: Background,
    /// Multiplies every scale.
    pub scale_modifier: f32,
    /// Active SH degree, 0 to 3; it has no meaning for [`Color::Rgb`](crate::Color::Rgb).
    pub sh_degree: u32,
    /// Compensate opacities for the dilation by 0.3 pixels (EWA).
    pub antialiasing: bool,
    /// In [`Mode::Exact`] a Gaussian covers every pixel where its alpha is at least 1/255, and gradients are the derivatives. In
    /// [`Mode::Compat`] image and gradients are those of the original rasterizer, which cuts Gaussians at 3 sigma. Engine
    /// `inria` has only the latter.
    pub mode: Mode,
    /// With [`Values::Raw`] the tensors are what an optimiser keeps: logarithms of scales, logits of opacities, and quaternions
    /// of any length, which the engine normalises. Gradients are with respect to these numbers. Covariances are taken as they
    /// are.
    pub values: Values,
    /// Make gradients bit-identical from run to run; this costs time on a GPU.
    pub reproducible: bool,
    /// Produce [`Rendered::depth`](crate::Rendered::depth).
    pub depth: bool,
    /// Produce [`Rendered::alpha`](crate::Rendered::alpha).
    pub alpha: bool,
    /// Produce [`Rendered::weight_sum`](crate::Rendered::weight_sum).
    pub weight_sum: bool,
    /// Produce [`Rendered::weight_max`](crate::Rendered::weight_max).
    pub weight_max: bool,
    /// An image `[H,W]`, for several cameras `[C,H,W]`, on the Gaussians' device: produce
    /// [`Rendered::weight_image`](crate::Rendered::weight_image), which says how much each Gaussian contributes to the pixels
    /// that the image marks.
    pub weight_image: Option<Tensor>,
    /// On a GPU: wait and check after every kernel, so that an error names the kernel that caused it.
    pub debug: bool,
    /// Where and by what to render. `None`: the best engine for the device of the tensors, [`Backend::of`].
    pub backend: Option<Backend>,
    /// On a GPU: renders do not wait for the device; see [`Workspace`].
    pub workspace: Option<Workspace>,
}

impl Default for Settings {
    /// Black background, scale 1, SH degree 3, [`Mode::Exact`], [`Values::Activated`], colour and inverse depth only, the
    /// engine that suits the tensors.
    fn default() -> Self {
        Self {
            background: Background::Rgb([0.0; 3]),
            scale_modifier: 1.0,
            sh_degree: 3,
            antialiasing: false,
            mode: Mode::Exact,
            values: Values::Activated,
            reproducible: false,
            depth: false,
            alpha: false,
            weight_sum: false,
            weight_max: false,
            weight_image: None,
            debug: false,
            backend: None,
            workspace: None,
        }
    }
}

impl Settings {
    /// The defaults on this backend; in [`Mode::Compat`] if its engine has no other.
    #[must_use]
    pub fn new(backend: &Backend) -> Self {
        let exact = backend.capabilities().abilities.contains(Abilities::EXACT);
        let mode = if exact { Mode::Exact } else { Mode::Compat };
        Self { mode, backend: Some(backend.clone()), ..Self::default() }
    }
}

impl Clone for Settings {
    /// Tensors are shared, not copied.
    fn clone(&self) -> Self {
        Self {
            background: self.background.clone(),
            weight_image: self.weight_image.as_ref().map(Tensor::shallow_clone),
            backend: self.backend.clone(),
            workspace: self.workspace.clone(),
            ..*self
        }
    }
}

/// The colour behind everything.
#[derive(Debug)]
pub enum Background {
    /// Red, green, blue.
    Rgb([f32; 3]),
    /// `[3]` on the device of the Gaussians.
    Tensor(Tensor),
}

impl Clone for Background {
    /// A tensor is shared, not copied.
    fn clone(&self) -> Self {
        match self {
            Self::Rgb(rgb) => Self::Rgb(*rgb),
            Self::Tensor(t) => Self::Tensor(t.shallow_clone()),
        }
    }
}

impl From<[f32; 3]> for Background {
    fn from(rgb: [f32; 3]) -> Self {
        Self::Rgb(rgb)
    }
}

impl From<Tensor> for Background {
    fn from(t: Tensor) -> Self {
        Self::Tensor(t)
    }
}
