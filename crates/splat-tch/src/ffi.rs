//! Everything unsafe of this crate: the bridge to C++, engine calls on torch's memory, the allocator.
//!
//! Callers have checked shapes, kinds and devices; here pointers are taken, kept alive and given back.

mod bridge;
mod call;
mod frame;
mod memory;
mod scope;
mod tensors;

pub(crate) use call::{forward, mark_visible};
pub(crate) use frame::{Frame, Inputs};
