//! What would go wrong when another project's torch extension is built on this machine: rules that look at the
//! machine, the extension's plan and, where given, its sources. Findings of the plan itself (which toolkit, which
//! compiler) come from [`crate::ext`]; what the build mends by itself is told as information.

mod compilers;
mod target;
mod toolkits;

use std::path::Path;

use self::{
    compilers::{parameter_packs, torch_table, two_compilers, visual_studio},
    target::{arch_list, gpu_against_torch, locks, python_parts, two_majors},
    toolkits::{conda, first_pick, layout, moved_dlls},
};
use super::{
    common,
    tree::{self, Against, Tree},
};
use crate::{
    ext::ExtPlan,
    ext_setup,
    finding::{Finding, Severity},
    machine::{Machine, Python, Toolkit, Torch},
};

/// The torch that an extension would be built for: that of the named interpreter, else of the first active one.
pub fn torch_of<'a>(machine: &'a Machine, python: Option<&Path>) -> Option<&'a Torch> {
    let usable = |torch: &&Torch| !torch.inactive && !torch.managed && !torch.full_version.is_empty();
    let mut of_python = machine.torches.iter().filter(usable).filter(|torch| torch.python.is_some());
    match python {
        Some(path) => of_python.find(|torch| torch.python.as_deref() == Some(path)),
        None => of_python.next(),
    }
}

/// S18: there is no torch to build for.
pub fn no_torch(machine: &Machine) -> Finding {
    let asked: Vec<String> = machine
        .pythons
        .iter()
        .filter(|python| python.has_pip.is_some())
        .map(|python| python.path.display().to_string())
        .collect();
    let inactive = machine.torches.iter().find(|torch| torch.inactive);
    let hint = match inactive {
        Some(torch) => format!(
            "activate the environment that holds it ({}), or name its interpreter with `--python`",
            torch.source
        ),
        None => "`cargo xtask torch plan --cuda 13.0` names the wheels for this interpreter".into(),
    };
    Finding::new(
        "S18",
        Severity::Error,
        "no active Python has torch: there is nothing to build an extension for",
    )
    .evidence(asked.join(", "))
    .hint(hint)
}

/// Everything the rules look at.
struct Facts<'a> {
    machine: &'a Machine,
    plan: &'a ExtPlan,
    python: Option<&'a Python>,
    toolkit: Option<&'a Toolkit>,
    windows: bool,
}

/// Every rule, with the plan's own findings before them; each code and message once, the heaviest first.
pub fn all(machine: &Machine, plan: &ExtPlan, sources: Option<&Tree>) -> Vec<Finding> {
    let toolkit = machine.toolkits.iter().find(|toolkit| Some(toolkit.root.as_path()) == plan.cuda.path());
    let of_torch = |python: &&Python| plan.torch.python.as_deref() == Some(python.path.as_path());
    let facts = Facts {
        machine,
        plan,
        python: machine.pythons.iter().find(of_torch),
        toolkit,
        windows: machine.os == "windows",
    };
    let mut found = plan.findings.clone();
    found.extend(first_pick(&facts));
    found.extend(common::three_numbers(machine, plan.cuda.version(), plan.torch.cuda.as_ref()));
    found.extend(layout(&facts));
    found.extend(conda(&facts));
    found.extend(moved_dlls(&facts));
    found.extend(toolkit.and_then(common::contradiction));
    found.extend(torch_table(&facts));
    found.extend(two_compilers(&facts));
    found.extend(parameter_packs(&facts));
    found.extend(toolkit.and_then(|toolkit| {
        common::glibc(machine, toolkit.version.as_ref().map(|fact| &fact.value), Some(toolkit))
    }));
    found.extend(visual_studio(&facts));
    found.extend(gpu_against_torch(&facts));
    found.extend(arch_list(&facts));
    found.extend(common::native(machine));
    found.extend(common::driver(machine, plan.cuda.version(), &plan.archs));
    found.extend(
        plan.torch
            .cuda
            .as_ref()
            .and_then(|cuda| common::driver_for_torch(machine, cuda, &plan.torch.full_version)),
    );
    found.extend(common::driver_library(machine));
    found.extend(two_majors(&facts));
    found.extend(python_parts(&facts));
    found.extend(common::environments(machine));
    found.extend(common::memory(machine, plan.jobs));
    found.extend(locks(machine));
    found.extend(common::code_page(machine));
    found.extend(common::silent(machine));
    if let Some(sources) = sources {
        let against = Against {
            windows: facts.windows,
            mismatched: plan.mismatched(),
            torch: Some(&plan.torch),
            toolkit,
            python: facts.python,
        };
        found.extend(tree::all(sources, &against));
        if machine.gpus.is_empty() && !plan.archs.is_empty() {
            found.extend(ext_setup::answered(sources.setup(), &plan.arch_list()));
        }
    }
    let mut once: Vec<Finding> = Vec::new();
    for finding in found {
        if !once.iter().any(|known| known.code == finding.code && known.message == finding.message) {
            once.push(finding);
        }
    }
    once.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    once
}

fn info(code: &str, message: impl Into<String>, evidence: impl Into<String>) -> Finding {
    Finding::new(code, Severity::Info, message).evidence(evidence)
}
