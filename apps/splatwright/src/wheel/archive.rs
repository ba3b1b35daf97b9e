//! Writing a wheel (PEP 427): the package's Python files, what is added, metadata, and RECORD with the hashes of all.
//!
//! The same contents give the same bytes: names in order, one date, no owner. Nothing is compiled or looked up here.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// The modules of each package, what pip shows of it, and which other packages of ours it needs.
const PACKAGES: &[(&[&str], &str, &[&str])] = &[
    (
        &["diff_gaussian_rasterization", "diff_gaussian_rasterization_fastgs"],
        "Drop-in differentiable 3D Gaussian Splatting rasterizer for any torch from 2.0, on CPU and CUDA",
        &[],
    ),
    (&["simple_knn"], "Mean squared distances to three nearest neighbours, for any torch from 2.0", &[]),
    (
        &["fused_ssim"],
        "Differentiable SSIM for any torch from 2.0, on CPU and CUDA",
        &["diff-gaussian-rasterization"],
    ),
    (
        &["splatwright"],
        "Trains, renders, edits and shows 3D Gaussian Splatting scenes; mends CUDA and PyTorch toolchains",
        &[],
    ),
];

/// What goes into one wheel.
pub(super) struct Contents {
    pub(super) package: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl Contents {
    /// The Python files and stubs of the package's modules, folders of `python`, and the licences. `torch` is the series that
    /// the package needs; without one, torch stays the user's choice.
    pub(super) fn new(package: &str, root: &Path, torch: Option<&str>) -> anyhow::Result<Self> {
        let version = env!("CARGO_PKG_VERSION");
        let (modules, summary, needs) = PACKAGES
            .iter()
            .find(|(modules, ..)| modules[0] == package)
            .with_context(|| format!("there is no package `{package}`"))?;
        let mut contents = Self { package: package.to_owned(), files: BTreeMap::new() };
        for module in *modules {
            for entry in fs_err::read_dir(root.join("python").join(module))? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if path.is_file() && (name.ends_with(".py") || name.ends_with(".pyi") || name == "py.typed") {
                    contents.add(&format!("{module}/{name}"), fs_err::read(&path)?);
                }
            }
        }
        let info = format!("{package}-{version}.dist-info");
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            contents.add(&format!("{info}/licenses/{licence}"), fs_err::read(root.join(licence))?);
        }
        let needs = needs.iter().map(|need| format!("{need}=={version}"));
        let needs = needs.chain(torch.map(|series| format!("torch=={series}.*")));
        let needs: String = needs.map(|need| format!("Requires-Dist: {need}\n")).collect();
        let own = root.join("python").join(package).join("README.md");
        let readme = if own.exists() { own } else { root.join("python/README.md") };
        let readme = fs_err::read_to_string(readme)?;
        let metadata = format!(
            "Metadata-Version: 2.1\nName: {package}\nVersion: {version}\nSummary: {summary}\n\
             License: MIT OR Apache-2.0\nRequires-Python: >=3.8\n{needs}\
             Description-Content-Type: text/markdown\n\n{readme}"
        );
        contents.add(&format!("{info}/METADATA"), metadata.into_bytes());
        contents.add(&format!("{info}/top_level.txt"), format!("{}\n", modules.join("\n")).into_bytes());
        Ok(contents)
    }

    /// The folder of the wheel's own description.
    pub(super) fn info(&self) -> String {
        format!("{}-{}.dist-info", self.package, env!("CARGO_PKG_VERSION"))
    }

    pub(super) fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.files.insert(name.to_owned(), bytes);
    }

    /// Writes the wheel into `folder`, whole or not at all.
    pub(super) fn write(mut self, folder: &Path, tag: &str) -> anyhow::Result<PathBuf> {
        let (version, info) = (env!("CARGO_PKG_VERSION"), self.info());
        let pure = tag.ends_with("-any");
        self.add(
            &format!("{info}/WHEEL"),
            format!(
                "Wheel-Version: 1.0\nGenerator: splatwright {version}\nRoot-Is-Purelib: {pure}\nTag: {tag}\n"
            )
            .into_bytes(),
        );
        let record = format!("{info}/RECORD");
        let mut lines: String = self
            .files
            .iter()
            .map(|(name, bytes)| format!("{name},sha256={},{}\n", hash(bytes), bytes.len()))
            .collect();
        lines += &format!("{record},,\n");
        // The specification wants dist-info last, RECORD at its end.
        let (info_files, files): (Vec<_>, Vec<_>) =
            self.files.iter().partition(|(n, _)| n.starts_with(&info));
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(zip::DateTime::default());
        let mut put = |name: &str, bytes: &[u8]| -> anyhow::Result<()> {
            let mode = if name.contains("/_lib/") { 0o755 } else { 0o644 };
            zip.start_file(name, options.unix_permissions(mode))?;
            Ok(zip.write_all(bytes)?)
        };
        for (name, bytes) in files.into_iter().chain(info_files) {
            put(name, bytes)?;
        }
        put(&record, lines.as_bytes())?;
        let bytes = zip.finish()?.into_inner();
        let path = folder.join(format!("{}-{version}-{tag}.whl", self.package));
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        temporary.write_all(&bytes)?;
        // A wheel of another tag would be found first by pip's --find-links.
        for entry in fs_err::read_dir(folder)? {
            let old = entry?.path();
            let name = old.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let system = |n: &str| n.contains("-win_");
            if name.starts_with(&format!("{}-", self.package))
                && name.ends_with(".whl")
                && system(&name) == system(tag)
                && old != path
            {
                fs_err::remove_file(old)?;
            }
        }
        temporary.persist(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
        readable(&path)?;
        Ok(path)
    }
}

/// A temporary file is its owner's alone; a wheel is everybody's.
#[cfg(unix)]
fn readable(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o644))?)
}

#[cfg(not(unix))]
fn readable(_: &Path) -> anyhow::Result<()> {
    Ok(())
}

/// As RECORD writes it: SHA-256 in URL-safe base64 without padding.
pub(crate) fn hash(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
}
