//! What follows the header of a PLY file: a reader that counts bytes and lines, and reads or steps over rows.
//!
//! Rows are read one by one, so memory does not grow with what the header claims, and every count is first compared with
//! the size of the file.

use std::io::{BufRead, Read};
use std::path::Path;

use super::header::{Element, Format, Header, Kind, Scalar};
use crate::{Error, Place, Result};

/// The longest line of text.
const LONGEST_LINE: u64 = 16 << 20;

pub(crate) struct Body<'p, R> {
    path: &'p Path,
    reader: R,
    pub(super) format: Format,
    line_end: u8,
    /// Bytes and lines read so far, and the size of the file.
    pub(crate) at: u64,
    lines: u64,
    size: u64,
}

/// A part of a binary row.
enum Step {
    /// Numbers of this many bytes in total, and those among them that are wanted.
    Run {
        bytes: usize,
        columns: Vec<Column>,
    },
    List {
        count: Scalar,
        item: Scalar,
    },
}

struct Column {
    /// Offset in the run.
    at: usize,
    scalar: Scalar,
    /// Where the number goes.
    slot: usize,
}

impl<'p, R: BufRead> Body<'p, R> {
    /// `reader` has just provided `header`, and the file has `size` bytes.
    pub(crate) fn new(path: &'p Path, reader: R, header: &Header, size: u64) -> Self {
        let (format, line_end) = (header.format, header.line_end);
        Self { path, reader, format, line_end, at: header.bytes, lines: header.lines, size }
    }

    /// An error about the line that was read last.
    pub(crate) fn malformed(&self, message: String) -> Error {
        Error::Malformed { path: self.path.into(), place: Place::Line(self.lines), message }
    }

    /// Steps over all rows of `element`.
    pub(crate) fn skip(&mut self, element: &Element) -> Result<()> {
        self.bound(element)?;
        let what = || format!("rows of {}", element.name);
        match (self.format, element.row_size()) {
            _ if element.properties.is_empty() => Ok(()),
            (Format::Ascii, _) => (0..element.count).try_for_each(|_| self.line().map(drop)),
            (_, Some(row)) => self.skip_bytes(element.count * row as u64, &what),
            (_, None) => self.rows(element, &[], |_| {}),
        }
    }

    /// Calls `each` for every row of `element` with the properties of the indices `wanted`, which must not be lists.
    pub(crate) fn rows(
        &mut self,
        element: &Element,
        wanted: &[usize],
        mut each: impl FnMut(&[f64]),
    ) -> Result<()> {
        self.bound(element)?;
        let mut values = vec![0.0; wanted.len()];
        if self.format == Format::Ascii {
            for row in 0..element.count {
                self.text_row(element, row, wanted, &mut values)?;
                each(&values);
            }
            return Ok(());
        }
        let steps = steps(element, wanted);
        let mut buffer = Vec::new();
        let swap = self.format == Format::BigEndian;
        for row in 0..element.count {
            let what = || format!("row {row} of {}", element.name);
            for step in &steps {
                match step {
                    Step::Run { bytes, columns } => {
                        self.fill(&mut buffer, *bytes, &what)?;
                        for c in columns {
                            values[c.slot] = decode(c.scalar, &buffer[c.at..], swap);
                        }
                    }
                    Step::List { count, item } => {
                        self.fill(&mut buffer, count.size(), &what)?;
                        let count = decode(*count, &buffer, swap);
                        if count < 0.0 {
                            return Err(Error::Malformed {
                                path: self.path.into(),
                                place: Place::Byte(self.at),
                                message: format!("{} has a list of {count} items", what()),
                            });
                        }
                        self.skip_bytes(count as u64 * item.size() as u64, &what)?;
                    }
                }
            }
            each(&values);
        }
        Ok(())
    }

    /// Compares the number of rows with the bytes that are left. Rows without properties take no bytes.
    pub(crate) fn bound(&self, element: &Element) -> Result<()> {
        let size = |kind: Kind| match kind {
            Kind::Scalar(scalar) | Kind::List { count: scalar, .. } => scalar.size(),
        };
        // In text, a number takes at least a digit and a separator, which may be missing at the end of the file.
        let (each, left) = match self.format {
            Format::Ascii => (2 * element.properties.len(), self.size.saturating_sub(self.at) + 1),
            _ => (element.properties.iter().map(|p| size(p.kind)).sum(), self.size.saturating_sub(self.at)),
        };
        let (each, count) = (each as u64, element.count);
        if each > 0 && count > left / each {
            let records = if element.name == "vertex" { "vertices" } else { "rows of an element" };
            return Err(Error::Count { path: self.path.into(), offset: self.at, count, records, each, left });
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut Vec<u8>, bytes: usize, what: &impl Fn() -> String) -> Result<()> {
        buffer.resize(bytes, 0);
        match self.reader.read_exact(buffer) {
            Ok(()) => self.at += bytes as u64,
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(self.truncated(format!("{} ({bytes} bytes)", what())));
            }
            Err(e) => return Err(e.into()),
        }
        Ok(())
    }

