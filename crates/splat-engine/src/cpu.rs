//! splat-core's engine behind the ABI: pointers and strides become slices, results go to the caller's memory.
//!
//! Temporaries of a call are ordinary host memory; what backward needs is kept in the caller's SAVED
//! allocations, four of them in the order of [`splat_core::Saved`]. No equations here.
#![expect(unsafe_code, reason = "turns the ABI's pointers into slices")]

use std::borrow::Cow;
use std::sync::Arc;

use splat_core as core;

use crate::abi::{self, In};
use crate::engine::{Capabilities, DeviceKind, Engine, EngineError, Features, Outputs, SharedEngine};

/// The CPU engine, in this process.
#[must_use]
pub fn cpu() -> SharedEngine {
    Arc::new(CpuEngine)
}

/// splat-core behind [`Engine`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuEngine;

impl Engine for CpuEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "cpu".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            fingerprint: option_env!("SPLATWRIGHT_FINGERPRINT").unwrap_or_default().into(),
            abi: abi::ABI,
            device: DeviceKind::Cpu,
            outputs: Outputs(31),
            features: Features(Features::STRIDED_INPUTS.0 | Features::DETERMINISTIC.0),
            max_sh_degree: 3,
        }
    }

    fn device_ready(&self, _device: i32) -> Result<(), EngineError> {
        Ok(())
    }

    unsafe fn forward(&self, args: &mut abi::ForwardArgs) -> Result<(), EngineError> {
        check_size("splat_forward_args", args.struct_size, abi::size::<abi::ForwardArgs>())?;
        check_size("splat_saved", args.saved.struct_size, abi::size::<abi::Saved>())?;
        // SAFETY: the caller of `forward` vouches for every pointer in `args`.
        let camera = unsafe { one_camera(args.cameras, args.camera_count)? };
        // SAFETY: as above.
        let call = unsafe { Call::read(camera, &args.gaussians, &args.settings)? };
        let (pixels, count) = (call.pixels(), call.count);
        required("color", args.color)?;
        if count > 0 {
            required("radii", args.radii)?;
        }
        let out = core::forward(&call.scene(), &call.camera, &call.settings).map_err(refused)?;
        // SAFETY: outputs hold [3,H,W], [P] and [1,H,W] numbers, by the contract of `forward`.
        unsafe {
            write(args.color, &out.color, 3 * pixels);
            write(args.radii, &out.radii, count);
            write(args.inv_depth, &out.inv_depth, pixels);
            write(args.depth, &out.depth, pixels);
            write(args.alpha, &out.alpha, pixels);
        }
        args.saved = abi::Saved {
            struct_size: abi::size::<abi::Saved>(),
            buffer_count: 4,
            rendered: out.saved.point_list.len() as i64,
            ..abi::Saved::EMPTY
        };
        let parts: [&[u8]; 4] = [
            bytemuck::cast_slice(&out.saved.point_list),
            bytemuck::cast_slice(&out.saved.ranges),
            bytemuck::cast_slice(&out.saved.final_t),
            bytemuck::cast_slice(&out.saved.contributors),
        ];
        for (i, part) in parts.into_iter().enumerate() {
            // SAFETY: the callback and its `user` belong together, by the contract of `forward`.
            let to = unsafe { allocate(&args.context, part.len())? };
            // SAFETY: the allocator returned at least `part.len()` fresh bytes.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len()) };
            args.saved.buffer[i] = to.cast();
            args.saved.bytes[i] = part.len() as u64;
        }
        Ok(())
    }

    unsafe fn backward(&self, args: &mut abi::BackwardArgs) -> Result<(), EngineError> {
        check_size("splat_backward_args", args.struct_size, abi::size::<abi::BackwardArgs>())?;
        // SAFETY: the caller of `backward` vouches for every pointer in `args`.
        let camera = unsafe { one_camera(args.cameras, args.camera_count)? };
        // SAFETY: as above.
        let call = unsafe { Call::read(camera, &args.gaussians, &args.settings)? };
        let (pixels, count) = (call.pixels(), call.count);
        let saved = &args.saved;
        if saved.buffer_count != 4 {
            return Err(EngineError::InvalidArgument(format!(
                "`saved` has {} buffers, but the cpu engine leaves 4: it is not of this engine's forward",
                saved.buffer_count
            )));
        }
        if count > 0 {
            required("radii", args.radii.cast_mut())?;
        }
        // SAFETY: `saved` is what `forward` left: four buffers of `bytes[i]` bytes, aligned to 256, holding
        // the arrays written above; `radii` has P numbers; upstream gradients have their outputs' shapes.
        let (state, radii, upstream) = unsafe {
            let state = core::SavedRef {
                point_list: saved_slice(saved, 0),
                ranges: saved_slice(saved, 1),
                final_t: saved_slice(saved, 2),
                contributors: saved_slice(saved, 3),
            };
            let radii: &[i32] = slice(args.radii, count);
            let upstream = [
                optional(args.grad_color, 3 * pixels),
                optional(args.grad_inv_depth, pixels),
                optional(args.grad_depth, pixels),
                optional(args.grad_alpha, pixels),
            ];
            (state, radii, upstream)
        };
        let [color, inv_depth, depth, alpha] = &upstream;
        let upstream = core::Upstream { color: *color, inv_depth: *inv_depth, depth: *depth, alpha: *alpha };
        debug_assert_eq!(state.final_t.len(), pixels, "saved transmittance covers the image");
        let out = core::backward(&call.scene(), &call.camera, &call.settings, state, radii, &upstream)
            .map_err(refused)?;
        // SAFETY: gradients have the shapes of their inputs, by the contract of `backward`.
        unsafe {
            write(args.means3d, &out.means3d, 3 * count);
            write(args.means2d, &out.means2d, 3 * count);
            write(args.opacities, &out.opacities, count);
            write(args.sh, &out.sh, out.sh.len());
            write(args.colors, &out.colors, 3 * count);
            write(args.scales, &out.scales, out.scales.len());
            write(args.rotations, &out.rotations, out.rotations.len());
            write(args.cov3d, &out.cov3d, 6 * count);
        }
        Ok(())
    }

    unsafe fn mark_visible(&self, args: &mut abi::MarkVisibleArgs) -> Result<(), EngineError> {
        check_size("splat_mark_visible_args", args.struct_size, abi::size::<abi::MarkVisibleArgs>())?;
        let count = extent("count", args.count)?;
        if count == 0 {
            return Ok(());
        }
        required("visible", args.visible)?;
        // SAFETY: the caller of `mark_visible` vouches for the pointers in `args`.
        let (means, view) = unsafe {
            (gather("means3d", &args.means3d, &[args.count, 3])?, matrix::<16>("view", args.view)?)
        };
        let marks = core::mark_visible(&means, &view).map_err(refused)?;
        for (i, mark) in marks.into_iter().enumerate() {
            // SAFETY: `visible` has P bytes and `marks` has P members.
            unsafe { *args.visible.add(i) = u8::from(mark) };
        }
        Ok(())
    }
}

