//! Everything unsafe of this crate: the bridge to C++, engine calls on torch's memory, the allocator.
//!
//! Callers have checked shapes, kinds and devices; here pointers are taken, kept alive and given back.

mod adam;
mod bridge;
mod call;
mod frame;
mod mark;
mod memory;
mod render;
mod scope;
mod ssim;
mod tensors;

pub(crate) use adam::adam;
pub(crate) use frame::{Frame, Inputs};
pub use mark::Mark;
pub(crate) use render::{forward, mark_visible};
pub(crate) use ssim::{SsimFrame, ssim};

/// Whether torch records graphs on this thread now.
pub(crate) fn grad_enabled() -> bool {
    bridge::cpp::grad_enabled()
}
