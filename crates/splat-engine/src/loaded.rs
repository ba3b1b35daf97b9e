//! An engine library, opened at run time.
//!
//! Opening checks the ABI version and every symbol before anything is called. Nothing is searched for:
//! the caller names the file.
#![expect(unsafe_code, reason = "calls into a loaded C library")]

use std::ffi::{CStr, c_char};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use libloading::Library;

use crate::abi;
use crate::engine::{Capabilities, DeviceKind, Engine, EngineError, Features, Outputs};

/// The symbols that every engine library exports.
pub const SYMBOLS: [&str; 13] = [
    "splat_engine_abi_version",
    "splat_engine_capabilities",
    "splat_engine_device_ready",
    "splat_engine_forward",
    "splat_engine_backward",
    "splat_engine_mark_visible",
    "splat_engine_workspace_new",
    "splat_engine_workspace_free",
    "splat_engine_poll",
    "splat_engine_adam",
    "splat_engine_ssim_forward",
    "splat_engine_ssim_backward",
    "splat_engine_last_error",
];

/// Why a library is not an engine that this program can use.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The loader refused the file.
    #[error("cannot load `{path}`: {reason}")]
    Open {
        /// The library.
        path: PathBuf,
        /// The loader's text.
        reason: String,
    },
    /// A function of the header is not exported.
    #[error("`{path}` does not export `{symbol}`")]
    Symbol {
        /// The library.
        path: PathBuf,
        /// The function.
        symbol: &'static str,
    },
    /// The library was built from another header.
    #[error("`{path}` has engine ABI {found}, but this program speaks ABI {expected}")]
    Abi {
        /// The library.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// It loaded, but does not say what it is.
    #[error("`{path}` does not describe itself: {reason}")]
    Capabilities {
        /// The library.
        path: PathBuf,
        /// The engine's text.
        reason: String,
    },
}

/// Functions of one engine library, which stays loaded from then on.
#[derive(Debug)]
pub struct LoadedEngine {
    path: PathBuf,
    capabilities: Capabilities,
    device_ready: unsafe extern "C" fn(i32) -> i32,
    forward: unsafe extern "C" fn(*mut abi::ForwardArgs) -> i32,
    backward: unsafe extern "C" fn(*mut abi::BackwardArgs) -> i32,
    mark_visible: unsafe extern "C" fn(*mut abi::MarkVisibleArgs) -> i32,
    workspace_new: unsafe extern "C" fn(i32, *mut *mut abi::Workspace) -> i32,
    workspace_free: unsafe extern "C" fn(*mut abi::Workspace),
    poll: unsafe extern "C" fn(*mut abi::Workspace, *const abi::Saved, u32, *mut abi::Progress) -> i32,
    adam: unsafe extern "C" fn(*mut abi::AdamArgs) -> i32,
    ssim_forward: unsafe extern "C" fn(*mut abi::SsimArgs) -> i32,
    ssim_backward: unsafe extern "C" fn(*mut abi::SsimArgs) -> i32,
    last_error: unsafe extern "C" fn() -> *const c_char,
    // Never unloaded: an engine's threads outlive its calls, and Windows would take the code from under them.
    _library: ManuallyDrop<Library>,
}

