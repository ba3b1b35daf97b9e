//! The rows of the `vertex` element of a PLY file, as `f32` values in the order that the caller asks for.
//!
//! Rows are read one by one, so memory does not grow with what the header claims.

use std::io::{BufRead, Read};
use std::path::Path;

use super::header::{self, Element, Format, Header, Scalar};
use crate::{Error, Place, Result};

/// A PLY file whose header has been read.
pub(crate) struct Vertices<'p, R> {
    path: &'p Path,
    reader: R,
    header: Header,
    /// The index of `vertex` among the elements.
    element: usize,
    /// The number of bytes read so far, and the size of the file.
    at: u64,
    size: u64,
}

impl<'p, R: BufRead> Vertices<'p, R> {
    pub(crate) fn open(path: &'p Path, mut reader: R, size: u64) -> Result<Self> {
        let header = header::parse(path, &mut reader)?;
        let at = header.bytes;
        let mut v = Self { path, reader, header, element: 0, at, size };
        let found = v.header.elements.iter().position(|e| e.name == "vertex");
        v.element = found.ok_or_else(|| {
            let names: Vec<_> = v.header.elements.iter().map(|e| e.name.as_str()).collect();
            v.in_header(format!("no element vertex; the elements are: {}", names.join(", ")))
        })?;
        v.skip_to_vertices()?;
        let row = v.smallest_row(v.vertex())?;
        v.bound(v.vertex().count, "vertices", row)?;
        Ok(v)
    }

    pub(crate) fn vertex(&self) -> &Element {
        &self.header.elements[self.element]
    }

