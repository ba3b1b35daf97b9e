//! What an extension is built for: GPUs, the Python environment, and what other builds left there.

use super::{Facts, info};
use crate::{
    finding::{Finding, Severity},
    machine::Machine,
    torch_checks,
    version::Version,
};

/// E51: torch has no code that this GPU runs.
pub(super) fn gpu_against_torch(facts: &Facts<'_>) -> Option<Finding> {
    let codes = &facts.plan.torch.gpu_codes;
    let newest = *codes.last()?;
    let gpu = facts
        .machine
        .gpus
        .iter()
        .find(|gpu| gpu.arch > newest && crate::choose::archs::code_for(gpu.arch, codes).is_none())?;
    let listed: Vec<String> = codes.iter().map(|code| format!("sm_{code}")).collect();
    let message = format!(
        "{} is sm_{}, and torch {} supports GPUs up to sm_{newest}: torch's own kernels do not run on it",
        gpu.name, gpu.arch, facts.plan.torch.full_version
    );
    Some(
        Finding::new("E51", Severity::Warning, message)
            .evidence(format!("torch lists {}", listed.join(" ")))
            .hint("`cargo xtask torch plan --cuda 12.8` finds a torch that supports it"),
    )
}

/// E54, E55, E58: TORCH_CUDA_ARCH_LIST unset without a GPU, misspelt, or with a name that nvcc does not cover.
pub(super) fn arch_list(facts: &Facts<'_>) -> Option<Finding> {
    let torch = &facts.plan.torch.version;
    let Some(list) =
        facts.machine.user_env.get("TORCH_CUDA_ARCH_LIST").filter(|list| list.as_str() != "native")
    else {
        let unset = !facts.machine.user_env.contains_key("TORCH_CUDA_ARCH_LIST");
        // Without a toolkit there is no list yet.
        return (unset && facts.machine.gpus.is_empty() && !facts.plan.archs.is_empty()).then(|| {
            let list = facts.plan.arch_list();
            let message = format!(
                "no GPU is visible and TORCH_CUDA_ARCH_LIST is not set, at which torch stops; `{list}` is set"
            );
            info("E54", message, "nvidia-smi, /proc/driver/nvidia")
                .hint("others with `--arch`, or `export TORCH_CUDA_ARCH_LIST=\"8.6;9.0+PTX\"`")
        });
    };
    match torch_checks::arch_entries(torch, list) {
        Err(unknown) => {
            let finding = |severity, message: String, hint: String| {
                Some(
                    Finding::new("E55", severity, message)
                        .evidence(format!("TORCH_CUDA_ARCH_LIST={list}"))
                        .hint(hint),
                )
            };
            match torch_checks::mended(torch, list) {
                Some(meant) => finding(
                    Severity::Warning,
                    format!("{unknown}; use `{meant}`"),
                    format!("export TORCH_CUDA_ARCH_LIST=\"{meant}\""),
                ),
                None => finding(Severity::Error, unknown.to_string(), "write numbers with a dot, separated by `;`: `export TORCH_CUDA_ARCH_LIST=\"8.6;9.0+PTX\"`".into()),
            }
        }
        Ok(entries) => {
            let toolkit = facts.toolkit.filter(|_| list.contains("Blackwell"))?;
            let number = |entry: &String| {
                entry.trim_end_matches("+PTX").trim_end_matches('a').replace('.', "").parse().ok()
            };
            let lacking: Vec<u32> =
                entries.iter().filter_map(number).filter(|code| !toolkit.gpu_codes.contains(code)).collect();
            let first = lacking.first()?;
            let message = format!(
                "torch reads `{list}` as {}, and this nvcc does not know sm_{first}",
                entries.join(";")
            );
            Some(
                Finding::new("E58", Severity::Warning, message)
                    .evidence(format!("TORCH_CUDA_ARCH_LIST={list}"))
                    .hint("export TORCH_CUDA_ARCH_LIST=\"12.0+PTX\""),
            )
        }
    }
}

/// E64: libraries of another CUDA major version beside torch's.
pub(super) fn two_majors(facts: &Facts<'_>) -> Option<Finding> {
    let of_torch = facts.plan.torch.cuda.as_ref()?.major();
    let python = facts.python?;
    let other = python.packages.keys().find(|name| {
        let major = name.strip_prefix("nvidia_").and_then(|name| name.rsplit_once("_cu"));
        major.and_then(|(_, digits)| digits.parse::<u32>().ok()).is_some_and(|major| major != of_torch)
    })?;
    let message = format!(
        "`{other}` is installed beside a torch of CUDA {of_torch}: two CUDA major versions in one process"
    );
    Some(Finding::new("E64", Severity::Warning, message).evidence(python.path.display().to_string()).hint(
        format!("unless another package needs it, `{} -m pip uninstall {other}`, which asks before it removes anything", python.path.display()),
    ))
}

/// E77, E83, E84: what building needs of the Python environment.
pub(super) fn python_parts(facts: &Facts<'_>) -> Vec<Finding> {
    let Some(python) = facts.python else { return Vec::new() };
    let mut found = Vec::new();
    let path = python.path.display().to_string();
    if python.has_headers == Some(false) {
        let message =
            format!("Python {} has no headers (Python.h) or library to build against", python.version);
        let hint = format!(
            "Debian and Ubuntu: `sudo apt install python3.{}-dev`; on Windows use a Python from its own installer",
            python.version.minor()
        );
        found.push(Finding::new("E77", Severity::Error, message).evidence(path.clone()).hint(hint));
    }
    // Known at all only where the packages were read.
    let known = !python.packages.is_empty();
    let setuptools = python.packages.get("setuptools").and_then(|text| text.parse::<Version>().ok());
    let advice = format!("`{path} -m pip install \"setuptools<82\" wheel`");
    match setuptools {
        None if known => {
            let message =
                "setuptools is not installed in this environment; one is brought for the build alone";
            found.push(info("E83", message, path.clone()).hint(format!("by hand: {advice}")));
        }
        Some(version) if version >= Version::new(&[82]) => {
            let message = format!(
                "setuptools {version} has no pkg_resources, which torch {} and many setup.py import; an older one is brought for the build alone",
                facts.plan.torch.version
            );
            found.push(info("E83", message, path.clone()).hint(format!("by hand: {advice}")));
        }
        _ => {}
    }
    if known && !python.packages.contains_key("ninja") && facts.machine.ninja.is_empty() {
        let message = "ninja is neither in this environment nor on PATH; ours is put on the build's PATH";
        found.push(info("E84", message, path).hint("by hand: `python -m pip install ninja`"));
    }
    found
}

/// E86: locks that no running build can still hold.
pub(super) fn locks(machine: &Machine) -> Vec<Finding> {
    let old = machine.extension_locks.iter().filter(|lock| lock.value > 1800);
    old.map(|lock| {
        let message = format!(
            "a just-in-time build left its lock {} minutes ago; whoever needs that extension waits for it",
            lock.value / 60
        );
        Finding::new("E86", Severity::Warning, message)
            .evidence(lock.source.clone())
            .hint(format!("if no build is running, delete {}", lock.source))
    })
    .collect()
}
