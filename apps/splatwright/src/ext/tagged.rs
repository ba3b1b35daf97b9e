//! A wheel's local version: `0.0.0` becomes `0.0.0+pt24cu121.s1a2b3c4d`, so that two forks of one name and version, or one
//! fork for two torches, never overwrite one another, and pip replaces one by the other. Only names, METADATA's
//! version and RECORD change.

use std::{
    io::{Cursor, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use fs_err as fs;
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::wheel::record_hash;

/// Writes the wheel with that local version beside the one that the build made, which goes.
pub(crate) fn tag(wheel: &Path, local: &str) -> Result<PathBuf> {
    let file = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (name, rest) = file.split_once('-').context("the wheel's name has no version")?;
    let (version, tags) = rest.split_once('-').context("the wheel's name has no tags")?;
    let new = format!("{version}{}{local}", if version.contains('+') { '.' } else { '+' });
    let mut archive = ZipArchive::new(Cursor::new(fs::read(wheel)?))?;
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let rename = |entry: &str| -> String {
        for ending in ["dist-info", "data"] {
            if let Some((folder, inner)) = entry.split_once('/')
                && let Some(stem) = folder.strip_suffix(&format!("-{version}.{ending}"))
            {
                return format!("{stem}-{new}.{ending}/{inner}");
            }
        }
        entry.to_owned()
    };
    let (mut metadata, mut record) = (None, None);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let inner = entry.name()?.into_owned();
        let wanted = match inner.rsplit_once('/') {
            Some((folder, "METADATA")) if folder.ends_with(".dist-info") => &mut metadata,
            Some((folder, "RECORD")) if folder.ends_with(".dist-info") => &mut record,
            _ => {
                writer.raw_copy_file_rename(entry, rename(&inner))?;
                continue;
            }
        };
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        *wanted = Some((inner, text));
    }
    let (metadata_name, metadata) = metadata.context("the wheel has no METADATA")?;
    let (record_name, record) = record.context("the wheel has no RECORD")?;
    let metadata: String = metadata
        .split_inclusive('\n')
        .map(|line| {
            if line.trim_end() == format!("Version: {version}") {
                format!("Version: {new}\n")
            } else {
                line.to_owned()
            }
        })
        .collect();
    let lines: String = record
        .lines()
        .map(|line| {
            let (path, sum) = line.split_once(',').unwrap_or((line, ""));
            if path == metadata_name {
                format!("{},sha256={},{}\n", rename(path), record_hash(metadata.as_bytes()), metadata.len())
            } else {
                format!("{},{sum}\n", rename(path))
            }
        })
        .collect();
    for (entry, text) in [(metadata_name, metadata), (record_name, lines)] {
        writer.start_file(rename(&entry), SimpleFileOptions::default())?;
        writer.write_all(text.as_bytes())?;
    }
    let path = wheel.with_file_name(format!("{name}-{new}-{tags}"));
    fs::write(&path, writer.finish()?.into_inner())?;
    fs::remove_file(wheel)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_metadata_and_record_bear_the_local_version() {
        let dir = tempfile::tempdir().unwrap();
        let wheel = dir.path().join("knn-0.0.0-cp311-cp311-linux_x86_64.whl");
        let mut writer = ZipWriter::new(fs::File::create(&wheel).unwrap());
        let metadata = "Metadata-Version: 2.1\nName: knn\nVersion: 0.0.0\n\nVersion: 0.0.0 is told below\n";
        for (name, text) in [
            ("knn/__init__.py", "x = 1\n"),
            ("knn-0.0.0.dist-info/METADATA", metadata),
            ("knn-0.0.0.dist-info/WHEEL", "Tag: cp311-cp311-linux_x86_64\n"),
            (
                "knn-0.0.0.dist-info/RECORD",
                "knn/__init__.py,sha256=a,6\nknn-0.0.0.dist-info/METADATA,sha256=b,1\nknn-0.0.0.dist-info/RECORD,,\n",
            ),
        ] {
            writer.start_file(name, SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        let tagged = tag(&wheel, "pt24cu121.s1a").unwrap();
        assert_eq!(tagged.file_name().unwrap(), "knn-0.0.0+pt24cu121.s1a-cp311-cp311-linux_x86_64.whl");
        assert!(!wheel.exists());
        let mut archive = ZipArchive::new(fs::File::open(&tagged).unwrap()).unwrap();
        let mut read = |name: &str| {
            let mut text = String::new();
            archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
            text
        };
        let info = "knn-0.0.0+pt24cu121.s1a.dist-info";
        let metadata = read(&format!("{info}/METADATA"));
        assert!(metadata.contains("\nVersion: 0.0.0+pt24cu121.s1a\n") && metadata.contains("is told below"));
        let record = read(&format!("{info}/RECORD"));
        let line = format!("{info}/METADATA,sha256={},{}", record_hash(metadata.as_bytes()), metadata.len());
        assert!(record.contains(&line) && record.contains("knn/__init__.py,sha256=a,6"), "{record}");
        assert_eq!(read("knn/__init__.py"), "x = 1\n");
    }
}
