//! Rules: each a pure function of the facts and the plan that says what would go wrong, under a code of the
//! catalogue. Rules that decide between candidates live with the choosers (`choose`); these look at the whole.

mod common;
pub mod ext;
pub mod tree;

use crate::{
    finding::{Finding, Severity},
    machine::{Fact, Machine, Torch},
    managed::ManagedItem,
    paths,
    plan::{Choice, Plan, Sources},
    request::{Repo, Request},
    version::Version,
};

/// The oldest Rust that the workspace is written for, as its Cargo.toml says.
const MIN_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// Every rule, in the order in which a build would meet them.
pub fn all(machine: &Machine, request: &Request, repo: &Repo, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(rust(machine));
    findings.extend(python(machine, plan));
    findings.extend(toolchain_file(repo, plan));
    findings.extend(lock(request, repo, plan));
    findings.extend(torch(machine, plan));
    findings.extend(torch_sys_overrides(machine));
    findings.extend(cuda_facts(machine, plan));
    findings.extend(torch_sys(machine, plan));
    findings.extend(common::driver(machine, plan.cuda.version(), &plan.archs));
    if let Ok(cuda) = plan.row.cuda.parse() {
        findings.extend(common::driver_for_torch(machine, &cuda, plan.row.torch));
    }
    findings.extend(common::driver_library(machine));
    let toolkit = machine.toolkits.iter().find(|toolkit| Some(toolkit.root.as_path()) == plan.cuda.path());
    findings.extend(common::glibc(machine, plan.cuda.version(), toolkit));
    findings.extend(common::native(machine));
    findings.extend(common::environments(machine));
    findings.extend(paths_of(machine));
    findings.extend(common::silent(machine));
    findings.extend(sources(plan));
    findings.extend(common::memory(machine, plan.jobs));
    findings.extend(to_bring(machine, request, plan));
    findings.extend(damaged(machine, plan));
    findings
}

/// S10: the Rust that builds this is older than the workspace asks for.
pub fn rust(machine: &Machine) -> Option<Finding> {
    let rustc = machine.rustc.as_ref()?;
    let least = MIN_RUST.parse::<Version>().ok()?;
    (rustc.version < least).then(|| {
        Finding::new(
            "S10",
            Severity::Error,
            format!("Rust {} is older than the {least} this workspace is written for", rustc.version),
        )
        .evidence(rustc.path.display().to_string())
        .hint("rustup update stable")
    })
}

/// S01: nothing could bring packages (an error only if the plan has something to bring).
pub fn python(machine: &Machine, plan: &Plan) -> Option<Finding> {
    if plan.python.is_some() {
        return None;
    }
    let needed = !plan.to_bring().is_empty();
    let severity = if needed { Severity::Error } else { Severity::Warning };
    let (why, hint) = match machine.pythons.iter().find(|python| python.version.major() == 3) {
        None => ("there is no Python 3 on PATH".to_owned(), "Debian and Ubuntu: `sudo apt install python3 python3-pip python3-venv`".to_owned()),
        Some(python) if python.has_pip == Some(false) => (
            format!("{} has no pip", python.path.display()),
            "Debian and Ubuntu: `sudo apt install python3-pip python3-venv`; elsewhere: `python3 -m ensurepip`".to_owned(),
        ),
        Some(python) => (
            format!("Python {} has no wheels of torch {} (they are for {})", python.version, plan.row.torch, plan.row.python_range()),
            format!("install a Python from {} (it is found as python3.N on PATH), or choose another row: `cargo xtask switch list`", plan.row.python_range()),
        ),
    };
    Some(
        Finding::new("S01", severity, why)
            .evidence("VIRTUAL_ENV, CONDA_PREFIX, python3, python and python3.N on PATH, pyenv")
            .hint(hint),
    )
}

/// S14: `.cargo/toolchain.toml` cannot be read, or names a torch that is gone; S16: it says another plan than this.
pub fn toolchain_file(repo: &Repo, plan: &Plan) -> Option<Finding> {
    let finding =
        |code, severity, message: String| Finding::new(code, severity, message).evidence(crate::config::PATH);
    if let Some(error) = &repo.toolchain_error {
        return Some(
            finding("S14", Severity::Broken, error.clone())
                .hint("delete .cargo/toolchain.toml, then `cargo xtask build`"),
        );
    }
    let named = repo.toolchain_env.get("LIBTORCH");
    let planned = plan.torch.path().map(|path| path.display().to_string());
    // What `switch` named ahead of its arrival is not gone.
    if let Some(named) = named.filter(|named| repo.torch_gone && Some(*named) != planned.as_ref()) {
        let message = format!("cargo is told to use the torch at {named}, which no longer exists");
        return Some(finding("S14", Severity::Warning, message).hint("`cargo xtask build` chooses again"));
    }
    let written = repo.toolchain_env.get("SPLATWRIGHT_FINGERPRINT")?;
    (*written != plan.fingerprint).then(|| {
        let message = "plain cargo and editors still use an earlier plan".to_owned();
        finding("S16", Severity::Info, message).hint("`cargo xtask build` puts this one in force")
    })
}