    /// The number of rows, which is bounded by the size of the file.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.vertex().count).expect("bounded by the file's size")
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.vertex().properties.iter().any(|p| p.name == name)
    }

    pub(crate) fn scalar(&self, name: &str) -> Option<Scalar> {
        self.vertex().properties.iter().find(|p| p.name == name)?.scalar
    }

    /// An error about the header, or about the line that was read last.
    pub(crate) fn in_header(&self, message: String) -> Error {
        Error::Malformed { path: self.path.into(), place: Place::Line(self.header.lines), message }
    }

    /// Calls `each` with the values of the properties `names`, row by row.
    pub(crate) fn read(mut self, names: &[String], mut each: impl FnMut(&[f32])) -> Result<()> {
        let properties = &self.vertex().properties;
        let missing: Vec<_> = names.iter().filter(|n| !self.has(n)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(self.in_header(format!("the vertices have no {}", missing.join(", "))));
        }
        let wanted: Vec<usize> = names
            .iter()
            .map(|n| properties.iter().position(|p| p.name == *n).expect("checked above"))
            .collect();
        let scalars: Vec<Scalar> = properties.iter().map(|p| p.scalar.expect("open refuses lists")).collect();
        let mut values = vec![0.0; wanted.len()];
        if self.header.format == Format::Ascii {
            let mut all = vec![0.0; scalars.len()];
            for row in 0..self.len() {
                self.ascii_row(row, &mut all)?;
                for (value, &k) in values.iter_mut().zip(&wanted) {
                    *value = all[k];
                }
                each(&values);
            }
            return Ok(());
        }
        let starts: Vec<usize> =
            (0..scalars.len()).map(|k| scalars[..k].iter().map(|s| s.size()).sum()).collect();
        let swap = self.header.format == Format::BigEndian;
        let mut bytes = vec![0; scalars.iter().map(|s| s.size()).sum()];
        for row in 0..self.len() {
            self.fill(&mut bytes, || format!("vertex {row}"))?;
            for (value, &k) in values.iter_mut().zip(&wanted) {
                *value = decode(scalars[k], &bytes[starts[k]..], swap);
            }
            each(&values);
        }
        Ok(())
    }

    /// Skips the elements before `vertex`, whose rows must have a fixed size.
    fn skip_to_vertices(&mut self) -> Result<()> {
        for k in 0..self.element {
            let row = self.smallest_row(&self.header.elements[k])?;
            let count = self.header.elements[k].count;
            self.bound(count, "rows before the vertices", row)?;
            if self.header.format == Format::Ascii {
                for _ in 0..count {
                    self.line()?;
                }
            } else {
                let bytes = count * row;
                let skipped = std::io::copy(&mut (&mut self.reader).take(bytes), &mut std::io::sink())?;
                if skipped < bytes {
                    return Err(self.truncated(format!("{bytes} bytes before the vertices")));
                }
                self.at += bytes;
            }
        }
        Ok(())
    }

    /// The smallest number of bytes that a row of `element` can take.
    fn smallest_row(&self, element: &Element) -> Result<u64> {
        let row = element.row_size().map_err(|list| {
            self.in_header(format!("{} has the list property {list}, which is not supported", element.name))
        })?;
        if row == 0 {
            return Err(self.in_header(format!("{} has no properties", element.name)));
        }
        // In text, a number takes at least a digit and a separator.
        let text = 2 * element.properties.len();
        Ok(if self.header.format == Format::Ascii { text } else { row } as u64)
    }

    fn bound(&self, count: u64, records: &'static str, each: u64) -> Result<()> {
        // The last line of a text file may have no separator at its end.
        let left = self.size.saturating_sub(self.at);
        if count > (left + 1) / each {
            return Err(Error::Count { path: self.path.into(), offset: self.at, count, records, each, left });
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8], what: impl Fn() -> String) -> Result<()> {
        match self.reader.read_exact(bytes) {
            Ok(()) => self.at += bytes.len() as u64,
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(self.truncated(format!("{} ({} bytes)", what(), bytes.len())));
            }
            Err(e) => return Err(e.into()),
        }
        Ok(())
    }

    fn truncated(&self, expected: String) -> Error {
        let left = self.size.saturating_sub(self.at);
        Error::Truncated { path: self.path.into(), offset: self.at, expected, left }
    }

    fn line(&mut self) -> Result<String> {
        const LONGEST: u64 = 1 << 20;
        let mut raw = Vec::new();
        (&mut self.reader).take(LONGEST).read_until(b'\n', &mut raw)?;
        if raw.is_empty() {
            return Err(self.truncated("another line".into()));
        }
        self.at += raw.len() as u64;
        self.header.lines += 1;
        String::from_utf8(raw).map_err(|_| self.in_header("the line is not text".into()))
    }

    fn ascii_row(&mut self, row: usize, values: &mut [f32]) -> Result<()> {
        let line = self.line()?;
        let mut words = line.split_whitespace();
        let needed = values.len();
        for (k, value) in values.iter_mut().enumerate() {
            let word = words
                .next()
                .ok_or_else(|| self.in_header(format!("vertex {row} has {k} numbers, expected {needed}")))?;
            *value = word
                .parse()
                .map_err(|_| self.in_header(format!("vertex {row} holds {word:?}, expected a number")))?;
        }
        match words.next() {
            None => Ok(()),
            Some(_) => {
                Err(self.in_header(format!("vertex {row} has more than the {needed} numbers expected")))
            }
        }
    }
}

/// The number at the start of `bytes`, converted to `f32`.
fn decode(scalar: Scalar, bytes: &[u8], big_endian: bool) -> f32 {
    fn word<const N: usize>(bytes: &[u8], big_endian: bool) -> [u8; N] {
        let mut word: [u8; N] = bytes[..N].try_into().expect("a row holds its properties");
        if big_endian {
            word.reverse();
        }
        word
    }
    match scalar {
        Scalar::I8 => f32::from(bytes[0].cast_signed()),
        Scalar::U8 => f32::from(bytes[0]),
        Scalar::I16 => f32::from(i16::from_le_bytes(word(bytes, big_endian))),
        Scalar::U16 => f32::from(u16::from_le_bytes(word(bytes, big_endian))),
        Scalar::I32 => i32::from_le_bytes(word(bytes, big_endian)) as f32,
        Scalar::U32 => u32::from_le_bytes(word(bytes, big_endian)) as f32,
        Scalar::F32 => f32::from_le_bytes(word(bytes, big_endian)),
        Scalar::F64 => f64::from_le_bytes(word(bytes, big_endian)) as f32,
    }
}
