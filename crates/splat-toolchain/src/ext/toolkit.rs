//! Which toolkit compiles an extension: of torch's own major version, unless another one was allowed.

use std::path::Path;

use super::ExtRequest;
use crate::{
    choose::{self, Context, host},
    env::real_path,
    finding::{Finding, Severity},
    machine::{Machine, Toolkit},
    managed::CUDA,
    plan::{Choice, Explained},
    version::Version,
};

/// The toolkit of torch's major version: what was asked for, what the user set, the nearest minor version, or ours.
pub(super) fn toolkit(
    context: &Context<'_>,
    of_torch: &Version,
    request: &ExtRequest,
    explained: &mut Explained,
    findings: &mut Vec<Finding>,
) -> Choice {
    let toolkits = &context.machine.toolkits;
    let archs = request.archs.as_deref().unwrap_or_default();
    let asked = request.cuda.as_deref().filter(|asked| *asked != "managed");
    let by_user = |toolkit: &Toolkit| match asked {
        Some(asked) => names(asked, toolkit),
        None => request.cuda.is_none() && set_by_user(context.machine, toolkit),
    };
    if let Some(chosen) = toolkits.iter().find(|toolkit| by_user(toolkit)) {
        let by = asked.map_or_else(|| chosen.sources.join(", "), |asked| format!("--cuda {asked}"));
        explained.because = format!("{by} names it");
        let Some((code, why)) = unfit(context, chosen, of_torch, archs) else { return installed(chosen) };
        if code == "E01" && request.mismatch && of_our_major(context, chosen, archs) {
            findings.push(allowed(of_torch, &installed(chosen)));
            return installed(chosen);
        }
        let instead =
            ranked(context, of_torch, archs).into_iter().next().and_then(|other| other.version.as_ref());
        let hint = match instead {
            Some(version) => format!("name the one that fits: `--cuda {}`", version.value.series()),
            None => remedy(of_torch),
        };
        findings.push(
            Finding::new(
                code,
                Severity::Error,
                format!("the CUDA toolkit that was chosen ({by}) cannot build for this torch: {why}"),
            )
            .evidence(chosen.root.display().to_string())
            .hint(hint),
        );
        return Choice::Missing;
    }
    if let Some(asked) = asked {
        findings.push(
            Finding::new(
                "E03",
                Severity::Error,
                format!("CUDA `{asked}` was asked for and is not on this machine"),
            )
            .evidence(toolkits.iter().map(describe).collect::<Vec<_>>().join("; "))
            .hint("`cargo xtask switch list` shows what there is"),
        );
        return Choice::Missing;
    }
    if let Some(choice) = other_major(context, of_torch, request, explained, findings) {
        return choice;
    }
    for toolkit in toolkits {
        if let Some((_, why)) = unfit(context, toolkit, of_torch, archs) {
            explained.rejected.push((describe(toolkit), why));
        }
    }
    let fitting = if request.cuda.is_some() { Vec::new() } else { ranked(context, of_torch, archs) };
    if let Some((first, others)) = fitting.split_first() {
        explained.because =
            format!("of torch's CUDA major version {}, the nearest that fits", of_torch.major());
        for other in others {
            explained.rejected.push((describe(other), format!("farther from torch's {of_torch}")));
        }
        return installed(first);
    }
    let ours: Version = CUDA.version.parse().unwrap_or_default();
    if ours.major() == of_torch.major()
        && let Some(choice) = context.managed_choice(CUDA, "nvidia/cu13")
    {
        explained.because = format!("no installed toolkit fits; {}", choose::presence(&choice));
        return choice;
    }
    findings.push(
        Finding::new(
            "E01",
            Severity::Error,
            format!("torch was built with CUDA {of_torch}, and no toolkit {}.x here fits", of_torch.major()),
        )
        .evidence(
            explained
                .rejected
                .iter()
                .map(|(what, why)| format!("{what}: {why}"))
                .collect::<Vec<_>>()
                .join("; "),
        )
        .hint(remedy(of_torch)),
    );
    Choice::Missing
}

/// Where no toolkit of torch's major version is there and a mismatch is allowed: ours, or an installed one that takes
/// the compiler.
fn other_major(
    context: &Context<'_>,
    of_torch: &Version,
    request: &ExtRequest,
    explained: &mut Explained,
    findings: &mut Vec<Finding>,
) -> Option<Choice> {
    let archs = request.archs.as_deref().unwrap_or_default();
    if !request.mismatch || !ranked(context, of_torch, archs).is_empty() {
        return None;
    }
    let ours = context.managed_choice(CUDA, "nvidia/cu13").filter(|_| our_major() != of_torch.major());
    let near = context.machine.toolkits.iter().find(|toolkit| of_our_major(context, toolkit, archs));
    let choice = near.map(installed).or(ours)?;
    explained.because =
        "another major version than torch's was allowed, and no toolkit of torch's is here".into();
    findings.push(allowed(of_torch, &choice));
    Some(choice)
}

