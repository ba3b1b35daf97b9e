//! Access to the files of a SOG scene, in a folder or in a zip.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::gaussians::quantize::{allowance, within_allowance};
use crate::{Error, Place, Result, files};

pub(in crate::gaussians) const META: &str = "meta.json";
/// The description of a streamed scene, which has parts and levels of detail.
pub(in crate::gaussians) const STREAMED: &str = "lod-meta.json";

/// The name of the description in the folder `path`; `meta.json` if there is none.
pub(in crate::gaussians) fn description(path: &Path) -> &'static str {
    if !path.join(META).is_file() && path.join(STREAMED).is_file() { STREAMED } else { META }
}

pub(super) struct Files {
    /// The folder or the zip, for errors.
    path: PathBuf,
    /// The name of the description: `meta.json`, or how the caller named it.
    meta: String,
    zip: Option<Zip>,
}

struct Zip {
    archive: ZipArchive<Cursor<Vec<u8>>>,
    /// The folder inside the zip that contains the description.
    prefix: String,
}

impl Files {
    /// Opens a zip, a `meta.json`, or a folder with a `meta.json`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self { path: path.into(), meta: description(path).into(), zip: None });
        }
        let mut first = [0; 2];
        let is_zip = files::open(path)?.0.read(&mut first)? == 2 && first == *b"PK";
        if is_zip {
            return Self::bundle(path, files::read(path)?);
        }
        let meta = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { path: path.parent().unwrap_or(Path::new("")).into(), meta, zip: None })
    }

    pub(super) fn bundle(path: &Path, data: Vec<u8>) -> Result<Self> {
        let damaged = |message: String| malformed(path, message);
        let archive = ZipArchive::new(Cursor::new(data)).map_err(|e| damaged(format!("the zip: {e}")))?;
        let names: Vec<String> = archive.file_names().filter_map(|n| Some(n.ok()?.into_owned())).collect();
        // The one in the topmost folder.
        let find = |meta: &'static str| {
            let is = |n: &&String| *n == meta || n.ends_with(&format!("/{meta}"));
            names
                .iter()
                .filter(is)
                .min_by_key(|n| n.len())
                .map(|n| (meta, n[..n.len() - meta.len()].to_owned()))
        };
        let Some((meta, prefix)) = find(META).or_else(|| find(STREAMED)) else {
            let ends = |end: &str| names.iter().any(|n| n.to_lowercase().ends_with(end));
            let known = [
                (
                    ".pkl",
                    "a checkpoint of PyTorch",
                    "export its Gaussians as PLY with the program that trained them",
                ),
                (".npy", "arrays of NumPy", "export Gaussians as PLY with the program that wrote them"),
                (".ply", "a zip with a PLY in it", "unpack it, and give the PLY"),
            ];
            if let Some((_, what, hint)) = known.iter().find(|(end, ..)| ends(end)) {
                let found = format!("this is {what}, not a scene in SOG");
                return Err(Error::NotGaussians { path: path.into(), found, hint: (*hint).into() });
            }
            let some: Vec<_> = names.iter().take(8).map(|n| n.escape_debug().to_string()).collect();
            return Err(damaged(format!("the zip has no meta.json; it contains: {}", some.join(", "))));
        };
        Ok(Self { path: path.into(), meta: meta.into(), zip: Some(Zip { archive, prefix }) })
    }

    /// The path of the description, for errors.
    pub(super) fn meta_path(&self) -> PathBuf {
        self.path.join(&self.meta)
    }

    /// The path and the contents of the description.
    pub(super) fn meta(&mut self) -> Result<(PathBuf, Vec<u8>)> {
        let name = self.meta.clone();
        Ok((self.meta_path(), self.get(&name)?))
    }

    /// The path of the file `name`, for errors.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The contents of the file `name` beside the description.
    pub(super) fn get(&mut self, name: &str) -> Result<Vec<u8>> {
        let path = self.path_of(name);
        // The name comes from a file, so it must not lead out of the folder.
        let mut parts = Path::new(name).components();
        if name.is_empty()
            || !parts.all(|c| matches!(c, std::path::Component::Normal(_)))
            || name.contains('\\')
            || name.contains(char::is_control)
        {
            return Err(malformed(
                &self.meta_path(),
                format!("it names the file {name:?}, which is not beside it"),
            ));
        }
        let Some(Zip { archive, prefix }) = &mut self.zip else {
            return files::read(&path);
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
