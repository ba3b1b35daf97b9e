//! Files that appear whole or not at all: written beside their destination, then renamed over it.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes `path` through `fill`. On any failure, a full disk among them, what stood at `path` before still
/// stands there and the partial file is removed.
///
/// # Errors
/// [`Error::Write`], naming `path`.
pub fn write_atomically(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let partial = write_beside(path, fill)?;
    replace(path, &partial)
}

/// Writes several files: all of them beside their destinations, and only then, in their order, over these. A
/// disk that is full leaves everything as it was.
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

/// Writes the file that will stand at `path`, and says where it is now. A failure leaves none.
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
        // Without this a power cut could leave a renamed but empty file.
        out.get_ref().sync_all()
    };
    attempt().map_err(|source| {
        // The first failure is the one to report; a partial file that cannot be removed adds nothing.
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