/// E101: one tch fits exactly one libtorch, and the lock holds another row's.
pub fn lock(request: &Request, repo: &Repo, plan: &Plan) -> Option<Finding> {
    let locked = repo.tch_locked.as_ref()?;
    if *locked == plan.row.tch_version() {
        return None;
    }
    // Asking for a row moves the lock; finding another one in it without being asked is somebody's mistake.
    let severity = if request.row.is_some() { Severity::Info } else { Severity::Error };
    let message =
        format!("Cargo.lock holds tch {locked}, and torch {} goes with tch {}", plan.row.torch, plan.row.tch);
    Some(
        Finding::new("E101", severity, message)
            .evidence("Cargo.lock")
            .hint(format!("cargo xtask switch torch {}", plan.row.name)),
    )
}

/// E04: a CPU-only torch under CUDA engines; E72 is prevented by the plan itself, which passes torch's own ABI.
pub fn torch(machine: &Machine, plan: &Plan) -> Option<Finding> {
    let path = plan.torch.path()?;
    let torch = machine.torches.iter().find(|torch| torch.root == path)?;
    let cpu_only = torch.cuda.is_none() && plan.engines.iter().any(|engine| engine.needs_cuda());
    cpu_only.then(|| {
        let message = format!("torch {} was built without CUDA: CUDA engines are built and checked, but `tch` cannot hand them tensors", torch.full_version);
        Finding::new("E04", Severity::Warning, message)
            .evidence(torch.root.join("version.py").display().to_string())
            .hint(format!("install the CUDA build of torch {}, or deactivate that environment and run `cargo xtask build`", plan.row.torch))
    })
}

/// S11: variables that make torch-sys look elsewhere than the plan says.
pub fn torch_sys_overrides(machine: &Machine) -> Vec<Finding> {
    ["LIBTORCH_USE_PYTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_LIB"]
        .into_iter()
        .filter_map(|name| Some((name, machine.user_env.get(name)?)))
        .map(|(name, value)| {
            Finding::new(
                "S11",
                Severity::Error,
                format!("{name} is set, and with it torch-sys ignores the torch that the plan chose"),
            )
            .evidence(format!("{name}={value}"))
            .hint(format!("unset {name}; to choose a torch yourself, export LIBTORCH=<its folder>"))
        })
        .collect()
}

/// The torch of the plan, if it is here.
fn planned_torch<'a>(machine: &'a Machine, plan: &Plan) -> Option<&'a Torch> {
    machine.torches.iter().find(|torch| Some(torch.root.as_path()) == plan.torch.path())
}

/// The CUDA of the plan's torch.
fn torch_version(machine: &Machine, plan: &Plan) -> Option<Version> {
    match planned_torch(machine, plan) {
        Some(torch) => torch.cuda.clone(),
        None => plan.row.cuda.parse().ok(),
    }
}

/// E102: the user's LIBTORCH_CXX11_ABI contradicts torch; E104: TORCH_CUDA_VERSION asks for what torch-sys cannot
/// fetch; E105: torch's headers demand more than the C++17 that torch-sys passes.
pub fn torch_sys(machine: &Machine, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    let torch = planned_torch(machine, plan);
    let says = torch.map_or(plan.row.cxx11_abi, |torch| torch.cxx11_abi.unwrap_or(true));
    if let Some(value) = machine.user_env.get("LIBTORCH_CXX11_ABI")
        && (value == "1") != says
    {
        let message =
            format!("LIBTORCH_CXX11_ABI is {value}, and torch {} has {}", plan.row.torch, u8::from(says));
        findings.push(
            Finding::new("E102", Severity::Error, message)
                .evidence(format!("LIBTORCH_CXX11_ABI={value}"))
                .hint("unset LIBTORCH_CXX11_ABI"),
        );
    }
    let fetchable = ["cpu", "cu118", "cu121", "cu124", "cu126", "cu128"];
    if let Some(value) =
        machine.user_env.get("TORCH_CUDA_VERSION").filter(|value| !fetchable.contains(&value.as_str()))
    {
        findings.push(
            Finding::new(
                "E104",
                Severity::Warning,
                format!(
                    "TORCH_CUDA_VERSION is {value}, which torch-sys does not know ({})",
                    fetchable.join(", ")
                ),
            )
            .evidence(format!("TORCH_CUDA_VERSION={value}"))
            .hint("unset TORCH_CUDA_VERSION: torch is found or brought by `cargo xtask build`"),
        );
    }
    if let Some(torch) = torch.filter(|torch| torch.cxx_standard.is_some_and(|standard| standard > 17)) {
        let message = format!(
            "torch {} demands C++20, and torch-sys {} compiles with C++17",
            torch.full_version, plan.row.tch
        );
        findings.push(
            Finding::new("E105", Severity::Error, message)
                .evidence(torch.root.join("include/ATen/ATen.h").display().to_string())
                .hint("`cargo xtask switch torch 2.11`, and unset LIBTORCH"),
        );
    }
    findings
}

