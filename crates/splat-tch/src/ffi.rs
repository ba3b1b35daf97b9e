//! Everything unsafe of this crate: the bridge to C++, engine calls on torch's memory, the allocator.
//!
//! Callers have checked shapes, kinds and devices; here pointers are taken, kept alive and given back.

mod adam;
mod bridge;
mod call;
mod cuda_half;
mod frame;
mod image;
mod mark;
mod memory;
mod render;
mod scope;
mod stages;
mod step;
mod tensors;

pub(crate) use adam::adam;
pub(crate) use cuda_half::cuda_half_failure;
pub(crate) use frame::Frame;
pub(crate) use image::{Comparison, Measure, compare};
pub use mark::Mark;
pub(crate) use render::{Follows, forward, mark_visible};
pub(crate) use stages::{Raster, project, project_backward};
pub(crate) use step::Pass;

/// Asks torch to let the segments of its CUDA allocator grow, unless `PYTORCH_CUDA_ALLOC_CONF` is set. Tensors whose sizes
/// keep changing, as in training with densification, then fragment little memory: 1.3 GB instead of 5.3 GB for 390,000
/// Gaussians. Call it at the start of `main`, before other threads start and before the first CUDA tensor. It does nothing on
/// Windows, where torch has no such segments.
pub fn prefer_growing_segments() {
    bridge::cpp::prefer_growing_segments();
}

/// While it lives, backward calls of this thread run on this thread alone. Dropping it restores the previous setting.
#[derive(Debug)]
pub(crate) struct OneThread {
    before: bool,
    // The setting belongs to the thread.
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
