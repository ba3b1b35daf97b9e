//! The structs, constants and tables of `include/splat_engine.h` in Rust, and how growing structs are read.
//!
//! `generated.rs` is written from the header by `cargo xtask codegen`; the header has its documentation. Names lack
//! the header's prefix: `splat_forward_args` is [`ForwardArgs`], `SPLAT_EXACT` is [`EXACT`]. `EMPTY` of a struct is all
//! zero and null with `struct_size` set, so a caller writes `Camera { width, height, ..Camera::EMPTY }`.

#[rustfmt::skip]
mod generated;
mod growth;

pub use generated::*;
pub use growth::{Growable, read, read_array, table, write};

impl In {
    /// A contiguous input of the given shape (one to three dimensions).
    ///
    /// # Panics
    /// If `shape` has more than three dimensions.
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

/// The `struct_size` of a struct of this header.
#[must_use]
pub const fn size<T>() -> u32 {
    size_of::<T>() as u32
}
