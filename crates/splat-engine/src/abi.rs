//! Rust mirror of `include/splat_engine.h`: same names, same order, same meaning. The header has the
//! documentation; `tests/layout.rs` compiles it and compares every size and offset.
#![allow(missing_docs)]

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};

pub const ABI: u32 = 3;

pub const OK: i32 = 0;
pub const INVALID_ARGUMENT: i32 = 1;
pub const UNSUPPORTED: i32 = 2;
pub const OUT_OF_MEMORY: i32 = 3;
pub const NO_DEVICE: i32 = 4;
pub const DEVICE_ERROR: i32 = 5;
pub const INTERNAL: i32 = 6;

pub const DEVICE_CPU: i32 = 0;
pub const DEVICE_CUDA: i32 = 1;

pub const ANTIALIASING: u32 = 1;
pub const DEBUG: u32 = 2;
pub const EXACT: u32 = 4;
pub const RAW: u32 = 8;
pub const REPRODUCIBLE: u32 = 16;
pub const FORWARD_ONLY: u32 = 32;

pub const PINHOLE: i32 = 0;
pub const ORTHOGRAPHIC: i32 = 1;

pub const MEM_SCRATCH: u32 = 0;
pub const MEM_SAVED: u32 = 1;

/// Most cameras of a call.
pub const MAX_CAMERAS: u32 = 32;
/// Most feature channels of a splat.
pub const MAX_FEATURES: i64 = 64;
/// Most parameter tensors of an Adam step.
pub const MAX_ADAM_GROUPS: u32 = 8;

/// The allocator callback: `(user, kind, bytes)`, 256-byte aligned memory of the engine, or null.
pub type AllocFn = unsafe extern "C" fn(user: *mut c_void, kind: u32, bytes: u64) -> *mut c_void;

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct In {
    pub data: *const f32,
    pub stride: [i64; 3],
}

impl In {
    /// An absent input.
    pub const ABSENT: Self = Self { data: null(), stride: [0; 3] };

