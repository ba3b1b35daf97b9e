//! The file formats of Gaussians: one table.
//!
//! To add a format:
//! 1. Write `gaussians/NAME.rs` with `read` and `write` (and `parse`, which takes bytes, for the tests). `quantize.rs`
//!    has what compressed formats share.
//! 2. Add a variant to [`GaussianFormat`] and its row to [`FORMATS`].
//! 3. Add the format to the lists in `tests/formats.rs` (round trips) and `tests/hostile.rs` (damaged files), and where another
//!    program reads it, to `.ci/steps/formats`.
//! 4. Name it in the help text of `splat convert` and in `docs/train.md`.
//!
//! Reading goes by content, and by the file name only for a format without a mark (`.splat`). Writing goes by the file
//! name.

use std::io::Read;
use std::path::Path;

use super::{compressed_ply, gltf, ply, sog, splat_file, spz, usd};
use crate::files::{self, foreign, foreign::Foreign};
use crate::{Error, Gaussians, Result, Rows};

/// A callback with the work done and the total. Only writing SOG takes long enough to call it.
pub type WriteProgress<'a> = &'a mut (dyn FnMut(u64, u64) + Send);

/// How Gaussians are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GaussianFormat {
    /// The layout of the 3DGS authors' trainer, exact: `.ply`.
    Ply,
    /// PlayCanvas' compressed layout: `.compressed.ply`.
    CompressedPly,
    /// 32 bytes per Gaussian, SH degree 0: `.splat`.
    Splat,
    /// Niantic's packed Gaussians: `.spz`.
    Spz(spz::Version),
    /// PlayCanvas' textures in one file: `.sog`.
    Sog,
    /// The same textures as a folder with a `meta.json`.
    SogFolder,
    /// SOG in parts with levels of detail: a folder with a `lod-meta.json`.
    SogStreamed,
    /// glTF with the extension `KHR_gaussian_splatting`: `.glb`; `.gltf` is read only.
    Gltf,
    /// OpenUSD's `ParticleField3DGaussianSplat`, written only: `.usda`, `.usdz`.
    Usd(usd::Packaging),
}

/// Gaussians from a file, and what is worth knowing about how they were stored.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Loaded {
    /// The Gaussians.
    pub gaussians: Gaussians,
    /// The format of the file.
    pub format: GaussianFormat,
    /// Sentences for the user on what was read otherwise than it was stored, without the name of the file.
    pub warnings: Vec<String>,
    /// Whether the file has world coordinates of 64 bits, far from the world's origin.
    pub world: bool,
}

