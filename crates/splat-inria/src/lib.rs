//! Engine `inria`: the CUDA sources of the original rasterizer (Kerbl et al. 2023) behind
//! [`Engine`](splat_engine::Engine), to compare with.
//!
//! **Licence.** This crate holds an adapter alone, under this project's terms. With the feature `compile` it compiles the
//! original's sources, which you fetch and `SPLATWRIGHT_INRIA_SOURCE` names; they, and every program that contains them,
//! may be used for non-commercial research and evaluation only (see `NOTICE`). No other crate or feature switches it on.
//!
//! Without the feature the crate builds on every machine, and [`engine`] is an error that says what can be done.
#![deny(missing_docs)]

#[cfg(feature = "compile")]
mod ffi;

use std::path::Path;

use splat_engine::{EngineError, SharedEngine};

/// Whether this build has the engine (feature `compile`).
pub const BUILT: bool = cfg!(feature = "compile");

/// The engine.
///
/// Needs no GPU: [`Engine::device_ready`](splat_engine::Engine::device_ready) tells whether one can be used.
///
/// # Errors
/// [`EngineError::Unsupported`] if this build does not have it.
pub fn engine() -> Result<SharedEngine, EngineError> {
    #[cfg(feature = "compile")]
    return ffi::engine();
    #[cfg(not(feature = "compile"))]
    Err(EngineError::Unsupported(
        "engine `inria` is not part of this build; hint: if its licence (non-commercial research and evaluation) suits you, \
         enable the feature `inria` of splat-tch (or `compile` of splat-inria), or put an engine library into \
         $SPLAT_ENGINES and open it at run time"
            .into(),
    ))
}

/// The engine as a shared library, which exports the C function of `splat_engine.h`, in cargo's output folder, with
/// `NOTICE.splat_inria` beside it. `None` if this build does not have it. The file may be gone if the program runs on
/// another machine.
#[must_use]
pub fn library() -> Option<&'static Path> {
    option_env!("SPLAT_ENGINE_LIBRARY").map(Path::new)
}
