//! The cxx bridge to `adapters/cuda`, this project's kernels: the functions of `splat_engine.h`, linked statically.
//!
//! The C++ side catches every exception and returns a status; its message is fetched at once, on the same
//! thread. No Rust function is called from there but the caller's plain C allocator.
#![expect(unsafe_code, reason = "the border between Rust and C++")]
#![expect(unreachable_pub, reason = "cxx makes its items public")]

use splat_engine::{Capabilities, Engine, EngineError, abi};

use super::capabilities as described;

#[cxx::bridge(namespace = "splat::own")]
mod ffi {
    unsafe extern "C++" {
        include!("splat-cuda/adapters/cuda/bridge.h");

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
        #[namespace = ""]
        #[cxx_name = "splat_saved"]
        type SavedStruct = crate::ffi::SavedStruct;
        #[namespace = ""]
        #[cxx_name = "splat_progress"]
        type ProgressStruct = crate::ffi::ProgressStruct;
        #[namespace = ""]
        #[cxx_name = "splat_adam_args"]
        type AdamArgs = crate::ffi::AdamArgs;
        #[namespace = ""]
        #[cxx_name = "splat_ssim_args"]
        type SsimArgs = crate::ffi::SsimArgs;

        unsafe fn capabilities(out: *mut CapabilitiesStruct) -> i32;
        fn device_ready(device: i32) -> i32;
        unsafe fn forward(args: *mut ForwardArgs) -> i32;
        unsafe fn backward(args: *mut BackwardArgs) -> i32;
        unsafe fn mark_visible(args: *mut MarkVisibleArgs) -> i32;
        // A workspace is opaque: its address crosses as a number.
        fn workspace_address(device: i32, status: &mut i32) -> usize;
        unsafe fn workspace_free_at(workspace: usize);
        unsafe fn poll_at(
            workspace: usize,
            saved: *const SavedStruct,
            wait: u32,
            out: *mut ProgressStruct,
        ) -> i32;
        unsafe fn adam(args: *mut AdamArgs) -> i32;
        unsafe fn ssim_forward(args: *mut SsimArgs) -> i32;
        unsafe fn ssim_backward(args: *mut SsimArgs) -> i32;
        fn last_error_text() -> String;
    }
}

/// The engine; it has no state of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cuda;

/// The status of a call that just returned, with this thread's message.
fn result(status: i32) -> Result<(), EngineError> {
    if status == abi::OK {
        return Ok(());
    }
    EngineError::from_status(status, ffi::last_error_text()).map_or(Ok(()), Err)
}

impl Engine for Cuda {
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

    fn workspace_new(&self, device: i32) -> Result<*mut abi::Workspace, EngineError> {
        let mut status = abi::OK;
        let address = ffi::workspace_address(device, &mut status);
        result(status)?;
        Ok(std::ptr::with_exposed_provenance_mut(address))
    }

    unsafe fn workspace_free(&self, workspace: *mut abi::Workspace) {
        // SAFETY: forwarded from the caller: of `workspace_new`, and not freed yet.
        unsafe { ffi::workspace_free_at(workspace.expose_provenance()) }
    }

    unsafe fn poll(
        &self,
        workspace: *mut abi::Workspace,
        saved: &abi::Saved,
        wait: bool,
    ) -> Result<abi::Progress, EngineError> {
        let mut out = abi::Progress::EMPTY;
        let (saved, to) = (std::ptr::from_ref(saved).cast(), (&raw mut out).cast());
        // SAFETY: forwarded from the caller; the wrappers are transparent.
        result(unsafe { ffi::poll_at(workspace.expose_provenance(), saved, u32::from(wait), to) })?;
        Ok(out)
    }

    unsafe fn adam(&self, args: &mut abi::AdamArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller; the wrapper is transparent.
        result(unsafe { ffi::adam(std::ptr::from_mut(args).cast()) })
    }

    unsafe fn ssim_forward(&self, args: &mut abi::SsimArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller; the wrapper is transparent.
        result(unsafe { ffi::ssim_forward(std::ptr::from_mut(args).cast()) })
    }

    unsafe fn ssim_backward(&self, args: &mut abi::SsimArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller; the wrapper is transparent.
        result(unsafe { ffi::ssim_backward(std::ptr::from_mut(args).cast()) })
    }
}
