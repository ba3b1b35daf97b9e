//! What became of torch's CUDA half, which `cpp/cuda_half.cpp` opens when the program starts.
#![expect(unsafe_code, reason = "reads a C string")]

use std::ffi::{CStr, c_char};

unsafe extern "C" {
    fn splat_tch_cuda_half_failure() -> *const c_char;
}

/// Why libtorch_cuda could not be opened although it lies beside libtorch_cpu.
pub(crate) fn cuda_half_failure() -> Option<String> {
    // SAFETY: gives a NUL-terminated text of static storage that does not change after the program's start.
    let text = unsafe { CStr::from_ptr(splat_tch_cuda_half_failure()) };
    (!text.is_empty()).then(|| text.to_string_lossy().into_owned())
}
