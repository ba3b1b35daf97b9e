//! Tensors across the border to C++: lent for a call, or given away with their ownership.
//!
//! What tch calls `C_tensor` is the `at::Tensor` of the bridge; null stands for an absent tensor.
#![expect(unsafe_code, reason = "turns tch's pointers into C++'s and back")]

use tch::Tensor;

use super::bridge::cpp;

pub(super) fn borrow(t: &Tensor) -> cpp::TensorRef {
    cpp::TensorRef { tensor: t.as_ptr().cast() }
}

/// # Safety
/// The reference is null or points to a living tensor.
pub(super) unsafe fn clone_ref(r: &cpp::TensorRef) -> Option<Tensor> {
    if r.tensor.is_null() {
        return None;
    }
    // SAFETY: a living `at::Tensor`, which is what tch's pointers point to; the clone holds its own count.
    Some(unsafe { Tensor::clone_from_ptr(r.tensor.cast_mut().cast()) })
}

/// Gives a tensor to C++.
pub(super) fn give(t: Option<Tensor>) -> cpp::OwnedTensor {
    let tensor = match t {
        None => cxx::UniquePtr::null(),
        Some(t) => {
            let mut t = std::mem::ManuallyDrop::new(t);
            // SAFETY: tch made this `at::Tensor` by `new`, as `UniquePtr` expects, and will not free it.
            unsafe { cxx::UniquePtr::from_raw(t.as_mut_ptr().cast()) }
        }
    };
    cpp::OwnedTensor { tensor }
}

/// Takes a tensor from C++.
pub(super) fn take(t: cpp::OwnedTensor) -> Option<Tensor> {
    let raw = t.tensor.into_raw();
    // SAFETY: made by `new` in C++, freed by tch's `delete`; nobody else owns it.
    (!raw.is_null()).then(|| unsafe { Tensor::from_ptr(raw.cast()) })
}