/// The inputs that forward and backward share, as the core takes them. Contiguous inputs are borrowed.
struct Call<'a> {
    count: usize,
    camera: core::Camera,
    settings: core::Settings,
    means3d: Cow<'a, [f32]>,
    opacities: Cow<'a, [f32]>,
    color: (Cow<'a, [f32]>, Option<usize>),
    shape: Extent<'a>,
}

enum Extent<'a> {
    ScaleRotation(Cow<'a, [f32]>, Cow<'a, [f32]>),
    Covariance(Cow<'a, [f32]>),
}

impl<'a> Call<'a> {
    /// # Safety
    /// As [`Engine::forward`], for the pointers in the three structs.
    unsafe fn read(
        camera: &abi::Camera,
        g: &abi::Gaussians,
        settings: &abi::Settings,
    ) -> Result<Self, EngineError> {
        check_size("splat_camera", camera.struct_size, abi::size::<abi::Camera>())?;
        check_size("splat_gaussians", g.struct_size, abi::size::<abi::Gaussians>())?;
        check_size("splat_settings", settings.struct_size, abi::size::<abi::Settings>())?;
        let refused = [
            (camera.model != abi::PINHOLE, "`model`"),
            (settings.flags & abi::EXACT != 0, "SPLAT_EXACT"),
            (settings.flags & abi::RAW != 0, "SPLAT_RAW"),
            (!g.sh_rest.data.is_null(), "`sh_rest`"),
            (g.feature_count != 0 || !g.features.data.is_null(), "`features`"),
        ];
        if let Some((_, name)) = refused.iter().find(|(asked, _)| *asked) {
            return Err(EngineError::Unsupported(format!("the cpu engine does not take {name}")));
        }
        let count = extent("count", g.count)?;
        let coeffs = extent("sh_coeffs", g.sh_coeffs)?;
        if camera.width < 1 || camera.height < 1 {
            return Err(EngineError::InvalidArgument(format!(
                "the image is {}x{} pixels, but both sides must be at least 1",
                camera.width, camera.height
            )));
        }
        let sh_degree = u32::try_from(settings.sh_degree).map_err(|_| {
            EngineError::InvalidArgument(format!("`sh_degree` is {}, but must be 0 to 3", settings.sh_degree))
        })?;
        let p = g.count;
        // Exactly one of the two, except that without splats both may be absent.
        let first_of = |a: &In, b: &In, names: &str| {
            if count > 0 && a.data.is_null() == b.data.is_null() {
                let given = if a.data.is_null() { "none is" } else { "both are" };
                return Err(EngineError::InvalidArgument(format!(
                    "exactly one of {names} is needed, but {given} given"
                )));
            }
            Ok(b.data.is_null())
        };
        let by_sh = first_of(&g.sh, &g.colors, "`sh` and `colors`")? && (count > 0 || coeffs > 0);
        let by_scale = first_of(&g.scales, &g.cov3d, "`scales` with `rotations` and `cov3d`")?;
        // SAFETY: forwarded from the caller.
        unsafe {
            Ok(Self {
                count,
                camera: core::Camera {
                    width: camera.width as u32,
                    height: camera.height as u32,
                    tan_fovx: camera.tan_fovx,
                    tan_fovy: camera.tan_fovy,
                    view: matrix::<16>("view", camera.view)?,
                    proj: matrix::<16>("proj", camera.proj)?,
                    campos: matrix::<3>("campos", camera.campos)?,
                },
                settings: core::Settings {
                    background: matrix::<3>("background", settings.background)?,
                    scale_modifier: settings.scale_modifier,
                    sh_degree,
                    antialiasing: settings.flags & abi::ANTIALIASING != 0,
                },
                means3d: gather("means3d", &g.means3d, &[p, 3])?,
                opacities: gather("opacities", &g.opacities, &[p])?,
                color: if by_sh {
                    (gather("sh", &g.sh, &[p, g.sh_coeffs, 3])?, Some(coeffs))
                } else {
                    (gather("colors", &g.colors, &[p, 3])?, None)
                },
                shape: if by_scale {
                    Extent::ScaleRotation(
                        gather("scales", &g.scales, &[p, 3])?,
                        gather("rotations", &g.rotations, &[p, 4])?,
                    )
                } else {
                    Extent::Covariance(gather("cov3d", &g.cov3d, &[p, 6])?)
                },
            })
        }
    }

