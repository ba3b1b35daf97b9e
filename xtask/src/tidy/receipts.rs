//! The GPU tests run on another machine than this check, so their last run leaves a receipt: the hash of the sources
//! that were tested. Kernels that changed since have no receipt.

use std::path::Path;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Complaint;

/// Relative to the repository.
const RECEIPTS: &str = "crates/splat-cuda/kernels/receipts.toml";
const FOLDERS: &[&str] =
    &["crates/splat-cuda/kernels/", "crates/splat-cuda/adapters/", "crates/engine-build/cpp/"];
const EXTENSIONS: &[&str] = &["h", "cuh", "cu", "cpp"];
const REMEDY: &str = "run the GPU tests again and commit the receipt that they print";

/// What this check reads of the file; the rest is for people.
#[derive(Deserialize)]
struct Receipts {
    /// See [`hash`].
    sources: String,
}

/// Whether the sources are those of the receipt. `files` are relative to `root`.
pub(super) fn check(root: &Path, files: &[String]) -> anyhow::Result<Vec<Complaint>> {
    let hash = hash(root, files)?;
    let text = fs_err::read_to_string(root.join(RECEIPTS)).ok();
    Ok(judge(text.as_deref(), &hash).into_iter().collect())
}

fn judge(text: Option<&str>, hash: &str) -> Option<Complaint> {
    let what = match text.map(toml::from_str::<Receipts>) {
        None => "there is no receipt of a GPU run".to_owned(),
        Some(Err(error)) => format!("it cannot be read: {}", error.message()),
        Some(Ok(receipts)) if receipts.sources == hash => return None,
        Some(Ok(receipts)) => {
            format!("the GPU tests ran on sources {}, but these are {hash}", receipts.sources)
        }
    };
    Some(Complaint { path: RECEIPTS.to_owned(), line: 0, what, remedy: REMEDY.to_owned() })
}

/// SHA-256 in hex over every source of the kernels in byte order of its path: path, a zero byte, the length of the
/// contents as decimal text, a zero byte, contents.
fn hash(root: &Path, files: &[String]) -> anyhow::Result<String> {
    let mut sources: Vec<&String> = files.iter().filter(|path| is_source(path)).collect();
    sources.sort();
    let mut hasher = Sha256::new();
    for path in sources {
        // A file that git knows and that was removed meanwhile is no file.
        let Ok(contents) = fs_err::read(root.join(path)) else { continue };
        hasher.update(format!("{path}\0{}\0", contents.len()));
        hasher.update(contents);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_source(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS.contains(&extension) && FOLDERS.iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_kernel_needs_another_receipt() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["crates/splat-cuda/kernels/b.cu", "crates/splat-cuda/kernels/a.cuh", "crates/core/a.cu"];
        for name in names {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "abc").unwrap();
        }
        let files = names.map(str::to_owned);
        let expected = "crates/splat-cuda/kernels/a.cuh\x003\0abccrates/splat-cuda/kernels/b.cu\x003\0abc";
        let expected: String = Sha256::digest(expected).iter().map(|byte| format!("{byte:02x}")).collect();
        let found = hash(folder.path(), &files).unwrap();
        assert_eq!(found, expected);

        let receipt = format!("gpu = \"some\"\nsources = \"{expected}\"\n");
        assert_eq!(judge(Some(&receipt), &found), None);
        fs_err::write(folder.path().join(names[0]), "abd").unwrap();
        let changed = hash(folder.path(), &files).unwrap();
        assert!(judge(Some(&receipt), &changed).unwrap().what.contains(&changed));
        assert!(judge(None, &found).unwrap().what.contains("no receipt"));
        assert!(judge(Some("gpu = 1"), &found).unwrap().what.contains("cannot be read"));
    }
}