fn our_major() -> u32 {
    CUDA.version.parse::<Version>().unwrap_or_default().major()
}

/// Whether a toolkit is of the major version that Splatwright itself brings, and fits otherwise.
fn of_our_major(context: &Context<'_>, toolkit: &Toolkit, archs: &[u32]) -> bool {
    let version = toolkit.version.as_ref().map(|fact| fact.value.clone()).unwrap_or_default();
    version.major() == our_major() && unfit(context, toolkit, &version, archs).is_none()
}

fn allowed(of_torch: &Version, choice: &Choice) -> Finding {
    let version = choice.version().map(|version| version.series().to_string()).unwrap_or_default();
    let message = format!(
        "torch was built with CUDA {of_torch} and CUDA {version} compiles: torch's check is passed, the runtime is linked statically, and the result is refused if it shares with torch what differs between the two"
    );
    Finding::new("E01", Severity::Warning, message)
        .hint(format!("the safe way is a toolkit of torch's own version: {}", remedy(of_torch)))
}

/// What brings a toolkit of that major version.
fn remedy(of_torch: &Version) -> String {
    let series = of_torch.series();
    match of_torch.major() {
        13.. => "`--cuda managed` takes the compiler that Splatwright brings".into(),
        major => format!(
            "install a CUDA {major}.x toolkit beside the others, and it is found: `conda install -c nvidia/label/cuda-{series}.0 cuda-nvcc cuda-cudart-dev`, `sudo apt install cuda-toolkit-{}` (NVIDIA's repository), `winget install Nvidia.CUDA --version {series}` (Windows); or allow CUDA {} where the extension permits it: `--runtime-major-mismatch`; or take a torch built with another CUDA than {major}.x: `cargo xtask torch plan --cuda 13.0`",
            series.to_string().replace('.', "-"),
            CUDA.version,
        ),
    }
}

/// Whether `--cuda` names this toolkit: by folder, or by version.
fn names(asked: &str, toolkit: &Toolkit) -> bool {
    let path = Path::new(asked);
    if path.is_absolute() {
        return toolkit.root == path || real_path(&toolkit.root) == real_path(path);
    }
    let version: Option<Version> = asked.parse().ok();
    version.zip(toolkit.version.as_ref()).is_some_and(|(version, have)| have.value.starts_with(&version))
}

/// Windows installers set `CUDA_PATH` for the toolkit that came last: that is nobody's choice.
fn set_by_user(machine: &Machine, toolkit: &Toolkit) -> bool {
    let stated = |source: &String| {
        source.starts_with("CUDA_HOME") || (machine.os != "windows" && source.starts_with("CUDA_PATH"))
    };
    toolkit.explicit && toolkit.sources.iter().any(stated)
}

/// Toolkits that fit, the best first: torch's minor version, then the highest below it, then the lowest above.
fn ranked<'a>(context: &Context<'a>, of_torch: &Version, archs: &[u32]) -> Vec<&'a Toolkit> {
    let mut fitting: Vec<&Toolkit> = context
        .machine
        .toolkits
        .iter()
        .filter(|toolkit| unfit(context, toolkit, of_torch, archs).is_none())
        .collect();
    let wanted = of_torch.minor();
    fitting.sort_by_key(|toolkit| {
        let minor = toolkit.version.as_ref().map_or(0, |version| version.value.minor());
        if minor <= wanted { (0, wanted - minor) } else { (1, minor - wanted) }
    });
    fitting
}

/// The first reason against a toolkit, with its code.
fn unfit(
    context: &Context<'_>,
    toolkit: &Toolkit,
    of_torch: &Version,
    archs: &[u32],
) -> Option<(&'static str, String)> {
    if toolkit.nvcc.is_none() {
        return Some(("E05", "it lacks nvcc".into()));
    }
    if toolkit.include.is_none() {
        return Some(("E08", "it lacks cuda_runtime.h".into()));
    }
    let Some(version) = toolkit.version.as_ref().map(|fact| &fact.value) else {
        return Some(("E13", "none of its files says which version it is".into()));
    };
    if version.major() != of_torch.major() {
        return Some((
            "E01",
            format!("it is CUDA {}, and torch was built with {of_torch}", version.series()),
        ));
    }
    if let Err(refusal) = host::for_nvcc(context, &toolkit.ceiling) {
        return Some((host::refusal_code(&refusal.why), refusal.why));
    }
    let unknown = archs.iter().find(|arch| !toolkit.gpu_codes.contains(arch))?;
    Some(("E52", format!("it does not compile for sm_{unknown}")))
}

fn installed(toolkit: &Toolkit) -> Choice {
    let version = toolkit.version.as_ref().map(|fact| fact.value.clone()).unwrap_or_default();
    Choice::Installed { path: toolkit.root.clone(), version }
}

fn describe(toolkit: &Toolkit) -> String {
    match &toolkit.version {
        Some(version) => format!("CUDA {} at {}", version.value, toolkit.root.display()),
        None => toolkit.root.display().to_string(),
    }
}
