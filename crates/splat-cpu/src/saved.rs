//! What a forward pass leaves for its backward pass, and the workspaces that count such calls.
//!
//! Four SAVED allocations in the order of [`splat_core::Saved`], in each of them one image's part after the other.
#![expect(unsafe_code, reason = "fills and reads the caller's allocations")]

use std::sync::atomic::{AtomicI64, Ordering};

use splat_core as core;
use splat_engine::{EngineError, abi};

use crate::invalid;
use crate::memory::{required, slice};

/// What this engine's workspaces are: it never has to estimate, so they only count calls.
struct Tickets(AtomicI64);

pub(crate) fn workspace_new() -> *mut abi::Workspace {
    Box::into_raw(Box::new(Tickets(AtomicI64::new(0)))).cast()
}

/// # Safety
/// `workspace` is null, or of [`workspace_new`] and not freed yet.
pub(crate) unsafe fn workspace_free(workspace: *mut abi::Workspace) {
    if !workspace.is_null() {
        // SAFETY: made by `workspace_new`, as the caller guarantees.
        drop(unsafe { Box::from_raw(workspace.cast::<Tickets>()) });
    }
}

/// # Safety
/// `workspace` is null, or of [`workspace_new`] and alive.
pub(crate) unsafe fn poll(
    workspace: *mut abi::Workspace,
    saved: &abi::Saved,
) -> Result<abi::Progress, EngineError> {
    required("workspace", workspace)?;
    // SAFETY: not null, hence made by `workspace_new`.
    let Tickets(next) = unsafe { &*workspace.cast::<Tickets>() };
    let served = next.load(Ordering::Relaxed);
    if !(0..served).contains(&saved.ticket) {
        return invalid(format!(
            "`saved.ticket` is {}, but the workspace has served {served} calls",
            saved.ticket
        ));
    }
    Ok(abi::Progress {
        done: 1,
        rendered: saved.rendered,
        rejected: saved.rejected,
        capacity: saved.rendered,
        ..abi::Progress::EMPTY
    })
}

/// Keeps `parts`, one per image, in the caller's memory and fills the struct at `to`.
///
/// # Safety
/// The context's callback and its `user` belong together, its workspace is null or alive; `to` as for [`abi::write`].
pub(crate) unsafe fn leave(
    parts: &[core::Saved],
    rejected: u64,
    flags: u32,
    context: &abi::Context,
    to: *mut abi::Saved,
) -> Result<(), EngineError> {
    let mut saved = abi::Saved {
        rendered: parts.iter().map(|p| p.rendered() as i64).sum(),
        rejected: rejected as i64,
        ticket: -1,
        ..abi::Saved::EMPTY
    };
    // SAFETY: forwarded from the caller.
    unsafe {
        if flags & abi::FORWARD_ONLY == 0 {
            keep(context, &mut saved, parts.iter().map(|p| &*p.point_list))?;
            keep(context, &mut saved, parts.iter().map(|p| &*p.ranges))?;
            keep(context, &mut saved, parts.iter().map(|p| &*p.final_t))?;
            keep(context, &mut saved, parts.iter().map(|p| &*p.contributors))?;
        }
        if let Some(Tickets(next)) = context.workspace.cast::<Tickets>().as_ref() {
            saved.ticket = next.fetch_add(1, Ordering::Relaxed);
        }
        abi::write(to, &saved, "saved")
    }
}

/// # Safety
/// `context.alloc` and `context.user` belong together.
unsafe fn keep<'a, T: bytemuck::NoUninit>(
    context: &abi::Context,
    saved: &mut abi::Saved,
    parts: impl Iterator<Item = &'a [T]> + Clone,
) -> Result<(), EngineError> {
    let Some(alloc) = context.alloc else {
        return invalid(
            "`context.alloc` is NULL, but a forward pass needs it unless SPLAT_FORWARD_ONLY".into(),
        );
    };
    let bytes = parts.clone().map(size_of_val).sum::<usize>();
    // SAFETY: as the caller guarantees.
    let to = unsafe { alloc(context.user, abi::MEM_SAVED, bytes as u64) };
    if to.is_null() {
        return Err(EngineError::OutOfMemory(format!(
            "the caller's allocator returned NULL for {bytes} bytes"
        )));
    }
    let mut at = 0;
    for part in parts {
        let part: &[u8] = bytemuck::cast_slice(part);
        // SAFETY: the allocator returned at least `bytes` fresh bytes, of which `at` are taken.
        unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), to.cast::<u8>().add(at), part.len()) };
        at += part.len();
    }
    let index = saved.buffer_count as usize;
    (saved.buffer[index], saved.bytes[index]) = (to, bytes as u64);
    saved.buffer_count += 1;
    Ok(())
}

/// What [`leave`] kept, image by image.
pub(crate) struct Kept<'a> {
    all: core::SavedRef<'a>,
    tiles: usize,
    pixels: usize,
}

impl Kept<'_> {
    /// Of `images` images of this size (width, height).
    ///
    /// # Safety
    /// `saved` is null or what [`leave`] filled, its buffers alive and unchanged.
    pub(crate) unsafe fn read(
        saved: *const abi::Saved,
        images: usize,
        [width, height]: [u32; 2],
    ) -> Result<Self, EngineError> {
        // SAFETY: forwarded from the caller.
        let saved = unsafe { abi::read(saved, "saved")? };
        if saved.buffer_count != 4 {
            return invalid(format!(
                "`saved` has {} buffers, but the cpu engine leaves 4: it is not from this engine's forward pass",
                saved.buffer_count
            ));
        }
        // SAFETY: four buffers of `bytes[i]` bytes, aligned to 256, that hold what `leave` wrote.
        let all: core::SavedRef<'_> = unsafe {
            core::SavedRef {
                point_list: kept(&saved, 0),
                ranges: kept(&saved, 1),
                final_t: kept(&saved, 2),
                contributors: kept(&saved, 3),
            }
        };
        let tiles = width.div_ceil(16) as usize * height.div_ceil(16) as usize;
        let pixels = width as usize * height as usize;
        let found = [all.ranges.len(), all.final_t.len(), all.contributors.len()];
        if found != [images * tiles, images * pixels, images * pixels] {
            return invalid(format!(
                "`saved` has {} tiles and {} pixels, but {images} images of {width}x{height} have {} and {}",
                found[0],
                found[1],
                images * tiles,
                images * pixels
            ));
        }
        Ok(Self { all, tiles, pixels })
    }
}

impl<'a> Iterator for Kept<'a> {
    type Item = core::SavedRef<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let all = &mut self.all;
        let (ranges, rest) = all.ranges.split_at_checked(self.tiles)?;
        all.ranges = rest;
        let length = ranges.last().map_or(0, |range| range[1] as usize).min(all.point_list.len());
        let (point_list, final_t, contributors);
        (point_list, all.point_list) = all.point_list.split_at(length);
        (final_t, all.final_t) = all.final_t.split_at(self.pixels);
        (contributors, all.contributors) = all.contributors.split_at(self.pixels);
        Some(core::SavedRef { point_list, ranges, final_t, contributors })
    }
}

/// # Safety
/// Buffer `i` of `saved` holds `bytes[i]` bytes of `T`s, aligned for them, and outlives `'a`.
unsafe fn kept<'a, T>(saved: &abi::Saved, i: usize) -> &'a [T] {
    // SAFETY: as the caller guarantees.
    unsafe { slice(saved.buffer[i].cast::<T>(), saved.bytes[i] as usize / size_of::<T>()) }
}
