//! The photographs of a folder: which there are, which of them can be read, and which were taken by the same camera.
//!
//! Names are relative to the folder, with `/`. Pictures that COLMAP or the trainer cannot decode are left out here, by name:
//! COLMAP would take the upper half of a file that is cut off for the whole photograph.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use exif::{In, Tag};
use image::GrayImage;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use splat_scene::{Photo, save_png};

/// What both COLMAP and the trainer read.
const READ: [&str; 3] = ["jpg", "jpeg", "png"];
/// Pictures that one of them does not read.
const NOT_READ: [&str; 14] =
    ["webp", "tif", "tiff", "heic", "heif", "avif", "dng", "cr2", "cr3", "nef", "arw", "raf", "orf", "rw2"];
/// Folders beside photographs that hold something else.
const OTHERS: [&str; 6] = ["masks", "mask", "depths", "depth", "sparse", "reconstruction"];

/// The pictures below a folder, by name.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) names: Vec<String>,
    /// Pictures in formats that are not read.
    pub(super) foreign: Vec<String>,
}

/// A photograph that can be used.
#[derive(Debug, Clone)]
pub(super) struct Photograph {
    pub(super) name: String,
    pub(super) size: (u32, u32),
    /// What two photographs of one camera and lens setting have in common.
    camera: String,
}

/// Lists the pictures in `folder` and the folders below it.
pub(super) fn list(folder: &Path) -> Result<Listed> {
    let mut listed = Listed::default();
    walk(folder, "", &mut listed)?;
    listed.names.sort();
    listed.foreign.sort();
    Ok(listed)
}

fn walk(folder: &Path, prefix: &str, listed: &mut Listed) -> Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let file = entry.file_name();
        let name = format!("{prefix}{}", file.to_string_lossy());
        // A link to a folder is not followed: it may lead back here.
        if entry.file_type()?.is_dir() {
            let other = OTHERS.iter().any(|other| file.eq_ignore_ascii_case(other));
            if !other && !name.starts_with('.') {
                walk(&entry.path(), &format!("{name}/"), listed)?;
            }
            continue;
        }
        if file.to_string_lossy().starts_with('.') {
            continue;
        }
        if ends_in(&entry.path(), &READ) && file.to_str().is_some_and(|name| !name.contains(['\n', '\r'])) {
            listed.names.push(name);
        } else if ends_in(&entry.path(), &READ) || ends_in(&entry.path(), &NOT_READ) {
            listed.foreign.push(name);
        }
    }
    Ok(())
}

pub(super) fn ends_in(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    endings.contains(&ending.as_str())
}

/// sha256 of every file, in the order of `names`.
pub(super) fn hashes(folder: &Path, names: &[String]) -> Result<Vec<[u8; 32]>> {
    names.par_iter().map(|name| hash(&folder.join(name))).collect()
}

pub(super) fn hash(path: &Path) -> Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut file = fs_err::File::open(path)?;
    let mut piece = vec![0; 1 << 18];
    loop {
        match std::io::Read::read(&mut file, &mut piece)? {
            0 => return Ok(hasher.finalize().into()),
            n => hasher.update(&piece[..n]),
        }
    }
}

/// Decodes every photograph. Returns those that can be used, and why the others cannot, by name.
pub(super) fn inspect(folder: &Path, names: &[String]) -> (Vec<Photograph>, Vec<(String, String)>) {
    let seen: Vec<_> = names
        .par_iter()
        .map(|name| {
            let path = folder.join(name);
            let photo = Photo::read(&path).map_err(|error| {
                // The reason alone: the name stands before it.
                let (why, path) = (error.to_string(), path.display().to_string());
                (
                    name.clone(),
                    why.strip_prefix(&path).unwrap_or(&why).trim_start_matches([':', ' ']).to_owned(),
                )
            })?;
            let size = (photo.width, photo.height);
            Ok(Photograph { name: name.clone(), size, camera: camera(&path) })
        })
        .collect();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for one in seen {
        match one {
            Ok(photograph) => good.push(photograph),
            Err(why) => bad.push(why),
        }
    }
    (good, bad)
}

/// Maker, model, lens and focal length, as EXIF states them; empty where it states nothing.
fn camera(path: &Path) -> String {
    let read = || {
        let bytes = splat_scene::read_file(path).ok()?;
        let exif = exif::Reader::new().read_from_container(&mut Cursor::new(bytes)).ok()?;
        let tags = [Tag::Make, Tag::Model, Tag::LensModel, Tag::FocalLength, Tag::FocalLengthIn35mmFilm];
        let said = tags.map(|tag| {
            exif.get_field(tag, In::PRIMARY).map_or_else(String::new, |f| f.display_value().to_string())
        });
        Some(said.join(" | "))
    };
    read().unwrap_or_default()
}

