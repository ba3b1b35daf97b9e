//! An extension's sources as facts, and what would go wrong with them: missing headers and submodules, an old C++
//! standard, leftovers of another build, a build that pip would isolate. The tree is read once; rules are pure.

mod facts;

pub use self::facts::Tree;
use crate::{
    ext_setup, ext_sources,
    finding::{Finding, Severity},
    machine::{Fact, Python, Toolkit, Torch},
    version::Version,
};

/// What the tree is held against.
#[derive(Debug)]
pub struct Against<'a> {
    /// Whether it is built on Windows.
    pub windows: bool,
    /// Whether the toolkit's major version is not torch's.
    pub mismatched: bool,
    /// The torch that it is built for.
    pub torch: Option<&'a Torch>,
    /// The toolkit that compiles it.
    pub toolkit: Option<&'a Toolkit>,
    /// The interpreter that it is built for.
    pub python: Option<&'a Python>,
}

/// Every rule about sources.
pub fn all(tree: &Tree, against: &Against<'_>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let cccl3 = against.toolkit.is_none_or(|toolkit| toolkit.cccl.is_some());
    for (path, text) in tree.sources() {
        for finding in ext_sources::faults(path, text) {
            if !found.iter().any(|known| known.code == finding.code) {
                found.push(finding);
            }
        }
        if cccl3 && !found.iter().any(|known| known.code == "E14") {
            found.extend(ext_sources::removed(path, text));
        }
    }
    let modules = tree.files.get(".gitmodules").map(String::as_str).unwrap_or_default();
    found.extend(ext_sources::empty_submodules(modules, &tree.names, tree.has_git));
    found.extend(glm(tree));
    found.extend(moved_headers(tree, against));
    found.extend(torch_in_kernels(tree, against));
    found.extend(standard(tree, against));
    found.extend(leftovers(tree));
    found.extend(isolation(tree));
    found.extend(outside(tree));
    found.extend(other_fork(tree, against));
    found.extend(other_major(tree, against));
    found.extend(spelling(tree, against.windows));
    found
}

fn finding(
    code: &str,
    severity: Severity,
    message: impl Into<String>,
    evidence: impl Into<String>,
) -> Finding {
    Finding::new(code, severity, message).evidence(evidence)
}

/// E42 where no submodule says so; E43: a GLM of another age than the sources were written for.
fn glm(tree: &Tree) -> Option<Finding> {
    let wanted = tree.wants_glm()?;
    let header = tree.files.iter().find(|(path, _)| path.ends_with("glm/detail/setup.hpp"));
    let Some((path, text)) = header else {
        let named = tree.files.get(".gitmodules").is_some_and(|text| text.contains("glm"));
        let there = tree.names.iter().any(|name| name.ends_with("glm/glm.hpp"));
        return (!named && !there).then(|| {
            ext_sources::lent_glm("the sources include GLM, which is not in this tree".into())
                .evidence(wanted)
        });
    };
    let number = |name: &str| -> Option<u32> {
        let line =
            text.lines().find_map(|line| line.trim().strip_prefix("#define")?.trim().strip_prefix(name))?;
        line.trim().parse().ok()
    };
    let parts = ["GLM_VERSION_MAJOR", "GLM_VERSION_MINOR", "GLM_VERSION_PATCH"].map(number);
    let version = Version::new(&[parts[0]?, parts[1]?, parts[2].unwrap_or(0)]);
    let known = version >= Version::new(&[0, 9, 9]) && version < Version::new(&[1, 1]);
    (!known).then(|| {
        let message = format!("GLM {version} is outside 0.9.9 to 1.0, for which such sources are written: it may draw black pictures");
        finding("E43", Severity::Warning, message, path.clone())
            .hint("`git submodule update --init --recursive` brings the one that is pinned")
    })
}

/// E11: the host compiler does not look into include/cccl.
fn moved_headers(tree: &Tree, against: &Against<'_>) -> Option<Finding> {
    against.toolkit?.cccl.as_ref()?;
    let host = |path: &str| !path.ends_with(".cu") && !path.ends_with(".cuh");
    let place = tree.includes("<thrust/", host).or_else(|| tree.includes("<cub/", host))?;
    let message = "the host compiler includes CUB or Thrust, which lie in include/cccl since CUDA 13; that folder is passed";
    Some(finding("E11", Severity::Info, message, place))
}

/// E31: nvcc with MSVC misreads torch's headers from 2.9 on.
fn torch_in_kernels(tree: &Tree, against: &Against<'_>) -> Option<Finding> {
    let torch = against.torch.filter(|torch| against.windows && torch.version >= Version::new(&[2, 9]))?;
    let place = tree.includes("torch/extension.h", |path| path.ends_with(".cu"))?;
    let message = format!(
        "a .cu file includes torch's headers, which nvcc with MSVC misreads in torch {}; USE_CUDA is defined, which avoids it",
        torch.version
    );
    Some(finding("E31", Severity::Info, message, place))
}

/// E33: -std= lower than torch's headers demand.
fn standard(tree: &Tree, against: &Against<'_>) -> Option<Finding> {
    let least = against.torch?.cxx_standard?;
    let setup = tree.files.get("setup.py")?;
    let (number, standard) = setup.lines().enumerate().find_map(|(number, line)| {
        let after = line.split_once("std=c++").or_else(|| line.split_once("/std:c++"))?.1;
        Some((number + 1, after.get(..2)?.parse::<u32>().ok()?))
    })?;
    (standard < least).then(|| {
        let message = format!("setup.py asks for C++{standard}, and this torch's headers demand C++{least}");
        finding("E33", Severity::Warning, message, format!("setup.py:{number}"))
            .hint(format!("remove that flag from setup.py (torch adds its own), or write -std=c++{least}"))
    })
}

