//! From photographs with poses to Gaussians: the training loop, its losses and metrics.
//!
//! [`Trainer`] owns the parameters and their optimiser, renders through `splat_tch`, and reports by
//! [`Event`]s: nothing here prints. World units are the dataset's, colours 0 to 1, images `[3,H,W]`.
//! No densification yet: the number of Gaussians stays that of the initial points. The program `splat`
//! is the listener.
#![deny(missing_docs)]

mod adam;
mod config;
mod error;
mod events;
mod frames;
mod gaussians;
mod init;
mod loss;
mod machine;
pub mod metrics;
mod output;
pub mod report;
mod trainer;
pub mod trajectory;

pub use adam::{Adam, Group};
pub use config::{Config, Rates};
pub use error::{Error, Result};
pub use events::{Evaluation, Event, Outcome};
pub use gaussians::Gaussians;
pub use init::{Init, Method, PointSource, Start, first_points, initial, neighbour_distances};
pub use loss::{Ssim, photometric, psnr};
pub use machine::Machine;
pub use output::Output;
pub use trainer::{Trainer, device_for};
