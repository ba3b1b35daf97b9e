//! 3D Gaussian Splatting on the CPU: the specification of every engine of this project.
//!
//! Equations stand here once, a file a stage, generic over `f32` (for use) and `f64` (for tests): checks,
//! `activation`, `covariance`, `affine`, `projection`, `sh`, `tiles`, `blend`, and back `blend_backward`, `sums`,
//! `projection_backward`, `pose`, `parameters`.
//! What training needs besides is in `adam` and `ssim`.
//! Camera frame x right, y down, z forward (OpenCV); pixel centres at integers; quaternions wxyz.
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
mod check;
mod covariance;
mod error;
mod forward;
mod fused;
mod pairs;
mod parameters;
mod pose;
mod projection;
mod projection_backward;
mod reach;
mod scene;
mod sh;
mod simd;
mod ssim;
mod sums;
mod tiles;
mod tuning;

pub use adam::{Adam, AdamTensor, adam};
pub use backward::{Gradients, Upstream, backward, backward_with};
pub use camera::{Camera, Model};
pub use error::Error;
pub use forward::{Forward, Saved, SavedRef, forward, forward_with, mark_visible};
pub use pairs::blended_pairs;
pub use scene::{Color, Features, Real, Scene, Settings, Shape};
pub use ssim::{Ssim, SsimShape, photometric, photometric_backward, ssim, ssim_backward};
pub use tuning::{Cutoff, Derivative, Lanes, Tuning};
