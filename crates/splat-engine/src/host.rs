//! Safe calls of an engine whose memory is the host's: slices in, vectors out.
//!
//! For tests, verification and programs without torch. Shapes and units are those of `splat_engine.h`.
//! An engine on a GPU is refused: its pointers would be device memory.
#![expect(unsafe_code, reason = "hands slices to an engine as pointers")]

use std::ffi::c_void;

use splat_core::{Camera, Color, Gradients, Model, Scene, Settings, Shape, Upstream};

use crate::abi::{self, In};
use crate::engine::{DeviceKind, Engine, EngineError, Features, Outputs};
use crate::workspace::Workspace;

/// Images and radii of one call, with what [`backward`] needs. `C` cameras, or one without that dimension.
#[derive(Debug)]
pub struct Rendered {
    /// `[C,3,H,W]` RGB.
    pub color: Vec<f32>,
    /// `[C,P]` pixel radii, 0 where not visible.
    pub radii: Vec<i32>,
    /// `[C,1,H,W]` blended inverse depth.
    pub inv_depth: Vec<f32>,
    /// `[C,1,H,W]` blended depth, if the engine can.
    pub depth: Option<Vec<f32>>,
    /// `[C,1,H,W]` accumulated opacity, if the engine can.
    pub alpha: Option<Vec<f32>>,
    /// `[C,F,H,W]` blended features, if there are any and the engine can.
    pub features: Option<Vec<f32>>,
    saved: abi::Saved,
    // `saved` points into these.
    _memory: Arena,
}

impl Rendered {
    /// (splat, tile) pairs that were blended, of all cameras.
    #[must_use]
    pub fn pairs(&self) -> i64 {
        self.saved.rendered
    }

    /// Splats left out for numbers that are not finite.
    #[must_use]
    pub fn rejected(&self) -> i64 {
        self.saved.rejected
    }

