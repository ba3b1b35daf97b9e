//! The CPU engine as the C library `libsplat_cpu`: it exports `splat_engine_get` and nothing else.
#![expect(unsafe_code, reason = "exports a C function")]

use std::ffi::c_void;

/// See `splat_engine.h`.
#[unsafe(no_mangle)]
pub extern "C" fn splat_engine_get(interface_id: u32, version: u32) -> *const c_void {
    splat_cpu::get(interface_id, version)
}
