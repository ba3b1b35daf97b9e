//! What is rendered and how: tensors borrowed from the caller, settings, and the picture that comes back. Data
//! alone; nothing is checked here.

use splat_engine::{Features, SharedEngine};
use tch::{Device, Kind, Tensor};

use crate::{Error, Workspace};

/// `P` Gaussians as `Float32` tensors of one device, any strides. Values as the rasterizer takes them: scales
/// after `exp`, opacities after the sigmoid, unless [`Settings::raw`] says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Gaussians<'a> {
    /// Centres, `[P,3]`, world coordinates.
    pub means3d: &'a Tensor,
    /// `[P]` or `[P,1]`.
    pub opacities: &'a Tensor,
    /// Colours or spherical harmonics.
    pub color: Color<'a>,
    /// Scales and rotations, or covariances.
    pub shape: Shape<'a>,
    /// `[P,3]`: receives the gradient with respect to the projected centres in NDC units (pixel gradient times
    /// half the image's size; z is zero), which densification thresholds. Its values are never read.
    /// With several cameras `[C,P,3]`.
    pub means2d: Option<&'a Tensor>,
    /// `[P,2]`, with several cameras `[C,P,2]`: receives the sums over the pixels of the absolute gradients, x and y
    /// apart, in the same units (Ye et al. 2024, AbsGS). Its values are never read.
    pub means2d_abs: Option<&'a Tensor>,
    /// `[P,F]` further channels, `F` to 64, blended like colours over zero: [`Rendered::features`].
    pub features: Option<&'a Tensor>,
}

/// Where a splat's colour comes from.
#[derive(Debug, Clone, Copy)]
pub enum Color<'a> {
    /// `[P,M,3]` SH coefficients, `M` at least `(sh_degree + 1)^2`.
    Sh(&'a Tensor),
    /// The same coefficients in two tensors, as trainings keep them.
    SplitSh {
        /// `[P,1,3]`, the constant term.
        first: &'a Tensor,
        /// `[P,M-1,3]`.
        rest: &'a Tensor,
    },
    /// `[P,3]`, used as given.
    Rgb(&'a Tensor),
}

/// A splat's extent in space.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'a> {
    /// `covariance = R S^2 R^T`, `S = scale_modifier * scale`.
    ScaleRotation {
        /// `[P,3]` standard deviations.
        scales: &'a Tensor,
        /// `[P,4]` wxyz, used as given (not normalised).
        rotations: &'a Tensor,
    },
    /// `[P,6]`: xx xy xz yy yz zz; `scale_modifier` does not apply.
    Covariance(&'a Tensor),
}

/// Host numbers on a device. Does not wait for the device: so small a copy is staged before it returns.
pub(crate) fn upload(numbers: &[f32], device: Device) -> Result<Tensor, Error> {
    let host = Tensor::f_from_slice(numbers)?;
    Ok(if device == Device::Cpu { host } else { host.f_to_device_(device, Kind::Float, true, false)? })
}

/// How to render.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Colour behind everything. A tensor that requires a gradient gets one, if the engine can.
    pub background: Background,
    /// Multiplies every scale.
    pub scale_modifier: f32,
    /// Active SH degree, 0 to 3; without meaning for [`Color::Rgb`].
    pub sh_degree: u32,
    /// Opacity compensation for the 0.3 px dilation.
    pub antialiasing: bool,
    /// Mode `exact`: splats reach every pixel where their alpha is 1/255 or more, and gradients are the derivatives.
    /// Otherwise mode `compat`: image and gradients of the original, which cuts splats at 3 sigma. Engine `inria` has
    /// `compat` alone.
    pub exact: bool,
    /// The tensors are what an optimiser keeps: logarithms of scales, logits of opacities, quaternions of any length,
    /// which the engine normalises. Gradients are for these numbers. Covariances are taken as they are.
    pub raw: bool,
    /// Gradients bit-identical from run to run; costs time on a GPU.
    pub reproducible: bool,
    /// Produce [`Rendered::depth`].
    pub depth: bool,
    /// Produce [`Rendered::alpha`].
    pub alpha: bool,
    /// On a GPU: wait and check after every kernel, so that an error names the kernel that made it.
    pub debug: bool,
    /// Who renders.
    pub engine: EngineChoice,
    /// On a GPU: renders do not wait for the device; see [`Workspace`].
    pub workspace: Option<Workspace>,
}

impl Default for Settings {
    /// Black background, scale 1, degree 3, mode `exact`, values as the rasterizer takes them, colour and inverse
    /// depth, the engine of the tensors' device.
    fn default() -> Self {
        Self {
            background: Background::Rgb([0.0; 3]),
            scale_modifier: 1.0,
            sh_degree: 3,
            antialiasing: false,
            exact: true,
            raw: false,
            reproducible: false,
            depth: false,
            alpha: false,
            debug: false,
            engine: EngineChoice::Auto,
            workspace: None,
        }
    }
}

impl Settings {
    /// The defaults with this engine, in mode `compat` if it has no other.
    #[must_use]
    pub fn with_engine(engine: SharedEngine) -> Self {
        let exact = engine.capabilities().features.contains(Features::EXACT);
        Self { exact, engine: EngineChoice::Handle(engine), ..Self::default() }
    }
}

/// The colour behind everything.
#[derive(Debug)]
pub enum Background {
    /// Red, green, blue.
    Rgb([f32; 3]),
    /// `[3]` on the scene's device.
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

/// Which engine renders.
#[derive(Debug, Clone, Default)]
pub enum EngineChoice {
    /// `cpu` for CPU tensors; for CUDA tensors the first of `cuda`, `inria` that this program was built with.
    #[default]
    Auto,
    /// By name: `cpu`, `cuda`, `inria`.
    Named(String),
    /// This one, whoever made it.
    Handle(SharedEngine),
}

impl From<&str> for EngineChoice {
    /// `auto` or an engine's name.
    fn from(name: &str) -> Self {
        if name == "auto" { Self::Auto } else { Self::Named(name.into()) }
    }
}

/// A picture, or `C` of them with that as the first dimension. All but [`radii`](Self::radii) is differentiable,
/// once.
#[derive(Debug)]
pub struct Rendered {
    /// `[3,H,W]` RGB, not clamped.
    pub color: Tensor,
    /// `[P]` `Int`: 3-sigma radius in pixels, 0 = not visible.
    pub radii: Tensor,
    /// `[1,H,W]` sum of weight / z; the background adds nothing.
    pub inv_depth: Tensor,
    /// `[1,H,W]` sum of weight * z, if asked for.
    pub depth: Option<Tensor>,
    /// `[1,H,W]` sum of weight, if asked for.
    pub alpha: Option<Tensor>,
    /// `[F,H,W]` sum of weight * feature, if there are features.
    pub features: Option<Tensor>,
    /// What the engine counted.
    pub counts: Counts,
}

/// What a render's engine counted. With a [`Workspace`], ask [`Workspace::progress`] later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// (splat, tile) pairs of all cameras; `None` while only the device knows.
    pub pairs: Option<i64>,
    /// Splats left out because one of their numbers is not finite; `None` likewise.
    pub rejected: Option<i64>,
    pub(crate) ticket: i64,
}