/// What the crate knows about a format.
struct Format {
    format: GaussianFormat,
    /// For messages.
    name: &'static str,
    /// How the names of its files end, in lower case.
    suffix: &'static str,
    /// Whether a file, given its first bytes and its path, has this format.
    matches: fn(&[u8], &Path) -> bool,
    read: fn(&Path) -> Result<Loaded>,
    write: fn(&Path, &dyn Rows, WriteProgress<'_>) -> Result<()>,
}

/// Tried from top to bottom, both for names and for contents.
const FORMATS: [Format; 12] = [
    Format {
        format: GaussianFormat::CompressedPly,
        name: "compressed PLY",
        suffix: ".compressed.ply",
        matches: |start, _| {
            let has = |word: &[u8]| start.windows(word.len()).any(|w| w == word);
            start.starts_with(b"ply") && (has(b"element chunk") || has(b"packed_position"))
        },
        read: |path| compressed_ply::read(path).map(plain),
        write: |path, g, _| compressed_ply::write(path, g),
    },
    Format {
        format: GaussianFormat::Ply,
        name: "PLY",
        suffix: ".ply",
        matches: |start, _| start.starts_with(b"ply") || gunzipped(start).starts_with(b"ply"),
        read: ply::load,
        write: |path, g, _| ply::write_gaussians(path, g),
    },
    // It has no mark, and its first position may look like any mark: it comes before the other binary formats.
    Format {
        format: GaussianFormat::Splat,
        name: ".splat",
        suffix: ".splat",
        matches: |_, path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("splat")),
        read: |path| splat_file::load(path).map(|(g, warnings)| Loaded { warnings, ..plain(g) }),
        write: |path, g, _| splat_file::write(path, g),
    },
    // The default version comes first.
    Format {
        format: GaussianFormat::Spz(spz::Version::V3),
        name: "SPZ",
        suffix: ".spz",
        matches: |start, _| start.starts_with(&[0x1f, 0x8b]),
        read: |path| spz::read(path).map(plain),
        write: |path, g, _| spz::write(path, g, spz::Version::V3),
    },
    Format {
        format: GaussianFormat::Spz(spz::Version::V4),
        name: "SPZ 4",
        suffix: ".spz",
        matches: |start, _| start.starts_with(b"NGSP"),
        read: |path| spz::read(path).map(plain),
        write: |path, g, _| spz::write(path, g, spz::Version::V4),
    },
    // It is read as version 3, which begins alike.
    Format {
        format: GaussianFormat::Spz(spz::Version::V2),
        name: "SPZ 2",
        suffix: ".spz",
        matches: |_, _| false,
        read: |path| spz::read(path).map(plain),
        write: |path, g, _| spz::write(path, g, spz::Version::V2),
    },
    Format {
        format: GaussianFormat::Usd(usd::Packaging::Text),
        name: "USD",
        suffix: ".usda",
        matches: |start, _| start.starts_with(b"#usda"),
        read: |path| Err(usd::refuse(path)),
        write: |path, g, _| usd::write(path, g, usd::Packaging::Text),
    },
    // A zip, as SOG is.
    Format {
        format: GaussianFormat::Usd(usd::Packaging::Zip),
        name: "USDZ",
        suffix: ".usdz",
        matches: |start, path| {
            start.starts_with(b"PK") && path.extension().is_some_and(|e| e.eq_ignore_ascii_case("usdz"))
        },
        read: |path| Err(usd::refuse(path)),
        write: |path, g, _| usd::write(path, g, usd::Packaging::Zip),
    },
    Format {
        format: GaussianFormat::Sog,
        name: "SOG",
        suffix: ".sog",
        matches: |start, _| start.starts_with(b"PK"),
        read: |path| sog::read(path).map(plain),
        write: |path, g, progress| sog::write(path, g, sog::Packaging::Bundle, progress),
    },
    // A `.gltf` is JSON, as the description of a SOG folder is.
    Format {
        format: GaussianFormat::Gltf,
        name: "glTF",
        suffix: ".glb",
        matches: |start, path| {
            let json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gltf"));
            start.starts_with(b"glTF") || json && start.trim_ascii_start().starts_with(b"{")
        },
        read: gltf::load,
        write: |path, g, _| gltf::write(path, g),
    },
    Format {
        format: GaussianFormat::SogStreamed,
        name: "streamed SOG",
        suffix: sog::STREAMED,
        matches: |start, path| path.ends_with(sog::STREAMED) && start.trim_ascii_start().starts_with(b"{"),
        read: |path| sog::load(path).map(|(g, warnings)| Loaded { warnings, ..plain(g) }),
        write: |path, g, progress| sog::write_streamed(path, g, sog::Division::default(), progress),
    },
    Format {
        format: GaussianFormat::SogFolder,
        name: "SOG folder",
        suffix: sog::META,
        matches: |start, _| start.trim_ascii_start().starts_with(b"{"),
        read: |path| sog::load(path).map(|(g, warnings)| Loaded { warnings, ..plain(g) }),
        write: |path, g, progress| sog::write(path, g, sog::Packaging::Folder, progress),
    },
];

/// What the beginning of a gzip stream unpacks to, as far as it goes.
fn gunzipped(start: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // The stream is cut off here, which is no error.
    let _ = flate2::read::MultiGzDecoder::new(start).take(16).read_to_end(&mut bytes);
    bytes
}

/// Gaussians about which there is nothing to say; [`Gaussians::load`] fills in the format.
fn plain(gaussians: Gaussians) -> Loaded {
    Loaded { gaussians, format: GaussianFormat::Ply, warnings: Vec::new(), world: false }
}

impl GaussianFormat {
    fn entry(self) -> &'static Format {
        FORMATS.iter().find(|f| f.format == self).expect("every format is in the table")
    }

    /// The format to write a file of this name in. An existing folder, or a name that ends in a separator, means a SOG
    /// folder, as does `meta.json`; `.spz` means version 3.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`].
    pub fn from_name(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = path.to_string_lossy();
        if path.is_dir() || text.ends_with('/') || text.ends_with(std::path::MAIN_SEPARATOR) {
            return Ok(Self::SogFolder);
        }
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let is = |f: &&Format| name.ends_with(f.suffix) && (f.suffix.starts_with('.') || name == f.suffix);
        let found = FORMATS.iter().find(is).map(|f| f.format);
        found.ok_or_else(|| unknown(path, "unknown output format".into()))
    }

    /// The format of an existing file or folder, by its first bytes.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`]; or the file cannot be read.
    pub fn detect(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            let description = sog::description(path);
            return match path.join(description).is_file() {
                true => Self::from_name(Path::new(description)),
                false => Err(unknown(path, "the folder has no meta.json".into())),
            };
        }
        let mut start = Vec::new();
        // The first lines of a compressed PLY say that it is one.
        files::open(path)?.0.take(4096).read_to_end(&mut start)?;
        let found = FORMATS.iter().find(|f| (f.matches)(&start, path)).map(|f| f.format);
        found.ok_or_else(|| {
            if let Some(error) = not_gaussians(path, &start) {
                return error;
            }
            let bytes: Vec<_> = start.iter().take(4).map(|b| format!("{b:02x}")).collect();
            let start = bytes.join(" ");
            unknown(
                path,
                format!("the file begins with the bytes {start}, which is not a format of Gaussians"),
            )
        })
    }
}

