//! The host's own tools: the C++ compiler that nvcc uses, cmake, ninja, and the interpreter that brings packages.

use std::path::{Path, PathBuf};

use super::{Chosen, Context};
use crate::{
    finding::{Finding, Severity},
    machine::{CompilerKind, HostCeiling, HostCompiler, Machine, Python, Tool},
    managed::TOOLS,
    plan::{Choice, Explained},
    rows::Row,
    version::Version,
};

/// The oldest cmake that our CMakeLists.txt is written for.
const MIN_CMAKE: [u32; 2] = [3, 24];
const MIN_NINJA: [u32; 2] = [1, 10];

/// Why no compiler can serve a toolkit.
pub(crate) struct Refusal {
    pub(crate) why: String,
    /// A compiler on this machine that would be taken, had the user not named another.
    pub(crate) instead: Option<PathBuf>,
}

/// Whether a toolkit with these bounds takes this compiler; if not, the bound.
pub(crate) fn refusal(compiler: &HostCompiler, ceiling: &HostCeiling) -> Option<String> {
    let major = compiler.version.major();
    match compiler.kind {
        CompilerKind::Gcc => {
            let max = ceiling.gcc_max.filter(|max| major > *max)?;
            Some(format!("g++ {} is newer than the GCC {max} it takes", compiler.version))
        }
        CompilerKind::Clang => {
            let below = ceiling.clang_below.filter(|below| major >= *below)?;
            Some(format!("clang {} is not below the {below} it takes", compiler.version))
        }
        CompilerKind::Msvc => {
            // 19.42 is _MSC_VER 1942.
            let msc = compiler.msc_ver().unwrap_or_default();
            if let Some((least, below)) = ceiling.msvc.filter(|(least, below)| msc < *least || msc >= *below)
            {
                return Some(format!(
                    "_MSC_VER {msc} is outside of the range from {least} to {} that it accepts",
                    below.saturating_sub(1)
                ));
            }
            let demanded = compiler.msvc.as_ref().and_then(|msvc| msvc.stl_cuda.as_ref());
            let (demanded, cuda) =
                demanded.zip(ceiling.cuda.as_ref()).filter(|(demanded, cuda)| cuda < demanded)?;
            Some(format!("its standard library demands CUDA {demanded}, and the toolkit is {cuda} (STL1002)"))
        }
    }
}

/// The compiler for nvcc: CUDAHOSTCXX, CXX, then the machine's order, first that the bounds admit.
pub(crate) fn for_nvcc<'a>(
    context: &Context<'a>,
    ceiling: &HostCeiling,
) -> Result<&'a HostCompiler, Refusal> {
    let compilers = &context.machine.host_compilers;
    let accepted = || compilers.iter().find(|compiler| refusal(compiler, ceiling).is_none());
    let Some(first) = compilers.first() else {
        return Err(Refusal { why: "there is no C++ compiler on this machine".into(), instead: None });
    };
    match refusal(first, ceiling) {
        None => Ok(first),
        Some(why) if first.explicit => Err(Refusal {
            why: format!("{} names a compiler it refuses: {why}", first.source),
            instead: accepted().map(|compiler| compiler.path.clone()),
        }),
        Some(why) => accepted().ok_or(Refusal { why, instead: None }),
    }
}

/// The compiler for nvcc, or for C++ alone where nothing is compiled by nvcc.
pub(crate) fn compiler(context: &Context<'_>, ceiling: Option<&HostCeiling>) -> Chosen<Option<HostCompiler>> {
    let mut explained = Explained { subject: "host compiler".into(), ..Explained::default() };
    let mut findings = Vec::new();
    // CUDAHOSTCXX speaks of nvcc alone.
    let skip = |compiler: &&HostCompiler| ceiling.is_some() || !compiler.explicit;
    let mut choice = context.machine.host_compilers.iter().find(skip).cloned();
    if let Some(compiler) = &choice {
        explained.because = format!("it comes first ({})", compiler.source);
    } else {
        explained.because = "none was found".into();
        findings.push(no_compiler(context));
    }
    if let (Some(ceiling), Some(_)) = (ceiling, &choice) {
        match for_nvcc(context, ceiling) {
            Ok(taken) => {
                let first = context.machine.host_compilers.first();
                for compiler in &context.machine.host_compilers {
                    let name = format!("{} {}", compiler.path.display(), compiler.version);
                    match refusal(compiler, ceiling) {
                        Some(why) => explained.rejected.push((name, why)),
                        None if compiler.path != taken.path => {
                            let why = format!("it fits as well; the one of {} comes first", taken.source);
                            explained.rejected.push((name, why));
                        }
                        None => {}
                    }
                }
                if first.is_some_and(|first| first.path != taken.path) {
                    explained.because = format!("nvcc takes it ({})", taken.source);
                }
                if let Some(named) = first.filter(|first| first.source == "CXX" && first.path != taken.path) {
                    findings.push(cxx_refused(named, taken, ceiling));
                }
                choice = Some(taken.clone());
            }
            Err(Refusal { why, instead }) => {
                explained.because.clone_from(&why);
                findings.push(unsupported(&why, instead.as_deref(), ceiling));
                choice = None;
            }
        }
    }
    explained.chosen =
        choice.as_ref().map_or_else(|| "none".into(), |c| format!("{} {}", c.path.display(), c.version));
    Chosen { choice, explained, findings }
}

