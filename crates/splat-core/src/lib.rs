//! 3D Gaussian Splatting on the CPU: the specification of every engine of this project.
//!
//! The equations stand here once, generic over `f32` (for use) and `f64` (for tests); kernels elsewhere
//! name the function they implement. Units and frames: world coordinates as the scene has them, camera
//! frame x right, y down, z forward (OpenCV), pixels with centres at integers, quaternions wxyz.
//! No unsafe code, no files, no torch, no printing.
//!
//! Stages, in the order of the forward pass: checking of inputs, `covariance`, `projection`, `sh`, `tiles`
//! (binning and sorting), `blend`; the backward pass runs `blend_backward`, then `projection_backward`.
//! [`forward()`] and [`backward()`] chain them on the current rayon pool.
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
