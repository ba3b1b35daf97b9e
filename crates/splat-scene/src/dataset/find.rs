//! Files and folders by the names that a dataset lists. Windows and macOS do not tell `IMG_1.JPG` from `img_1.jpg`, and
//! macOS and Linux write `ü` as different code points (Unicode's forms NFD and NFC), so a dataset that was moved has
//! names that differ in case and form. Names in an older encoding are compared as the texts of a dataset are read
//! (`text::decode`), whichever of the two is in it. An exact name always comes first.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use percent_encoding::percent_decode_str;
use unicode_normalization::UnicodeNormalization;

use super::text::decode;

/// The extensions of photographs, in the order in which they are tried.
const PICTURES: [&str; 12] =
    ["jpg", "JPG", "png", "PNG", "jpeg", "JPEG", "webp", "WEBP", "tif", "tiff", "bmp", "jfif"];

/// The extensions of pictures that are not read. They are found where no other is, so that the error is about the format.
const OTHERS: [&str; 15] = [
    "heic", "heif", "avif", "jp2", "jxl", "gif", "exr", "dng", "cr2", "cr3", "nef", "arw", "raf", "orf",
    "rw2",
];

/// The names in a folder by what they have in common with their variants.
type Listing = HashMap<String, Vec<OsString>>;

/// Finds files, and remembers the listings of the folders it had to look into.
#[derive(Debug, Default)]
pub(crate) struct Finder {
    listings: RefCell<HashMap<PathBuf, Rc<Listing>>>,
}

