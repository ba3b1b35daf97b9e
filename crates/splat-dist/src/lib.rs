#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

mod error;
mod ffi;
mod group;
mod rendezvous;
mod watch;

pub use error::{Error, Result};
pub use group::{Group, Times};
pub use rendezvous::Rendezvous;
