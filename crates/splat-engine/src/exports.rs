//! The CPU engine as the C functions of `splat_engine.h`.
//!
//! Every function catches panics: none crosses the border. Messages are kept a thread.
#![expect(unsafe_code, reason = "exports C functions")]
#![expect(unreachable_pub, reason = "C reaches what Rust does not")]

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use crate::abi;
use crate::cpu::{CpuEngine, check_size};
use crate::engine::{Capabilities, Engine, EngineError};

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

/// Runs `call`, keeps its message, returns its status.
fn border(call: impl FnOnce() -> Result<(), EngineError>) -> i32 {
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(EngineError::Internal(format!("the cpu engine panicked: {text}")))
    });
    let Err(error) = result else { return abi::OK };
    let text = CString::new(error.to_string().replace('\0', " ")).unwrap_or_default();
    LAST_ERROR.with(|last| *last.borrow_mut() = text);
    error.status()
}

fn null(name: &str) -> EngineError {
    EngineError::InvalidArgument(format!("`{name}` is NULL"))
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn splat_engine_abi_version() -> u32 {
    abi::ABI
}

/// See the header.
///
/// # Safety
/// `out` is null or points to a `splat_capabilities`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splat_engine_capabilities(out: *mut abi::Capabilities) -> i32 {
    static TEXTS: LazyLock<(Capabilities, [CString; 3])> = LazyLock::new(|| {
        let c = CpuEngine.capabilities();
        let text = |s: &str| CString::new(s).unwrap_or_default();
        let texts = [text(&c.name), text(&c.version), text(&c.fingerprint)];
        (c, texts)
    });
    border(|| {
        // SAFETY: null or a valid struct, by the caller's word.
        let out = unsafe { out.as_mut() }.ok_or_else(|| null("out"))?;
        check_size("splat_capabilities", out.struct_size, abi::size::<abi::Capabilities>())?;
        let (c, [name, version, fingerprint]) = &*TEXTS;
        *out = abi::Capabilities {
            struct_size: out.struct_size,
            abi: c.abi,
            device_kind: abi::DEVICE_CPU,
            outputs: c.outputs.0,
            features: c.features.0,
            max_sh_degree: c.max_sh_degree as i32,
            name: name.as_ptr(),
            version: version.as_ptr(),
            fingerprint: fingerprint.as_ptr(),
        };
        Ok(())
    })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn splat_engine_device_ready(device: i32) -> i32 {
    border(|| CpuEngine.device_ready(device))
}

/// See the header.
///
/// # Safety
/// As [`Engine::forward`]; `args` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splat_engine_forward(args: *mut abi::ForwardArgs) -> i32 {
    // SAFETY: forwarded from the caller.
    border(|| unsafe { CpuEngine.forward(args.as_mut().ok_or_else(|| null("args"))?) })
}

/// See the header.
///
/// # Safety
/// As [`Engine::backward`]; `args` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splat_engine_backward(args: *mut abi::BackwardArgs) -> i32 {
    // SAFETY: forwarded from the caller.
    border(|| unsafe { CpuEngine.backward(args.as_mut().ok_or_else(|| null("args"))?) })
}

/// See the header.
///
/// # Safety
/// As [`Engine::mark_visible`]; `args` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splat_engine_mark_visible(args: *mut abi::MarkVisibleArgs) -> i32 {
    // SAFETY: forwarded from the caller.
    border(|| unsafe { CpuEngine.mark_visible(args.as_mut().ok_or_else(|| null("args"))?) })
}

/// See the header.
///
/// # Safety
/// `out` is null or points to a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splat_engine_workspace_new(device: i32, out: *mut *mut abi::Workspace) -> i32 {
    border(|| {
        // SAFETY: null or a valid place, by the caller's word.
        let out = unsafe { out.as_mut() }.ok_or_else(|| null("out"))?;
        *out = CpuEngine.workspace_new(device)?;
        Ok(())
    })
}

/// See the header.
///
/// # Safety
/// As [`Engine::workspace_free`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splat_engine_workspace_free(workspace: *mut abi::Workspace) {
    // SAFETY: forwarded from the caller.
    border(|| unsafe {
        CpuEngine.workspace_free(workspace);
        Ok(())
    });
}

/// See the header.
///
/// # Safety
/// As [`Engine::poll`]; `saved` and `out` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splat_engine_poll(
    workspace: *mut abi::Workspace,
    saved: *const abi::Saved,
    wait: u32,
    out: *mut abi::Progress,
) -> i32 {
    // SAFETY: forwarded from the caller; null or valid structs.
    border(|| unsafe {
        let saved = saved.as_ref().ok_or_else(|| null("saved"))?;
        let out = out.as_mut().ok_or_else(|| null("out"))?;
        check_size("splat_progress", out.struct_size, abi::size::<abi::Progress>())?;
        *out = CpuEngine.poll(workspace, saved, wait != 0)?;
        Ok(())
    })
}

/// See the header.
///
/// # Safety
/// As [`Engine::adam`]; `args` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splat_engine_adam(args: *mut abi::AdamArgs) -> i32 {
    // SAFETY: forwarded from the caller.
    border(|| unsafe { CpuEngine.adam(args.as_mut().ok_or_else(|| null("args"))?) })
}

/// See the header.
///
/// # Safety
/// As [`Engine::ssim_forward`]; `args` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splat_engine_ssim_forward(args: *mut abi::SsimArgs) -> i32 {
    // SAFETY: forwarded from the caller.
    border(|| unsafe { CpuEngine.ssim_forward(args.as_mut().ok_or_else(|| null("args"))?) })
}

/// See the header.
///
/// # Safety
/// As [`Engine::ssim_backward`]; `args` may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn splat_engine_ssim_backward(args: *mut abi::SsimArgs) -> i32 {
    // SAFETY: forwarded from the caller.
    border(|| unsafe { CpuEngine.ssim_backward(args.as_mut().ok_or_else(|| null("args"))?) })
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn splat_engine_last_error() -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}
