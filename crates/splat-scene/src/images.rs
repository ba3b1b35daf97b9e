//! Which folder the photographs are read from, at which size, and where each one is.
//!
//! Datasets come with `images` (the size the poses were computed at) and reductions `images_2`,
//! `images_4`, ..., or with only some of them.

use std::path::{Component, Path, PathBuf};

use crate::{Error, Result};

/// A folder of photographs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// 1 for `images`, N for `images_N`.
    pub(crate) reduction: u32,
}

/// The folder to read for `downscale`: the one of exactly that reduction; otherwise the most reduced of
/// those that are larger (whole multiples first), to be reduced further; otherwise the largest there is.
/// With no `downscale` the largest.
pub(crate) fn choose(root: &Path, downscale: Option<u32>) -> Result<Folder> {
    let mut folders = Vec::new();
    for entry in fs_err::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|n| n.strip_prefix("images")) else { continue };
        let reduction = match rest.strip_prefix('_') {
            None if rest.is_empty() => 1,
            Some(n) => match n.parse() {
                Ok(n) if n > 0 => n,
                _ => continue,
            },
            None => continue,
        };
        if entry.path().is_dir() {
            folders.push(Folder { path: entry.path(), reduction });
        }
    }
    let wanted = downscale.unwrap_or(1);
    folders
        .into_iter()
        .min_by_key(|f| match f.reduction {
            k if k > wanted => (2, k),
            k if wanted.is_multiple_of(k) => (0, wanted / k),
            k => (1, wanted - k),
        })
        .ok_or_else(|| Error::NotADataset {
            path: root.into(),
            message: "poses, but no folder `images` or `images_N` with the photographs beside them".into(),
            hint: "name their folder with --images",
        })
}

/// The file of the photograph `name` in `folder`: of exactly that name, or of the same stem with another
/// extension (reductions of `a.JPG` are often `a.png`, and NeRF-synthetic names have none). None if there
/// is none, or if `name` would leave the folder.
pub(crate) fn locate(folder: &Path, name: &str) -> Option<PathBuf> {
    find(folder, name, &["jpg", "JPG", "png", "PNG", "jpeg", "JPEG", "webp", "WEBP"])
}

/// The mask of the photograph `name`: `a.jpg.png` (COLMAP), or `a` with any extension.
pub(crate) fn locate_mask(folder: &Path, name: &str) -> Option<PathBuf> {
    let twice = [".png", ".PNG", ".jpg"].map(|e| format!("{name}{e}"));
    twice.iter().find_map(|n| find(folder, n, &[])).or_else(|| locate(folder, name))
}

/// The depth map of the photograph `name`.
pub(crate) fn locate_depth(folder: &Path, name: &str) -> Option<PathBuf> {
    let stem = Path::new(name).with_extension("");
    find(folder, stem.to_str()?, &["png", "npy", "PNG"])
        .or_else(|| find(folder, &format!("{name}.png"), &[]))
        .or_else(|| find(folder, &format!("{name}.npy"), &[]))
}

fn find(folder: &Path, name: &str, extensions: &[&str]) -> Option<PathBuf> {
    let name = Path::new(name);
    if !name.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return None;
    }
    let exact = folder.join(name);
    if exact.is_file() {
        return Some(exact);
    }
    // Appended first: the dot in `frame_0.25` begins no extension.
    let appended = extensions.iter().map(|e| {
        let mut path = exact.clone().into_os_string();
        path.push(".");
        path.push(e);
        PathBuf::from(path)
    });
    appended.chain(extensions.iter().map(|e| exact.with_extension(e))).find(|p| p.is_file())
}

/// `listed` as a name below `root`: as it is, or, where it is absolute or leaves `root` (a dataset that was
/// moved), the longest end of it that exists there, or else its last part.
pub(crate) fn below(root: &Path, listed: &str) -> String {
    let listed = listed.replace('\\', "/");
    let path = Path::new(&listed);
    let normal: Vec<&str> = path
        .components()
        .filter_map(|c| match c {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect();
    let inside = path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    // `C:/...` is absolute where it was written.
    if inside && !normal.first().is_some_and(|first| first.ends_with(':')) {
        return normal.join("/");
    }
    (0..normal.len())
        .map(|i| normal[i..].join("/"))
        .find(|end| locate(root, end).is_some())
        .unwrap_or_else(|| normal.last().copied().unwrap_or_default().to_owned())
}

/// `listed` as a name in the folder of photographs `folder`: as it is, or, where no such file is there, what
/// [`below`] makes of it (a model made elsewhere, or on Windows), or without the `images` that it begins with (a
/// model made one folder up). As it is, too, where none of these is there.
pub(crate) fn in_folder(folder: &Path, listed: &str) -> String {
    let there = |name: &str| locate(folder, name).is_some();
    if there(listed) {
        return listed.into();
    }
    let inside = below(folder, listed);
    let shorter =
        inside.split_once('/').filter(|(first, _)| first.starts_with("images")).map(|(_, rest)| rest);
    if there(&inside) { inside } else { shorter.filter(|s| there(s)).unwrap_or(listed).into() }
}

/// The size to train at: that of the file, or `camera / downscale` where the file is larger than that by
/// more than rounding.
pub(crate) fn target(file: (u32, u32), camera: (u64, u64), downscale: Option<u32>) -> (u32, u32) {
    let Some(n) = downscale else { return file };
    let aim = |full: u64| ((full as f64 / f64::from(n)).round() as u32).max(1);
    let wanted = (aim(camera.0), aim(camera.1));
    let larger = f64::from(file.0) / f64::from(wanted.0);
    if larger < 1.05 { file } else { (wanted.0.min(file.0), wanted.1.min(file.1)) }
}

/// Whether an image of size `file` can be a reduction of one of size `camera`, each side rounded up or
/// down.
pub(crate) fn same_aspect(file: (u32, u32), camera: (u64, u64)) -> bool {
    let (w, h) = (f64::from(file.0), f64::from(file.1));
    let (cw, ch) = (camera.0 as f64, camera.1 as f64);
    // The exact height for a width anywhere within a pixel of `w` spans 2 ch/cw; `h` may be a pixel off it.
    (h - w * ch / cw).abs() <= 1.0 + ch / cw
}
