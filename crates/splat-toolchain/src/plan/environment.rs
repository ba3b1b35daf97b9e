//! The plan as variables for cargo, and its fingerprint.

use std::{collections::BTreeMap, path::Path};

use sha2::{Digest, Sha256};

use super::{Choice, ENGINES, Plan, Sources};
use crate::{machine::Machine, managed::hex};

/// Two plans with one fingerprint compile the same kernels, given the same sources.
pub(super) fn fingerprint(machine: &Machine, plan: &Plan) -> String {
    let choice = |choice: &Choice| match (choice.version(), choice.path()) {
        (Some(version), Some(path)) => format!("{version} {}", path.display()),
        _ => "none".into(),
    };
    let compiler = plan.host_compiler.as_ref();
    let compiler =
        compiler.map(|c| format!("{:?} {} {}", c.kind, c.version, c.path.display())).unwrap_or_default();
    let mut text = format!(
        "format 1\ncuda {}\ntorch {}\nabi {}\nhost {compiler}\nsass {:?}\nptx {:?}\n",
        choice(&plan.cuda),
        plan.torch.version().map(ToString::to_string).unwrap_or_default(),
        abi(machine, plan),
        plan.archs,
        plan.ptx,
    );
    for name in ["CXXFLAGS", "NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS"] {
        text += &format!("{name} {}\n", machine.user_env.get(name).map(String::as_str).unwrap_or_default());
    }
    hex(&Sha256::digest(text.as_bytes()))
}

/// `_GLIBCXX_USE_CXX11_ABI` of the chosen torch: what it says itself, else what the row's wheels have.
fn abi(machine: &Machine, plan: &Plan) -> bool {
    let torch = machine.torches.iter().find(|torch| Some(torch.root.as_path()) == plan.torch.path());
    torch.map_or(plan.row.cxx11_abi, |torch| torch.cxx11_abi.unwrap_or(true))
}

pub(super) fn env(
    machine: &Machine,
    plan: &Plan,
    viewer: Option<&Path>,
    repo: &Path,
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    let shown = |path: &Path| path.display().to_string();
    let list = |items: Vec<String>, separator: &str| items.join(separator);

    // What the user exported stays the user's: written down, it could not be told from ours next time.
    let explicit_torch = machine.torches.iter().any(|torch| torch.explicit);
    if let Some(path) = plan.torch.path() {
        if !explicit_torch {
            set("LIBTORCH", shown(path));
        }
        let abi = abi(machine, plan);
        set("LIBTORCH_CXX11_ABI", u8::from(abi).to_string());
        if !abi && machine.os == "linux" {
            // For cxx and our own shim; torch-sys sets it itself. The target's own variable adds to the user's CXXFLAGS.
            set(&format!("CXXFLAGS_{}_unknown_linux_gnu", machine.arch), "-D_GLIBCXX_USE_CXX11_ABI=0".into());
        }
        if plan.torch.version().is_some_and(|version| plan.row.needs_bypass(version)) {
            set("LIBTORCH_BYPASS_VERSION_CHECK", "1".into());
        }
    }
    set("SPLATWRIGHT_ROW", plan.row.name.into());
    // Where every program and test that cargo starts looks for engine libraries. Written as the planned machine writes
    // paths, which need not be this one.
    let engines = format!("{}/{}", plan.target_dir, ENGINES);
    set(
        "SPLAT_ENGINES",
        match (repo.as_os_str().is_empty(), machine.os.as_str()) {
            (true, _) => engines,
            (false, "windows") => format!(r"{}\{}", repo.display(), engines.replace('/', r"\")),
            (false, _) => format!("{}/{engines}", repo.display()),
        },
    );
    set("SPLATWRIGHT_FINGERPRINT", plan.fingerprint.clone());
    if let Some(path) = plan.cuda.path() {
        set("SPLATWRIGHT_CUDA_HOME", shown(path));
        set("SPLATWRIGHT_CUDA_ARCHS", list(plan.archs.iter().map(ToString::to_string).collect(), ";"));
        if let Some(compiler) = plan.host_compiler.as_ref().filter(|compiler| !compiler.explicit) {
            set("CUDAHOSTCXX", shown(&compiler.path));
        }
    }
    for (name, path) in [
        ("SPLATWRIGHT_CMAKE", plan.cmake.path()),
        ("SPLATWRIGHT_NINJA", plan.ninja.path()),
        ("SPLATWRIGHT_INRIA_SOURCE", plan.sources.path()),
        ("SPLATWRIGHT_VIEWER", viewer),
    ] {
        if let Some(path) = path {
            set(name, shown(path));
        }
    }
    if let Sources::Pinned { item, .. } = &plan.sources {
        set("SPLATWRIGHT_INRIA_VERSION", item.version.into());
    }
    env
}
