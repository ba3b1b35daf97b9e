//! The rasterizer as a differentiable operation for `tch`: [`render`] takes tensors and gives tensors whose
//! `backward()` reaches every input.
//!
//! ```no_run
//! use splat_tch::{Camera, Color, Gaussians, Settings, Shape, render};
//! use tch::{Device, Kind, Tensor};
//!
//! let floats = (Kind::Float, Device::Cpu);
//! let means = Tensor::randn([100, 3], floats).set_requires_grad(true);
//! let camera = splat_core::Camera::look_at(64, 64, 60.0, [0., 0., -5.], [0.; 3], [0., -1., 0.]);
//! let picture = render(
//!     &Gaussians {
//!         means3d: &means,
//!         opacities: &Tensor::full([100], 0.5, floats),
//!         color: Color::Rgb(&Tensor::rand([100, 3], floats)),
//!         shape: Shape::ScaleRotation {
//!             scales: &Tensor::full([100, 3], 0.1, floats),
//!             rotations: &Tensor::from_slice(&[1.0_f32, 0., 0., 0.]).expand([100, 4], false),
//!         },
//!         means2d: None,
//!         means2d_abs: None,
//!         features: None,
//!     },
//!     &Camera::new(camera, Device::Cpu)?,
//!     &Settings::default(),
//! )?;
//! picture.color.mean(Kind::Float).backward();
//! # Ok::<(), splat_tch::Error>(())
//! ```
//!
//! Shapes, units and frames are those of `splat_engine.h`; colours `[3,H,W]`. No kernel maths here, and no
//! files are opened: engines do the work, this crate checks, allocates by torch and keeps the graph.

mod camera;
mod check;
mod engines;
mod error;
mod ffi;
mod optimize;
mod render;
mod scene;
mod workspace;

pub use camera::Camera;
pub use engines::engine;
pub use error::Error;
pub use ffi::{Mark, prefer_growing_segments};
pub use optimize::{AdamGroup, adam_step, gradients, photometric, ssim};
pub use render::{mark_visible, render, render_batch};
pub use scene::{Background, Color, Counts, EngineChoice, Gaussians, Rendered, Settings, Shape};
pub use workspace::Workspace;