/// CXX is the user's choice for C++, and nvcc does not take it: nvcc gets another one, and that is said.
fn cxx_refused(named: &HostCompiler, taken: &HostCompiler, ceiling: &HostCeiling) -> Finding {
    let why = refusal(named, ceiling).unwrap_or_default();
    let message = format!(
        "CXX names {}, and nvcc does not take it ({why}); nvcc gets {}",
        named.path.display(),
        taken.path.display()
    );
    Finding::new(refusal_code(&why), Severity::Warning, message)
        .evidence(ceiling.evidence.clone().unwrap_or_default())
        .hint(format!("export CXX={}", taken.path.display()))
}

/// The code of a refusal: GCC and clang, Visual Studio, its library, or no compiler at all.
pub(crate) fn refusal_code(why: &str) -> &'static str {
    if why.contains("STL1002") {
        "E26"
    } else if why.contains("_MSC_VER") {
        "E25"
    } else {
        "E20"
    }
}

fn unsupported(why: &str, instead: Option<&Path>, ceiling: &HostCeiling) -> Finding {
    let hint = match (instead, ceiling.gcc_max) {
        (Some(compiler), _) => format!("export CUDAHOSTCXX={}", compiler.display()),
        (None, Some(max)) if !why.contains("_MSC_VER") && !why.contains("STL1002") => format!(
            "install g++-{max} (Debian and Ubuntu: `sudo apt install g++-{max}`); it is found by its name"
        ),
        (None, _) if why.contains("_MSC_VER") || why.contains("STL1002") => {
            "add an older toolset in the Visual Studio Installer (Individual components: MSVC v143, version 14.38); it is used through -vcvars_ver".into()
        }
        (None, _) => "install a C++ compiler that this CUDA toolkit takes".into(),
    };
    Finding::new(refusal_code(why), Severity::Error, format!("no host compiler fits the CUDA toolkit: {why}"))
        .evidence(ceiling.evidence.clone().unwrap_or_default())
        .hint(hint)
}

fn no_compiler(context: &Context<'_>) -> Finding {
    let windows = context.machine.os == "windows";
    let hint = if windows {
        "install Visual Studio Build Tools with \"Desktop development with C++\", which is found without a prompt"
    } else {
        "Debian and Ubuntu: `sudo apt install g++`; Fedora: `sudo dnf install gcc-c++`; Arch: `sudo pacman -S gcc`"
    };
    let code = if windows { "E27" } else { "S02" };
    Finding::new(
        code,
        Severity::Error,
        if windows {
            "no Visual Studio or Build Tools with C++ is installed"
        } else {
            "there is no C++ compiler on PATH"
        },
    )
    .evidence(if windows { "vswhere, cl on PATH" } else { "c++, g++, clang++, CXX" })
    .hint(hint)
}

/// The interpreter that brings packages for a row: the first with wheels for it, the active one before others.
pub(crate) fn python(machine: &Machine, row: Row) -> Option<&Python> {
    machine
        .pythons
        .iter()
        .filter(|python| python.has_pip != Some(false))
        .find(|python| row.has_wheels_for(&python.version))
}

pub(crate) fn cmake(context: &Context<'_>) -> Chosen<Choice> {
    tool(context, "cmake", &context.machine.cmake, &MIN_CMAKE, "cmake/data/bin/cmake")
}

pub(crate) fn ninja(context: &Context<'_>) -> Chosen<Choice> {
    tool(context, "ninja", &context.machine.ninja, &MIN_NINJA, "bin/ninja")
}

fn tool(context: &Context<'_>, subject: &str, found: &[Tool], least: &[u32], inside: &str) -> Chosen<Choice> {
    let mut explained = Explained { subject: subject.into(), ..Explained::default() };
    let mut findings = Vec::new();
    let least = Version::new(least);
    let mut choice = None;
    if context.needs_cuda() {
        for tool in found.iter().filter(|tool| !tool.managed) {
            if tool.version < least {
                explained.rejected.push((
                    format!("{} {}", tool.path.display(), tool.version),
                    format!("older than {least}"),
                ));
            } else if choice.is_none() {
                explained.because = format!("it is installed ({})", tool.source);
                choice = Some(Choice::Installed { path: tool.path.clone(), version: tool.version.clone() });
            }
        }
    } else {
        explained.because = "no engine of this plan is built by it".into();
        choice = Some(Choice::Unneeded);
    }
    let choice = choice.unwrap_or_else(|| {
        let inside =
            if context.machine.os == "windows" { format!("{inside}.exe") } else { inside.to_owned() };
        match context.managed_choice(TOOLS, &inside) {
            Some(choice) => {
                explained.because = format!("none is installed; {}", super::presence(&choice));
                if choice.to_bring().is_some() {
                    findings.push(
                        Finding::new(
                            "E84",
                            Severity::Info,
                            format!(
                                "no {subject} {least} or newer is installed; `cargo xtask build` brings one"
                            ),
                        )
                        .evidence("PATH"),
                    );
                }
                choice
            }
            None => {
                explained.because = "none is installed, and no packages are pinned to install one".into();
                findings.push(
                    Finding::new(
                        "E84",
                        Severity::Error,
                        format!("no {subject} {least} or newer is installed"),
                    )
                    .evidence(format!("PATH; no {}", TOOLS.requirements))
                    .hint(format!("Debian and Ubuntu: `sudo apt install {subject}`")),
                );
                Choice::Missing
            }
        }
    });
    explained.chosen = match (choice.version(), choice.path()) {
        (Some(version), Some(path)) => format!("{} {version}", path.display()).trim_end().to_owned(),
        _ => "none".into(),
    };
    Chosen { choice, explained, findings }
}
