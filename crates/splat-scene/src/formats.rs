//! Any Gaussian scene by its path: which format it is, and to the format's own module.
//!
//! Reading goes by content, and by the name only where a format has no mark (`.splat`); writing goes by the name.

use std::io::Read;
use std::path::Path;

use crate::spz::Version;
use crate::{Error, Gaussians, Result, compressed_ply, ply, sog, splat_file, spz};

/// Called with how much is done, of how much. Only writing SOG takes long enough to call it.
pub type Progress<'a> = &'a mut (dyn FnMut(u64, u64) + Send);

/// How Gaussians are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The 3DGS layout, exact: `.ply`.
    Ply,
    /// PlayCanvas' compressed layout: `.compressed.ply`.
    CompressedPly,
    /// 32 bytes a Gaussian, degree 0: `.splat`.
    Splat,
    /// Niantic's packed Gaussians: `.spz`.
    Spz(Version),
    /// PlayCanvas' textures in one file: `.sog`.
    Sog,
    /// The same as a folder with a `meta.json`.
    SogFolder,
}

impl Format {
    /// Names and extensions of all, for messages.
    pub const KNOWN: &str = "PLY (.ply), PlayCanvas' compressed PLY (.compressed.ply), .splat, SPZ (.spz), \
                             SOG (.sog, or a folder with a meta.json)";

    /// The format of a file that is to be written, by its name. `meta.json`, and a folder that exists or whose
    /// name ends in a separator, mean a SOG folder; SPZ is version 3.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`].
    pub fn of_name(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let text = path.to_string_lossy();
        Ok(match name.as_str() {
            "meta.json" => Self::SogFolder,
            _ if path.is_dir() || text.ends_with('/') || text.ends_with(std::path::MAIN_SEPARATOR) => {
                Self::SogFolder
            }
            n if n.ends_with(".compressed.ply") => Self::CompressedPly,
            n if n.ends_with(".ply") => Self::Ply,
            n if n.ends_with(".splat") => Self::Splat,
            n if n.ends_with(".spz") => Self::Spz(Version::default()),
            n if n.ends_with(".sog") => Self::Sog,
            _ => return Err(unknown(path, "the name tells no format of Gaussians".into())),
        })
    }

    /// The format of what stands at `path`, by its first bytes.
    ///
    /// # Errors
    /// It cannot be read, or [`Error::UnknownFormat`].
    pub fn of_content(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return match path.join("meta.json").is_file() {
                true => Ok(Self::SogFolder),
                false => Err(unknown(path, "the folder holds no meta.json".into())),
            };
        }
        let mut first = Vec::new();
        // A header of a compressed PLY says so within its first lines.
        fs_err::File::open(path)?.take(4096).read_to_end(&mut first)?;
        let begins = |mark: &[u8]| first.starts_with(mark);
        let has = |word: &[u8]| first.windows(word.len()).any(|w| w == word);
        let is_splat = || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("splat"));
        Ok(match () {
            () if begins(b"ply") && (has(b"element chunk") || has(b"packed_position")) => Self::CompressedPly,
            () if begins(b"ply") => Self::Ply,
            // No mark: the name must do, and a position may look like any mark.
            () if is_splat() => Self::Splat,
            () if begins(b"NGSP") => Self::Spz(Version::V4),
            () if begins(&[0x1f, 0x8b]) => Self::Spz(Version::V3),
            () if begins(b"PK") => Self::Sog,
            () if first.trim_ascii_start().starts_with(b"{") => Self::SogFolder,
            () => {
                let bytes: Vec<_> = first.iter().take(4).map(|b| format!("{b:02x}")).collect();
                let start = if bytes.is_empty() {
                    "is empty".into()
                } else {
                    format!("begins with {}", bytes.join(" "))
                };
                return Err(unknown(path, format!("it {start}: no format of Gaussians")));
            }
        })
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ply => "PLY",
            Self::CompressedPly => "compressed PLY",
            Self::Splat => ".splat",
            Self::Spz(Version::V3) => "SPZ",
            Self::Spz(Version::V4) => "SPZ 4",
            Self::Sog => "SOG",
            Self::SogFolder => "SOG folder",
        })
    }
}

fn unknown(path: &Path, message: String) -> Error {
    Error::UnknownFormat { path: path.into(), message, known: Format::KNOWN.into() }
}

/// Reads a scene of any known format.
///
/// From a plain PLY numbers come as found, NaN and infinity included: see [`Gaussians::repair`] and
/// [`Gaussians::check`]. The other formats give finite numbers or an error.
///
/// # Errors
/// [`Error::UnknownFormat`], or those of the format's own reader; all name the file.
pub fn read_scene(path: impl AsRef<Path>) -> Result<Gaussians> {
    let path = path.as_ref();
    match Format::of_content(path)? {
        Format::Ply => ply::read_gaussians(path),
        Format::CompressedPly => compressed_ply::read(path),
        Format::Splat => splat_file::read(path),
        Format::Spz(_) => spz::read(path),
        Format::Sog | Format::SogFolder => sog::read(path),
    }
}

/// Writes a scene in the format that the path's name tells.
///
/// # Errors
/// [`Error::UnknownFormat`], or those of the format's own writer; all name the file.
pub fn write_scene(path: impl AsRef<Path>, gaussians: &Gaussians) -> Result<()> {
    let path = path.as_ref();
    write_scene_as(path, gaussians, Format::of_name(path)?, &mut |_, _| {})
}

/// Writes a scene in a format of the caller's choice. A SOG folder may be named by itself or by its `meta.json`;
/// it is made if it does not exist.
///
/// # Errors
/// Those of the format's own writer, naming the file.
pub fn write_scene_as(
    path: &Path,
    gaussians: &Gaussians,
    format: Format,
    progress: Progress<'_>,
) -> Result<()> {
    match format {
        Format::Ply => ply::write_gaussians(path, gaussians),
        Format::CompressedPly => compressed_ply::write(path, gaussians),
        Format::Splat => splat_file::write(path, gaussians),
        Format::Spz(version) => spz::write(path, gaussians, version),
        Format::Sog => sog::write(path, gaussians, sog::Packaging::Bundle, progress),
        Format::SogFolder => {
            let named =
                path.file_name().is_some_and(|n| n.eq_ignore_ascii_case("meta.json")) && !path.is_dir();
            let meta = if named { path.to_path_buf() } else { path.join("meta.json") };
            if let Some(folder) = meta.parent().filter(|f| !f.as_os_str().is_empty()) {
                fs_err::create_dir_all(folder)?;
            }
            sog::write(&meta, gaussians, sog::Packaging::Folder, progress)
        }
    }
}
