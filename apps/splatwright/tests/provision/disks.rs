//! Full disks and read-only caches, on small file systems of their own where mounting is permitted.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use fs_err as fs;

use crate::fixture::{Fixture, Order};

/// A tmpfs, unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None`, with the line that the test runner counts, where this user may not mount.
    #[expect(clippy::print_stdout, reason = "the test runner counts it")]
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=777");
        if mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], at) {
            return Some(Self(at.to_owned()));
        }
        println!("skipped: cannot mount a tmpfs");
        None
    }

    fn make_read_only(&self) {
        assert!(mount(&["-o", "remount,ro"], &self.0));
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let status = Command::new("mount").args(arguments).arg(at).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn is_empty_of_files(dir: &Path) -> bool {
    fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none())
}

#[test]
fn too_little_space_is_said_before_anything_is_fetched() {
    let fixture = Fixture::new();
    let Some(_disk) = Tmpfs::mount(&fixture.home, "4m") else { return };
    fixture.write_requirements("# download: 3 MB\n# installed: 9 MB\n");
    let ended = fixture.run(&fixture.tools()).failed_saying(&[
        "needs 12.0 MB while it is installed (3.0 MB to download, 9.0 MB on disk)",
        "has 4.2 MB free",
    ]);
    assert!(ended.line("hint: ").contains("SPLATWRIGHT_HOME="), "{}", ended.text());
    assert!(!ended.says("step: Prepared"));
}

#[test]
fn a_disk_that_fills_up_during_the_installation_is_named_and_cleaned() {
    let fixture = Fixture::with_ballast(6 << 20);
    let Some(disk) = Tmpfs::mount(&fixture.home, "4m") else { return };
    // The sizes are made small, so that the early check lets it pass.
    fixture.write_requirements("# download: 1 MB\n# installed: 1 MB\n");
    let ended = fixture.run(&fixture.tools()).failed_saying(&["the disk is full"]);
    assert!(ended.line("hint: ").contains("SPLATWRIGHT_HOME="), "{}", ended.text());
    assert!(fixture.placed().is_empty());
    assert!(is_empty_of_files(&fixture.home.join("v1/tmp")), "what filled the disk is removed");
    assert!(mount(&["-o", "remount,size=64m"], &disk.0));
    fixture.run(&fixture.tools()).succeeded();
}

#[test]
fn a_disk_that_fills_up_during_the_extraction_is_named_and_cleaned() {
    let fixture = Fixture::with_ballast(6 << 20);
    let Some(disk) = Tmpfs::mount(&fixture.home, "8m") else { return };
    fixture.keep_archive();
    fixture.run(&fixture.original()).failed_saying(&["is full: the original sources need"]);
    assert!(fixture.placed().is_empty());
    assert!(is_empty_of_files(&fixture.home.join("v1/tmp")));
    assert!(mount(&["-o", "remount,size=64m"], &disk.0));
    fixture.run(&fixture.original()).succeeded();
}

#[test]
fn a_read_only_cache_is_used_if_whole_and_named_if_not() {
    let fixture = Fixture::new();
    let Some(disk) = Tmpfs::mount(&fixture.home, "8m") else { return };
    fixture.write_requirements("# installed: 1 MB\n");
    fixture.run(&fixture.tools()).succeeded();
    disk.make_read_only();
    fixture.run(&fixture.tools()).succeeded();
    let home = fixture.home.display().to_string();
    let ended = fixture.run(&fixture.original()).failed_saying(&[
        "inria-2.11.0 is not in the cache",
        &home,
        "cannot be written",
        "ead-only",
    ]);
    assert!(ended.line("hint: ").contains("SPLATWRIGHT_HOME="), "{}", ended.text());
}

#[test]
fn a_cache_that_cannot_be_made_is_named() {
    let fixture = Fixture::new();
    fs::write(fixture.dir.path().join("file"), "").unwrap();
    let below_a_file = Order { home: fixture.dir.path().join("file/cache"), ..fixture.tools() };
    let ended = fixture.run(&below_a_file).failed_saying(&["cache folder cannot be made", "file/cache"]);
    assert!(ended.line("hint: ").contains("SPLATWRIGHT_HOME="), "{}", ended.text());
    let a_file = Order { home: fixture.dir.path().join("file"), ..fixture.tools() };
    fixture.run(&a_file).failed_saying(&["is a file, not a folder"]);
}

#[test]
fn a_folder_with_other_things_in_it_is_not_tagged_as_a_cache() {
    let fixture = Fixture::new();
    fs::create_dir_all(&fixture.home).unwrap();
    fs::write(fixture.home.join("thesis.tex"), "").unwrap();
    fixture.run(&fixture.tools()).succeeded();
    assert!(!fixture.home.join("CACHEDIR.TAG").exists(), "backups would skip the thesis");
    assert!(fixture.home.join("v1/CACHEDIR.TAG").exists());
}
