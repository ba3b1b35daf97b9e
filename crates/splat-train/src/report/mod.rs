//! What a person looks at after a run: plots (SVG), tables (CSV), photographs beside renders (PNG).
//!
//! Files appear whole or not at all. Images are tensors `[3,H,W]` of any device, values clamped to 0 to 1;
//! nothing here prints or computes metrics.
//!
//! ```no_run
//! use splat_train::report::{self, Series};
//! # fn main() -> splat_train::Result<()> {
//! let loss = Series::new("loss", "training", vec![(100.0, 0.12), (200.0, 0.09)]);
//! let psnr = Series::new("PSNR, dB", "held out", vec![(0.0, 11.2), (200.0, 19.8)]);
//! report::plot("out/plot.svg".as_ref(), &[loss, psnr])?;
//! # Ok(())
//! # }
//! ```

mod csv;
mod frames;
mod names;
mod picture;
mod plot;

pub use csv::per_view_csv;
pub use frames::{Pixels, PngPool, Video, save};
pub use names::file_names;
pub use picture::{Rgb8, bytes, compared, heat, rgb8, side_by_side};
pub use plot::{Series, plot, svg};
