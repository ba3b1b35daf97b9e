//! 3D Gaussian Splatting on the CPU: the specification of every engine of this project.
//!
//! The equations stand here once, generic over `f32` (for use) and `f64` (for tests); kernels elsewhere
//! name the function they implement. Units and frames: world coordinates as the scene has them, camera
//! frame x right, y down, z forward (OpenCV), pixels with centres at integers, quaternions wxyz.
//! No unsafe code, no files, no torch, no printing.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod camera;
mod error;
mod scene;

pub use camera::Camera;
pub use error::Error;
pub use scene::{Color, Real, Scene, Settings, Shape};
