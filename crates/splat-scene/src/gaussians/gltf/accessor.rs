//! Vertex attributes as `f32`.

use super::document::Primitive;
use super::{File, malformed};
use crate::{Error, Result};

/// The number of Gaussians that a primitive claims: that of its positions.
pub(super) fn count(file: &File<'_>, primitive: &Primitive) -> u64 {
    let index = primitive.attributes.get("POSITION");
    index.and_then(|&i| file.document.accessors.get(i)).map_or(0, |a| a.count as u64)
}

/// The attribute `name`: `count` rows of `width` numbers.
pub(super) fn read(
    file: &File<'_>,
    primitive: &Primitive,
    name: &str,
    width: usize,
    count: usize,
) -> Result<Vec<f32>> {
    let wrong = |message: String| malformed(file.path, format!("{name}: {message}"));
    let Some(&index) = primitive.attributes.get(name) else {
        return Err(wrong("the primitive has no such attribute".into()));
    };
    let accessors = &file.document.accessors;
    let accessor = accessors.get(index).ok_or_else(|| wrong(format!("there is no accessor {index}")))?;
    let kind = ["SCALAR", "VEC2", "VEC3", "VEC4"][width - 1];
    if accessor.kind != kind {
        return Err(wrong(format!("the type is {:?}, expected {kind}", accessor.kind)));
    }
    if accessor.count != count {
        return Err(wrong(format!("{} values for {count} positions", accessor.count)));
    }
    let view = accessor.buffer_view.and_then(|i| file.document.buffer_views.get(i));
    let (Some(view), None) = (view, &accessor.sparse) else {
        return Err(wrong("the accessor is sparse or has no buffer view, which is not read".into()));
    };
    if let Some(extension) = view.extensions.keys().next() {
        return Err(Error::NotGaussians {
            path: file.path.into(),
            found: format!("Gaussians in a buffer that {extension} compresses, which is not read"),
            hint: "export them without this extension, or as PLY, SPZ or SOG".into(),
        });
    }
    let (number, size): (fn(&[u8]) -> f32, usize) = match (accessor.component_type, accessor.normalized) {
        (5126, false) => (|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]), 4),
        (5120, false) => (|b| f32::from(b[0] as i8), 1),
        (5121, false) => (|b| f32::from(b[0]), 1),
        (5122, false) => (|b| f32::from(i16::from_le_bytes([b[0], b[1]])), 2),
        (5123, false) => (|b| f32::from(u16::from_le_bytes([b[0], b[1]])), 2),
        (5120, true) => (|b| (f32::from(b[0] as i8) / 127.0).max(-1.0), 1),
        (5121, true) => (|b| f32::from(b[0]) / 255.0, 1),
        (5122, true) => (|b| (f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_767.0).max(-1.0), 2),
        (5123, true) => (|b| f32::from(u16::from_le_bytes([b[0], b[1]])) / 65_535.0, 2),
        (other, _) => return Err(wrong(format!("the component type is {other}, which is not read"))),
    };
    let row = width * size;
    let stride = view.byte_stride.unwrap_or(row);
    let buffer = file.buffers.get(view.buffer).ok_or_else(|| wrong("its buffer does not exist".into()))?;
    let end = view.byte_offset.checked_add(view.byte_length);
    let bytes = end.and_then(|end| buffer.get(view.byte_offset..end)?.get(accessor.byte_offset..));
    let needed = count.saturating_sub(1).checked_mul(stride).and_then(|n| n.checked_add(row));
    let bytes = match (bytes, needed) {
        (Some(bytes), Some(needed)) if stride >= row && bytes.len() >= needed => bytes,
        _ => {
            let found = format!("{count} values of {row} bytes, {stride} apart, leave their buffer");
            return Err(wrong(format!("{found} of {} bytes", buffer.len())));
        }
    };
    let rows = (0..count).map(|i| &bytes[i * stride..i * stride + row]);
    Ok(rows.flat_map(|row| row.chunks_exact(size).map(number)).collect())
}