    fn skip_bytes(&mut self, bytes: u64, what: &impl Fn() -> String) -> Result<()> {
        let skipped = std::io::copy(&mut (&mut self.reader).take(bytes), &mut std::io::sink())?;
        if skipped < bytes {
            return Err(self.truncated(format!("{} ({bytes} bytes)", what())));
        }
        self.at += bytes;
        Ok(())
    }

    fn truncated(&self, expected: String) -> Error {
        let left = self.size.saturating_sub(self.at);
        Error::Truncated { path: self.path.into(), offset: self.at, expected, left }
    }

    /// The next line that is not blank.
    fn line(&mut self) -> Result<Vec<u8>> {
        loop {
            let mut raw = Vec::new();
            (&mut self.reader).take(LONGEST_LINE).read_until(self.line_end, &mut raw)?;
            if raw.is_empty() {
                return Err(self.truncated("another line".into()));
            }
            self.at += raw.len() as u64;
            self.lines += 1;
            if raw.len() as u64 == LONGEST_LINE {
                return Err(self.malformed(format!("a line of more than {LONGEST_LINE} bytes")));
            }
            if !raw.iter().all(u8::is_ascii_whitespace) {
                return Ok(raw);
            }
        }
    }

    fn text_row(&mut self, element: &Element, row: u64, wanted: &[usize], values: &mut [f64]) -> Result<()> {
        let line = self.line()?;
        let line = String::from_utf8_lossy(&line);
        let name = &element.name;
        let mut words = line.split_ascii_whitespace();
        let mut found = 0;
        let mut next = || {
            let word = words.next().ok_or(found);
            found += 1;
            word
        };
        let short = |found: usize| {
            let most = element.properties.len();
            self.malformed(format!("{name} {row} has {found} numbers, expected {most}"))
        };
        let unreadable =
            |word: &str| self.malformed(format!("{name} {row} holds {word:?}, expected a number"));
        for (k, property) in element.properties.iter().enumerate() {
            let word = next().map_err(short)?;
            if let Kind::List { .. } = property.kind {
                let count: u64 = word.parse().map_err(|_| unreadable(word))?;
                for _ in 0..count {
                    next().map_err(short)?;
                }
            } else if let Some(slot) = wanted.iter().position(|&w| w == k) {
                values[slot] = word.parse().map_err(|_| unreadable(word))?;
            }
        }
        match next() {
            Err(_) => Ok(()),
            Ok(_) => Err(self.malformed(format!(
                "{name} {row} has more than the {} numbers expected",
                element.properties.len()
            ))),
        }
    }
}

/// Consecutive numbers are one step.
fn steps(element: &Element, wanted: &[usize]) -> Vec<Step> {
    let mut steps = Vec::new();
    for (k, property) in element.properties.iter().enumerate() {
        match property.kind {
            Kind::List { count, item } => steps.push(Step::List { count, item }),
            Kind::Scalar(scalar) => {
                if !matches!(steps.last(), Some(Step::Run { .. })) {
                    steps.push(Step::Run { bytes: 0, columns: Vec::new() });
                }
                let Some(Step::Run { bytes, columns }) = steps.last_mut() else { unreachable!() };
                let at = *bytes;
                let slots = wanted.iter().enumerate().filter(|&(_, &w)| w == k);
                columns.extend(slots.map(|(slot, _)| Column { at, scalar, slot }));
                *bytes += scalar.size();
            }
        }
    }
    steps
}

/// The number at the start of `bytes`. Every type fits in an `f64`.
pub(super) fn decode(scalar: Scalar, bytes: &[u8], big_endian: bool) -> f64 {
    fn word<const N: usize>(bytes: &[u8], big_endian: bool) -> [u8; N] {
        let mut word: [u8; N] = bytes[..N].try_into().expect("a row holds its properties");
        if big_endian {
            word.reverse();
        }
        word
    }
    match scalar {
        Scalar::I8 => f64::from(bytes[0].cast_signed()),
        Scalar::U8 => f64::from(bytes[0]),
        Scalar::I16 => f64::from(i16::from_le_bytes(word(bytes, big_endian))),
        Scalar::U16 => f64::from(u16::from_le_bytes(word(bytes, big_endian))),
        Scalar::I32 => f64::from(i32::from_le_bytes(word(bytes, big_endian))),
        Scalar::U32 => f64::from(u32::from_le_bytes(word(bytes, big_endian))),
        Scalar::F32 => f64::from(f32::from_le_bytes(word(bytes, big_endian))),
        Scalar::F64 => f64::from_le_bytes(word(bytes, big_endian)),
    }
}
