//! Structs whose two sides were compiled with headers of different age, by the header's rules of growth.
//!
//! A reader takes the members that both sides know; what a shorter struct lacks is zero, and what a longer one has
//! beyond our members must be zero. Nothing is written beyond the `struct_size` that the caller set.
#![expect(unsafe_code, reason = "copies structs of unknown size through pointers")]

use std::ffi::c_void;

use super::{
    AdamArgs, AdamGroup, BackwardArgs, Camera, Capabilities, Channel, Context, Device, EngineTable,
    ForwardArgs, Gaussians, Gradients, ImageTable, MarkVisibleArgs, OptimizeTable, PhotometricArgs, Progress,
    ProjectArgs, ProjectBackwardArgs, RasterTable, RasterizeArgs, Saved, Settings, SsimArgs, StepArgs,
    StepGroup, size,
};
use crate::EngineError;

/// A `struct_size` over this is taken for garbage: the header's largest struct has a few hundred bytes.
const LARGEST: u32 = 4096;

/// A struct of the header that begins with `struct_size` and may get further members.
///
/// # Safety
/// `#[repr(C)]` without padding, its first member a `u32` named `struct_size`; all zeros is a valid value.
pub unsafe trait Growable: Copy {
    /// Its name in the header.
    const NAME: &'static str;
    /// All zero and null, `struct_size` set.
    const EMPTY: Self;
}

macro_rules! growable {
    ($($name:ident $c:literal),+ $(,)?) => {$(
        // SAFETY: a plain struct of the header; `tests/layout.rs` proves the first member and that there is no padding.
        unsafe impl Growable for $name {
            const NAME: &'static str = $c;
            const EMPTY: Self = Self::EMPTY;
        }
    )+};
}

growable! {
    Camera "splat_camera", Gaussians "splat_gaussians", Settings "splat_settings", Context "splat_context",
    Saved "splat_saved", Channel "splat_channel", Gradients "splat_gradients", ForwardArgs "splat_forward_args",
    BackwardArgs "splat_backward_args", ProjectArgs "splat_project_args", RasterizeArgs "splat_rasterize_args",
    ProjectBackwardArgs "splat_project_backward_args", MarkVisibleArgs "splat_mark_visible_args",
    Capabilities "splat_capabilities", Device "splat_device", Progress "splat_progress",
    AdamGroup "splat_adam_group", AdamArgs "splat_adam_args", StepGroup "splat_step_group",
    StepArgs "splat_step_args", SsimArgs "splat_ssim_args", PhotometricArgs "splat_photometric_args", EngineTable "splat_engine_table", RasterTable "splat_raster_table",
    OptimizeTable "splat_optimize_table", ImageTable "splat_image_table",
}

/// The struct at `from`, which `name` stands for in errors, as this header knows it; its `struct_size` is then ours.
///
/// # Errors
/// [`EngineError::InvalidArgument`] for null and for a size that none can have; [`EngineError::Unsupported`] if
/// bytes beyond our members are not zero.
///
/// # Safety
/// `from` is null or points to as many readable bytes as its first four say.
pub unsafe fn read<T: Growable>(from: *const T, name: &str) -> Result<T, EngineError> {
    // SAFETY: forwarded from the caller.
    unsafe { copy(from.cast(), struct_size(from, name)?, name) }
}

/// An array of `count` structs, walked in steps of the first one's `struct_size`.
///
/// # Errors
/// As [`read`]; [`EngineError::InvalidArgument`] if a later element has another size than the first.
///
/// # Safety
/// `first` is null or points to `count` structs of one size, each as for [`read`].
pub unsafe fn read_array<T: Growable>(
    first: *const T,
    count: u32,
    name: &str,
) -> Result<Vec<T>, EngineError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: forwarded from the caller.
    let step = unsafe { struct_size(first, name)? };
    let element = |i: usize| {
        let at = first.cast::<u8>().wrapping_add(i * step as usize);
        // SAFETY: element `i` begins here as the caller guarantees.
        let found = unsafe { at.cast::<u32>().read_unaligned() };
        if found != step {
            return Err(EngineError::InvalidArgument(format!(
                "`{name}[{i}].struct_size` is {found}, but `{name}[0]` has {step}"
            )));
        }
        // SAFETY: as above.
        unsafe { copy(at, step, name) }
    };
    (0..count as usize).map(element).collect()
}

