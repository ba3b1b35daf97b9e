//! An engine with something added before each call: what an engine may do to its caller.
#![expect(unsafe_code, reason = "implements Engine, whose calls take raw pointers")]

use std::sync::Arc;

use splat_engine::{Capabilities, Engine, EngineError, SharedEngine, abi};
use splat_tch::Backend;
use tch::Device;

type Hook<T> = Box<dyn Fn(&T) -> Result<(), EngineError> + Send + Sync>;

pub struct Hooked {
    inner: SharedEngine,
    pub capabilities: Capabilities,
    pub forward: Hook<abi::ForwardArgs>,
    pub backward: Hook<abi::BackwardArgs>,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hooked({})", self.capabilities.name)
    }
}

/// The CPU engine under another name.
pub fn hooked() -> Hooked {
    around(splat_cpu::engine())
}

/// An engine under the name `hooked`.
pub fn around(inner: SharedEngine) -> Hooked {
    let capabilities = Capabilities { name: "hooked".into(), ..inner.capabilities().clone() };
    Hooked { inner, capabilities, forward: Box::new(|_| Ok(())), backward: Box::new(|_| Ok(())) }
}

impl Hooked {
    pub fn shared(self) -> SharedEngine {
        Arc::new(self)
    }

    pub fn backend(self) -> Backend {
        self.on(Device::Cpu)
    }

    pub fn on(self, device: Device) -> Backend {
        Backend::new(device, self.shared()).unwrap()
    }
}

/// Asks the caller's allocator, as an engine does.
pub fn allocate(context: *const abi::Context, kind: u32, bytes: u64) -> *mut u8 {
    // SAFETY: the context of a call that is under way; the callback and its `user` belong together.
    unsafe { (*context).alloc.unwrap()((*context).user, kind, bytes) }.cast()
}

/// Fills an allocation, so that its pages count as resident.
pub fn touch(start: *mut u8, bytes: usize) {
    // SAFETY: `start` was allocated with at least `bytes` bytes.
    unsafe { std::ptr::write_bytes(start, 1, bytes) };
}

impl Engine for Hooked {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn device_ready(&self, _device: i32) -> Result<(), EngineError> {
        Ok(())
    }

    unsafe fn forward(&self, args: &abi::ForwardArgs) -> Result<(), EngineError> {
        (self.forward)(args)?;
        // SAFETY: by the caller's word.
        unsafe { self.inner.forward(args) }
    }

    unsafe fn backward(&self, args: &abi::BackwardArgs) -> Result<(), EngineError> {
        (self.backward)(args)?;
        // SAFETY: by the caller's word.
        unsafe { self.inner.backward(args) }
    }

    unsafe fn mark_visible(&self, args: &abi::MarkVisibleArgs) -> Result<(), EngineError> {
        // SAFETY: by the caller's word.
        unsafe { self.inner.mark_visible(args) }
    }

    unsafe fn adam(&self, args: &abi::AdamArgs) -> Result<(), EngineError> {
        // SAFETY: by the caller's word.
        unsafe { self.inner.adam(args) }
    }

    unsafe fn photometric(&self, args: &abi::PhotometricArgs) -> Result<(), EngineError> {
        // SAFETY: by the caller's word.
        unsafe { self.inner.photometric(args) }
    }

    unsafe fn photometric_backward(&self, args: &abi::PhotometricArgs) -> Result<(), EngineError> {
        // SAFETY: by the caller's word.
        unsafe { self.inner.photometric_backward(args) }
    }
}

/// The Gaussians of a call that is under way.
pub fn gaussians(args: &abi::ForwardArgs) -> abi::Gaussians {
    // SAFETY: the caller of an engine keeps its structs alive through the call.
    unsafe { *args.gaussians }
}

/// The colour channel of a backward call that is under way.
pub fn color(args: &abi::BackwardArgs) -> abi::Channel {
    // SAFETY: as above; the list has as many channels as the call says.
    let channels = unsafe { std::slice::from_raw_parts(args.channels, args.channel_count as usize) };
    *channels.iter().find(|channel| channel.source == abi::COLOR).unwrap()
}
