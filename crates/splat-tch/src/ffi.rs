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

/// Asks torch to let the segments of its CUDA allocator grow, unless `PYTORCH_CUDA_ALLOC_CONF` says something. Tensors whose
/// sizes change all the time, as those of a training with densification, then fragment memory little: 1.3 GB instead of
/// 5.3 for 390,000 Gaussians. Call it first thing in `main`, before other threads and before the first CUDA tensor. Nothing
/// happens on Windows, where torch has no such segments.
pub fn prefer_growing_segments() {
    bridge::cpp::prefer_growing_segments();
}

/// While it lives, backward calls of this thread run on it alone; restores what was set before.
#[derive(Debug)]
pub(crate) struct OneThread {
    before: bool,
    // The setting is the thread's own.
    _here: std::marker::PhantomData<*const ()>,
}

impl OneThread {
    pub(crate) fn enter() -> Self {
        Self { before: bridge::cpp::set_backward_threads(false), _here: std::marker::PhantomData }
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        bridge::cpp::set_backward_threads(self.before);
    }
}

/// Whether torch records graphs on this thread now.
pub(crate) fn grad_enabled() -> bool {
    bridge::cpp::grad_enabled()
}
