//! Rust mirror of `include/splat_engine.h`: same names, same order, same meaning. The header has the
//! documentation; `tests/layout.rs` compiles it and compares every size and offset.
#![allow(missing_docs)]

use std::ffi::{c_char, c_void};

pub const ABI: u32 = 1;

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

pub const MEM_SCRATCH: u32 = 0;
pub const MEM_SAVED: u32 = 1;

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
    pub const ABSENT: Self = Self { data: std::ptr::null(), stride: [0; 3] };

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
    pub view: *const f32,
    pub proj: *const f32,
    pub campos: *const f32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Gaussians {
    pub struct_size: u32,
    pub count: i64,
    pub sh_coeffs: i64,
    pub means3d: In,
    pub opacities: In,
    pub sh: In,
    pub colors: In,
    pub scales: In,
    pub rotations: In,
    pub cov3d: In,
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

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Context {
    pub struct_size: u32,
    pub device: i32,
    pub stream: *mut c_void,
    pub alloc: Option<AllocFn>,
    pub user: *mut c_void,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Saved {
    pub struct_size: u32,
    pub buffer_count: u32,
    pub rendered: i64,
    pub buffer: [*mut c_void; 6],
    pub bytes: [u64; 6],
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ForwardArgs {
    pub struct_size: u32,
    pub context: Context,
    pub camera: Camera,
    pub gaussians: Gaussians,
    pub settings: Settings,
    pub color: *mut f32,
    pub radii: *mut i32,
    pub inv_depth: *mut f32,
    pub depth: *mut f32,
    pub alpha: *mut f32,
    pub saved: Saved,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct BackwardArgs {
    pub struct_size: u32,
    pub context: Context,
    pub camera: Camera,
    pub gaussians: Gaussians,
    pub settings: Settings,
    pub saved: Saved,
    pub radii: *const i32,
    pub grad_color: In,
    pub grad_inv_depth: In,
    pub grad_depth: In,
    pub grad_alpha: In,
    pub means3d: *mut f32,
    pub means2d: *mut f32,
    pub opacities: *mut f32,
    pub sh: *mut f32,
    pub colors: *mut f32,
    pub scales: *mut f32,
    pub rotations: *mut f32,
    pub cov3d: *mut f32,
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

/// `struct_size` of a struct of this header.
#[must_use]
pub const fn size<T>() -> u32 {
    size_of::<T>() as u32
}
