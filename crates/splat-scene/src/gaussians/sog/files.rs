//! Access to the files of a SOG scene, in a folder or in a zip.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::gaussians::quantize::{allowance, within_allowance};
use crate::{Error, Place, Result};

pub(super) const META: &str = "meta.json";

pub(super) struct Files {
    /// The folder or the zip, for errors.
    path: PathBuf,
    zip: Option<Zip>,
}

struct Zip {
    archive: ZipArchive<Cursor<Vec<u8>>>,
    /// The folder inside the zip that contains `meta.json`.
    prefix: String,
}

impl Files {
    /// Opens a zip, a `meta.json`, or a folder with a `meta.json`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self { path: path.into(), zip: None });
        }
        let mut first = [0; 2];
        let is_zip = fs_err::File::open(path)?.read(&mut first)? == 2 && first == *b"PK";
        if is_zip {
            return Self::bundle(path, fs_err::read(path)?);
        }
        Ok(Self { path: path.parent().unwrap_or(Path::new("")).into(), zip: None })
    }

    pub(super) fn bundle(path: &Path, data: Vec<u8>) -> Result<Self> {
        let damaged = |message: String| malformed(path, message);
        let archive = ZipArchive::new(Cursor::new(data)).map_err(|e| damaged(format!("the zip: {e}")))?;
        let names: Vec<String> = archive.file_names().filter_map(|n| Some(n.ok()?.into_owned())).collect();
        let is_meta = |n: &&String| **n == META || n.ends_with("/meta.json");
        let Some(meta) = names.iter().filter(is_meta).min_by_key(|n| n.len()) else {
            let some = names[..names.len().min(8)].join(", ");
            return Err(damaged(format!("the zip has no meta.json; it contains: {some}")));
        };
        let prefix = meta[..meta.len() - META.len()].to_owned();
        Ok(Self { path: path.into(), zip: Some(Zip { archive, prefix }) })
    }

    /// The path of the file `name`, for errors.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The contents of the file `name` beside `meta.json`.
    pub(super) fn get(&mut self, name: &str) -> Result<Vec<u8>> {
        let path = self.path_of(name);
        // The name comes from a file, so it must not lead out of the folder.
        let mut parts = Path::new(name).components();
        if name.is_empty()
            || !parts.all(|c| matches!(c, std::path::Component::Normal(_)))
            || name.contains('\\')
        {
            return Err(malformed(
                &self.path_of(META),
                format!("it names the file {name:?}, which is not beside it"),
            ));
        }
        let Some(Zip { archive, prefix }) = &mut self.zip else {
            return Ok(fs_err::read(path)?);
        };
        let mut entry = archive
            .by_name(&format!("{prefix}{name}"))
            .map_err(|e| malformed(&path, format!("the zip's entry: {e}")))?;
        let packed = usize::try_from(entry.compressed_size()).unwrap_or(usize::MAX);
        let size = entry.size();
        within_allowance(&path, 0, packed, size)?;
        let mut data = Vec::new();
        // The size in the zip's directory may be wrong, so reading stops at it.
        let most = size.min(allowance(packed));
        (&mut entry)
            .take(most.saturating_add(1))
            .read_to_end(&mut data)
            .map_err(|e| malformed(&path, format!("the zip's entry: {e}")))?;
        if data.len() as u64 != size {
            return Err(malformed(
                &path,
                format!("the zip's entry has {} bytes, its directory says {size}", data.len()),
            ));
        }
        Ok(data)
    }
}

/// An error about a whole file.
pub(super) fn malformed(path: &Path, message: String) -> Error {
    Error::Malformed { path: path.into(), place: Place::Byte(0), message }
}
