//! A checkpoint that the ranks of a group write side by side: each its rows, in a file of its own, and rank 0 the manifest, which
//! has everything else and names the parts.
//!
//! The manifest is written when all parts are there, so that a run that is killed while it saves keeps its last checkpoint;
//! parts that no manifest names any more are removed after that. What is read is the whole, as one rank would have saved it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{Checkpoint, Error, Header, Result};

/// The tensor of a part that has the places of its rows in the whole: `[P]`, the bits of `i32`.
pub(crate) const PLACES: &str = "places";
/// How the name of a part ends.
const END: &str = "part.safetensors";

/// What a rank has of a checkpoint.
#[derive(Debug)]
pub(crate) struct Part {
    /// The rank.
    pub(crate) rank: usize,
    /// Tensors with a row per Gaussian; they come first.
    pub(crate) rows: usize,
}

/// The names of the parts of a checkpoint of `world` ranks after `steps` steps of the run `run`.
pub(crate) fn names(run: i64, steps: u64, world: usize) -> Vec<String> {
    (0..world).map(|rank| format!("checkpoint-{run:x}-{steps}-{rank}.{END}")).collect()
}

impl Checkpoint {
    /// Writes what rank `part.rank` has to write: its part, and on rank 0 the manifest `path` when all parts are there.
    pub(crate) fn write_part(&self, path: &Path, part: &Part) -> Result<()> {
        let begin = Instant::now();
        let folder = path.parent().unwrap_or(Path::new(""));
        let (rows, others) = self.tensors.split_at(part.rows);
        let names = &self.header.parts;
        let header = Header { parts: Vec::new(), ..self.header.clone() };
        Self::write_tensors(&folder.join(&names[part.rank]), &header, rows)?;
        if part.rank > 0 {
            return Ok(());
        }
        let patience = 5 * begin.elapsed() + Duration::from_secs(30);
        for (rank, name) in names.iter().enumerate() {
            while !folder.join(name).exists() {
                if begin.elapsed() > patience {
                    let seconds = patience.as_secs();
                    let message = format!(
                        "the part {name} of rank {rank} did not appear within {seconds} s; all ranks must be able to \
                         write to this folder"
                    );
                    return Err(Error::Checkpoint { path: path.into(), message });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Self::write_tensors(path, &self.header, others)
    }

    /// Removes parts beside `path` that this checkpoint, which lies there now, does not name.
    pub(crate) fn remove_other_parts(&self, path: &Path) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Ok(entries) = fs_err::read_dir(folder) else { return };
        for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            if name.starts_with("checkpoint-") && name.ends_with(END) && !self.header.parts.contains(&name) {
                // What stays takes space, and nothing else.
                let _ = fs_err::remove_file(folder.join(name));
            }
        }
    }

    /// The whole of a manifest that was read from `path`: with the rows of all its parts, in the order of their places.
    pub(crate) fn with_parts(mut self, path: &Path) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let broken = |message: String| Error::Checkpoint { path: path.into(), message };
        let files: Vec<PathBuf> = self.header.parts.iter().map(|name| folder.join(name)).collect();
        let mut parts = Vec::with_capacity(files.len());
        for file in &files {
            let part = Self::read_one(file)
                .map_err(|e| broken(format!("its part {} cannot be read: {e}", file.display())))?;
            let places = part.tensors.iter().find(|(name, _, _)| name == PLACES);
            let places: Option<Vec<usize>> =
                places.map(|(_, _, v)| v.iter().map(|x| x.to_bits() as usize).collect());
            let places =
                places.ok_or_else(|| broken(format!("its part {} names no places", file.display())))?;
            parts.push((places, part.tensors));
        }
        let total: usize = parts.iter().map(|(places, _)| places.len()).sum();
        let names: Vec<(String, Vec<usize>)> = parts
            .first()
            .into_iter()
            .flat_map(|(_, t)| t)
            .map(|(name, shape, _)| (name.clone(), shape.clone()))
            .collect();
        for (name, shape) in names.into_iter().filter(|(name, _)| name != PLACES) {
            let width: usize = shape[1..].iter().product();
            let mut whole = vec![0.0; total * width];
            for ((places, tensors), file) in parts.iter_mut().zip(&files) {
                let found = tensors.iter().position(|(n, _, _)| *n == name).map(|i| tensors.swap_remove(i).2);
                let values = found.filter(|values| values.len() == places.len() * width);
                let values = values.ok_or_else(|| {
                    broken(format!("`{name}` in its part {} has other rows", file.display()))
                })?;
                for (&place, row) in places.iter().zip(values.chunks(width.max(1))) {
                    let to = whole.get_mut(place * width..(place + 1) * width);
                    to.ok_or_else(|| broken(format!("{} has a row {place} of {total}", file.display())))?
                        .copy_from_slice(row);
                }
            }
            self.tensors.push((name, [&[total], &shape[1..]].concat(), whole));
        }
        self.header.parts.clear();
        Ok(self)
    }
}
