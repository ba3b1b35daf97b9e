//! Everything unsafe of this crate: the bridge to C++, engine calls on torch's memory, the allocator.
//!
//! Callers have checked shapes, kinds and devices; here pointers are taken, kept alive and given back.

mod bridge;
mod call;
mod memory;

pub(crate) use call::{Frame, Inputs, forward, mark_visible};
