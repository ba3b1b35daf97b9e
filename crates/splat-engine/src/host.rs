//! Safe calls of an engine whose memory is the host's: slices in, vectors out.
//!
//! For tests, verification and programs without torch. Shapes and units are those of `splat_engine.h`.
//! An engine on a GPU is refused: its pointers would be device memory.
#![expect(unsafe_code, reason = "hands slices to an engine as pointers")]

use std::ffi::c_void;

use splat_core::{Camera, Color, Gradients, Scene, Settings, Shape, Upstream};

use crate::abi::{self, In};
use crate::engine::{DeviceKind, Engine, EngineError, Outputs};

/// Images and radii of one call, with what [`backward`] needs.
#[derive(Debug)]
pub struct Rendered {
    /// `[3,H,W]` RGB.
    pub color: Vec<f32>,
    /// `[P]` pixel radii, 0 where not visible.
    pub radii: Vec<i32>,
    /// `[1,H,W]` blended inverse depth.
    pub inv_depth: Vec<f32>,
    /// `[1,H,W]` blended depth, if the engine can.
    pub depth: Option<Vec<f32>>,
    /// `[1,H,W]` accumulated opacity, if the engine can.
    pub alpha: Option<Vec<f32>>,
    saved: abi::Saved,
    // `saved` points into these.
    _memory: Arena,
}

impl Rendered {
    /// (splat, tile) pairs that were blended.
    #[must_use]
    pub fn pairs(&self) -> i64 {
        self.saved.rendered
    }
}

/// Renders `scene` with every output that `engine` can produce.
///
/// # Errors
/// [`EngineError`], as the engine says; [`EngineError::Unsupported`] for an engine on a GPU.
pub fn forward(
    engine: &dyn Engine,
    scene: &Scene,
    camera: &Camera,
    settings: &Settings,
) -> Result<Rendered, EngineError> {
    let capabilities = host_only(engine)?;
    let pixels = camera.width as usize * camera.height as usize;
    let mut color = vec![f32::NAN; 3 * pixels];
    let mut radii = vec![-1; scene.len()];
    let mut inv_depth = vec![f32::NAN; pixels];
    let image = |o| capabilities.outputs.contains(o).then(|| vec![f32::NAN; pixels]);
    let (mut depth, mut alpha) = (image(Outputs::DEPTH), image(Outputs::ALPHA));
    let mut memory = Arena::default();
    let camera = camera_of(camera)?;
    let mut args = abi::ForwardArgs {
        context: context(&mut memory),
        camera_count: 1,
        cameras: &raw const camera,
        gaussians: gaussians_of(scene)?,
        settings: settings_of(settings),
        color: color.as_mut_ptr(),
        radii: radii.as_mut_ptr(),
        inv_depth: inv_depth.as_mut_ptr(),
        depth: depth.as_mut().map_or(std::ptr::null_mut(), |v| v.as_mut_ptr()),
        alpha: alpha.as_mut().map_or(std::ptr::null_mut(), |v| v.as_mut_ptr()),
        ..abi::ForwardArgs::EMPTY
    };
    // SAFETY: inputs were measured by `gaussians_of`, outputs are sized above, the arena outlives the call.
    unsafe { engine.forward(&mut args)? };
    Ok(Rendered { color, radii, inv_depth, depth, alpha, saved: args.saved, _memory: memory })
}

/// Gradients of every input for the given upstream gradients. `scene`, `camera` and `settings` are those
/// that `rendered` was made from.
///
/// # Errors
/// [`EngineError`], as the engine says; upstream gradients of a wrong length.
pub fn backward(
    engine: &dyn Engine,
    scene: &Scene,
    camera: &Camera,
    settings: &Settings,
    rendered: &Rendered,
    upstream: &Upstream<f32>,
) -> Result<Gradients<f32>, EngineError> {
    host_only(engine)?;
    let (p, w, h) = (scene.len(), i64::from(camera.width), i64::from(camera.height));
    if rendered.radii.len() != p || rendered.inv_depth.len() as i64 != w * h {
        return Err(EngineError::InvalidArgument(format!(
            "the scene has {p} splats and {w}x{h} pixels, but `rendered` was made of {} and {} pixels",
            rendered.radii.len(),
            rendered.inv_depth.len()
        )));
    }
    let (sh_len, by_scale) = match (&scene.color, &scene.shape) {
        (Color::Sh { values, .. }, s) => (values.len(), matches!(s, Shape::ScaleRotation { .. })),
        (Color::Rgb(_), s) => (0, matches!(s, Shape::ScaleRotation { .. })),
    };
    let numbers = |each: usize| vec![f32::NAN; p * each];
    let mut out = Gradients {
        means3d: numbers(3),
        means2d: numbers(3),
        opacities: numbers(1),
        sh: vec![f32::NAN; sh_len],
        colors: numbers(3),
        scales: numbers(if by_scale { 3 } else { 0 }),
        rotations: numbers(if by_scale { 4 } else { 0 }),
        cov3d: numbers(6),
    };
    let grad = |name: &str, g: Option<&[f32]>, channels: i64| match g {
        None => Ok(std::ptr::null()),
        Some(g) if g.len() as i64 == channels * w * h => Ok(g.as_ptr()),
        Some(g) => Err(EngineError::InvalidArgument(format!(
            "the gradient of `{name}` has {} numbers, but the image has {channels}x{h}x{w}",
            g.len()
        ))),
    };
    let mut memory = Arena::default();
    let wanted = |v: &mut Vec<f32>| if v.is_empty() { std::ptr::null_mut() } else { v.as_mut_ptr() };
    let camera = camera_of(camera)?;
    let mut args = abi::BackwardArgs {
        context: context(&mut memory),
        camera_count: 1,
        cameras: &raw const camera,
        gaussians: gaussians_of(scene)?,
        settings: settings_of(settings),
        saved: rendered.saved,
        radii: rendered.radii.as_ptr(),
        grad_color: grad("color", upstream.color, 3)?,
        grad_inv_depth: grad("inv_depth", upstream.inv_depth, 1)?,
        grad_depth: grad("depth", upstream.depth, 1)?,
        grad_alpha: grad("alpha", upstream.alpha, 1)?,
        means3d: wanted(&mut out.means3d),
        means2d: wanted(&mut out.means2d),
        opacities: wanted(&mut out.opacities),
        sh: wanted(&mut out.sh),
        colors: wanted(&mut out.colors),
        scales: wanted(&mut out.scales),
        rotations: wanted(&mut out.rotations),
        cov3d: wanted(&mut out.cov3d),
        ..abi::BackwardArgs::EMPTY
    };
    // SAFETY: as in `forward`; `rendered` still owns the saved buffers.
    unsafe { engine.backward(&mut args)? };
    Ok(out)
}