/// Which photographs share a camera, as lists of names. Without `one` of `Some(true)` (all of a size) or `Some(false)` (each
/// its own), those of one folder, one size and one EXIF camera and focal length do.
pub(super) fn groups(photographs: &[Photograph], one: Option<bool>) -> Vec<Vec<String>> {
    let mut groups: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for Photograph { name, size, camera } in photographs {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let (place, camera) = match one {
            None => (folder, camera.as_str()),
            Some(true) => ("", ""),
            Some(false) => (name.as_str(), ""),
        };
        groups.entry((place.to_owned(), *size, camera)).or_default().push(name.clone());
    }
    groups.into_values().collect()
}

/// The mask of the photograph `name` in `folder`: in COLMAP's naming (`a.jpg.png`), or under the photograph's own name.
fn mask(folder: &Path, name: &str) -> Option<PathBuf> {
    let stem = Path::new(name).with_extension("");
    let stem = stem.to_string_lossy();
    let names = [format!("{name}.png"), format!("{stem}.png"), name.to_owned(), format!("{stem}.jpg")];
    names.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// Writes the masks of `photographs` from `folder` into `to`, in COLMAP's naming, size and values: where one is black, no
/// feature is looked for. Returns how many there are.
pub(super) fn write_masks(folder: &Path, photographs: &[Photograph], to: &Path) -> Result<usize> {
    let written = photographs.par_iter().map(|Photograph { name, size, .. }| {
        let Some(path) = mask(folder, name) else { return Ok(0) };
        let mask = image::open(&path).with_context(|| format!("cannot read the mask {}", path.display()))?;
        let mut mask: GrayImage = mask.into_luma8();
        if mask.dimensions() != *size {
            mask = image::imageops::resize(&mask, size.0, size.1, image::imageops::FilterType::Triangle);
        }
        let pixels: Vec<u8> = mask.iter().flat_map(|&p| [if p < 128 { 0 } else { 255 }; 3]).collect();
        let target = to.join(format!("{name}.png"));
        fs_err::create_dir_all(target.parent().unwrap_or(to))?;
        save_png(&target, size.0, size.1, &pixels)?;
        Ok(1)
    });
    written.sum::<Result<usize>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photographs_are_found_under_all_names_and_broken_ones_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["left", "masks", ".thumbs"] {
            fs_err::create_dir_all(at(folder)).unwrap();
        }
        for name in ["B.JPG", "left/ünï 相.png", "masks/B.png", ".thumbs/t.png", "._B.jpg"] {
            // The decoder looks at the content, as COLMAP does.
            save_png(at("p.png"), 8, 6, &[90; 144]).unwrap();
            fs_err::rename(at("p.png"), at(name)).unwrap();
        }
        let whole = fs_err::read(at("B.JPG")).unwrap();
        fs_err::write(at("cut.png"), &whole[..whole.len() / 2]).unwrap();
        fs_err::write(at("raw.CR2"), []).unwrap();
        fs_err::write(at("notes.txt"), []).unwrap();
        let listed = list(dir.path()).unwrap();
        assert_eq!(listed.names, ["B.JPG", "cut.png", "left/ünï 相.png"]);
        assert_eq!(listed.foreign, ["raw.CR2"]);
        let (good, bad) = inspect(dir.path(), &listed.names);
        assert_eq!(
            good.iter().map(|p| (p.name.as_str(), p.size)).collect::<Vec<_>>(),
            [("B.JPG", (8, 6)), ("left/ünï 相.png", (8, 6))]
        );
        assert_eq!(bad[0].0, "cut.png");
        let hashes = hashes(dir.path(), &listed.names).unwrap();
        assert!(hashes[0] == hashes[2] && hashes[0] != hashes[1]);
        let to = at("out");
        assert_eq!(write_masks(&at("masks"), &good, &to).unwrap(), 1);
        assert!(to.join("B.JPG.png").is_file());
    }

    #[test]
    fn one_camera_for_what_one_camera_took() {
        let photograph =
            |name: &str, size, camera: &str| Photograph { name: name.into(), size, camera: camera.into() };
        let all = [
            photograph("a.jpg", (40, 30), "phone"),
            photograph("b.jpg", (40, 30), "phone"),
            photograph("c.jpg", (30, 40), "phone"),
            photograph("d.jpg", (40, 30), "zoom"),
            photograph("left/a.jpg", (40, 30), "phone"),
        ];
        let sizes = |one| groups(&all, one).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(groups(&all, None)[1], ["a.jpg", "b.jpg"]);
        assert_eq!(sizes(None), [1, 2, 1, 1]);
        assert_eq!(sizes(Some(true)), [1, 4]);
        assert_eq!(sizes(Some(false)), [1; 5]);
    }

    #[test]
    fn masks_are_found_in_colmaps_naming_first() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(mask(dir.path(), "a.jpg"), None);
        for name in ["a.jpg", "a.png", "a.jpg.png"] {
            fs_err::write(dir.path().join(name), []).unwrap();
            assert_eq!(
                mask(dir.path(), "a.jpg"),
                Some(dir.path().join(if name == "a.jpg" { "a.jpg" } else { name }))
            );
        }
    }
}
