//! The container of the attributes: gzip with a header inside (versions 1 to 3), or a header, a table and zstd streams
//! (version 4).

use std::io::{Read, Write};
use std::path::Path;

use super::super::axes::Axes;
use super::{Header, STREAMS};
use crate::files::cursor::Cursor;
use crate::gaussians::quantize::{allowance, within_allowance};
use crate::{Error, Place, Result};

pub(crate) const MAGIC: [u8; 4] = *b"NGSP";
const FLAG_EXTENSIONS: u8 = 2;
/// The extension that states the frame.
const COORDINATES: u32 = 0xadbe_0003;
/// The size of the header of version 4 in bytes.
const HEADER: usize = 32;

pub(super) type Streams = [Vec<u8>; 6];

pub(super) fn open(path: &Path, data: &[u8]) -> Result<(Header, Streams, Axes)> {
    if data.starts_with(&MAGIC) { open_zstd(path, data) } else { open_gzip(path, data) }
}

fn open_gzip(path: &Path, data: &[u8]) -> Result<(Header, Streams, Axes)> {
    let malformed = |message: String| Error::Malformed { path: path.into(), place: Place::Byte(0), message };
    if !data.starts_with(&[0x1f, 0x8b]) {
        return Err(malformed(
            "the file begins neither with NGSP (SPZ version 4) nor like gzip (versions 1 to 3)".into(),
        ));
    }
    let mut reader = flate2::read::MultiGzDecoder::new(data);
    let mut first = [0; 16];
    reader
        .read_exact(&mut first)
        .map_err(|e| malformed(format!("the gzip stream has no complete header of 16 bytes: {e}")))?;
    let mut cursor = Cursor::new(path, &first);
    if cursor.take(4, "the magic number")? != MAGIC {
        return Err(malformed("the gzip stream does not begin with NGSP, so this is not an SPZ file".into()));
    }
    let header = header(path, &mut cursor, 1..=3)?;
    let sizes = header.sizes();
    let expected: u64 = sizes.iter().sum();
    within_allowance(path, 0, data.len(), expected)?;
    let mut streams = Streams::default();
    for ((stream, size), name) in streams.iter_mut().zip(sizes).zip(STREAMS) {
        *stream = exactly(&mut reader, size)
            .map_err(|e| malformed(format!("the gzip stream, at the {name}: {e}")))?;
    }
    let mut rest = Vec::new();
    reader
        .take(allowance(data.len()))
        .read_to_end(&mut rest)
        .map_err(|e| malformed(format!("the gzip stream, after the Gaussians: {e}")))?;
    // Extensions follow the attributes. Without the flag a few bytes mean nothing, and more than a byte per Gaussian mean that
    // version or degree are not those of the data.
    if header.flags & FLAG_EXTENSIONS != 0 {
        return Ok((header, streams, frame(path, &rest)?));
    }
    if rest.len() >= header.points.clamp(1, 4096) {
        return Err(malformed(format!(
            "{} bytes are left over after {} Gaussians",
            rest.len(),
            header.points
        )));
    }
    Ok((header, streams, Axes::RUB))
}

fn open_zstd(path: &Path, data: &[u8]) -> Result<(Header, Streams, Axes)> {
    let mut cursor = Cursor::new(path, data);
    cursor.take(4, "the magic number")?;
    let header = header(path, &mut cursor, 4..=4)?;
    let malformed = |at: usize, message: String| Error::Malformed {
        path: path.into(),
        place: Place::Byte(at as u64),
        message,
    };
    let count = usize::from(data[15]);
    let table = cursor.u32("the offset of the table of streams")? as usize;
    if table < HEADER || table > data.len() {
        return Err(malformed(
            16,
            format!("the table of streams is at byte {table}, expected {HEADER} to {}", data.len()),
        ));
    }
    // There is no stream of harmonics for degree 0.
    let needed = if header.sh_degree == 0 { 5 } else { 6 };
    if count < needed || count > 6 {
        return Err(malformed(
            15,
            format!("{count} streams, expected {needed} for SH degree {}", header.sh_degree),
        ));
    }
    let axes = match header.flags & FLAG_EXTENSIONS {
        0 => Axes::RUB,
        _ => frame(path, &data[HEADER..table])?,
    };
    let mut cursor = Cursor::new(path, &data[table..]);
    let mut entries = Vec::new();
    for (name, size) in STREAMS.iter().zip(header.sizes()).take(count) {
        let packed = cursor.u64("the size of a stream")?;
        let claimed = cursor.u64("the expanded size of a stream")?;
        if claimed != size {
            return Err(malformed(
                table,
                format!(
                    "the {name} expand to {claimed} bytes, expected {size} for {} Gaussians",
                    header.points
                ),
            ));
        }
        entries.push((name, packed, size));
    }
    let mut at = table + 16 * count;
    let mut streams = Streams::default();
    for (stream, (name, packed, size)) in streams.iter_mut().zip(entries) {
        let left = (data.len() - at) as u64;
        if packed > left {
            let (path, expected) = (path.into(), format!("the {name} ({packed} bytes)"));
            return Err(Error::Truncated { path, offset: at as u64, expected, left });
        }
        let bytes = &data[at..at + packed as usize];
        within_allowance(path, at as u64, bytes.len(), size)?;
        let damaged = |e: String| malformed(at, format!("the zstd stream of the {name}: {e}"));
        // An empty attribute may have no zstd frame at all.
        if size > 0 {
            let mut reader =
                ruzstd::decoding::StreamingDecoder::new(bytes).map_err(|e| damaged(e.to_string()))?;
            *stream = exactly(&mut reader, size).map_err(|e| damaged(e.to_string()))?;
            if reader.read(&mut [0]).map_err(|e| damaged(e.to_string()))? > 0 {
                return Err(damaged(format!("it contains more than the {size} bytes expected")));
            }
        }
        at += bytes.len();
    }
    Ok((header, streams, axes))
}

