//! The Gaussians of a PLY that stay in the file until they are needed.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::body::decode;
use super::header::Scalar;
use super::layout::Layout;
use super::rows::Vertices;
use crate::gaussians::rows::{PART, Rows};
use crate::{Error, Gaussians, Origin, Repair, Result, files};

/// A binary PLY whose Gaussians are read as they are needed ([`Rows`]). Those with NaN or infinity are left out or made finite,
/// as [`Gaussians::repair`] does.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    file: Mutex<fs_err::File>,
    /// Where the vertices begin, and the bytes of each.
    at: u64,
    row: usize,
    /// Where the numbers of a Gaussian are in its row: position, then as the layout takes them.
    columns: Vec<(usize, Scalar)>,
    big_endian: bool,
    layout: Layout,
    coeffs: usize,
    /// The usable ones among the rows of the file.
    usable: Vec<u32>,
    repair: Repair,
}

impl File {
    /// Opens a PLY and looks through it once. `None` if its Gaussians cannot be read one by one or are placed in the world: text,
    /// lists among the properties, gzip, positions of 64 bits, an origin.
    ///
    /// # Errors
    /// As [`read_gaussians`](super::read_gaussians).
    pub fn open(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let path = path.as_ref();
        if files::start(path, 2) == [0x1f, 0x8b] || Origin::read_sidecar(path)?.is_some() {
            return Ok(None);
        }
        let (reader, size) = super::open(path)?;
        let vertices = Vertices::open(path, reader, size)?;
        let layout = Layout::of(path, &vertices)?;
        let (columns, rows) = vertices.columns(&layout.names)?;
        let (Some(place), false, None) = (vertices.place(), layout.double, vertices.origin) else {
            return Ok(None);
        };
        let mut opened = Self {
            path: path.into(),
            file: Mutex::new(files::open(path)?.0),
            at: place.at,
            row: place.row,
            columns: columns.into_iter().map(|k| place.columns[k]).collect(),
            big_endian: place.big_endian,
            coeffs: layout.coeffs,
            layout,
            usable: (0..u32::try_from(rows).unwrap_or(u32::MAX)).collect(),
            repair: Repair::default(),
        };
        let (mut usable, mut repair) = (Vec::with_capacity(rows), Repair::default());
        for rows in opened.usable.chunks(PART) {
            let (kept, clamped) = opened.read(rows)?.repaired()?;
            repair.dropped += rows.len() - kept.len();
            repair.clamped += clamped;
            usable.extend(kept.into_iter().map(|i| rows[i as usize]));
        }
        (opened.usable, opened.repair) = (usable, repair);
        Ok(Some(opened))
    }

    /// What was repaired.
    #[must_use]
    pub fn repair(&self) -> Repair {
        self.repair
    }

    /// Sentences for the user on what is read otherwise than it is stored.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.layout.warnings
    }

    /// Leaves out the spherical harmonics above `degree`.
    pub fn reduce_sh_degree(&mut self, degree: u32) {
        self.coeffs = self.coeffs.min((degree as usize).saturating_add(1).saturating_pow(2));
    }

    /// All Gaussians without their harmonics above degree 0.
    ///
    /// # Errors
    /// As [`Rows::pick`].
    pub fn without_harmonics(&self) -> Result<Gaussians> {
        let mut whole = Gaussians { coeffs: 1, ..Gaussians::default() };
        for rows in self.usable.chunks(PART) {
            let mut part = self.read(rows)?;
            part.reduce_sh_degree(0);
            part.repair()?;
            whole.append(&part)?;
        }
        Ok(whole)
    }

    /// The rows of these numbers as they are in the file.
    fn read(&self, rows: &[u32]) -> Result<Gaussians> {
        let mut g = Gaussians { coeffs: self.layout.coeffs, ..Gaussians::default() };
        let mut values = vec![0.0; self.columns.len()];
        let mut bytes = Vec::new();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Neighbours in the file are read at once.
        for run in rows.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
            let at = self.at + u64::from(run[0]) * self.row as u64;
            bytes.resize(run.len() * self.row, 0);
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut bytes).map_err(|e| match e.kind() {
                std::io::ErrorKind::UnexpectedEof => {
                    let expected = format!("{} vertices, as when it was opened", run.len());
                    Error::Truncated { path: self.path.clone(), offset: at, expected, left: 0 }
                }
                _ => e.into(),
            })?;
            for row in bytes.chunks_exact(self.row) {
                for (value, (at, scalar)) in values.iter_mut().zip(&self.columns) {
                    *value = decode(*scalar, &row[*at..], self.big_endian);
                }
                g.means.extend(values[..3].iter().map(|&x| x as f32));
                self.layout.push(&mut g, &values[3..]);
            }
        }
        Ok(g)
    }
}

impl Rows for File {
    fn len(&self) -> usize {
        self.usable.len()
    }

    fn coeffs(&self) -> usize {
        self.coeffs
    }

    fn origin(&self) -> Origin {
        Origin::default()
    }

    fn pick(&self, rows: &[u32]) -> Result<Gaussians> {
        let rows: Vec<u32> = rows.iter().map(|&i| self.usable[i as usize]).collect();
        let mut g = self.read(&rows)?;
        let repair = g.repair()?;
        if repair.dropped > 0 {
            let message = "the file changed while it was read".to_owned();
            let place = crate::Place::Byte(self.at);
            return Err(Error::Malformed { path: self.path.clone(), place, message });
        }
        if self.coeffs < g.coeffs {
            g.reduce_sh_degree(self.coeffs.isqrt() as u32 - 1);
        }
        Ok(g)
    }

    /// Unusable ones were left out when it was opened.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}
