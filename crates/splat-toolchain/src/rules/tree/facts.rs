//! An extension's sources as facts: names, texts, and what they include.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{ext_sources, ext_symbols};

/// Files that are read: sources up to this size, and at most so many.
const MAX_BYTES: u64 = 1_000_000;
const MAX_FILES: usize = 3000;

/// Facts of a source folder. Paths are relative, with `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tree {
    /// The folder, as people know it.
    pub root: String,
    /// Every file's path.
    pub names: Vec<String>,
    /// Texts of sources (outside third_party), setup.py, pyproject.toml, .gitmodules and GLM's version header.
    pub files: BTreeMap<String, String>,
    /// Whether it is a clone.
    pub has_git: bool,
    /// Whether what lies above it is built from as well.
    pub has_above: bool,
}

impl Tree {
    /// Reads a folder. Unreadable parts are left out.
    pub fn read(root: &Path) -> Self {
        let mut tree =
            Self { root: root.display().to_string(), has_git: root.join(".git").exists(), ..Self::default() };
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs_err::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() && name != ".git" && tree.names.len() < MAX_FILES {
                    folders.push(path);
                } else if kind.is_file() {
                    let small = entry.metadata().is_ok_and(|meta| meta.len() <= MAX_BYTES);
                    if small
                        && is_read(&path)
                        && let Ok(bytes) = fs_err::read(entry.path())
                    {
                        tree.files.insert(path.clone(), String::from_utf8_lossy(&bytes).into_owned());
                    }
                    tree.names.push(path);
                }
            }
        }
        tree.names.sort();
        tree
    }

    /// `name="diff_gaussian_rasterization"` in setup.py, in the spelling of dist-info folders.
    pub(super) fn package(&self) -> Option<String> {
        let setup = self.files.get("setup.py")?;
        let (_, after) = setup.split_once("name")?;
        let quoted = after.trim_start().strip_prefix('=')?.trim_start();
        let name = quoted.strip_prefix(['"', '\''])?.split(['"', '\'']).next()?;
        Some(name.to_lowercase().replace(['-', '.'], "_"))
    }

    /// Whether the sources want GLM and the tree has none.
    pub fn lacks_glm(&self) -> bool {
        self.wants_glm().is_some() && !self.names.iter().any(|name| name.ends_with("glm/glm.hpp"))
    }

    /// Where they include GLM: as `glm/glm.hpp`, or as `glm.hpp` from a folder that setup.py names.
    pub(super) fn wants_glm(&self) -> Option<String> {
        self.includes("glm/", |_| true).or_else(|| self.includes_bare_glm())
    }

    /// Where they include `glm.hpp` without its folder.
    pub fn includes_bare_glm(&self) -> Option<String> {
        self.includes("<glm.hpp", |_| true).or_else(|| self.includes("\"glm.hpp", |_| true))
    }

    /// Whether they use what CCCL 3 removed.
    pub fn uses_removed(&self) -> bool {
        self.sources().any(|(path, text)| ext_sources::removed(path, text).is_some())
    }

    /// The first place that shares with torch what differs between CUDA majors: `path:line`, and the word.
    pub fn crosses_majors(&self) -> Option<(String, &'static str)> {
        self.sources().find_map(|(path, text)| {
            let hit = |line: &str| ext_symbols::MAJOR_WORDS.iter().copied().find(|word| line.contains(word));
            let (number, word) =
                text.lines().enumerate().find_map(|(number, line)| Some((number + 1, hit(line)?)))?;
            Some((format!("{path}:{number}"), word))
        })
    }

    /// The text of setup.py; empty where there is none.
    pub fn setup(&self) -> &str {
        self.files.get("setup.py").map(String::as_str).unwrap_or_default()
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        let sources =
            self.files.iter().filter(|(path, _)| ext_sources::is_source(path) && !third_party(path));
        sources.map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The first line of a source that includes something so named: `path:line`.
    pub(super) fn includes(&self, what: &str, of: fn(&str) -> bool) -> Option<String> {
        self.sources().filter(|(path, _)| of(path)).find_map(|(path, text)| {
            let is = |line: &str| {
                let rest = line.trim_start().strip_prefix('#').map(str::trim_start);
                rest.and_then(|rest| rest.strip_prefix("include")).is_some_and(|name| name.contains(what))
            };
            text.lines().position(is).map(|line| format!("{path}:{}", line + 1))
        })
    }
}

/// Others' libraries inside the tree, which are not this project's faults: GLM's own tests, say.
fn third_party(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "third_party" | "thirdparty" | "external" | "build" | "glm"))
}

fn is_read(path: &str) -> bool {
    let told = ["setup.py", "pyproject.toml", ".gitmodules"];
    let glm = path.ends_with("glm/detail/setup.hpp");
    told.contains(&path) || glm || (ext_sources::is_source(path) && !third_party(path))
}
