//! Which of the models in a dataset's folder is read. A reconstruction that falls apart leaves several, `sparse/0`,
//! `sparse/1`, ..., in no particular order of size.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Tracks, file, parse_images_text};
use crate::dataset::find::Finder;
use crate::dataset::text::decode;
use crate::files;

/// The folder below (or at) `path` that holds a COLMAP model: in `sparse`, `sparse` itself or `path` itself. Of several
/// models, the one with the most registered images, and of equals the first.
#[must_use]
pub fn find(path: impl AsRef<Path>) -> Option<PathBuf> {
    let mut models = models(path.as_ref());
    if models.len() < 2 {
        return models.pop();
    }
    let largest = models.iter().map(|m| registered(m)).max()?;
    models.into_iter().find(|m| registered(m) == largest)
}

/// The folders of all models below or at `path`, in the order of COLMAP's numbers.
pub(super) fn models(path: &Path) -> Vec<PathBuf> {
    let finder = Finder::default();
    let mut folders = Vec::new();
    if let Some(sparse) = finder.folder(path, "sparse") {
        let entries = std::fs::read_dir(&sparse).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|p| p.is_dir()));
        folders.sort_by_key(|p| {
            let name = p.file_name().unwrap_or_default().to_owned();
            (name.to_str().and_then(|n| n.parse().ok()).unwrap_or(u64::MAX), name)
        });
        folders.push(sparse);
    }
    folders.push(path.into());
    folders.retain(|p| ["cameras.bin", "cameras.txt"].iter().any(|f| finder.file(p, f).is_some()));
    folders
}

/// How many images the model in `folder` claims to have; 0 if its file cannot be read.
pub(super) fn registered(folder: &Path) -> u64 {
    // An id, a pose, a camera, the end of a name and a count.
    const SMALLEST: u64 = 4 + 7 * 8 + 4 + 1 + 8;
    let path = file(folder, "images");
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("txt")) {
        let bytes = files::read(&path).unwrap_or_default();
        return parse_images_text(&decode(&bytes), Tracks::Skip).records.len() as u64;
    }
    let Ok((mut file, size)) = files::open(&path) else { return 0 };
    let mut count = [0; 8];
    let count = file.read_exact(&mut count).map_or(0, |()| u64::from_le_bytes(count));
    if count <= size / SMALLEST { count } else { 0 }
}
