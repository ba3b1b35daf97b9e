//! One engine call: the CUDA device and torch's current stream of it (nothing for the CPU), and the memory that the engine is
//! given.

use std::ffi::c_void;

use splat_engine::{EngineError, abi};
use tch::{Device, Tensor};

use super::bridge::cpp;
use super::memory::Arena;
use crate::{Backend, Error};

/// Device, stream and allocations of a call. On CUDA the device is current until this is dropped.
pub(super) struct Scope {
    device: i32,
    stream: *mut c_void,
    workspace: *mut abi::Workspace,
    // Boxed, since the engine is given its address.
    arena: Box<Arena>,
    _current: cxx::UniquePtr<cpp::DeviceScope>,
}

impl Scope {
    pub(super) fn enter(backend: &Backend) -> Result<Self, Error> {
        let mut scope = Self {
            device: backend.ordinal(),
            stream: std::ptr::null_mut(),
            workspace: std::ptr::null_mut(),
            arena: Box::new(Arena::new(backend.device())),
            _current: cxx::UniquePtr::null(),
        };
        if let Device::Cuda(_) = backend.device() {
            let torch = |e: cxx::Exception| Error::Torch(e.what().to_owned());
            scope._current = cpp::device_scope(scope.device).map_err(torch)?;
            let stream = cpp::current_stream(scope.device).map_err(torch)?;
            scope.stream = std::ptr::with_exposed_provenance_mut(stream);
        }
        Ok(scope)
    }

    pub(super) fn set_workspace(&mut self, workspace: *mut abi::Workspace) {
        self.workspace = workspace;
    }

    /// For the arguments of the call, which must not outlive `self`.
    pub(super) fn context(&self) -> abi::Context {
        abi::Context {
            device: self.device,
            stream: self.stream,
            workspace: self.workspace,
            ..self.arena.context()
        }
    }

    /// The SAVED allocations of a call that succeeded, or its error with the reason of torch's allocator, if that failed.
    pub(super) fn finish(
        self,
        backend: &Backend,
        done: Result<(), EngineError>,
    ) -> Result<Vec<Tensor>, Error> {
        let (saved, failure) = self.arena.finish();
        done.map(|()| saved).map_err(|e| Error::engine(backend, e, failure))
    }
}