impl LoadedEngine {
    /// Loads `path` and checks that it is an engine of our ABI.
    ///
    /// # Errors
    /// [`LoadError`]; the library is then unloaded again.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        // SAFETY: loading runs the library's initialisers; the caller chose an engine library.
        let library = unsafe { Library::new(path) }
            .map_err(|e| LoadError::Open { path: path.into(), reason: error_chain(&e) })?;
        macro_rules! symbol {
            ($name:literal, $signature:ty) => {
                // SAFETY: the header fixes the signature of this name; the ABI version is checked below
                // before any function that takes a struct is called.
                *unsafe { library.get::<$signature>(concat!($name, "\0").as_bytes()) }
                    .map_err(|_| LoadError::Symbol { path: path.into(), symbol: $name })?
            };
        }
        let abi_version = symbol!("splat_engine_abi_version", unsafe extern "C" fn() -> u32);
        let describe =
            symbol!("splat_engine_capabilities", unsafe extern "C" fn(*mut abi::Capabilities) -> i32);
        let device_ready = symbol!("splat_engine_device_ready", unsafe extern "C" fn(i32) -> i32);
        let forward = symbol!("splat_engine_forward", unsafe extern "C" fn(*mut abi::ForwardArgs) -> i32);
        let backward = symbol!("splat_engine_backward", unsafe extern "C" fn(*mut abi::BackwardArgs) -> i32);
        let mark_visible =
            symbol!("splat_engine_mark_visible", unsafe extern "C" fn(*mut abi::MarkVisibleArgs) -> i32);
        let workspace_new =
            symbol!("splat_engine_workspace_new", unsafe extern "C" fn(i32, *mut *mut abi::Workspace) -> i32);
        let workspace_free =
            symbol!("splat_engine_workspace_free", unsafe extern "C" fn(*mut abi::Workspace));
        let poll = symbol!(
            "splat_engine_poll",
            unsafe extern "C" fn(*mut abi::Workspace, *const abi::Saved, u32, *mut abi::Progress) -> i32
        );
        let adam = symbol!("splat_engine_adam", unsafe extern "C" fn(*mut abi::AdamArgs) -> i32);
        let ssim_forward =
            symbol!("splat_engine_ssim_forward", unsafe extern "C" fn(*mut abi::SsimArgs) -> i32);
        let ssim_backward =
            symbol!("splat_engine_ssim_backward", unsafe extern "C" fn(*mut abi::SsimArgs) -> i32);
        let last_error = symbol!("splat_engine_last_error", unsafe extern "C" fn() -> *const c_char);
        // SAFETY: takes nothing and returns a number in every ABI version.
        let found = unsafe { abi_version() };
        if found != abi::ABI {
            return Err(LoadError::Abi { path: path.into(), found, expected: abi::ABI });
        }
        let mut raw = abi::Capabilities::EMPTY;
        // SAFETY: `raw` is a struct of the ABI version just checked.
        let status = unsafe { describe(&raw mut raw) };
        if status != abi::OK {
            // SAFETY: never null, by the header.
            let reason = unsafe { text(last_error()) };
            return Err(LoadError::Capabilities { path: path.into(), reason });
        }
        // SAFETY: the texts are static storage of the library or null.
        let (name, version, fingerprint) =
            unsafe { (text(raw.name), text(raw.version), text(raw.fingerprint)) };
        let capabilities = Capabilities {
            name,
            version,
            fingerprint,
            abi: raw.abi,
            device: if raw.device_kind == abi::DEVICE_CUDA { DeviceKind::Cuda } else { DeviceKind::Cpu },
            outputs: Outputs(raw.outputs),
            features: Features(raw.features),
            max_sh_degree: raw.max_sh_degree.max(0) as u32,
        };
        Ok(Self {
            path: path.into(),
            capabilities,
            device_ready,
            forward,
            backward,
            mark_visible,
            workspace_new,
            workspace_free,
            poll,
            adam,
            ssim_forward,
            ssim_backward,
            last_error,
            _library: ManuallyDrop::new(library),
        })
    }

    /// The file this engine came from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn result(&self, status: i32) -> Result<(), EngineError> {
        if status == abi::OK {
            return Ok(());
        }
        // SAFETY: never null, and valid until this thread's next call.
        let message = unsafe { text((self.last_error)()) };
        EngineError::from_status(status, message).map_or(Ok(()), Err)
    }
}

impl Engine for LoadedEngine {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    fn device_ready(&self, device: i32) -> Result<(), EngineError> {
        // SAFETY: takes a number.
        self.result(unsafe { (self.device_ready)(device) })
    }

    unsafe fn forward(&self, args: &mut abi::ForwardArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller.
        self.result(unsafe { (self.forward)(args) })
    }

    unsafe fn backward(&self, args: &mut abi::BackwardArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller.
        self.result(unsafe { (self.backward)(args) })
    }

    unsafe fn mark_visible(&self, args: &mut abi::MarkVisibleArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller.
        self.result(unsafe { (self.mark_visible)(args) })
    }

    fn workspace_new(&self, device: i32) -> Result<*mut abi::Workspace, EngineError> {
        let mut out = std::ptr::null_mut();
        // SAFETY: `out` is a local that the call fills.
        self.result(unsafe { (self.workspace_new)(device, &raw mut out) })?;
        Ok(out)
    }

    unsafe fn workspace_free(&self, workspace: *mut abi::Workspace) {
        // SAFETY: forwarded from the caller.
        unsafe { (self.workspace_free)(workspace) };
    }

    unsafe fn poll(
        &self,
        workspace: *mut abi::Workspace,
        saved: &abi::Saved,
        wait: bool,
    ) -> Result<abi::Progress, EngineError> {
        let mut out = abi::Progress::EMPTY;
        // SAFETY: forwarded from the caller; `out` is a local that the call fills.
        self.result(unsafe { (self.poll)(workspace, saved, u32::from(wait), &raw mut out) })?;
        Ok(out)
    }

    unsafe fn adam(&self, args: &mut abi::AdamArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller.
        self.result(unsafe { (self.adam)(args) })
    }

    unsafe fn ssim_forward(&self, args: &mut abi::SsimArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller.
        self.result(unsafe { (self.ssim_forward)(args) })
    }

    unsafe fn ssim_backward(&self, args: &mut abi::SsimArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller.
        self.result(unsafe { (self.ssim_backward)(args) })
    }
}

/// libloading keeps the loader's own words in the source of its error.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(e) = source {
        texts.push(e.to_string());
        source = e.source();
    }
    texts.dedup();
    texts.join(": ")
}

/// # Safety
/// `s` is null or a C string that stays alive during the call.
unsafe fn text(s: *const c_char) -> String {
    if s.is_null() {
        return String::new();
    }
    // SAFETY: by the caller's word.
    unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned()
}
