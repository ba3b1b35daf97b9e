//! Archives that are the same wherever they are made, and checksums.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use flate2::{Compression, GzBuilder};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use splat_toolchain::managed::hex;

use super::SUMS;

/// A file of the release.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Packs `folder` under its own name as .tar.gz: in order of names, of nobody, of `date` (seconds since 1970).
pub(super) fn archive(folder: &Path, date: u64, to: &Path) -> anyhow::Result<()> {
    let above = folder.parent().context("a folder lies in another")?;
    let mut tar = tar::Builder::new(GzBuilder::new().write(Vec::new(), Compression::best()));
    for path in files(folder)? {
        let bytes = fs_err::read(&path)?;
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(if path.parent().is_some_and(|p| p.ends_with("bin")) { 0o755 } else { 0o644 });
        header.set_mtime(date);
        tar.append_data(&mut header, path.strip_prefix(above)?, &bytes[..])?;
    }
    Ok(fs_err::write(to, tar.into_inner()?.finish()?)?)
}

/// Writes the checksums of every file of the release, as `sha256sum --check` reads them.
pub(super) fn sums(out: &Path) -> anyhow::Result<()> {
    let mut file = fs_err::File::create(out.join(SUMS))?;
    for one in listed(out)?.iter().filter(|one| one.name != SUMS) {
        writeln!(file, "{}  {}", one.sha256, one.name)?;
    }
    Ok(())
}

/// The files of a release, in order of names.
pub(super) fn listed(out: &Path) -> anyhow::Result<Vec<Listed>> {
    let listed = files(out)?.into_iter().map(|path| {
        let bytes = fs_err::read(&path)?;
        let name = path.strip_prefix(out)?.display().to_string();
        Ok(Listed { name, bytes: bytes.len() as u64, sha256: hex(&Sha256::digest(&bytes)) })
    });
    listed.collect()
}

/// Every file below `folder`, in order.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_the_same_wherever_and_whenever_they_are_made() {
        let made = |names: [&str; 2]| {
            let away = tempfile::tempdir().unwrap();
            let folder = away.path().join("release");
            fs_err::create_dir_all(folder.join("bin")).unwrap();
            for name in names {
                fs_err::write(folder.join(name), name).unwrap();
            }
            archive(&folder, 1_700_000_000, &away.path().join("a.tar.gz")).unwrap();
            fs_err::read(away.path().join("a.tar.gz")).unwrap()
        };
        let bytes = made(["bin/splat", "README.md"]);
        assert_eq!(bytes, made(["README.md", "bin/splat"]));
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&bytes[..]));
        let listed: Vec<_> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let header = entry.as_ref().unwrap().header();
                (
                    header.path().unwrap().display().to_string(),
                    header.mode().unwrap(),
                    header.mtime().unwrap(),
                )
            })
            .collect();
        let date = 1_700_000_000;
        assert_eq!(
            listed,
            [("release/README.md".into(), 0o644, date), ("release/bin/splat".into(), 0o755, date)]
        );
    }

    #[test]
    fn checksums_name_every_file_but_their_own() {
        let out = tempfile::tempdir().unwrap();
        fs_err::write(out.path().join("b"), "").unwrap();
        fs_err::write(out.path().join("a"), "abc").unwrap();
        sums(out.path()).unwrap();
        sums(out.path()).unwrap();
        let text = fs_err::read_to_string(out.path().join(SUMS)).unwrap();
        let of = |line: usize| text.lines().nth(line).unwrap();
        // FIPS 180-2, appendix B.1; and of nothing.
        assert_eq!(of(0), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a");
        assert_eq!(of(1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b");
        assert_eq!(text.lines().count(), 2);
    }
}
