//! What can be wrong with the data: which file, where in it, and the two values that disagree.
//!
//! [`Error::hint`] gives the line a program may print after `hint:`; libraries and logs need only the text.

use std::path::{Path, PathBuf};

/// `std::result::Result` with this crate's [`Error`].
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
    /// The operating system refused; its text names the path.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// The operating system refused to write; the destination is as it was before.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The destination.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file ends too early.
    #[error("{}: at byte {offset}: expected {expected}, but only {left} bytes are left", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where the missing thing should begin.
        offset: u64,
        /// The missing thing and its size.
        expected: String,
        /// Bytes from `offset` to the end.
        left: u64,
    },
    /// A file claims more records than it can hold.
    #[error(
        "{}: at byte {offset}: it claims {count} {records} of at least {each} bytes, but only {left} bytes follow",
        path.display()
    )]
    Count {
        /// The file.
        path: PathBuf,
        /// Where the records should begin.
        offset: u64,
        /// Records claimed.
        count: u64,
        /// What they are, in the plural.
        records: &'static str,
        /// The smallest size of one.
        each: u64,
        /// Bytes left.
        left: u64,
    },
    /// A file holds something that its format does not allow, or that makes no sense.
    #[error("{}: at {place}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where.
        place: Place,
        /// What is there and what was expected.
        message: String,
    },
    /// A camera's model is none that can be turned into a pinhole.
    #[error("{}: {camera} has the model {model}, which is not read", path.display())]
    CameraModel {
        /// The file that says so.
        path: PathBuf,
        /// Which camera: its id or its photograph.
        camera: String,
        /// The model's name or number.
        model: String,
    },
    /// A pose, or a camera's numbers, cannot be.
    #[error("{}: {camera}: {message}", path.display())]
    Camera {
        /// The file that says so.
        path: PathBuf,
        /// Which camera: its id or its photograph.
        camera: String,
        /// What is there and what was expected.
        message: String,
    },
    /// A photograph has another shape than its camera.
    #[error(
        "{}: the image is {}x{}, but its camera is {}x{}: not the same aspect ratio",
        path.display(), image.0, image.1, camera.0, camera.1
    )]
    Aspect {
        /// The photograph.
        path: PathBuf,
        /// Its width and height.
        image: (u32, u32),
        /// What the camera says.
        camera: (u64, u64),
    },
    /// A mask or depth map has another shape than its photograph.
    #[error(
        "{}: the {what} is {}x{}, but its photograph is {}x{}: not the same aspect ratio",
        path.display(), size.0, size.1, photo.0, photo.1
    )]
    Companion {
        /// The mask or depth map.
        path: PathBuf,
        /// `mask` or `depth map`.
        what: &'static str,
        /// Its width and height.
        size: (u32, u32),
        /// Those of the photograph.
        photo: (u32, u32),
    },
    /// A JPEG file ends before its picture does.
    #[error("{}: the picture is cut off: {bytes} bytes, and the end-of-image marker is not among them", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A photograph cannot be decoded.
    #[error("{}: {source}", path.display())]
    Decode {
        /// The photograph.
        path: PathBuf,
        /// What the decoder said.
        source: image::ImageError,
    },
    /// A photograph has changed since the dataset was opened.
    #[error("{}: the image is {}x{} now, but it was {}x{} when the dataset was opened", path.display(), now.0, now.1, then.0, then.1)]
    Changed {
        /// The photograph.
        path: PathBuf,
        /// Size now.
        now: (u32, u32),
        /// Size at [`Dataset::open`](crate::Dataset::open).
        then: (u32, u32),
    },
    /// Photographs that the poses name do not exist.
    #[error("{missing} of {total} photographs are missing in {}; the first is {first}", folder.display())]
    MissingImages {
        /// Where they were looked for.
        folder: PathBuf,
        /// How many are missing.
        missing: usize,
        /// How many the poses name.
        total: usize,
        /// The first missing name.
        first: String,
    },
    /// The folder holds no dataset of a known kind.
    #[error("{}: {message}", path.display())]
    NotADataset {
        /// The folder.
        path: PathBuf,
        /// What was looked for and what was found.
        message: String,
        /// How to get what is missing.
        hint: &'static str,
    },
    /// Nothing tells what kind of scene this is.
    #[error("{}: {message}; known are {known}", path.display())]
    UnknownFormat {
        /// The file or folder.
        path: PathBuf,
        /// What it looks like.
        message: String,
        /// The formats, by name and extension.
        known: String,
    },
    /// What is to be written stands there already.
    #[error("{} exists already", path.display())]
    Exists {
        /// The destination.
        path: PathBuf,
    },
    /// A format cannot hold these Gaussians.
    #[error("cannot write {} as {format}: {message}", path.display())]
    Unwritable {
        /// The destination.
        path: PathBuf,
        /// The format's name.
        format: &'static str,
        /// What does not fit and what would.
        message: String,
    },
    /// Arrays of a [`Gaussians`](crate::Gaussians) disagree, or hold something unusable.
    #[error("Gaussians: {0}")]
    Gaussians(#[from] splat_core::Error),
}

