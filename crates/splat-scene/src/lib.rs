//! Reads and writes what 3D Gaussian Splatting is made from and turned into: COLMAP models and other posed
//! photographs, Gaussians as PLY, compressed PLY, `.splat`, SPZ and SOG, 3DGS `cameras.json`.
//!
//! Everything a file says is checked against its length before anything is allocated, and an error names
//! the file, the place in it and what was expected there. Frames are world-to-camera with OpenCV axes;
//! image sizes are pixels. No device, no torch, no printing: warnings are returned.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod assemble;
mod cache;
pub mod cameras_json;
mod capture;
pub mod colmap;
mod companions;
pub mod compressed_ply;
mod cursor;
mod dataset;
mod depth;
mod error;
mod formats;
mod gaussians;
mod images;
mod jpeg;
mod json;
pub mod lens;
mod opencv_cameras;
mod overview;
mod photo;
mod picture;
pub mod ply;
mod polycam;
mod poses;
mod quantize;
pub mod sog;
pub mod splat_file;
pub mod spz;
mod transforms;
mod warp;
mod write;

pub use cache::{CacheStats, PictureCache};
pub use dataset::{Dataset, Options, Point, View};
pub use error::{Error, Place, Result};
pub use formats::{Format, Progress, read_scene, write_scene, write_scene_as};
pub use gaussians::{Activated, Gaussians, Repair, SH_C0};
pub use photo::{Photo, save_png};
pub use picture::Picture;
pub use write::write_atomically;
