//! Archives made to do harm: each is refused with a sentence, and nothing appears outside the folder.

use std::{io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use fs_err as fs;
use splatwright::provision::archive::{Limits, extract};
use tar::{EntryType, Header};

/// An entry whose path and kind are written as they are: the `tar` crate's own checks are passed by.
fn entry(path: &str, kind: EntryType, link: &str, size: u64, data: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(path: &str, data: &[u8]) -> Vec<u8> {
    entry(path, EntryType::Regular, "", data.len() as u64, data)
}

fn gz(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for entry in entries {
        encoder.write_all(entry).unwrap();
    }
    encoder.write_all(&[0; 1024]).unwrap();
    encoder.finish().unwrap()
}

/// Extracts everything below `top` into a folder inside `outer`.
fn try_extract(archive: &[u8], outer: &Path) -> Result<usize, String> {
    let into = outer.join("into");
    fs::create_dir_all(&into).unwrap();
    let limits = Limits { entries: 5, file: 1 << 20, total: 3 << 20 };
    extract(archive, "top", &|path| Some(path.to_owned()), &into, limits)
        .map(|files| files.len())
        .map_err(|error| format!("{error:#}"))
}

#[track_caller]
fn refused(archive: &[u8], why: &str) {
    let outer = tempfile::tempdir().unwrap();
    match try_extract(archive, outer.path()) {
        Ok(files) => panic!("{files} files were extracted"),
        Err(error) => assert!(error.contains(why), "`{why}` is not in: {error}"),
    }
    let outside: Vec<_> = fs::read_dir(outer.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(outside, ["into"], "something was written outside the folder");
}

#[test]
fn an_honest_archive_is_extracted() {
    let outer = tempfile::tempdir().unwrap();
    let folder = entry("top/a/", EntryType::Directory, "", 0, &[]);
    let honest = gz(&[folder, file("top/a/b.h", b"text"), file("top/./a//c.h", b"")]);
    assert_eq!(try_extract(&honest, outer.path()), Ok(2));
    assert_eq!(fs::read(outer.path().join("into/a/b.h")).unwrap(), b"text");
}

#[test]
fn paths_that_lead_out_are_refused() {
    refused(&gz(&[file("/etc/cron.d/x", b"x")]), "is absolute");
    refused(&gz(&[file("top/../../x", b"x")]), "contains `..`");
    refused(&gz(&[file("..", b"x")]), "contains `..`");
    refused(&gz(&[file("other/x", b"x")]), "lies outside `top/`");
    refused(&gz(&[file("top/..\\..\\x", b"x")]), "no part of a plain name");
    refused(&gz(&[file("top/C:x", b"x")]), "no part of a plain name");
}

#[test]
fn links_and_devices_are_refused() {
    let link = |kind| gz(&[entry("top/x", kind, "../../secret", 0, &[]), file("top/x/y", b"y")]);
    refused(&link(EntryType::Symlink), "a symbolic link, `x`");
    refused(&link(EntryType::Link), "a hard link, `x`");
    refused(&link(EntryType::Char), "no file, `x`");
    refused(&link(EntryType::Fifo), "no file, `x`");
}

#[test]
fn a_long_name_does_not_hide_a_path_that_leads_out() {
    let name = b"top/../../x\0";
    let long = entry("././@LongLink", EntryType::GNULongName, "", name.len() as u64, name);
    refused(&gz(&[long, file("top/harmless", b"x")]), "contains `..`");
}

#[test]
fn absurd_sizes_are_refused_before_they_are_written() {
    refused(&gz(&[entry("top/x", EntryType::Regular, "", 2 << 20, &[])]), "says it has 2097152 bytes");
    let zeros = vec![0; 1 << 20];
    let bomb: Vec<_> = (0..4).map(|i| file(&format!("top/{i}"), &zeros)).collect();
    refused(&gz(&bomb), "unpacks to more than 3145728 bytes");
    let many: Vec<_> = (0..6).map(|i| file(&format!("top/{i}"), b"")).collect();
    refused(&gz(&many), "more than 5 entries");
}

#[test]
fn a_file_that_comes_twice_is_refused() {
    refused(&gz(&[file("top/x", b"1"), file("top/x", b"2")]), "`x` in the archive");
}

#[test]
fn an_archive_that_is_cut_short_or_none_at_all_is_refused() {
    let whole = gz(&[file("top/x", &[7; 5000])]);
    for length in [0, 5, whole.len() / 2, whole.len() - 4] {
        refused(&whole[..length], "");
    }
    refused(b"<html>404</html>", "");
    let half = entry("top/x", EntryType::Regular, "", 5000, &[7; 100]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&half).unwrap();
    refused(&encoder.finish().unwrap(), "cut short");
}
