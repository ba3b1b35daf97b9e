//! Rules: each a pure function of the facts and the plan that says what would go wrong, under a code of the
//! catalogue. Rules that decide between candidates live with the choosers (`choose`); these look at the whole.

mod bring;
mod common;
pub mod ext;
mod torch;
pub mod tree;

use self::bring::{damaged, sources, to_bring};
use self::torch::{cuda_facts, torch, torch_sys, torch_sys_overrides};
use crate::{
    finding::{Finding, Severity},
    machine::{Fact, Machine},
    plan::Plan,
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
fn rust(machine: &Machine) -> Option<Finding> {
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
fn python(machine: &Machine, plan: &Plan) -> Option<Finding> {
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
fn toolchain_file(repo: &Repo, plan: &Plan) -> Option<Finding> {
    let finding =
        |code, severity, message: String| Finding::new(code, severity, message).evidence(crate::config::PATH);
    if let Some(error) = &repo.toolchain_error {
        return Some(
            finding("S14", Severity::Broken, error.clone())
                .hint("move .cargo/toolchain.toml elsewhere (it holds what was chosen by hand), then `cargo xtask build`"),
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
fn lock(request: &Request, repo: &Repo, plan: &Plan) -> Option<Finding> {
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

/// E91, E92: the repository's own path, where that matters (Windows).
fn paths_of(machine: &Machine) -> Vec<Finding> {
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
