//! A bounded reader of little-endian binary data that names the file and the offset in its errors.
//!
//! Nothing is allocated because a file says so: a count is first compared with the number of bytes that are left.

use std::path::Path;

use crate::{Error, Place, Result};

pub(crate) struct Cursor<'a> {
    path: &'a Path,
    data: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(path: &'a Path, data: &'a [u8]) -> Self {
        Self { path, data, at: 0 }
    }

    fn left(&self) -> u64 {
        (self.data.len() - self.at) as u64
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.data.len()
    }

    /// The next `n` bytes, which contain `what`.
    pub(crate) fn take(&mut self, n: usize, what: &str) -> Result<&'a [u8]> {
        let Some(bytes) = self.data[self.at..].get(..n) else {
            return Err(Error::Truncated {
                path: self.path.into(),
                offset: self.at as u64,
                expected: format!("{what} ({n} bytes)"),
                left: self.left(),
            });
        };
        self.at += n;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        Ok(self.take(N, what)?.try_into().expect("take returns what was asked for"))
    }

    pub(crate) fn u8(&mut self, what: &str) -> Result<u8> {
        Ok(self.array::<1>(what)?[0])
    }
    pub(crate) fn u32(&mut self, what: &str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }
    pub(crate) fn i32(&mut self, what: &str) -> Result<i32> {
        self.array(what).map(i32::from_le_bytes)
    }
    pub(crate) fn u64(&mut self, what: &str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }
    pub(crate) fn f64(&mut self, what: &str) -> Result<f64> {
        self.array(what).map(f64::from_le_bytes)
    }
    pub(crate) fn f64s<const N: usize>(&mut self, what: &str) -> Result<[f64; N]> {
        let bytes = self.take(8 * N, what)?;
        let word = |i: usize| bytes[8 * i..8 * i + 8].try_into().expect("8 bytes of 8 N");
        Ok(std::array::from_fn(|i| f64::from_le_bytes(word(i))))
    }

    /// A count of records of at least `each` bytes, which must fit in the bytes that are left.
    pub(crate) fn count(&mut self, records: &'static str, each: usize) -> Result<usize> {
        let count = self.u64(&format!("the number of {records}"))?;
        let (each, left) = (each as u64, self.left());
        if count > left / each {
            let path = self.path.into();
            return Err(Error::Count { path, offset: self.at as u64, count, records, each, left });
        }
        Ok(usize::try_from(count).expect("no larger than the data in memory"))
    }

    /// The bytes before the next zero byte, which is consumed; in whatever encoding they are.
    pub(crate) fn zero_terminated(&mut self, what: &str) -> Result<&'a [u8]> {
        let rest = &self.data[self.at..];
        let Some(n) = rest.iter().position(|&b| b == 0) else {
            return Err(Error::Truncated {
                path: self.path.into(),
                offset: self.at as u64,
                expected: format!("{what} (text that ends with a zero byte)"),
                left: self.left(),
            });
        };
        self.at += n + 1;
        Ok(&rest[..n])
    }

    /// A sentence about the bytes that are left, if any: the counts and the records disagree.
    pub(crate) fn left_over(&self, after: &str) -> Option<String> {
        let n = self.left();
        let bytes = if n == 1 { "byte is" } else { "bytes are" };
        (n > 0).then(|| format!("{n} {bytes} left over after {after}, at byte {}, and ignored", self.at))
    }

    pub(crate) fn malformed(&self, message: impl Into<String>) -> Error {
        Error::Malformed {
            path: self.path.into(),
            place: Place::Byte(self.at as u64),
            message: message.into(),
        }
    }
}
