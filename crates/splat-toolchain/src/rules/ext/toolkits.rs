//! The toolkit of an extension: which one torch itself would take, and where its parts lie.

use std::path::Path;

use super::{Facts, info};
use crate::{
    finding::{Finding, Severity},
    machine::Toolkit,
    version::Version,
};

/// E06: torch's own search ends at another toolkit, which it then refuses; E10: at one that is too old for its flags.
pub(super) fn first_pick(facts: &Facts<'_>) -> Option<Finding> {
    let chosen = facts.toolkit?;
    let toolkits = &facts.machine.toolkits;
    let stated = |name: &str| {
        toolkits.iter().find(|toolkit| toolkit.sources.iter().any(|source| source.starts_with(name)))
    };
    let usual = || {
        let version = |toolkit: &&Toolkit| toolkit.version.as_ref().map(|fact| fact.value.clone());
        if facts.windows {
            // The first of a sorted list of folders is the lowest version.
            toolkits
                .iter()
                .filter(|t| t.sources.iter().any(|s| s.contains("NVIDIA GPU Computing Toolkit")))
                .min_by_key(version)
        } else {
            toolkits.iter().find(|toolkit| toolkit.sources.iter().any(|source| source == "/usr/local/cuda"))
        }
    };
    let first = ["CUDA_HOME", "CUDA_PATH", "nvcc on PATH"].into_iter().find_map(|name| {
        if name == "CUDA_PATH" {
            return toolkits
                .iter()
                .find(|t| t.sources.iter().any(|s| s == name || s.starts_with("CUDA_PATH (")));
        }
        stated(name)
    });
    let first = first.or_else(usual)?;
    let version = first.version.as_ref().map(|fact| &fact.value)?;
    if first.root == chosen.root {
        return None;
    }
    let by = first.sources.first().cloned().unwrap_or_default();
    if *version < Version::new(&[11]) {
        let message = format!(
            "left to itself, torch would use CUDA {version} ({by}), which does not know its flags; it is given {}",
            chosen.root.display()
        );
        return Some(info("E10", message, first.root.display().to_string()));
    }
    let of_torch = facts.plan.torch.cuda.as_ref()?;
    (version.major() != of_torch.major()).then(|| {
        let message = format!(
            "left to itself, torch would use CUDA {} ({by}) and stop, as it was built with {of_torch}; it is given {}",
            version.series(),
            chosen.root.display()
        );
        info("E06", message, first.root.display().to_string())
    })
}

/// E08: folders that torch does not pass; E76: a name that linkers look for and that is not there.
pub(super) fn layout(facts: &Facts<'_>) -> Vec<Finding> {
    let Some(toolkit) = facts.toolkit else { return Vec::new() };
    let mut found = Vec::new();
    let usual = crate::paths::join(&toolkit.root, "include");
    let debian = toolkit.root == Path::new("/usr");
    if let Some(include) = toolkit.include.as_ref().filter(|include| **include != usual || debian) {
        let message = format!(
            "the toolkit's headers lie in {}, where torch does not look; the folder is passed",
            include.display()
        );
        found.push(info("E08", message, toolkit.root.display().to_string()));
    }
    if !toolkit.links_cudart && !facts.windows {
        let message = "the toolkit has no libcudart.so without a number, which linkers look for; a link is made in the build's own folder";
        found.push(info("E76", message, toolkit.lib.as_ref().unwrap_or(&toolkit.root).display().to_string()));
    }
    found
}

/// E09: conda's package of libraries for running programs.
pub(super) fn conda(facts: &Facts<'_>) -> Option<Finding> {
    let version = facts.machine.conda_packages.get("cudatoolkit")?;
    let prefix = facts.machine.user_env.get("CONDA_PREFIX")?;
    let has_nvcc = facts.machine.conda_packages.contains_key("cuda-nvcc");
    let severity = if facts.toolkit.is_none() { Severity::Error } else { Severity::Info };
    (!has_nvcc).then(|| {
        Finding::new("E09", severity, format!("conda's cudatoolkit {version} has no compiler"))
            .evidence(format!("{prefix}, conda-meta"))
            .hint(format!("`conda install -c nvidia/label/cuda-{version} cuda-nvcc cuda-cudart-dev`"))
    })
}

/// E12: DLLs below bin.
pub(super) fn moved_dlls(facts: &Facts<'_>) -> Option<Finding> {
    let toolkit = facts.toolkit.filter(|_| facts.windows)?;
    let below = toolkit.dll_folders.iter().find(|folder| crate::paths::file_name(folder) != "bin")?;
    let message = format!("the toolkit's DLLs lie in {}; the folder is added", below.display());
    Some(info("E12", message, toolkit.root.display().to_string()))
}
