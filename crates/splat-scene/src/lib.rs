//! Reads and writes what 3D Gaussian Splatting is made from and turned into: COLMAP models, photographs,
//! PLY, `.splat`, 3DGS `cameras.json`.
//!
//! Everything a file says is checked against its length before anything is allocated, and an error names
//! the file, the place in it and what was expected there. Frames are world-to-camera with OpenCV axes;
//! image sizes are pixels. No device, no torch, no printing: warnings are returned.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cache;
pub mod cameras_json;
pub mod colmap;
mod cursor;
mod dataset;
mod error;
mod gaussians;
mod images;
mod photo;
mod picture;
pub mod ply;
pub mod splat_file;
mod write;

pub use cache::{CacheStats, PictureCache};
pub use dataset::{Dataset, Options, Point, View};
pub use error::{Error, Place, Result};
pub use gaussians::{Activated, Gaussians, SH_C0};
pub use photo::{Photo, save_png};
pub use picture::Picture;
pub use write::write_atomically;
