//! splat-core's engine behind the ABI: pointers and strides become slices, results go to the caller's memory.
//!
//! Temporaries of a call are ordinary host memory; what backward needs is kept in the caller's SAVED
//! allocations, four of them in the order of [`splat_core::Saved`], each camera's part after the other. Cameras are
//! rendered one by one. No equations here.
#![expect(unsafe_code, reason = "turns the ABI's pointers into slices")]

mod call;
mod memory;
mod optimize;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use splat_core as core;

use self::call::Call;
pub(crate) use self::memory::check_size;
use self::memory::{extent, gather, keep, kept, matrix, optional, required, slice, write};
use crate::abi;
use crate::engine::{Capabilities, DeviceKind, Engine, EngineError, Features, Outputs, SharedEngine};

/// The CPU engine, in this process.
#[must_use]
pub fn cpu() -> SharedEngine {
    Arc::new(CpuEngine)
}

/// splat-core behind [`Engine`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuEngine;

/// What this engine's workspaces are: it never has to guess, so they only count calls.
struct Tickets(AtomicI64);

const FEATURES: Features = Features::STRIDED_INPUTS
    .with(Features::DETERMINISTIC)
    .with(Features::EXACT)
    .with(Features::RAW)
    .with(Features::REPRODUCE)
    .with(Features::BATCH)
    .with(Features::ORTHOGRAPHIC)
    .with(Features::SPLIT_SH)
    .with(Features::EXTRA_GRADIENTS)
    .with(Features::WORKSPACE)
    .with(Features::OPTIMIZE);

