//! Which folder the photographs are read from, at which size, and which file belongs to which name.
//!
//! Datasets come with `images` (at the size that the poses were computed at) and reductions of it, `images_2`,
//! `images_4`, ..., or with only some of these. Names are looked for by [`Finder`], which forgives what file systems
//! forgive.

use std::path::{Component, Path, PathBuf};

use super::capture::Posed;
use super::find::Finder;
use crate::{Error, OpenOptions, Result};

/// A folder of photographs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// 1 for `images`, N for `images_N`.
    pub(crate) reduction: u32,
}

/// The folder to read for `downscale`: the one with exactly that reduction; else the most reduced one that is still
/// larger (whole multiples first), to be reduced further; else the largest one. Without `downscale`: the largest.
pub(crate) fn choose(root: &Path, downscale: Option<u32>) -> Result<Folder> {
    let mut folders = Vec::new();
    for entry in fs_err::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let lower = name.to_str().unwrap_or_default().to_ascii_lowercase();
        let Some(rest) = lower.strip_prefix("images") else { continue };
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
    // Of `images` and `Images`, always the same one.
    folders.sort_by(|a, b| b.path.cmp(&a.path));
    let wanted = downscale.unwrap_or(1);
    folders
        .into_iter()
        .min_by_key(|f| match f.reduction {
            k if k > wanted => (2, k),
            k if wanted.is_multiple_of(k) => (0, wanted / k),
            k => (1, wanted - k),
        })
        .ok_or_else(|| Error::NoImagesFolder { path: root.into() })
}

/// Where the photographs `names` lie if there is no folder `images`: of the folder of the poses, the dataset's folder
/// and the folders in it, the one that holds most of them.
pub(crate) fn search(finder: &Finder, root: &Path, poses: &Path, names: &[&str]) -> Option<Folder> {
    let mut folders = vec![poses.to_path_buf(), root.to_path_buf()];
    folders.extend(finder.folders(root));
    // A few names tell the folder, and datasets have thousands.
    let some: Vec<&str> = names.iter().step_by(names.len().div_ceil(32).max(1)).copied().collect();
    let holds = |folder: &Path| {
        some.iter().filter(|n| finder.photo(folder, &in_folder(finder, folder, n)).is_some()).count()
    };
    let counts: Vec<usize> = folders.iter().map(|f| holds(f)).collect();
    let most = counts.iter().copied().max().filter(|&n| n > 0)?;
    let first = counts.iter().position(|&n| n == most)?;
    Some(Folder { path: folders.swap_remove(first), reduction: 1 })
}

/// The folder of the photographs of `posed`, whose names become names in it.
pub(crate) fn of(finder: &Finder, root: &Path, options: &OpenOptions, posed: &mut [Posed]) -> Result<Folder> {
    let folder = match &options.images {
        Some(given) => Folder { path: given.clone(), reduction: 1 },
        None => choose(root, options.downscale).or_else(|missing| {
            let names: Vec<&str> = posed.iter().map(|p| p.name.as_str()).collect();
            search(finder, root, root, &names).ok_or(missing)
        })?,
    };
    for p in posed {
        p.name = in_folder(finder, &folder.path, &p.name);
    }
    Ok(folder)
}

/// The listed path as a name below `root`. A relative path stays as it is. Of a path that is absolute or leaves
/// `root` (because the dataset was moved), the longest tail that exists below `root` is taken, or else its last part.
pub(crate) fn below(finder: &Finder, root: &Path, listed: &str) -> String {
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
    // `C:/...` is absolute on the system that wrote it.
    if inside && !normal.first().is_some_and(|first| first.ends_with(':')) {
        return normal.join("/");
    }
    (0..normal.len())
        .map(|i| normal[i..].join("/"))
        .find(|end| finder.photo(root, end).is_some())
        .unwrap_or_else(|| normal.last().copied().unwrap_or_default().to_owned())
}

/// The listed path as a name in the folder of photographs: the first of these that exists is taken, and the path stays
/// as it is if none does.
/// - the path as it is;
/// - what [`below`] makes of it, for a model made elsewhere or on Windows;
/// - the path without a leading `images`, for a model made one folder up.
pub(crate) fn in_folder(finder: &Finder, folder: &Path, listed: &str) -> String {
    let there = |name: &str| finder.photo(folder, name).is_some();
    if there(listed) {
        return listed.into();
    }
    let inside = below(finder, folder, listed);
    let shorter = inside.split_once('/').filter(|(first, _)| is_images(first)).map(|(_, rest)| rest);
    if there(&inside) { inside } else { shorter.filter(|s| there(s)).unwrap_or(listed).into() }
}

/// Whether a folder's name begins with `images`, in any case.
fn is_images(name: &str) -> bool {
    name.get(..6).is_some_and(|n| n.eq_ignore_ascii_case("images"))
}

/// The size to read at: that of the file, or `camera / downscale` if the file is larger than that by more than
/// rounding.
pub(crate) fn target(file: (u32, u32), camera: (u64, u64), downscale: Option<u32>) -> (u32, u32) {
    let Some(n) = downscale else { return file };
    let aim = |full: u64| ((full as f64 / f64::from(n)).round() as u32).max(1);
    let wanted = (aim(camera.0), aim(camera.1));
    let larger = f64::from(file.0) / f64::from(wanted.0);
    if larger < 1.05 { file } else { (wanted.0.min(file.0), wanted.1.min(file.1)) }
}

/// Whether an image of size `file` can be a reduction of an image of size `camera`, with each side rounded up or down.
pub(crate) fn same_aspect(file: (u32, u32), camera: (u64, u64)) -> bool {
    let (w, h) = (f64::from(file.0), f64::from(file.1));
    let (cw, ch) = (camera.0 as f64, camera.1 as f64);
    // Exact heights for widths within a pixel of `w` span 2 ch/cw, and `h` may be a pixel off that range.
    (h - w * ch / cw).abs() <= 1.0 + ch / cw
}