    fn scene(&self) -> core::Scene<'_> {
        core::Scene {
            means3d: &self.means3d,
            opacities: &self.opacities,
            color: match self.color.1 {
                Some(coeffs) => core::Color::Sh { values: &self.color.0, coeffs },
                None => core::Color::Rgb(&self.color.0),
            },
            shape: match &self.shape {
                Extent::ScaleRotation(scales, rotations) => core::Shape::ScaleRotation { scales, rotations },
                Extent::Covariance(values) => core::Shape::Covariance(values),
            },
        }
    }

    fn pixels(&self) -> usize {
        self.camera.width as usize * self.camera.height as usize
    }
}

fn refused(e: core::Error) -> EngineError {
    EngineError::InvalidArgument(e.to_string())
}

pub(crate) fn check_size(name: &str, found: u32, expected: u32) -> Result<(), EngineError> {
    if found == expected {
        return Ok(());
    }
    Err(EngineError::InvalidArgument(format!(
        "`{name}.struct_size` is {found}, but ABI {} has {expected}: caller and engine were built from \
         different headers",
        abi::ABI
    )))
}

/// A count from the ABI as a length whose arrays a 64-bit address space can hold.
fn extent(name: &str, n: i64) -> Result<usize, EngineError> {
    usize::try_from(n)
        .ok()
        .filter(|n| *n <= (1 << 48))
        .ok_or_else(|| EngineError::InvalidArgument(format!("`{name}` is {n}, but must be 0 to 2^48")))
}

fn required<T>(name: &str, pointer: *mut T) -> Result<(), EngineError> {
    if pointer.is_null() {
        return Err(EngineError::InvalidArgument(format!("`{name}` is NULL, but it is not optional")));
    }
    Ok(())
}

