//! The folder that a command writes to: created, checked, and locked while the command runs, so that two programs never write
//! into the same results.

use std::path::Path;

use anyhow::Result;

use super::{Hinted, say};

/// A folder that this program alone writes to until this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Holds the lock. On Unix it is the folder itself, elsewhere a file in it.
    _lock: Option<std::fs::File>,
}

/// The file that is locked where a folder cannot be.
const LOCK: &str = ".lock";
/// The folder of a reconstruction in a training's folder.
pub(crate) const RECONSTRUCTION: &str = "reconstruction";

impl Folder {
    /// Creates the folder `path` and locks it; removes what killed programs left half written. A folder that is not empty is
    /// refused with `hint` unless `again`.
    pub(crate) fn open(path: &Path, again: bool, hint: &'static str) -> Result<Self> {
        fs_err::create_dir_all(path)?;
        let lock = lock(path)?;
        // A reconstruction is what a training begins with, and its own business.
        let own = |name: &std::ffi::OsStr| name == LOCK || name == RECONSTRUCTION;
        let foreign = |entry: std::io::Result<fs_err::DirEntry>| entry.is_ok_and(|e| !own(&e.file_name()));
        if !again && fs_err::read_dir(path)?.any(foreign) {
            return Err(Hinted::error(format!("the folder {} is not empty", path.display()), hint));
        }
        remove_partials(path)?;
        Ok(Self { _lock: lock })
    }
}

/// The lock of the folder, or None with a warning on a file system without locks.
fn lock(path: &Path) -> Result<Option<std::fs::File>> {
    let file = if cfg!(unix) {
        std::fs::File::open(path)
    } else {
        std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK))
    };
    let taken = file.map_err(std::fs::TryLockError::Error).and_then(|file| file.try_lock().map(|()| file));
    match taken {
        Ok(file) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Err(Hinted::error(
            format!("another program is writing to {} right now", path.display()),
            "wait until it has finished, or write to another folder: -o OTHER",
        )),
        Err(std::fs::TryLockError::Error(error)) => {
            say::warn(&format!(
                "{} cannot be locked ({error}): let no other program write there",
                path.display()
            ));
            Ok(None)
        }
    }
}

/// Removes the partial files, `.NAME.PROCESS.partial`, of programs that were killed while they wrote, from the folder and the
/// folders in it that this program makes.
fn remove_partials(folder: &Path) -> Result<()> {
    let below = ["views", "depth", "alpha"].map(|name| folder.join(name));
    for folder in below.iter().map(|path| path.as_path()).chain([folder]).filter(|path| path.is_dir()) {
        for entry in fs_err::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') && name.ends_with(".partial") && entry.file_type()?.is_file() {
                fs_err::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_with_something_in_them_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        drop(Folder::open(&folder, false, "").unwrap());
        drop(Folder::open(&folder, false, "").unwrap());
        fs_err::write(folder.join("c"), []).unwrap();
        let error = Folder::open(&folder, false, "use another").unwrap_err();
        assert!(error.to_string().contains("is not empty"), "{error}");
        assert_eq!(error.downcast_ref::<Hinted>().unwrap().hint, "use another");
        Folder::open(&folder, true, "").unwrap();
    }

    #[test]
    fn a_second_writer_is_refused_until_the_first_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::open(dir.path(), true, "").unwrap();
        let error = Folder::open(dir.path(), true, "").unwrap_err();
        assert!(error.to_string().contains("another program is writing"), "{error}");
        drop(first);
        Folder::open(dir.path(), true, "").unwrap();
    }

    /// Of three that begin at once, one writes, and the two others are told so.
    #[test]
    fn of_three_writers_at_once_one_wins() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let ready = std::sync::Barrier::new(3);
            let done = std::sync::Barrier::new(3);
            let errors: Vec<String> = std::thread::scope(|scope| {
                let write = || {
                    ready.wait();
                    let folder = Folder::open(dir.path(), true, "");
                    // The winner holds the folder until all have tried.
                    done.wait();
                    folder.err().map(|error| error.to_string())
                };
                let writers = [scope.spawn(write), scope.spawn(write), scope.spawn(write)];
                writers.into_iter().filter_map(|writer| writer.join().unwrap()).collect()
            });
            assert_eq!(errors.len(), 2, "{errors:?}");
            assert!(errors.iter().all(|e| e.contains("another program is writing")), "{errors:?}");
        }
    }

    #[test]
    fn what_killed_programs_left_half_written_goes() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs_err::create_dir_all(at("views")).unwrap();
        fs_err::create_dir_all(at("mine")).unwrap();
        let partial = ["views/.a.png.77.partial", ".checkpoint.safetensors.77.partial"];
        let kept = ["views/a.png", ".kept", "mine/.b.1.partial", "c.partial"];
        partial.iter().chain(&kept).for_each(|name| fs_err::write(at(name), []).unwrap());
        Folder::open(dir.path(), true, "").unwrap();
        assert!(partial.iter().all(|name| !at(name).exists()));
        assert!(kept.iter().all(|name| at(name).exists()));
    }
}
