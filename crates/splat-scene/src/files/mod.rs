//! What all formats share: writing a file completely or not at all, reading bounded binary data (`cursor`), and JSON
//! (`json`).

pub(crate) mod cursor;
pub(crate) mod json;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes a file through `fill`: first beside `path`, and once it is complete it is renamed to `path`. After any failure,
/// such as a full disk, an earlier file at `path` is unchanged and the partial one is removed.
///
/// # Errors
/// [`Error::Write`], naming `path`.
pub fn write_atomically(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let partial = write_beside(path, fill)?;
    replace(path, &partial)
}

/// Writes several files: first all of them beside their destinations; then, in their order, each is renamed to its
/// destination. A full disk leaves everything unchanged.
///
/// # Errors
/// [`Error::Write`], naming the file that failed.
pub(crate) fn write_together(files: &[(PathBuf, Vec<u8>)]) -> Result<()> {
    let mut partials: Vec<PathBuf> = Vec::new();
    for (path, data) in files {
        match write_beside(path, |out| out.write_all(data)) {
            Ok(partial) => partials.push(partial),
            Err(e) => {
                partials.iter().for_each(|p| drop(std::fs::remove_file(p)));
                return Err(e);
            }
        }
    }
    files.iter().zip(&partials).try_for_each(|((path, _), partial)| replace(path, partial))
}

/// Writes the contents of `path` to a file beside it and returns the path of that file. A failure leaves no file.
fn write_beside(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<PathBuf> {
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
