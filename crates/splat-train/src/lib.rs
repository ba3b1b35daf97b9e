#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod average;
mod checkpoint;
mod config;
mod densify;
mod dropout;
mod error;
mod events;
mod gaussians;
pub mod loss;
mod memory;
pub mod metrics;
mod optimizer;
mod parts;
mod per_view;
mod preset;
mod profile;
mod random;
mod rates;
mod remedy;
mod resume;
mod shares;
mod trainer;
mod views;

pub use average::Average;
pub use checkpoint::{Checkpoint, Header, checkpoint_path};
pub use config::{Config, DEPTH_WEIGHT, Precision};
pub use densify::{
    Adc, AdcConfig, Budget, Change, Densify, Fixed, Guided, GuidedConfig, Mcmc, McmcConfig, Observation,
    Regularization, Strategy, Wants,
};
pub use dropout::Dropout;
pub use error::{Error, Result};
pub use events::{Evaluation, Event, Outcome, Sample};
pub use gaussians::{Gaussians, PARAMETERS, Probe};
pub use loss::{Comparison, Loss, Photometric};
pub use memory::memory_in_use_mib;
pub use optimizer::{Exponential, Group, Optimizer, Rows};
pub use per_view::{ColorMap, Exposures, Photographed, Poses, Response, Responses};
pub use preset::Preset;
pub use profile::PhaseTimes;
pub use rates::Rates;
pub use remedy::Remedy;
pub use resume::Difference;
pub use splat_dist::{Group as Ranks, Rendezvous};
pub use splat_init::{
    Init, MOST_POINTS, Method, PointSource, Start, Watch, first_points, first_points_watched, initial,
    neighbour_distances,
};
pub use splat_tch::{Backend, gradients};
pub use trainer::{HeldOut, RankReport, RunOptions, StepResult, Trainer, TrainerBuilder, render_settings};
pub use views::{Order, Target, Views};