/// Fills the struct at `to` from `value`: the members that both sides know, and zeros for what the caller has beyond
/// them. Its `struct_size` stays.
///
/// # Errors
/// As [`read`], for null and impossible sizes.
///
/// # Safety
/// `to` is null or points to as many writable bytes as its first four say.
pub unsafe fn write<T: Growable>(to: *mut T, value: &T, name: &str) -> Result<(), EngineError> {
    // SAFETY: forwarded from the caller.
    let theirs = unsafe { struct_size(to.cast_const(), name)? } as usize;
    let (known, first) = (theirs.min(size_of::<T>()), size_of::<u32>());
    let (from, to) = (std::ptr::from_ref(value).cast::<u8>(), to.cast::<u8>());
    // SAFETY: `known` bytes are inside both structs, which are distinct, and `theirs` bytes are the caller's.
    unsafe {
        std::ptr::copy_nonoverlapping(from.add(first), to.add(first), known - first);
        std::ptr::write_bytes(to.add(known), 0, theirs - known);
    }
    Ok(())
}

/// An engine's table, in which functions that it does not have are `None`; `None` for null. Functions that a newer
/// engine has beyond ours are left out.
///
/// # Safety
/// `from` is null or points to a table of that kind as large as its `struct_size`.
pub unsafe fn table<T: Growable>(from: *const c_void) -> Option<T> {
    // SAFETY: forwarded from the caller.
    let theirs = unsafe { struct_size(from.cast::<T>(), T::NAME) }.ok()?;
    // SAFETY: no more bytes than the table has.
    unsafe { copy(from.cast(), theirs.min(size::<T>()), T::NAME) }.ok()
}

/// # Safety
/// `at` is null or points to a `u32`.
unsafe fn struct_size<T: Growable>(at: *const T, name: &str) -> Result<u32, EngineError> {
    if at.is_null() {
        return Err(EngineError::InvalidArgument(format!("`{name}` is NULL, but must be a {}", T::NAME)));
    }
    // SAFETY: not null, and every growable struct begins with it.
    let found = unsafe { at.cast::<u32>().read_unaligned() };
    if !(4..=LARGEST).contains(&found) || found % 4 != 0 {
        return Err(EngineError::InvalidArgument(format!(
            "`{name}.struct_size` is {found}, but must be the caller's sizeof({}), which is {} in this version",
            T::NAME,
            size::<T>()
        )));
    }
    Ok(found)
}

