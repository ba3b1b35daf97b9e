//! Engine `cuda`: this project's CUDA kernels behind [`Engine`](splat_engine::Engine).
//!
//! With the feature `compile` the kernels are compiled and linked; without it the crate builds on every machine, and
//! [`engine`] is an error that says what can be done. Tensors are device memory. There is no torch here, and no device
//! memory of its own: the caller's allocator gives it.
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
        "engine `cuda` is not part of this build; hint: enable the feature `cuda` of splat-tch (or `compile` of splat-cuda), \
         or put an engine library into $SPLAT_ENGINES and open it at run time"
            .into(),
    ))
}

/// The engine as a shared library, which exports the C function of `splat_engine.h`, in cargo's output folder. `None` if
/// this build does not have it. The file may be gone if the program runs on another machine.
#[must_use]
pub fn library() -> Option<&'static Path> {
    option_env!("SPLAT_ENGINE_LIBRARY").map(Path::new)
}
