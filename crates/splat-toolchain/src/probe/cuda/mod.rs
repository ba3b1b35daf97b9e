//! CUDA toolkits: every place one may lie in, what each is (version, parts, host compilers and architectures it
//! takes), and all the names that led to it. Listing only; which one is used is the plan's business.

mod files;

use std::path::{Path, PathBuf};

pub use self::files::{
    parse_cuda_h, parse_gpu_codes, parse_guards, parse_host_config, parse_nvcc_version, parse_version_json,
};
use self::files::{read_ceiling, read_guards};
use super::msvc;
use crate::{
    env::{Env, Os, real_path},
    machine::{Fact, Python, Toolkit},
    managed::ManagedState,
    tables,
    version::Version,
};

struct Candidate {
    root: PathBuf,
    source: String,
    explicit: bool,
    managed: bool,
}

/// In order of precedence; each real folder once. `asked` are folders that a request or a recorded choice names.
pub(crate) fn probe(
    env: &Env,
    pythons: &[Python],
    managed: &[ManagedState],
    asked: &[PathBuf],
) -> Vec<Toolkit> {
    let mut unique: Vec<(PathBuf, Vec<Candidate>)> = Vec::new();
    for candidate in candidates(env, pythons, managed, asked) {
        let real = real_path(&candidate.root);
        match unique.iter_mut().find(|(known, _)| *known == real) {
            Some((_, group)) => group.push(candidate),
            None => unique.push((real, vec![candidate])),
        }
    }
    std::thread::scope(|scope| {
        let handles: Vec<_> = unique.iter().map(|(_, group)| scope.spawn(move || read(env, group))).collect();
        handles.into_iter().filter_map(|handle| handle.join().ok().flatten()).collect()
    })
}

fn candidates(env: &Env, pythons: &[Python], managed: &[ManagedState], asked: &[PathBuf]) -> Vec<Candidate> {
    let mut list: Vec<Candidate> = Vec::new();
    let mut add = |root: PathBuf, source: String, explicit: bool, managed: bool| {
        if explicit || env.has_program(&root.join("bin").join(env.exe("nvcc"))) {
            list.push(Candidate { root, source, explicit, managed });
        }
    };
    for root in asked {
        add(root.clone(), "chosen with `cargo xtask switch cuda`".into(), true, false);
    }
    for name in ["CUDA_HOME", "CUDA_PATH"] {
        if let Some(value) = env.user(name) {
            let (root, remark) = normalise(env, value);
            // Windows installers set CUDA_PATH for the toolkit that came last: that is nobody's choice.
            let explicit = name == "CUDA_HOME" || env.os != Os::Windows;
            add(root, format!("{name}{remark}"), explicit, false);
        }
    }
    for (name, value) in env.vars_starting("CUDA_PATH_V") {
        add(PathBuf::from(value), name.to_owned(), false, false);
    }
    for nvcc in env.all_on_path("nvcc") {
        // A link in /usr/bin may lead to the toolkit's own folder: both are candidates, the latter first.
        let real = real_path(&nvcc);
        if real != nvcc
            && let Some(root) = real.parent().and_then(Path::parent)
        {
            add(root.to_owned(), "nvcc on PATH, links resolved".into(), false, false);
        }
        if let Some(root) = nvcc.parent().and_then(Path::parent) {
            add(root.to_owned(), "nvcc on PATH".into(), false, false);
        }
    }
    if let Some(conda) = env.var("CONDA_PREFIX").map(Path::new) {
        add(conda.to_owned(), "CONDA_PREFIX".into(), false, false);
        add(conda.join("Library"), "CONDA_PREFIX".into(), false, false);
    }
    if env.os == Os::Windows {
        let programs = env.var("ProgramFiles").map_or_else(|| env.place("Program Files"), PathBuf::from);
        for root in versioned(&programs.join("NVIDIA GPU Computing Toolkit/CUDA"), "v") {
            let source = root.display().to_string();
            add(root, source, false, false);
        }
        // Where an installer was told another folder.
        let key = r"HKLM\SOFTWARE\NVIDIA Corporation\GPU Computing Toolkit\CUDA";
        for root in msvc::registry_all(env, key, "InstallDir") {
            add(PathBuf::from(root), format!("registry, {key}"), false, false);
        }
    } else {
        add(env.place("/usr/local/cuda"), "/usr/local/cuda".into(), false, false);
        for root in versioned(&env.place("/usr/local"), "cuda-") {
            let source = format!("/usr/local/{}", root.file_name().unwrap_or_default().to_string_lossy());
            add(root, source, false, false);
        }
        for place in ["/opt/cuda", "/usr/lib/cuda", "/usr/lib/nvidia-cuda-toolkit", "/usr"] {
            add(env.place(place), place.into(), false, false);
        }
    }
    for folder in pythons.iter().flat_map(|python| &python.site_packages) {
        add(folder.join("nvidia/cu13"), "Python package nvidia-cuda-nvcc".into(), false, false);
    }
    for state in managed.iter().filter(|state| state.item.name.starts_with("cuda-")) {
        add(state.dir.join("nvidia/cu13"), "Splatwright's cache".into(), false, true);
    }
    list
}

