//! What a file of pinned requirements says: sizes, Pythons, and the folder in the cache that the packages belong into.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use fs_err as fs;
use splat_toolchain::managed::{ManagedItem, pin_hash};

use super::{
    Context,
    stamp::{Installed, State},
};

/// Pinned packages and the folder they belong into.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name in the package index.
    pub name: String,
    /// The requirements file; hashes for every wheel.
    pub requirements: PathBuf,
    /// sha256 of its pin lines.
    pub hash: String,
    /// The folder in the cache.
    pub dir: PathBuf,
    /// Files without which the folder is not whole.
    pub markers: Vec<String>,
    /// Bytes to fetch; 0 if not known.
    pub download: u64,
    /// Bytes on disk afterwards; 0 if not known.
    pub installed: u64,
    /// The interpreter whose pip is used.
    pub python: PathBuf,
    /// Its version, `3.11`.
    pub python_version: String,
    /// Another Python whose wheels are taken, where the packages have none for this one.
    pub wheels_for: Option<String>,
}

impl Package {
    /// The packages of a managed item, for this repository, cache and Python.
    ///
    /// # Errors
    /// The repository holds no requirements for the item.
    pub fn of(context: &Context<'_>, item: &ManagedItem) -> Result<Self> {
        let requirements = context.repo.join(item.requirements);
        let text = fs::read_to_string(&requirements)
            .with_context(|| format!("`{}` cannot be brought: it has no pins", item.name))?;
        let header = Header::parse(&text);
        let version = &context.python.version;
        let (major, minor) = (version.major(), version.minor());
        Ok(Self {
            name: item.name.to_owned(),
            hash: pin_hash(&text),
            dir: item.dir(context.cache.root(), &text, &context.python.tag()),
            markers: item.markers().iter().map(|&marker| marker.to_owned()).collect(),
            download: header.download,
            installed: if header.installed > 0 { header.installed } else { item.bytes },
            python: context.python.path.clone(),
            python_version: format!("{major}.{minor}"),
            wheels_for: header.wheels_for(major, minor),
            requirements,
        })
    }

    /// What lies in the folder now.
    pub fn state(&self) -> State {
        Installed::state(&self.dir, &self.hash, &self.markers)
    }

    /// Free bytes that the installation takes at its peak: the wheels lie beside what is unpacked from them.
    pub(super) fn peak(&self) -> u64 {
        self.download + self.installed
    }
}

/// What a requirements file says of itself in comments: `# download: 130 MB`, `# installed: 271 MB`,
/// `# python: 3.9-3.14`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Bytes to fetch.
    pub download: u64,
    /// Bytes on the disk afterwards.
    pub installed: u64,
    /// First and last minor version of Python 3 that the wheels serve.
    pub python: Option<(u32, u32)>,
}

impl Header {
    /// Reads the comments at the head of a requirements file.
    pub fn parse(text: &str) -> Self {
        let mut header = Self::default();
        for line in text.lines().map_while(|line| line.strip_prefix('#')) {
            let Some((key, value)) = line.split_once(':') else { continue };
            let megabytes = || value.trim().strip_suffix(" MB")?.parse::<u64>().ok();
            match key.trim() {
                "download" => header.download = megabytes().unwrap_or(0) * 1_000_000,
                "installed" => header.installed = megabytes().unwrap_or(0) * 1_000_000,
                "python" => {
                    header.python = value.trim().split_once('-').and_then(|(first, last)| {
                        let minor = |text: &str| text.strip_prefix("3.")?.parse().ok();
                        Some((minor(first)?, minor(last)?))
                    });
                }
                _ => {}
            }
        }
        header
    }

    /// The nearest Python that there are wheels for, if that is not `major.minor` itself.
    fn wheels_for(&self, major: u32, minor: u32) -> Option<String> {
        let (first, last) = self.python?;
        let nearest = minor.clamp(first, last);
        (major != 3 || nearest != minor).then(|| format!("3.{nearest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_gives_sizes_and_pythons() {
        let text =
            "# CUDA 13.0\n# download: 130 MB\n# installed: 271 MB\n# python: 3.9-3.14\n--only-binary :all:\n";
        let header = Header::parse(text);
        assert_eq!(header, Header { download: 130_000_000, installed: 271_000_000, python: Some((9, 14)) });
        assert_eq!(header.wheels_for(3, 11), None);
        assert_eq!(header.wheels_for(3, 8).as_deref(), Some("3.9"));
        assert_eq!(header.wheels_for(3, 15).as_deref(), Some("3.14"));
        assert_eq!(Header::parse("torch==2.11.0\n# download: 1 MB\n"), Header::default());
    }
}
