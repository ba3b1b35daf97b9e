//! Extraction of a gzipped tar that is not trusted: regular files and folders only, inside the one folder that
//! the archive says it is, within fixed sizes. Verifying the archive's own hash is the caller's work.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use fs_err as fs;
use sha2::{Digest, Sha256};
use splat_toolchain::managed::hex;
use tar::EntryType;

/// Bounds that no honest source archive comes near.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many files and folders it may have.
    pub entries: usize,
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of the whole archive, unpacked.
    pub total: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 20_000, file: 32 << 20, total: 256 << 20 }
    }
}

/// Extracts into `into` (an empty folder) the files for which `keep` gives a new path; both paths are relative
/// and with `/`, the first without the archive's top folder `top`. Returns the sha256 of each file written.
///
/// # Errors
/// Any entry, wanted or not, that is absolute, contains `..`, lies outside `top`, is a link or a device, comes
/// twice or is over the limits; an archive that is cut short. What was written by then stays in `into`.
pub fn extract(
    archive: impl Read,
    top: &str,
    keep: &dyn Fn(&str) -> Option<String>,
    into: &Path,
    limits: Limits,
) -> Result<BTreeMap<String, String>> {
    let unpacked = Bounded { inner: GzDecoder::new(archive), left: limits.total, limit: limits.total };
    let mut tar = tar::Archive::new(unpacked);
    let mut written = BTreeMap::new();
    let mut count = 0;
    for entry in tar.entries()? {
        let mut entry = entry.context("the archive is cut short or no gzipped tar")?;
        count += 1;
        ensure!(count <= limits.entries, "the archive has more than {} entries", limits.entries);
        if entry.header().entry_type() == EntryType::XGlobalHeader {
            continue;
        }
        let path = checked_path(&entry.path_bytes(), top)?;
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory => continue,
            EntryType::Symlink => bail!("the archive holds a symbolic link, `{path}`"),
            EntryType::Link => bail!("the archive holds a hard link, `{path}`"),
            other => bail!("the archive holds something that is no file, `{path}` ({other:?})"),
        }
        let size = entry.size();
        ensure!(
            size <= limits.file,
            "`{path}` in the archive says it has {size} bytes; more than {} are refused",
            limits.file
        );
        let Some(new) = keep(&path) else { continue };
        let target = into.join(&new);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&target)
            .with_context(|| format!("`{path}` in the archive"))?;
        let mut hasher = Sha256::new();
        let mut piece = vec![0; 1 << 16];
        let mut length = 0;
        loop {
            let n =
                entry.read(&mut piece).with_context(|| format!("the archive is cut short at `{path}`"))?;
            if n == 0 {
                break;
            }
            hasher.update(&piece[..n]);
            file.write_all(&piece[..n])?;
            length += n as u64;
        }
        ensure!(length == size, "the archive is cut short at `{path}`: {length} of {size} bytes");
        written.insert(new, hex(&hasher.finalize()));
    }
    // The checksum of gzip stands at the very end, after what tar reads.
    io::copy(&mut tar.into_inner(), &mut io::sink()).context("the archive is cut short")?;
    Ok(written)
}

/// The path below `top`, or why it is refused. Empty for `top` itself.
fn checked_path(bytes: &[u8], top: &str) -> Result<String> {
    let Ok(path) = std::str::from_utf8(bytes) else {
        bail!("the archive has a path that is not UTF-8: {}", String::from_utf8_lossy(bytes));
    };
    let refuse = |why: &str| anyhow::anyhow!("the archive has the path {path:?}, which {why}");
    if path.starts_with('/') {
        return Err(refuse("is absolute"));
    }
    // On Windows these would be another folder, a drive or a stream.
    if path.contains(['\\', ':', '\0']) {
        return Err(refuse("holds a character that is no part of a plain name"));
    }
    let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    if parts.clone().any(|part| part == "..") {
        return Err(refuse("contains `..`"));
    }
    if parts.next() != Some(top) {
        return Err(refuse(&format!("lies outside `{top}/`")));
    }
    Ok(parts.collect::<Vec<_>>().join("/"))
}

/// A reader that ends in an error, not at an end of file, where the limit is passed.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(io::Error::other(format!("it unpacks to more than {} bytes", self.limit)));
            }
        }
        Ok(n)
    }
}
