//! What lets renders on a GPU run without waiting for it: [`Workspace`], and what can be asked of it later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use splat_engine::{EngineError, Progress, abi};

use crate::{Backend, Counts, Error};

/// Remembers how much memory past renders needed, so that the next one need not ask the device first. Put it into
/// [`Settings::workspace`](crate::Settings::workspace); clones are the same workspace. If the estimate was too small, the image
/// lacks the farthest Gaussians; [`Workspace::progress`] reports it and the next render allocates enough.
#[derive(Debug, Clone)]
pub struct Workspace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    backend: Backend,
    state: Mutex<State>,
}

/// The engine's workspace and the last call that used it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) raw: splat_engine::Workspace,
    pub(crate) last: Option<Counts>,
}

impl Workspace {
    /// For renders on this backend.
    ///
    /// # Errors
    /// [`Error::Engine`] if the engine has no workspaces, or the device's error.
    pub fn new(backend: &Backend) -> Result<Self, Error> {
        let raw = splat_engine::Workspace::new(backend.engine(), backend.ordinal())
            .map_err(|e| Error::engine(backend, e, None))?;
        let state = Mutex::new(State { raw, last: None });
        Ok(Self(Arc::new(Shared { backend: backend.clone(), state })))
    }

    /// What the render that gave `counts` needed. Returns `None` if the device has not reached that render yet; with `wait` it
    /// blocks instead.
    ///
    /// # Errors
    /// [`Error::Engine`]; also for a render without this workspace.
    pub fn progress(&self, counts: &Counts, wait: bool) -> Result<Option<Progress>, Error> {
        self.lock().poll(counts, wait).map_err(|e| Error::engine(&self.0.backend, e, None))
    }

    /// The backend that it belongs to.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.0.backend
    }

    /// One call at a time.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll(&mut self, counts: &Counts, wait: bool) -> Result<Option<Progress>, EngineError> {
        let saved = abi::Saved {
            rendered: counts.intersections.unwrap_or(-1),
            rejected: counts.rejected.unwrap_or(-1),
            ticket: counts.ticket,
            ..abi::Saved::EMPTY
        };
        self.raw.poll(&saved, wait)
    }
}

/// What a call counted. The workspace that it used, if any, remembers the call unless the call failed or waited.
pub(crate) fn counted(saved: &abi::Saved, done: bool, state: Option<MutexGuard<'_, State>>) -> Counts {
    let known = |n: i64| (n >= 0).then_some(n);
    let counts = Counts {
        intersections: known(saved.rendered),
        rejected: known(saved.rejected),
        ticket: saved.ticket,
    };
    if let Some(mut state) = state.filter(|_| done && saved.ticket >= 0) {
        state.last = Some(counts);
    }
    counts
}

impl Drop for State {
    fn drop(&mut self) {
        // The engine wants its calls to be over before the workspace goes. Their errors are for others to report.
        if let Some(last) = self.last.take() {
            let _ = self.poll(&last, true);
        }
    }
}
