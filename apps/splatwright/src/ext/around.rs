//! What surrounds a build besides its plan: headers and libraries that the toolkit alone does not hold, the folder
//! of forced headers, ninja. Everything made here lies in the build's own scratch folder.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Result;
use fs_err as fs;
use splat_toolchain::{
    ext::{self, Surroundings},
    ext_sources,
};

use super::{Setting, source::Source};

/// Where the packages that torch brings along keep their libraries.
pub(crate) const LIBRARIES: &[&str] = &["lib", "bin", "bin/x86_64"];

/// Folders of the CUDA packages beside torch: `nvidia/cu13/lib`, `nvidia/cublas/lib`, ...
pub(crate) fn cuda_folders(torch: &Path, inner: &[&str]) -> Vec<PathBuf> {
    let packages =
        torch.parent().map(|site| site.join("nvidia")).and_then(|nvidia| fs::read_dir(nvidia).ok());
    let mut found: Vec<PathBuf> = packages
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|entry| inner.iter().map(move |inner| entry.path().join(inner)))
        .filter(|folder| folder.is_dir())
        .collect();
    found.sort();
    found
}

/// The surroundings of a build, inside Visual Studio's prompt where there is one.
pub(crate) fn surroundings(
    setting: &Setting,
    source: &Source,
    forced_headers: bool,
    prompt: &BTreeMap<String, String>,
) -> Result<Surroundings> {
    let scratch = source.scratch.path();
    let mut around = Surroundings { os: setting.machine.os.clone(), ..Surroundings::default() };
    for name in ["PATH", "CPATH", "LIBRARY_PATH", "INCLUDE", "LIB", "NVCC_PREPEND_FLAGS", "CFLAGS", "CL"] {
        if let Some(value) = prompt.get(name).cloned().or_else(|| std::env::var(name).ok()) {
            around.before.insert(name.to_owned(), value);
        }
    }
    if forced_headers {
        let folder = scratch.join("forced");
        fs::create_dir_all(&folder)?;
        let removed = setting.plan.cuda.version().is_some_and(|version| version.major() >= 13);
        let header = ext_sources::forced_header(removed && source.tree.uses_removed());
        fs::write(folder.join(ext::FORCED), header)?;
        around.forced_headers = Some(folder);
    }
    let root = setting.plan.cuda.path().map(Path::to_owned).unwrap_or_default();
    let toolkit = setting.machine.toolkits.iter().find(|toolkit| toolkit.root == root);
    let own = toolkit.and_then(|toolkit| toolkit.include.clone()).unwrap_or_else(|| root.join("include"));
    let packages = cuda_folders(&setting.plan.torch.root, &["include"]);
    around.includes = includes(&root, own, &packages);
    around.includes.extend(source.glm.clone());
    let inner = source.glm.as_ref().filter(|_| source.tree.includes_bare_glm().is_some());
    around.includes.extend(inner.map(|glm| glm.join("glm")));
    around.answers = source.answers(&setting.plan.archs);
    around.libs = libraries(setting, &root, toolkit.and_then(|toolkit| toolkit.lib.clone()), scratch)?;
    around.programs.push(root.join("bin"));
    if let Some(ninja) = setting.machine.ninja.first().and_then(|tool| tool.path.parent()) {
        around.programs.push(ninja.to_owned());
    }
    Ok(around)
}

/// Headers outside `<toolkit>/include`: conda's place, CCCL of 13.x (E11), and those of the CUDA libraries, which a
/// compiler-only toolkit lacks and torch's own packages hold.
fn includes(root: &Path, own: PathBuf, packages: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let has_libraries = own.join("cusparse.h").is_file();
    if own != root.join("include") {
        found.push(own.clone());
    }
    found.extend(Some(own.join("cccl")).filter(|cccl| cccl.is_dir()));
    if !has_libraries {
        // After the toolkit's own, so that its cuda_runtime.h and crt are the ones that count.
        found.insert(0, own);
        found.extend(packages.iter().cloned());
    }
    found
}

/// Where `-lcudart` is looked for: pip's packages hold only the name with a number (E08, E76).
fn libraries(setting: &Setting, root: &Path, own: Option<PathBuf>, scratch: &Path) -> Result<Vec<PathBuf>> {
    let mut candidates: Vec<PathBuf> = own.into_iter().collect();
    candidates.extend(["lib64", "lib", "lib/x64", "targets/x86_64-linux/lib"].map(|inner| root.join(inner)));
    candidates.retain(|folder| folder.is_dir());
    candidates.dedup();
    let link_name = if setting.machine.os == "windows" { "cudart.lib" } else { "libcudart.so" };
    if candidates.iter().any(|folder| folder.join(link_name).exists()) || cfg!(windows) {
        return Ok(candidates);
    }
    let of_torch = cuda_folders(&setting.plan.torch.root, LIBRARIES);
    let numbered = candidates.iter().chain(&of_torch).find_map(|folder| {
        let entries = fs::read_dir(folder).ok()?.flatten();
        entries.map(|entry| entry.path()).find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libcudart.so."))
        })
    });
    if let Some(library) = numbered {
        let folder = scratch.join("links");
        fs::create_dir_all(&folder)?;
        fs::copy(&library, folder.join("libcudart.so"))?;
        candidates.push(folder);
    }
    Ok(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_cuda_libraries_come_from_torch_only_where_the_toolkit_lacks_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("cuda");
        let own = root.join("include");
        fs::create_dir_all(own.join("cccl")).unwrap();
        let packages = [dir.path().join("nvidia/cu13/include")];
        assert_eq!(
            includes(&root, own.clone(), &packages),
            [own.clone(), own.join("cccl"), packages[0].clone()]
        );
        fs::write(own.join("cusparse.h"), "").unwrap();
        assert_eq!(includes(&root, own.clone(), &packages), [own.join("cccl")]);
    }
}