impl Error {
    /// One line on what the user can do, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::CameraModel { model, .. } if model.contains("EQUIRECTANGULAR") => {
                "cut the panoramas into perspective views first, as COLMAP's panorama example does".into()
            }
            Self::CameraModel { .. } => {
                "undistort first: colmap image_undistorter --image_path IMAGES --input_path MODEL \
                 --output_path UNDISTORTED"
                    .into()
            }
            Self::CutOff { .. } => {
                "copy it again, or remove it: views without a photograph are left out".into()
            }
            Self::Companion { .. } => "make it from the same image, at any size".into(),
            Self::Truncated { .. } | Self::Count { .. } => {
                "the file is cut off or damaged: copy or export it again and compare the sizes".into()
            }
            Self::Aspect { image, camera, .. }
                if u64::from(image.0) * camera.0 == u64::from(image.1) * camera.1 =>
            {
                "the image is rotated (EXIF orientation is not applied): store it upright".into()
            }
            Self::Aspect { .. } => "use the images that the poses were computed from, or their `images_N` \
                                    reductions; `colmap image_undistorter` writes a matching pair"
                .into(),
            Self::MissingImages { missing, total, .. } if missing == total => {
                "name the folder of the photographs with --images".into()
            }
            Self::MissingImages { .. } => "leave out --strict to go on without them".into(),
            Self::NotADataset { hint, .. } => (*hint).into(),
            Self::Decode { source: image::ImageError::Unsupported(_), path } => {
                let (from, to) = (path.display(), path.with_extension("png"));
                format!("convert it: magick \"{from}\" \"{}\" && rm \"{from}\"", to.display())
            }
            Self::Decode { .. } | Self::Changed { .. } => {
                "copy it again, or remove it; `splat info DATA --decode` lists every picture that cannot be read"
                    .into()
            }
            Self::Malformed { path, .. } | Self::Camera { path, .. } => {
                let is = |extension: &str| path.extension().is_some_and(|e| e == extension);
                match path.file_stem().and_then(|s| s.to_str()) {
                    Some("cameras" | "images" | "points3D") => {
                        "export the model again: colmap model_converter --input_path MODEL --output_path MODEL \
                         --output_type BIN"
                            .into()
                    }
                    _ if is("json") => {
                        format!("look at it with: python3 -m json.tool \"{}\"", path.display())
                    }
                    _ => "write it again with the program that made it, or copy it again".into(),
                }
            }
            Self::UnknownFormat { path, .. } if path.is_file() => {
                format!("ask what it is: file \"{}\"", path.display())
            }
            Self::Write { path, source } => {
                let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                match source.kind() {
                    std::io::ErrorKind::NotFound => {
                        format!("make the folder: mkdir -p \"{}\"", folder.display())
                    }
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                        format!("make room there: df -h \"{}\"", folder.display())
                    }
                    _ => return None,
                }
            }
            Self::Exists { .. } => "--overwrite replaces it".into(),
            Self::Unwritable { .. } => "PLY holds any numbers: choose a name that ends in .ply".into(),
            _ => return None,
        })
    }
}
