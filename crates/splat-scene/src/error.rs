//! What can be wrong with the data: which file, where in it, and the two values that disagree.
//!
//! The text of an error says what is wrong. [`Error::remedy`] names the option of the call that helps, for programs to
//! translate into their own options, and [`Error::hint`] is a line that may be printed after `hint:`.

use std::path::{Path, PathBuf};

use crate::files::{self, foreign, foreign::Foreign};

/// A [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A position in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Offset from the start of the file.
    Byte(u64),
    /// Line of a text file, counted from 1.
    Line(u64),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Byte(n) => write!(f, "byte {n}"),
            Self::Line(n) => write!(f, "line {n}"),
        }
    }
}

/// Why a file or folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read; the text names the path.
    #[error("{}", printable(&.0.to_string()))]
    Read(#[from] std::io::Error),
    /// What should be a file is something else.
    #[error("{}: this is {found}, expected a file", shown(path))]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// `a folder`, `a named pipe`, `a device` or `a socket`.
        found: &'static str,
    },
    /// The operating system refused to write. The destination is unchanged.
    #[error("cannot write {}: {source}", shown(path))]
    Write {
        /// The destination.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A file is too short.
    #[error(
        "{}: at byte {offset}: expected {expected}, but only {left} {} left",
        shown(path), if *left == 1 { "byte is" } else { "bytes are" }
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where the missing part should begin.
        offset: u64,
        /// The missing part and its size.
        expected: String,
        /// Bytes from `offset` to the end of the file.
        left: u64,
    },
    /// A file claims more records than fit into it.
    #[error(
        "{}: at byte {offset}: the file claims {count} {records} of at least {each} bytes, but only {left} bytes follow",
        shown(path)
    )]
    Count {
        /// The file.
        path: PathBuf,
        /// Where the records should begin.
        offset: u64,
        /// The number of records claimed.
        count: u64,
        /// What they are, in the plural.
        records: &'static str,
        /// The smallest size of a record in bytes.
        each: u64,
        /// Bytes left.
        left: u64,
    },
    /// A file contains something that its format does not allow or that makes no sense.
    #[error("{}: at {place}: {}", shown(path), printable(message))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where.
        place: Place,
        /// What was found and what was expected.
        message: String,
    },
    /// A camera model that cannot be undistorted to a pinhole.
    #[error(
        "{}: {} has the model {}, which is not supported",
        shown(path),
        printable(camera),
        printable(model)
    )]
    CameraModel {
        /// The file that describes the camera.
        path: PathBuf,
        /// Which camera: its id or its photograph.
        camera: String,
        /// The model's name or number.
        model: String,
    },
    /// An invalid pose or invalid intrinsics.
    #[error("{}: {}: {}", shown(path), printable(camera), printable(message))]
    Camera {
        /// The file that describes the camera.
        path: PathBuf,
        /// Which camera: its id or its photograph.
        camera: String,
        /// What was found and what was expected.
        message: String,
    },
    /// Frames have no usable pose, intrinsics or picture, and the call is strict or there are no others.
    #[error(
        "{}: {broken} of {total} frames cannot be used; the first is {}: {}",
        shown(path),
        printable(first),
        printable(message)
    )]
    BrokenFrames {
        /// The file that describes the frames.
        path: PathBuf,
        /// How many are unusable.
        broken: usize,
        /// How many there are.
        total: usize,
        /// The name of the first unusable one.
        first: String,
        /// What was found there and what was expected.
        message: String,
    },
    /// The aspect ratio of a photograph is not that of its camera.
    #[error(
        "{}: the image is {}x{}, but its camera is {}x{}: the aspect ratios differ",
        shown(path), image.0, image.1, camera.0, camera.1
    )]
    Aspect {
        /// The photograph.
        path: PathBuf,
        /// Its width and height.
        image: (u32, u32),
        /// Width and height of its camera.
        camera: (u64, u64),
    },
    /// The aspect ratio of a mask or depth map is not that of its photograph.
    #[error(
        "{}: the {what} is {}x{}, but its photograph is {}x{}: the aspect ratios differ",
        shown(path), size.0, size.1, photo.0, photo.1
    )]
    Companion {
        /// The mask or depth map.
        path: PathBuf,
        /// `mask` or `depth map`.
        what: &'static str,
        /// Its width and height.
        size: (u32, u32),
        /// Width and height of the photograph.
        photo: (u32, u32),
    },
    /// A JPEG file ends before its image does.
    #[error(
        "{}: the image is cut off: the file ends after {bytes} bytes without an end-of-image marker",
        shown(path)
    )]
    CutOff {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
    },
    /// A photograph cannot be decoded.
    #[error("{}: {}", shown(path), kind.map_or_else(|| source.to_string(), |kind| format!("this is {kind}")))]
    Decode {
        /// The photograph.
        path: PathBuf,
        /// What the file is, if it is known and none that is read.
        kind: Option<NotRead>,
        /// The error of the decoder.
        source: image::ImageError,
    },
    /// A photograph has changed its size since the dataset was opened.
    #[error("{}: the image is {}x{} now, but it was {}x{} when the dataset was opened", shown(path), now.0, now.1, then.0, then.1)]
    Changed {
        /// The photograph.
        path: PathBuf,
        /// Width and height now.
        now: (u32, u32),
        /// Width and height at the time of [`Dataset::open`](crate::Dataset::open).
        then: (u32, u32),
    },
    /// Photographs that the poses name do not exist.
    #[error(
        "{missing} of {total} photographs are missing in {}; the first is {}{}",
        shown(folder),
        printable(first),
        other.as_ref().map(|o| format!("; a picture of another name is there: {}", shown(o))).unwrap_or_default()
    )]
    MissingImages {
        /// Where they were looked for.
        folder: PathBuf,
        /// How many are missing.
        missing: usize,
        /// How many the poses name.
        total: usize,
        /// The first missing name.
        first: String,
        /// If all are missing, a picture that is there under another name.
        other: Option<PathBuf>,
    },
    /// There are poses, but no folder of photographs.
    #[error("{}: there are poses, but no folder `images` or `images_N` with the photographs", shown(path))]
    NoImagesFolder {
        /// The folder in which it was looked for.
        path: PathBuf,
    },
    /// A folder that [`OpenOptions`](crate::OpenOptions) names does not exist.
    #[error("{}: there is no such folder of {what}", shown(path))]
    MissingFolder {
        /// The folder.
        path: PathBuf,
        /// `masks` or `depth maps`.
        what: &'static str,
    },
    /// Every view is held out, so there is none to train on.
    #[error("{}: there are {views} views, and all of them are held out", shown(path))]
    AllHeldOut {
        /// The folder of the photographs.
        path: PathBuf,
        /// How many views there are.
        views: usize,
        /// [`Remedy::EmptyTestList`] if a list holds them out, else [`Remedy::ZeroTestEvery`].
        remedy: Remedy,
    },
    /// The folder does not contain a dataset of a known format.
    #[error("{}: {}", shown(path), printable(message))]
    NotADataset {
        /// The folder.
        path: PathBuf,
        /// What was looked for and what was found.
        message: String,
        /// How to obtain what is missing.
        hint: &'static str,
    },
    /// Nothing that is known as a dataset is there.
    #[error("{}: {}", shown(path), printable(message))]
    UnknownDataset {
        /// The folder.
        path: PathBuf,
        /// What was looked for, or what is there.
        message: String,
        /// The dataset that is not far from there.
        nearby: Option<PathBuf>,
    },
    /// A file of a known kind that holds no Gaussians, or holds them in a way that is not read.
    #[error("{}: {}", shown(path), printable(found))]
    NotGaussians {
        /// The file or folder.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What can be done with it.
        hint: String,
    },
    /// The format of a file of Gaussians is not known.
    #[error("{}: {}; supported: {known}", shown(path), printable(message))]
    UnknownFormat {
        /// The file or folder.
        path: PathBuf,
        /// What it looks like.
        message: String,
        /// The known formats, by name and extension.
        known: String,
    },
    /// A format that cannot hold these Gaussians.
    #[error("cannot write {} as {format}: {message}", shown(path))]
    Unwritable {
        /// The destination.
        path: PathBuf,
        /// The format's name.
        format: &'static str,
        /// What does not fit, and what would fit.
        message: String,
    },
    /// The arrays of a [`Gaussians`](crate::Gaussians) disagree in length, or contain unusable numbers.
    #[error("Gaussians: {0}")]
    Gaussians(#[from] splat_core::Error),
}

