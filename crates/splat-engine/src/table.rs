//! An engine behind the C tables of `splat_engine.h`: a library opened at run time, or one that is linked.
//!
//! Both are asked for their tables once, and structs and tables of other minor versions are read by the header's rules
//! of growth. Nothing is searched for here: the caller names the file ([`crate::registry`] searches).
#![expect(unsafe_code, reason = "calls into a C library")]

use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libloading::Library;

use crate::abi::{self, EngineGet};
use crate::{
    Abilities, Capabilities, Channels, DeviceInfo, DeviceKind, Engine, EngineError, LoadError, SharedEngine,
};

/// An engine behind C tables. Its library stays loaded until the process ends.
#[derive(Debug)]
pub struct TableEngine {
    path: Option<PathBuf>,
    capabilities: Capabilities,
    engine: abi::EngineTable,
    raster: abi::RasterTable,
    optimize: abi::OptimizeTable,
    image: abi::ImageTable,
}

impl TableEngine {
    /// Loads the engine library at `path`.
    ///
    /// # Errors
    /// [`LoadError`] if it does not load, is of another ABI, or is not an engine.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        // SAFETY: loading runs the library's initialisers; the caller chose an engine library.
        let library = unsafe { Library::new(path) }
            .map_err(|e| LoadError::Open { library: name.clone(), reason: error_chain(&e) })?;
        // SAFETY: the header fixes the signature of this name.
        let get = unsafe { library.get::<EngineGet>(abi::ENGINE_GET) }.map(|symbol| *symbol);
        let get = get.map_err(|_| LoadError::Symbol { library: name.clone() })?;
        // SAFETY: of an engine library; it is never unloaded below, so that its functions stay.
        let engine = unsafe { Self::bind(get, name)? };
        // Never unloaded: an engine's threads outlive its calls, and its code must not vanish from under them.
        std::mem::forget(library);
        Ok(Self { path: Some(path.to_owned()), ..engine })
    }

    /// An engine that is linked into this program, by its `splat_engine_get`.
    ///
    /// # Errors
    /// [`LoadError`] if it is of another ABI, or is not whole.
    ///
    /// # Safety
    /// `get` does what the header says of `splat_engine_get`, and the functions in its tables do what it says of them.
    pub unsafe fn from_get(get: EngineGet) -> Result<Self, LoadError> {
        // SAFETY: forwarded from the caller.
        unsafe { Self::bind(get, "the linked engine".into()) }
    }

    /// [`TableEngine::from_get`], shared and with the errors of an engine.
    ///
    /// # Errors
    /// [`EngineError::Internal`] where `from_get` has an error.
    ///
    /// # Safety
    /// As [`TableEngine::from_get`].
    pub unsafe fn linked(get: EngineGet) -> Result<SharedEngine, EngineError> {
        // SAFETY: forwarded from the caller.
        let engine = unsafe { Self::from_get(get) }.map_err(|e| EngineError::Internal(e.to_string()))?;
        Ok(Arc::new(engine))
    }

    /// # Safety
    /// As [`TableEngine::from_get`].
    unsafe fn bind(get: EngineGet, library: String) -> Result<Self, LoadError> {
        // SAFETY: as the caller guarantees.
        let offered = |interface: u32, version: u32| unsafe { get(interface, version) };
        let own = |interface: u32| offered(interface, abi::ENGINE_ABI);
        if own(abi::ENGINE).is_null() {
            let found = (1..=64).rev().find(|version| !offered(abi::ENGINE, *version).is_null());
            return Err(LoadError::Abi { library, found, expected: abi::ENGINE_ABI });
        }
        // SAFETY: each is null or the table of its interface, as the caller guarantees.
        let (engine, raster, optimize, image) = unsafe {
            (
                abi::table::<abi::EngineTable>(own(abi::ENGINE)).unwrap_or(abi::EngineTable::EMPTY),
                abi::table::<abi::RasterTable>(own(abi::RASTER)).unwrap_or(abi::RasterTable::EMPTY),
                abi::table::<abi::OptimizeTable>(own(abi::OPTIMIZE)),
                abi::table::<abi::ImageTable>(own(abi::IMAGE)),
            )
        };
        let incomplete = |reason: String| LoadError::Incomplete { library: library.clone(), reason };
        // SAFETY: the engine's own table.
        let described = unsafe { describe(&engine) }.map_err(incomplete)?;
        for (name, missing) in [
            ("device_ready", engine.device_ready.is_none()),
            ("forward", raster.forward.is_none()),
            ("backward", raster.backward.is_none()),
            ("mark_visible", raster.mark_visible.is_none()),
        ] {
            if missing {
                return Err(incomplete(format!("its table lacks `{name}`")));
            }
        }
        Ok(Self {
            path: None,
            capabilities: Capabilities { optimize: optimize.is_some(), image: image.is_some(), ..described },
            engine,
            raster,
            optimize: optimize.unwrap_or(abi::OptimizeTable::EMPTY),
            image: image.unwrap_or(abi::ImageTable::EMPTY),
        })
    }

    /// The file that it was loaded from; `None` if it is linked.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn result(&self, status: i32) -> Result<(), EngineError> {
        if status == abi::OK {
            return Ok(());
        }
        // SAFETY: `bind` checked that there is one; its text is never null and valid until this thread's next call.
        let message = self.engine.last_error.map(|last| unsafe { text(last()) }).unwrap_or_default();
        EngineError::from_status(status, message).map_or(Ok(()), Err)
    }
}

