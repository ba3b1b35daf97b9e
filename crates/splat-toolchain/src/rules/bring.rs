//! Rules of our own build about what it fetches and what lies in the cache.

use crate::{
    finding::{Finding, Severity},
    machine::Machine,
    managed::ManagedItem,
    paths,
    plan::{Choice, Plan, Sources},
    request::Request,
};

/// S09: sources that nothing pins.
pub(super) fn sources(plan: &Plan) -> Option<Finding> {
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
pub(super) fn to_bring(machine: &Machine, request: &Request, plan: &Plan) -> Vec<Finding> {
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
pub(super) fn damaged(machine: &Machine, plan: &Plan) -> Vec<Finding> {
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
