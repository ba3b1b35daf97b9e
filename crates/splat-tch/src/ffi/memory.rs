//! The allocator that engines are given: each allocation is a `uint8` tensor from torch's own allocator.
//!
//! SAVED tensors go to the autograd node, SCRATCH ones are dropped when the call ends: torch's caching
//! allocator hands freed memory out again in stream order, so kernels still running are safe.
#![expect(unsafe_code, reason = "a callback with C linkage")]

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use splat_engine::abi;
use tch::{Device, Kind, Tensor};

/// What the header promises to engines; torch promises 64 on the CPU and 512 on CUDA.
const ALIGN: u64 = 256;

/// The allocations of one engine call.
pub(super) struct Arena {
    device: Device,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    saved: Vec<Tensor>,
    scratch: Vec<Tensor>,
    /// Why the last allocation failed.
    failure: Option<String>,
}

impl Arena {
    pub(super) fn new(device: Device) -> Self {
        Self { device, made: Mutex::default() }
    }

    /// The allocator's part of a context. `self` must outlive the call.
    pub(super) fn context(&self) -> abi::Context {
        abi::Context {
            alloc: Some(alloc),
            user: std::ptr::from_ref(self).cast_mut().cast(),
            ..abi::Context::EMPTY
        }
    }

    /// The SAVED allocations, and why the allocator failed if it did.
    pub(super) fn finish(self) -> (Vec<Tensor>, Option<String>) {
        let made = self.made.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        (made.saved, made.failure)
    }

    fn allocate(&self, kind: u32, bytes: u64) -> *mut c_void {
        let mut made = self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let slack = if self.device == Device::Cpu { ALIGN } else { 0 };
        let Ok(size) = i64::try_from(bytes.max(1).saturating_add(slack)) else {
            made.failure = Some(format!("{bytes} bytes are more than any memory holds"));
            return std::ptr::null_mut();
        };
        match Tensor::f_empty([size], (Kind::Uint8, self.device)) {
            Ok(tensor) => {
                let start = tensor.data_ptr();
                let list = if kind == abi::MEM_SAVED { &mut made.saved } else { &mut made.scratch };
                list.push(tensor);
                start.wrapping_byte_add(start.align_offset_bytes())
            }
            Err(e) => {
                made.failure = Some(crate::error::sentence(&e));
                std::ptr::null_mut()
            }
        }
    }
}

trait AlignOffset {
    fn align_offset_bytes(self) -> usize;
}

impl AlignOffset for *mut c_void {
    fn align_offset_bytes(self) -> usize {
        self.addr().next_multiple_of(ALIGN as usize) - self.addr()
    }
}

/// The header's callback. No panic leaves it.
unsafe extern "C" fn alloc(user: *mut c_void, kind: u32, bytes: u64) -> *mut c_void {
    // SAFETY: `user` is the arena that `Arena::context` put there, alive for the call; it is shared, not
    // exclusive, and guards its state by a lock.
    let arena = unsafe { &*user.cast::<Arena>() };
    catch_unwind(AssertUnwindSafe(|| arena.allocate(kind, bytes))).unwrap_or(std::ptr::null_mut())
}
