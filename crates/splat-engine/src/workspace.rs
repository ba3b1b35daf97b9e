//! The owner of a `splat_workspace`: forward calls that share one do not wait for the device.
//!
//! Calls receive it as a pointer ([`Workspace::as_ptr`]); afterwards it tells what they needed ([`Workspace::poll`]).
#![expect(unsafe_code, reason = "owns a pointer of an engine")]

use crate::abi;
use crate::{EngineError, SharedEngine};

/// A workspace of one engine and device, freed when this is dropped.
///
/// It may move between threads, but serves one call at a time. Dropping it waits for the calls that used it.
#[derive(Debug)]
pub struct Workspace {
    engine: SharedEngine,
    raw: *mut abi::Workspace,
}

// SAFETY: the header lets a workspace serve any thread, one call at a time; `&mut` and `Send` without `Sync` say so.
unsafe impl Send for Workspace {}

/// What a forward call needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The call had too little memory, so that its image lacks the farthest Gaussians: render again.
    pub overflow: bool,
    /// Gaussian-tile intersections.
    pub rendered: i64,
    /// Gaussians left out because a number of theirs is not finite.
    pub rejected: i64,
    /// Intersections that the call had memory for.
    pub capacity: i64,
}

impl Workspace {
    /// Creates one for a device of the engine (a CUDA ordinal; ignored by a CPU engine).
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if the engine has no workspaces, or the device's error.
    pub fn new(engine: &SharedEngine, device: i32) -> Result<Self, EngineError> {
        let raw = engine.workspace_new(device)?;
        if raw.is_null() {
            return Err(EngineError::Internal("the engine created a workspace that is NULL".into()));
        }
        Ok(Self { engine: engine.clone(), raw })
    }

    /// The pointer for [`abi::Context::workspace`] of this engine's forward calls.
    #[must_use]
    pub fn as_ptr(&mut self) -> *mut abi::Workspace {
        self.raw
    }

    /// The engine that it belongs to.
    #[must_use]
    pub fn engine(&self) -> &SharedEngine {
        &self.engine
    }

    /// What the forward call that left `saved` with this workspace needed. `None` if the device has not reached that
    /// call yet; with `wait` it waits instead. An overflow enlarges the workspace for the next call.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`] for a call that did not use this workspace; the device's error.
    pub fn poll(&mut self, saved: &abi::Saved, wait: bool) -> Result<Option<Progress>, EngineError> {
        if saved.ticket < 0 {
            return Err(EngineError::InvalidArgument(format!(
                "`saved.ticket` is {}, but a call that used a workspace leaves 0 or more",
                saved.ticket
            )));
        }
        // SAFETY: the workspace is alive; engines check the ticket against the calls they served.
        let p = unsafe { self.engine.poll(self.raw, saved, wait)? };
        Ok((p.done != 0).then_some(Progress {
            overflow: p.overflow != 0,
            rendered: p.rendered,
            rejected: p.rejected,
            capacity: p.capacity,
        }))
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // SAFETY: made by this engine's `workspace_new`, freed once.
        unsafe { self.engine.workspace_free(self.raw) };
    }
}
