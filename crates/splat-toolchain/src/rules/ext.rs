//! What would go wrong when another project's torch extension is built on this machine: rules that look at the
//! machine, the extension's plan and, where given, its sources. Findings of the plan itself (which toolkit, which
//! compiler) come from [`crate::ext`]; what the build mends by itself is told as information.

use std::path::Path;

use super::{
    common,
    tree::{self, Against, Tree},
};
use crate::{
    ext::ExtPlan,
    ext_setup,
    finding::{Finding, Severity},
    machine::{CompilerKind, Machine, Python, Toolkit, Torch},
    torch_checks::{self, Check, Verdict},
    version::Version,
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

/// E06: torch's own search ends at another toolkit, which it then refuses; E10: at one that is too old for its flags.
fn first_pick(facts: &Facts<'_>) -> Option<Finding> {
    let chosen = facts.toolkit?;
    let toolkits = &facts.machine.toolkits;
    let stated = |name: &str| {
        toolkits.iter().find(|toolkit| toolkit.sources.iter().any(|source| source.starts_with(name)))
    };
    let usual = || {
        let version = |toolkit: &&Toolkit| toolkit.version.as_ref().map(|fact| fact.value.clone());
        if facts.windows {
            // The first of a sorted list of folders is the lowest version.
            toolkits
                .iter()
                .filter(|t| t.sources.iter().any(|s| s.contains("NVIDIA GPU Computing Toolkit")))
                .min_by_key(version)
        } else {
            toolkits.iter().find(|toolkit| toolkit.sources.iter().any(|source| source == "/usr/local/cuda"))
        }
    };
    let first = ["CUDA_HOME", "CUDA_PATH", "nvcc on PATH"].into_iter().find_map(|name| {
        if name == "CUDA_PATH" {
            return toolkits
                .iter()
                .find(|t| t.sources.iter().any(|s| s == name || s.starts_with("CUDA_PATH (")));
        }
        stated(name)
    });
    let first = first.or_else(usual)?;
    let version = first.version.as_ref().map(|fact| &fact.value)?;
    if first.root == chosen.root {
        return None;
    }
    let by = first.sources.first().cloned().unwrap_or_default();
    if *version < Version::new(&[11]) {
        let message = format!(
            "left to itself, torch would use CUDA {version} ({by}), which does not know its flags; it is given {}",
            chosen.root.display()
        );
        return Some(info("E10", message, first.root.display().to_string()));
    }
    let of_torch = facts.plan.torch.cuda.as_ref()?;
    (version.major() != of_torch.major()).then(|| {
        let message = format!(
            "left to itself, torch would use CUDA {} ({by}) and stop, as it was built with {of_torch}; it is given {}",
            version.series(),
            chosen.root.display()
        );
        info("E06", message, first.root.display().to_string())
    })
}

/// E08: folders that torch does not pass; E76: a name that linkers look for and that is not there.
fn layout(facts: &Facts<'_>) -> Vec<Finding> {
    let Some(toolkit) = facts.toolkit else { return Vec::new() };
    let mut found = Vec::new();
    let usual = crate::paths::join(&toolkit.root, "include");
    let debian = toolkit.root == Path::new("/usr");
    if let Some(include) = toolkit.include.as_ref().filter(|include| **include != usual || debian) {
        let message = format!(
            "the toolkit's headers lie in {}, where torch does not look; the folder is passed",
            include.display()
        );
        found.push(info("E08", message, toolkit.root.display().to_string()));
    }
    if !toolkit.links_cudart && !facts.windows {
        let message = "the toolkit has no libcudart.so without a number, which linkers look for; a link is made in the build's own folder";
        found.push(info("E76", message, toolkit.lib.as_ref().unwrap_or(&toolkit.root).display().to_string()));
    }
    found
}

/// E09: conda's package of libraries for running programs.
fn conda(facts: &Facts<'_>) -> Option<Finding> {
    let version = facts.machine.conda_packages.get("cudatoolkit")?;
    let prefix = facts.machine.user_env.get("CONDA_PREFIX")?;
    let has_nvcc = facts.machine.conda_packages.contains_key("cuda-nvcc");
    let severity = if facts.toolkit.is_none() { Severity::Error } else { Severity::Info };
    (!has_nvcc).then(|| {
        Finding::new("E09", severity, format!("conda's cudatoolkit {version} has no compiler"))
            .evidence(format!("{prefix}, conda-meta"))
            .hint(format!("`conda install -c nvidia/label/cuda-{version} cuda-nvcc cuda-cudart-dev`"))
    })
}

/// E12: DLLs below bin.
fn moved_dlls(facts: &Facts<'_>) -> Option<Finding> {
    let toolkit = facts.toolkit.filter(|_| facts.windows)?;
    let below = toolkit.dll_folders.iter().find(|folder| crate::paths::file_name(folder) != "bin")?;
    let message = format!("the toolkit's DLLs lie in {}; the folder is added", below.display());
    Some(info("E12", message, toolkit.root.display().to_string()))
}

/// E21: torch's table against the toolkit's own header, which has taken the compiler when it is in the plan.
fn torch_table(facts: &Facts<'_>) -> Option<Finding> {
    let compiler = facts.plan.compiler.as_ref()?;
    let (torch_cuda, nvcc) = facts.plan.torch.cuda.as_ref().zip(facts.plan.cuda.version())?;
    let verdict = torch_checks::check(&Check {
        torch: &facts.plan.torch.version,
        torch_cuda,
        nvcc,
        kind: compiler.kind,
        compiler: &compiler.version,
        unchecked: facts.windows,
    });
    let bound = match verdict {
        Verdict::TooNew { below } => format!("only below {below}"),
        Verdict::TooOld { least } => format!("only from {least} on"),
        Verdict::OtherMajor | Verdict::Accepted { .. } => return None,
    };
    let message = format!(
        "torch {} takes {} {bound} for CUDA {}, and nvcc itself takes {}; torch's check is switched off",
        facts.plan.torch.version,
        compiler.path.display(),
        nvcc.series(),
        compiler.version
    );
    let evidence = facts.toolkit.and_then(|toolkit| toolkit.ceiling.evidence.clone()).unwrap_or_default();
    Some(info("E21", message, evidence).hint("by hand: `export TORCH_DONT_CHECK_COMPILER_ABI=1`"))
}

/// E22: CXX alone.
fn two_compilers(facts: &Facts<'_>) -> Option<Finding> {
    let env = &facts.machine.user_env;
    let cxx_name = env.get("CXX").filter(|_| !env.contains_key("CC"))?;
    let cxx = facts.machine.host_compilers.iter().find(|compiler| compiler.source == "CXX")?;
    let gcc = facts.machine.c_compilers.iter().find(|compiler| compiler.source.starts_with("gcc"))?;
    (cxx.version != gcc.version || cxx.kind != gcc.kind).then(|| {
        let message = format!(
            "CXX is {cxx_name} ({}), CC is not set, and nvcc would get gcc {}; both are set to one compiler",
            cxx.version, gcc.version
        );
        info("E22", message, gcc.path.display().to_string())
            .hint(format!("by hand: `export CC={}`", crate::ext::c_compiler(cxx).display()))
    })
}

/// E23: nvcc before 11.7 and the headers of GCC 11.3.
fn parameter_packs(facts: &Facts<'_>) -> Option<Finding> {
    let (compiler, nvcc) = facts.plan.compiler.as_ref().zip(facts.plan.cuda.version())?;
    let hit = compiler.kind == CompilerKind::Gcc
        && compiler.version >= Version::new(&[11, 3])
        && *nvcc < Version::new(&[11, 7]);
    hit.then(|| {
        let message = format!(
            "nvcc {} cannot read the headers of GCC {}, although it claims to",
            nvcc.series(),
            compiler.version
        );
        Finding::new("E23", Severity::Error, message)
            .evidence(compiler.path.display().to_string())
            .hint("`sudo apt install g++-10`, then `export CC=gcc-10 CXX=g++-10`")
    })
}

/// E25, E28, E29, E30: the Visual Studio that is entered, and the prompt it is called from.
fn visual_studio(facts: &Facts<'_>) -> Vec<Finding> {
    if !facts.windows {
        return Vec::new();
    }
    let env = &facts.machine.user_env;
    let mut found = Vec::new();
    if let Some(target) = env.get("VSCMD_ARG_TGT_ARCH") {
        let host = env.get("VSCMD_ARG_HOST_ARCH").map(String::as_str);
        if target != "x64" || host == Some("x86") {
            let message = format!(
                "the prompt is for {target} (its tools: {}); the x64 environment is entered",
                host.unwrap_or("unknown")
            );
            found.push(
                info("E29", message, "VSCMD_ARG_TGT_ARCH, VSCMD_ARG_HOST_ARCH")
                    .hint("by hand: open \"x64 Native Tools Command Prompt\""),
            );
        } else if !env.contains_key("DISTUTILS_USE_SDK") {
            let message =
                "torch stops in this prompt unless DISTUTILS_USE_SDK is set; it is set for the build";
            found.push(info("E28", message, "VSCMD_ARG_TGT_ARCH").hint("by hand: `set DISTUTILS_USE_SDK=1`"));
        }
    }
    if let Some(msvc) = facts.plan.compiler.as_ref().and_then(|compiler| compiler.msvc.as_ref())
        && msvc.vcvars.is_none()
    {
        let message = format!("{} has no vcvars64.bat: its environment cannot be entered", msvc.product);
        found.push(
            Finding::new("E30", Severity::Error, message)
                .evidence("VC\\Auxiliary\\Build")
                .hint("repair it in the Visual Studio Installer (Desktop development with C++)"),
        );
    }
    found
}

/// E51: torch has no code that this GPU runs.
fn gpu_against_torch(facts: &Facts<'_>) -> Option<Finding> {
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
fn arch_list(facts: &Facts<'_>) -> Option<Finding> {
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
fn two_majors(facts: &Facts<'_>) -> Option<Finding> {
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
        format!("`{} -m pip uninstall -y {other}`, unless another package needs it", python.path.display()),
    ))
}

/// E77, E83, E84: what building needs of the Python environment.
fn python_parts(facts: &Facts<'_>) -> Vec<Finding> {
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
fn locks(machine: &Machine) -> Vec<Finding> {
    let old = machine.extension_locks.iter().filter(|lock| lock.value > 1800);
    old.map(|lock| {
        let message = format!(
            "a just-in-time build left its lock {} minutes ago; whoever needs that extension waits for it",
            lock.value / 60
        );
        Finding::new("E86", Severity::Warning, message)
            .evidence(lock.source.clone())
            .hint(format!("delete {}", lock.source))
    })
    .collect()
}