impl Engine for CpuEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "cpu".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            fingerprint: option_env!("SPLATWRIGHT_FINGERPRINT").unwrap_or_default().into(),
            abi: abi::ABI,
            device: DeviceKind::Cpu,
            outputs: Outputs(63),
            features: FEATURES,
            max_sh_degree: 3,
        }
    }

    fn device_ready(&self, _device: i32) -> Result<(), EngineError> {
        Ok(())
    }

    unsafe fn forward(&self, args: &mut abi::ForwardArgs) -> Result<(), EngineError> {
        check_size("splat_forward_args", args.struct_size, abi::size::<abi::ForwardArgs>())?;
        check_size("splat_saved", args.saved.struct_size, abi::size::<abi::Saved>())?;
        check_size("splat_context", args.context.struct_size, abi::size::<abi::Context>())?;
        // SAFETY: the caller of `forward` vouches for every pointer in `args`.
        let call = unsafe { Call::read(args.cameras, args.camera_count, &args.gaussians, &args.settings)? };
        required("color", args.color)?;
        if call.count > 0 {
            required("radii", args.radii)?;
        }
        let scene = call.scene();
        let mut parts = Vec::with_capacity(call.cameras.len());
        let mut rejected = 0;
        for (i, camera) in call.cameras.iter().enumerate() {
            let out = core::forward(&scene, camera, &call.settings).map_err(refused)?;
            // SAFETY: outputs have a part a camera, as long as the core's results, by the contract of `forward`.
            unsafe {
                write(args.color, i, &out.color);
                write(args.radii, i, &out.radii);
                write(args.inv_depth, i, &out.inv_depth);
                write(args.depth, i, &out.depth);
                write(args.alpha, i, &out.alpha);
                write(args.features, i, &out.features);
            }
            rejected = out.rejected as i64;
            parts.push(out.saved);
        }
        let mut saved = abi::Saved {
            rendered: parts.iter().map(|p| p.rendered() as i64).sum(),
            rejected,
            ..abi::Saved::EMPTY
        };
        let context = &args.context;
        let list = |of: fn(&core::Saved) -> &[u32]| parts.iter().map(of).collect::<Vec<_>>();
        // SAFETY: the callback and its `user` belong together, by the contract of `forward`; a workspace is of
        // `workspace_new`.
        unsafe {
            if args.settings.flags & abi::FORWARD_ONLY == 0 {
                keep(context, &mut saved, &list(|p| &p.point_list))?;
                keep(context, &mut saved, &parts.iter().map(|p| &*p.ranges).collect::<Vec<_>>())?;
                keep(context, &mut saved, &parts.iter().map(|p| &*p.final_t).collect::<Vec<_>>())?;
                keep(context, &mut saved, &list(|p| &p.contributors))?;
            }
            if let Some(Tickets(next)) = context.workspace.cast::<Tickets>().as_ref() {
                saved.ticket = next.fetch_add(1, Ordering::Relaxed);
            }
        }
        args.saved = saved;
        Ok(())
    }

    unsafe fn backward(&self, args: &mut abi::BackwardArgs) -> Result<(), EngineError> {
        check_size("splat_backward_args", args.struct_size, abi::size::<abi::BackwardArgs>())?;
        check_size("splat_saved", args.saved.struct_size, abi::size::<abi::Saved>())?;
        // SAFETY: the caller of `backward` vouches for every pointer in `args`.
        let call = unsafe { Call::read(args.cameras, args.camera_count, &args.gaussians, &args.settings)? };
        let (pixels, count, channels) = (call.pixels(), call.count, call.channels());
        if args.saved.buffer_count != 4 {
            return Err(EngineError::InvalidArgument(format!(
                "`saved` has {} buffers, but the cpu engine leaves 4: it is not of this engine's forward",
                args.saved.buffer_count
            )));
        }
        if count > 0 {
            required("radii", args.radii)?;
        }
        // SAFETY: `saved` is what `forward` left: four buffers of `bytes[i]` bytes, aligned to 256, holding
        // the arrays written above.
        let all: core::SavedRef<'_> = unsafe {
            core::SavedRef {
                point_list: kept(&args.saved, 0),
                ranges: kept(&args.saved, 1),
                final_t: kept(&args.saved, 2),
                contributors: kept(&args.saved, 3),
            }
        };
        let n = call.cameras.len();
        let tiles = call.tiles();
        if [all.ranges.len(), all.final_t.len(), all.contributors.len()]
            != [n * tiles, n * pixels, n * pixels]
        {
            return Err(EngineError::InvalidArgument(format!(
                "`saved` has {} tiles and {} pixels, but {n} such cameras have {} and {}",
                all.ranges.len(),
                all.final_t.len(),
                n * tiles,
                n * pixels
            )));
        }
        let mut lists = all.point_list;
        let mut total: Option<core::Gradients> = None;
        for (i, camera) in call.cameras.iter().enumerate() {
            let ranges = &all.ranges[i * tiles..(i + 1) * tiles];
            let length = ranges.last().map_or(0, |range| range[1] as usize).min(lists.len());
            let (point_list, rest) = lists.split_at(length);
            lists = rest;
            let saved = core::SavedRef {
                point_list,
                ranges,
                final_t: &all.final_t[i * pixels..(i + 1) * pixels],
                contributors: &all.contributors[i * pixels..(i + 1) * pixels],
            };
            // SAFETY: radii have P numbers a camera; upstream gradients have their outputs' shapes.
            let (radii, upstream) = unsafe {
                let upstream = core::Upstream {
                    color: optional(args.grad_color, i, 3 * pixels),
                    inv_depth: optional(args.grad_inv_depth, i, pixels),
                    depth: optional(args.grad_depth, i, pixels),
                    alpha: optional(args.grad_alpha, i, pixels),
                    features: optional(args.grad_features, i, channels * pixels).filter(|f| !f.is_empty()),
                    means2d_abs: !args.means2d_abs.is_null(),
                };
                (slice(args.radii.wrapping_add(i * count), count), upstream)
            };
            let out = core::backward(&call.scene(), camera, &call.settings, saved, radii, &upstream)
                .map_err(refused)?;
            // SAFETY: these three have a part a camera.
            unsafe {
                write(args.means2d, i, &out.means2d);
                write(args.means2d_abs, i, &out.means2d_abs);
                write(args.view, i, &out.view);
            }
            match &mut total {
                None => total = Some(out),
                Some(total) => total.add_camera(&out),
            }
        }
        let Some(out) = total else { return Err(EngineError::Internal("a call without cameras".into())) };
        // SAFETY: gradients have the shapes of their inputs, by the contract of `backward`.
        unsafe {
            write(args.means3d, 0, &out.means3d);
            write(args.opacities, 0, &out.opacities);
            write(args.sh, 0, &out.sh);
            write(args.sh_rest, 0, &out.sh_rest);
            write(args.colors, 0, &out.colors);
            write(args.scales, 0, &out.scales);
            write(args.rotations, 0, &out.rotations);
            write(args.cov3d, 0, &out.cov3d);
            write(args.features, 0, &out.features);
            write(args.background, 0, &out.background);
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

    fn workspace_new(&self, _device: i32) -> Result<*mut abi::Workspace, EngineError> {
        Ok(Box::into_raw(Box::new(Tickets(AtomicI64::new(0)))).cast())
    }

    unsafe fn workspace_free(&self, workspace: *mut abi::Workspace) {
        if !workspace.is_null() {
            // SAFETY: made by `workspace_new`, by the caller's word.
            drop(unsafe { Box::from_raw(workspace.cast::<Tickets>()) });
        }
    }

    unsafe fn poll(
        &self,
        workspace: *mut abi::Workspace,
        saved: &abi::Saved,
        _wait: bool,
    ) -> Result<abi::Progress, EngineError> {
        check_size("splat_saved", saved.struct_size, abi::size::<abi::Saved>())?;
        required("workspace", workspace)?;
        // SAFETY: not null, hence made by `workspace_new`.
        let Tickets(next) = unsafe { &*workspace.cast::<Tickets>() };
        let served = next.load(Ordering::Relaxed);
        if !(0..served).contains(&saved.ticket) {
            return Err(EngineError::InvalidArgument(format!(
                "`saved.ticket` is {}, but the workspace has served {served} calls",
                saved.ticket
            )));
        }
        Ok(abi::Progress {
            done: 1,
            rendered: saved.rendered,
            rejected: saved.rejected,
            capacity: saved.rendered,
            ..abi::Progress::EMPTY
        })
    }

    unsafe fn adam(&self, args: &mut abi::AdamArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller.
        unsafe { optimize::adam(args) }
    }

    unsafe fn ssim_forward(&self, args: &mut abi::SsimArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller.
        unsafe { optimize::ssim_forward(args) }
    }

    unsafe fn ssim_backward(&self, args: &mut abi::SsimArgs) -> Result<(), EngineError> {
        // SAFETY: forwarded from the caller.
        unsafe { optimize::ssim_backward(args) }
    }
}

fn refused(e: core::Error) -> EngineError {
    EngineError::InvalidArgument(e.to_string())
}
