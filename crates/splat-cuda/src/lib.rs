//! CUDA engines behind [`Engine`](splat_engine::Engine): this project's kernels (`cuda`) and the original
//! rasterizer's sources (`inria`).
//!
//! What is in this build is chosen by `SPLATWRIGHT_ENGINES` when it is compiled ([`BUILT`]); asking for another
//! engine is an error that says how to get it, so that users' code compiles on every machine. Memory is device
//! memory. No torch here, no device memory of its own: the caller's allocator gives it.

#[cfg(any(engine_cuda, engine_inria))]
mod ffi;

use std::path::Path;

use splat_engine::{EngineError, SharedEngine};

/// Names of the engines in this build, best first.
pub const BUILT: &[&str] = match (cfg!(engine_cuda), cfg!(engine_inria)) {
    (true, true) => &["cuda", "inria"],
    (true, false) => &["cuda"],
    (false, true) => &["inria"],
    (false, false) => &[],
};

/// This project's kernels.
///
/// Needs no GPU: [`splat_engine::Engine::device_ready`] tells whether one can be used.
///
/// # Errors
/// [`EngineError::Unsupported`] if this build does not have it.
pub fn cuda() -> Result<SharedEngine, EngineError> {
    #[cfg(engine_cuda)]
    return Ok(std::sync::Arc::new(ffi::cuda::Cuda));
    #[cfg(not(engine_cuda))]
    return Err(EngineError::Unsupported(
        "engine `cuda` is not part of this build; hint: cargo xtask build --engines cpu,cuda".into(),
    ));
}

/// The original CUDA sources, for non-commercial research and evaluation.
///
/// Needs no GPU: [`splat_engine::Engine::device_ready`] tells whether one can be used.
///
/// # Errors
/// [`EngineError::Unsupported`] if this build does not have it.
pub fn inria() -> Result<SharedEngine, EngineError> {
    #[cfg(engine_inria)]
    return Ok(std::sync::Arc::new(ffi::inria::Inria));
    #[cfg(not(engine_inria))]
    return Err(EngineError::Unsupported(
        "engine `inria` is not part of this build; hint: cargo xtask build --engines cpu,inria --accept-license \
         inria"
            .into(),
    ));
}

/// The CUDA engine of that name.
///
/// # Errors
/// [`EngineError::Unsupported`] if there is none, or this build does not have it.
pub fn engine(name: &str) -> Result<SharedEngine, EngineError> {
    match name {
        "cuda" => cuda(),
        "inria" => inria(),
        _ => Err(EngineError::Unsupported(format!(
            "there is no CUDA engine `{name}`; there are `cuda` and `inria`"
        ))),
    }
}

/// The shared library of a built engine, which exports `splat_engine.h`, in cargo's output folder. `None` if
/// this build does not have the engine. The file may be gone if the program runs on another machine.
#[must_use]
pub fn library(name: &str) -> Option<&'static Path> {
    let path = match name {
        "cuda" => option_env!("SPLAT_CUDA_LIBRARY"),
        "inria" => option_env!("SPLAT_INRIA_LIBRARY"),
        _ => None,
    };
    path.map(Path::new)
}