/// The fields after the magic number that both kinds of header begin with.
fn header(path: &Path, cursor: &mut Cursor<'_>, versions: std::ops::RangeInclusive<u32>) -> Result<Header> {
    let version = cursor.u32("the version")?;
    let malformed = |message: String| Error::Malformed { path: path.into(), place: Place::Byte(4), message };
    if !versions.contains(&version) {
        let (a, b) = (versions.start(), versions.end());
        let expected = if a == b { a.to_string() } else { format!("{a} to {b}") };
        return Err(malformed(format!("SPZ version {version}, expected {expected} in this kind of file")));
    }
    let points = cursor.u32("the number of Gaussians")? as usize;
    let sh_degree = cursor.u8("the SH degree")?;
    let fractional_bits = cursor.u8("the fractional bits")?;
    let flags = cursor.u8("the flags")?;
    cursor.u8("the number of streams")?;
    if sh_degree > 3 {
        return Err(malformed(format!("SH degree {sh_degree}, expected 0 to 3")));
    }
    if fractional_bits > 23 {
        return Err(malformed(format!("{fractional_bits} fractional bits, expected 0 to 23")));
    }
    Ok(Header { version, points, sh_degree, fractional_bits, flags })
}

/// The frame that the extension records state, or the default frame of the format.
fn frame(path: &Path, records: &[u8]) -> Result<Axes> {
    let mut cursor = Cursor::new(path, records);
    let mut axes = Axes::RUB;
    while !cursor.is_at_end() {
        let kind = cursor.u32("the type of an extension")?;
        let size = cursor.u32("the size of an extension")? as usize;
        let payload = cursor.take(size, "an extension")?;
        if kind == COORDINATES {
            let code = Cursor::new(path, payload).u32("the coordinate system")?;
            axes = Axes::numbered(code).ok_or_else(|| {
                cursor.malformed(format!(
                    "the axes of coordinate system {code} are in another order; only systems 1 to 8 are supported"
                ))
            })?;
        }
    }
    Ok(axes)
}

/// Reads exactly `size` bytes. Memory grows with the data that arrives.
fn exactly(reader: &mut impl Read, size: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(size).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < size {
        let why = format!("it ends after {} of {size} bytes", bytes.len());
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, why));
    }
    Ok(bytes)
}

/// Writes a file with this header and these attributes.
pub(super) fn close(header: &Header, streams: &Streams, out: &mut dyn Write) -> std::io::Result<()> {
    let points = u32::try_from(header.points).expect("pack counts in 32 bits");
    let mut start = Vec::new();
    start.extend(MAGIC);
    start.extend(header.version.to_le_bytes());
    start.extend(points.to_le_bytes());
    start.extend([header.sh_degree, header.fractional_bits, header.flags]);
    if header.version < 4 {
        start.push(0);
        let mut gzip = flate2::write::GzEncoder::new(out, flate2::Compression::default());
        gzip.write_all(&start)?;
        streams.iter().try_for_each(|s| gzip.write_all(s))?;
        return gzip.finish().map(drop);
    }
    let count = if header.sh_degree == 0 { 5 } else { 6 };
    start.push(count);
    start.extend((HEADER as u32).to_le_bytes());
    start.resize(HEADER, 0);
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let packed: Vec<Vec<u8>> = streams
        .iter()
        .take(usize::from(count))
        .map(|s| ruzstd::encoding::compress_to_vec(s.as_slice(), level))
        .collect();
    for (packed, stream) in packed.iter().zip(streams) {
        start.extend((packed.len() as u64).to_le_bytes());
        start.extend((stream.len() as u64).to_le_bytes());
    }
    out.write_all(&start)?;
    packed.iter().try_for_each(|p| out.write_all(p))
}