/// What `name` has in common with all names that differ from it in case or Unicode form alone.
fn folded(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

impl Finder {
    fn listing(&self, folder: &Path) -> Rc<Listing> {
        let mut listings = self.listings.borrow_mut();
        let list = || {
            let mut listing = Listing::new();
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                listing.entry(folded(&decode(name.as_encoded_bytes()))).or_default().push(name);
            }
            // The order in which a folder is listed is no order to choose by.
            listing.values_mut().for_each(|names| names.sort());
            Rc::new(listing)
        };
        Rc::clone(listings.entry(folder.into()).or_insert_with(list))
    }

    /// The entry `name` of `folder`, or else one whose name differs in case or Unicode form alone.
    pub(crate) fn entry(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        let exact = folder.join(name);
        if exact.exists() {
            return Some(exact);
        }
        Some(folder.join(self.listing(folder).get(&folded(name))?.first()?))
    }

    /// The file `name` in `folder`, as [`entry`](Self::entry).
    pub(crate) fn file(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        self.entry(folder, name).filter(|path| path.is_file())
    }

    /// The folder `name` in `folder`, as [`entry`](Self::entry).
    pub(crate) fn folder(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        self.entry(folder, name).filter(|path| path.is_dir())
    }

    /// The photograph `name` in `folder`: with exactly that name, or with another extension (reductions of `a.JPG` are
    /// often `a.png`, and names in NeRF-synthetic have none). `None` if there is no such file, or if `name` leads out
    /// of the folder.
    pub(crate) fn photo(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        self.with_extensions(folder, name, &PICTURES)
            .or_else(|| self.with_extensions(folder, name, &OTHERS))
            .or_else(|| self.below(folder, Path::new(name).with_extension("").to_str()?))
    }

    /// The mask of the photograph `name` in a folder of masks, in every naming that exporters use: COLMAP's
    /// `a.jpg.png`, RealityScan's `a.jpg.mask.png`, Metashape's and OpenDroneMap's `a_mask.png`, OpenMVS' `a.mask.png`,
    /// and `a` with any extension.
    pub(crate) fn mask(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        let twice = [".png", ".PNG", ".jpg"].map(|e| format!("{name}{e}"));
        twice
            .iter()
            .find_map(|n| self.below(folder, n))
            .or_else(|| self.mask_beside(folder, name))
            .or_else(|| self.photo(folder, name))
    }

    /// The mask of the photograph `name` beside it in `folder`, where only names that say `mask` count. instant-ngp's
    /// `dynamic_mask_a.png` is among them.
    pub(crate) fn mask_beside(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        let stem = Path::new(name).with_extension("");
        let stem = stem.to_str()?;
        let (path, last) = stem.rsplit_once('/').map_or(("", stem), |(path, last)| (path, last));
        let dynamic = Path::new(path).join(format!("dynamic_mask_{last}"));
        [
            &format!("{name}.mask"),
            &format!("{name}_mask"),
            &format!("{stem}.mask"),
            &format!("{stem}_mask"),
            &format!("{stem}-mask"),
            dynamic.to_str()?,
        ]
        .into_iter()
        .find_map(|n| PICTURES.iter().find_map(|e| self.below(folder, &format!("{n}.{e}"))))
    }

    /// The depth map of the photograph `name`.
    pub(crate) fn depth(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        let stem = Path::new(name).with_extension("");
        self.with_extensions(folder, stem.to_str()?, &["png", "npy", "PNG"])
            .or_else(|| self.below(folder, &format!("{name}.png")))
            .or_else(|| self.below(folder, &format!("{name}.npy")))
    }

    /// The file `name` below `folder`.
    pub(crate) fn below(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        self.with_extensions(folder, name, &[])
    }

    fn with_extensions(&self, folder: &Path, name: &str, extensions: &[&str]) -> Option<PathBuf> {
        self.as_listed(folder, name, extensions).or_else(|| {
            // `my%20photo.jpg`, as exporters for the web spell it.
            let plain = percent_decode_str(name).decode_utf8().ok().filter(|plain| plain != name)?;
            self.as_listed(folder, &plain, extensions)
        })
    }

    fn as_listed(&self, folder: &Path, name: &str, extensions: &[&str]) -> Option<PathBuf> {
        let path = Path::new(name);
        if !path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
            return None;
        }
        let exact = folder.join(path);
        if exact.is_file() {
            return Some(exact);
        }
        // Appending comes first: the dot in `frame_0.25` does not begin an extension.
        let names = || {
            let appended = extensions.iter().map(|e| format!("{name}.{e}"));
            let replaced =
                extensions.iter().filter_map(|e| Some(path.with_extension(e).to_str()?.to_owned()));
            appended.chain(replaced)
        };
        names().map(|n| folder.join(n)).find(|p| p.is_file()).or_else(|| {
            std::iter::once(name.to_owned()).chain(names()).find_map(|n| self.variant(folder, &n))
        })
    }

    /// The file below `folder` whose path differs from `name` in case, Unicode form or encoding alone.
    fn variant(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        let mut at = folder.to_path_buf();
        for part in name.split('/').filter(|part| !matches!(*part, "" | ".")) {
            let listing = self.listing(&at);
            let names = listing.get(&folded(part))?;
            at.push(names.iter().find(|n| *n == part).or(names.first())?);
        }
        at.is_file().then_some(at)
    }

    /// The pictures in `folder`, by their extensions. What begins with a dot is none: macOS leaves `._a.jpg` beside `a.jpg`.
    pub(crate) fn pictures(&self, folder: &Path) -> Vec<PathBuf> {
        let hidden = |p: &PathBuf| p.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        self.files(folder, &PICTURES).into_iter().filter(|p| !hidden(p)).collect()
    }

    /// The photographs `names` which lie in `folder` or below it, but not in the folder that is listed, by their names.
    /// What has the same file name as another one, listed or found, is not among them.
    pub(crate) fn moved(&self, folder: &Path, names: &[&str]) -> HashMap<String, PathBuf> {
        /// How deep, and how many folders, are looked through.
        const DEEPEST: usize = 3;
        const MOST: usize = 200;
        let key = |path: &Path| folded(&path.file_stem().unwrap_or_default().to_string_lossy());
        let mut folders = vec![folder.to_path_buf()];
        let mut level = folders.clone();
        for _ in 0..DEEPEST {
            level = level.iter().flat_map(|f| self.folders(f)).take(MOST).collect();
            folders.extend(level.iter().cloned());
        }
        let mut found: HashMap<String, Vec<PathBuf>> = HashMap::new();
        for picture in folders.iter().flat_map(|f| self.pictures(f)) {
            found.entry(key(&picture)).or_default().push(picture);
        }
        let mut listed: HashMap<String, Vec<&str>> = HashMap::new();
        names.iter().for_each(|name| listed.entry(key(Path::new(name))).or_default().push(name));
        let only = |(key, names): (String, Vec<&str>)| match (names.as_slice(), found.get(&key)?.as_slice()) {
            ([name], [path]) => Some(((*name).to_owned(), path.clone())),
            _ => None,
        };
        listed.into_iter().filter_map(only).collect()
    }

    /// The folders in `folder` that may hold photographs, by name.
    pub(crate) fn folders(&self, folder: &Path) -> Vec<PathBuf> {
        let mut names: Vec<OsString> = self.listing(folder).values().flatten().cloned().collect();
        names.sort();
        let others = |name: &OsString| {
            let name = name.to_string_lossy().to_lowercase();
            name.starts_with('.') || ["mask", "depth", "normal"].iter().any(|word| name.contains(word))
        };
        names.iter().filter(|n| !others(n)).map(|n| folder.join(n)).filter(|p| p.is_dir()).collect()
    }

    /// The files in `folder` with one of these extensions in any case, by name.
    pub(crate) fn files(&self, folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
        let mut names: Vec<OsString> = self.listing(folder).values().flatten().cloned().collect();
        names.sort();
        let is = |p: &PathBuf| {
            let extension = p.extension().and_then(|e| e.to_str()).unwrap_or_default();
            extensions.iter().any(|e| e.eq_ignore_ascii_case(extension)) && p.is_file()
        };
        names.iter().map(|n| folder.join(n)).filter(is).collect()
    }
}