    /// A contiguous input of the given shape (one to three dimensions).
    #[must_use]
    pub fn contiguous(data: *const f32, shape: &[i64]) -> Self {
        let mut stride = [0; 3];
        let mut step = 1;
        for (s, n) in stride[..shape.len()].iter_mut().zip(shape).rev() {
            *s = step;
            step *= n;
        }
        Self { data, stride }
    }
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Camera {
    pub struct_size: u32,
    pub width: i32,
    pub height: i32,
    pub tan_fovx: f32,
    pub tan_fovy: f32,
    pub model: i32,
    pub view: *const f32,
    pub proj: *const f32,
    pub campos: *const f32,
}

impl Camera {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self = Self {
        struct_size: size::<Self>(),
        width: 0,
        height: 0,
        tan_fovx: 0.0,
        tan_fovy: 0.0,
        model: 0,
        view: null(),
        proj: null(),
        campos: null(),
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Gaussians {
    pub struct_size: u32,
    pub count: i64,
    pub sh_coeffs: i64,
    pub feature_count: i64,
    pub means3d: In,
    pub opacities: In,
    pub sh: In,
    pub sh_rest: In,
    pub colors: In,
    pub scales: In,
    pub rotations: In,
    pub cov3d: In,
    pub features: In,
}

impl Gaussians {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self = Self {
        struct_size: size::<Self>(),
        count: 0,
        sh_coeffs: 0,
        feature_count: 0,
        means3d: In::ABSENT,
        opacities: In::ABSENT,
        sh: In::ABSENT,
        sh_rest: In::ABSENT,
        colors: In::ABSENT,
        scales: In::ABSENT,
        rotations: In::ABSENT,
        cov3d: In::ABSENT,
        features: In::ABSENT,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub struct_size: u32,
    pub flags: u32,
    pub background: *const f32,
    pub scale_modifier: f32,
    pub sh_degree: i32,
}

impl Settings {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self =
        Self { struct_size: size::<Self>(), flags: 0, background: null(), scale_modifier: 1.0, sh_degree: 0 };
}

/// `splat_workspace`, opaque.
#[repr(C)]
#[derive(Debug)]
pub struct Workspace {
    _private: [u8; 0],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Context {
    pub struct_size: u32,
    pub device: i32,
    pub stream: *mut c_void,
    pub workspace: *mut Workspace,
    pub alloc: Option<AllocFn>,
    pub user: *mut c_void,
}

impl Context {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self = Self {
        struct_size: size::<Self>(),
        device: -1,
        stream: null_mut(),
        workspace: null_mut(),
        alloc: None,
        user: null_mut(),
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Saved {
    pub struct_size: u32,
    pub buffer_count: u32,
    pub rendered: i64,
    pub rejected: i64,
    pub ticket: i64,
    pub buffer: [*mut c_void; 6],
    pub bytes: [u64; 6],
}

impl Saved {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self = Self {
        struct_size: size::<Self>(),
        buffer_count: 0,
        rendered: 0,
        rejected: 0,
        ticket: -1,
        buffer: [null_mut(); 6],
        bytes: [0; 6],
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ForwardArgs {
    pub struct_size: u32,
    pub context: Context,
    pub camera_count: u32,
    pub cameras: *const Camera,
    pub gaussians: Gaussians,
    pub settings: Settings,
    pub color: *mut f32,
    pub radii: *mut i32,
    pub inv_depth: *mut f32,
    pub depth: *mut f32,
    pub alpha: *mut f32,
    pub features: *mut f32,
    pub saved: Saved,
}

impl ForwardArgs {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self = Self {
        struct_size: size::<Self>(),
        context: Context::EMPTY,
        camera_count: 0,
        cameras: null(),
        gaussians: Gaussians::EMPTY,
        settings: Settings::EMPTY,
        color: null_mut(),
        radii: null_mut(),
        inv_depth: null_mut(),
        depth: null_mut(),
        alpha: null_mut(),
        features: null_mut(),
        saved: Saved::EMPTY,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct BackwardArgs {
    pub struct_size: u32,
    pub context: Context,
    pub camera_count: u32,
    pub cameras: *const Camera,
    pub gaussians: Gaussians,
    pub settings: Settings,
    pub saved: Saved,
    pub radii: *const i32,
    pub grad_color: *const f32,
    pub grad_inv_depth: *const f32,
    pub grad_depth: *const f32,
    pub grad_alpha: *const f32,
    pub grad_features: *const f32,
    pub means3d: *mut f32,
    pub means2d: *mut f32,
    pub means2d_abs: *mut f32,
    pub opacities: *mut f32,
    pub sh: *mut f32,
    pub sh_rest: *mut f32,
    pub colors: *mut f32,
    pub scales: *mut f32,
    pub rotations: *mut f32,
    pub cov3d: *mut f32,
    pub features: *mut f32,
    pub background: *mut f32,
    pub view: *mut f32,
}

impl BackwardArgs {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self = Self {
        struct_size: size::<Self>(),
        context: Context::EMPTY,
        camera_count: 0,
        cameras: null(),
        gaussians: Gaussians::EMPTY,
        settings: Settings::EMPTY,
        saved: Saved::EMPTY,
        radii: null(),
        grad_color: null(),
        grad_inv_depth: null(),
        grad_depth: null(),
        grad_alpha: null(),
        grad_features: null(),
        means3d: null_mut(),
        means2d: null_mut(),
        means2d_abs: null_mut(),
        opacities: null_mut(),
        sh: null_mut(),
        sh_rest: null_mut(),
        colors: null_mut(),
        scales: null_mut(),
        rotations: null_mut(),
        cov3d: null_mut(),
        features: null_mut(),
        background: null_mut(),
        view: null_mut(),
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MarkVisibleArgs {
    pub struct_size: u32,
    pub context: Context,
    pub count: i64,
    pub means3d: In,
    pub view: *const f32,
    pub proj: *const f32,
    pub visible: *mut u8,
}

impl MarkVisibleArgs {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self = Self {
        struct_size: size::<Self>(),
        context: Context::EMPTY,
        count: 0,
        means3d: In::ABSENT,
        view: null(),
        proj: null(),
        visible: null_mut(),
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Capabilities {
    pub struct_size: u32,
    pub abi: u32,
    pub device_kind: i32,
    pub outputs: u32,
    pub features: u32,
    pub max_sh_degree: i32,
    pub name: *const c_char,
    pub version: *const c_char,
    pub fingerprint: *const c_char,
}

impl Capabilities {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self = Self {
        struct_size: size::<Self>(),
        abi: 0,
        device_kind: 0,
        outputs: 0,
        features: 0,
        max_sh_degree: 0,
        name: null(),
        version: null(),
        fingerprint: null(),
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    pub struct_size: u32,
    pub done: u32,
    pub overflow: u32,
    pub reserved: u32,
    pub rendered: i64,
    pub rejected: i64,
    pub capacity: i64,
}

impl Progress {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self = Self {
        struct_size: size::<Self>(),
        done: 0,
        overflow: 0,
        reserved: 0,
        rendered: 0,
        rejected: 0,
        capacity: 0,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct AdamGroup {
    pub param: *mut f32,
    pub grad: *const f32,
    pub exp_avg: *mut f32,
    pub exp_avg_sq: *mut f32,
    pub width: i64,
    pub step: i64,
    pub lr: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
}

impl AdamGroup {
    /// Nulls and zeros.
    pub const EMPTY: Self = Self {
        param: null_mut(),
        grad: null(),
        exp_avg: null_mut(),
        exp_avg_sq: null_mut(),
        width: 0,
        step: 0,
        lr: 0.0,
        beta1: 0.0,
        beta2: 0.0,
        eps: 0.0,
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct AdamArgs {
    pub struct_size: u32,
    pub context: Context,
    pub rows: i64,
    pub visible: *const i32,
    pub group_count: u32,
    pub groups: *const AdamGroup,
}

impl AdamArgs {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self = Self {
        struct_size: size::<Self>(),
        context: Context::EMPTY,
        rows: 0,
        visible: null(),
        group_count: 0,
        groups: null(),
    };
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SsimArgs {
    pub struct_size: u32,
    pub context: Context,
    pub planes: i64,
    pub width: i32,
    pub height: i32,
    pub valid: u32,
    pub lambda_dssim: f32,
    pub image: *const f32,
    pub target: *const f32,
    pub map: *mut f32,
    pub mean: *mut f32,
    pub partials: *mut f32,
    pub grad_mean: *const f32,
    pub grad_map: *const f32,
    pub grad_image: *mut f32,
}

impl SsimArgs {
    /// `struct_size` set, everything else absent, null or zero.
    pub const EMPTY: Self = Self {
        struct_size: size::<Self>(),
        context: Context::EMPTY,
        planes: 0,
        width: 0,
        height: 0,
        valid: 0,
        lambda_dssim: 0.0,
        image: null(),
        target: null(),
        map: null_mut(),
        mean: null_mut(),
        partials: null_mut(),
        grad_mean: null(),
        grad_map: null(),
        grad_image: null_mut(),
    };
}

/// `struct_size` of a struct of this header.
#[must_use]
pub const fn size<T>() -> u32 {
    size_of::<T>() as u32
}
