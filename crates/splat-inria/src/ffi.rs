//! The cxx bridge to `adapters/`: one function, which gives the engine's C tables.
#![expect(unsafe_code, reason = "the border between Rust and C++")]
#![expect(unreachable_pub, reason = "cxx makes its items public")]

use std::ffi::c_void;

use splat_engine::{EngineError, SharedEngine, TableEngine};

#[cxx::bridge(namespace = "splat::inria")]
mod bridge {
    unsafe extern "C++" {
        include!("splat-inria/adapters/bridge.h");

        fn table(interface_id: u32, version: u32) -> *const u8;
    }
}

/// `splat_engine_get` of the linked engine.
unsafe extern "C" fn get(interface_id: u32, version: u32) -> *const c_void {
    bridge::table(interface_id, version).cast()
}

pub(crate) fn engine() -> Result<SharedEngine, EngineError> {
    // SAFETY: the engine was built from this crate's sources and the header of the splat-engine that is linked.
    unsafe { TableEngine::linked(get) }
}