fn host_only(engine: &dyn Engine) -> Result<crate::Capabilities, EngineError> {
    let capabilities = engine.capabilities();
    match capabilities.device {
        DeviceKind::Cpu => Ok(capabilities),
        DeviceKind::Cuda => Err(EngineError::Unsupported(format!(
            "engine `{}` reads device memory, but this call has host memory",
            capabilities.name
        ))),
    }
}

/// The allocator behind [`abi::Context`]: blocks that live as long as the arena.
#[derive(Default)]
struct Arena {
    blocks: Vec<Vec<Block>>,
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.blocks.iter().map(|b| b.len() * size_of::<Block>()).sum::<usize>();
        write!(f, "Arena({bytes} bytes)")
    }
}

/// 256 bytes, aligned to 256, as the header asks.
#[derive(Clone, Copy)]
#[repr(C, align(256))]
struct Block([u8; 256]);

unsafe extern "C" fn alloc(user: *mut c_void, _kind: u32, bytes: u64) -> *mut c_void {
    // SAFETY: `user` is the arena that `context` put there, borrowed for the call alone.
    let arena = unsafe { &mut *user.cast::<Arena>() };
    let count = (bytes as usize).div_ceil(256).max(1);
    let mut block = Vec::new();
    if block.try_reserve_exact(count).is_err() {
        return std::ptr::null_mut();
    }
    block.resize(count, Block([0; 256]));
    arena.blocks.push(block);
    arena.blocks.last_mut().map_or(std::ptr::null_mut(), |b| b.as_mut_ptr().cast())
}

fn context(arena: &mut Arena) -> abi::Context {
    abi::Context { alloc: Some(alloc), user: std::ptr::from_mut(arena).cast(), ..abi::Context::EMPTY }
}

fn camera_of(camera: &Camera) -> Result<abi::Camera, EngineError> {
    let side = |n: u32| {
        i32::try_from(n)
            .map_err(|_| EngineError::InvalidArgument(format!("an image side is {n} pixels, over 2^31 - 1")))
    };
    Ok(abi::Camera {
        width: side(camera.width)?,
        height: side(camera.height)?,
        tan_fovx: camera.tan_fovx,
        tan_fovy: camera.tan_fovy,
        view: camera.view.as_ptr(),
        proj: camera.proj.as_ptr(),
        campos: camera.campos.as_ptr(),
        ..abi::Camera::EMPTY
    })
}

fn settings_of(settings: &Settings) -> abi::Settings {
    abi::Settings {
        flags: if settings.antialiasing { abi::ANTIALIASING } else { 0 },
        background: settings.background.as_ptr(),
        scale_modifier: settings.scale_modifier,
        sh_degree: settings.sh_degree as i32,
        ..abi::Settings::EMPTY
    }
}

/// Measures every slice against `P`, so that the engine's reads stay inside them.
fn gaussians_of(scene: &Scene) -> Result<abi::Gaussians, EngineError> {
    let p = scene.len();
    let input = |name: &str, data: &[f32], inner: &[i64]| {
        let expected = p * inner.iter().product::<i64>() as usize;
        if data.len() != expected {
            return Err(EngineError::InvalidArgument(format!(
                "`{name}` has {} numbers, but P = {p} needs {expected}",
                data.len()
            )));
        }
        let shape: Vec<i64> = std::iter::once(p as i64).chain(inner.iter().copied()).collect();
        Ok(In::contiguous(data.as_ptr(), &shape))
    };
    let mut g = abi::Gaussians {
        count: p as i64,
        means3d: input("means3d", scene.means3d, &[3])?,
        opacities: input("opacities", scene.opacities, &[])?,
        ..abi::Gaussians::EMPTY
    };
    match scene.color {
        Color::Sh { values, coeffs } => {
            g.sh_coeffs = coeffs as i64;
            g.sh = input("sh", values, &[coeffs as i64, 3])?;
        }
        Color::Rgb(values) => g.colors = input("colors", values, &[3])?,
    }
    match scene.shape {
        Shape::ScaleRotation { scales, rotations } => {
            g.scales = input("scales", scales, &[3])?;
            g.rotations = input("rotations", rotations, &[4])?;
        }
        Shape::Covariance(values) => g.cov3d = input("cov3d", values, &[6])?,
    }
    Ok(g)
}
