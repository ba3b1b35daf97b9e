//! What all formats share: opening files that others made ([`open`], [`read`]), writing a file completely or not at all,
//! reading bounded binary data (`cursor`), JSON (`json`), and naming what is none of the formats (`foreign`).

pub(crate) mod cursor;
pub(crate) mod foreign;
pub(crate) mod json;

use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Opens a file that others made, and says how many bytes it has. This is the one way to open files of foreign origin in
/// this crate: all readers of datasets, photographs and Gaussians come here or to [`read`].
///
/// Only a regular file is opened, or a link to one: a device may never end, and a named pipe waits for a writer that may
/// never come. A folder of a dataset or a scene may hold links to either.
///
/// # Errors
/// [`Error::NotAFile`]; [`Error::Read`], naming `path`.
pub(crate) fn open(path: &Path) -> Result<(fs_err::File, u64)> {
    let kind = fs_err::metadata(path)?.file_type();
    if !kind.is_file() {
        return Err(Error::NotAFile { path: path.into(), found: kind_of(kind) });
    }
    let file = fs_err::File::open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// The contents of a file that others made; what is appended to it meanwhile is not read.
///
/// # Errors
/// [`Error::NotAFile`] for a device, a named pipe or a folder, also behind a link; [`Error::Read`], naming `path`; a file that
/// does not fit in memory.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let (file, size) = open(path)?;
    let mut bytes = Vec::new();
    let reserved = usize::try_from(size).ok().and_then(|n| bytes.try_reserve_exact(n).ok());
    reserved.ok_or_else(|| {
        std::io::Error::new(
            std::io::ErrorKind::OutOfMemory,
            format!("{}: {size} bytes do not fit in memory", path.display()),
        )
    })?;
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first bytes of a file; none of one that cannot be read.
pub(crate) fn start(path: &Path, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok((file, _)) = open(path) {
        // What was read before an error is what there is.
        let _ = file.take(most).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(unix)]
fn kind_of(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match () {
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

#[cfg(not(unix))]
fn kind_of(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() { "a folder" } else { "a device" }
}

/// Writes a file through `fill`: first beside `path`, and once it is complete it is renamed to `path`. After any failure,
/// such as a full disk, an earlier file at `path` is unchanged and the partial one is removed.
///
/// # Errors
/// [`Error::Write`], naming `path`.
pub fn write_atomically(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    write_seekable(path.as_ref(), |out| fill(out))
}

/// As [`write_atomically`], where writing goes back and forth.
///
/// # Errors
/// As [`write_atomically`].
pub(crate) fn write_seekable(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<std::fs::File>) -> std::io::Result<()>,
) -> Result<()> {
    let partial = write_beside(path, fill)?;
    replace(path, &partial)
}

/// Files that are first all written beside their destinations and then, in their order, renamed to them. A full disk leaves
/// everything unchanged, and so does dropping this before [`replace`](Self::replace).
#[derive(Default)]
pub(crate) struct Together(Vec<(PathBuf, PathBuf)>);

impl Together {
    /// Writes the contents of `path` through `fill`.
    ///
    /// # Errors
    /// [`Error::Write`], naming `path`.
    pub(crate) fn add(
        &mut self,
        path: &Path,
        fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<()> {
        self.0.push((path.into(), write_beside(path, |out| fill(out))?));
        Ok(())
    }

    /// Renames all files to their destinations.
    ///
    /// # Errors
    /// [`Error::Write`], naming the file that failed; those before it are in their places.
    pub(crate) fn replace(mut self) -> Result<()> {
        std::mem::take(&mut self.0).iter().try_for_each(|(path, partial)| replace(path, partial))
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        self.0.iter().for_each(|(_, partial)| drop(std::fs::remove_file(partial)));
    }
}

/// Writes the contents of `path` to a file beside it and returns the path of that file. A failure leaves no file.
fn write_beside(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<std::fs::File>) -> std::io::Result<()>,
) -> Result<PathBuf> {
    let error = |source| Error::Write { path: path.into(), source };
    let name = path.file_name().ok_or_else(|| error(std::io::ErrorKind::InvalidInput.into()))?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(partial);
    let attempt = || {
        let mut out = BufWriter::with_capacity(1 << 18, std::fs::File::create(&partial)?);
        fill(&mut out)?;
        out.flush()?;
        // Without this, a power cut could leave a renamed but empty file.
        out.get_ref().sync_all()
    };
    attempt().map_err(|source| {
        // The first failure is the one to report, even if the partial file cannot be removed either.
        let _ = std::fs::remove_file(&partial);
        error(source)
    })?;
    Ok(partial)
}

fn replace(path: &Path, partial: &Path) -> Result<()> {
    std::fs::rename(partial, path).map_err(|source| {
        let _ = std::fs::remove_file(partial);
        Error::Write { path: path.into(), source }
    })
}
