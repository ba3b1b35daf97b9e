//! Differentiable 3D Gaussian Splatting for `tch`: [`render`] takes tensors and returns tensors whose `backward()` reaches
//! every input.
//!
//! ```
//! use splat_tch::tch::{Device, Kind, Tensor};
//! use splat_tch::{Camera, CameraModel, Color, Gaussians, Settings, Shape};
//!
//! let floats = (Kind::Float, Device::Cpu);
//! let means = Tensor::randn([100, 3], floats).set_requires_grad(true);
//! let opacities = Tensor::full([100], 0.5, floats);
//! let colors = Tensor::rand([100, 3], floats);
//! let scales = Tensor::full([100, 3], 0.1, floats);
//! let rotations = Tensor::from_slice(&[1.0_f32, 0., 0., 0.]).expand([100, 4], false);
//!
//! let model = CameraModel::look_at(64, 64, 60.0, [0., 0., -5.], [0.; 3], [0., -1., 0.]);
//! let camera = Camera::new(model, Device::Cpu)?;
//! let shape = Shape::ScaleRotation { scales: &scales, rotations: &rotations };
//! let gaussians = Gaussians::new(&means, &opacities, Color::Rgb(&colors), shape);
//!
//! let rendered = splat_tch::render(&gaussians, &camera, &Settings::default())?;
//! rendered.color.mean(Kind::Float).backward();
//! assert_eq!(means.grad().size(), [100, 3]);
//! # Ok::<(), splat_tch::Error>(())
//! ```
//!
//! On a GPU the same code renders with engine `cuda`: build with feature `cuda` (needs a CUDA toolkit and CMake), or let
//! `$SPLAT_ENGINES` name an engine library; see [`Backend`].
//!
//! Shapes, units and frames are those of `splat_engine.h`: world-to-camera matrices, cameras that look along +z with y down,
//! quaternions wxyz, images `[3,H,W]`. There is no kernel maths here, and no files are opened but engine libraries: engines do
//! the work, this crate checks, allocates with torch and keeps the graph.
#![deny(missing_docs)]

mod adam;
mod backend;
mod camera;
mod channel;
mod check;
mod error;
mod ffi;
mod gradients;
mod image;
mod input;
mod render;
mod scene;
mod settings;
mod stages;
mod step;
mod workspace;

pub use adam::{AdamGroup, adam_step};
pub use backend::Backend;
pub use camera::Camera;
pub use error::Error;
pub use ffi::{Mark, prefer_growing_segments};
pub use gradients::gradients;
pub use image::{photometric, ssim};
pub use render::{mark_visible, render, render_batch};
pub use scene::{Color, Counts, Gaussians, Rendered, Shape};
pub use settings::{Background, Settings};
/// A camera as numbers: image size, world-to-camera matrix and projection. [`Camera`] puts it on a device.
pub use splat_core::Camera as CameraModel;
pub use splat_core::{Mode, Model, Values};
pub use splat_engine::{Capabilities, EngineError, Progress, SharedEngine};
pub use stages::{Extra, Projected, Projection, RECORD, RECORD_GRADIENT, Rasterization, project, rasterize};
pub use step::{Pass, StepGroup, StepOptions, Stepped, Stored, Target, Upstream, render_pass};
/// The tch whose tensors this crate takes. One release of tch fits exactly one libtorch, so use this one.
pub use tch;
pub use workspace::Workspace;

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
