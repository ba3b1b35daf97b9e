//! The engine's tables: C functions that read the arguments, catch panics and keep each thread's last message.
#![expect(unsafe_code, reason = "the functions of a C interface")]

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::from_ref;
use std::sync::LazyLock;

use splat_engine::abi::{self, read};
use splat_engine::{Abilities, Channels, EngineError};

use crate::{image, optimize, raster, saved, stages, step};

const CHANNELS: Channels = Channels::COLOR
    .with(Channels::INV_DEPTH)
    .with(Channels::DEPTH)
    .with(Channels::ALPHA)
    .with(Channels::FEATURES)
    .with(Channels::WEIGHT_SUM)
    .with(Channels::WEIGHT_MAX)
    .with(Channels::WEIGHT_IMAGE);

const ABILITIES: Abilities = Abilities::STRIDED_INPUTS
    .with(Abilities::DETERMINISTIC)
    .with(Abilities::EXACT)
    .with(Abilities::RAW)
    .with(Abilities::REPRODUCE)
    .with(Abilities::BATCH)
    .with(Abilities::ORTHOGRAPHIC)
    .with(Abilities::SPLIT_SH)
    .with(Abilities::EXTRA_GRADIENTS)
    .with(Abilities::WORKSPACE)
    .with(Abilities::STAGES)
    .with(Abilities::STEP);

static ENGINE: abi::EngineTable = abi::EngineTable {
    capabilities: Some(capabilities),
    device_ready: Some(device_ready),
    device: Some(device),
    last_error: Some(last_error),
    ..abi::EngineTable::EMPTY
};

static RASTER: abi::RasterTable = abi::RasterTable {
    forward: Some(forward),
    backward: Some(backward),
    mark_visible: Some(mark_visible),
    project: Some(project),
    rasterize: Some(rasterize),
    rasterize_backward: Some(rasterize_backward),
    project_backward: Some(project_backward),
    workspace_new: Some(workspace_new),
    workspace_free: Some(workspace_free),
    poll: Some(poll),
    ..abi::RasterTable::EMPTY
};

static OPTIMIZE: abi::OptimizeTable =
    abi::OptimizeTable { adam: Some(adam), backward_step: Some(backward_step), ..abi::OptimizeTable::EMPTY };

static IMAGE: abi::ImageTable = abi::ImageTable {
    ssim: Some(ssim),
    ssim_backward: Some(ssim_backward),
    photometric: Some(photometric),
    photometric_backward: Some(photometric_backward),
    ..abi::ImageTable::EMPTY
};

/// The engine's `splat_engine_get`: the table of an interface, or null for another version or interface.
pub extern "C" fn get(interface_id: u32, version: u32) -> *const c_void {
    match (version, interface_id) {
        (abi::ENGINE_ABI, abi::ENGINE) => from_ref(&ENGINE).cast(),
        (abi::ENGINE_ABI, abi::RASTER) => from_ref(&RASTER).cast(),
        (abi::ENGINE_ABI, abi::OPTIMIZE) => from_ref(&OPTIMIZE).cast(),
        (abi::ENGINE_ABI, abi::IMAGE) => from_ref(&IMAGE).cast(),
        _ => std::ptr::null(),
    }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

/// Runs `call`, keeps its message and returns its status.
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

extern "C" fn last_error() -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}

/// C functions that read their arguments and hand them to a Rust function.
macro_rules! calls {
    ($($name:ident($args:ident) = $to:path;)+) => {$(
        unsafe extern "C" fn $name(args: *const abi::$args) -> i32 {
            // SAFETY: forwarded from the caller.
            border(|| unsafe { $to(&read(args, "args")?) })
        }
    )+};
}

calls! {
    forward(ForwardArgs) = raster::forward;
    backward(BackwardArgs) = raster::backward;
    mark_visible(MarkVisibleArgs) = raster::mark_visible;
    project(ProjectArgs) = stages::project;
    rasterize(RasterizeArgs) = stages::rasterize;
    rasterize_backward(RasterizeArgs) = stages::rasterize_backward;
    project_backward(ProjectBackwardArgs) = stages::project_backward;
    adam(AdamArgs) = optimize::adam;
    backward_step(StepArgs) = step::backward_step;
    ssim(SsimArgs) = image::ssim;
    ssim_backward(SsimArgs) = image::ssim_backward;
    photometric(PhotometricArgs) = image::photometric;
    photometric_backward(PhotometricArgs) = image::photometric_backward;
}

unsafe extern "C" fn capabilities(out: *mut abi::Capabilities) -> i32 {
    static FINGERPRINT: LazyLock<CString> = LazyLock::new(|| {
        CString::new(option_env!("SPLATWRIGHT_FINGERPRINT").unwrap_or("")).unwrap_or_default()
    });
    let value = abi::Capabilities {
        abi: abi::ENGINE_ABI,
        device_kind: abi::CPU,
        channels: CHANNELS.0,
        features: ABILITIES.0,
        max_sh_degree: abi::MAX_SH_DEGREE,
        name: c"cpu".as_ptr(),
        version: concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast(),
        fingerprint: FINGERPRINT.as_ptr(),
        ..abi::Capabilities::EMPTY
    };
    // SAFETY: forwarded from the caller.
    border(|| unsafe { abi::write(out, &value, "out") })
}

extern "C" fn device_ready(_device: i32) -> i32 {
    abi::OK
}

unsafe extern "C" fn device(_device: i32, out: *mut abi::Device) -> i32 {
    let mut value = abi::Device::EMPTY;
    let name = format!("{} CPU", std::env::consts::ARCH);
    // The last byte stays zero.
    for (to, from) in value.name[..63].iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
    // SAFETY: forwarded from the caller.
    border(|| unsafe { abi::write(out, &value, "out") })
}

unsafe extern "C" fn workspace_new(_device: i32, out: *mut *mut abi::Workspace) -> i32 {
    border(|| {
        if out.is_null() {
            return Err(EngineError::InvalidArgument("`out` is NULL, but is not optional".into()));
        }
        // SAFETY: not null, hence a place for a pointer as the caller guarantees.
        unsafe { *out = saved::workspace_new() };
        Ok(())
    })
}

unsafe extern "C" fn workspace_free(workspace: *mut abi::Workspace) {
    // SAFETY: forwarded from the caller.
    border(|| unsafe {
        saved::workspace_free(workspace);
        Ok(())
    });
}

unsafe extern "C" fn poll(
    workspace: *mut abi::Workspace,
    call: *const abi::Saved,
    _wait: u32,
    out: *mut abi::Progress,
) -> i32 {
    // SAFETY: forwarded from the caller.
    border(|| unsafe { abi::write(out, &saved::poll(workspace, &read(call, "saved")?)?, "out") })
}