/// What a file is that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotRead(Foreign);

impl std::fmt::Display for NotRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.what())
    }
}

/// A change to the call that makes it succeed. A program translates it into its own words, such as the name of a
/// command-line option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Set [`OpenOptions::images`](crate::OpenOptions::images) to the folder that holds the photographs.
    SetImages,
    /// Set [`OpenOptions::masks`](crate::OpenOptions::masks) to the folder that holds the masks.
    SetMasks,
    /// Set [`OpenOptions::depths`](crate::OpenOptions::depths) to the folder that holds the depth maps.
    SetDepths,
    /// Clear [`OpenOptions::strict`](crate::OpenOptions::strict): views without a photograph or a usable camera are then
    /// left out.
    ClearStrict,
    /// Set [`OpenOptions::test_list`](crate::OpenOptions::test_list) to an empty list, which holds out no view.
    EmptyTestList,
    /// Set [`OpenOptions::test_every`](crate::OpenOptions::test_every) to 0, which holds out no view.
    ZeroTestEvery,
    /// Copy the photographs as PNG or JPEG files into a new folder, and set
    /// [`OpenOptions::images`](crate::OpenOptions::images) to it: they are in a format that is not read.
    ConvertPictures,
    /// Replace the damaged file, or move it elsewhere. Calling [`View::load`](crate::View::load) for every view finds all of them.
    ReplacePicture,
}

