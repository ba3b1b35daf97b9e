//! A forward call of one camera whose structs a test may spoil.
#![expect(unsafe_code, reason = "calls an engine as a C program would")]

use std::ffi::c_void;

use splat_core::Camera;
use splat_engine::{Engine, EngineError, abi};

use super::blob::{Blob, camera};

/// What the allocator gave; boxed, so that its address holds while a `Call` moves.
#[derive(Default)]
pub struct Blocks(Vec<Vec<u64>>);

pub unsafe extern "C" fn alloc(user: *mut c_void, _kind: u32, bytes: u64) -> *mut c_void {
    // SAFETY: `user` is the boxed list of a call.
    let Blocks(blocks) = unsafe { &mut *user.cast::<Blocks>() };
    blocks.push(vec![0; bytes as usize / 8 + 64]);
    let at = blocks.last_mut().expect("just pushed").as_mut_ptr();
    // SAFETY: 512 spare bytes were allocated, so an aligned address lies inside.
    unsafe { at.cast::<u8>().add(at.cast::<u8>().align_offset(256)).cast() }
}

pub unsafe extern "C" fn no_memory(_user: *mut c_void, _kind: u32, _bytes: u64) -> *mut c_void {
    std::ptr::null_mut()
}

/// A context that allocates from `blocks`.
pub fn context(blocks: &mut Blocks) -> abi::Context {
    let user = std::ptr::from_mut(blocks).cast();
    abi::Context { device: -1, alloc: Some(alloc), user, ..abi::Context::EMPTY }
}

pub struct Call {
    pub args: abi::ForwardArgs,
    pub context: abi::Context,
    pub view: abi::Camera,
    pub gaussians: abi::Gaussians,
    pub settings: abi::Settings,
    pub channel: abi::Channel,
    pub saved: abi::Saved,
    pub color: Vec<f32>,
    pub radii: Vec<i32>,
    /// Whether the context is left out.
    pub no_context: bool,
    /// Whether the channel is listed twice.
    pub twice: bool,
    camera: Camera,
    _background: Box<[f32; 3]>,
    _blocks: Box<Blocks>,
}

impl Call {
    /// `blob` lives longer than the call is used.
    pub fn new(blob: &Blob) -> Self {
        let camera = camera();
        let (w, h, p) = (camera.width as usize, camera.height as usize, blob.opacities.len());
        let mut color = vec![f32::NAN; 3 * w * h];
        let background = Box::new([0.0_f32; 3]);
        let mut blocks: Box<Blocks> = Box::default();
        let input = |v: &Vec<f32>, n: i64| abi::In::contiguous(v.as_ptr(), &[p as i64, n]);
        Self {
            args: abi::ForwardArgs { camera_count: 1, channel_count: 1, ..abi::ForwardArgs::EMPTY },
            context: context(&mut blocks),
            view: abi::Camera {
                width: w as i32,
                height: h as i32,
                tan_fovx: camera.tan_fovx,
                tan_fovy: camera.tan_fovy,
                ..abi::Camera::EMPTY
            },
            gaussians: abi::Gaussians {
                count: p as i64,
                means3d: input(&blob.means3d, 3),
                opacities: abi::In::contiguous(blob.opacities.as_ptr(), &[p as i64]),
                colors: input(&blob.colors, 3),
                scales: input(&blob.scales, 3),
                rotations: input(&blob.rotations, 4),
                ..abi::Gaussians::EMPTY
            },
            settings: abi::Settings {
                background: background.as_ptr(),
                scale_modifier: 1.0,
                ..abi::Settings::EMPTY
            },
            channel: abi::Channel { source: abi::COLOR, data: color.as_mut_ptr(), ..abi::Channel::EMPTY },
            saved: abi::Saved::EMPTY,
            color,
            radii: vec![-1; p],
            no_context: false,
            twice: false,
            camera,
            _background: background,
            _blocks: blocks,
        }
    }

    pub fn run(&mut self, engine: &dyn Engine) -> Result<(), EngineError> {
        self.view.view = self.camera.view.as_ptr();
        self.view.proj = self.camera.proj.as_ptr();
        self.view.campos = self.camera.campos.as_ptr();
        let channels = [self.channel; 2];
        let context = if self.no_context { std::ptr::null() } else { &raw const self.context };
        let args = abi::ForwardArgs {
            channel_count: if self.twice { 2 } else { 1 },
            context,
            cameras: &raw const self.view,
            gaussians: &raw const self.gaussians,
            settings: &raw const self.settings,
            channels: channels.as_ptr(),
            radii: self.radii.as_mut_ptr(),
            saved: &raw mut self.saved,
            ..self.args
        };
        // SAFETY: every pointer set by `new` and above is valid; tests null or resize only what must be refused.
        unsafe { engine.forward(&args) }
    }
}
