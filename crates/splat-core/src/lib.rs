//! 3D Gaussian Splatting on the CPU: the specification of every engine of this project.
//!
//! Equations stand here once, a file a stage, generic over `f32` (for use) and `f64` (for tests): checks,
//! `covariance`, `projection`, `sh`, `tiles`, `blend`, and back `blend_backward`, `projection_backward`.
//! Camera frame x right, y down, z forward (OpenCV); pixel centres at integers; quaternions wxyz.
//! No unsafe code, no files, no torch, no printing.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

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
mod projection;
mod projection_backward;
mod reach;
mod scene;
mod sh;
mod simd;
mod tiles;
mod tuning;

pub use backward::{Gradients, Upstream, backward, backward_with};
pub use camera::Camera;
pub use error::Error;
pub use forward::{Forward, Saved, SavedRef, forward, forward_with, mark_visible};
pub use pairs::blended_pairs;
pub use scene::{Color, Real, Scene, Settings, Shape};
pub use tuning::{Cutoff, Derivative, Lanes, Tuning};