/// E91, E92: the repository's own path, where that matters (Windows).
pub fn paths_of(machine: &Machine) -> Vec<Finding> {
    let windows = machine.os == "windows";
    let long = machine.long_paths.as_ref().is_some_and(|fact| fact.value);
    let folders = machine
        .folders
        .iter()
        .filter(|folder| windows && matches!(folder.role.as_str(), "repository" | "cache"));
    folders
        .flat_map(|folder| tree::hazards(&Fact::new(folder.path.display().to_string(), format!("the {}'s path", folder.role)), true))
        .filter(|(code, _)| *code != "E56" && !(*code == "E92" && long))
        .map(|(code, what)| {
            Finding::new(code, Severity::Warning, what)
                .evidence("the folder's name")
                .hint("move it to a short path without spaces, such as C:\\w; or set SPLATWRIGHT_HOME for the cache")
        })
        .collect()
}

/// E01/E02: toolkit and torch differ, which is fatal elsewhere and harmless here; E13: a toolkit contradicts itself.
pub fn cuda_facts(machine: &Machine, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some((path, version)) = plan.cuda.path().zip(plan.cuda.version()) else { return findings };
    if let Some(torch_cuda) = torch_version(machine, plan)
        && torch_cuda.series() != version.series()
    {
        let code = if torch_cuda.major() == version.major() { "E02" } else { "E01" };
        let message = format!(
            "the toolkit is CUDA {}, torch was built with {}: harmless here, because the kernels never see torch and carry their own runtime",
            version.series(),
            torch_cuda.series()
        );
        findings.push(Finding::new(code, Severity::Info, message).evidence(path.display().to_string()));
    }
    let toolkit = machine.toolkits.iter().find(|toolkit| toolkit.root == path);
    findings.extend(toolkit.and_then(common::contradiction));
    findings.extend(common::three_numbers(machine, Some(version), torch_version(machine, plan).as_ref()));
    findings
}

/// S09: sources that nothing pins.
pub fn sources(plan: &Plan) -> Option<Finding> {
    let Sources::Checkout { path } = &plan.sources else { return None };
    Some(
        Finding::new(
            "S09",
            Severity::Info,
            "the original rasterizer is built from your own checkout, whose contents are not pinned",
        )
        .evidence(path.display().to_string())
        .hint("move it away to build the pinned sources"),
    )
}

/// S05: what will be brought; S07: and must not, or does not fit on the disk.
pub fn to_bring(machine: &Machine, request: &Request, plan: &Plan) -> Vec<Finding> {
    let items = plan.to_bring();
    let Some(first) = items.first() else { return Vec::new() };
    let names: Vec<&str> = items.iter().map(|(item, _)| item.name).collect();
    let bytes: u64 = items.iter().map(|(item, _)| item.bytes).sum();
    let gb = |bytes: u64| bytes as f64 / 1e9;
    let mut findings = Vec::new();
    let folder = paths::parent(&first.1).map(|dir| dir.display().to_string()).unwrap_or_default();
    if request.offline {
        findings.push(
            Finding::new(
                "S08",
                Severity::Error,
                format!("not in the cache: {}; `--offline` forbids fetching", names.join(", ")),
            )
            .evidence(folder.clone())
            .hint(
                "run `cargo xtask build` once with a network, or copy that folder from a machine that has it",
            ),
        );
    } else {
        let message =
            format!("`cargo xtask build` brings {} (about {:.1} GB on disk)", names.join(", "), gb(bytes));
        findings.push(Finding::new("S05", Severity::Info, message).evidence(folder));
    }
    if let Some(disk) =
        machine.disks.iter().find(|disk| disk.holds == "cache" && disk.free < bytes + bytes / 2)
    {
        // Packages lie beside their unpacked files for a while.
        let message = format!(
            "{:.1} GB are free where the cache lies, and bringing {} takes about {:.1} GB",
            gb(disk.free),
            names.join(", "),
            gb(bytes + bytes / 2)
        );
        findings.push(
            Finding::new("S03", Severity::Error, message)
                .evidence(disk.path.display().to_string())
                .hint("free some space (`cargo xtask clean --cache --dry-run` lists ours), or set SPLATWRIGHT_HOME to a larger disk"),
        );
    }
    findings
}

/// S15: an incomplete installation in the cache, where the plan's own would be.
pub fn damaged(machine: &Machine, plan: &Plan) -> Vec<Finding> {
    let planned = |item: &ManagedItem| {
        let choices = [&plan.torch, &plan.cuda, &plan.cmake, &plan.ninja];
        choices.into_iter().any(|choice| matches!(choice, Choice::Managed { item: ours, .. } if ours == item))
    };
    machine
        .managed
        .iter()
        .filter(|state| !state.lacks.is_empty() && planned(&state.item))
        .map(|state| {
            let message = format!(
                "{} in the cache is incomplete: {} is missing",
                state.item.name,
                state.lacks.join(", ")
            );
            Finding::new("S15", Severity::Warning, message)
                .evidence(state.dir.display().to_string())
                .hint("`cargo xtask build` installs it again")
        })
        .collect()
}
