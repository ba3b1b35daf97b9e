//! The cxx bridge to `adapters/inria`: the functions of `splat_engine.h`, linked statically.
//!
//! The C++ side catches every exception and returns a status; its message is fetched at once, on the same
//! thread. No Rust function is called from there but the caller's plain C allocator.
#![expect(unsafe_code, reason = "the border between Rust and C++")]
#![expect(unreachable_pub, reason = "cxx makes its items public")]

use splat_engine::{Capabilities, Engine, EngineError, abi};

use super::capabilities as described;

#[cxx::bridge(namespace = "splat::inria")]
mod ffi {
    unsafe extern "C++" {
        include!("splat-cuda/adapters/inria/bridge.h");

        #[namespace = ""]
        #[cxx_name = "splat_capabilities"]
        type CapabilitiesStruct = crate::ffi::CapabilitiesStruct;
        #[namespace = ""]
        #[cxx_name = "splat_forward_args"]
        type ForwardArgs = crate::ffi::ForwardArgs;
        #[namespace = ""]
        #[cxx_name = "splat_backward_args"]
        type BackwardArgs = crate::ffi::BackwardArgs;
        #[namespace = ""]
        #[cxx_name = "splat_mark_visible_args"]
        type MarkVisibleArgs = crate::ffi::MarkVisibleArgs;

        unsafe fn capabilities(out: *mut CapabilitiesStruct) -> i32;
        fn device_ready(device: i32) -> i32;
        unsafe fn forward(args: *mut ForwardArgs) -> i32;
        unsafe fn backward(args: *mut BackwardArgs) -> i32;
        unsafe fn mark_visible(args: *mut MarkVisibleArgs) -> i32;
        fn last_error_text() -> String;
    }
}

/// The engine; it has no state of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inria;

/// The status of a call that just returned, with this thread's message.
fn result(status: i32) -> Result<(), EngineError> {
    if status == abi::OK {
        return Ok(());
    }
    EngineError::from_status(status, ffi::last_error_text()).map_or(Ok(()), Err)
}

impl Engine for Inria {
    fn capabilities(&self) -> Capabilities {
        // SAFETY: the callback gets a valid struct of this ABI; the wrapper is transparent.
        described(|out| (unsafe { ffi::capabilities(out) }, ffi::last_error_text()))
    }

    fn device_ready(&self, device: i32) -> Result<(), EngineError> {
        result(ffi::device_ready(device))
    }

    unsafe fn forward(&self, args: &mut abi::ForwardArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller; the wrapper is transparent.
        result(unsafe { ffi::forward(std::ptr::from_mut(args).cast()) })
    }

    unsafe fn backward(&self, args: &mut abi::BackwardArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller; the wrapper is transparent.
        result(unsafe { ffi::backward(std::ptr::from_mut(args).cast()) })
    }

    unsafe fn mark_visible(&self, args: &mut abi::MarkVisibleArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller; the wrapper is transparent.
        result(unsafe { ffi::mark_visible(std::ptr::from_mut(args).cast()) })
    }
}
