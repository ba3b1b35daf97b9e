//! The cxx bridge to `adapters/inria`: the functions of `splat_engine.h`, linked statically.
//!
//! The C++ side catches every exception and returns a status; its message is fetched at once, on the same
//! thread. No Rust function is called from there but the caller's plain C allocator.
#![expect(unsafe_code, reason = "the border between Rust and C++")]
#![expect(unreachable_pub, reason = "cxx makes its items public")]

use std::ffi::{CStr, c_char};

use cxx::{ExternType, type_id};
use splat_engine::{Capabilities, DeviceKind, Engine, EngineError, Features, Outputs, abi};

// cxx wants types of this crate. They are the ABI's own structs, whose layout splat-engine's tests compare with
// the header, and whose struct_size the C++ side checks on every call.
macro_rules! abi_struct {
    ($name:ident, $of:ident, $id:literal) => {
        #[repr(transparent)]
        pub(crate) struct $name(abi::$of);

        // SAFETY: the same struct as the header's, by the layout test of splat-engine; plain data, hence trivial.
        unsafe impl ExternType for $name {
            type Id = type_id!($id);
            type Kind = cxx::kind::Trivial;
        }
    };
}
abi_struct!(CapabilitiesStruct, Capabilities, "splat_capabilities");
abi_struct!(ForwardArgs, ForwardArgs, "splat_forward_args");
abi_struct!(BackwardArgs, BackwardArgs, "splat_backward_args");
abi_struct!(MarkVisibleArgs, MarkVisibleArgs, "splat_mark_visible_args");

#[cxx::bridge(namespace = "splat::inria")]
mod ffi {
    unsafe extern "C++" {
        include!("splat-cuda/adapters/inria/bridge.h");

        #[namespace = ""]
        #[cxx_name = "splat_capabilities"]
        type CapabilitiesStruct = super::CapabilitiesStruct;
        #[namespace = ""]
        #[cxx_name = "splat_forward_args"]
        type ForwardArgs = super::ForwardArgs;
        #[namespace = ""]
        #[cxx_name = "splat_backward_args"]
        type BackwardArgs = super::BackwardArgs;
        #[namespace = ""]
        #[cxx_name = "splat_mark_visible_args"]
        type MarkVisibleArgs = super::MarkVisibleArgs;

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

/// # Safety
/// `text` is null or a C string in static storage.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, by the caller's word a C string.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

impl Engine for Inria {
    fn capabilities(&self) -> Capabilities {
        let mut raw = abi::Capabilities::EMPTY;
        // SAFETY: a valid struct of this ABI; the wrapper is transparent.
        let status = unsafe { ffi::capabilities((&raw mut raw).cast()) };
        // Only a header of another version could fail here, and both sides were compiled with one.
        assert_eq!(status, abi::OK, "engine `inria` describes itself: {}", ffi::last_error_text());
        // SAFETY: the texts are static storage of the engine.
        let (name, version, fingerprint) =
            unsafe { (owned(raw.name), owned(raw.version), owned(raw.fingerprint)) };
        Capabilities {
            name,
            version,
            fingerprint,
            abi: raw.abi,
            device: DeviceKind::Cuda,
            outputs: Outputs(raw.outputs),
            features: Features(raw.features),
            max_sh_degree: raw.max_sh_degree.max(0) as u32,
        }
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
