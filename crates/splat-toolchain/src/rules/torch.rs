//! Rules of our own build about torch, torch-sys and the CUDA between them.

use super::common;
use crate::{
    finding::{Finding, Severity},
    machine::{Machine, Torch},
    plan::Plan,
    version::Version,
};

/// E04: a CPU-only torch under CUDA engines; E72 is prevented by the plan itself, which passes torch's own ABI.
pub(super) fn torch(machine: &Machine, plan: &Plan) -> Option<Finding> {
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
pub(super) fn torch_sys_overrides(machine: &Machine) -> Vec<Finding> {
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
pub(super) fn torch_sys(machine: &Machine, plan: &Plan) -> Vec<Finding> {
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

/// E01/E02: toolkit and torch differ, which is fatal elsewhere and harmless here; E13: a toolkit contradicts itself.
pub(super) fn cuda_facts(machine: &Machine, plan: &Plan) -> Vec<Finding> {
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
