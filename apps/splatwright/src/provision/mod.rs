//! Brings what the plan wants and the machine lacks into the cache, through the machine's own pip, and the
//! original rasterizer's sources where their licence is accepted. Every folder appears whole or not at all.
//! Decides nothing: what is wanted and why is the plan's.

pub mod archive;
pub mod cache;
pub mod consent;
pub(crate) mod index;
pub mod offline;
pub mod original;
mod package;
pub mod packages;
pub(crate) mod pip;
pub mod progress;
pub mod reconstruction;
pub mod sources;
pub mod stamp;
pub mod viewer;

use std::path::Path;

use splat_toolchain::machine::Python;

pub use self::{
    cache::Cache,
    consent::{Accepted, Consent},
    original::{Original, ensure_glm, ensure_original, has_glm},
    packages::ensure_managed,
    progress::{Progress, Step, Terminal},
    viewer::ensure_viewer,
};

/// What every call here needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The repository's root, for the pins.
    pub repo: &'a Path,
    /// Where installations are kept.
    pub cache: &'a Cache,
    /// The interpreter whose pip is used.
    pub python: &'a Python,
    /// Nothing may be fetched.
    pub offline: bool,
}
