//! The header of a PLY file: format, elements and their properties.
//!
//! The length of the header is limited. List properties are parsed, but an element with one can only be ignored, and only
//! after the element that is wanted.

use std::io::BufRead;
use std::path::Path;

use crate::{Error, Place, Result};

/// The longest header that is read. Gaussians of degree 3 need about 1,500 bytes.
const LONGEST: u64 = 64 << 10;

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
    pub(crate) name: String,
    /// `None` for a list.
    pub(crate) scalar: Option<Scalar>,
}

#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) count: u64,
    pub(crate) properties: Vec<Property>,
}

impl Element {
    /// The size of a row in bytes; an error is the list property that makes it variable.
    pub(crate) fn row_size(&self) -> std::result::Result<usize, &str> {
        self.properties.iter().map(|p| p.scalar.map(Scalar::size).ok_or(p.name.as_str())).sum()
    }
}

#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) format: Format,
    pub(crate) elements: Vec<Element>,
    /// Bytes and lines of the header, including `end_header`.
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
}

/// Reads the header, including `end_header`, and nothing beyond it.
pub(crate) fn parse(path: &Path, reader: &mut impl BufRead) -> Result<Header> {
    let mut h = Header { format: Format::Ascii, elements: Vec::new(), bytes: 0, lines: 0 };
    let mut format = None;
    loop {
        let mut raw = Vec::new();
        std::io::Read::take(&mut *reader, LONGEST + 1 - h.bytes).read_until(b'\n', &mut raw)?;
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
        if raw.last() != Some(&b'\n') {
            return Err(Error::Truncated {
                path: path.into(),
                offset: h.bytes,
                expected: "more header, up to end_header".into(),
                left: 0,
            });
        }
        let text = std::str::from_utf8(&raw).map_err(|_| malformed("the header is not text".into()))?;
        let words: Vec<_> = text.split_whitespace().collect();
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
                h.elements.push(Element { name: (*name).into(), count, properties: Vec::new() });
            }
            ["property", rest @ .., name] if !rest.is_empty() => {
                let scalar = match rest {
                    ["list", _, _] => None,
                    [kind] => {
                        Some(Scalar::named(kind).ok_or_else(|| malformed(format!("unknown type {kind:?}")))?)
                    }
                    _ => return Err(malformed(format!("cannot read {:?}", text.trim_end()))),
                };
                let Some(element) = h.elements.last_mut() else {
                    return Err(malformed("a property before any element".into()));
                };
                if element.properties.iter().any(|p| p.name == *name) {
                    return Err(malformed(format!("the property {name} appears twice")));
                }
                element.properties.push(Property { name: (*name).into(), scalar });
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
