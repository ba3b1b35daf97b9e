//! From photographs with poses to Gaussians: the pieces of a training loop, and the loop.
//!
//! [`Gaussians`] are the parameters, [`Optimizer`] their Adam, [`Densify`] strategies change their number, [`Views`]
//! and [`Order`] bring photographs to the device, [`loss`] says how far a render is from one. [`Trainer`] is written on
//! these alone and reports by [`Event`]s: nothing here prints. World units are the dataset's, colours 0 to 1, images
//! `[3,H,W]`. The program `splat` is the listener.
#![deny(missing_docs)]

mod checkpoint;
mod config;
mod densify;
mod error;
mod events;
mod gaussians;
pub mod loss;
pub mod machine;
pub mod metrics;
mod optimizer;
mod per_view;
mod profile;
mod run;
mod trainer;
mod views;

pub use checkpoint::{Checkpoint, Header, checkpoint_path};
pub use config::{Config, DEPTH_WEIGHT, Rates};
pub use densify::{Adc, AdcConfig, Change, Densify, Fixed, Mcmc, McmcConfig, Observation, Strategy};
pub use error::{Error, Result};
pub use events::{Evaluation, Event, Outcome, Sample};
pub use gaussians::{Gaussians, PARAMETERS, Probe};
pub use machine::Machine;
pub use optimizer::{Exponential, Group, Optimizer, Rows};
pub use per_view::{ColorMap, Exposures, Photographed, Poses};
pub use profile::PhaseTimes;
pub use run::RunOptions;
pub use splat_init::{Init, Method, PointSource, Start, first_points, initial, neighbour_distances};
pub use splat_tch::gradients;
pub use trainer::{Trainer, device_for, render_settings};
pub use views::{Order, Target, Views};
