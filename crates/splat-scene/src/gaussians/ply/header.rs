//! The header of a PLY file: format, elements and their properties.
//!
//! The length of the header is limited. Comments are bytes of any encoding that nobody decodes, but for those that
//! state an [`Origin`] and a render mode. Lines end as the first one does: LF, CR LF, or CR alone.

use std::io::BufRead;
use std::path::Path;

use crate::{Error, Origin, Place, Result};

/// The longest header that is read. Gaussians of degree 3 need about 1,500 bytes.
const LONGEST: u64 = 64 << 10;

/// How the comment begins that states the world coordinates of the local origin; three numbers follow.
pub(super) const ORIGIN: &str = "comment origin offset ";

/// How the comment begins that says how Gaussians were trained to be rendered: `mip`, with compensation for the dilation of
/// small ones, or `default`.
pub(super) const RENDER_MODE: &str = "comment SplatRenderMode: ";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Ascii,
    LittleEndian,
    BigEndian,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

impl Scalar {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "char" | "int8" => Self::I8,
            "uchar" | "uint8" => Self::U8,
            "short" | "int16" => Self::I16,
            "ushort" | "uint16" => Self::U16,
            "int" | "int32" => Self::I32,
            "uint" | "uint32" => Self::U32,
            "float" | "float32" => Self::F32,
            "double" | "float64" => Self::F64,
            _ => return None,
        })
    }

    pub(crate) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

#[derive(Debug)]
pub(crate) struct Property {
    /// Shown escaped: it comes from a file.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar(Scalar),
    /// A count, then so many items.
    List {
        count: Scalar,
        item: Scalar,
    },
}

impl Property {
    /// The type of a number; `None` for a list.
    pub(crate) fn scalar(&self) -> Option<Scalar> {
        match self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::List { .. } => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) count: u64,
    pub(crate) properties: Vec<Property>,
}

impl Element {
    /// The size of a row in bytes; `None` if a list makes it variable.
    pub(crate) fn row_size(&self) -> Option<usize> {
        self.properties.iter().map(|p| p.scalar().map(Scalar::size)).sum()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.properties.iter().any(|p| p.name == name)
    }
}

#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) format: Format,
    pub(crate) elements: Vec<Element>,
    /// The origin that a comment states.
    pub(crate) origin: Option<Origin>,
    /// Whether a comment says that opacities are to be compensated.
    pub(crate) antialiased: Option<bool>,
    /// The byte that ends a line.
    pub(crate) line_end: u8,
    /// Bytes and lines of the header, including `end_header`.
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
}

/// Reads the header, including `end_header`, and nothing beyond it.
pub(crate) fn parse(path: &Path, reader: &mut impl BufRead) -> Result<Header> {
    // A CR without LF after it ends the lines of old Macintosh programs.
    let start = reader.fill_buf()?;
    let first = start.iter().position(|b| b"\r\n".contains(b));
    let line_end = match first.map(|k| &start[k..]) {
        Some([b'\r', next, ..]) if *next != b'\n' => b'\r',
        _ => b'\n',
    };
    let mut h = Header {
        format: Format::Ascii,
        elements: Vec::new(),
        origin: None,
        antialiased: None,
        line_end,
        bytes: 0,
        lines: 0,
    };
    let mut format = None;
    loop {
        let mut raw = Vec::new();
        std::io::Read::take(&mut *reader, LONGEST + 1 - h.bytes).read_until(line_end, &mut raw)?;
        h.bytes += raw.len() as u64;
        h.lines += 1;
        let malformed =
            |message: String| Error::Malformed { path: path.into(), place: Place::Line(h.lines), message };
        if h.lines == 1 && !raw.starts_with(b"ply") {
            return Err(malformed("the file does not begin with \"ply\"".into()));
        }
        if h.bytes > LONGEST {
            return Err(malformed(format!("no end_header within {LONGEST} bytes")));
        }
        if raw.last() != Some(&line_end) {
            return Err(Error::Truncated {
                path: path.into(),
                offset: h.bytes,
                expected: "more header, up to end_header".into(),
                left: 0,
            });
        }
        let text = String::from_utf8_lossy(&raw);
        if let Some(offset) = text.strip_prefix(ORIGIN) {
            h.origin = Some(origin(offset).ok_or_else(|| {
                malformed(format!("cannot read {:?}, expected three numbers", text.trim_end()))
            })?);
        }
        match text.strip_prefix(RENDER_MODE).map(str::trim) {
            Some("mip") => h.antialiased = Some(true),
            Some("default") => h.antialiased = Some(false),
            _ => {}
        }
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["ply"] | ["comment" | "obj_info", ..] | [] => {}
            ["format", name, "1.0"] => {
                format = Some(match *name {
                    "ascii" => Format::Ascii,
                    "binary_little_endian" => Format::LittleEndian,
                    "binary_big_endian" => Format::BigEndian,
                    other => return Err(malformed(format!("unknown format {other:?}"))),
                });
            }
            ["element", name, count] => {
                let count = count.parse().map_err(|_| {
                    malformed(format!("the count of {name:?} is {count:?}, expected a number"))
                })?;
                h.elements.push(Element {
                    name: name.escape_debug().to_string(),
                    count,
                    properties: Vec::new(),
                });
            }
            ["property", rest @ .., name] if !rest.is_empty() => {
                let named = |kind: &str| {
                    Scalar::named(kind).ok_or_else(|| malformed(format!("unknown type {kind:?}")))
                };
                let kind = match rest {
                    ["list", count, item] => Kind::List { count: named(count)?, item: named(item)? },
                    [kind] => Kind::Scalar(named(kind)?),
                    _ => return Err(malformed(format!("cannot read {:?}", text.trim_end()))),
                };
                let Some(element) = h.elements.last_mut() else {
                    return Err(malformed("a property before any element".into()));
                };
                if matches!(kind, Kind::List { count, .. } if count.is_float()) {
                    return Err(malformed(format!(
                        "the lists {} are counted in fractions",
                        name.escape_debug()
                    )));
                }
                if element.has(name) {
                    return Err(malformed(format!("the property {} appears twice", name.escape_debug())));
                }
                element.properties.push(Property { name: name.escape_debug().to_string(), kind });
            }
            ["end_header"] => break,
            _ => return Err(malformed(format!("cannot read {:?}", text.trim_end()))),
        }
    }
    h.format = format.ok_or_else(|| Error::Malformed {
        path: path.into(),
        place: Place::Line(h.lines),
        message: "the header has no format line".into(),
    })?;
    Ok(h)
}

fn origin(offset: &str) -> Option<Origin> {
    let mut numbers = offset.split_ascii_whitespace().map(|x| x.parse().ok().filter(|x: &f64| x.is_finite()));
    let offset = [numbers.next()??, numbers.next()??, numbers.next()??];
    Some(Origin { offset })
}
