//! What is rendered, from where and how: tensors borrowed from the caller, a camera with its device copy,
//! settings, and the picture that comes back. Data alone; nothing is checked here.

use splat_engine::SharedEngine;
use tch::{Device, Kind, Tensor};

use crate::Error;

/// `P` Gaussians as `Float32` tensors of one device, any strides. Values as the rasterizer takes them: scales
/// after `exp`, opacities after the sigmoid.
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
    pub means2d: Option<&'a Tensor>,
}

/// Where a splat's colour comes from.
#[derive(Debug, Clone, Copy)]
pub enum Color<'a> {
    /// `[P,M,3]` SH coefficients, `M` at least `(sh_degree + 1)^2`.
    Sh(&'a Tensor),
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

/// A camera whose matrices lie on the device where it renders. Make it once a view, not once a render.
#[derive(Debug)]
pub struct Camera {
    core: splat_core::Camera,
    /// view, proj, campos: 35 numbers.
    pub(crate) tensor: Tensor,
}

impl Camera {
    /// Copies `camera` to `device`.
    ///
    /// # Errors
    /// [`Error::Torch`] if the device does not exist.
    pub fn new(camera: splat_core::Camera, device: Device) -> Result<Self, Error> {
        let mut numbers = [0.0_f32; 35];
        numbers[..16].copy_from_slice(&camera.view);
        numbers[16..32].copy_from_slice(&camera.proj);
        numbers[32..].copy_from_slice(&camera.campos);
        Ok(Self { core: camera, tensor: upload(&numbers, device)? })
    }

    /// The camera it was made from.
    #[must_use]
    pub fn core(&self) -> &splat_core::Camera {
        &self.core
    }

    /// Where it renders.
    #[must_use]
    pub fn device(&self) -> Device {
        self.tensor.device()
    }
}

/// Host numbers on a device. Does not wait for the device: so small a copy is staged before it returns.
pub(crate) fn upload(numbers: &[f32], device: Device) -> Result<Tensor, Error> {
    let host = Tensor::f_from_slice(numbers)?;
    Ok(if device == Device::Cpu { host } else { host.f_to_device_(device, Kind::Float, true, false)? })
}

/// How to render.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Colour behind everything. It gets no gradient, as in the original.
    pub background: Background,
    /// Multiplies every scale.
    pub scale_modifier: f32,
    /// Active SH degree, 0 to 3; without meaning for [`Color::Rgb`].
    pub sh_degree: u32,
    /// Opacity compensation for the 0.3 px dilation.
    pub antialiasing: bool,
    /// Produce [`Rendered::depth`].
    pub depth: bool,
    /// Produce [`Rendered::alpha`].
    pub alpha: bool,
    /// On a GPU: wait and check after every kernel, so that an error names the kernel that made it.
    pub debug: bool,
    /// Who renders.
    pub engine: EngineChoice,
}

impl Default for Settings {
    /// Black background, scale 1, degree 3, colour and inverse depth, the engine of the tensors' device.
    fn default() -> Self {
        Self {
            background: Background::Rgb([0.0; 3]),
            scale_modifier: 1.0,
            sh_degree: 3,
            antialiasing: false,
            depth: false,
            alpha: false,
            debug: false,
            engine: EngineChoice::Auto,
        }
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

/// A picture. All but [`radii`](Self::radii) is differentiable, once.
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
}
