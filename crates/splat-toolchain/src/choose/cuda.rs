//! Which CUDA toolkit: an explicit choice, the first installed one that fits, or ours.
//!
//! The toolkit's major version need not be torch's: the kernels never see torch, and the CUDA runtime is linked
//! statically. What must fit: its parts, the host compiler, the GPUs' architectures, the driver.

use std::path::Path;

use super::{Chosen, Context, host, presence};
use crate::{
    finding::{Finding, Severity},
    machine::Toolkit,
    managed::CUDA,
    paths,
    plan::{Choice, Explained},
    tables::{self, MIN_CUDA},
    version::Version,
};

/// Why a toolkit cannot be used: the code, the reason, and what would help if not another toolkit.
struct Unfit {
    code: &'static str,
    why: String,
    remedy: Option<String>,
}

pub(crate) fn choose(context: &Context<'_>) -> Chosen<Choice> {
    let mut explained = Explained { subject: "CUDA".into(), ..Explained::default() };
    if !context.needs_cuda() {
        explained.chosen = "none".into();
        explained.because = "no engine of this plan is compiled by nvcc".into();
        return Chosen { choice: Choice::Unneeded, explained, findings: Vec::new() };
    }
    let (choice, findings) = match context.settings.cuda.as_deref() {
        Some("managed") => (
            ours(context, &mut explained, "it was chosen with `cargo xtask switch cuda managed`"),
            Vec::new(),
        ),
        Some(asked) => by_name(context, asked, &mut explained),
        None => by_rank(context, &mut explained),
    };
    explained.chosen = name(&choice);
    let mut findings = findings;
    if choice == Choice::Missing && findings.is_empty() {
        findings.push(nothing(context));
    }
    Chosen { choice, explained, findings }
}

fn by_name(context: &Context<'_>, asked: &str, explained: &mut Explained) -> (Choice, Vec<Finding>) {
    let matches = |toolkit: &&Toolkit| {
        // The probe was told of the folder and lists it under that name, whatever links lead there.
        if paths::is_absolute(asked) {
            return toolkit.root == Path::new(asked);
        }
        let version: Option<Version> = asked.parse().ok();
        version.zip(toolkit.version.as_ref()).is_some_and(|(version, have)| have.value.starts_with(&version))
    };
    // Of two with one version, the one without a fault.
    let mut candidates: Vec<&Toolkit> = context.machine.toolkits.iter().filter(matches).collect();
    candidates.sort_by_key(|toolkit| unfit(context, toolkit).is_some());
    match candidates.first() {
        Some(toolkit) => {
            explained.because = format!("`{asked}` was chosen explicitly");
            explicit(context, toolkit, &format!("switch cuda {asked}"), explained)
        }
        None if asked
            .parse::<Version>()
            .is_ok_and(|version| Version::from_numbers(CUDA.version).starts_with(&version)) =>
        {
            (
                ours(
                    context,
                    explained,
                    &format!("`{asked}` was chosen explicitly and is the one that Splatwright installs"),
                ),
                Vec::new(),
            )
        }
        None => {
            explained.because = format!("`{asked}` was chosen explicitly and is not installed");
            let have: Vec<String> = context.machine.toolkits.iter().map(describe).collect();
            let have = if have.is_empty() { "no toolkit was found".to_owned() } else { have.join("; ") };
            let finding = Finding::new("E03", Severity::Error, format!("CUDA `{asked}` was chosen and is not on this machine"))
                .evidence(have)
                .hint("`cargo xtask switch cuda auto` chooses by fit; `cargo xtask switch list` shows what there is");
            (Choice::Missing, vec![finding])
        }
    }
}

fn by_rank(context: &Context<'_>, explained: &mut Explained) -> (Choice, Vec<Finding>) {
    let toolkits = &context.machine.toolkits;
    if let Some(toolkit) = toolkits.iter().find(|toolkit| toolkit.explicit) {
        let variable = toolkit.sources.first().cloned().unwrap_or_default();
        explained.because = format!("{variable} names it");
        return explicit(context, toolkit, &variable, explained);
    }
    let mut chosen: Option<&Toolkit> = None;
    let mut fitting: Vec<&Toolkit> = Vec::new();
    for toolkit in toolkits.iter().filter(|toolkit| !toolkit.managed) {
        match unfit(context, toolkit) {
            Some(Unfit { why, .. }) => explained.rejected.push((describe(toolkit), why)),
            None => fitting.push(toolkit),
        }
    }
    // Machine code for every GPU beats PTX; after that the machine's own order decides.
    fitting.sort_by_key(|toolkit| std::cmp::Reverse(gpus_with_code(context, toolkit)));
    for toolkit in fitting {
        let Some(first) = chosen else {
            explained.because = format!("it is installed and fits (found by {})", toolkit.sources.join(", "));
            chosen = Some(toolkit);
            continue;
        };
        let (ours, theirs) = (gpus_with_code(context, toolkit), gpus_with_code(context, first));
        let why = if ours < theirs {
            format!("it fits, and makes machine code for {ours} of the GPUs rather than {theirs}")
        } else {
            format!(
                "it fits as well; {} comes first",
                first.sources.first().map_or("another", String::as_str)
            )
        };
        explained.rejected.push((describe(toolkit), why));
    }
    if chosen.is_some() {
        for toolkit in toolkits.iter().filter(|toolkit| toolkit.managed) {
            explained.rejected.push((describe(toolkit), "Splatwright's own: an installed one fits".into()));
        }
    }
    match chosen {
        Some(toolkit) => (installed(toolkit), Vec::new()),
        None => {
            let why = if explained.rejected.is_empty() {
                "no toolkit is installed"
            } else {
                "no installed toolkit fits"
            };
            (ours(context, explained, why), Vec::new())
        }
    }
}

