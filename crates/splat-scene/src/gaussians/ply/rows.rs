//! The `vertex` element of a PLY file: its properties by name, its rows as numbers in the order that the caller asks for.

use std::io::BufRead;
use std::path::Path;

use super::body::Body;
use super::header::{self, Element, Format, Scalar};
use crate::{Error, Origin, Result};

/// A PLY file that has been read up to its vertices.
pub(crate) struct Vertices<'p, R> {
    body: Body<'p, R>,
    elements: Vec<Element>,
    /// The index of `vertex` among the elements.
    vertex: usize,
    /// The origin that a comment states.
    pub(crate) origin: Option<Origin>,
}

/// Vertices that all have the same size.
pub(super) struct Fixed {
    /// Where the first one begins, and the bytes of each.
    pub(super) at: u64,
    pub(super) row: usize,
    /// Where each property is within a vertex.
    pub(super) columns: Vec<(usize, Scalar)>,
    pub(super) big_endian: bool,
}

impl<'p, R: BufRead> Vertices<'p, R> {
    pub(crate) fn open(path: &'p Path, mut reader: R, size: u64) -> Result<Self> {
        let header = header::parse(path, &mut reader)?;
        let mut body = Body::new(path, reader, &header, size);
        let Some(vertex) = header.elements.iter().position(|e| e.name == "vertex") else {
            let names: Vec<_> = header.elements.iter().map(|e| e.name.as_str()).collect();
            return Err(body.malformed(format!("no element vertex; the elements are: {}", names.join(", "))));
        };
        for element in &header.elements[..vertex] {
            body.skip(element)?;
        }
        body.bound(&header.elements[vertex])?;
        Ok(Self { body, vertex, origin: header.origin, elements: header.elements })
    }

    pub(crate) fn vertex(&self) -> &Element {
        &self.elements[self.vertex]
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.vertex().has(name)
    }

    /// Whether the file has faces, as meshes do.
    pub(crate) fn has_faces(&self) -> bool {
        self.elements.iter().any(|e| e.name == "face" && e.count > 0)
    }

    pub(crate) fn scalar(&self, name: &str) -> Option<Scalar> {
        self.vertex().properties.iter().find(|p| p.name == name)?.scalar()
    }

    /// Where the vertices are in the file; `None` if they differ in size.
    pub(super) fn place(&self) -> Option<Fixed> {
        let mut row = 0;
        let column = |scalar: Scalar| {
            row += scalar.size();
            (row - scalar.size(), scalar)
        };
        let scalars: Option<Vec<Scalar>> = self.vertex().properties.iter().map(|p| p.scalar()).collect();
        let columns = scalars?.into_iter().map(column).collect();
        let format = self.body.format;
        let big_endian = format == Format::BigEndian;
        (format != Format::Ascii).then_some(Fixed { at: self.body.at, row, columns, big_endian })
    }

    /// An error about the header.
    pub(crate) fn malformed(&self, message: String) -> Error {
        self.body.malformed(message)
    }

    /// The places of the properties `names`, for [`read`](Self::read), and the number of rows, which the size of the file
    /// bounds if there is a name.
    pub(crate) fn columns(&self, names: &[String]) -> Result<(Vec<usize>, usize)> {
        let properties = &self.vertex().properties;
        let missing: Vec<_> = names.iter().filter(|n| !self.has(n)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(self.malformed(format!("the vertices have no {}", missing.join(", "))));
        }
        if let Some(list) = names.iter().find(|n| self.scalar(n).is_none()) {
            return Err(self.malformed(format!("{list} is a list, expected a number")));
        }
        let place = |n: &String| properties.iter().position(|p| p.name == *n).expect("checked above");
        let rows = usize::try_from(self.vertex().count).expect("bounded by the file's size");
        Ok((names.iter().map(place).collect(), rows))
    }

    /// Calls `each` row by row with the numbers of `columns`.
    pub(crate) fn read(mut self, columns: &[usize], each: impl FnMut(&[f64])) -> Result<()> {
        self.body.rows(&self.elements[self.vertex], columns, each)
    }
}
