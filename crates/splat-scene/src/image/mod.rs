//! Pixels: from the files of a view to what a training step compares a render with.
//!
//! - `photo`: decoding, area averages and PNG files; `jpeg` reads what the decoder does not tell.
//! - `lens`: camera models and their distortion, without pixels; `warp` resamples an image with it.
//! - `depth`: depth maps as inverse depths.
//! - `picture`: the three together, in the order in which a view's files become its [`Picture`].
//! - `cache`: pictures decoded ahead of time within a budget of bytes.
//!
//! Nothing here looks for files or knows dataset formats: that is the room `dataset`.

mod cache;
pub(crate) mod depth;
mod jpeg;
pub mod lens;
pub(crate) mod photo;
pub(crate) mod picture;
pub(crate) mod warp;

pub use cache::{CacheStats, PictureCache};
pub use photo::{Photo, save_png};
pub use picture::Picture;
