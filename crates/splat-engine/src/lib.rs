//! One rasterizer engine as its users see it: the C header `include/splat_engine.h`, its Rust mirror ([`abi`]), the
//! [`Engine`] trait, and the ways to get an engine.
//!
//! * [`TableEngine`] is an engine behind the header's C tables: a library opened at run time or one that is linked.
//! * [`registry`] lists the engines that a program was linked with and the libraries that it finds.
//! * [`Workspace`] lets forward calls run without waiting for the device.
//!
//! This crate holds no engine and no equations, and exports no symbol. It knows no torch, and opens no file but the
//! libraries that it is told to load or that the registry's documented places hold. It prints nothing.
#![deny(missing_docs)]

pub mod abi;
mod capabilities;
mod engine;
mod error;
pub mod registry;
mod table;
mod workspace;

pub use capabilities::{Abilities, Capabilities, Channels, DeviceInfo, DeviceKind};
pub use engine::{Engine, SharedEngine};
pub use error::{EngineError, LoadError};
pub use table::TableEngine;
pub use workspace::{Progress, Workspace};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
