//! Where a call runs: the CUDA device and torch's current stream of it; nothing for the CPU.

use std::ffi::c_void;

use splat_engine::abi;
use tch::Device;

use super::bridge::cpp;
use super::memory::Arena;
use crate::Error;

/// Device and stream of a call; on CUDA the device is current until this is dropped.
pub(super) struct Scope {
    device: i32,
    stream: *mut c_void,
    _current: cxx::UniquePtr<cpp::DeviceScope>,
}

impl Scope {
    pub(super) fn enter(device: Device) -> Result<Self, Error> {
        let Device::Cuda(index) = device else {
            return Ok(Self { device: -1, stream: std::ptr::null_mut(), _current: cxx::UniquePtr::null() });
        };
        let device = i32::try_from(index).map_err(|_| Error::Torch(format!("no CUDA device {index}")))?;
        let torch = |e: cxx::Exception| Error::Torch(e.what().to_owned());
        let current = cpp::device_scope(device).map_err(torch)?;
        let stream = cpp::current_stream(device).map_err(torch)?;
        Ok(Self { device, stream: std::ptr::with_exposed_provenance_mut(stream), _current: current })
    }

    pub(super) fn context(&self, arena: &Arena) -> abi::Context {
        arena.context(self.device, self.stream)
    }
}
