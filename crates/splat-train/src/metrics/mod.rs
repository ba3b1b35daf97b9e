//! How near renders come to photographs: PSNR, SSIM and, with a network file of the user's, LPIPS.
//!
//! Images are `[3,H,W]`, 0 to 1; renders are clamped to that but not rounded to 8 bits. Masks are `[H,W]` `Bool`,
//! true = counts. [`Evaluator`] renders and compares a set of views; `splat eval` and the trainer use it.
//! Nothing here trains: no gradients.

mod evaluator;
mod frozen;
mod lpips;
mod scores;
mod ssim;

pub use evaluator::{Evaluator, Truth};
pub use frozen::Frozen;
pub use lpips::Lpips;
pub use scores::{Mean, Scores, ViewScore};
pub use ssim::ssim_map;
