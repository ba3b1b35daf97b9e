//! Facts and choices as rows of tables: what, which, and where from.

use splat_toolchain::{Choice, Explained, Fact, Machine, Plan, Version};

use super::Snapshot;
use crate::ui;

/// A choice, and with `all` also why each other candidate was not taken.
pub(super) fn told(explained: &Explained, all: bool) -> Vec<Vec<String>> {
    let mut rows = vec![row(&explained.subject, &explained.chosen, &explained.because)];
    let others = explained.rejected.iter().filter(|_| all);
    rows.extend(others.map(|(candidate, why)| row("", format!("not {candidate}"), why)));
    rows
}

pub(super) fn row(subject: &str, value: impl Into<String>, source: impl Into<String>) -> Vec<String> {
    vec![subject.to_owned(), value.into(), source.into()]
}

/// `none` rather than an empty cell, so that absence reads as a fact.
fn fact<T: ToString>(subject: &str, fact: Option<&Fact<T>>) -> Vec<String> {
    match fact {
        Some(fact) => row(subject, fact.value.to_string(), &fact.source),
        None => row(subject, "none", ""),
    }
}

pub(super) fn facts(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let machine = &snapshot.machine;
    let mut rows =
        vec![row("system", format!("{} {}, {} cores", machine.os, machine.arch, machine.cpus), "")];
    if machine.glibc.is_some() {
        rows.push(fact("C library (glibc)", machine.glibc.as_ref()));
    }
    if let Some(memory) = &machine.memory {
        rows.push(row("memory free", ui::bytes(memory.value), &memory.source));
    }
    for disk in &machine.disks {
        rows.push(row(
            &format!("disk free, {}", disk.holds),
            ui::bytes(disk.free),
            disk.path.display().to_string(),
        ));
    }
    for (name, tool) in [("Rust", &machine.rustc), ("cargo", &machine.cargo)] {
        rows.push(match tool {
            Some(tool) => row(name, tool.version.to_string(), tool.path.display().to_string()),
            None => row(name, "none", ""),
        });
    }
    rows.extend(pythons(machine));
    if machine.host_compilers.is_empty() {
        rows.push(row("C++ compiler", "none", ""));
    }
    for compiler in &machine.host_compilers {
        let kind = format!("{:?}", compiler.kind).to_lowercase();
        let toolset =
            compiler.msvc.as_ref().map(|msvc| format!(", toolset {}", msvc.toolset)).unwrap_or_default();
        rows.push(row(
            "C++ compiler",
            format!("{kind} {}{toolset} at {}", compiler.version, compiler.path.display()),
            &compiler.source,
        ));
    }
    // Three numbers that are easily taken for one another (E07): each has its own row.
    if let Some(wsl) = &machine.wsl {
        rows.push(row("Windows Subsystem for Linux", "yes", &wsl.source));
    }
    rows.push(fact("NVIDIA driver", machine.driver.as_ref()));
    rows.push(fact("driver runs CUDA up to", machine.driver_cuda.as_ref()));
    rows.extend(toolkits(machine));
    rows.extend(torches(machine));
    if machine.gpus.is_empty() {
        rows.push(row("GPU", "none", ""));
    }
    for gpu in &machine.gpus {
        rows.push(row("GPU", format!("{} (sm_{})", gpu.name, gpu.arch), &gpu.source));
    }
    for (name, tools) in [("cmake", &machine.cmake), ("ninja", &machine.ninja)] {
        if tools.is_empty() {
            rows.push(row(name, "none", ""));
        }
        for tool in tools {
            rows.push(row(name, format!("{} at {}", tool.version, tool.path.display()), &tool.source));
        }
    }
    for cudnn in &machine.cudnn {
        rows.push(row("cuDNN", format!("{} at {}", cudnn.version, cudnn.header.display()), &cudnn.source));
    }
    for sdk in machine.windows_sdks.iter().take(1) {
        rows.push(fact("Windows SDK", Some(sdk)));
    }
    if let Some(language) = &machine.locale.language {
        rows.push(fact("language", Some(language)));
    }
    if let Some(page) = machine.locale.oem.as_ref().or(machine.locale.ansi.as_ref()) {
        rows.push(fact("code page", Some(page)));
    }
    let lock = snapshot.repo.tch_locked.as_ref().map(|version| Fact::new(version.clone(), "Cargo.lock"));
    rows.push(fact("tch", lock.as_ref()));
    rows
}

