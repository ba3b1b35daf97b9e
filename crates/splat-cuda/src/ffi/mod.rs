//! What the bridges of the statically linked engines share: the ABI's structs as cxx takes them, and what an
//! engine says of itself.
#![expect(unsafe_code, reason = "the border between Rust and C++")]
#![expect(unreachable_pub, reason = "cxx makes its items public")]

#[cfg(engine_cuda)]
pub(crate) mod cuda;
#[cfg(engine_inria)]
pub(crate) mod inria;

use std::ffi::{CStr, c_char};

use cxx::{ExternType, type_id};
use splat_engine::{Capabilities, DeviceKind, Features, Outputs, abi};

// cxx wants types of this crate. They are the ABI's own structs, whose layout splat-engine's tests compare with
// the header, and whose struct_size the C++ side checks on every call.
macro_rules! abi_struct {
    ($name:ident, $of:ident, $id:literal) => {
        #[repr(transparent)]
        pub struct $name(abi::$of);

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
#[cfg(engine_cuda)]
mod further {
    use super::{ExternType, abi, type_id};
    abi_struct!(SavedStruct, Saved, "splat_saved");
    abi_struct!(ProgressStruct, Progress, "splat_progress");
    abi_struct!(AdamArgs, AdamArgs, "splat_adam_args");
    abi_struct!(SsimArgs, SsimArgs, "splat_ssim_args");
}
#[cfg(engine_cuda)]
pub use further::{AdamArgs, ProgressStruct, SavedStruct, SsimArgs};

/// What an engine says of itself; `ask` fills the struct and gives its status and this thread's message.
pub(crate) fn capabilities(ask: impl FnOnce(*mut CapabilitiesStruct) -> (i32, String)) -> Capabilities {
    let mut raw = abi::Capabilities::EMPTY;
    let (status, message) = ask((&raw mut raw).cast());
    // Only a header of another version could fail here, and both sides were compiled with one.
    assert_eq!(status, abi::OK, "the engine describes itself: {message}");
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

/// # Safety
/// `text` is null or a C string in static storage.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, by the caller's word a C string.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
