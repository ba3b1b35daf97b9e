//! The caller's memory: strided inputs, slices and outputs.
#![expect(unsafe_code, reason = "turns the ABI's pointers into slices")]

use std::borrow::Cow;

use splat_engine::EngineError;
use splat_engine::abi::In;

/// A count from the ABI as a length whose arrays a 64-bit address space can hold.
pub(crate) fn extent(name: &str, n: i64) -> Result<usize, EngineError> {
    usize::try_from(n)
        .ok()
        .filter(|n| *n <= (1 << 48))
        .ok_or_else(|| EngineError::InvalidArgument(format!("`{name}` is {n}, but must be 0 to 2^48")))
}

pub(crate) fn required<T>(name: &str, pointer: *const T) -> Result<(), EngineError> {
    if pointer.is_null() {
        return Err(EngineError::InvalidArgument(format!("`{name}` is NULL, but is not optional")));
    }
    Ok(())
}

/// # Safety
/// `data`, if not null, points to `N` numbers.
pub(crate) unsafe fn matrix<const N: usize>(name: &str, data: *const f32) -> Result<[f32; N], EngineError> {
    required(name, data)?;
    // SAFETY: not null, and the caller vouches for its extent.
    Ok(unsafe { data.cast::<[f32; N]>().read_unaligned() })
}

/// A strided input as contiguous numbers; borrowed when it already is.
///
/// # Safety
/// `input.data`, if not null, is valid for every index of `shape` under `input.stride` for the life `'a`.
pub(crate) unsafe fn gather<'a>(
    name: &str,
    input: &In,
    shape: &[i64],
) -> Result<Cow<'a, [f32]>, EngineError> {
    let total = shape.iter().product::<i64>() as usize;
    if total == 0 {
        return Ok(Cow::Borrowed(&[]));
    }
    required(name, input.data)?;
    let dense = In::contiguous(input.data, shape);
    let same = shape.iter().zip(input.stride).zip(dense.stride).all(|((n, a), b)| *n == 1 || a == b);
    if same {
        // SAFETY: contiguous, `total` numbers long, alive for `'a` as the caller guarantees.
        return Ok(Cow::Borrowed(unsafe { std::slice::from_raw_parts(input.data, total) }));
    }
    let at = |d: usize| (shape.get(d).copied().unwrap_or(1), input.stride[d]);
    let [(n0, s0), (n1, s1), (n2, s2)] = [at(0), at(1), at(2)];
    let mut out = Vec::with_capacity(total);
    for i in 0..n0 {
        for j in 0..n1 {
            for k in 0..n2 {
                // SAFETY: an index of `shape` under `input.stride`, as the caller guarantees.
                out.push(unsafe { *input.data.offset((i * s0 + j * s1 + k * s2) as isize) });
            }
        }
    }
    Ok(Cow::Owned(out))
}

/// # Safety
/// `data` is null or points to `len` values that outlive `'a`.
pub(crate) unsafe fn slice<'a, T>(data: *const T, len: usize) -> &'a [T] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: as the caller guarantees.
    unsafe { std::slice::from_raw_parts(data, len) }
}

/// # Safety
/// As [`slice`], and nothing else reads or writes there during `'a`.
pub(crate) unsafe fn slice_mut<'a, T>(data: *mut T, len: usize) -> &'a mut [T] {
    if data.is_null() || len == 0 {
        return &mut [];
    }
    // SAFETY: as the caller guarantees.
    unsafe { std::slice::from_raw_parts_mut(data, len) }
}

/// Part `index` of parts of `len` numbers; `None` when absent.
///
/// # Safety
/// `data` is null or points to `index + 1` parts that outlive `'a`.
pub(crate) unsafe fn optional<'a>(data: *const f32, index: usize, len: usize) -> Option<&'a [f32]> {
    // SAFETY: inside the array, as the caller guarantees.
    (!data.is_null()).then(|| unsafe { slice(data.add(index * len), len) })
}

/// Copies a result to part `index` of what the caller gave, unless the caller does not want it.
///
/// # Safety
/// `to` is null or has room for `index + 1` parts as long as `from`.
pub(crate) unsafe fn write<T: Copy>(to: *mut T, index: usize, from: &[T]) {
    if !to.is_null() {
        // SAFETY: inside the caller's array; it and `from` are distinct allocations.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.add(index * from.len()), from.len()) };
    }
}
