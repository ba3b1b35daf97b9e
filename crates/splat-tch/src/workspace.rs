//! What lets renders on a GPU run without waiting for it: [`Workspace`], and what is asked of it later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use splat_engine::{EngineError, Progress, abi};
use tch::Device;

use crate::{Counts, EngineChoice, Error, engines};

/// Remembers how much memory past renders needed, so that the next need not ask the device first. Put it in
/// [`Settings::workspace`](crate::Settings::workspace); clones are the same workspace. A render whose guess was too
/// small lacks the farthest splats: [`Workspace::progress`] tells, and the next render has enough.
#[derive(Debug, Clone)]
pub struct Workspace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    engine: String,
    state: Mutex<State>,
}

/// The engine's workspace and the last call that used it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) raw: splat_engine::Workspace,
    pub(crate) last: Option<Counts>,
}

impl Workspace {
    /// For renders of `engine` on `device`.
    ///
    /// # Errors
    /// [`Error`] if there is no such engine, or it has no workspaces.
    pub fn new(engine: &EngineChoice, device: Device) -> Result<Self, Error> {
        let engine = engines::choose(engine, device, "the workspace")?;
        let ordinal = match device {
            Device::Cuda(i) => i as i32,
            _ => -1,
        };
        let raw =
            splat_engine::Workspace::new(&engine, ordinal).map_err(|e| Error::engine(&engine, e, None))?;
        let state = Mutex::new(State { raw, last: None });
        Ok(Self(Arc::new(Shared { engine: engine.capabilities().name, state })))
    }

    /// What the render that gave `counts` needed; `None` while the device has not come to it, never with `wait`.
    ///
    /// # Errors
    /// [`Error::Engine`]; also for a render without this workspace.
    pub fn progress(&self, counts: &Counts, wait: bool) -> Result<Option<Progress>, Error> {
        let failed = |reason| Error::Engine { engine: self.0.engine.clone(), reason };
        self.lock().poll(counts, wait).map_err(failed)
    }

    /// Name of the engine that it belongs to.
    pub(crate) fn engine(&self) -> &str {
        &self.0.engine
    }

    /// One call at a time.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll(&mut self, counts: &Counts, wait: bool) -> Result<Option<Progress>, EngineError> {
        let saved = abi::Saved {
            rendered: counts.pairs.unwrap_or(-1),
            rejected: counts.rejected.unwrap_or(-1),
            ticket: counts.ticket,
            ..abi::Saved::EMPTY
        };
        self.raw.poll(&saved, wait)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // The engine wants its calls over before the workspace goes. Their errors are others' to report.
        if let Some(last) = self.last.take() {
            let _ = self.poll(&last, true);
        }
    }
}
