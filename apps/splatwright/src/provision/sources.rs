//! `vendor/sources.toml`: which archive holds the original rasterizer, its hash, and which of its files are
//! taken. Reading and naming only.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fs_err as fs;
use serde::Deserialize;
use splat_toolchain::managed::{GLM, INRIA, ManagedItem};

use super::{
    cache::Cache,
    stamp::{self, Extracted, State},
};

#[derive(Deserialize)]
struct File {
    original: Sources,
}

/// What is taken of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The rasterizer with its GLM, under its own licence.
    Rasterizer,
    /// GLM alone.
    Glm,
}

impl Part {
    /// The entry of the cache that holds it.
    pub fn item(self) -> ManagedItem {
        match self {
            Self::Rasterizer => INRIA,
            Self::Glm => GLM,
        }
    }
}

/// The pins of the original rasterizer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// The package that carries it.
    pub package: String,
    /// Their version.
    pub version: String,
    /// File name of the source distribution.
    pub archive: String,
    /// The archive's hash, in hexadecimal.
    pub sha256: String,
    /// Bytes of the archive.
    pub bytes: u64,
    /// The archive's one top folder.
    pub top: String,
    /// Folder of the rasterizer below `top`; its contents become the contents of our folder.
    pub subfolder: String,
    /// Files and folders of `subfolder` that are taken.
    pub take: Vec<String>,
    /// The licence's text below `top`, and its hash: consent is given to this text.
    pub license: String,
    /// The hash of the licence's text, in hexadecimal.
    pub license_sha256: String,
    /// The file's own text, from which the folder's name follows.
    #[serde(skip)]
    text: String,
}

impl Sources {
    /// Reads the pins of the repository at `repo`.
    pub fn read(repo: &Path) -> Result<Self> {
        let path = repo.join(INRIA.requirements);
        Self::parse(fs::read_to_string(&path)?).with_context(|| format!("in `{}`", path.display()))
    }

    /// The pins in that text.
    pub fn parse(text: String) -> Result<Self> {
        let file: File = toml::from_str(&text)?;
        Ok(Self { text, ..file.original })
    }

    /// `gaussian-splatting==2.11.0`.
    pub fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }

    /// The folder in the cache that a part's files are extracted to.
    pub fn dir(&self, part: Part, cache: &Cache) -> PathBuf {
        part.item().dir(cache.root(), &self.text, "")
    }

    /// Whether that folder is whole and unaltered.
    pub fn state(&self, part: Part, cache: &Cache) -> State {
        Extracted::state(&self.dir(part, cache), &self.sha256)
    }

    /// The archive, if it lies in that folder (the cache's downloads) with the pinned hash.
    pub fn archive_in(&self, downloads: &Path) -> Option<PathBuf> {
        let path = downloads.join(&self.archive);
        (stamp::sha256(&path).ok()? == self.sha256).then_some(path)
    }

    /// Where a file of the archive (below `top`) goes, if the part takes it.
    pub fn keep(&self, part: Part, path: &str) -> Option<String> {
        if path == self.license {
            return (part == Part::Rasterizer).then(|| "LICENSE.md".to_owned());
        }
        let inside = path.strip_prefix(&self.subfolder)?.strip_prefix('/')?;
        if part == Part::Glm {
            let glm = inside.strip_prefix("third_party/glm/")?;
            return (glm.starts_with("glm/") || glm == "copying.txt").then(|| glm.to_owned());
        }
        let taken = self.take.iter().any(|take| {
            inside.strip_prefix(take.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        taken.then(|| inside.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pins_take_the_rasterizer_glm_and_the_licence() {
        let repo = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let sources = Sources::read(repo).unwrap();
        assert_eq!(sources.sha256, "cb3345828988ae93e1131e82112a438c9ec1ba6011f78609917e352bbbf1e792");
        let keep = |path: &str| sources.keep(Part::Rasterizer, path);
        let below = |path: &str| format!("{}/{path}", sources.subfolder);
        for path in ["cuda_rasterizer/forward.cu", "third_party/glm/glm/glm.hpp"] {
            assert_eq!(keep(&below(path)).as_deref(), Some(path));
        }
        assert_eq!(keep("LICENSE.md").as_deref(), Some("LICENSE.md"));
        for path in ["setup.py", "submodules/simple-knn/simple_knn.cu", "gaussian_splatting/__init__.py"] {
            assert_eq!(keep(path), None);
        }
        assert_eq!(keep(&below("third_party/glm/doc/manual.pdf")), None);
        assert_eq!(keep(&below("cuda_rasterizer2/forward.cu")), None);
        let glm = |path: &str| sources.keep(Part::Glm, path);
        assert_eq!(glm(&below("third_party/glm/glm/glm.hpp")).as_deref(), Some("glm/glm.hpp"));
        assert_eq!(glm(&below("cuda_rasterizer/forward.cu")), None);
        assert_eq!(glm("LICENSE.md"), None);
    }
}
