//! What the plan is made for: the row, the engines that consent and sources allow, and what they are compiled from and with.

use super::{Choice, Sources};
use crate::{
    choose::Context,
    finding::{Finding, Severity},
    machine::{HostCeiling, Machine},
    managed::INRIA,
    request::{EngineName, Repo, Request, Settings},
    rows::{self, Row},
    tables,
};

pub(super) fn row(settings: &Settings, findings: &mut Vec<Finding>) -> Row {
    let asked = settings.row.as_deref().unwrap_or(rows::DEFAULT);
    Row::named(asked).unwrap_or_else(|| {
        let message = format!("there is no row `{asked}`; rows: {}", rows::names());
        findings.push(Finding::new("S12", Severity::Error, message).hint("cargo xtask switch list"));
        rows::ROWS.iter().find(|row| row.name == rows::DEFAULT).copied().unwrap_or(rows::ROWS[0])
    })
}

/// Whether the original's licence was accepted: by this call, by the environment, or on record.
pub(super) fn consent(machine: &Machine, request: &Request, repo: &Repo) -> bool {
    let by_env = machine.user_env.get("SPLATWRIGHT_ACCEPT_LICENSE");
    let by_env = by_env.is_some_and(|list| list.split([',', ';', ' ']).any(|name| name.trim() == "inria"));
    request.accept_inria || by_env || repo.consent.is_some()
}

pub(super) fn engines(
    settings: &Settings,
    consent: bool,
    repo: &Repo,
    findings: &mut Vec<Finding>,
) -> Vec<EngineName> {
    let asked = settings.engines.as_deref().unwrap_or_default();
    let mut engines = match asked {
        [] => {
            let mut all = vec![EngineName::Cpu];
            all.extend(repo.own_kernels.then_some(EngineName::Cuda));
            all.extend(consent.then_some(EngineName::Inria));
            all
        }
        asked => asked.to_vec(),
    };
    if !engines.contains(&EngineName::Cpu) {
        engines.push(EngineName::Cpu); // the reference that every other engine is held against
    }
    engines.sort_unstable();
    engines.dedup();
    if !consent && (asked.is_empty() || engines.contains(&EngineName::Inria)) {
        let severity = if asked.is_empty() { Severity::Info } else { Severity::Warning };
        let message = "the engine `inria` is left out: its sources are licensed for non-commercial research, and that has not been accepted yet";
        findings.push(
            Finding::new("S04", severity, message)
                .evidence("neither vendor/consent.toml nor SPLATWRIGHT_ACCEPT_LICENSE names inria")
                .hint("cargo xtask build --accept-license inria"),
        );
        engines.retain(|engine| *engine != EngineName::Inria);
    }
    if engines.contains(&EngineName::Cuda) && !repo.own_kernels {
        findings.push(
            Finding::new(
                "S13",
                Severity::Error,
                "the engine `cuda` was asked for, and this tree does not hold our kernels",
            )
            .evidence("no crates/splat-cuda/kernels/*.cu")
            .hint("cargo xtask build --engines cpu,inria"),
        );
        engines.retain(|engine| *engine != EngineName::Cuda);
    }
    engines
}

/// What the compiler and the architectures are chosen against.
pub(super) struct ToolkitFacts {
    pub(super) name: String,
    pub(super) ceiling: HostCeiling,
    pub(super) gpu_codes: Vec<u32>,
}

pub(super) fn toolkit(machine: &Machine, cuda: &Choice) -> Option<ToolkitFacts> {
    let (path, version) = cuda.path().zip(cuda.version())?;
    let name = format!("CUDA {}", version.series());
    let found = machine.toolkits.iter().find(|toolkit| toolkit.root == path && !toolkit.gpu_codes.is_empty());
    Some(match found {
        Some(toolkit) => {
            ToolkitFacts { name, ceiling: toolkit.ceiling.clone(), gpu_codes: toolkit.gpu_codes.clone() }
        }
        // Ours, and not here yet.
        None => ToolkitFacts {
            name,
            ceiling: tables::managed_ceiling(),
            gpu_codes: tables::gpu_codes(version).to_vec(),
        },
    })
}

pub(super) fn sources(context: &Context<'_>) -> Sources {
    if !context.engines.contains(&EngineName::Inria) {
        return Sources::Unneeded;
    }
    if let Some(path) = &context.repo.checkout {
        return Sources::Checkout { path: path.clone() };
    }
    match context.managed(INRIA) {
        Some((dir, present)) => Sources::Pinned { item: INRIA, dir, present },
        None => Sources::Unneeded,
    }
}
