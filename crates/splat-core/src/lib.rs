//! 3D Gaussian Splatting on the CPU: the specification of every engine of this project.
//!
//! A render is two stages: [`project`] turns Gaussians into [`Record`]s, [`rasterize`] turns records into images;
//! [`rasterize_backward`] and [`project_backward`] are their backward passes. [`forward()`] and [`backward()`] are the
//! stages one after the other. Each equation stands here once, one file per step, generic over `f32` (for use) and `f64`
//! (for tests): `activation`, `covariance`, `affine`, `sh` and `projection`; `tiles` and `blend`; back through
//! `blend_backward`, `projection_backward` and `pose`. `adam`, `step` with `compact`, and `ssim` hold what else training
//! needs.
//!
//! Camera frame: x right, y down, z forward (OpenCV). Pixel centres are at integers. Quaternions are wxyz.
//! No unsafe code, no files, no torch, no printing.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod activation;
mod adam;
mod affine;
mod backward;
mod blend;
mod blend_backward;
mod camera;
mod channel;
mod check;
mod compact;
mod constants;
mod contributions;
mod covariance;
mod error;
mod extent;
mod forward;
mod fused;
mod limits;
mod pose;
mod project_backward;
mod projection;
mod projection_backward;
mod rasterize;
mod rasterize_backward;
mod record;
mod saved;
mod scene;
mod sh;
mod simd;
mod splat;
mod ssim;
mod step;
mod tile_grad;
mod tiles;
mod tuning;
mod upstream;
mod weights;

pub use adam::{Adam, AdamTensor, adam};
pub use backward::{Gradients, backward, backward_with};
pub use camera::{Camera, Model};
pub use channel::{Channel, Outputs, Wanted};
pub use compact::{Draws, from_bfloat, from_half, to_bfloat, to_half, to_signed, to_unsigned, unit};
pub use contributions::blended_contributions;
pub use error::Error;
pub use forward::{Forward, forward, forward_with, mark_visible};
pub use limits::{MAX_FEATURES, MAX_SH_DEGREE};
pub use project_backward::project_backward;
pub use projection::{Projected, project};
pub use rasterize::{Rasterized, rasterize};
pub use rasterize_backward::{RasterGradients, rasterize_backward};
pub use record::{Record, RecordGradient};
pub use saved::{Saved, SavedRef};
pub use scene::{Color, FeatureChannels, Mode, Real, Scene, Settings, Shape, Values};
pub use sh::basis as sh_basis;
pub use ssim::{Ssim, SsimShape, photometric, photometric_backward, ssim, ssim_backward};
pub use step::{Pull, Stored, compact_columns, step};
pub use tuning::{Cutoff, Derivative, Lanes, Tuning};
pub use upstream::Upstream;
