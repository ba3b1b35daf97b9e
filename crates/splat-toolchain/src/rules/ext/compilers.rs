//! The compilers of an extension: torch's table, what nvcc is given, Visual Studio.

use super::{Facts, info};
use crate::{
    finding::{Finding, Severity},
    machine::CompilerKind,
    torch_checks::{self, Check, Verdict},
    version::Version,
};

/// E21: torch's table against the toolkit's own header, which has taken the compiler when it is in the plan.
pub(super) fn torch_table(facts: &Facts<'_>) -> Option<Finding> {
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
pub(super) fn two_compilers(facts: &Facts<'_>) -> Option<Finding> {
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
pub(super) fn parameter_packs(facts: &Facts<'_>) -> Option<Finding> {
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
pub(super) fn visual_studio(facts: &Facts<'_>) -> Vec<Finding> {
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
