//! Files that appear whole or not at all: written beside their destination, then renamed over it.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Writes `path` through `fill`. On any failure, a full disk among them, what stood at `path` before still
/// stands there and the partial file is removed.
///
/// # Errors
/// [`Error::Write`], naming `path`.
pub fn write_atomically(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
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
        out.get_ref().sync_all()?;
        drop(out);
        std::fs::rename(&partial, path)
    };
    attempt().map_err(|source| {
        // The first failure is the one to report; a partial file that cannot be removed adds nothing.
        let _ = std::fs::remove_file(&partial);
        error(source)
    })
}