impl std::fmt::Display for GaussianFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.entry().name)
    }
}

/// The error about a file that is known, and is none of these formats.
fn not_gaussians(path: &Path, start: &[u8]) -> Option<Error> {
    // What splat-transform, the converter of PlayCanvas, reads.
    let others = [("ksplat", "KSplat"), ("lcc", "XGRIDS' LCC"), ("lcc2", "XGRIDS' LCC2")];
    let is = |known: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(known));
    let (found, hint) = match foreign::kind(start) {
        Some(kind @ (Foreign::LfsPointer | Foreign::WebPage | Foreign::Empty)) => {
            (format!("this is {}", kind.what()), kind.hint())
        }
        _ => {
            let (_, name) = others.iter().find(|(extension, _)| is(extension))?;
            (format!("{name} is not read"), "convert it to PLY: npx @playcanvas/splat-transform IN OUT.ply")
        }
    };
    Some(Error::NotGaussians { path: path.into(), found, hint: hint.into() })
}

fn unknown(path: &Path, message: String) -> Error {
    let known: Vec<_> = FORMATS.iter().map(|f| format!("{} ({})", f.name, f.suffix)).collect();
    Error::UnknownFormat { path: path.into(), message, known: known.join(", ") }
}

impl Gaussians {
    /// Reads Gaussians from a file, or a SOG folder, of any known format.
    ///
    /// A plain PLY is read as it is, NaN and infinity included: see [`Gaussians::repair`] and [`Gaussians::check`]. The
    /// other formats give finite numbers or an error. What was read otherwise than stored is not said: see
    /// [`Gaussians::load`].
    ///
    /// # Errors
    /// [`Error::UnknownFormat`], or the errors of the format's own reader. All of them name the file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::load(path).map(|loaded| loaded.gaussians)
    }

    /// As [`read`](Self::read), with the format of the file and warnings for the user.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn load(path: impl AsRef<Path>) -> Result<Loaded> {
        let path = path.as_ref();
        let format = GaussianFormat::detect(path)?;
        let mut loaded = Loaded { format, ..(format.entry().read)(path)? };
        loaded.warnings.extend(super::precision::warn_of_far_positions(&loaded));
        Ok(loaded)
    }

    /// Writes the Gaussians in the format that belongs to the file name: [`GaussianFormat::from_name`].
    ///
    /// # Errors
    /// [`Error::UnknownFormat`], or the errors of the format's own writer. All of them name the file.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.write_as(path, GaussianFormat::from_name(path)?, &mut |_, _| {})
    }

    /// Writes the Gaussians in the given format. A SOG folder may be named itself or by its `meta.json`, one of streamed SOG
    /// by its `lod-meta.json`; it is created if it does not exist.
    ///
    /// # Errors
    /// The errors of the format's own writer, which name the file.
    pub fn write_as(
        &self,
        path: impl AsRef<Path>,
        format: GaussianFormat,
        progress: WriteProgress<'_>,
    ) -> Result<()> {
        (self as &dyn Rows).write_as(path, format, progress)
    }
}

impl dyn Rows + '_ {
    /// As [`Gaussians::write_as`].
    ///
    /// # Errors
    /// As [`Gaussians::write_as`], and those of reading the Gaussians.
    pub fn write_as(
        &self,
        path: impl AsRef<Path>,
        format: GaussianFormat,
        progress: WriteProgress<'_>,
    ) -> Result<()> {
        let path = path.as_ref();
        if !matches!(format, GaussianFormat::SogFolder | GaussianFormat::SogStreamed) {
            return (format.entry().write)(path, self, progress);
        }
        let suffix = format.entry().suffix;
        let named = path.file_name().is_some_and(|n| n.eq_ignore_ascii_case(suffix)) && !path.is_dir();
        let meta = if named { path.to_path_buf() } else { path.join(suffix) };
        if let Some(folder) = meta.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs_err::create_dir_all(folder)?;
        }
        (format.entry().write)(&meta, self, progress)
    }
}