/// # Safety
/// `from` points to `theirs` readable bytes, at least four.
unsafe fn copy<T: Growable>(from: *const u8, theirs: u32, name: &str) -> Result<T, EngineError> {
    // SAFETY: as the caller guarantees.
    let bytes = unsafe { std::slice::from_raw_parts(from, theirs as usize) };
    let known = bytes.len().min(size_of::<T>());
    if bytes[known..].iter().any(|b| *b != 0) {
        return Err(EngineError::Unsupported(format!(
            "`{name}` is a {} of {theirs} bytes that sets a member beyond the {} bytes which this engine knows; hint: \
             use an engine as new as the caller",
            T::NAME,
            size::<T>()
        )));
    }
    let mut out = T::EMPTY;
    let first = size_of::<u32>();
    // SAFETY: `known` bytes are inside both; members of these types may have any bytes that another program's struct
    // of the same layout has, and zeros.
    unsafe {
        let to = std::ptr::from_mut(&mut out).cast::<u8>();
        std::ptr::copy_nonoverlapping(from.add(first), to.add(first), known - first);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A settings struct with four bytes that our header does not have.
    #[repr(C)]
    struct Newer {
        known: Settings,
        added: [u32; 2],
    }

    fn newer(added: u32) -> Newer {
        let known = Settings { struct_size: size::<Newer>(), sh_degree: 2, ..Settings::EMPTY };
        Newer { known, added: [added, 0] }
    }

    fn read_settings(from: *const Settings) -> Result<Settings, EngineError> {
        // SAFETY: null, or a struct as large as it says.
        unsafe { read(from, "settings") }
    }

    #[test]
    fn what_a_shorter_struct_lacks_is_zero() {
        let older = Settings { struct_size: 16, flags: 5, sh_degree: 3, ..Settings::EMPTY };
        let found = read_settings(&raw const older).expect("an older caller");
        assert_eq!((found.struct_size, found.flags, found.sh_degree), (size::<Settings>(), 5, 0));
    }

    #[test]
    fn what_a_longer_struct_has_beyond_us_must_be_zero() {
        let zero = newer(0);
        let found =
            read_settings((&raw const zero).cast()).expect("a newer caller that asks for nothing new");
        assert_eq!((found.struct_size, found.sh_degree), (size::<Settings>(), 2));
        let set = newer(1);
        let error = read_settings((&raw const set).cast()).expect_err("something new");
        let text = error.to_string();
        assert!(matches!(error, EngineError::Unsupported(_)), "{text}");
        assert!(["splat_settings", "32", "24"].iter().all(|part| text.contains(part)), "{text}");
    }

    #[test]
    fn null_and_sizes_that_cannot_be_are_refused_by_name() {
        let null = read_settings(std::ptr::null()).expect_err("null").to_string();
        assert!(null.contains("`settings` is NULL"), "{null}");
        for size in [0, 3, 10, 1 << 20] {
            let wrong = Settings { struct_size: size, ..Settings::EMPTY };
            let error = read_settings(&raw const wrong).expect_err("no size").to_string();
            assert!(error.contains(&format!("`settings.struct_size` is {size}")), "{error}");
        }
    }

    #[test]
    fn arrays_are_walked_in_the_caller_s_steps() {
        let mut two = [newer(0), newer(0)];
        two[1].known.sh_degree = 1;
        let walk = |two: &[Newer; 2]| {
            // SAFETY: two structs of the size that they say.
            unsafe { read_array(two.as_ptr().cast::<Settings>(), 2, "settings") }
        };
        let degrees: Vec<_> = walk(&two).expect("two").iter().map(|s| s.sh_degree).collect();
        assert_eq!(degrees, [2, 1]);
        two[1].known.struct_size = 24;
        let error = walk(&two).expect_err("mixed sizes").to_string();
        assert!(error.contains("`settings[1].struct_size` is 24") && error.contains("32"), "{error}");
    }

    #[test]
    fn nothing_is_written_beyond_the_caller_s_size() {
        let value = Progress { done: 1, rendered: 7, capacity: 9, ..Progress::EMPTY };
        let mut older = Progress { struct_size: 24, capacity: -5, ..Progress::EMPTY };
        // SAFETY: a struct at least as large as it says.
        unsafe { write(&raw mut older, &value, "out") }.expect("an older caller");
        assert_eq!((older.struct_size, older.done, older.rendered, older.capacity), (24, 1, 7, -5));
        let mut longer = Newer { added: [9, 9], ..newer(0) };
        let value = Settings { flags: 3, ..Settings::EMPTY };
        // SAFETY: as above.
        unsafe { write((&raw mut longer).cast(), &value, "out") }.expect("a newer caller");
        assert_eq!((longer.known.struct_size, longer.known.flags, longer.added), (32, 3, [0, 0]));
    }

    #[test]
    fn a_table_is_what_both_sides_know_of_it() {
        unsafe extern "C" fn adam(_: *const AdamArgs) -> i32 {
            0
        }
        let full = OptimizeTable { adam: Some(adam), ..OptimizeTable::EMPTY };
        let short = OptimizeTable { struct_size: 8, ..full };
        let read = |t: &OptimizeTable| {
            // SAFETY: a table at least as large as it says.
            unsafe { table::<OptimizeTable>(std::ptr::from_ref(t).cast()) }.expect("a table")
        };
        assert!(read(&full).adam.is_some() && read(&short).adam.is_none());
        // SAFETY: null is allowed.
        assert!(unsafe { table::<OptimizeTable>(std::ptr::null()) }.is_none());
    }
}
