//! Reads and writes the data of 3D Gaussian Splatting: datasets of posed photographs in, files of Gaussians in and
//! out.
//!
//! The crate has three rooms:
//! - `dataset/`: [`Dataset::open`] finds out which format a folder holds and returns views with cameras, plus the
//!   sparse points; masks, depth maps, [`colmap`] models and `cameras.json` belong here. Its table of formats is
//!   `dataset/formats.rs`.
//! - `gaussians/`: [`Gaussians`] on the host and their file formats, from [`ply`] to [`sog`]. Its table of formats
//!   is `gaussians/formats.rs`.
//! - `image/`: decoding ([`Photo`]), [`lens`] distortion and its removal, depth maps, and the [`PictureCache`] that
//!   feeds a training loop.
//!
//! Frames are world-to-camera with OpenCV axes (x right, y down, z forward), quaternions are wxyz, image sizes are
//! pixels, and world units are those of the dataset.
//!
//! Every size that a file claims is compared with the file's length before anything is allocated, and an error names
//! the file, the position in it and what was expected there. The crate knows no device and no torch, and it prints
//! nothing: warnings are returned.
//!
//! ```no_run
//! use splat_scene::{Dataset, Gaussians, OpenOptions};
//!
//! # fn main() -> splat_scene::Result<()> {
//! let dataset = Dataset::open("garden", &OpenOptions { downscale: Some(4), ..OpenOptions::default() })?;
//! let picture = dataset.views[dataset.train[0]].load()?;
//! println!("{} x {} pixels, {} points", picture.photo.width, picture.photo.height, dataset.points.len());
//!
//! Gaussians::read("garden.ply")?.write("garden.spz")?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod dataset;
mod error;
mod files;
mod gaussians;
mod image;
mod origin;

pub use dataset::{Dataset, Finding, OpenOptions, Plausibility, Point, View, cameras_json, colmap};
pub use error::{Error, NotRead, Place, Remedy, Result};
pub use files::{read as read_file, write_atomically};
pub use gaussians::{
    Activated, GaussianFormat, Gaussians, Loaded, Precision, Region, Repair, Rows, SH_C0, Similarity,
    WriteProgress, compressed_ply, gltf, most, ply, sog, splat_file, spz, up_of_cameras, usd,
};
pub use image::{CacheStats, Photo, Picture, PictureCache, lens, save_png};
pub use origin::Origin;