/// Whether the file `found` has another name than `listed` says, but for the extension.
pub(crate) fn is_renamed(found: &Path, listed: &str) -> bool {
    let listed = Path::new(listed);
    let (Some(name), Some(found)) = (listed.file_name(), found.file_name()) else { return false };
    let (name, found) = (name.to_string_lossy(), found.to_string_lossy());
    let stem = Path::new(&*name).file_stem().unwrap_or_default().to_string_lossy();
    !found.starts_with(&*stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(root: &Path, name: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn names_differ_in_case_and_form() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        // As macOS writes it (NFD), and as Linux does (NFC).
        for name in ["Cam 1/IMG_1.JPG", "cam 2/a.png", "cam 2/A.png", "Tu\u{308}r.jpg", "b.mask.png"] {
            touch(root, name);
        }
        let finder = Finder::default();
        let photo = |name: &str| finder.photo(root, name).map(|p| p.strip_prefix(root).unwrap().to_owned());
        assert_eq!(photo("cam 1/img_1.jpg").unwrap(), Path::new("Cam 1/IMG_1.JPG"));
        assert_eq!(
            photo("CAM 2/a.png").unwrap(),
            Path::new("cam 2/a.png"),
            "the same name in the same case first"
        );
        assert_eq!(photo("CAM 2/A").unwrap(), Path::new("cam 2/A.png"));
        assert_eq!(photo("T\u{fc}r.png").unwrap(), Path::new("Tu\u{308}r.jpg"));
        assert_eq!((photo("c"), photo("../b.mask.png"), photo("cam 2")), (None, None, None));
        assert!(
            is_renamed(Path::new("/x/IMG_1.JPG"), "img_1.jpg")
                && is_renamed(Path::new("Tu\u{308}r"), "T\u{fc}r")
        );
        assert!(!is_renamed(Path::new("/x/a.png"), "./images/a.JPG"));
    }

    #[test]
    fn masks_of_every_exporter_are_found() {
        for name in [
            "a.jpg.png",
            "a.jpg.PNG",
            "a.jpg.mask.png",
            "a.JPG.Mask.png",
            "a.jpg_mask.png",
            "a.mask.png",
            "a_mask.png",
            "A_MASK.PNG",
            "a-mask.jpg",
            "a.png",
            "a.jpg",
            "dynamic_mask_a.png",
        ] {
            let dir = tempfile::tempdir().unwrap();
            touch(dir.path(), &format!("cam/{name}"));
            let finder = Finder::default();
            let found = finder.mask(dir.path(), "cam/a.jpg");
            assert!(found.is_some_and(|p| p.ends_with(name)), "{name}");
            assert!(finder.mask(dir.path(), "cam/b.jpg").is_none());
            let beside = finder.mask_beside(dir.path(), "cam/a.jpg").is_some();
            assert_eq!(beside, name.to_lowercase().contains("mask"), "{name}");
        }
    }
}
