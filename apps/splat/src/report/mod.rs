//! What a person looks at after a run: plots (SVG), tables (CSV), photographs beside renders (PNG).
//!
//! Files appear whole or not at all. Images are tensors `[3,H,W]` of any device, values clamped to 0 to 1;
//! nothing here prints or computes metrics.

mod csv;
mod frames;
mod names;
mod picture;
mod plot;
mod top;

pub(crate) use csv::per_view_csv;
pub(crate) use frames::{Pixels, PngPool, Video};
pub(crate) use names::file_names;
pub(crate) use picture::{Rgb8, bytes, compared, heat, rgb8, side_by_side};
pub(crate) use plot::{Series, plot, svg};
pub(crate) use top::from_above;