/// E70: objects that another torch or compiler left.
fn leftovers(tree: &Tree) -> Option<Finding> {
    let old = tree.names.iter().find(|name| {
        name.starts_with("build/") && [".o", ".obj", ".so", ".pyd"].iter().any(|end| name.ends_with(end))
    })?;
    let message = "objects of an earlier build lie in the tree; it is built in a fresh copy without them";
    Some(
        finding("E70", Severity::Info, message, old.clone())
            .hint("move the folder `build` elsewhere, or build in a fresh copy of the sources"),
    )
}

/// E80, E81: what pip's isolation would bring.
fn isolation(tree: &Tree) -> Option<Finding> {
    let pyproject = tree.files.get("pyproject.toml").and_then(|text| text.parse::<toml::Table>().ok());
    let requires =
        pyproject.as_ref().and_then(|table| table.get("build-system")?.get("requires")?.as_array());
    let torch = requires.is_some_and(|list| {
        list.iter().filter_map(toml::Value::as_str).any(|name| name.trim_start().starts_with("torch"))
    });
    if torch {
        let message =
            "pip would build against the newest torch in an environment of its own; nothing is isolated here";
        return Some(
            finding("E81", Severity::Info, message, "pyproject.toml, build-system.requires")
                .hint("by hand: `pip install --no-build-isolation .`"),
        );
    }
    let setup = tree.files.get("setup.py")?;
    let line = setup.lines().position(|line| {
        line.trim_start().starts_with("from torch") || line.trim_start().starts_with("import torch")
    })?;
    let message =
        "setup.py imports torch, which pip's isolated environment does not have; nothing is isolated here";
    Some(
        finding("E80", Severity::Info, message, format!("setup.py:{}", line + 1))
            .hint("by hand: `pip install --no-build-isolation .`"),
    )
}

/// X05: files above the folder, of which a copy is built.
fn outside(tree: &Tree) -> Option<Finding> {
    let line = ext_setup::reaches_out(tree.setup()).filter(|_| !tree.has_above)?;
    let message = "setup.py names files above its folder, and a copy of the folder alone is built";
    Some(
        finding("X05", Severity::Warning, message, format!("setup.py:{line}"))
            .hint("name the folder above, and this one by `--subfolder`"),
    )
}

/// E45: the name is taken by an installation from elsewhere.
fn other_fork(tree: &Tree, against: &Against<'_>) -> Option<Finding> {
    let package = tree.package()?;
    let origin = against.python?.origins.get(&package)?;
    let here = origin.trim_start_matches("file://").trim_end_matches('/');
    (here != tree.root.trim_end_matches('/')).then(|| {
        let message =
            format!("`{package}` is installed already, from {origin}: other sources under the same name");
        finding("E45", Severity::Warning, message, origin.clone())
            .hint("give each project an environment of its own: `python -m venv NEW`, then `--python NEW`")
    })
}

/// E01: sources that share with torch what differs between CUDA majors, where the majors differ.
fn other_major(tree: &Tree, against: &Against<'_>) -> Option<Finding> {
    let (place, word) = tree.crosses_majors().filter(|_| against.mismatched)?;
    let message = format!(
        "the sources use `{word}`, which is not the same in torch's CUDA and in the toolkit's: they cannot be built across major versions"
    );
    Some(finding("E01", Severity::Error, message, place).hint("a CUDA toolkit of torch's own major version"))
}

/// E56, E91, E92: the spelling of the folder alone.
fn spelling(tree: &Tree, windows: bool) -> Vec<Finding> {
    hazards(&Fact::new(tree.root.clone(), "the folder of the sources"), windows)
        .into_iter()
        .map(|(code, what)| {
            finding(
                code,
                Severity::Info,
                format!("{what}; it is built in a folder with a plain name, out of the tree"),
                tree.root.clone(),
            )
        })
        .collect()
}

/// What the spelling of a path does to build tools: code and reason.
pub fn hazards(path: &Fact<String>, windows: bool) -> Vec<(&'static str, String)> {
    let (text, role) = (&path.value, &path.source);
    let mut found = Vec::new();
    if text.contains("arch") {
        found.push(("E56", format!("{role} contains `arch`, and torch then gives nvcc no architecture")));
    }
    if text.contains(char::is_whitespace) {
        found.push(("E91", format!("{role} contains a space, at which flags are split")));
    } else if windows && !text.is_ascii() {
        found.push((
            "E91",
            format!(
                "{role} contains letters beyond ASCII, which nvcc and ninja read in the system's code page"
            ),
        ));
    }
    // Objects lie some 140 characters below.
    if windows && text.chars().count() > 110 {
        found.push((
            "E92",
            format!("{role} is {} characters long, and objects below it pass 260", text.chars().count()),
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_without_its_submodules_texts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("setup.py", "setup(\n    name = \"Simple-KNN\",\n)");
        write("a/k.cu", "#include <glm/glm.hpp>\n");
        write("third_party/glm/glm/glm.hpp", "// big");
        write(".git/HEAD", "ref");
        let tree = Tree::read(dir.path());
        assert_eq!(tree.names, ["a/k.cu", "setup.py", "third_party/glm/glm/glm.hpp"]);
        assert_eq!(tree.files.len(), 2);
        assert!(tree.has_git);
        assert_eq!(tree.package().as_deref(), Some("simple_knn"));
        assert_eq!(tree.includes("glm/", |_| true).as_deref(), Some("a/k.cu:1"));
    }
}