fn explicit(
    context: &Context<'_>,
    toolkit: &Toolkit,
    by: &str,
    explained: &mut Explained,
) -> (Choice, Vec<Finding>) {
    let Some(Unfit { code, why, remedy }) = unfit(context, toolkit) else {
        return (installed(toolkit), Vec::new());
    };
    explained.rejected.push((describe(toolkit), why.clone()));
    let other =
        context.machine.toolkits.iter().find(|other| !other.explicit && unfit(context, other).is_none());
    let instead = match other.and_then(|other| other.version.as_ref()) {
        Some(version) => format!("`cargo xtask switch cuda {}`", version.value.series()),
        None => format!("`cargo xtask switch cuda managed` (brings CUDA {})", CUDA.version),
    };
    let finding = Finding::new(
        code,
        Severity::Error,
        format!("the CUDA toolkit that was chosen ({by}) cannot be used: {why}"),
    )
    .evidence(toolkit.root.display().to_string())
    .hint(remedy.unwrap_or(instead));
    (Choice::Missing, vec![finding])
}

fn ours(context: &Context<'_>, explained: &mut Explained, why: &str) -> Choice {
    if context.machine.arch != "x86_64" && context.machine.arch != "aarch64" {
        return Choice::Missing;
    }
    let choice = context.managed_choice(CUDA, "nvidia/cu13").unwrap_or(Choice::Missing);
    explained.because = format!("{why}; {}", presence(&choice));
    choice
}

fn installed(toolkit: &Toolkit) -> Choice {
    let version = toolkit.version.as_ref().map(|fact| fact.value.clone()).unwrap_or_default();
    Choice::Installed { path: toolkit.root.clone(), version }
}

/// The first reason against a toolkit.
fn unfit(context: &Context<'_>, toolkit: &Toolkit) -> Option<Unfit> {
    let because = |code, why| Some(Unfit { code, why, remedy: None });
    let lacks = toolkit.lacks();
    if !lacks.is_empty() {
        let code = if toolkit.nvcc.is_none() { "E05" } else { "E08" };
        return because(code, format!("it lacks {}", lacks.join(", ")));
    }
    let Some(version) = toolkit.version.as_ref().map(|fact| &fact.value) else {
        return because("E13", "none of its files says which version it is".into());
    };
    if *version < Version::new(&MIN_CUDA) {
        return because("E10", format!("it is CUDA {version}, and 12.0 is the oldest that is supported"));
    }
    if let Err(refusal) = host::for_nvcc(context, &toolkit.ceiling) {
        let remedy = refusal.instead.map(|compiler| format!("export CUDAHOSTCXX={}", compiler.display()));
        return Some(Unfit { code: host::refusal_code(&refusal.why), why: refusal.why, remedy });
    }
    let oldest = toolkit.gpu_codes.first().copied().unwrap_or_default();
    let gpus = &context.machine.gpus;
    if !gpus.is_empty() && gpus.iter().all(|gpu| gpu.arch < oldest) {
        return because(
            "E53",
            format!("it no longer compiles for this GPU (sm_{}; its oldest is sm_{oldest})", gpus[0].arch),
        );
    }
    let least = tables::driver_minimum(version, context.os());
    if let Some((least, driver)) = least.zip(context.machine.driver.as_ref())
        && driver.value < least
    {
        return because("E61", format!("it needs driver {least}, and {} is installed", driver.value));
    }
    None
}

fn gpus_with_code(context: &Context<'_>, toolkit: &Toolkit) -> usize {
    context
        .machine
        .gpus
        .iter()
        .filter(|gpu| super::archs::code_for(gpu.arch, &toolkit.gpu_codes).is_some())
        .count()
}

fn describe(toolkit: &Toolkit) -> String {
    match &toolkit.version {
        Some(version) => format!("CUDA {} at {}", version.value, toolkit.root.display()),
        None => toolkit.root.display().to_string(),
    }
}

fn name(choice: &Choice) -> String {
    match (choice.version(), choice.path()) {
        (Some(version), Some(path)) => format!("CUDA {version} at {}", path.display()),
        _ => "none".into(),
    }
}

fn nothing(context: &Context<'_>) -> Finding {
    Finding::new("E03", Severity::Error, "no CUDA toolkit fits and none can be brought here")
        .evidence(format!("{} {}; no {}", context.machine.os, context.machine.arch, CUDA.requirements))
        .hint("install a CUDA toolkit from 12.0 on and set CUDA_HOME to its folder, or build with `--engines cpu`")
}