/// Folders `<prefix>12.6` of `parent`, the newest first.
fn versioned(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(Version, PathBuf)> = fs_err::read_dir(parent)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, path))
        })
        .collect();
    found.sort_by(|a, b| b.0.cmp(&a.0));
    found.into_iter().map(|(_, path)| path).collect()
}

/// CUDA_HOME as people write it: a list, nvcc itself, or its bin folder (E05). What was changed is said.
fn normalise(env: &Env, value: &str) -> (PathBuf, &'static str) {
    let nvcc = env.exe("nvcc");
    let has_nvcc = |root: &Path| env.has_program(&root.join("bin").join(&nvcc));
    let whole = Path::new(value.trim());
    if has_nvcc(whole) {
        return (whole.to_owned(), "");
    }
    let separator = if env.os == Os::Windows { ';' } else { ':' };
    if let Some(part) = value.split(separator).map(str::trim).map(Path::new).find(|part| has_nvcc(part)) {
        return (part.to_owned(), " (one part of a list)");
    }
    for above in whole.ancestors().skip(1).take(2) {
        if whole.exists() && has_nvcc(above) {
            return (above.to_owned(), " (it names a part of the toolkit; its root is above)");
        }
    }
    (whole.to_owned(), "")
}

fn read(env: &Env, group: &[Candidate]) -> Option<Toolkit> {
    let root = &group.first()?.root;
    let nvcc = Some(root.join("bin").join(env.exe("nvcc"))).filter(|path| env.has_program(path));
    let include = first_dir(
        root,
        &["include", "targets/x86_64-linux/include", "targets/sbsa-linux/include"],
        "cuda_runtime.h",
    );
    let libraries = [
        "lib64",
        "lib",
        "targets/x86_64-linux/lib",
        "targets/sbsa-linux/lib",
        "lib/x86_64-linux-gnu",
        "lib/aarch64-linux-gnu",
        "lib/x64",
    ];
    let link_name = if env.os == Os::Windows { "cudart.lib" } else { "libcudart.so" };
    let library = if env.os == Os::Windows { "cudart_static.lib" } else { "libcudart_static.a" };
    let mut versions = Vec::new();
    if let Some(nvcc) = &nvcc
        && let Some(version) = env.run(nvcc, &["--version"]).as_deref().and_then(parse_nvcc_version)
    {
        versions.push(Fact::new(version, format!("{} --version", nvcc.display())));
    }
    let json = root.join("version.json");
    if let Some(version) = fs_err::read_to_string(&json).ok().as_deref().and_then(parse_version_json) {
        versions.push(Fact::new(version, json.display().to_string()));
    }
    let header = include.as_ref().map(|include| include.join("cuda.h"));
    if let Some(header) = header
        && let Some(version) = fs_err::read_to_string(&header).ok().as_deref().and_then(parse_cuda_h)
    {
        versions.push(Fact::new(version, header.display().to_string()));
    }
    let mut versions = versions.into_iter();
    let version = versions.next();
    let other_versions = versions
        .filter(|other| version.as_ref().is_some_and(|v| v.value.series() != other.value.series()))
        .collect();
    let listed = nvcc.as_ref().and_then(|nvcc| env.run(nvcc, &["--list-gpu-code"]));
    let mut gpu_codes = listed.map(|text| parse_gpu_codes(&text)).unwrap_or_default();
    if gpu_codes.is_empty()
        && let Some(version) = &version
    {
        gpu_codes = tables::gpu_codes(&version.value).to_vec();
    }
    let mut ceiling = include.as_deref().map(read_ceiling).unwrap_or_default();
    ceiling.cuda = version.as_ref().map(|fact| fact.value.series());
    Some(Toolkit {
        root: root.clone(),
        ceiling,
        links_cudart: first_dir(root, &libraries, link_name).is_some(),
        dll_folders: ["bin", "bin/x64", "bin/x86_64"]
            .iter()
            .map(|inner| root.join(inner))
            .filter(|folder| env.os == Os::Windows && has_runtime_dll(folder))
            .collect(),
        cccl: include.as_ref().map(|include| include.join("cccl")).filter(|cccl| cccl.is_dir()),
        guards: include.as_deref().map(read_guards).unwrap_or_default(),
        lib: first_dir(root, &libraries, library),
        nvcc,
        include,
        version,
        other_versions,
        gpu_codes,
        sources: group.iter().map(|candidate| candidate.source.clone()).collect(),
        explicit: group.iter().any(|candidate| candidate.explicit),
        managed: group.iter().any(|candidate| candidate.managed),
    })
}

fn has_runtime_dll(folder: &Path) -> bool {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("cudart64_"))
}

fn first_dir(root: &Path, folders: &[&str], file: &str) -> Option<PathBuf> {
    folders.iter().map(|folder| root.join(folder)).find(|folder| folder.join(file).is_file())
}