impl Remedy {
    fn hint(self) -> &'static str {
        match self {
            Self::SetImages => "set `OpenOptions::images` to the folder that holds the photographs",
            Self::SetMasks => "set `OpenOptions::masks` to the folder that holds the masks",
            Self::SetDepths => "set `OpenOptions::depths` to the folder that holds the depth maps",
            Self::ClearStrict => "clear `OpenOptions::strict` to leave out such views",
            Self::EmptyTestList => "hold out no view: set `OpenOptions::test_list` to an empty list",
            Self::ZeroTestEvery => "hold out no view: set `OpenOptions::test_every` to 0",
            Self::ConvertPictures => {
                "copy the photographs as PNG or JPEG files into a new folder, and set `OpenOptions::images` to it"
            }
            Self::ReplacePicture => {
                "copy the file again, or move it elsewhere: views without a photograph are left out"
            }
        }
    }
}

impl Error {
    /// An error of the decoder, and what the file is instead of a picture.
    pub(crate) fn decode(path: &Path, source: image::ImageError) -> Self {
        Self::Decode { path: path.into(), kind: foreign::kind(&files::start(path, 64)).map(NotRead), source }
    }

    /// The change to the call that helps, if there is one.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        Some(match self {
            Self::NoImagesFolder { .. } => Remedy::SetImages,
            Self::MissingImages { missing, total, .. } if missing == total => Remedy::SetImages,
            Self::MissingImages { .. } => Remedy::ClearStrict,
            Self::BrokenFrames { broken, total, .. } if broken < total => Remedy::ClearStrict,
            Self::MissingFolder { what: "masks", .. } => Remedy::SetMasks,
            Self::MissingFolder { .. } => Remedy::SetDepths,
            Self::AllHeldOut { remedy, .. } => *remedy,
            Self::Decode { kind: Some(NotRead(Foreign::Picture(_))), .. } => Remedy::ConvertPictures,
            Self::Decode { kind: Some(_), .. } => return None,
            Self::Decode { .. } | Self::Changed { .. } | Self::CutOff { .. } => Remedy::ReplacePicture,
            _ => return None,
        })
    }

    /// One line on what the user can do, if there is something. Where [`remedy`](Self::remedy) gives an answer, the
    /// line says the same in terms of this library.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        if let Some(remedy) = self.remedy() {
            return Some(remedy.hint().into());
        }
        Some(match self {
            Self::CameraModel { model, .. } if model.contains("EQUIRECTANGULAR") => {
                "cut the panoramas into perspective views first, as COLMAP's panorama example does".into()
            }
            Self::CameraModel { path, .. }
                if path.extension().is_some_and(|e| ["json", "xml"].iter().any(|x| e.eq_ignore_ascii_case(x))) =>
            {
                "export the cameras again with undistorted photographs".into()
            }
            Self::CameraModel { .. } => {
                "undistort first: colmap image_undistorter --image_path IMAGES --input_path MODEL \
                 --output_path UNDISTORTED"
                    .into()
            }
            Self::Companion { .. } => "make it from the same image, at any size".into(),
            Self::Truncated { .. } | Self::Count { .. } => {
                "the file is cut off or damaged: copy or export it again and compare the sizes".into()
            }
            Self::Aspect { image, camera, .. }
                if u64::from(image.0) * camera.0 == u64::from(image.1) * camera.1 =>
            {
                "the image is rotated (the EXIF orientation is not applied): store it upright".into()
            }
            Self::Aspect { .. } => "use the images that the poses were computed from, or their `images_N` \
                                    reductions; `colmap image_undistorter` writes a matching pair"
                .into(),
            Self::NotADataset { hint, .. } => (*hint).into(),
            Self::UnknownDataset { nearby: Some(found), .. } => format!("give its path: {}", quoted(found)),
            Self::UnknownDataset { .. } => {
                "give the folder that holds `sparse` and `images`, or a transforms.json; COLMAP \
                                            makes the first from photographs"
                    .into()
            }
            Self::NotGaussians { hint, .. } => hint.clone(),
            Self::Decode { kind: Some(NotRead(kind)), .. } => kind.hint().into(),
            Self::Camera { .. } | Self::BrokenFrames { .. } => {
                "export the cameras again, or correct a copy of the file; `docs/datasets.md` says what is read".into()
            }
            Self::Malformed { path, .. } if path.extension().is_some_and(|e| e == "json") => {
                "correct a copy of the file at that place, or export it again".into()
            }
            Self::Malformed { .. } => "write it again with the program that made it, or copy it again".into(),
            Self::UnknownFormat { path, .. } if path.is_file() => {
                "give the file the extension of its format, or convert it with the program that made it".into()
            }
            Self::Write { path, source } => {
                let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                match source.kind() {
                    std::io::ErrorKind::NotFound => {
                        format!("make the folder first: {}", quoted(folder))
                    }
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                        format!("make room on the disk of {}, or write to another one", quoted(folder))
                    }
                    _ => return None,
                }
            }
            Self::Unwritable { .. } => "PLY holds any numbers: write a file whose name ends in .ply".into(),
            _ => return None,
        })
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", printable(&path.display().to_string()).replace('\'', "'\\''"))
}

/// A path without control characters.
fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// `text` with control characters, and those that reorder text, written as escapes: names in datasets come from strangers
/// and must not reach a terminal as commands.
pub(crate) fn printable(text: &str) -> String {
    let reorders =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || reorders(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// For what is read while something else is written.
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}