/// # Safety
/// `data`, if not null, points to `N` numbers.
unsafe fn matrix<const N: usize>(name: &str, data: *const f32) -> Result<[f32; N], EngineError> {
    required(name, data.cast_mut())?;
    // SAFETY: not null, and the caller vouches for its extent.
    Ok(unsafe { data.cast::<[f32; N]>().read_unaligned() })
}

/// A strided input as contiguous numbers; borrowed when it already is.
///
/// # Safety
/// `input.data`, if not null, is valid for every index of `shape` under `input.stride` for the life `'a`.
unsafe fn gather<'a>(name: &str, input: &In, shape: &[i64]) -> Result<Cow<'a, [f32]>, EngineError> {
    let total = shape.iter().product::<i64>() as usize;
    if total == 0 {
        return Ok(Cow::Borrowed(&[]));
    }
    required(name, input.data.cast_mut())?;
    let dense = In::contiguous(input.data, shape);
    let same = shape.iter().zip(input.stride).zip(dense.stride).all(|((n, a), b)| *n == 1 || a == b);
    if same {
        // SAFETY: contiguous, `total` numbers long, alive for `'a` by the caller's word.
        return Ok(Cow::Borrowed(unsafe { std::slice::from_raw_parts(input.data, total) }));
    }
    let at = |d: usize| (shape.get(d).copied().unwrap_or(1), input.stride[d]);
    let [(n0, s0), (n1, s1), (n2, s2)] = [at(0), at(1), at(2)];
    let mut out = Vec::with_capacity(total);
    for i in 0..n0 {
        for j in 0..n1 {
            for k in 0..n2 {
                // SAFETY: an index of `shape` under `input.stride`, by the caller's word.
                out.push(unsafe { *input.data.offset((i * s0 + j * s1 + k * s2) as isize) });
            }
        }
    }
    Ok(Cow::Owned(out))
}

/// # Safety
/// `data` is null or points to `len` numbers that outlive `'a`.
unsafe fn optional<'a>(data: *const f32, len: usize) -> Option<&'a [f32]> {
    // SAFETY: forwarded from the caller.
    (!data.is_null()).then(|| unsafe { slice(data, len) })
}

/// # Safety
/// `cameras` is null or points to `count` cameras.
unsafe fn one_camera<'a>(cameras: *const abi::Camera, count: u32) -> Result<&'a abi::Camera, EngineError> {
    required("cameras", cameras.cast_mut())?;
    if count != 1 {
        return Err(EngineError::Unsupported(format!("`camera_count` is {count}, but this engine takes 1")));
    }
    // SAFETY: not null, and of one camera by the caller's word.
    Ok(unsafe { &*cameras })
}

/// # Safety
/// `data` is null or points to `len` values that outlive `'a`.
unsafe fn slice<'a, T>(data: *const T, len: usize) -> &'a [T] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: by the caller's word.
    unsafe { std::slice::from_raw_parts(data, len) }
}

/// # Safety
/// Buffer `i` of `saved` holds `bytes[i]` bytes of `T`s, aligned for them, and outlives `'a`.
unsafe fn saved_slice<'a, T>(saved: &abi::Saved, i: usize) -> &'a [T] {
    // SAFETY: by the caller's word.
    unsafe { slice(saved.buffer[i].cast::<T>(), saved.bytes[i] as usize / size_of::<T>()) }
}

/// Copies a result to the caller, unless the caller does not want it.
///
/// # Safety
/// `to` is null or has room for `len` values.
unsafe fn write<T: Copy>(to: *mut T, from: &[T], len: usize) {
    if to.is_null() {
        return;
    }
    assert_eq!(from.len(), len, "the core's result has the extent that the header states");
    // SAFETY: `from` has `len` values and `to` has room for them; they are distinct allocations.
    unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, len) };
}

/// # Safety
/// `context.alloc` and `context.user` belong together.
unsafe fn allocate(context: &abi::Context, bytes: usize) -> Result<*mut u8, EngineError> {
    check_size("splat_context", context.struct_size, abi::size::<abi::Context>())?;
    let Some(alloc) = context.alloc else {
        return Err(EngineError::InvalidArgument("`context.alloc` is NULL, but forward needs it".into()));
    };
    // SAFETY: by the caller's word.
    let to = unsafe { alloc(context.user, abi::MEM_SAVED, bytes as u64) };
    if to.is_null() {
        return Err(EngineError::OutOfMemory(format!(
            "the caller's allocator gave no memory for {bytes} bytes"
        )));
    }
    Ok(to.cast())
}
