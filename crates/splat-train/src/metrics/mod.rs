//! How close renders are to photographs: PSNR, SSIM and, with a network file that the user provides, LPIPS.
//!
//! Images are `[3,H,W]`, 0 to 1; renders are clamped to that range but not rounded to 8 bits. Masks are `[H,W]` `Bool`, where
//! true means that the pixel counts. [`Evaluator`] renders and compares a set of views;
//! [`Contributions`] says what each Gaussian adds to them. Nothing here records gradients.

mod contributions;
mod evaluator;
mod frozen;
mod lpips;
mod scores;
mod ssim;

pub use contributions::Contributions;
pub(crate) use evaluator::wait;
pub use evaluator::{Evaluator, Truth};
pub use frozen::Frozen;
pub use lpips::Lpips;
pub use scores::{Mean, Scores, ViewScore};
pub use ssim::ssim_map;