/// Calls `$function` of a table; one that the engine does not have is Unsupported.
macro_rules! call {
    ($self:ident . $table:ident . $function:ident ( $($arg:expr),* )) => {
        match $self.$table.$function {
            // SAFETY: forwarded from the caller, or locals that live through the call.
            Some(function) => $self.result(unsafe { function($($arg),*) }),
            None => Err($self.unsupported(concat!("`", stringify!($function), "`"))),
        }
    };
}

/// Functions that take one struct and only pass it on.
macro_rules! calls {
    ($($table:ident.$function:ident($args:ident);)*) => {$(
        unsafe fn $function(&self, args: &abi::$args) -> Result<(), EngineError> {
            call!(self.$table.$function(args))
        }
    )*};
}

impl Engine for TableEngine {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn device_ready(&self, device: i32) -> Result<(), EngineError> {
        call!(self.engine.device_ready(device))
    }

    fn device(&self, device: i32) -> Result<DeviceInfo, EngineError> {
        let mut raw = abi::Device::EMPTY;
        call!(self.engine.device(device, &raw mut raw))?;
        let name: Vec<u8> = raw.name.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
        Ok(DeviceInfo {
            name: String::from_utf8_lossy(&name).into_owned(),
            multiprocessors: raw.multiprocessors,
            memory_free: raw.memory_free,
            memory_total: raw.memory_total,
        })
    }

    calls! {
        raster.forward(ForwardArgs);
        raster.backward(BackwardArgs);
        raster.mark_visible(MarkVisibleArgs);
        raster.project(ProjectArgs);
        raster.rasterize(RasterizeArgs);
        raster.rasterize_backward(RasterizeArgs);
        raster.project_backward(ProjectBackwardArgs);
        optimize.adam(AdamArgs);
        optimize.backward_step(StepArgs);
        image.ssim(SsimArgs);
        image.ssim_backward(SsimArgs);
        image.photometric(PhotometricArgs);
        image.photometric_backward(PhotometricArgs);
    }

    fn workspace_new(&self, device: i32) -> Result<*mut abi::Workspace, EngineError> {
        let mut out = std::ptr::null_mut();
        call!(self.raster.workspace_new(device, &raw mut out))?;
        Ok(out)
    }

    unsafe fn workspace_free(&self, workspace: *mut abi::Workspace) {
        if let Some(free) = self.raster.workspace_free {
            // SAFETY: forwarded from the caller.
            unsafe { free(workspace) };
        }
    }

    unsafe fn poll(
        &self,
        workspace: *mut abi::Workspace,
        saved: &abi::Saved,
        wait: bool,
    ) -> Result<abi::Progress, EngineError> {
        let mut out = abi::Progress::EMPTY;
        call!(self.raster.poll(workspace, saved, u32::from(wait), &raw mut out))?;
        Ok(out)
    }
}

/// What an engine says of itself, but for the interfaces that it offers.
///
/// # Safety
/// The functions of the table do what the header says of them.
unsafe fn describe(engine: &abi::EngineTable) -> Result<Capabilities, String> {
    let (Some(ask), Some(last_error)) = (engine.capabilities, engine.last_error) else {
        return Err("its table lacks `capabilities` or `last_error`".into());
    };
    let mut raw = abi::Capabilities::EMPTY;
    // SAFETY: `raw` is as large as it says; texts are null or live on (the message: until the next call).
    let (status, message, name, version, fingerprint) = unsafe {
        let status = ask(&raw mut raw);
        (status, text(last_error()), text(raw.name), text(raw.version), text(raw.fingerprint))
    };
    if status != abi::OK {
        return Err(message);
    }
    Ok(Capabilities {
        name,
        version,
        fingerprint,
        abi: raw.abi,
        device: match raw.device_kind {
            abi::CPU => DeviceKind::Cpu,
            abi::CUDA => DeviceKind::Cuda,
            other => return Err(format!("its device_kind is {other}, but this program knows 0 and 1")),
        },
        channels: Channels(raw.channels),
        abilities: Abilities(raw.features),
        max_sh_degree: raw.max_sh_degree.max(0) as u32,
        optimize: false,
        image: false,
    })
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
    // SAFETY: as the caller guarantees.
    unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned()
}
