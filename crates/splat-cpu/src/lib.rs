//! The CPU engine: splat-core's equations behind the C tables of `splat_engine.h`.
//!
//! * [`engine()`] is the engine for Rust callers; [`get`] is its `splat_engine_get`, which the C library
//!   `libsplat_cpu` exports (the example target `splat_cpu` of this crate).
//! * [`host`] has safe calls of any engine whose memory is the host's: slices in, vectors out.
//!
//! The engine keeps no state between calls, so that any number of instances may work at once. It computes on the
//! current rayon pool and holds the temporaries of a call in ordinary memory; what a backward pass needs is kept in the
//! caller's SAVED allocations. No equations here, no torch, no files, no printing.
#![deny(missing_docs)]

mod call;
mod channels;
pub mod host;
mod image;
mod memory;
mod optimize;
mod raster;
mod saved;
mod stages;
mod step;
mod tables;

use std::sync::Arc;

use splat_core as core;
use splat_engine::{EngineError, SharedEngine, TableEngine};

pub use tables::get;

/// The CPU engine in this process.
///
/// # Panics
/// Never: its tables are whole and of this version.
#[must_use]
#[expect(unsafe_code, reason = "vouches for this crate's own tables")]
pub fn engine() -> SharedEngine {
    // SAFETY: `get` and the functions in its tables do what the header says.
    let engine = unsafe { TableEngine::from_get(get) };
    Arc::new(engine.expect("the tables of this crate are whole"))
}

fn refused(e: core::Error) -> EngineError {
    EngineError::InvalidArgument(e.to_string())
}

fn invalid<T>(text: String) -> Result<T, EngineError> {
    Err(EngineError::InvalidArgument(text))
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
