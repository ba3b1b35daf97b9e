//! The caller's allocator: blocks of host memory that live as long as an arena.
#![expect(unsafe_code, reason = "the allocator callback takes a pointer")]

use std::ffi::c_void;

/// The memory behind [`splat_engine::abi::Context`]: blocks that live as long as the arena.
#[derive(Default)]
pub(super) struct Arena {
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

pub(super) unsafe extern "C" fn alloc(user: *mut c_void, _kind: u32, bytes: u64) -> *mut c_void {
    // SAFETY: `user` is the arena that `context` in the parent module put there, borrowed for the call alone.
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