fn pythons(machine: &Machine) -> Vec<Vec<String>> {
    if machine.pythons.is_empty() {
        return vec![row("Python", "none", "")];
    }
    // Those known by name alone matter only where the active one does not fit.
    let asked = machine.pythons.iter().filter(|python| python.has_pip.is_some());
    let mut rows: Vec<Vec<String>> = asked
        .map(|python| {
            let lacks = [(python.has_pip, "no pip"), (python.has_venv, "no venv")];
            let lacks: Vec<&str> =
                lacks.iter().filter(|(has, _)| *has == Some(false)).map(|(_, text)| *text).collect();
            let lacks = if lacks.is_empty() { String::new() } else { format!(" ({})", lacks.join(", ")) };
            row("Python", format!("{}{lacks} at {}", python.version, python.path.display()), &python.source)
        })
        .collect();
    let others: Vec<String> = machine
        .pythons
        .iter()
        .filter(|python| python.has_pip.is_none())
        .map(|python| python.version.to_string())
        .collect();
    if !others.is_empty() {
        rows.push(row("Python, not active", others.join(", "), "by name, not run"));
    }
    rows
}

fn toolkits(machine: &Machine) -> Vec<Vec<String>> {
    if machine.toolkits.is_empty() {
        return vec![row("CUDA toolkit", "none", "")];
    }
    let describe = |version: Option<&Version>, lacks: Vec<&str>| {
        let version = version.map_or_else(|| "of unknown version".to_owned(), ToString::to_string);
        let lacking = format!("lacks {}", lacks.join(", "));
        if lacks.is_empty() { version } else { format!("{version} ({lacking})") }
    };
    machine
        .toolkits
        .iter()
        .map(|toolkit| {
            let text = describe(toolkit.version.as_ref().map(|fact| &fact.value), toolkit.lacks());
            row("CUDA toolkit", format!("{text} at {}", toolkit.root.display()), toolkit.sources.join(", "))
        })
        .collect()
}

fn torches(machine: &Machine) -> Vec<Vec<String>> {
    if machine.torches.is_empty() {
        return vec![row("torch", "none", "")];
    }
    let describe = |torch: &splat_toolchain::machine::Torch| {
        let version = if torch.full_version.is_empty() { "nothing" } else { &torch.full_version };
        let cuda = torch
            .cuda
            .as_ref()
            .map_or_else(|| "CPU only".to_owned(), |cuda| format!("built with CUDA {cuda}"));
        let whole = match (torch.inactive, torch.complete) {
            (true, _) => ", not active",
            (false, true) => "",
            (false, false) => ", not whole",
        };
        format!("{version} ({cuda}{whole}) at {}", torch.root.display())
    };
    machine.torches.iter().map(|torch| row("torch", describe(torch), &torch.source)).collect()
}

pub(super) fn choices(plan: &Plan, verbose: bool) -> Vec<Vec<String>> {
    let engines: Vec<&str> = plan.engines.iter().map(|engine| engine.as_str()).collect();
    let mut rows = vec![
        row(
            "row",
            format!("torch {} with tch {}", plan.row.torch, plan.row.tch),
            format!("target directory {}", plan.target_dir),
        ),
        row("engines", engines.join(", "), ""),
    ];
    for explained in &plan.choices {
        // What a plan does not need is not worth a line.
        if verbose
            || !matches!(
                (explained.subject.as_str(), &plan.cuda),
                ("CUDA" | "cmake" | "ninja", Choice::Unneeded)
            )
        {
            rows.extend(told(explained, verbose));
        }
    }
    rows
}
