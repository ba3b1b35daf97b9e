//! One rasterizer engine, seen from outside: the C header `include/splat_engine.h`, its Rust mirror
//! ([`abi`]), the [`Engine`] trait that every implementer meets, and the CPU engine behind it.
//!
//! * [`cpu()`] is splat-core's engine, in this process. Built as a `cdylib`, this crate exports the same
//!   engine as a C library.
//! * [`LoadedEngine::open`] loads any engine library at run time.
//! * [`host`] has safe calls on host slices, for engines whose memory is the host's.
//!
//! No torch here, no files but the library that is loaded, no printing.

pub mod abi;
mod cpu;
mod engine;
mod exports;
pub mod host;
mod loaded;
mod workspace;

pub use cpu::cpu;
pub use engine::{Capabilities, DeviceKind, Engine, EngineError, Features, Outputs, SharedEngine};
pub use loaded::{LoadError, LoadedEngine, SYMBOLS};
pub use workspace::{Progress, Workspace};