    /// For [`Workspace::poll`].
    #[must_use]
    pub fn saved(&self) -> &abi::Saved {
        &self.saved
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
    forward_batch(engine, scene, std::slice::from_ref(camera), settings, None)
}

/// [`forward`] for several cameras of one size, and with a workspace.
///
/// # Errors
/// As [`forward`].
pub fn forward_batch(
    engine: &dyn Engine,
    scene: &Scene,
    cameras: &[Camera],
    settings: &Settings,
    workspace: Option<&mut Workspace>,
) -> Result<Rendered, EngineError> {
    let capabilities = host_only(engine)?;
    let pixels = pixels(cameras)?;
    let planes = |n: usize| vec![f32::NAN; n * cameras.len() * pixels];
    let mut color = planes(3);
    let mut radii = vec![-1; cameras.len() * scene.len()];
    let mut inv_depth = planes(1);
    let image = |o, n| capabilities.outputs.contains(o).then(|| planes(n));
    let (mut depth, mut alpha) = (image(Outputs::DEPTH, 1), image(Outputs::ALPHA, 1));
    let mut features = image(Outputs::FEATURES, scene.features.count).filter(|f| !f.is_empty());
    let pointer = |v: &mut Option<Vec<f32>>| v.as_mut().map_or(std::ptr::null_mut(), |v| v.as_mut_ptr());
    let mut memory = Arena::default();
    let views = cameras.iter().map(camera_of).collect::<Result<Vec<_>, _>>()?;
    let mut args = abi::ForwardArgs {
        context: context(&mut memory, workspace),
        camera_count: views.len() as u32,
        cameras: views.as_ptr(),
        gaussians: gaussians_of(scene)?,
        settings: settings_of(settings),
        color: color.as_mut_ptr(),
        radii: radii.as_mut_ptr(),
        inv_depth: inv_depth.as_mut_ptr(),
        depth: pointer(&mut depth),
        alpha: pointer(&mut alpha),
        features: pointer(&mut features),
        ..abi::ForwardArgs::EMPTY
    };
    // SAFETY: inputs were measured by `gaussians_of`, outputs are sized above, the arena outlives the call.
    unsafe { engine.forward(&mut args)? };
    Ok(Rendered { color, radii, inv_depth, depth, alpha, features, saved: args.saved, _memory: memory })
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
    let (gradients, _) =
        backward_batch(engine, scene, std::slice::from_ref(camera), settings, rendered, upstream)?;
    Ok(gradients)
}

/// [`backward`] of [`forward_batch`]: sums over the cameras, `means2d` and `means2d_abs` a camera each, and the
/// gradients for the cameras' matrices (zeros if the engine has none). The gradients' own `view` is the first's.
///
/// # Errors
/// As [`backward`].
pub fn backward_batch(
    engine: &dyn Engine,
    scene: &Scene,
    cameras: &[Camera],
    settings: &Settings,
    rendered: &Rendered,
    upstream: &Upstream<f32>,
) -> Result<(Gradients<f32>, Vec<[f32; 16]>), EngineError> {
    let extra = host_only(engine)?.features.contains(Features::EXTRA_GRADIENTS);
    let (p, n, pixels) = (scene.len(), cameras.len(), pixels(cameras)?);
    if rendered.radii.len() != n * p || rendered.inv_depth.len() != n * pixels {
        return Err(EngineError::InvalidArgument(format!(
            "the scene has {p} splats and {n} cameras {pixels} pixels each, but `rendered` was made of {} and {} \
             pixels",
            rendered.radii.len(),
            rendered.inv_depth.len()
        )));
    }
    let (sh, sh_rest) = match &scene.color {
        Color::Sh { values, .. } => (values.len(), 0),
        Color::SplitSh { first, rest, .. } => (first.len(), rest.len()),
        Color::Rgb(_) => (0, 0),
    };
    let by_scale = matches!(scene.shape, Shape::ScaleRotation { .. });
    let numbers = |each: usize| vec![f32::NAN; p * each];
    let mut out = Gradients {
        means3d: numbers(3),
        means2d: numbers(3 * n),
        means2d_abs: numbers(if upstream.means2d_abs { 2 * n } else { 0 }),
        opacities: numbers(1),
        sh: vec![f32::NAN; sh],
        sh_rest: vec![f32::NAN; sh_rest],
        colors: numbers(3),
        scales: numbers(if by_scale { 3 } else { 0 }),
        rotations: numbers(if by_scale { 4 } else { 0 }),
        cov3d: numbers(6),
        features: numbers(scene.features.count),
        background: [0.0; 3],
        view: [0.0; 16],
    };
    let mut poses = vec![[0.0_f32; 16]; n];
    let grad = |name: &str, g: Option<&[f32]>, channels: usize| match g {
        None => Ok(std::ptr::null()),
        Some(g) if g.len() == channels * n * pixels => Ok(g.as_ptr()),
        Some(g) => Err(EngineError::InvalidArgument(format!(
            "the gradient of `{name}` has {} numbers, but {n} images have {channels}x{}x{}",
            g.len(),
            cameras[0].height,
            cameras[0].width
        ))),
    };
    let mut memory = Arena::default();
    let wanted = |v: &mut Vec<f32>| if v.is_empty() { std::ptr::null_mut() } else { v.as_mut_ptr() };
    let views = cameras.iter().map(camera_of).collect::<Result<Vec<_>, _>>()?;
    let mut args = abi::BackwardArgs {
        context: context(&mut memory, None),
        camera_count: views.len() as u32,
        cameras: views.as_ptr(),
        gaussians: gaussians_of(scene)?,
        settings: settings_of(settings),
        saved: rendered.saved,
        radii: rendered.radii.as_ptr(),
        grad_color: grad("color", upstream.color, 3)?,
        grad_inv_depth: grad("inv_depth", upstream.inv_depth, 1)?,
        grad_depth: grad("depth", upstream.depth, 1)?,
        grad_alpha: grad("alpha", upstream.alpha, 1)?,
        grad_features: grad("features", upstream.features, scene.features.count)?,
        means3d: wanted(&mut out.means3d),
        means2d: wanted(&mut out.means2d),
        means2d_abs: wanted(&mut out.means2d_abs),
        opacities: wanted(&mut out.opacities),
        sh: wanted(&mut out.sh),
        sh_rest: wanted(&mut out.sh_rest),
        colors: wanted(&mut out.colors),
        scales: wanted(&mut out.scales),
        rotations: wanted(&mut out.rotations),
        cov3d: wanted(&mut out.cov3d),
        features: wanted(&mut out.features),
        ..abi::BackwardArgs::EMPTY
    };
    if extra {
        args.background = out.background.as_mut_ptr();
        args.view = poses.as_mut_ptr().cast();
    }
    // SAFETY: as in `forward`; `rendered` still owns the saved buffers.
    unsafe { engine.backward(&mut args)? };
    out.view = poses[0];
    Ok((out, poses))
}

/// Pixels of each image.
fn pixels(cameras: &[Camera]) -> Result<usize, EngineError> {
    let Some(first) = cameras.first() else {
        return Err(EngineError::InvalidArgument("no camera is given, but a call needs 1 to 32".into()));
    };
    if let Some(other) = cameras.iter().find(|c| (c.width, c.height) != (first.width, first.height)) {
        return Err(EngineError::InvalidArgument(format!(
            "a camera has {}x{} pixels, but the first has {}x{}",
            other.width, other.height, first.width, first.height
        )));
    }
    Ok(first.width as usize * first.height as usize)
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

fn context(arena: &mut Arena, workspace: Option<&mut Workspace>) -> abi::Context {
    abi::Context {
        workspace: workspace.map_or(std::ptr::null_mut(), Workspace::as_ptr),
        alloc: Some(alloc),
        user: std::ptr::from_mut(arena).cast(),
        ..abi::Context::EMPTY
    }
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
        model: match camera.model {
            Model::Pinhole => abi::PINHOLE,
            Model::Orthographic => abi::ORTHOGRAPHIC,
        },
        view: camera.view.as_ptr(),
        proj: camera.proj.as_ptr(),
        campos: camera.campos.as_ptr(),
        ..abi::Camera::EMPTY
    })
}

fn settings_of(settings: &Settings) -> abi::Settings {
    let flag = |on: bool, bit: u32| if on { bit } else { 0 };
    abi::Settings {
        flags: flag(settings.antialiasing, abi::ANTIALIASING)
            | flag(settings.exact, abi::EXACT)
            | flag(settings.raw, abi::RAW),
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
        Color::SplitSh { first, rest, coeffs } => {
            g.sh_coeffs = coeffs as i64;
            g.sh = input("sh", first, &[1, 3])?;
            g.sh_rest = input("sh_rest", rest, &[coeffs as i64 - 1, 3])?;
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
    if scene.features.count > 0 {
        g.feature_count = scene.features.count as i64;
        g.features = input("features", scene.features.values, &[g.feature_count])?;
    }
    Ok(g)
}
